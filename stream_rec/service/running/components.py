"""What one run of the consumer loop is made of. Nothing here does anything: `assembly.kafka` makes it."""

from collections.abc import Callable
from typing import NamedTuple

from stream_rec.service.commit_note import CommitNote
from stream_rec.service.committing.checkpoint import Checkpoint, OnCommitted, ignore_commits
from stream_rec.service.committing.destinations import OutputDestinations
from stream_rec.service.committing.snapshots import Snapshots
from stream_rec.service.consuming.record_decoder import Decode
from stream_rec.service.consuming.recovery import Begin
from stream_rec.service.metrics.counters import Counters
from stream_rec.service.metrics.service_metrics import ServiceMetrics
from stream_rec.service.processing.processor import Processor
from stream_rec.service.requests.request_queue import RequestQueue
from stream_rec.service.running.pipeline import Pipeline, StateListener
from stream_rec.service.running.threads import Threads
from stream_rec.service.timeouts import TIMEOUTS, Timeouts
from stream_rec.transport.broker import Broker

__all__ = ["MakePipeline", "ServiceComponents"]

MakePipeline = Callable[[Processor, Checkpoint, StateListener | None, RequestQueue | None, Timeouts], Pipeline]


class ServiceComponents(NamedTuple):
    """The parts of a service on a broker."""

    broker: Broker
    events: str
    """The topic of events."""

    decode: Decode
    """For the consumer thread alone."""

    make_processor: Callable[[Counters, ServiceMetrics], Processor]
    """Makes a processor on an empty engine; it counts and measures into the given ones."""

    destinations: OutputDestinations
    requests: str | None = None
    """The topic of requests."""

    group: str = "stream-rec"
    instance: str | None = None
    """The name of a static member of the group."""

    transactional_id: str | None = None
    """None delivers at least once."""

    begin: Begin = "earliest"
    snapshots: Snapshots | None = None
    listener: StateListener | None = None
    """Called as the state moves on; the snapshots among others, if they are to be written."""

    note: CommitNote | None = None
    """The note beside each commit, for the replicas; None: there is none, and theirs are not read."""

    max_records: int = 1024
    on_committed: OnCommitted = ignore_commits
    """Called after each commit, on the thread that did it."""

    make_pipeline: MakePipeline = Threads
    request_queue: RequestQueue | None = None
    """Other threads put commands there. It outlives what is made of these components."""

    timeouts: Timeouts = TIMEOUTS

    @property
    def topics(self) -> list[str]:
        """The topics whose partitions the group assigns."""
        return [self.events] if self.requests is None else [self.events, self.requests]
