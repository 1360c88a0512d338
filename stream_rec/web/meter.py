"""What the web layer measures of itself: requests by endpoint and status, and how long they took.

Written by the event loop's thread, read by any. Knows nothing of how figures are shown.
"""

from time import monotonic
from typing import Final

import numpy as np

from stream_rec.service.metrics.histogram import SECONDS, Histogram, Percentiles, percentiles_of

__all__ = ["ENDPOINT", "REFUSED", "HttpMeter"]

ENDPOINT: Final = "stream_rec.endpoint"
"""The key of a request's scope that holds its endpoint, once it was routed to one."""

REFUSED: Final = "(refused)"
"""In place of the endpoint of a request that was refused before it was routed to one."""


class HttpMeter:
    """Counts requests. An *endpoint* is a path with placeholders (`/v1/sessions/{id}`): ids are without limit."""

    def __init__(self) -> None:
        self.counts: dict[tuple[str, int], int] = {}
        """By endpoint and status."""
        self.seconds: dict[str, Histogram] = {}
        """By endpoint."""

    def record(self, endpoint: str, status: int, seconds: float) -> None:
        """Count a request that took *seconds*. Less than a microsecond."""
        key = (endpoint, status)
        try:
            self.counts[key] += 1
        except KeyError:
            self.counts[key] = 1
            if endpoint not in self.seconds:
                self.seconds[endpoint] = Histogram()
        self.seconds[endpoint].record(seconds, monotonic())

    def refuse(self, status: int) -> None:
        """Count a request that was refused before it was routed to an endpoint: its time says nothing."""
        key = (REFUSED, status)
        self.counts[key] = self.counts.get(key, 0) + 1

    @property
    def n_requests(self) -> int:
        """Of all endpoints."""
        return sum(self.counts.copy().values())

    def percentiles(self, now: float | None = None) -> Percentiles | None:
        """Return those of all requests of the last minute; None if there were none."""
        now = monotonic() if now is None else now
        recent = [histogram.recent_counts(now) for histogram in self.seconds.copy().values()]
        return percentiles_of(np.sum(recent, axis=0), SECONDS) if recent else None
