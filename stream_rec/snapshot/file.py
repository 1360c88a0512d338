"""The bytes of one snapshot: a prefix, a header in JSON, the columns, a checksum of everything.

    magic          8 bytes
    version        4 bytes, little-endian, as is the next
    header length  4 bytes
    checksum       16 bytes, XXH3-128 of the header
    header         JSON, see `Header`; lists each column with its type, shape, size and checksum
    columns        in the header's order
    checksum       16 bytes, XXH3-128 of everything before it

Reading uses no byte before its checksum agrees. Knows nothing of folders.
"""

import math
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from struct import Struct
from typing import Annotated, Any, BinaryIO, Final, NamedTuple, NoReturn

import msgspec
import numpy as np
import numpy.typing as npt
from xxhash import xxh3_128

from stream_rec import private_files
from stream_rec._version import __version__
from stream_rec.core.bounds import FARTHEST_MS, Duration
from stream_rec.core.engine_state import EngineSnapshot, differences
from stream_rec.core.limits import Limits
from stream_rec.core.shown import ShownRules
from stream_rec.errors import SettingsError, SnapshotError
from stream_rec.snapshot.columns import (
    VERSION,
    WIDTHS,
    Buffer,
    Facts,
    FileColumn,
    columns_of,
    dtypes_of,
    facts_of,
    state_of,
)
from stream_rec.snapshot.fingerprint import hash_of, plain

__all__ = [
    "TEMPORARY",
    "About",
    "Header",
    "OffsetsByTopic",
    "Snapshot",
    "nothing",
    "read",
    "read_header",
    "refused",
    "replace",
    "sync_folder",
    "verify",
]

MAGIC: Final = b"\x89SRSNAP\n"  # no text begins with this first byte
PREFIX: Final = Struct("<8sII16s")
CHECKSUM: Final = 16
TEMPORARY: Final = ".part"
MOST_HEADER: Final = 64 << 20  # room for the offsets of a million partitions
AT_ONCE: Final = 1 << 20  # bytes written or hashed at a time, in well under a millisecond

OffsetsByTopic = Mapping[str, Mapping[int, int]]
# All numbers fit into 64 bits, as those of a state do.
NonNegativeInt = Annotated[int, msgspec.Meta(ge=0, le=(1 << 63) - 1)]
TimeMs = Annotated[int, msgspec.Meta(ge=-FARTHEST_MS, le=FARTHEST_MS)]


class Section(msgspec.Struct, frozen=True):
    """A column of the file."""

    name: str
    dtype: str
    shape: tuple[NonNegativeInt, ...]
    n_bytes: NonNegativeInt
    checksum: str


class Header(msgspec.Struct, frozen=True, kw_only=True):
    """The description of a snapshot, stored in the file."""

    stream_rec: str
    """Version of stream-rec that wrote it."""
    created_at: TimeMs | None
    """Time of writing in ms since 1970, if the caller passed one."""
    offsets: dict[str, dict[NonNegativeInt, NonNegativeInt]]
    """By topic and partition, the offset of the first record that the state has not seen."""
    fingerprint: dict[str, Any]
    fingerprint_hash: str
    limits: Limits
    session_gap_ms: Duration | None
    watermark: TimeMs | None
    n_evicted: NonNegativeInt
    spans_watermark: TimeMs | None
    shown_rules: ShownRules | None = None
    learns: bool = False
    counts: dict[str, NonNegativeInt]
    sections: tuple[Section, ...]
    notes: bytes = b""
    """Bytes that the caller stores beside the state, in its own format."""

    @property
    def n_bytes(self) -> int:
        """Size of the columns."""
        return sum(section.n_bytes for section in self.sections)


class About(NamedTuple):
    """What the caller knows of a state."""

    created_at: int | None
    offsets: OffsetsByTopic
    fingerprint: Mapping[str, object]
    notes: bytes = b""


class Snapshot(NamedTuple):
    """A snapshot that has been read and verified."""

    path: Path
    header: Header
    state: EngineSnapshot


# --- writing


def nothing(*_: str) -> None:
    """Do nothing: the default of callbacks."""


def replace(
    path: Path,
    state: EngineSnapshot,
    about: About,
    step: Callable[[str], None] = nothing,
    yield_cpu: Callable[[], None] = nothing,
) -> None:
    """Write *state* to *path* atomically: on an error, the file is as it was.

    *step* is called before each step, *yield_cpu* between pieces of work. Raises SnapshotError if the system refuses.
    """
    temporary = path.with_suffix(TEMPORARY)  # planted bug: named-before-whole
    try:
        step("open")
        private_files.make_folder(path.parent)
        with private_files.created(temporary) as file:
            _write(file, state, about, step, yield_cpu)
            step("sync")
            file.flush()
            os.fsync(file.fileno())
        step("rename")
        temporary.rename(path)
        sync_folder(path.parent)
    except Exception as error:
        _remove_quietly(temporary)
        if isinstance(error, OSError):
            raise SnapshotError(refused(path, "written", error)) from error
        raise


def refused(path: Path, done: str, error: OSError) -> str:
    """Return a message: what the system refused, and what the operator can do."""
    return (
        f"{path}: cannot be {done}: {error.strerror or error}; free or repair the disk, or name another folder for "
        "snapshots; earlier snapshots are unchanged"
    )


def sync_folder(folder: Path) -> None:
    """Write the names in *folder* to disk, so that they survive a loss of power. Raises OSError."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _remove_quietly(path: Path) -> None:
    """Remove a half-written file; if that fails, the next write removes it."""
    with suppress(OSError):
        path.unlink(missing_ok=True)


def _write(
    file: BinaryIO,
    state: EngineSnapshot,
    about: About,
    step: Callable[[str], None],
    yield_cpu: Callable[[], None],
) -> None:
    columns = list(columns_of(state, yield_cpu))
    header = msgspec.json.encode(_header(state, columns, about))
    whole = xxh3_128()
    step("header")
    _put(file, [PREFIX.pack(MAGIC, VERSION, len(header), xxh3_128(header).digest()), header], whole, yield_cpu)
    for column in columns:
        step(f"write {column.name}")
        _put(file, column.pieces, whole, yield_cpu)
    step("checksum")
    file.write(whole.digest())


def _header(state: EngineSnapshot, columns: list[FileColumn], about: About) -> Header:
    dtypes = dtypes_of(state.shown_rules, learns=state.learned is not None)
    return Header(
        stream_rec=__version__,
        created_at=about.created_at,
        offsets={topic: dict(of_topic) for topic, of_topic in about.offsets.items()},
        fingerprint=plain(about.fingerprint),
        fingerprint_hash=hash_of(about.fingerprint),
        counts=state.counts,
        notes=about.notes,
        sections=tuple(
            Section(
                column.name, dtypes[column.name], column.shape, sum(map(len, column.pieces)), _checksum(column.pieces)
            )
            for column in columns
        ),
        **facts_of(state)._asdict(),
    )


def _checksum(pieces: Iterable[Buffer]) -> str:
    digest = xxh3_128()
    for part in _parts(pieces):
        digest.update(part)
    return digest.hexdigest()


def _parts(pieces: Iterable[Buffer]) -> Iterator[memoryview]:
    for piece in pieces:
        view = memoryview(piece)
        for begin in range(0, len(view), AT_ONCE):
            yield view[begin : begin + AT_ONCE]


def _put(file: BinaryIO, pieces: Iterable[Buffer], whole: xxh3_128, yield_cpu: Callable[[], None]) -> None:
    for part in _parts(pieces):
        whole.update(part)
        file.write(part)
        yield_cpu()


# --- reading


def read(path: Path, fingerprint: Mapping[str, object] | None = None) -> Snapshot:
    """Read and verify a snapshot.

    Raises SnapshotError for a file that is torn, of another version, not a snapshot, or written under other rules than
    those of *fingerprint*, if it is given. The error says which, what differs and what to do.
    """
    with _opened(path) as file:
        header, whole = _header_of(path, file)
        if fingerprint is not None:
            _refuse_foreign(path, header, fingerprint)
        columns = {section.name: _column(path, file, section, whole) for section in header.sections}
        _end(path, file, whole)
    try:
        state = state_of(columns, Facts(*(getattr(header, name) for name in Facts._fields)))
    except (ValueError, IndexError) as error:
        _refuse(path, f"its columns contradict each other ({error})")
    return Snapshot(path, header, state)


def read_header(path: Path) -> Header:
    """Read and verify the header of a snapshot, and nothing else. Raises SnapshotError."""
    with _opened(path) as file:
        return _header_of(path, file)[0]


def verify(path: Path) -> Header:
    """Read all of a snapshot in pieces, and compare every checksum. Raises SnapshotError as `read` does."""
    with _opened(path) as file:
        header, whole = _header_of(path, file)
        for section in header.sections:
            _verify_column(path, file, section, whole)
        _end(path, file, whole)
    return header


@contextmanager
def _opened(path: Path) -> Iterator[BinaryIO]:
    """Open a file to read; an OSError becomes a SnapshotError."""
    try:
        with path.open("rb") as file:
            yield file
    except OSError as error:
        message = f"{path}: cannot be read: {error.strerror or error}; repair that, or replay the log"
        raise SnapshotError(message) from error


def _refuse(path: Path, what: str) -> NoReturn:
    raise SnapshotError(f"{path}: {what}; remove it, and use an older snapshot or replay the log")


def _header_of(path: Path, file: BinaryIO) -> tuple[Header, xxh3_128]:
    """Return the verified header, and the checksum of the file so far."""
    size = os.fstat(file.fileno()).st_size
    prefix = file.read(PREFIX.size)
    if not prefix.startswith(MAGIC[: len(prefix)]) or not prefix:
        _refuse(path, "not a snapshot: it begins with other bytes" if prefix else "torn: it is empty")
    if len(prefix) < PREFIX.size:
        _refuse(path, f"torn: it ends after {size} bytes")
    _, version, length, checksum = PREFIX.unpack(prefix)
    if version != VERSION:
        _refuse(path, f"format version {version}, but this program reads version {VERSION}")
    if length > MOST_HEADER or PREFIX.size + length + CHECKSUM > size:
        _refuse(path, f"torn: it ends within its header, after {size} bytes")
    text = file.read(length)
    if xxh3_128(text).digest() != checksum:
        _refuse(path, "torn: the checksum of its header differs")
    header = _decoded(path, text)
    expected = PREFIX.size + length + header.n_bytes + CHECKSUM
    if expected != size:
        _refuse(path, f"torn: it has {size} bytes, but should have {expected}")
    whole = xxh3_128(prefix)
    whole.update(text)
    return header, whole


def _decoded(path: Path, text: bytes) -> Header:
    try:
        header = msgspec.json.decode(text, type=Header)
    except (msgspec.MsgspecError, SettingsError) as error:
        _refuse(path, f"written by another program: its header is not as expected ({error})")
    dtypes = dtypes_of(header.shown_rules, learns=header.learns)
    if [(section.name, section.dtype) for section in header.sections] != list(dtypes.items()):
        _refuse(path, f"written by another program, stream-rec {header.stream_rec}: it has other columns")
    if not {"sessions", "events"} <= header.counts.keys():
        _refuse(path, f"written by another program, stream-rec {header.stream_rec}: it does not count its sessions")
    return header


def _refuse_foreign(path: Path, header: Header, fingerprint: Mapping[str, object]) -> None:
    if header.fingerprint_hash != hash_of(fingerprint):
        other = "; ".join(differences(header.fingerprint, plain(fingerprint)))
        message = f"{path}: written under other settings ({other}): set them as they were, or replay the log"
        raise SnapshotError(message)


def _column(path: Path, file: BinaryIO, section: Section, whole: xxh3_128) -> npt.NDArray[Any]:
    content = np.empty(section.n_bytes, np.uint8)
    digest, at = xxh3_128(), 0
    for part in _read_parts(file, section.n_bytes):
        digest.update(part)
        whole.update(part)
        content[at : at + len(part)] = np.frombuffer(part, np.uint8)
        at += len(part)
    _compare(path, section, digest)
    dtype = np.dtype(np.uint8 if section.dtype == "bytes" else section.dtype)
    rows = section.n_bytes // (dtype.itemsize * WIDTHS.get(section.name, 1))
    expected = (rows, WIDTHS[section.name]) if section.name in WIDTHS else (rows,)
    if section.shape != expected or dtype.itemsize * math.prod(expected) != section.n_bytes:
        _refuse(path, f"torn: {section.name} has another size than its shape")
    return content.view(dtype).reshape(section.shape)


def _verify_column(path: Path, file: BinaryIO, section: Section, whole: xxh3_128) -> None:
    digest = xxh3_128()
    for part in _read_parts(file, section.n_bytes):
        digest.update(part)
        whole.update(part)
    _compare(path, section, digest)


def _read_parts(file: BinaryIO, n_bytes: int) -> Iterator[bytes]:
    while n_bytes > 0:
        part = file.read(min(AT_ONCE, n_bytes))
        if not part:
            return
        n_bytes -= len(part)
        yield part


def _compare(path: Path, section: Section, digest: xxh3_128) -> None:
    if digest.hexdigest() != section.checksum:  # planted bug: torn-snapshot
        _refuse(path, f"torn: the checksum of {section.name} differs")


def _end(path: Path, file: BinaryIO, whole: xxh3_128) -> None:
    if file.read(CHECKSUM + 1) != whole.digest():
        _refuse(path, "torn: the checksum at its end differs")
