"""Ways in for events that do not come from a source: handed over one by one, and acknowledged when they are safe.

On a broker they are written to the topic of events, and come back from there as all others do. Without one they go
straight into the state, and into a journal if there is one. Whoever hands them over does so from any thread, and
is told by the desk's `deliver`, as for everything else that is asked.
"""

import logging
from collections.abc import Callable, Sequence
from queue import Empty, Full, Queue
from threading import Event, Thread
from time import monotonic
from typing import Final, NamedTuple, Protocol

from stream_rec.core.events import Event as Click
from stream_rec.core.events import EventEncoder, Forget
from stream_rec.errors import RecordTooLargeError, StreamRecError, TransportError
from stream_rec.service.requests.request_queue import ApplyEvents, BusyError, Completed, Deliver, Ticket, deliver_all
from stream_rec.service.timeouts import TIMEOUTS, Timeouts
from stream_rec.transport.broker import Broker, ProducerRecord, Writer

__all__ = ["Ingest", "Receipt", "TopicIngest"]

log = logging.getLogger(__name__)

_MOST_WAITING: Final = 4096  # calls
_MOST_AT_ONCE: Final = 5000  # records

_Call = tuple[list[ProducerRecord], Ticket]


class Receipt(NamedTuple):
    """What was acknowledged: by `topic-partition`, the last offset that it has there."""

    offsets: dict[str, int]


class Ingest(Protocol):
    """Takes events and orders to forget."""

    is_durable: bool
    """Whether what was acknowledged outlives the process."""

    def put(self, events: Sequence[Click | Forget], token: object, deliver: Deliver) -> None:
        """Take *events*, in order; *deliver* gets *token* with a Receipt or an error. Raises BusyError."""

    def to_command(self, events: Sequence[Click | Forget]) -> ApplyEvents | None:
        """What to put on the desk to have *events* applied at once; None where they take the way through a log."""

    def close(self) -> None:
        """Write what was taken, and let go."""


class TopicIngest:
    """Writes to the topic of events, on a thread of its own: all that waits goes out together.

    *connect* makes a broker. A call that fails may have been written in part: give events an `event_id`, and send them
    again.
    """

    is_durable = True

    def __init__(
        self,
        connect: Callable[[], Broker],
        topic: str,
        encoder: EventEncoder,
        timeouts: Timeouts = TIMEOUTS,
        clock: Callable[[], float] = monotonic,
        most_waiting: int = _MOST_WAITING,
    ) -> None:
        self._connect = connect
        self._topic = topic
        self._encoder = encoder
        self._timeouts = timeouts
        self._clock = clock
        self._queue: Queue[_Call] = Queue(most_waiting)
        self._over = Event()
        self._broker: Broker | None = None
        self._writer: Writer | None = None
        self._not_before = 0.0
        self._failed: StreamRecError | None = None
        self._thread = Thread(target=self._run, name="inlet", daemon=True)
        self._thread.start()

    def put(self, events: Sequence[Click | Forget], token: object, deliver: Deliver) -> None:
        """Encode them as the topic has its records, and leave them to be written."""
        outgoing = [ProducerRecord(self._topic, *self._encoder.encode(event)) for event in events]
        try:
            self._queue.put_nowait((outgoing, Ticket(token, deliver)))
        except Full:
            raise BusyError("more events come than the broker takes") from None

    def to_command(self, events: Sequence[Click | Forget]) -> ApplyEvents | None:
        """None: they take the way through the topic."""
        del events
        return None

    def close(self) -> None:
        """Write what waits, and let go."""
        self._over.set()
        self._thread.join(self._timeouts.ingest_close_s)
        if self._thread.is_alive():
            log.warning("stopped before all events over HTTP were written: who sent them was not told that they were")

    def _run(self) -> None:
        while not (self._over.is_set() and self._queue.empty()):
            calls = self._next_calls()
            if calls:
                deliver_all(self._written(calls))
        self._let_go()

    def _next_calls(self) -> list[_Call]:
        try:
            calls = [self._queue.get(timeout=self._timeouts.ingest_tick_s)]
        except Empty:
            return []
        n = len(calls[0][0])
        while n < _MOST_AT_ONCE:
            try:
                calls.append(self._queue.get_nowait())
            except Empty:
                break
            n += len(calls[-1][0])
        return calls

    def _written(self, calls: list[_Call]) -> list[Completed]:
        """Write all calls in one go; one record that is too large must not fail the others."""
        if self._writer is None and self._failed is not None and self._clock() < self._not_before:
            # Nothing was tried, so the next try is not put off: with a call each second it would never come.
            return [Completed(token, self._failed) for _, token in calls]
        try:
            writer = self._ready_writer()
            places = iter(writer.append([each for outgoing, _ in calls for each in outgoing]))
        except RecordTooLargeError as error:
            if len(calls) == 1:
                return [Completed(calls[0][1], error)]
            if error.none_sent:
                return [done for call in calls for done in self._written([call])]
            # The broker found it, and may have taken others: to write them again by ourselves would double those.
            log.warning("%d calls with events over HTTP are told to send them again: %s", len(calls), error)
            again = TransportError(error.message, retriable=True)
            return [Completed(token, again) for _, token in calls]
        except Exception as error:  # noqa: BLE001  # whatever it is, who sends is told, and the next call is taken
            failed = (
                error if isinstance(error, StreamRecError) else TransportError(f"writing: {error!r}", retriable=True)
            )
            self._fail(failed)
            return [Completed(token, failed) for _, token in calls]
        done = []
        for outgoing, token in calls:
            offsets: dict[str, int] = {}
            for _ in outgoing:
                partition, offset = next(places)
                offsets[str(partition)] = offset
            done.append(Completed(token, Receipt(offsets)))
        return done

    def _ready_writer(self) -> Writer:
        if self._writer is None:
            self._broker = self._connect()
            self._writer = self._broker.writer(None)
        return self._writer

    def _fail(self, error: StreamRecError) -> None:
        """Begin anew with the next call, but not at once: each try may take long."""
        log.warning("events over HTTP cannot be written: %s", error)
        self._failed = TransportError(error.message, retriable=True)
        self._not_before = self._clock() + self._timeouts.ingest_retry_s
        self._let_go()

    def _let_go(self) -> None:
        for part in (self._writer, self._broker):
            if part is not None:
                try:
                    part.close()
                except StreamRecError as error:
                    log.debug("closing: %s", error)
        self._writer = self._broker = None
