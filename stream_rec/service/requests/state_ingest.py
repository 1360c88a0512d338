"""The way in for events over HTTP where there is no broker: straight into the state."""

from collections.abc import Callable, Sequence
from itertools import count
from typing import Final

from stream_rec.core.events import Event, EventEncoder, Forget
from stream_rec.service.requests.request_queue import ApplyEvents, Deliver, RequestQueue
from stream_rec.transport.records import Record

__all__ = ["TOPIC", "StateIngest"]

TOPIC: Final = "http"
"""The topic of events over HTTP, in offsets and dead letters."""


class StateIngest:
    """Applies events as commands of the request queue. *encoder* writes them as the journal has them.

    *now_ms* gives the time of their arrival, which is their log time.
    """

    def __init__(
        self,
        request_queue: RequestQueue,
        encoder: EventEncoder,
        now_ms: Callable[[], int],
        *,
        is_durable: bool = False,
    ) -> None:
        self.is_durable = is_durable
        self._now_ms = now_ms
        self._request_queue = request_queue
        self._encode = encoder.encode
        self._offsets = count()

    def go_on_from(self, offset: int) -> None:
        """Give the next event this *offset*."""
        self._offsets = count(offset)

    def put(self, events: Sequence[Event | Forget], token: object, deliver: Deliver) -> None:
        """Queue them: *deliver* gets *token* and `EventsApplied`."""
        self._request_queue.put(self.to_command(events), token, deliver)

    def to_command(self, events: Sequence[Event | Forget]) -> ApplyEvents:
        """Return the command that applies *events*."""
        records = []
        now_ms = self._now_ms()
        for event in events:
            value, key = self._encode(event)
            records.append(Record(value, TOPIC, 0, next(self._offsets), key, timestamp_ms=now_ms))
        return ApplyEvents(records, events)

    def close(self) -> None:
        """Do nothing: nothing is open."""
