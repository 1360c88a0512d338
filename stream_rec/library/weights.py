"""Weights of single events -> event types with these weights.

The index stores a type for each event, and each type has a weight. If events of one type have different weights, each
weight becomes a type: `view`, and for other weights `view`, a mark and the weight. A condition on a type then applies
to all types derived from it.
"""

from collections.abc import Iterable
from typing import Final

import numpy as np

from stream_rec.errors import SettingsError
from stream_rec.tables.columns import Columns, Ids

__all__ = ["derived_types", "weights_as_types"]

MARK: Final = "\x1f"  # no type's name contains it: the unit separator of ASCII
MOST: Final = 250  # types that an index can have


def weights_as_types(columns: Columns) -> tuple[Columns, dict[str, float]]:
    """Return *columns* with types that encode the weight of each event, and the weight of each type.

    Raises SettingsError for more different weights than an index can have types.
    """
    if columns.weights is None:
        return columns, {}
    values, codes = np.unique(columns.weights, return_inverse=True)
    pairs, kinds = np.unique(columns.types.codes.astype(np.int64) * len(values) + codes, return_inverse=True)
    if len(pairs) > MOST:
        raise SettingsError(
            "weight", f"events have {len(pairs)} different weights, and at most {MOST} can be kept: round them"
        )
    names: list[str] = []
    weights: dict[str, float] = {}
    for kind, value in zip(*np.divmod(pairs, len(values)), strict=True):
        plain, weight = columns.types.names[kind], float(values[value])
        name = f"{plain}{MARK}{weight!r}" if plain in weights else plain
        names.append(name)
        weights[name] = weight
    types = Ids(names, kinds.astype(np.int32))
    return Columns(columns.sessions, columns.items, columns.times, types, columns.users), weights


def derived_types(named: str | tuple[str, ...] | None, types: Iterable[str]) -> tuple[str, ...] | None:
    """Return *named* and the *types* derived from it by weight; None for None."""
    if named is None:
        return None
    wanted = {named} if isinstance(named, str) else set(named)
    return (*sorted(wanted), *(each for each in types if MARK in each and each.partition(MARK)[0] in wanted))
