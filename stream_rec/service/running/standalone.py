"""A service without a broker: files are read to their end, then the state is served over HTTP.

The thread that calls `run` is the recommender thread: it applies and answers what the reader thread hands it, events
first and then requests, and executes commands of the request queue in between. Only the reader thread waits for a pipe.
Without a broker there are no partitions to own and no offsets to commit, so that is all.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from queue import Empty, Full, Queue
from threading import Event, Thread
from time import monotonic, time
from typing import Final, NamedTuple

import numpy as np

from stream_rec.core.events import EventDecoder, EventEncoder
from stream_rec.service.batches import Batch, ProcessedBatch
from stream_rec.service.reporting.list_names import unknown_names
from stream_rec.service.reporting.quality_lines import quality_lines
from stream_rec.service.reporting.status import StatsTaker, Status
from stream_rec.service.reporting.summary import summary_lines
from stream_rec.service.requests.journal import Journal
from stream_rec.service.requests.request_queue import ApplyEvents, RequestQueue
from stream_rec.service.requests.state_ingest import StateIngest
from stream_rec.service.running.batch_job import BatchJob
from stream_rec.service.running.gc_tuning import set_aside
from stream_rec.service.running.log_clock import LogClock
from stream_rec.service.state import Lifecycle, ServiceState
from stream_rec.service.timeouts import TIMEOUTS, Timeouts
from stream_rec.transport.decode import decode_records
from stream_rec.transport.records import Record

__all__ = ["StandaloneService"]

_MAILBOX: Final = 4
_SLICE: Final = 64


class _Requests(NamedTuple):
    """A batch of requests, behind all events."""

    records: list[Record]


_Item = list[Record] | _Requests | BaseException | None
"""Events, [] where nothing waits to be read, then requests; what failed; None, to wake the thread."""


class StandaloneService:
    """The service. `run` it; *journal* keeps what comes over HTTP, and *clock* gives its time."""

    def __init__(
        self,
        job: BatchJob,
        request_queue: RequestQueue,
        journal: Journal | None = None,
        clock: LogClock | None = None,
        timeouts: Timeouts = TIMEOUTS,
    ) -> None:
        self.clock = clock or LogClock("wall")
        self.processor = job.processor
        self.ingest = StateIngest(request_queue, EventEncoder(), is_durable=journal is not None)
        self._taker = StatsTaker(quality=job.processor.quality, timeouts=timeouts)
        self._job = job
        self._request_queue = request_queue
        self._journal = journal
        self._timeouts = timeouts
        self._lifecycle = Lifecycle(ServiceState.RECOVERING)
        self._mailbox: Queue[_Item] = Queue(_MAILBOX)
        self._over = Event()
        self._next_flush = 0.0
        self._begun = monotonic()

    @property
    def state(self) -> ServiceState:
        """What the service is doing now."""
        return self._lifecycle.state

    @property
    def is_ready(self) -> bool:
        """Whether the service answers."""
        return self._lifecycle.is_ready

    def run(self, stop: Callable[[], bool], on_tick: Callable[["StandaloneService"], None] = lambda _: None) -> None:
        """Serve until *stop* says so; *on_tick* is called several times a second. Raises TransportError."""
        Thread(target=self._read, name="reader", daemon=True).start()
        try:
            with self._request_queue.serving(self._wake):
                while not stop():
                    self._step()
                    on_tick(self)
        finally:
            self._lifecycle.enter(ServiceState.STOPPING)
            self._over.set()
            self._request_queue.refuse_all()
            self._job.flush()
        self.processor.counters.check()

    def summary(self) -> list[str]:
        """Return the run in a few lines."""
        stats, quality = self.processor.engine.stats(), self.processor.quality
        lines = [] if quality is None else quality_lines(quality.report(stats.n_items))
        unknown = unknown_names(self.processor.engine)
        return summary_lines(self.processor.counters, stats, monotonic() - self._begun, quality=lines, unknown=unknown)

    @property
    def status(self) -> Status:
        """How the service is doing now."""
        return Status(
            state=self.state,
            at_ms=int(time() * 1000),
            pid=os.getpid(),
            generation=0,
            owned=[],
            lag={},
            commits=0,
            counts=self.processor.counters,
            stats=self._taker.stats,
            last_snapshot=None,
            models=self._taker.models,
            quality=self._taker.quality,
            unknown_names={name: len(names) for name, names in self._taker.unknown_names.items()},
        )

    def _step(self) -> None:
        """Process what comes next, or notice that nothing does."""
        with suppress(Empty):
            self._process(self._mailbox.get(timeout=self._timeouts.queue_tick_s))
        self._serve_requests()
        if monotonic() >= self._next_flush:
            self._next_flush = monotonic() + self._timeouts.flush_every_s
            self._job.flush()
        self._taker.idle(self.processor.engine)

    def _process(self, item: _Item) -> None:
        if isinstance(item, BaseException):
            raise item
        if isinstance(item, _Requests):
            self._job.write(self.processor.process_requests(item.records))
            return
        for part in _slices(item or (), _SLICE):
            begun = monotonic()
            processed = self._job.process_events(part)
            self.processor.metrics.applied(len(part), begun)
            self._job.write(processed)
            self._serve_requests()
        if item is not None and not item:
            self._become_ready()

    def _serve_requests(self) -> None:
        self._request_queue.serve(self.processor, self._write_applied)

    def _become_ready(self) -> None:
        """All events that were there have been read."""
        if not self.is_ready:
            self._replay_journal()
            self.clock.begin(self.processor.engine.watermark)
            set_aside()
            self._lifecycle.enter(ServiceState.READY)

    def _replay_journal(self) -> None:
        """Apply what came over HTTP before this start, behind the files as it did then, and answer none of it again."""
        if self._journal is not None:
            decoder = EventDecoder()  # as the journal is written, whatever the files look like
            for records in self._journal.batches():
                decoded = decode_records(decoder, records)
                self.processor.process_events(Batch(records, decoded, np.zeros(len(records), np.bool_)))
            self.ingest.go_on_from(self._journal.n_lines)

    def _write_applied(self, commands: Sequence[ApplyEvents], outcome: Sequence[ProcessedBatch]) -> None:
        """Write what came over HTTP and was applied, before its senders are answered."""
        if self._journal is not None:
            self._journal.write([record.value for command in commands for record in command.records])
        for each in outcome:
            self._job.write(each)

    def _read(self) -> None:
        try:
            for item in self._items():
                if not self._put(item):
                    return
        except BaseException as error:  # noqa: BLE001  # raised on the thread that runs
            self._put(error)

    def _items(self) -> Iterator[list[Record] | _Requests]:
        """Return all that there is to be read; [] where nothing waits, and between events and requests."""
        yield from self._job.events.batches(self._job.batch_events)
        yield []
        if self._job.requests is not None:
            for records in self._job.requests.batches(_SLICE):
                yield _Requests(records) if records else records

    def _put(self, item: _Item) -> bool:
        while not self._over.is_set():
            with suppress(Full):
                self._mailbox.put(item, timeout=self._timeouts.queue_tick_s)
                return True
        return False

    def _wake(self) -> None:
        with suppress(Full):
            self._mailbox.put_nowait(None)


def _slices(records: Sequence[Record], n: int) -> Iterator[Sequence[Record]]:
    for start in range(0, len(records), n):
        yield records[start : start + n]
