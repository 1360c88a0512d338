"""What the engine reports of a batch and of itself."""

from collections.abc import Sequence
from typing import Final, NamedTuple, Protocol

import msgspec
import numpy as np
import numpy.typing as npt

from stream_rec.core.events import Reason
from stream_rec.core.index import AnswerArrays, EventArrays, field
from stream_rec.core.shown import Seen

__all__ = ["SHOWN", "Applied", "AppliedBatch", "Evaluator", "Observation", "Stats"]

OUTCOMES: Final = (None, Reason.LATE, Reason.DUPLICATE, Reason.UNKNOWN_TYPE, None)
SHOWN: Final = 4
"""The outcome of an event that says what was shown, and is counted: it is no click, and no kernel sees it."""


class Applied(NamedTuple):
    """The outcome of each event of a batch.

    >>> from stream_rec import Engine, Event
    >>> applied = Engine().apply([Event("ann", "tent", 10**8), Event("ben", "tent", 0)])
    >>> applied.n_applied, [str(reason) for reason in applied.reasons]
    (1, ['None', 'late'])
    """

    outcomes: npt.NDArray[np.uint8]
    """[n] an index into OUTCOMES; 0 is applied, SHOWN counted as shown."""

    erased: Sequence[int] = ()
    """How many sessions each order to forget has erased."""

    def __repr__(self) -> str:
        return f"Applied({self.n_applied:,} of {len(self.outcomes):,})"

    @property
    def n_applied(self) -> int:
        """How many events were applied; those that say what was shown are not among them."""
        return int((self.outcomes == field.APPLIED).sum())

    @property
    def reasons(self) -> list[Reason | None]:
        """Why each event was not taken, None where it was."""
        return [OUTCOMES[outcome] for outcome in self.outcomes.tolist()]


class AppliedBatch(NamedTuple):
    """What events did, and the answers right after each, in the kernels' own arrays (not copied).

    Its ordinals stand for ids only until the call that receives it returns. Rows of events that were not applied are
    empty.
    """

    batch: EventArrays
    session: npt.NDArray[np.void]
    """[S] the sessions by ordinal; see `index.kernel.state.SESSION`."""
    item: npt.NDArray[np.void]
    """[I] the items by ordinal; see ITEM."""
    counted: npt.NDArray[np.uint8]
    """[n] 1 for events that this process answers for."""
    rows: npt.NDArray[np.int32]
    """[n, models] the row of `answers` with each model's answer after each event; -1: that model was not asked."""
    answers: AnswerArrays


class Evaluator(Protocol):
    """Compares answers with the events that followed them. Its results are no part of the engine's state."""

    def on_applied(self, applied: AppliedBatch) -> None:
        """Evaluate events that were just applied, in their order, and note the answers after each."""

    def on_seen(self, seen: Sequence[Seen], watermark: int) -> None:
        """Count what was shown and clicked, in order; *watermark* is that after the batch."""

    def on_forgotten(self, sessions: Sequence[int]) -> None:
        """Erase everything about *sessions*, given by the XXH3-64 of their ids."""


class Observation(NamedTuple):
    """An evaluator that follows a batch, and which events of the batch it counts."""

    evaluator: Evaluator
    counted: npt.NDArray[np.uint8]
    """[n] 1 for an event that counts."""

    def part(self, start: int, n: int) -> "Observation":
        """Return the observation of *n* events from *start* on."""
        return Observation(self.evaluator, self.counted[start : start + n])

    def at(self, places: npt.NDArray[np.intp]) -> "Observation":
        """Return the observation of the events at *places*."""
        return Observation(self.evaluator, self.counted[places])


class Stats(msgspec.Struct, frozen=True):
    """What the engine retains.

    >>> from stream_rec import Engine, Event
    >>> engine = Engine()
    >>> _ = engine.apply([Event("ann", "tent", 0), Event("ben", "tent", 60_000)])
    >>> engine.stats().n_sessions, engine.stats().horizon_ms
    (2, 60000)
    """

    n_sessions: int
    n_events: int
    n_items: int
    n_bytes: int
    """Memory of the store and index, at the costs that `max_bytes` counts."""
    n_evicted: int
    watermark: int | None
    """Largest accepted timestamp, ms."""
    horizon_ms: int | None
    """Age of the oldest retained session: how far back the model can still see."""
