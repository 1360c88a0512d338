"""A write-ahead log of the events over HTTP, so that they are there again after a restart.

One JSON line each, appended and synced to disk before an event is acknowledged. Knows nothing of their content. A last
line that is incomplete was never acknowledged, and is cut off.
"""

import fcntl
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from stream_rec import private_files
from stream_rec.errors import SettingsError, TransportError
from stream_rec.transport.records import Record

__all__ = ["Journal"]

_BLOCK: Final = 1 << 20


class Journal:
    """Appends to *path*, and creates it if needed. Raises SettingsError if it cannot be written."""

    def __init__(self, path: Path, topic: str) -> None:
        self._path = path
        self._topic = topic
        self.n_lines = 0
        try:
            # Unbuffered: closing a buffered file would try again to write what failed.
            self._file = private_files.appended(path)
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
        """Yield what was written before, with line numbers from 0 as offsets. Call it once, before `write`."""
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
        """Close the file. May be called twice."""
        self._file.close()


def _claim(file: int, path: Path) -> None:
    """Lock the file: two processes must not write one journal."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise SettingsError(
            "journal", f"{str(path)!r} is in use by another process: give each its own journal"
        ) from None


def _sync_folder(folder: Path) -> None:
    """Sync the folder, so that the file itself outlasts a power cut, not only its content."""
    opened = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)


def _cut_to_whole_lines(path: Path) -> None:
    """Cut off what follows the last end of a line."""
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
