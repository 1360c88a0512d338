"""Settings -> the handle by which others hold a running service."""

from collections.abc import Callable

from stream_rec.service.handle import ServiceHandle
from stream_rec.service.metrics.service_metrics import ServiceMetrics
from stream_rec.service.reporting.status import Status
from stream_rec.service.requests.ingest import Ingest
from stream_rec.service.requests.request_queue import RequestQueue
from stream_rec.settings import Settings

__all__ = [
    "build_handle",
]


def build_handle(
    settings: Settings,
    request_queue: RequestQueue,
    ingest: Ingest,
    status: Callable[[], Status],
    is_ready: Callable[[], bool],
    metrics: ServiceMetrics,
) -> ServiceHandle:
    """What the service shows to others, by the clock on the wall."""
    return ServiceHandle(
        request_queue,
        ingest,
        status,
        is_ready,
        metrics,
        max_bytes=settings.max_bytes,
        retention_ms=settings.retention_ms,
        usual_n=settings.n,
        types=frozenset(settings.types) or None,
        max_future_ms=settings.max_future_ms,
        session_from_user=settings.session_gap_ms is not None,
    )
