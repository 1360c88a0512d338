"""What a service shows to whoever serves it to others: the same for one on a broker and one in this process alone.

Knows nothing of HTTP.
"""

from collections.abc import Callable
from time import time
from typing import TYPE_CHECKING, NamedTuple

from stream_rec.core.catalogue import Catalogue
from stream_rec.service.committing.snapshots import Snapshots
from stream_rec.service.metrics.service_metrics import ServiceMetrics
from stream_rec.service.reporting.status import Status
from stream_rec.service.requests.ingest import Ingest
from stream_rec.service.requests.request_queue import RequestQueue

if TYPE_CHECKING:
    from stream_rec.service.metrics.tracing import Tracing

__all__ = ["ServiceHandle"]


def _now_ms() -> int:
    return int(time() * 1000)


class ServiceHandle(NamedTuple):
    """A service as others see it. All of it may be used from any thread."""

    request_queue: RequestQueue
    ingest: Ingest
    status: Callable[[], Status]
    """How it does now. Cheap."""

    is_ready: Callable[[], bool]
    """Whether it answers. Asked before each question, so cheaper still."""

    metrics: ServiceMetrics | None = None
    """What it measured, if it does."""

    snapshots: Snapshots | None = None
    snapshot_every_ms: int | None = None
    """How often one is meant to be written; None: never."""

    catalogue: Callable[[], Catalogue | None] = lambda: None
    """What is known of items now."""

    tracing: "Tracing | None" = None
    max_bytes: int | None = None
    """Its budget of memory."""

    retention_ms: int | None = None
    """How far back it is meant to see."""

    types: frozenset[str] | None = None
    """The event types that it takes; None: all."""

    usual_n: int = 20
    """How many items an answer has where the request does not say."""

    max_future_ms: int | None = None
    """How far ahead of the clock an event may be; None: as far as it likes."""

    now_ms: Callable[[], int] = _now_ms
    """The time of an event that does not say its own."""

    session_from_user: bool = False
    """Whether sessions are cut from users: events then need a user, and no session."""
