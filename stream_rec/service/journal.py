"""A file of events that came over HTTP, so that they are there again after a restart.

One JSON line each, appended and brought to disk before anybody is told that they were taken. Knows nothing of what they
say. A last line that is not whole was told to nobody: it is cut off.
"""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from stream_rec.errors import SettingsError, TransportError
from stream_rec.transport.base import Record

__all__ = ["Journal"]

_BLOCK: Final = 1 << 20
_LINES: Final = 1024


class Journal:
    """Appends to *path*, which is made if it is not there. Raises SettingsError where it cannot be."""

    def __init__(self, path: Path, topic: str) -> None:
        self._path = path
        self._topic = topic
        try:
            self._file = path.open("ab+")
            self._cut_to_whole_lines()
        except OSError as error:
            raise SettingsError("journal", f"cannot write {str(path)!r}: {error.strerror}") from error
        self.n_lines = 0

    def batches(self) -> Iterator[list[Record]]:
        """What was written before, with the numbers of its lines, from 0. To be read once, before anything else."""
        self._file.seek(0)
        while lines := self._file.readlines(_BLOCK):
            for start in range(0, len(lines), _LINES):
                part = lines[start : start + _LINES]
                yield [
                    Record(line.rstrip(b"\n"), self._topic, 0, number) for number, line in enumerate(part, self.n_lines)
                ]
                self.n_lines += len(part)

    def write(self, values: Sequence[bytes]) -> None:
        """Append *values*; they are on the disk when it returns. Raises TransportError."""
        try:
            self._file.write(b"".join(value + b"\n" for value in values))
            self._file.flush()
            os.fdatasync(self._file.fileno())
        except OSError as error:
            raise TransportError(f"cannot write the journal {str(self._path)!r}: {error.strerror}") from error
        self.n_lines += len(values)

    def close(self) -> None:
        """Let go. May be called twice."""
        self._file.close()

    def _cut_to_whole_lines(self) -> None:
        end = self._file.seek(0, os.SEEK_END)
        at = end
        while at > 0:
            start = max(0, at - _BLOCK)
            self._file.seek(start)
            found = self._file.read(at - start).rfind(b"\n")
            if found >= 0:
                at = start + found + 1
                break
            at = start
        if at < end:
            self._file.truncate(at)
