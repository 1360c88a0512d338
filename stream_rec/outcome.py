"""What the engine says of a batch, and of itself."""

from typing import Final, NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt

from stream_rec.events import Reason
from stream_rec.index import field

__all__ = ["Applied", "Stats"]

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
