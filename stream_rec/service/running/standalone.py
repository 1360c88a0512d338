"""A run that stays: the state in this process alone, files read to their end, then whatever comes over HTTP.

The thread that calls `run` is the recommender: it applies and answers what a reading thread hands it, events first and
then requests, and serves the desk in between. Only the reading thread waits for a pipe. Without a broker there is
nobody to hand over to and nothing to commit, so that is all.
"""

import logging
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from itertools import count
from queue import Empty, Full, Queue
from threading import Event, Thread
from time import monotonic, time
from typing import Final, Literal, NamedTuple

import numpy as np

from stream_rec.core.events import Event as Click
from stream_rec.core.events import EventDecoder, EventEncoder, Forget
from stream_rec.service.batches import ProcessedBatch
from stream_rec.service.metrics.format import show_duration
from stream_rec.service.reporting.quality_lines import quality_lines
from stream_rec.service.reporting.status import StatsTaker, Status
from stream_rec.service.reporting.summary import summary_lines
from stream_rec.service.requests.journal import Journal
from stream_rec.service.requests.request_queue import ApplyEvents, RequestQueue
from stream_rec.service.running.batch_job import BatchJob
from stream_rec.service.running.gc_tuning import set_aside
from stream_rec.transport.decode import decode_records
from stream_rec.transport.records import Record

__all__ = ["TOPIC", "StandaloneService", "StateInlet"]

log = logging.getLogger(__name__)

TOPIC: Final = "http"
"""What stands for the topic in log positions and dead letters of events that came over HTTP."""

_MAILBOX: Final = 4
_TICK_S: Final = 0.2
_SLICE: Final = 64
_FLUSH_EVERY_S: Final = 0.2


class StateInlet:
    """Puts events straight into the state: they are applied when the ticket comes. *encoder* writes them down."""

    def __init__(self, request_queue: RequestQueue, encoder: EventEncoder, *, is_durable: bool = False) -> None:
        self.is_durable = is_durable
        self._request_queue = request_queue
        self._encode = encoder.encode
        self._numbers = count()

    def go_on_from(self, number: int) -> None:
        """Number what comes from *number* on."""
        self._numbers = count(number)

    def put(self, events: Sequence[Click | Forget], token: object) -> None:
        """Queue them: the token comes back with `EventsApplied`."""
        self._request_queue.put(self.to_command(events), token)

    def to_command(self, events: Sequence[Click | Forget]) -> ApplyEvents:
        """Return the command that applies *events*."""
        records = []
        for event in events:
            value, key = self._encode(event)
            records.append(Record(value, TOPIC, 0, next(self._numbers), key))
        return ApplyEvents(records, events)

    def close(self) -> None:
        """Nothing is held."""


class LogClock:
    """Tells the time of events that do not tell their own: the wall's, or the log's that goes on from its end.

    *kind* is the setting `http_clock`; *retention_ms* is how long ago the log must have ended for `auto` to be `log`.
    """

    def __init__(
        self,
        kind: Literal["auto", "wall", "log"] = "auto",
        retention_ms: int | None = None,
        wall_ms: Callable[[], int] = lambda: int(time() * 1000),
    ) -> None:
        self._kind = kind
        self._retention_ms = retention_ms
        self._wall_ms = wall_ms
        self._behind_ms = 0

    def __call__(self) -> int:
        """The time in ms since 1970."""
        return self._wall_ms() - self._behind_ms

    def begin(self, watermark: int | None) -> None:
        """The files are read: decide, and say so where it is not the wall's."""
        if watermark is None or self._kind == "wall":
            return
        behind_ms = self._wall_ms() - watermark
        is_over = self._retention_ms is not None and behind_ms > self._retention_ms
        if self._kind == "log" or is_over:
            self._behind_ms = behind_ms
            told = show_duration(max(0, behind_ms))
            log.warning("the log ended %s ago: events over HTTP without a timestamp go on from there", told)


class _Requests(NamedTuple):
    """A batch of requests, behind all events."""

    records: list[Record]


class StandaloneService:
    """One run."""

    def __init__(
        self, job: BatchJob, request_queue: RequestQueue, journal: Journal | None = None, clock: LogClock | None = None
    ) -> None:
        self.clock = clock or LogClock("wall")
        self.state = "recovering"
        self.processor = job.processor
        self.ingest = StateInlet(request_queue, EventEncoder(), is_durable=journal is not None)
        self.taker = StatsTaker(quality=job.processor.quality)
        self._job = job
        self._request_queue = request_queue
        self._journal = journal
        self._mailbox: Queue[list[Record] | _Requests | BaseException | None] = Queue(_MAILBOX)
        """Batches of events, [] where nothing waits to be read, then requests, what failed, and None as a nudge."""
        self._over = Event()
        self._next_flush = 0.0
        self._begun = monotonic()

    def run(self, stop: Callable[[], bool], watch: Callable[["StandaloneService"], None] = lambda _: None) -> None:
        """Serve until told to *stop*; *watch* is called several times a second. Raises TransportError."""
        self._request_queue.took = self._took
        self._request_queue.wake = self._wake
        Thread(target=self._read, name="reader", daemon=True).start()
        try:
            while not stop():
                self._step()
                watch(self)
        finally:
            self.state = "stopping"
            self._over.set()
            self._request_queue.wake = lambda: None
            self._request_queue.refuse_all()
            self._job.flush()
        self.processor.counts.check()

    def summary(self) -> list[str]:
        """The run in a few lines."""
        stats, quality = self.processor.engine.stats(), self.processor.quality
        told = [] if quality is None else quality_lines(quality.report(stats.n_items))
        return summary_lines(self.processor.counts, stats, monotonic() - self._begun, quality=told)

    @property
    def status(self) -> Status:
        """How it does now."""
        return Status(
            state=self.state,
            at_ms=int(time() * 1000),
            pid=os.getpid(),
            generation=0,
            owned=[],
            lag={},
            commits=0,
            counts=self.processor.counts,
            stats=self.taker.stats,
            last_snapshot=None,
            models=self.taker.models,
            quality=self.taker.quality,
        )

    def _step(self) -> None:
        """Do what comes next, or notice that nothing does."""
        with suppress(Empty):
            self._take(self._mailbox.get(timeout=_TICK_S))
        self._request_queue.serve(self.processor)
        if monotonic() >= self._next_flush:
            self._next_flush = monotonic() + _FLUSH_EVERY_S
            self._job.flush()
        self.taker.idle(self.processor.engine)

    def _take(self, item: list[Record] | _Requests | BaseException | None) -> None:
        if isinstance(item, BaseException):
            raise item
        if isinstance(item, _Requests):
            self._job.write(self.processor.take_requests(item.records))
            return
        for part in _slices(item or (), _SLICE):
            begun = monotonic()
            taken = self.processor.take_events(part)
            self.processor.metrics.applied(len(part), begun)
            self._job.write(taken)
            self._request_queue.serve(self.processor)
        if item is not None and not item:
            self._idle()

    def _idle(self) -> None:
        """All that was there to be read has been."""
        if self.state != "ready":
            self._replay_journal()
            self.clock.begin(self.processor.engine.watermark)
            set_aside()
            self.state = "ready"

    def _replay_journal(self) -> None:
        """Apply what came over HTTP in earlier lives, behind the files as it did then, and answer none of it again."""
        if self._journal is not None:
            decoder = EventDecoder()  # as the inlet writes, whatever the files look like
            for records in self._journal.batches():
                decoded = decode_records(decoder, records)
                self.processor.take_decoded(records, decoded, np.zeros(len(records), np.bool_))
            self.ingest.go_on_from(self._journal.n_lines)

    def _took(self, asks: Sequence[ApplyEvents], taken: Sequence[ProcessedBatch]) -> None:
        """What came over HTTP was applied: write it down before anybody is told."""
        if self._journal is not None:
            self._journal.write([record.value for ask in asks for record in ask.records])
        for each in taken:
            self._job.write(each)

    def _read(self) -> None:
        try:
            for item in self._items():
                if not self._put(item):
                    return
        except BaseException as error:  # noqa: BLE001  # raised on the thread that runs
            self._put(error)

    def _items(self) -> Iterator[list[Record] | _Requests]:
        """All that there is to be read; an empty batch where nothing waits, and between events and requests."""
        yield from self._job.events.batches(self._job.batch_events)
        yield []
        if self._job.requests is not None:
            for records in self._job.requests.batches(_SLICE):
                yield _Requests(records) if records else records

    def _put(self, item: list[Record] | _Requests | BaseException) -> bool:
        while not self._over.is_set():
            with suppress(Full):
                self._mailbox.put(item, timeout=_TICK_S)
                return True
        return False

    def _wake(self) -> None:
        with suppress(Full):
            self._mailbox.put_nowait(None)


def _slices(records: Sequence[Record], n: int) -> Iterator[Sequence[Record]]:
    for start in range(0, len(records), n):
        yield records[start : start + n]
