"""The last hour of the figures that the dashboard draws: one point every five seconds, in memory of a fixed size.

Filled by the event loop's thread alone, about once a second or less often. Knows nothing of HTTP.
"""

from collections.abc import Iterator
from itertools import chain
from typing import Final

import msgspec
import numpy as np

from stream_rec.core.dtypes import F64
from stream_rec.web.stats import Stats

__all__ = ["POINTS", "STEP_S", "History", "HistoryKeeper", "drawn"]

STEP_S: Final = 5.0
POINTS: Final = 720
_OF_LATENCY: Final = ("p50", "p99")
_OF_QUALITY: Final = ("hr",)
"""What is drawn of each model. Each name more adds a series for each model and window."""
_EARLY_S: Final = 0.5
"""A point may come so much early: the caller's second is a little longer than a second."""


class History(msgspec.Struct, frozen=True):
    """The figures of the last hour, oldest first."""

    step_s: float
    """About the time between two points."""

    at_ms: list[int]
    """When each point was taken, in milliseconds since 1970 (UTC)."""

    series: dict[str, list[float | None]]
    """By the way to the figure in `/v1/stats`, one value for each point; null: there was none. `lag` is the sum of all
    partitions, and `quality.3600.default.hr` is `hr` of the model `default` over the window of 3,600 seconds."""


class HistoryKeeper:
    """Keeps the newest `POINTS` points.

    Takes 8 bytes for each point and series, allocated when a series has its first value: 18 series of the service and
    one for each model and window of live quality. That is 127 kB with one model and three windows.
    """

    def __init__(self) -> None:
        self._at = np.zeros(POINTS, np.int64)
        self._series: dict[str, F64] = {}
        self._first = 0
        self._n = 0
        self._last_s = float("-inf")
        self._encoded = (-1, b"")

    @property
    def n_taken(self) -> int:
        """How many points were taken, those that are no longer kept included."""
        return self._n

    @property
    def n_bytes(self) -> int:
        """The memory of all points."""
        return self._at.nbytes + sum(column.nbytes for column in self._series.values())

    def is_due(self, now_s: float) -> bool:
        """Whether the next point is due at *now_s*, by a clock that never goes back."""
        return now_s - self._last_s >= STEP_S - _EARLY_S

    def take(self, stats: Stats, now_s: float) -> None:
        """Add the point of *stats*. If the wall clock was set back, the points before it are forgotten."""
        if self._n > self._first and stats.at_ms <= self._at[(self._n - 1) % POINTS]:
            self._first = self._n
        place = self._n % POINTS
        for column in self._series.values():
            column[place] = np.nan
        for name, value in drawn(stats):
            if name not in self._series:
                self._series[name] = np.full(POINTS, np.nan)
            self._series[name][place] = value
        self._at[place] = stats.at_ms
        self._n += 1
        self._last_s = now_s

    def since(self, n_taken: int = 0) -> History:
        """Return the points that were taken after the first *n_taken* ones, as far as they are kept."""
        first = max(n_taken, self._first, self._n - POINTS)
        places = np.arange(first, self._n) % POINTS
        # JSON has no NaN: msgspec writes null.
        series: dict[str, list[float | None]] = {
            name: column[places].tolist() for name, column in sorted(self._series.items())
        }
        return History(STEP_S, self._at[places].tolist(), series)

    def encoded(self) -> bytes:
        """Return all points as JSON, made once for each point however many pages ask."""
        if self._encoded[0] != self._n:
            self._encoded = (self._n, msgspec.json.encode(self.since()))
        return self._encoded[1]


def drawn(stats: Stats) -> Iterator[tuple[str, float]]:
    """Yield the figures that are drawn and known, by name, with five digits."""
    for name, value in chain(_rates(stats), _state(stats), _latencies(stats), _quality(stats)):
        if value is not None:
            yield name, float(f"{value:.5g}")


def _rates(stats: Stats) -> Iterator[tuple[str, float | None]]:
    yield "rates.events_per_s", stats.rates.events_per_s
    yield "rates.answers_per_s", stats.rates.answers_per_s
    yield "rates.http_per_s", stats.rates.http_per_s


def _state(stats: Stats) -> Iterator[tuple[str, float | None]]:
    if stats.lag:
        yield "lag", sum(stats.lag.values())
    if stats.retained is not None:
        yield "retained.bytes", stats.retained.bytes
        yield "retained.horizon_ms", stats.retained.horizon_ms


def _latencies(stats: Stats) -> Iterator[tuple[str, float | None]]:
    for stage, found in stats.latency_ms.items():
        for name in _OF_LATENCY:
            yield f"latency_ms.{stage}.{name}", found.get(name)


def _quality(stats: Stats) -> Iterator[tuple[str, float | None]]:
    for window in () if stats.quality is None else stats.quality.windows:
        seconds = repr(window.window_s).removesuffix(".0")
        for model in window.models:
            for name in _OF_QUALITY:
                yield f"quality.{seconds}.{model.model}.{name}", getattr(model, name)
