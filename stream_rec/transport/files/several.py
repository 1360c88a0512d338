"""Several files, one after the other, as one log."""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final, Protocol

import msgspec

from stream_rec.core.events import DecodeRules
from stream_rec.transport.files.places import FoundFile, size_of, with_data
from stream_rec.transport.files.remote import is_remote
from stream_rec.transport.records import Progress, Record, Source

__all__ = ["FilesSource"]

_log: Final = logging.getLogger(__name__)
_SHOWN: Final = 5


class _File(Source, Protocol):
    @property
    def is_at_rest(self) -> bool:
        """Whether it is no pipe."""


class FilesSource:
    """The records of *files*, of which *open_file* opens each when its turn comes; the first at once.

    A file of 0 bytes among them holds nothing, not even names of columns, and is passed over.

    A record gets those values of its file's partition that the *rules* map to a field, and that it has not itself.
    """

    def __init__(self, files: Sequence[FoundFile], open_file: Callable[[FoundFile], _File], rules: DecodeRules) -> None:
        self._files = with_data(files)
        kept = {file.path for file in self._files}
        empty = [file.name for file in files if file.path not in kept]
        if empty:
            _log.info("passed over %d empty files: %s", len(empty), ", ".join(empty[:_SHOWN]))
        self._open_file = open_file
        self._rules = rules
        self._sizes = [size_of(file.path) for file in self._files]
        self._at = 0
        self._file = open_file(self._files[0])
        self._next: dict[tuple[str, int], int] = {}

    @property
    def topics(self) -> frozenset[str]:
        """The names of all files."""
        return frozenset(file.name for file in self._files)

    @property
    def is_at_rest(self) -> bool:
        """Whether all are files, not pipes."""
        return self._file.is_at_rest and all(
            size is not None or is_remote(file.path) for size, file in zip(self._sizes, self._files, strict=True)
        )

    def batches(self, max_records: int) -> Iterator[Sequence[Record]]:
        """Yield the records, at most *max_records* at a time; a batch never waits to fill."""
        while True:
            partition = self._files[self._at].partition
            added = {name: partition[name] for name in self._rules.columns_in(partition)}
            for records in self._file.batches(max_records):
                yield [_with(record, added) for record in records] if added else records
            self._next |= self._file.next_offsets
            self._file.close()
            if self._at == len(self._files) - 1:
                return
            self._at += 1
            self._file = self._open_file(self._files[self._at])

    @property
    def next_offsets(self) -> dict[tuple[str, int], int]:
        """For each file, the number after that of the last record returned."""
        return self._next | self._file.next_offsets

    @property
    def progress(self) -> Progress:
        """In bytes of all files as they are stored."""
        total = sum(size or 0 for size in self._sizes)
        before = sum(size or 0 for size in self._sizes[: self._at])
        return Progress(before + self._file.progress.bytes_read, total)

    def close(self) -> None:
        """Close the file that is read."""
        self._file.close()


def _with(record: Record, added: Mapping[str, object]) -> Record:
    """Return *record* with the columns that are *added*, unless it has its own."""
    if record.fault is not None:
        return record
    row = record.row
    if row is None:
        try:
            row = msgspec.json.decode(record.value)
        except (ValueError, RecursionError):
            return record
        if not isinstance(row, dict):
            return record
    return msgspec.structs.replace(record, row={**added, **row})
