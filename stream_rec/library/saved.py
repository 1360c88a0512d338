"""A recommender on disk: the state of its engine as a snapshot, and its arguments in the snapshot's notes.

Knows nothing of the snapshot's format.
"""

from collections.abc import Mapping
from os import PathLike
from pathlib import Path

import msgspec

from stream_rec import snapshot
from stream_rec.core.limits import Limits
from stream_rec.core.model import Model
from stream_rec.errors import SettingsError, SnapshotError
from stream_rec.guard import Engine

__all__ = ["RecommenderArgs", "read", "write"]


class RecommenderArgs(msgspec.Struct, frozen=True, kw_only=True):
    """The arguments of a recommender, which a state does not hold. Stored as MessagePack: JSON has no infinity."""

    model: Model
    types: Mapping[str, float] | None
    weights: Mapping[str, float]
    """Weights of types, including those from the log."""
    deny: tuple[str, ...]
    limits: Limits | None
    session_gap_ms: int | None
    left_out: Mapping[str, int]


def write(path: str | PathLike[str], engine: Engine, args: RecommenderArgs) -> None:
    """Write the state of *engine* and *args* to *path*, replacing the file atomically. Raises SnapshotError."""
    snapshot.save(engine, path, notes=msgspec.msgpack.encode(args))


def read(path: str | PathLike[str]) -> tuple[Engine, RecommenderArgs]:
    """Return what `write` wrote; the engine has the model, weights and deny list of the recommender.

    Raises SnapshotError for anything else.
    """
    saved = snapshot.read(Path(path))
    try:
        args = msgspec.msgpack.decode(saved.header.notes, type=RecommenderArgs)
    except (msgspec.MsgspecError, SettingsError) as error:
        message = f"{path}: holds an engine, not a recommender ({error}); stream_rec.snapshot.load reads the engine"
        raise SnapshotError(message) from error
    engine = Engine(
        args.model,
        limits=saved.state.limits,
        type_weights=args.weights,
        deny=args.deny,
        session_gap_ms=saved.state.session_gap_ms,
    )
    engine.import_state(saved.state)
    return engine, args
