"""The base of all sources over files, and the plainest of them: a JSON record on each line.

Does not parse records. A file is partition 0 of a topic that has the file's name.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from typing import Final

from stream_rec.core.events import DecodeRules, Reason
from stream_rec.errors import StreamRecError
from stream_rec.transport.files.bytes import ByteStream
from stream_rec.transport.files.lines import line_blocks
from stream_rec.transport.records import Progress, Record

__all__ = ["FileSource", "LinesSource", "columns_said", "too_long"]

_SHOWN_NAMES: Final = 20


class FileSource(ABC):
    """Returns the records of one file, from number *start* on."""

    def __init__(self, stream: ByteStream, max_record_bytes: int, start: int = 1) -> None:
        self.stream = stream
        self.topic = stream.topic
        self.max_record_bytes = max_record_bytes
        self._start = start
        self._next = start
        self._records: Iterator[list[Record]] | None = None
        self._left: list[Record] = []
        self._failure: StreamRecError | None = None

    def batches(self, max_records: int) -> Iterator[list[Record]]:
        """The records, at most *max_records* at a time; a batch never waits to fill."""
        if self._records is None:
            self._records = self._blocks()
        while True:
            if not self._left:
                block = self._next_block(self._records)
                if block is None:
                    return
                if block and block[0].offset < self._start:
                    block = [record for record in block if record.offset >= self._start]
                    if not block:
                        continue
                self._left = block
            batch, self._left = self._left[:max_records], self._left[max_records:]
            if batch:
                self._next = batch[-1].offset + 1
            yield batch

    def _next_block(self, records: Iterator[list[Record]]) -> list[Record] | None:
        # A generator that has raised returns no more, which must not look like the end of the file.
        if self._failure is not None:
            raise self._failure
        try:
            return next(records, None)
        except StreamRecError as error:
            self._failure = error
            raise

    @property
    def next_offsets(self) -> dict[tuple[str, int], int]:
        """The number after that of the last record returned."""
        return {(self.topic, 0): self._next}

    @property
    def progress(self) -> Progress:
        """In bytes of the file as it is stored."""
        return self.stream.progress

    @property
    def is_at_rest(self) -> bool:
        """Whether it is a file, not a pipe or standard input, which another program may still write."""
        return self.stream.is_at_rest

    def close(self) -> None:
        """Close the file."""
        self.stream.close()

    @abstractmethod
    def _blocks(self) -> Iterator[list[Record]]:
        """The records in blocks of any size; an empty one when nothing is waiting."""


class LinesSource(FileSource):
    """One record on each line that is not blank; its number is the line's."""

    def _blocks(self) -> Iterator[list[Record]]:
        topic, limit, n = self.topic, self.max_record_bytes, 1
        for lines in line_blocks(self.stream, limit):
            records = [
                Record(line, topic, 0, number)
                for number, line in enumerate(lines, n)
                if line and (not line.isspace() or len(line) > limit)
            ]
            if lines and max(map(len, lines)) > limit:
                records = [too_long(r, limit) if len(r.value) > limit else r for r in records]
            n += len(lines)
            if records or not lines:
                yield records


def too_long(record: Record, limit: int) -> Record:
    """*record* with a fault, and only the first *limit* bytes of its value."""
    fault = (Reason.TOO_LARGE, f"expected at most {limit} bytes, found more; the first are kept")
    return Record(record.value[:limit], record.topic, record.partition, record.offset, fault=fault)


def columns_said(names: Sequence[str], rules: DecodeRules) -> str:
    """Return *names* of columns, and those that the folders' names say, for a message."""
    beside = [name for name in sorted(rules.beside) if name not in names]
    return ", ".join(names[:_SHOWN_NAMES]) + (f" and {', '.join(beside)}, which its folders say" if beside else "")
