"""An engine saved to a file and loaded again, for programs that keep no log."""

import os
from pathlib import Path
from typing import Any

from stream_rec.core import engine as core
from stream_rec.guard import Engine
from stream_rec.snapshot.file import About, read, replace
from stream_rec.snapshot.fingerprint import fingerprint

__all__ = ["load", "save"]


def save(
    engine: core.Engine, path: str | os.PathLike[str], *, created_at: int | None = None, notes: bytes = b""
) -> None:
    """Write the state of *engine* to *path*, replacing the file atomically.

    The model, the weights of types and the deny list are not saved. *created_at* is the present time in ms, shown by
    `stream-rec snapshot`; *notes* are stored beside the state, as `read(path).header.notes`. Raises SnapshotError if
    the system refuses.
    """
    state = engine.export_state()
    replace(Path(path), state, About(created_at, {}, fingerprint(state.limits, state.session_gap_ms), notes))


def load(path: str | os.PathLike[str], *args: Any, **kwargs: Any) -> Engine:  # noqa: ANN401  # passed on to Engine
    """Return an engine that continues as the one saved to *path* would have.

    Other arguments are passed to `Engine`, such as the model and the deny list. Limits and session gap default to the
    saved engine's, and must equal them. Raises SnapshotError for a file that cannot be used.
    """
    state = read(Path(path)).state
    engine = Engine(*args, **{"limits": state.limits, "session_gap_ms": state.session_gap_ms, **kwargs})
    engine.import_state(state)
    return engine
