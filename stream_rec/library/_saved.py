"""A recommender on disk: the one seam to the room of snapshots, which is to do all of it.

Knows nothing of formats.
"""

from collections.abc import Mapping
from os import PathLike
from typing import NoReturn

from stream_rec.engine import Engine
from stream_rec.errors import SnapshotError

__all__ = ["read", "write"]

MISSING = "saving needs the room stream_rec.snapshot, which this tree does not have yet"


def write(path: str | PathLike[str], engine: Engine, settings: Mapping[str, object]) -> NoReturn:
    """Write *engine*, and what else the recommender was made with, to *path*."""
    del engine, settings
    raise SnapshotError(f"{path}: {MISSING}")


def read(path: str | PathLike[str]) -> tuple[Engine, Mapping[str, object]]:
    """Return what `write` wrote. Raises SnapshotError for anything else."""
    raise SnapshotError(f"{path}: {MISSING}")
