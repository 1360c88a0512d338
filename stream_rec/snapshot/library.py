"""An engine to a file and back, for programs that keep no log to go on from."""

import os
from pathlib import Path
from typing import Any

from stream_rec.core.engine import Engine
from stream_rec.snapshot.file import About, read, replace
from stream_rec.snapshot.fingerprint import fingerprint

__all__ = ["load", "save"]


def save(engine: Engine, path: str | os.PathLike[str], *, created_at: int | None = None, notes: bytes = b"") -> None:
    """Write all that *engine*'s later answers depend on to *path*, replacing what is there as a whole.

    The model, the weights of types and the deny list are not of it. *created_at* is the present time in ms, if it
    matters to whoever looks at the file; *notes* are kept beside the state, as `read(path).header.notes`. Raises
    SnapshotError if the system refuses.
    """
    state = engine.export_state()
    replace(Path(path), state, About(created_at, {}, fingerprint(state.limits, state.session_gap_ms), notes))


def load(path: str | os.PathLike[str], *args: Any, **kwargs: Any) -> Engine:  # noqa: ANN401  # handed on as they are
    """Return an engine that goes on as the one would have that was saved to *path*.

    What else is given is handed to `Engine`, such as the model and the deny list; limits and session gap are the saved
    engine's unless they are given, and must not differ. Raises SnapshotError for a file that cannot be used.
    """
    state = read(Path(path)).state
    engine = Engine(*args, **{"limits": state.limits, "session_gap_ms": state.session_gap_ms, **kwargs})
    engine.import_state(state)
    return engine
