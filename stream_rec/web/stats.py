"""The figures of a service, as `/v1/stats` and the dashboard show them.

Made from the service's status; rates are taken between two samples of its counters. Knows nothing of HTTP.
"""

from collections import deque
from pathlib import Path
from time import monotonic, time
from typing import Any, Final

import msgspec

from stream_rec._version import __version__
from stream_rec.core.engine import LearnedOrder
from stream_rec.core.quality import ModelShare, QualityReport
from stream_rec.service.activity import Doing
from stream_rec.service.handle import ServiceHandle
from stream_rec.service.metrics.leap import Leap
from stream_rec.service.metrics.service_metrics import ServiceMetrics
from stream_rec.service.reporting.status import Status
from stream_rec.web.meter import HttpMeter

__all__ = ["Rates", "Retained", "Stats", "StatsMaker"]

_WINDOW_S: Final = 10.0


class Rates(msgspec.Struct, frozen=True):
    """Rates per second, over about the last ten seconds."""

    events_per_s: float
    answers_per_s: float
    http_per_s: float


class Retained(msgspec.Struct, frozen=True):
    """What the index holds."""

    sessions: int
    events: int
    items: int
    bytes: int
    max_bytes: int | None
    evicted: int
    watermark: int | None
    horizon_ms: int | None


class CatalogueSize(msgspec.Struct, frozen=True):
    """How many items the catalogue has, and how many of them are unavailable."""

    items: int
    unavailable: int


# The core has a `Stats` of its own, of the state only. This name shows in the OpenAPI document, so it stays.
class Stats(msgspec.Struct, frozen=True):
    """The figures of the service now."""

    state: str
    at_ms: int
    version: str
    uptime_s: float
    pid: int
    durable: bool
    counts: dict[str, int]
    rates: Rates
    retained: Retained | None
    lag: dict[str, int]
    owned: list[str]
    generation: int
    dead_letters: dict[str, int]
    snapshot: dict[str, Any] | None = None
    latency_ms: dict[str, dict[str, float]] = {}
    models: list[ModelShare] = []
    orders: list[LearnedOrder] = []
    quality: QualityReport | None = None
    catalogue: CatalogueSize | None = None
    largest_leap: Leap | None = None
    doing: Doing | None = None


class StatsMaker:
    """Makes the figures. Call `tick` about once a second."""

    def __init__(self, service: ServiceHandle, http: HttpMeter) -> None:
        self._service = service
        self._http = http
        self._started_at = monotonic()
        self._samples: deque[tuple[float, int, int, int]] = deque()

    def tick(self) -> None:
        """Sample the counters."""
        now = monotonic()
        counts = self._service.status().counts
        self._samples.append((now, counts.n_read, counts.n_answers + counts.n_asked, self._http.n_requests))
        while now - self._samples[0][0] > _WINDOW_S:
            self._samples.popleft()

    def __call__(self) -> Stats:
        """Return the figures of now."""
        service = self._service
        status = service.status()
        counts = status.counts
        return Stats(
            state=status.state,
            at_ms=int(time() * 1000),
            version=__version__,
            uptime_s=round(monotonic() - self._started_at, 3),
            pid=status.pid,
            durable=service.ingest.is_durable,
            counts={
                "read": counts.n_read,
                "applied": counts.n_applied,
                "forgets": counts.n_forgets,
                "forgot_nothing": counts.n_forgot_nothing,
                "shown": counts.n_shown,
                "duplicates": counts.n_duplicates,
                "answers": counts.n_answers,
                "asked": counts.n_asked,
                "requests": counts.n_requests,
                "expired": counts.n_expired,
                "followed": counts.n_followed,
            },
            rates=self._rates(),
            retained=self._retained(status),
            lag=status.lag,
            owned=status.owned,
            generation=status.generation,
            # Copied first: another thread counts meanwhile.
            dead_letters=dict(counts.dead.copy() + counts.dead_requests.copy()),
            snapshot=self._snapshot(),
            latency_ms=(service.metrics or ServiceMetrics()).latency_ms(http=self._http.percentiles()),
            models=status.models,
            orders=status.orders,
            catalogue=self._catalogue(),
            quality=status.quality,
            largest_leap=status.largest_leap,
            doing=status.doing,
        )

    def _catalogue(self) -> CatalogueSize | None:
        catalogue = self._service.catalogue()
        return None if catalogue is None else CatalogueSize(len(catalogue), catalogue.n_unavailable)

    def _snapshot(self) -> dict[str, Any] | None:
        last = None if self._service.snapshots is None else self._service.snapshots.last
        return None if last is None else {"name": Path(last.path).name, "age_s": round(monotonic() - last.at, 3)}

    def _rates(self) -> Rates:
        if len(self._samples) < 2:  # noqa: PLR2004  # a rate needs two samples
            return Rates(0.0, 0.0, 0.0)
        (then, *before), (now, *after) = self._samples[0], self._samples[-1]
        rates = [round((new - old) / (now - then), 2) for old, new in zip(before, after, strict=True)]
        return Rates(*rates)

    def _retained(self, status: Status) -> Retained | None:
        stats = status.stats
        if stats is None:
            return None
        return Retained(
            stats.n_sessions,
            stats.n_events,
            stats.n_items,
            stats.n_bytes,
            self._service.max_bytes,
            stats.n_evicted,
            stats.watermark,
            stats.horizon_ms,
        )
