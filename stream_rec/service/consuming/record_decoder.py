"""Records to events, on the consumer's side: the thread that reads records also decodes them.

Knows nothing of the engine's state, so that decoding runs beside it.
"""

from collections.abc import Callable, Sequence

from stream_rec.core.events import EventDecoder
from stream_rec.transport.decode import Decoded, decode_records
from stream_rec.transport.records import Record

__all__ = ["Decode", "RecordDecoder"]

Decode = Callable[[Sequence[Record]], list[Decoded]]
"""Returns what each of the records says, in order; for an unreadable one, why it is that."""


class RecordDecoder:
    """A `Decode` for records of events. *now_ms* gives the time by which an event is of the future; None: none is.

    For one thread.
    """

    def __init__(self, decoder: EventDecoder, now_ms: Callable[[], int] | None = None) -> None:
        self._decoder = decoder
        self._now_ms = now_ms

    def __call__(self, records: Sequence[Record]) -> list[Decoded]:
        """Decode *records*. The clock is read once for all of them."""
        return decode_records(self._decoder, records, None if self._now_ms is None else self._now_ms())
