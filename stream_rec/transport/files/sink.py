"""JSON lines into a file or a pipe, packed if the name ends in .gz.

Does not parse the lines. Writes whole lines only. An existing file is overwritten only on request, and
then not before there is something to write.
"""

import os
import stat
import sys
import zlib
from collections.abc import Sequence
from pathlib import Path, PurePath
from typing import BinaryIO, Final, Literal

from stream_rec.errors import SettingsError, TransportError, UnwrittenError, may_pass

__all__ = ["FileSink", "Mode", "open_sink"]

Mode = Literal["new", "append", "overwrite"]

_BUFFER_BYTES: Final = 1 << 18
_NOT_LINES: Final = frozenset({".csv", ".tsv", ".parquet"})


class FileSink:
    """Collects lines, and writes them in large pieces, on `flush` at the latest.

    With *overwrite*, the first write, or `close`, first empties the file. Where a disk is full, or the like, `write`
    and `flush` raise UnwrittenError, and nothing is lost: the next `flush` writes what is left.
    """

    def __init__(
        self, stream: BinaryIO, name: str, *, packed: bool, owned: bool = True, overwrite: bool = False
    ) -> None:
        self.name = name
        self.n_lines = 0
        self._stream = stream
        self._owned = owned
        # Not gzip.GzipFile, which writes the time of day: the same log must give the same bytes.
        self._packer = zlib.compressobj(wbits=31) if packed else None
        self._lines: list[bytes] = []
        self._n_bytes = 0
        self._left = b""
        """What could not be written."""
        self._truncate_first = overwrite
        self._closed = False

    def write(self, values: Sequence[bytes], keys: Sequence[bytes | None] | None = None) -> None:
        """Accept one line for each of *values*; a file has no keys."""
        del keys
        self._lines += values
        self.n_lines += len(values)
        self._n_bytes += sum(map(len, values))
        if self._n_bytes >= _BUFFER_BYTES:
            self._drain()

    def flush(self) -> None:
        """Write all lines accepted, so that a reader of the file sees them."""
        if self._lines or self._left:
            self._drain()
            if self._packer is not None:
                self._put(self._packer.flush(zlib.Z_SYNC_FLUSH))

    def close(self) -> None:
        """Write the remaining lines, and close the file. May be called twice."""
        if self._closed:
            return
        self._closed = True
        try:
            self._drain()
            if self._packer is not None:
                self._put(self._packer.flush())
        finally:
            if self._owned:
                self._stream.close()

    def _drain(self) -> None:
        lines = self._lines
        # Removed first: they are in `_left`, should that fail.
        self._lines, self._n_bytes = [], 0
        data = b"\n".join([*lines, b""])
        self._put(data if self._packer is None else self._packer.compress(data))

    def _put(self, data: bytes) -> None:
        left = memoryview(self._left + data)
        self._left = b""
        try:
            if self._truncate_first:
                self._stream.truncate(0)
                self._truncate_first = False
            while left:
                # A raw stream says how much of a piece it has written, before the call that fails.
                left = left[self._stream.write(left) or 0 :]
            if data:
                self._stream.flush()
        except BrokenPipeError as error:
            raise TransportError(f"{self.name}: its reader has closed the pipe") from error
        except (OSError, ValueError) as error:
            self._left = bytes(left)
            text = f"{self.name}: cannot be written: {error}"
            if isinstance(error, OSError) and may_pass(error):
                raise UnwrittenError(text) from error
            raise TransportError(text) from error


def open_sink(spec: str, *, mode: Mode = "new", key: str = "recommendations") -> FileSink:
    """A sink into the file *spec*, or standard output for `-`.

    *mode* is for an existing file: `new` refuses one that is not empty, `append` goes on after its last
    line, `overwrite` empties it before the first line is written. Raises SettingsError for the setting *key*, and
    TransportError where the disk is full, or the like.
    """
    if spec == "-":
        stream = sys.stdout.buffer
        sys.stdout.flush()
        return FileSink(getattr(stream, "raw", stream), "stdout", packed=False, owned=False)
    packed = spec.lower().endswith(".gz")
    suffix = PurePath(spec.lower().removesuffix(".gz")).suffix
    if "://" in spec or suffix in _NOT_LINES:
        raise SettingsError(key, f"JSON lines are written, so expected a .jsonl file or -, found {spec!r}")
    return _open_file(spec, mode, key, packed=packed)


def _open_file(spec: str, mode: Mode, key: str, *, packed: bool) -> FileSink:
    try:
        stream = _open_raw(spec)
        status = os.fstat(stream.fileno())
    except OSError as error:
        text = f"cannot write {spec!r}: {error.strerror}"
        if may_pass(error):
            raise TransportError(f"{key}: {text}", retriable=True) from error
        raise SettingsError(key, text) from error
    if not stat.S_ISREG(status.st_mode) or not status.st_size:
        return FileSink(stream, spec, packed=packed)
    if mode == "new":
        stream.close()
        way_out = "name another file, or move it away"
        if key != "out":  # of the simulator, which has no such option
            way_out = "name another file, move it away, or say what to do with it: --output-mode append, or overwrite"
        raise SettingsError(key, f"{spec!r} exists, and would be overwritten: {way_out}")
    if mode == "append":
        _go_to_end(stream, packed=packed)
    return FileSink(stream, spec, packed=packed, overwrite=mode == "overwrite")


def _open_raw(spec: str) -> BinaryIO:
    """For reading too, to see how the last line ends; a pipe or a device for writing only."""
    path = Path(spec)
    if path.exists() and not path.is_file():
        return path.open("wb", buffering=0)
    path.touch()
    return path.open("r+b", buffering=0)


def _go_to_end(stream: BinaryIO, *, packed: bool) -> None:
    """After the last byte; a line that a crash cut short is ended, so that the next line stays whole."""
    stream.seek(-1, os.SEEK_END)
    if stream.read(1) != b"\n" and not packed:
        stream.write(b"\n")
