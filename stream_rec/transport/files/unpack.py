"""Packed bytes -> bytes: gzip, zstd, bzip2, xz, LZ4, Snappy and zip, by their first bytes.

Does not know what the bytes mean, nor where they come from. A packed file may be several packed files one after
another. Where one breaks off or is damaged, all that could be unpacked before it was returned first: of gzip to the
byte, of the others to the block.
"""

import bz2
import lzma
import struct
import sys
import tempfile
import zipfile
import zlib
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import PurePosixPath
from typing import IO, Any, Final, NamedTuple, Protocol

from stream_rec.errors import SettingsError, TransportError

__all__ = ["Unpacker", "is_undecided", "unpacker"]

_UNPACKED_BYTES: Final = 1 << 20
"""A block of zeros unpacks to a thousand times its size: bounded, so that memory is."""
_ZSTD_LEAST_BYTES: Final = 1 << 6
_ZSTD_MOST_BYTES: Final = 1 << 12
"""How much zstandard gets at a time: it has no bound of what it returns, and four bytes may be 128 KiB."""
_ZIP_MAGICS: Final = (b"PK\x03\x04", b"PK\x05\x06")
_HIDDEN: Final = ("__MACOSX/", ".")


class ReadBlock(Protocol):
    """Return the next block of packed bytes, empty at the end."""

    def __call__(self) -> bytes: ...


class Unpacker(Protocol):
    """Hands out what is packed."""

    @property
    def holds_more(self) -> bool:
        """Whether there is something to unpack without reading first."""

    def read(self) -> bytes:
        """Return the next unpacked block, empty at the end. Raises TransportError where it breaks off."""

    def close(self) -> None:
        """Close what it has opened itself."""


def is_undecided(head: bytes) -> bool:
    """Return whether *head* is too short to say how, and whether, the file is packed."""
    magics = [*_ZIP_MAGICS, *(magic for codec in _CODECS for magic in codec.magics)]
    return any(len(head) < len(magic) and magic.startswith(head) for magic in magics)


def unpacker(name: str, key: str, first: bytes, read: ReadBlock, seekable: IO[bytes] | None) -> Unpacker | None:
    """Return what unpacks the file *name*, which begins with *first* and goes on with what *read* returns.

    None if it is not packed. *seekable* is the file itself, where it can be read at any place. Raises SettingsError for
    the setting *key* where it cannot be unpacked: a zip of several files, an Excel workbook, a codec that is not
    installed.
    """
    if first.startswith(_ZIP_MAGICS):
        return _Unzip(name, key, first, read, seekable)
    for codec in _CODECS:
        if first.startswith(codec.magics):
            return _members(name, key, codec, first, read)
    return None


class _Decoder(Protocol):
    """Unpacks one member."""

    @property
    def eof(self) -> bool:
        """Whether the member has ended."""

    @property
    def may_end(self) -> bool:
        """Whether the file may end here, though the member has no end of its own."""

    @property
    def needs_input(self) -> bool:
        """Whether nothing can be unpacked before more is read."""

    def unpack(self, packed: bytes) -> tuple[bytes, bytes]:
        """Return what was unpacked, and which of the *packed* bytes are left. Raises one of the codec's errors."""


class _Codec(NamedTuple):
    name: str
    magics: tuple[bytes, ...]
    new: Callable[[], _Decoder]
    command: str
    errors: tuple[type[Exception], ...]


def _members(name: str, key: str, codec: _Codec, first: bytes, read: ReadBlock) -> Unpacker:
    try:
        return _Members(name, codec, first, read)
    except ImportError as error:
        raise SettingsError(
            key,
            f"{name} is packed with {codec.name}, and {error.name} is not installed: pip install 'stream-rec[codecs]', "
            f"or unpack it with `{codec.command}`",
        ) from None


class _Members:
    """Unpacks one member after another, from *first* and the blocks that *read* returns."""

    def __init__(self, name: str, codec: _Codec, first: bytes, read: ReadBlock) -> None:
        self._name = name
        self._codec = codec
        self._read = read
        self._packed = first
        self._place = 0
        self._decoder = codec.new()
        self._broken = False

    @property
    def holds_more(self) -> bool:
        """Whether there is something to unpack without reading first."""
        return bool(self._packed) or not (self._decoder.eof or self._decoder.needs_input)

    def read(self) -> bytes:
        """Return the next unpacked block, empty at the end. Raises TransportError where it breaks off."""
        while True:
            if self._broken:
                raise self._error("is damaged")
            if self._decoder.eof:
                if not self._start_member():
                    return b""
            elif not self._packed and self._decoder.needs_input:
                self._packed = self._read()
                if not self._packed:
                    if self._decoder.may_end:
                        return b""
                    raise self._error("is cut off")
            block = self._unpack()
            if block:
                return block

    def close(self) -> None:
        """Do nothing: it has opened nothing."""

    def _start_member(self) -> bool:
        # Files that were padded (tapes, block devices) end in zeros.
        while not (rest := self._packed.lstrip(b"\0")):
            self._place += len(self._packed)
            self._packed = self._read()
            if not self._packed:
                return False
        self._place += len(self._packed) - len(rest)
        self._packed = rest
        self._decoder = self._codec.new()
        return True

    def _unpack(self) -> bytes:
        try:
            block, left = self._decoder.unpack(self._packed)
        except _DamagedError as damage:
            self._broken = True
            self._place += damage.n_good
            return damage.block
        except self._codec.errors:
            self._broken = True
            return b""
        self._place += len(self._packed) - len(left)
        self._packed = left
        return block

    def _error(self, what: str) -> TransportError:
        return TransportError(
            f"{self._name}: the {self._codec.name} file {what} at byte {self._place}: restore or recompress it, "
            f"or unpack what is whole with `{self._codec.command}`, and read that"
        )


class _DamagedError(Exception):
    """What could be unpacked before the damage, from how many packed bytes."""

    def __init__(self, block: bytes, n_good: int) -> None:
        super().__init__()
        self.block = block
        self.n_good = n_good


class _Gunzip:
    may_end = False
    needs_input = True

    def __init__(self) -> None:
        self._zlib = zlib.decompressobj(wbits=31)

    @property
    def eof(self) -> bool:
        return self._zlib.eof

    def unpack(self, packed: bytes) -> tuple[bytes, bytes]:
        before = self._zlib.copy()
        try:
            block = self._zlib.decompress(packed, _UNPACKED_BYTES)
        except zlib.error:
            raise _salvage(before, packed) from None
        return block, self._zlib.unused_data if self._zlib.eof else self._zlib.unconsumed_tail


def _salvage(decoder: "zlib._Decompress", packed: bytes) -> _DamagedError:
    """Return the bytes that can be unpacked before the damage: the failed call has dropped them."""
    blocks: list[bytes] = []
    for i in range(len(packed)):
        try:
            blocks.append(decoder.decompress(packed[i : i + 1]))
        except zlib.error:
            return _DamagedError(b"".join(blocks), i)
    return _DamagedError(b"".join(blocks), len(packed))


class _Buffering:
    """For decoders of bzip2, xz, LZ4 and (of the standard library) zstd, which keep what they do not return at once."""

    may_end = False

    def __init__(self, decoder: Any) -> None:  # noqa: ANN401 (four libraries, one interface)
        self._decoder = decoder

    @property
    def eof(self) -> bool:
        return bool(self._decoder.eof)

    @property
    def needs_input(self) -> bool:
        return bool(self._decoder.needs_input)

    def unpack(self, packed: bytes) -> tuple[bytes, bytes]:
        now, later = (packed, b"") if self.needs_input else (b"", packed)
        block: bytes = self._decoder.decompress(now, _UNPACKED_BYTES)
        return block, (self._decoder.unused_data or b"") + later if self.eof else later


class _Zstandard:
    """Of zstandard, before Python 3.14."""

    may_end = False
    needs_input = True

    def __init__(self) -> None:
        import zstandard  # noqa: PLC0415 (only for such files)

        self._decoder = zstandard.ZstdDecompressor().decompressobj()
        self._step = _ZSTD_LEAST_BYTES

    @property
    def eof(self) -> bool:
        return bool(self._decoder.eof)

    def unpack(self, packed: bytes) -> tuple[bytes, bytes]:
        now, later = packed[: self._step], packed[self._step :]
        block: bytes = self._decoder.decompress(now)
        self._step = _ZSTD_LEAST_BYTES if len(block) > _UNPACKED_BYTES else min(2 * self._step, _ZSTD_MOST_BYTES)
        return block, self._decoder.unused_data + later if self.eof else later


class _Snappy:
    """The framing format, which has no end: a file may end after any chunk."""

    eof = False
    needs_input = True

    def __init__(self) -> None:
        import snappy  # noqa: PLC0415 (only for such files)

        self._decoder = snappy.StreamDecompressor()

    @property
    def may_end(self) -> bool:
        return not self._decoder.remains

    def unpack(self, packed: bytes) -> tuple[bytes, bytes]:
        return self._decoder.decompress(packed), b""


def _zstd() -> _Decoder:
    if sys.version_info >= (3, 14):
        from compression import zstd  # noqa: PLC0415 (only for such files)

        return _Buffering(zstd.ZstdDecompressor())
    return _Zstandard()


def _lz4() -> _Decoder:
    from lz4 import frame  # noqa: PLC0415 (only for such files)

    return _Buffering(frame.LZ4FrameDecompressor())


def _bzip2() -> _Decoder:
    return _Buffering(bz2.BZ2Decompressor())


def _xz() -> _Decoder:
    return _Buffering(lzma.LZMADecompressor(lzma.FORMAT_XZ))


_SKIPPED: Final = tuple(bytes([first]) + b"\x2a\x4d\x18" for first in range(0x50, 0x60))
"""What a zstd frame begins with that holds no data; parallel compressors write one first."""

# Any error of theirs says that the bytes are wrong: they do nothing else. zstandard's and snappy's have no other base.
_CODECS: Final = (
    _Codec("gzip", (b"\x1f\x8b",), _Gunzip, "gzip -dc", (zlib.error,)),
    _Codec("zstd", (b"\x28\xb5\x2f\xfd", *_SKIPPED), _zstd, "zstd -dc", (Exception,)),
    _Codec("LZ4", (b"\x04\x22\x4d\x18",), _lz4, "lz4 -dc", (RuntimeError,)),
    _Codec("bzip2", (b"BZh",), _bzip2, "bzip2 -dc", (OSError, ValueError)),
    _Codec("xz", (b"\xfd7zXZ\x00",), _xz, "xz -dc", (lzma.LZMAError,)),
    _Codec("Snappy", (b"\xff\x06\x00\x00sNaPpY",), _Snappy, "python -m snappy -d", (Exception,)),
)


# --- zip


# Among them: RuntimeError, it has a password; OSError and ValueError, a place or a name in it cannot be one.
_BAD_ZIP: Final = (
    zipfile.BadZipFile,
    EOFError,
    NotImplementedError,
    OSError,
    RuntimeError,
    ValueError,
    struct.error,
    lzma.LZMAError,
    zlib.error,
)


class _Unzip:
    """Unpacks the only file of a zip, which is read from its end: a pipe is copied first."""

    holds_more = True

    def __init__(self, name: str, key: str, first: bytes, read: ReadBlock, seekable: IO[bytes] | None) -> None:
        self._name = name
        self._opened = ExitStack()
        try:
            file = self._copied(first, read) if seekable is None else seekable
            archive = self._opened.enter_context(zipfile.ZipFile(file))
            self._member = self._opened.enter_context(archive.open(_only_member(archive, name, key)))
        except _BAD_ZIP as error:
            self.close()
            raise SettingsError(key, f"{name} is a zip that cannot be unpacked: {error}") from error
        except SettingsError:
            self.close()
            raise

    def read(self) -> bytes:
        """Return the next unpacked block, empty at the end. Raises TransportError where it breaks off."""
        try:
            return self._member.read(_UNPACKED_BYTES)
        except _BAD_ZIP as error:
            raise TransportError(f"{self._name}: the zip is damaged: {error}: restore or repack it") from error

    def close(self) -> None:
        """Close the archive, and the copy of a pipe; the file itself stays open."""
        self._opened.close()

    def _copied(self, first: bytes, read: ReadBlock) -> IO[bytes]:
        copy = self._opened.enter_context(tempfile.TemporaryFile())  # noqa: SIM115 (`close` closes it)
        copy.write(first)
        while block := read():
            copy.write(block)
        return copy


def _only_member(archive: zipfile.ZipFile, name: str, key: str) -> str:
    """Return the name of the one file in *archive*. Raises SettingsError."""
    names = [each for each in archive.namelist() if not each.endswith("/")]
    if "[Content_Types].xml" in names or "mimetype" in names:
        kind = "an Excel workbook" if any(each.startswith("xl/") for each in names) else "an office document"
        raise SettingsError(key, f"{name} is {kind}: save its sheet as CSV (UTF-8), and name that file")
    data = [each for each in names if not each.startswith(_HIDDEN) and not PurePosixPath(each).name.startswith(".")]
    if len(data) != 1:
        found = f"{len(data)} files ({', '.join(data[:3])}{', ...' if data[3:] else ''})" if data else "no file"
        raise SettingsError(key, f"{name} is a zip with {found}: unpack it into a folder, and name that folder")
    return data[0]
