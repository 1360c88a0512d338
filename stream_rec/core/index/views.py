"""What the index shows of itself: copies that a caller may keep."""

from collections.abc import Callable, Iterable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from stream_rec.core.index.kernel.state import F64, I32, I64

__all__ = ["ExplainTrace", "SessionEvents", "Spread"]

Spread = Callable[[Callable[[int], None], Iterable[int]], Iterable[None]]
"""`map`, or what does the same with its calls side by side."""


class ExplainTrace(NamedTuple):
    """What a query left of how it was answered: U items of the query, K neighbours. Copies."""

    length: int
    """Events of the query."""
    item: I32
    """[U] distinct items of the query, newest first; negative for those that nobody holds."""
    item_step: I32
    """[U] places from the query's end, from 1."""
    weight: F64
    """[U]."""
    slot: I32
    """[K] neighbours, newest first."""
    similarity: F64
    """[K]."""
    step: I32
    """[K] the step of the newest item that the neighbour shares."""
    holders: int
    """Sessions that a sequential rule was found in."""
    mix: float
    """What a neighbour's vote counts beside those rules; 1 without."""
    repeats: float
    """What the scores of the session's own items were scaled by; 1 if not at all."""


class SessionEvents(NamedTuple):
    """The events of some sessions, [E] in all, session by session, each oldest first. Copies."""

    session: I64
    """[E] the place, in the list asked for, of the event's session."""
    place: I64
    """[E] in its session, from 0."""
    item: I64
    """[E]."""
    is_newest: npt.NDArray[np.bool_]
    """[E] whether the item does not occur again later in the session."""
