"""A recommender on disk: its engine's state, which is the room of snapshots' to keep, and what it was made with.

Knows nothing of formats.
"""

from collections.abc import Mapping
from os import PathLike

import msgspec

from stream_rec.engine import Engine
from stream_rec.errors import SnapshotError
from stream_rec.limits import Limits
from stream_rec.recommend import Model

__all__ = ["Made", "read", "write"]

MISSING = "saving needs the room stream_rec.snapshot, which this tree does not have yet"


class Made(msgspec.Struct, frozen=True, kw_only=True):
    """What a recommender was made with, and a state does not tell. JSON both ways, by msgspec."""

    model: Model
    types: Mapping[str, float] | None
    weights: Mapping[str, float]
    """Of types, those that the log brought included."""
    deny: tuple[str, ...]
    limits: Limits | None
    session_gap_ms: int | None
    left_out: Mapping[str, int]


def write(path: str | PathLike[str], engine: Engine, made: Made) -> None:
    """Write *engine*'s state and *made* to *path*, replacing what is there as a whole."""
    # To wire: stream_rec.snapshot keeps the state, and msgspec.json.encode(made) in one file with it.
    del engine, made
    raise SnapshotError(f"{path}: {MISSING}")


def read(path: str | PathLike[str]) -> tuple[Engine, Made]:
    """Return what `write` wrote; the engine is made with the model, weights, deny list and limits of *made*.

    Raises SnapshotError for anything else.
    """
    # To wire: the state, into Engine(made.model, type_weights=made.weights, deny=made.deny).
    raise SnapshotError(f"{path}: {MISSING}")
