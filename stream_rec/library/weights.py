"""Weights of single events -> types that weigh as much.

The index keeps a type for each event, and types weigh. Where events of one type weigh differently, each weight makes
a type of its own: `view`, and, of those whose weight is another, `view`, a mark, and the weight. What is required of a
type is then required of any of its kin.
"""

from collections.abc import Iterable
from typing import Final

import numpy as np

from stream_rec.errors import SettingsError
from stream_rec.tables.columns import Columns, Ids

__all__ = ["kin_of", "weights_as_types"]

MARK: Final = "\x1f"  # no type's name has one: it is the separator of units in ASCII
MOST: Final = 250  # types that an index holds


def weights_as_types(columns: Columns) -> tuple[Columns, dict[str, float]]:
    """Return *columns* with types that tell the weight of each event, and what each type weighs.

    Raises SettingsError for more different weights than there can be types.
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


def kin_of(named: str | tuple[str, ...] | None, types: Iterable[str]) -> tuple[str, ...] | None:
    """Return *named* and those of *types* that differ from it in their weight only; None for None."""
    if named is None:
        return None
    wanted = {named} if isinstance(named, str) else set(named)
    return (*sorted(wanted), *(each for each in types if MARK in each and each.partition(MARK)[0] in wanted))
