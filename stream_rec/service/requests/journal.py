"""A file of events that came over HTTP, so that they are there again after a restart.

One JSON line each, appended and brought to disk before anybody is told that they were taken. Knows nothing of what they
say. A last line that is not whole was told to nobody: it is cut off.
"""

import fcntl
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from stream_rec.errors import SettingsError, TransportError
from stream_rec.transport.records import Record

__all__ = ["Journal"]

_BLOCK: Final = 1 << 20


class Journal:
    """Appends to *path*, which is made if it is not there. Raises SettingsError where it cannot be."""

    def __init__(self, path: Path, topic: str) -> None:
        self._path = path
        self._topic = topic
        self.n_lines = 0
        try:
            # Without a buffer of Python's: what could not be written must not be tried again by a close.
            self._file = path.open("ab", buffering=0)
            try:
                _claim(self._file.fileno(), path)
                _cut_to_whole_lines(path)
                _sync_folder(path.parent)
            except BaseException:
                self._file.close()
                raise
        except OSError as error:
            raise SettingsError("journal", f"cannot write {str(path)!r}: {error.strerror}") from error

    def batches(self) -> Iterator[list[Record]]:
        """What was written before, with the numbers of its lines, from 0. To be read once, before anything else."""
        with self._path.open("rb") as file:
            while lines := file.readlines(_BLOCK):
                yield [
                    Record(line.rstrip(b"\n"), self._topic, 0, number)
                    for number, line in enumerate(lines, self.n_lines)
                ]
                self.n_lines += len(lines)

    def write(self, values: Sequence[bytes]) -> None:
        """Append *values*; they are on the disk when it returns. Raises TransportError."""
        left = memoryview(b"".join(value + b"\n" for value in values))
        try:
            while left:
                left = left[self._file.write(left) :]
            os.fdatasync(self._file.fileno())
        except OSError as error:
            raise TransportError(f"cannot write the journal {str(self._path)!r}: {error.strerror}") from error
        self.n_lines += len(values)

    def close(self) -> None:
        """Let go. May be called twice."""
        self._file.close()


def _claim(file: int, path: Path) -> None:
    """Two processes must not write one journal."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise SettingsError("journal", f"{str(path)!r} is another process's: give each one its own") from None


def _sync_folder(folder: Path) -> None:
    """Let the file itself outlast a power cut, not only what is in it."""
    opened = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)


def _cut_to_whole_lines(path: Path) -> None:
    """Take away what comes behind the last end of a line."""
    with path.open("rb+") as file:
        end = at = file.seek(0, os.SEEK_END)
        while at > 0:
            start = max(0, at - _BLOCK)
            file.seek(start)
            found = file.read(at - start).rfind(b"\n")
            if found >= 0:
                at = start + found + 1
                break
            at = start
        if at < end:
            file.truncate(at)
