"""What the engine says of a batch, and of itself."""

from collections.abc import Sequence
from typing import Final, NamedTuple, Protocol

import msgspec
import numpy as np
import numpy.typing as npt

from stream_rec.core.events import Reason
from stream_rec.core.index import AnswerArrays, EventArrays, field

__all__ = ["Applied", "AppliedBatch", "Evaluator", "Observation", "Stats"]

OUTCOMES: Final = (None, Reason.LATE, Reason.DUPLICATE, Reason.UNKNOWN_TYPE)


class Applied(NamedTuple):
    """What became of a batch, event for event."""

    outcomes: npt.NDArray[np.uint8]
    """[n], an index into OUTCOMES; 0: applied."""

    @property
    def n_applied(self) -> int:
        """How many events were applied."""
        return int((self.outcomes == field.APPLIED).sum())

    @property
    def reasons(self) -> list[Reason | None]:
        """Why each event was not applied, None where it was."""
        return [OUTCOMES[outcome] for outcome in self.outcomes.tolist()]


class AppliedBatch(NamedTuple):
    """What events did, and what was answered to each right after it, as the kernels left it: of no copies.

    Numbers stand for ids until the call that is given it returns. Rows of answers to events that were not applied are
    empty.
    """

    batch: EventArrays
    session: npt.NDArray[np.void]
    """[S] what the slots of the batch stand for; see `index._kernel.state.SESSION`."""
    item: npt.NDArray[np.void]
    """[I] the same for items; ITEM."""
    counted: npt.NDArray[np.uint8]
    """[n] 1 for events that this process answers for."""
    rows: npt.NDArray[np.int32]
    """[n, models] the row of `answers` with each model's answer after each event; -1: it was not asked."""
    answers: AnswerArrays


class Evaluator(Protocol):
    """Looks at answers and at what came after them. What it makes of it is no part of the engine's state."""

    def took(self, taken: AppliedBatch) -> None:
        """Look at events just applied, in their order, and at the answers after each."""

    def forgot(self, sessions: Sequence[int]) -> None:
        """Keep nothing of *sessions*, which are the XXH3-64 of their ids."""


class Observation(NamedTuple):
    """Who looks on while events are applied, and which of them are to be counted, event for event."""

    judge: Evaluator
    counted: npt.NDArray[np.uint8]

    def part(self, start: int, n: int) -> "Observation":
        """Return what holds of *n* events from *start* on."""
        return Observation(self.judge, self.counted[start : start + n])


class Stats(msgspec.Struct, frozen=True):
    """What the engine holds."""

    n_sessions: int
    n_events: int
    n_items: int
    n_bytes: int
    """Memory of the store and index, by the prices that `max_bytes` is counted in."""
    n_evicted: int
    watermark: int | None
    """Largest accepted timestamp, ms."""
    horizon_ms: int | None
    """Age of the oldest retained session: how far back the model can still see."""
