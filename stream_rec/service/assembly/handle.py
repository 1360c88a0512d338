"""Settings -> the handle that a running service shows to others."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from stream_rec.service.assembly.inputs import build_record_reader
from stream_rec.service.committing.snapshots import Snapshots
from stream_rec.service.handle import ServiceHandle, no_catalogue
from stream_rec.service.metrics.service_metrics import ServiceMetrics
from stream_rec.service.processing.catalogue_feed import CatalogueFeed
from stream_rec.service.reporting.status import Status
from stream_rec.service.requests.ingest import Ingest
from stream_rec.service.requests.request_queue import RequestQueue
from stream_rec.service.wall_clock import now_ms as wall_clock_ms
from stream_rec.settings import Settings

if TYPE_CHECKING:
    from stream_rec.service.metrics.tracing import Tracing

__all__ = ["build_handle"]


def build_handle(  # noqa: PLR0913  # all that others see of a service
    settings: Settings,
    *,
    request_queue: RequestQueue,
    ingest: Ingest,
    status: Callable[[], Status],
    is_ready: Callable[[], bool],
    metrics: ServiceMetrics,
    snapshots: Snapshots | None = None,
    catalogue: CatalogueFeed | None = None,
    tracing: "Tracing | None" = None,
    now_ms: Callable[[], int] = wall_clock_ms,
) -> ServiceHandle:
    """Return the handle of a service that is made of these."""
    return ServiceHandle(
        request_queue,
        ingest,
        status,
        is_ready,
        metrics,
        snapshots=snapshots,
        snapshot_every_ms=None if snapshots is None else settings.snapshot_every_ms,
        catalogue=no_catalogue if catalogue is None else catalogue.current,
        tracing=tracing,
        max_bytes=settings.max_bytes,
        retention_ms=settings.retention_ms,
        types=frozenset(settings.types) or None,
        shown_type=settings.shown,
        usual_n=settings.n,
        max_future_ms=settings.future_ms,
        now_ms=now_ms,
        read_records=build_record_reader(settings),
        session_from_user=settings.session_gap_ms is not None,
    )
