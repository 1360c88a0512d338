"""A write-ahead log of the events over HTTP, so that they are there again after a restart.

One JSON line each, appended and synced to disk before an event is applied and acknowledged: the event, and as
`log_time` when it came, in ms. Lines of versions before 0.3.0 have no `log_time`. A last line that is incomplete was
never acknowledged, and is cut off.
"""

import fcntl
import os
from collections.abc import Iterator, Sequence
from contextlib import suppress
from io import FileIO
from pathlib import Path
from typing import Final

import msgspec

from stream_rec import private_files
from stream_rec.errors import SettingsError, StreamRecError, TransportError, may_pass
from stream_rec.transport.records import Record

__all__ = ["Journal"]

_BLOCK: Final = 1 << 20
_TRIAL: Final = bytes(4096)  # without the end of a line: what a crash leaves of it is cut off


class Journal:
    """Appends to *path*, and creates it if needed.

    What may pass (a full disk, a folder that is read-only) prevents no start: the file is read, and `write` raises
    until it can be written. Raises SettingsError for a path that can never be written.
    """

    def __init__(self, path: Path, topic: str) -> None:
        self._path = path
        self._topic = topic
        self.n_lines = 0
        self.trouble: TransportError | None = None
        """Why it cannot be written now."""
        self._file: FileIO | None = None
        self._size: int | None = None
        """Bytes of whole lines; None before the file was opened or read."""
        self._is_torn = False
        """Whether bytes of a failed write may follow the whole lines."""
        try:
            self._open()
        except OSError as error:
            if not may_pass(error):
                raise SettingsError("journal", f"cannot write {str(path)!r}: {error.strerror}") from error
            self.trouble = self._cannot_write(error)

    def batches(self) -> Iterator[list[Record]]:
        """Yield what was written before, with line numbers from 0 as offsets. Call it once, before `write`.

        Raises TransportError.
        """
        try:
            yield from self._batches()
        except FileNotFoundError:  # it could not be created
            self._size = 0
        except OSError as error:
            raise TransportError(f"cannot read the journal {str(self._path)!r}: {error.strerror}") from error

    def _batches(self) -> Iterator[list[Record]]:
        n_bytes = 0
        with self._path.open("rb") as file:
            while lines := file.readlines(_BLOCK):
                if not lines[-1].endswith(b"\n"):
                    lines.pop()
                n_bytes += sum(map(len, lines))
                records = [
                    Record(line.rstrip(b"\n"), self._topic, 0, number, timestamp_ms=_log_time_in(line))
                    for number, line in enumerate(lines, self.n_lines)
                ]
                self.n_lines += len(lines)
                yield records
        self._size = n_bytes

    def write(self, records: Sequence[Record]) -> None:
        """Append *records*, JSON objects: all are on the disk then, or none is, and it raises TransportError."""
        data = b"".join(map(_line, records))
        self._append(data)
        self._size = len(data) + (self._size or 0)
        self.n_lines += len(records)

    def try_again(self) -> bool:
        """Return whether it can be written again."""
        try:
            self._append(_TRIAL)
        except TransportError:
            return False
        self._is_torn = True
        with suppress(OSError):
            self._cut_off_torn()
        return True

    def close(self) -> None:
        """Close the file. May be called twice."""
        if self._file is not None:
            self._file.close()

    def _append(self, data: bytes) -> None:
        try:
            if self._file is None:
                self._open()
            self._cut_off_torn()
            self._is_torn = True
            self._write_all(data)
        except OSError as error:
            self.trouble = self._cannot_write(error)
            with suppress(OSError):  # else the next write does it first
                self._cut_off_torn()
            raise self.trouble from error
        except StreamRecError as error:
            self.trouble = TransportError(error.message)
            raise self.trouble from error
        self._is_torn = False
        self.trouble = None

    def _write_all(self, data: bytes) -> None:
        assert self._file is not None, "it is open"
        left = memoryview(data)
        while left:
            left = left[self._file.write(left) :]
        os.fdatasync(self._file.fileno())

    def _cut_off_torn(self) -> None:
        """Cut off what a failed write has left: the next line would be appended to it."""
        if self._is_torn and self._file is not None:
            os.ftruncate(self._file.fileno(), self._size or 0)
            self._is_torn = False

    def _open(self) -> None:
        # Unbuffered: closing a buffered file would try again to write what failed.
        file = private_files.appended(self._path)
        try:
            _claim(file.fileno(), self._path)
            _cut_to_whole_lines(self._path)
            _sync_folder(self._path.parent)
            size = os.fstat(file.fileno()).st_size
            self._refuse_changed(size)
        except BaseException:
            file.close()
            raise
        self._file, self._size = file, size

    def _refuse_changed(self, size: int) -> None:
        if self._size is not None and size != self._size:
            raise TransportError(
                f"the journal {str(self._path)!r} was changed by another program while it could not be written: "
                "start the service again, to read it again"
            )

    def _cannot_write(self, error: OSError) -> TransportError:
        text = f"cannot write the journal {str(self._path)!r}: {error.strerror}"
        return TransportError(text, retriable=may_pass(error))


class _LogTime(msgspec.Struct):
    log_time: int | None = None


_read_log_time: Final = msgspec.json.Decoder(_LogTime).decode


def _log_time_in(line: bytes) -> int | None:
    try:
        return _read_log_time(line).log_time
    except (ValueError, RecursionError):  # the line is no event either, and its reader says why
        return None


def _line(record: Record) -> bytes:
    if record.timestamp_ms is None:
        return record.value + b"\n"
    return b'%s,"log_time":%d}\n' % (record.value[:-1], record.timestamp_ms)


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
