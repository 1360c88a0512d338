"""A file or a pipe as blocks of bytes, unpacked and in UTF-8, however it is stored.

Does not split lines. Reports how far it is, and whether a read would wait.
"""

import io
import os
import re
import select
import stat
import sys
from pathlib import Path, PurePath
from typing import BinaryIO, Final, Protocol

from stream_rec.errors import SettingsError, TransportError
from stream_rec.transport.files.encoding import Recoder, recoder
from stream_rec.transport.files.remote import RemoteFile, is_remote, name_in, open_remote
from stream_rec.transport.files.unpack import Unpacker, is_undecided, unpacker
from stream_rec.transport.records import Progress

__all__ = ["ByteStream", "open_bytes"]

# Large enough that the calls do not count, small enough to stay in the cache.
_BLOCK_BYTES: Final = 1 << 18
# How long a waiting reader waits at a time, so that its caller can stop or flush.
_TICK_S: Final = 0.2
# What looks like a topic's address without its `kafka://`.
_BROKER_AND_TOPIC: Final = re.compile(r"[^/\s]+:\d+/[^/\s]+")


class ByteStream:
    """The bytes of *stream* in blocks; *name* is for messages, and *key* the setting that names the file.

    *remote* says what is known of a file of elsewhere.

    Text is returned in UTF-8, whatever its *encoding*; None recognises UTF-16 and UTF-32, and leaves all else as it is.
    """

    def __init__(
        self,
        stream: BinaryIO,
        name: str,
        *,
        owned: bool = True,
        key: str = "events",
        encoding: str | None = None,
        topic: str | None = None,
        remote: RemoteFile | None = None,
    ) -> None:
        self.name = name
        self.topic = PurePath(name).name if topic is None else topic
        """What offsets call it: the name without the folder, unless it is given."""
        self.key = key
        self._stream = stream
        self._owned = owned
        self._packed_read = 0
        self._shown = 0
        """How much of it was handed out; the rest is pushed back."""
        self._total = _size(stream) if remote is None else remote.size
        self._is_seekable = self._total is not None if remote is None else remote.is_seekable
        self._waits = _may_wait(stream)
        self._unpacker: Unpacker | None = None
        self._encoding = encoding
        self._recoder: Recoder | None = None
        self._started = False
        self._pushed_back = b""
        # A buffered stream's read() waits until it has all bytes requested; read1() does not.
        self._read_some: _Read = getattr(stream, "read1", stream.read)

    def read(self) -> bytes:
        """The next block, as soon as there is one; `b""` at the end."""
        if self._pushed_back:
            block, self._pushed_back = self._pushed_back, b""
        elif not self._started:
            self._started = True
            block = self._first()
        else:
            block = self._next() if self._recoder is None else self._recoder.read()
        self._shown = self._packed_read
        return block

    def peek(self) -> bytes:
        """The block that the next `read` returns."""
        shown = self._shown
        block = self.read()
        self.push_back(block)
        self._shown = shown
        return block

    def _first(self) -> bytes:
        block = self._read_raw()
        while is_undecided(block) and (more := self._read_raw()):
            block += more
        self._unpacker = unpacker(self.name, self.key, block, self._read_raw, self._file())
        if self._unpacker is not None:
            block = self._unpacker.read()
        self._recoder = recoder(self._encoding, block, self._next)
        return block if self._recoder is None else self._recoder.read()

    def _next(self) -> bytes:
        return self._read_raw() if self._unpacker is None else self._unpacker.read()

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
        """The file itself, from its first byte, where one can go to any place in it, and it is not packed."""
        self.peek()
        file = None if self._unpacker is not None else self._file()
        if file is not None:
            file.seek(0)
        return file

    @property
    def may_wait(self) -> bool:
        """Whether a read may wait for another program."""
        return self._waits

    @property
    def is_recoded(self) -> bool:
        """Whether its text is in another encoding than UTF-8; known after the first `peek`."""
        return self._recoder is not None

    @property
    def is_at_rest(self) -> bool:
        """Whether it is a file, not a pipe or standard input."""
        return self._owned and not self._waits

    @property
    def progress(self) -> Progress:
        """In bytes as they are stored, packed or not."""
        return Progress(self._shown, self._total)

    def close(self) -> None:
        """Close the file; standard input stays open."""
        if self._unpacker is not None:
            self._unpacker.close()
        if self._owned:
            self._stream.close()

    def _file(self) -> BinaryIO | None:
        return self._stream if self._is_seekable else None

    def _read_raw(self) -> bytes:
        try:
            block = self._read_some(_BLOCK_BYTES)
        except (OSError, ValueError) as error:
            raise TransportError(f"{self.name}: cannot be read beyond byte {self._packed_read}: {error}") from error
        self._packed_read += len(block)
        return block


class _Read(Protocol):
    def __call__(self, size: int, /) -> bytes: ...


def open_bytes(spec: str, key: str, encoding: str | None = None, topic: str | None = None) -> ByteStream:
    """The file at the path or address *spec*, or standard input for `-`, in *encoding*; *topic* names it in offsets.

    Raises SettingsError for the setting *key* where it cannot be opened.
    """
    if spec == "-":
        stream = sys.stdin.buffer
        return ByteStream(getattr(stream, "raw", stream), "stdin", owned=False, key=key, encoding=encoding)
    if is_remote(spec):
        remote = open_remote(spec, key)
        topic = name_in(spec) if topic is None else topic
        return ByteStream(remote.file, spec, key=key, encoding=encoding, topic=topic, remote=remote)
    try:
        file = open(spec, "rb", buffering=0)  # noqa: PTH123, SIM115 (raw; the stream closes it)
    except OSError as error:
        hint = f"; a topic is written kafka://{spec}" if _BROKER_AND_TOPIC.fullmatch(spec) else ""
        if key == "events" and "," in spec and Path(spec.partition(",")[0]).exists():
            hint = "; each of several files takes an --events of its own"
        raise SettingsError(key, f"cannot read {spec!r}: {error.strerror}{hint}") from error
    return ByteStream(file, spec, key=key, encoding=encoding, topic=topic)


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
