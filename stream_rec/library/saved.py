"""A recommender on disk: its engine's state, as a snapshot, and what it was made with, in the snapshot's notes.

Knows nothing of the snapshot's own format.
"""

from collections.abc import Mapping
from os import PathLike
from pathlib import Path

import msgspec

from stream_rec import snapshot
from stream_rec.core.engine import Engine
from stream_rec.core.limits import Limits
from stream_rec.core.model import Model
from stream_rec.errors import SettingsError, SnapshotError

__all__ = ["Made", "read", "write"]


class Made(msgspec.Struct, frozen=True, kw_only=True):
    """What a recommender was made with, and a state does not tell. MessagePack both ways: JSON has no infinity."""

    model: Model
    types: Mapping[str, float] | None
    weights: Mapping[str, float]
    """Of types, those that the log brought included."""
    deny: tuple[str, ...]
    limits: Limits | None
    session_gap_ms: int | None
    left_out: Mapping[str, int]


def write(path: str | PathLike[str], engine: Engine, made: Made) -> None:
    """Write *engine*'s state and *made* to *path*, replacing what is there as a whole. Raises SnapshotError."""
    snapshot.save(engine, path, notes=msgspec.msgpack.encode(made))


def read(path: str | PathLike[str]) -> tuple[Engine, Made]:
    """Return what `write` wrote; the engine is made with the model, weights and deny list of *made*.

    Raises SnapshotError for anything else.
    """
    kept = snapshot.read(Path(path))
    try:
        made = msgspec.msgpack.decode(kept.header.notes, type=Made)
    except (msgspec.MsgspecError, SettingsError) as error:
        told = f"{path}: holds an engine, not a recommender ({error}); stream_rec.snapshot.load reads the engine"
        raise SnapshotError(told) from error
    engine = Engine(
        made.model,
        limits=kept.state.limits,
        type_weights=made.weights,
        deny=made.deny,
        session_gap_ms=kept.state.session_gap_ms,
    )
    engine.import_state(kept.state)
    return engine, made
