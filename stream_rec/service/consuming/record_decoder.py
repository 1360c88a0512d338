"""Records to events, on the consumer's side: the thread that reads records also decodes them.

Knows nothing of the engine's state, so that decoding runs beside it.
"""

from collections.abc import Callable, Sequence
from contextlib import suppress
from operator import attrgetter
from typing import Final, NamedTuple

from stream_rec.core.dtypes import I32, I64, Mask
from stream_rec.core.events import Event, EventDecoder, Reason
from stream_rec.core.limits import DAY_MS
from stream_rec.errors import DecodeError
from stream_rec.service.batches import Batch
from stream_rec.service.consuming.ordered_records import OrderedRecords
from stream_rec.transport.decode import Decoded, decode_records
from stream_rec.transport.records import Record, Records

__all__ = ["Decode", "DecodedRecords", "Opened", "RecordDecoder"]


_TIME_OF: Final = attrgetter("timestamp")


class DecodedRecords(NamedTuple):
    """What records say, event by event, and when the log took them."""

    decoded: list[Decoded]
    """[n] For what is unreadable, why it is that."""
    log_times: I64 | None = None
    """[n] ms, NO_LOG_TIME for a record that does not say; None: none does."""
    of: I64 | None = None
    """[n] the place of the record that each is of; None: each record makes one event."""
    elements: I32 | None = None
    """[n] which event of its record each is, from 1; 0 for the one of a record that cannot hold several."""

    def records_of(self, records: Sequence[Record]) -> Sequence[Record]:
        """Return the record of each event, [n], where *records* say this."""
        return records if self.of is None else Records.of(records).at(self.of.tolist())

    def batch(self, records: Sequence[Record], is_owned: Mask | None = None) -> Batch:
        """Return *records*, which say this, as a batch: event by event, and so is *is_owned*."""
        return Batch(self.records_of(records), self.decoded, is_owned, log_times=self.log_times, elements=self.elements)


Opened = Callable[[Sequence[Record]], Records]
"""Makes of records in other formats those that the decoder reads, in order."""

Decode = Callable[[Sequence[Record]], DecodedRecords]
"""Returns what each of the records says, in order, event by event."""


class RecordDecoder:
    """A `Decode` for records of events. With *has_log_times*, the records say when the log took them.

    Where they do not (a file, a pipe), only this is known: none was taken after it was read. *read_at_ms* gives the
    time of reading; an event more than a day beyond it and the limit of the future is rejected as `future`. A day,
    because a file may be in a local time. None: no event is. With *drops_repeats*, an event without an id gets one of
    what it says, so that its repetition is a duplicate.

    *opened* is called first. Where it asks a schema registry, a call raises RegistryUnavailableError for the first
    record whose schema is not known yet.
    """

    def __init__(
        self,
        decoder: EventDecoder,
        *,
        has_log_times: bool = False,
        read_at_ms: Callable[[], int] | None = None,
        drops_repeats: bool = False,
        opened: Opened | None = None,
    ) -> None:
        self._decoder = decoder
        self._has_log_times = has_log_times
        self._read_at_ms = read_at_ms
        self._drops_repeats = drops_repeats
        self._opened = opened

    def __call__(self, records: Sequence[Record]) -> DecodedRecords:
        """Decode *records*, unless that is done."""
        if isinstance(records, OrderedRecords):
            return DecodedRecords(records.decoded, elements=records.elements())
        read = self._read(records)
        if self._drops_repeats:
            _name_by_content(read.decoded)
        return read

    def _read(self, records: Sequence[Record]) -> DecodedRecords:
        log_times = None
        if self._has_log_times:
            # planted bug: judged-at-reading
            log_times = Records.of(records).log_times
        if self._opened is not None:
            records = self._opened(records)
        decoded, of, elements = decode_records(self._decoder, records, log_times)
        if log_times is not None:
            return DecodedRecords(decoded, log_times if of is None else log_times[of], of, elements)
        ahead_ms = self._decoder.rules.max_future_ms
        if self._read_at_ms is not None and ahead_ms is not None:
            _reject_beyond(self._read_at_ms() + ahead_ms + DAY_MS, decoded)
        return DecodedRecords(decoded, None, of, elements)


def _reject_beyond(latest_ms: int, decoded: list[Decoded]) -> None:
    with suppress(AttributeError):  # mostly there are only events, and none of them is
        if max(map(_TIME_OF, decoded), default=0) <= latest_ms:
            return
    for place, each in enumerate(decoded):
        if type(each) is Event and each.timestamp > latest_ms:
            message = f"timestamp: {each.timestamp} ms is more than a day ahead of this machine's clock"
            decoded[place] = DecodeError(Reason.FUTURE, message)


def _name_by_content(decoded: list[Decoded]) -> None:
    for place, each in enumerate(decoded):
        if type(each) is Event and each.event_id is None:
            event_id = f"{each.timestamp}/{each.type}/{each.user_id}/{each.item_id}"
            decoded[place] = Event(each.session_id, each.item_id, each.timestamp, each.type, event_id, each.user_id)
