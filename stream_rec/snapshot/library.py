"""An engine saved to a file and loaded again, for programs that keep no log."""

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TypedDict, Unpack

from stream_rec.core import engine as core
from stream_rec.core.limits import Limits
from stream_rec.core.model import DEFAULT_PRESET, Model, Rules, Trial
from stream_rec.core.shown import ShownRules
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
    replace(
        Path(path),
        state,
        About(created_at, {}, fingerprint(state.limits, state.session_gap_ms, shown=state.shown_rules), notes),
    )


class EngineArguments(TypedDict, total=False):
    """The keyword arguments of `Engine`, which says what each means."""

    limits: Limits | None
    type_weights: Mapping[str, float] | None
    deny: Iterable[str]
    session_gap_ms: int | None
    trials: Sequence[Trial]
    salt: str
    rules: Rules | None
    trending_half_life_ms: int | None
    shown: ShownRules | None


def load(
    path: str | os.PathLike[str], preset: str | Model = DEFAULT_PRESET, **arguments: Unpack[EngineArguments]
) -> Engine:
    """Return an engine that continues as the one saved to *path* would have.

    *preset* and *arguments* are those of `Engine`, such as the model and the deny list. Limits, session gap and what
    counts as shown default to the saved engine's, and must equal them. Raises SnapshotError for a file that cannot be
    used.
    """
    state = read(Path(path)).state
    own: EngineArguments = {
        "limits": state.limits,
        "session_gap_ms": state.session_gap_ms,
        "shown": state.shown_rules,
        **arguments,
    }
    engine = Engine(preset, **own)
    engine.import_state(state)
    return engine
