"""A file or a pipe as blocks of bytes, unpacked where it is gzip.

Does not split lines. Reports how far it is, whether a read would wait, and, where a packed file breaks
off, at which byte, after all bytes that could be unpacked were returned.
"""

import io
import os
import select
import stat
import sys
import zlib
from typing import BinaryIO, Final, Protocol

from stream_rec.errors import SettingsError, TransportError
from stream_rec.transport.records import Progress

__all__ = ["ByteStream", "open_bytes"]

# Large enough that the calls do not count, small enough to stay in the cache.
_BLOCK_BYTES: Final = 1 << 18
# A block of zeros unpacks to a thousand times its size: bounded, so that memory is.
_UNPACKED_BYTES: Final = 1 << 20
_GZIP_MAGIC: Final = b"\x1f\x8b"
# How long a waiting reader waits at a time, so that its caller can stop or flush.
_TICK_S: Final = 0.2


class ByteStream:
    """The bytes of *stream* in blocks; *name* is for messages."""

    def __init__(self, stream: BinaryIO, name: str, *, owned: bool = True) -> None:
        self.name = name
        self._stream = stream
        self._owned = owned
        self._packed_read = 0
        self._total = _size(stream)
        self._waits = _may_wait(stream)
        self._unpacker: _Gunzip | None = None
        self._started = False
        self._pushed_back = b""
        # A buffered stream's read() waits until it has all bytes requested; read1() does not.
        self._read_some: _Read = getattr(stream, "read1", stream.read)

    def read(self) -> bytes:
        """The next block, as soon as there is one; `b""` at the end."""
        if self._pushed_back:
            block, self._pushed_back = self._pushed_back, b""
            return block
        if self._unpacker is not None:
            return self._unpacker.read()
        block = self._read_raw()
        if not self._started and block:
            self._started = True
            if block.startswith(_GZIP_MAGIC):
                self._unpacker = _Gunzip(self.name, block, self._read_raw)
                return self._unpacker.read()
        return block

    def push_back(self, block: bytes) -> None:
        """Have the next `read` return *block* again."""
        self._pushed_back = block + self._pushed_back

    def ready(self, *, wait: bool) -> bool:
        """Whether a read would return at once (bytes, or the end); with *wait*, waits for a moment."""
        if not self._waits or self._pushed_back:
            return True
        if self._unpacker is not None and self._unpacker.holds_more:
            return True
        try:
            readable, _, _ = select.select([self._stream], [], [], _TICK_S if wait else 0)
        except (OSError, ValueError):  # the system cannot watch it: report that once, then wait
            return wait
        return bool(readable)

    def seekable(self) -> BinaryIO | None:
        """The file itself, where one can go to any place in it."""
        return self._stream if self._total is not None else None

    @property
    def progress(self) -> Progress:
        """In bytes as they are stored, packed or not."""
        return Progress(self._packed_read, self._total)

    def close(self) -> None:
        """Close the file; standard input stays open."""
        if self._owned:
            self._stream.close()

    def _read_raw(self) -> bytes:
        try:
            block = self._read_some(_BLOCK_BYTES)
        except (OSError, ValueError) as error:
            raise TransportError(f"{self.name}: cannot be read beyond byte {self._packed_read}: {error}") from error
        self._packed_read += len(block)
        return block


class _Read(Protocol):
    def __call__(self, size: int, /) -> bytes: ...


class _ReadAll(Protocol):
    def __call__(self) -> bytes: ...


class _Gunzip:
    """Unpacks one gzip member after another, from *first* and the blocks that *read* returns."""

    def __init__(self, name: str, first: bytes, read: _ReadAll) -> None:
        self._name = name
        self._read = read
        self._packed = first
        self._place = 0
        self._zlib = zlib.decompressobj(wbits=31)
        self._broken = False

    @property
    def holds_more(self) -> bool:
        """Whether there is something to unpack without reading first."""
        return bool(self._packed)

    def read(self) -> bytes:
        """The next unpacked block, `b""` at the end. Raises TransportError where it breaks off."""
        while True:
            if self._broken:
                raise self._error("is damaged")
            if self._zlib.eof:
                if not self._start_member():
                    return b""
            elif not self._packed:
                self._packed = self._read()
                if not self._packed:
                    raise self._error("is cut off")
            block = self._unpack()
            if block:
                return block

    def _start_member(self) -> bool:
        # Files that were padded (tapes, block devices) end in zeros.
        while not (rest := self._packed.lstrip(b"\0")):
            self._place += len(self._packed)
            self._packed = self._read()
            if not self._packed:
                return False
        self._place += len(self._packed) - len(rest)
        self._packed = rest
        self._zlib = zlib.decompressobj(wbits=31)
        return True

    def _unpack(self) -> bytes:
        before = self._zlib.copy()
        try:
            block = self._zlib.decompress(self._packed, _UNPACKED_BYTES)
        except zlib.error:
            self._broken = True
            return self._salvage(before)
        left = self._zlib.unused_data if self._zlib.eof else self._zlib.unconsumed_tail
        self._place += len(self._packed) - len(left)
        self._packed = left
        return block

    def _salvage(self, unpacker: "zlib._Decompress") -> bytes:
        """The bytes that can be unpacked before the damage: the failed call has dropped them."""
        blocks = []
        for i in range(len(self._packed)):
            try:
                blocks.append(unpacker.decompress(self._packed[i : i + 1]))
            except zlib.error:
                break
            self._place += 1
        return b"".join(blocks)

    def _error(self, what: str) -> TransportError:
        return TransportError(
            f"{self._name}: the gzip file {what} at byte {self._place}: restore or recompress it, "
            "or unpack what is whole with `gzip -dc`, and read that"
        )


def open_bytes(spec: str, key: str) -> ByteStream:
    """The file at the path *spec*, or standard input for `-`.

    Raises SettingsError for the setting *key* where it cannot be opened.
    """
    if spec == "-":
        stream = sys.stdin.buffer
        return ByteStream(getattr(stream, "raw", stream), "stdin", owned=False)
    try:
        return ByteStream(open(spec, "rb", buffering=0), spec)  # noqa: PTH123 (raw)
    except OSError as error:
        raise SettingsError(key, f"cannot read {spec!r}: {error.strerror}") from error


def _size(stream: BinaryIO) -> int | None:
    try:
        status = os.fstat(stream.fileno())
    except (OSError, io.UnsupportedOperation, AttributeError):
        return None
    return status.st_size if stat.S_ISREG(status.st_mode) else None


def _may_wait(stream: BinaryIO) -> bool:
    """Pipes and terminals do; files do not, nor do streams without a file descriptor."""
    try:
        return not stat.S_ISREG(os.fstat(stream.fileno()).st_mode)
    except (OSError, io.UnsupportedOperation, AttributeError):
        return False
