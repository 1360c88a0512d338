"""A folder of snapshots: one writer, the newest few kept, each written atomically.

Files are named by a number that only grows, so that names sort by age without any clock.
"""

import fcntl
import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Final, Self

from stream_rec import private_files
from stream_rec.core.engine_state import EngineSnapshot
from stream_rec.errors import SettingsError, SnapshotError, may_pass
from stream_rec.snapshot.columns import DTYPES
from stream_rec.snapshot.file import (
    TEMPORARY,
    About,
    OffsetsByTopic,
    Snapshot,
    nothing,
    read,
    read_header,
    refused,
    replace,
    sync_folder,
)

__all__ = ["STEPS", "Claim", "claim", "newest_valid", "purge_before", "snapshots_in", "write"]

KEEP: Final = 3
NAME: Final = re.compile(r"snapshot-(\d{12,})\.srs")
STEPS: Final = ("open", "header", *(f"write {name}" for name in DTYPES), "checksum", "sync", "rename", "prune")
"""The steps of `write`; a test can crash it at each."""


# --- writing


def write(  # noqa: PLR0913  # a state, its description, and callbacks
    folder: Path,
    state: EngineSnapshot,
    *,
    created_at: int | None,
    fingerprint: Mapping[str, object],
    offsets: OffsetsByTopic | None = None,
    keep: int = KEEP,
    notes: bytes = b"",
    step: Callable[[str], None] = nothing,
    yield_cpu: Callable[[], None] = nothing,
) -> Path:
    """Write *state* as the newest snapshot of *folder*, and keep the newest *keep*; return its path.

    *created_at* is the present time in ms, *offsets* the first record of each partition that the state has not seen;
    *notes* are stored beside the state, as `read(path).header.notes`.
    May run beside the engine's thread: it holds the interpreter's lock for about a millisecond at a time, and calls
    *yield_cpu* in between, which may sleep. *step* is called before each of STEPS. Only one process may write to a
    folder, see `claim`.

    Raises SnapshotError if the system refuses; the folder then has the same snapshots as before.
    """
    folder = Path(folder)
    path = folder / _next_name(folder)
    replace(path, state, About(created_at, {} if offsets is None else offsets, fingerprint, notes), step, yield_cpu)
    step("prune")
    _remove(folder, snapshots_in(folder)[:-keep])
    return path


def _next_name(folder: Path) -> str:
    there = snapshots_in(folder)
    number = 1 + (_number(there[-1]) if there else 0)
    return f"snapshot-{number:012d}.srs"


def _number(path: Path) -> int:
    match = NAME.fullmatch(path.name)
    return int(match[1]) if match else 0


def _remove(folder: Path, snapshots: list[Path]) -> None:
    """Remove *snapshots*, and half-written files of a crash."""
    try:
        for path in [*snapshots, *folder.glob(f"snapshot-*{TEMPORARY}")]:
            path.unlink(missing_ok=True)
        sync_folder(folder)
    except OSError as error:
        raise SnapshotError(refused(folder, "cleared of older snapshots", error)) from error


def purge_before(folder: Path, path: Path) -> list[Path]:
    """Remove all snapshots older than *path*, and half-written files; return the snapshots removed.

    Forgotten sessions must not come back from a file: call this with the first snapshot written after a forget.
    Raises SnapshotError if the system refuses.
    """
    folder = Path(folder)
    older = [other for other in snapshots_in(folder) if _number(other) < _number(Path(path))]
    _remove(folder, older)
    return older


# --- reading


def snapshots_in(folder: Path) -> list[Path]:
    """Return the snapshots of *folder*, the newest last; none if the folder does not exist.

    Raises SnapshotError if the system refuses.
    """
    try:
        found = [path for path in Path(folder).iterdir() if NAME.fullmatch(path.name)]
    except FileNotFoundError:
        return []
    except OSError as error:
        raise SnapshotError(refused(Path(folder), "listed", error)) from error
    return sorted(found, key=_number)


def newest_valid(
    folder: Path,
    fingerprint: Mapping[str, object],
    at_most: OffsetsByTopic | None = None,
    warn: Callable[[str], None] = nothing,
) -> Snapshot | None:
    """Return the newest usable snapshot, None if there is none.

    A usable one is valid, was written under the rules of *fingerprint*, and is in no partition ahead of *at_most*, if
    that is given; a partition missing there counts as 0. *warn* is called with the reason for each snapshot skipped.
    """
    for path in reversed(snapshots_in(folder)):
        try:
            if at_most is not None:
                _refuse_ahead(path, read_header(path).offsets, at_most)
            return read(path, fingerprint)
        except SnapshotError as error:
            warn(f"skipped {error}")
    return None


def _refuse_ahead(path: Path, seen: OffsetsByTopic, at_most: OffsetsByTopic) -> None:
    ahead = [
        f"{topic}-{partition} at {offset}, not {at_most.get(topic, {}).get(partition, 0)}"
        for topic, of_topic in sorted(seen.items())
        for partition, offset in sorted(of_topic.items())
        if offset > at_most.get(topic, {}).get(partition, 0)
    ]
    if ahead:
        raise SnapshotError(
            f"{path}: it is ahead of the committed offsets ({'; '.join(ahead)}); use an older one, or replay the log"
        )


# --- one writer


class Claim:
    """The exclusive right of this process to write to a folder, until it is closed. A context manager."""

    def __init__(self, folder: Path, instance: str, lock: BinaryIO) -> None:
        self.folder = folder
        self.instance = instance
        """The name of the folder's owner, the same at each start."""
        self._lock = lock

    def close(self) -> None:
        """Release the folder. The system also releases it when the process ends."""
        self._lock.close()

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Release the folder."""
        self.close()


def claim(folder: Path, new_instance: str) -> Claim:
    """Claim *folder* for this process, and create it if it is missing.

    The claim's `instance` is read from the folder. If the folder has none yet, *new_instance* is stored there, a name
    that the caller draws at random.

    Raises SettingsError for the key "snapshots" if another process has claimed the folder, or it can never be used.
    Raises SnapshotError where the system refuses for a reason that may pass (a full disk, a folder that is read-only):
    snapshots can be read then, and the claim be tried again.
    """
    folder = Path(folder)
    try:
        private_files.make_folder(folder)
        lock = private_files.appended(folder / "lock")
    except OSError as error:
        raise _unusable(folder, error) from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return Claim(folder, _instance(folder, new_instance), lock)
    except BlockingIOError:
        lock.close()
        message = f"{str(folder)!r} is in use by another process: stop it, or give each process its own folder"
        raise SettingsError("snapshots", message) from None
    except OSError as error:
        lock.close()
        raise _unusable(folder, error) from error


def _unusable(folder: Path, error: OSError) -> SettingsError | SnapshotError:
    if may_pass(error) or (isinstance(error, PermissionError) and _was_used(folder)):
        return SnapshotError(refused(folder, "written to", error))
    message = f"{str(folder)!r} cannot be used: {error.strerror or error}; name a folder that this user may write to"
    return SettingsError("snapshots", message)


def _was_used(folder: Path) -> bool:
    """Whether the folder could be written to once: then its name is no slip."""
    try:
        return (folder / "instance").exists()
    except OSError:
        return False


def _instance(folder: Path, new: str) -> str:
    """Return the name in the file `instance`; write the file atomically if it is missing."""
    path = folder / "instance"
    kept = path.read_text(encoding="utf-8").strip() if path.exists() else ""
    if kept:
        return kept
    temporary = folder / f"instance{TEMPORARY}"
    with private_files.created(temporary) as file:
        file.write(f"{new}\n".encode())
        file.flush()
        os.fsync(file.fileno())
    temporary.rename(path)
    sync_folder(folder)
    return new
