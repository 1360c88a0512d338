"""Submitted bytes -> events, by the decoder that reads the log: a record means the same from a topic and over HTTP.

Knows nothing of HTTP. Keeps no state, so threads may share one.
"""

from collections.abc import Sequence

from stream_rec.core.events import EventDecoder, Reason
from stream_rec.errors import DecodeError
from stream_rec.service.consuming.record_decoder import Decode, RecordDecoder
from stream_rec.transport.decode import Decoded
from stream_rec.transport.records import Record

__all__ = ["RecordReader", "plain_reader"]

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
        decoded = self._decode(records).decoded
        if self._decode_untimed is not None:
            for place, each in enumerate(decoded):
                if isinstance(each, DecodeError) and each.reason == Reason.MISSING_FIELD:
                    (untimed,) = self._decode_untimed([records[place]]).decoded
                    if not isinstance(untimed, DecodeError):
                        decoded[place] = untimed
        return [(each,) for each in decoded]


plain_reader = RecordReader(RecordDecoder(EventDecoder(), has_log_times=True))
"""Reads records of the default rules."""
