"""Events that are applied at once, which of them are answered, and where the answers go. Shapes only."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from stream_rec.core.dtypes import I32, U8
from stream_rec.core.engine.columns import EventColumns
from stream_rec.core.events import Event, Forget
from stream_rec.core.outcome import Observation

__all__ = ["AnswerRows", "AnswersWanted", "EventRun", "cut"]


class AnswersWanted(NamedTuple):
    """Which events of a batch to answer, and the log offsets to put into each answer."""

    offsets: Sequence[Mapping[str, int]]
    wanted: U8
    """[n] 1 for an event to answer."""
    all: bool
    """Whether every event is wanted."""

    def part(self, start: int, n: int) -> "AnswersWanted":
        """Return the same for *n* events from *start* on."""
        return AnswersWanted(self.offsets[start : start + n], self.wanted[start : start + n], self.all)

    def at(self, places: npt.NDArray[np.intp]) -> "AnswersWanted":
        """Return the same for the events at *places*."""
        return AnswersWanted([self.offsets[place] for place in places.tolist()], self.wanted[places], self.all)


class AnswerRows(NamedTuple):
    """Where the answers to a batch of n events go."""

    served: npt.NDArray[np.intp]
    """[n] the model that answers each event."""
    row: I32
    """[n, models] the row of each model's answer, -1 for none."""
    n: int
    """Rows in all."""


class EventRun(NamedTuple):
    """Events that can be one batch, with their columns; or an order to forget, which has none."""

    events: Sequence[Event]
    columns: EventColumns
    forget: Forget | None = None


def cut(
    run: EventRun, wanted: AnswersWanted | None, observation: Observation | None, begin: int, end: int
) -> tuple[EventRun, AnswersWanted | None, Observation | None]:
    """Return the events of *run* from *begin* up to *end*, and what of them is wanted and observed."""
    n = end - begin
    return (
        EventRun(run.events[begin:end], run.columns.part(begin, n)),
        None if wanted is None else wanted.part(begin, n),
        None if observation is None else observation.part(begin, n),
    )
