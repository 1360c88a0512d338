"""Takes in events that do not come from a source, such as those over HTTP, and acknowledges them once they are safe.

On a broker, events are written to their topic and come back from there as all others do. Without a broker they are
applied directly, and written to a journal if there is one. Any thread may call; results come by the request queue's
`deliver`, as for every command.
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
    """What was written: by `topic-partition`, the last offset there."""

    offsets: dict[str, int]


class Ingest(Protocol):
    """Takes in events and orders to forget."""

    is_durable: bool
    """Whether acknowledged events outlive the process."""

    def put(self, events: Sequence[Click | Forget], token: object, deliver: Deliver) -> None:
        """Take *events*, in order; *deliver* gets *token* with a Receipt or an error. Raises BusyError."""

    def to_command(self, events: Sequence[Click | Forget]) -> ApplyEvents | None:
        """Return the command that applies *events* directly; None if they go through a log."""

    def close(self) -> None:
        """Write all that was taken, then release everything."""


class TopicIngest:
    """Writes to the topic of events, on a thread of its own: all waiting calls are written together.

    *connect* makes a broker. A call that fails may have been written in part: callers should give events an `event_id`
    and send them again. After a failure the next try to connect is *retry_s* later by *clock*.
    """

    is_durable = True

    def __init__(
        self,
        connect: Callable[[], Broker],
        topic: str,
        encoder: EventEncoder,
        *,
        timeouts: Timeouts = TIMEOUTS,
        most_waiting: int = _MOST_WAITING,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._connect = connect
        self._topic = topic
        self._encoder = encoder
        self._timeouts = timeouts
        self._queue: Queue[_Call] = Queue(most_waiting)
        self._over = Event()
        self._broker: Broker | None = None
        self._writer: Writer | None = None
        self._clock = clock
        self._retry_at = 0.0
        self._failed: StreamRecError | None = None
        self._thread = Thread(target=self._run, name="ingest", daemon=True)
        self._thread.start()

    def put(self, events: Sequence[Click | Forget], token: object, deliver: Deliver) -> None:
        """Encode *events* as records of the topic, and queue them."""
        records = [ProducerRecord(self._topic, *self._encoder.encode(event)) for event in events]
        try:
            self._queue.put_nowait((records, Ticket(token, deliver)))
        except Full:
            raise BusyError("events arrive faster than the broker takes them") from None

    def to_command(self, events: Sequence[Click | Forget]) -> ApplyEvents | None:
        """Return None: events go through the topic."""
        del events
        return None

    def close(self) -> None:
        """Write all waiting events, for at most `ingest_close_s`, then release everything."""
        self._over.set()
        self._thread.join(self._timeouts.ingest_close_s)
        if self._thread.is_alive():
            log.warning("stopped before all HTTP events were written; their senders received no acknowledgement")

    def _run(self) -> None:
        while not (self._over.is_set() and self._queue.empty()):
            calls = self._next_calls()
            if calls:
                deliver_all(self._written(calls))
        self._disconnect()

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
        """Write all calls together; one record that is too large must not fail the others."""
        if self._writer is None and self._failed is not None and self._clock() < self._retry_at:
            # Refused without a try, and so without a new delay: else a call each second would put off every try.
            return [Completed(token, self._failed) for _, token in calls]
        try:
            writer = self._ready_writer()
            placed = iter(writer.append([each for records, _ in calls for each in records]))
        except RecordTooLargeError as error:
            if len(calls) == 1:
                return [Completed(calls[0][1], error)]
            if error.none_sent:
                return [done for call in calls for done in self._written([call])]
            # The broker rejected it, and may have taken other records: a second write of ours would double those.
            log.warning("%d calls with HTTP events must be sent again by their senders: %s", len(calls), error)
            again = TransportError(error.message, retriable=True)
            return [Completed(token, again) for _, token in calls]
        except Exception as error:  # noqa: BLE001  # the senders get any error, and the thread goes on
            failed = (
                error if isinstance(error, StreamRecError) else TransportError(f"writing: {error!r}", retriable=True)
            )
            self._fail(failed)
            return [Completed(token, failed) for _, token in calls]
        done = []
        for records, token in calls:
            offsets: dict[str, int] = {}
            for _ in records:
                partition, offset = next(placed)
                offsets[str(partition)] = offset
            done.append(Completed(token, Receipt(offsets)))
        return done

    def _ready_writer(self) -> Writer:
        if self._writer is None:
            self._broker = self._connect()
            self._writer = self._broker.writer(None)
        return self._writer

    def _fail(self, error: StreamRecError) -> None:
        """Connect again for a later call, after a delay: each try may take long."""
        log.warning("cannot write HTTP events: %s", error)
        self._failed = TransportError(error.message, retriable=True)
        self._retry_at = self._clock() + self._timeouts.ingest_retry_s
        self._disconnect()

    def _disconnect(self) -> None:
        for part in (self._writer, self._broker):
            if part is not None:
                try:
                    part.close()
                except StreamRecError as error:
                    log.debug("closing: %s", error)
        self._writer = self._broker = None
