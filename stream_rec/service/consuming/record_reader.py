"""Submitted bytes -> events, by the decoder that reads the log: a record means the same from a topic and over HTTP.

Knows nothing of HTTP. Keeps no state, so threads may share one.
"""

from collections.abc import Sequence

import msgspec

from stream_rec.core.events import DecodeRules, EventDecoder, Reason
from stream_rec.errors import DecodeError
from stream_rec.service.consuming.record_decoder import Decode, DecodedRecords, Opened, RecordDecoder
from stream_rec.transport.decode import Decoded
from stream_rec.transport.records import Record

__all__ = ["RecordReader", "plain_reader", "reader_of"]

_PLACE = "http"


class RecordReader:
    """Reads records by *decode*. One that lacks nothing but its time is read by *decode_untimed*, if there is one.

    That gives it the time at which it came.
    """

    def __init__(self, decode: Decode, decode_untimed: Decode | None = None) -> None:
        self._decode = decode
        self._decode_untimed = decode_untimed

    def __call__(self, values: Sequence[bytes], now_ms: int) -> list[Sequence[Decoded]]:
        """Return what each of *values* says, which came at *now_ms*: mostly one event."""
        records = [Record(value, _PLACE, 0, place, timestamp_ms=now_ms) for place, value in enumerate(values)]
        found = _by_record(self._decode(records), len(records))
        lacking = [place for place, events in enumerate(found) if any(map(_lacks_field, events))]
        if lacking and self._decode_untimed is not None:
            untimed = _by_record(self._decode_untimed([records[place] for place in lacking]), len(lacking))
            for place, events in zip(lacking, untimed, strict=True):
                found[place] = [
                    now if _lacks_field(own) and not isinstance(now, DecodeError) else own
                    for own, now in zip(found[place], events, strict=True)
                ]
        return found


def _by_record(read: DecodedRecords, n: int) -> list[Sequence[Decoded]]:
    """Return the events of each of the *n* records."""
    if read.of is None:
        return [(each,) for each in read.decoded]
    found: list[list[Decoded]] = [[] for _ in range(n)]
    for place, each in zip(read.of.tolist(), read.decoded, strict=True):
        found[place].append(each)
    return list(found)


def _lacks_field(event: Decoded) -> bool:
    return isinstance(event, DecodeError) and event.reason == Reason.MISSING_FIELD


def reader_of(rules: DecodeRules, opened: Opened | None = None) -> RecordReader:
    """Return the reader of records under *rules*; those without a time get the time at which they came.

    *opened* is called first, as in a `RecordDecoder`.
    """
    untimed = msgspec.structs.replace(
        rules,
        fields=msgspec.structs.replace(rules.fields, timestamp="@timestamp"),
        timestamp_unit="ms",
        timestamp_format=None,
    )
    decoders = (RecordDecoder(EventDecoder(each), has_log_times=True, opened=opened) for each in (rules, untimed))
    return RecordReader(*decoders)


plain_reader = reader_of(DecodeRules())
"""Reads records of the default rules."""
