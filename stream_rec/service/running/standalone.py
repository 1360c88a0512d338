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
from stream_rec.errors import StreamRecError, UnwrittenError
from stream_rec.service.activity import Activity, ActivityLog, Doing, Phase
from stream_rec.service.batches import ProcessedBatch
from stream_rec.service.consuming.ordered_records import NOT_YET
from stream_rec.service.consuming.record_decoder import RecordDecoder
from stream_rec.service.consuming.time_order import TimeOrder
from stream_rec.service.problems import ProblemKind, Problems
from stream_rec.service.reporting.list_names import unknown_names
from stream_rec.service.reporting.quality_lines import quality_lines
from stream_rec.service.reporting.status import StatsTaker, Status
from stream_rec.service.reporting.summary import summary_lines
from stream_rec.service.requests.journal import Journal
from stream_rec.service.requests.request_queue import ApplyEvents, NotTakenError, RequestQueue
from stream_rec.service.requests.state_ingest import StateIngest
from stream_rec.service.running.batch_job import BatchJob
from stream_rec.service.running.gc_tuning import set_aside
from stream_rec.service.running.log_clock import LogClock
from stream_rec.service.state import Lifecycle, ServiceState
from stream_rec.service.timeouts import TIMEOUTS, Timeouts
from stream_rec.transport.records import Record

__all__ = ["StandaloneService"]

_MAILBOX: Final = 4
_SLICE: Final = 64


class _Requests(NamedTuple):
    """A batch of requests, behind all events."""

    records: Sequence[Record]


_Item = Sequence[Record] | _Requests | BaseException | None
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
        self.activity = Activity()
        self.problems = Problems()
        self.clock = clock or LogClock("wall")
        self.processor = job.processor
        self.ingest = StateIngest(request_queue, EventEncoder(), self.clock, is_durable=journal is not None)
        self._taker = StatsTaker(quality=job.processor.quality, timeouts=timeouts)
        self._job = job
        self._request_queue = request_queue
        self._journal = journal
        self._timeouts = timeouts
        self._activity_log = ActivityLog(timeouts=timeouts)
        self._lifecycle = Lifecycle(ServiceState.RECOVERING)
        self._mailbox: Queue[_Item] = Queue(_MAILBOX)
        self._over = Event()
        self._next_flush = 0.0
        self._next_trial = 0.0
        self._unwritten: UnwrittenError | None = None
        """Why answers or dead letters wait here: nothing more is applied until they are written."""
        self._stop: Callable[[], bool] = lambda: False
        self._begun = monotonic()

    @property
    def state(self) -> ServiceState:
        """What the service is doing now."""
        return self._lifecycle.state

    @property
    def is_ready(self) -> bool:
        """Whether the service answers."""
        return self._lifecycle.is_ready

    @property
    def doing(self) -> Doing:
        """The same in detail: how far it is, while it is not ready."""
        return self.activity.now([each.kind for each in self.problems.now if each.blocks])

    def run(self, stop: Callable[[], bool], on_tick: Callable[["StandaloneService"], None] = lambda _: None) -> None:
        """Serve until *stop* says so; *on_tick* is called several times a second. Raises TransportError."""
        self._stop = stop
        self.activity.begin(Phase.READING)
        Thread(target=self._read, name="reader", daemon=True).start()
        try:
            with self._request_queue.serving(self._wake):
                while not stop():
                    self._step()
                    on_tick(self)
        finally:
            self._lifecycle.enter(ServiceState.STOPPING)
            self.activity.begin(Phase.STOPPING)
            self._over.set()
            self._request_queue.refuse_all()
            self._job.flush()
        self.processor.counters.check()

    def summary(self) -> list[str]:
        """Return the run in a few lines."""
        stats, quality = self.processor.engine.stats(), self.processor.quality
        lines = [] if quality is None else quality_lines(quality.report(stats.n_items))
        seconds, leap = monotonic() - self._begun, self.processor.largest_leap
        engine = self.processor.engine
        return summary_lines(
            self.processor.counters,
            stats,
            seconds,
            quality=lines,
            orders=engine.learned_orders(),
            unknown=unknown_names(engine),
            leap=leap,
        )

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
            orders=self._taker.orders,
            quality=self._taker.quality,
            unknown_names={name: len(names) for name, names in self._taker.unknown_names.items()},
            largest_leap=self.processor.largest_leap,
            problems=self.problems.now,
            doing=self.doing,
        )

    def _step(self) -> None:
        """Process what comes next, or notice that nothing does."""
        self._report()
        with suppress(Empty):
            self._process(self._mailbox.get(timeout=self._timeouts.queue_tick_s))
        self._serve_requests()
        if monotonic() >= self._next_flush:
            self._flush()
        self._wait_until_written()
        self._try_journal_again()
        self._taker.idle(self.processor.engine)

    def _process(self, item: _Item) -> None:
        if isinstance(item, BaseException):
            raise item
        if isinstance(item, _Requests):
            self._write(self.processor.process_requests(item.records))
            self._wait_until_written()
            return
        for part in _slices(item or (), _SLICE):
            begun = monotonic()
            processed = self._job.process_events(part)
            self.processor.metrics.applied(len(part), begun)
            self._write(processed)
            self._wait_until_written()
            if self._unwritten is not None:
                return  # it is to stop
            self._serve_requests()
            self._report()
        if item is not None and not item:
            self._become_ready()

    def _report(self) -> None:
        """Note how far the events are read, and log it now and then."""
        if self.is_ready:
            return
        n_read, events = self.processor.counters.n_read, self._job.events
        n_all = events.n_records if isinstance(events, TimeOrder) else None
        if n_all is not None:
            self.activity.begin(Phase.APPLYING)
            self.activity.advance(n_read, n_all)
        else:
            progress = self._job.progress
            share = progress.bytes_read / progress.total_bytes if progress.total_bytes else None
            self.activity.advance(n_read, share=share)
        self._activity_log(lambda: self.doing)

    def _write(self, processed: ProcessedBatch) -> None:
        try:
            self._job.write(processed)
        except UnwrittenError as error:
            self._blocked(error)

    def _flush(self) -> None:
        self._next_flush = monotonic() + self._timeouts.flush_every_s
        try:
            self._job.flush()
        except UnwrittenError as error:
            self._blocked(error)
        else:
            self._unwritten = None
            self.problems.end(ProblemKind.FILES)

    def _blocked(self, error: UnwrittenError) -> None:
        """Go on without writing: answers over HTTP go on, and nothing more is applied meanwhile."""
        self._unwritten = error
        self.problems.begin(
            ProblemKind.FILES, f"{error.message}; nothing is applied, and events over HTTP are refused, until it can be"
        )

    def _wait_until_written(self) -> None:
        """Answer requests, and try again now and then."""
        while self._unwritten is not None and not self._stop():
            self._over.wait(self._timeouts.flush_every_s)
            self._serve_requests()
            self._flush()

    def _serve_requests(self) -> None:
        self._request_queue.serve(self.processor, self._write_applied, self._write_journal)

    def _become_ready(self) -> None:
        """All events that were there have been read."""
        if not self.is_ready:
            self._replay_journal()
            self.clock.begin(self.processor.engine.watermark)
            set_aside()
            self._lifecycle.enter(ServiceState.READY)
            self.activity.begin(Phase.READY)

    def _replay_journal(self) -> None:
        """Apply what came over HTTP before this start, behind the files as it did then, and answer none of it again."""
        if self._journal is not None:
            self.activity.begin(Phase.JOURNAL)
            # As the journal is written, whatever the files look like.
            decode = RecordDecoder(EventDecoder(), has_log_times=True)
            for records in self._journal.batches():
                followed = np.zeros(len(records), np.bool_)
                self.processor.process_events(decode(records).batch(records, followed))
                self._activity_log(lambda: self.doing)
            self.ingest.go_on_from(self._journal.n_lines)

    def _write_journal(self, commands: Sequence[ApplyEvents]) -> None:
        """Write what came over HTTP before it is applied: what cannot be written must not be in the state."""
        if self._unwritten is not None:
            raise NotTakenError(f"{self._unwritten.message}; none of these events was taken")
        if self._journal is None:
            return
        try:
            self._journal.write([record for command in commands for record in command.records])
        except StreamRecError as error:
            self._note_journal(error)
            raise NotTakenError(f"{error.message}; none of these events was taken") from error
        self.problems.end(ProblemKind.JOURNAL)

    def _note_journal(self, error: StreamRecError) -> None:
        self.problems.begin(ProblemKind.JOURNAL, f"{error.message}; events over HTTP are refused until it can be")

    def _try_journal_again(self) -> None:
        """See now and then whether a journal that could not be written can be."""
        if self._journal is None or self._journal.trouble is None or monotonic() < self._next_trial:
            return
        self._next_trial = monotonic() + self._timeouts.journal_retry_s
        if self._journal.try_again():
            self.problems.end(ProblemKind.JOURNAL)
        elif self._journal.trouble is not None:
            self._note_journal(self._journal.trouble)

    def _write_applied(self, commands: Sequence[ApplyEvents], outcome: Sequence[ProcessedBatch]) -> None:
        """Write the answers and dead letters of what came over HTTP, before its senders are answered."""
        del commands
        for each in outcome:
            self._write(each)

    def _read(self) -> None:
        try:
            for item in self._items():
                if not self._put(item):
                    return
        except BaseException as error:  # noqa: BLE001  # raised on the thread that runs
            self._put(error)

    def _items(self) -> Iterator[Sequence[Record] | _Requests]:
        """Return all that there is to be read; [] where nothing waits, and between events and requests."""
        yield from (batch for batch in self._job.events.batches(self._job.batch_events) if batch is not NOT_YET)
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
