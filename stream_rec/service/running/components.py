"""What a service on a broker is made of. Nothing here does anything: `build_live` makes it, `live` works with it."""

from collections.abc import Callable
from typing import NamedTuple

from stream_rec.service.committing.checkpoint import Checkpoint, Committed, nobody_observes
from stream_rec.service.committing.destinations import OutputDestinations
from stream_rec.service.committing.snapshots import Snapshots
from stream_rec.service.consuming.recovery import Begin
from stream_rec.service.processing.processor import Processor
from stream_rec.service.requests.request_queue import RequestQueue
from stream_rec.service.running.pipeline import Pipeline, StateListener
from stream_rec.service.running.threads import Threads
from stream_rec.transport.broker import Broker

__all__ = ["ServiceComponents"]


class ServiceComponents(NamedTuple):
    """What a service is made of."""

    broker: Broker
    events: str
    make_processor: Callable[[], Processor]
    """A worker on an empty engine."""

    places: OutputDestinations
    requests: str | None = None
    group: str = "stream-rec"
    instance: str | None = None
    """The name of a static seat in the group."""

    transactional_id: str | None = None
    """None delivers at least once."""

    begin: Begin = "earliest"
    snapshots: Snapshots | None = None
    watcher: StateListener | None = None
    """Told how the state moves on; the snapshots' own, if they are to be written."""

    max_records: int = 1024
    observe: Committed = nobody_observes
    """Told of each commit, on the thread that did it."""

    pipeline: Callable[[Processor, Checkpoint, StateListener | None, RequestQueue | None], Pipeline] = Threads
    request_queue: RequestQueue | None = None
    """Where other threads ask; it outlives what is made of these."""

    @property
    def topics(self) -> list[str]:
        """What the group shares out."""
        return [self.events] if self.requests is None else [self.events, self.requests]
