"""What a running service shows to those who serve it to others: the same with a broker and without.

Knows nothing of HTTP.
"""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple

from stream_rec.core.catalogue import Catalogue
from stream_rec.service.committing.snapshots import Snapshots
from stream_rec.service.consuming.record_reader import plain_reader
from stream_rec.service.metrics.service_metrics import ServiceMetrics
from stream_rec.service.reporting.status import Status
from stream_rec.service.requests.ingest import Ingest
from stream_rec.service.requests.request_queue import RequestQueue
from stream_rec.service.wall_clock import now_ms
from stream_rec.transport.decode import Decoded

if TYPE_CHECKING:
    from stream_rec.service.metrics.tracing import Tracing

__all__ = ["ServiceHandle", "no_catalogue"]


def no_catalogue() -> None:
    """Return None: without a catalogue, only the ids of items are known."""


class ServiceHandle(NamedTuple):
    """A running service. All of it may be used from any thread."""

    request_queue: RequestQueue
    ingest: Ingest
    status: Callable[[], Status]
    """How the service is doing now. Cheap."""

    is_ready: Callable[[], bool]
    """Whether the service answers. Called before each request, so cheaper still."""

    metrics: ServiceMetrics | None = None
    """What it measured; None: nothing."""

    snapshots: Snapshots | None = None
    snapshot_every_ms: int | None = None
    """How often a snapshot is due; None: never."""

    catalogue: Callable[[], Catalogue | None] = no_catalogue
    """Returns what is known of items now."""

    tracing: "Tracing | None" = None
    max_bytes: int | None = None
    """The limit of its state's memory."""

    retention_ms: int | None = None
    """How far back its state is meant to reach."""

    types: frozenset[str] | None = None
    """The event types that it accepts; None: all."""
    shown_type: str | None = None
    """The type of events that say what was shown, which is accepted too."""

    usual_n: int = 20
    """How many items an answer has where the request does not say."""

    max_future_ms: int | None = None
    """How far ahead of the clock an event may be; None: there is no limit."""

    now_ms: Callable[[], int] = now_ms
    """Returns the time of an event that does not name its own."""

    read_records: Callable[[Sequence[bytes], int], list[Sequence[Decoded]]] = plain_reader
    """Returns what records in the form of the log say, which came at that time, in ms."""

    session_from_user: bool = False
    """Whether sessions are cut from users: events then need a user, and no session."""
