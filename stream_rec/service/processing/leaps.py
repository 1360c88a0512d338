"""Which record moved the watermark far, so that an operator finds the clock that is wrong.

Knows nothing of what is done about it: the rules of log time bound the harm, and this says where it came from.
"""

import logging
from collections.abc import Callable, Sequence
from typing import Final

import numpy as np

from stream_rec.core.dtypes import I64
from stream_rec.core.engine import Applied
from stream_rec.core.events import NO_LOG_TIME, Event
from stream_rec.core.limits import Limits
from stream_rec.service.batches import Batch
from stream_rec.service.metrics.format import show_duration, show_time
from stream_rec.service.metrics.leap import Leap

__all__ = ["LeapFinder"]

log = logging.getLogger(__name__)

_AHEAD_MS: Final = 60_000  # of this machine's clock: clocks that are kept by a time server differ by far less
_LOG_EVERY_MS: Final = 600_000


class LeapFinder:
    """Keeps the largest leap so far, and warns where the watermark is ahead of this machine's clock.

    Costs next to nothing for a batch without either.
    """

    def __init__(self, limits: Limits, clock_ms: Callable[[], int]) -> None:
        self.largest: Leap | None = None
        self._limits = limits
        self._clock_ms = clock_ms
        self._largest_ms = limits.lateness_ms
        self._next_warning_ms = 0

    def after(
        self,
        batch: Batch,
        readable: Sequence[int],
        applied: Applied,
        log_times: I64 | None,
        watermarks: tuple[int | None, int | None],
    ) -> None:
        """Look at a *batch* that was applied; *watermarks* are those before and after it.

        *readable* is where the events stand that were given to the engine, with *log_times*.
        """
        before, after = watermarks
        if after is None or after == before:
            return
        if before is None or after - before > self._largest_ms:
            self._find_largest(batch, readable, applied, log_times, before)
        now_ms = self._clock_ms()
        if after > now_ms + _AHEAD_MS and now_ms >= self._next_warning_ms:
            self._next_warning_ms = now_ms + _LOG_EVERY_MS
            reach = self._reach(batch, readable, applied, log_times)
            record = _name(batch, readable[int(reach.argmax())])
            log.warning(
                "the watermark is %s ahead of this machine's clock: %s moved it to %s. Check the clock of its "
                "producer, and of this machine",
                show_duration(after - now_ms), record, show_time(after),
            )  # fmt: skip

    def _find_largest(
        self, batch: Batch, readable: Sequence[int], applied: Applied, log_times: I64 | None, before: int | None
    ) -> None:
        reach = self._reach(batch, readable, applied, log_times)
        start = int(reach[reach >= 0][0]) if before is None else before
        newest = np.maximum.accumulate(np.concatenate(([start], reach)))
        steps = np.diff(newest)
        place = int(steps.argmax())
        if steps[place] > self._largest_ms:
            self._largest_ms = int(steps[place])
            self.largest = Leap(_name(batch, readable[place]), int(newest[place]), int(newest[place + 1]))

    def _reach(self, batch: Batch, readable: Sequence[int], applied: Applied, log_times: I64 | None) -> I64:
        """Return how far each of the events given to the engine moves the watermark; not at all if it was rejected."""
        times = [NO_LOG_TIME] * len(readable) if log_times is None else log_times.tolist()
        return np.array(
            [
                self._limits.reach(event.timestamp, log_time) if type(event) is Event and outcome == 0 else -1
                for event, log_time, outcome in zip(
                    map(batch.decoded.__getitem__, readable), times, applied.outcomes.tolist(), strict=True
                )
            ],
            np.int64,
        )


def _name(batch: Batch, place: int) -> str:
    record = batch.records[place]
    return f"{record.topic}-{record.partition}:{record.offset}"
