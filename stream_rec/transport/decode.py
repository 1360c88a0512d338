"""Records to events: one parser for all transports, fast where many plain records come together."""

from collections.abc import Sequence

from stream_rec.core.events import Event, EventDecoder, Forget, is_empty_envelope
from stream_rec.errors import DecodeError
from stream_rec.transport.records import Record, Records

__all__ = ["Decoded", "decode_records"]

Decoded = Event | Forget | DecodeError


def decode_records(decoder: EventDecoder, records: Sequence[Record], now_ms: int | None = None) -> list[Decoded]:
    """Decode each of the *records*, in order; an unreadable one becomes its DecodeError."""
    if not isinstance(records, Records):
        return [_decoded(decoder, record, now_ms) for record in records]
    values = records.values
    decoded: list[Decoded] = []
    n_odd = 1
    while len(decoded) < len(values):
        plain = decoder.decode_plain(values[len(decoded) :] if decoded else values, now_ms)
        decoded += plain
        # Where few records are plain, trying costs more than it saves: so decode twice as many one by one.
        n_odd = 1 if len(plain) > n_odd else 2 * n_odd
        decoded += [_decoded(decoder, record, now_ms) for record in records[len(decoded) : len(decoded) + n_odd]]
    return decoded


def _decoded(decoder: EventDecoder, record: Record, now_ms: int | None) -> Decoded:
    try:
        if record.fault is not None:
            return DecodeError(*record.fault)
        if record.tombstone:  # planted bug: tombstone-ignored
            return decoder.decode_tombstone(record.key)
        if record.row is not None:
            return decoder.decode_row(record.row, now_ms)
        return _read(decoder, record, now_ms)
    except DecodeError as error:
        # Without its traceback, which would keep the whole batch in memory.
        return error.with_traceback(None)


def _read(decoder: EventDecoder, record: Record, now_ms: int | None) -> Event | Forget:
    """Return what the value says. A value that says in JSON that there is none makes a tombstone, too."""
    try:
        return decoder.decode(record.value, now_ms)
    except DecodeError:
        if is_empty_envelope(record.value):
            return decoder.decode_tombstone(record.key)
        raise
