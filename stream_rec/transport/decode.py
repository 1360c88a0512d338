"""Records to events: one parser for all transports, fast where many plain records come together."""

from collections.abc import Sequence
from itertools import repeat

from stream_rec.core.dtypes import I64
from stream_rec.core.events import Event, EventDecoder, Forget, is_empty_envelope
from stream_rec.errors import DecodeError
from stream_rec.transport.frames import is_framed, without_registry
from stream_rec.transport.records import Record, Records

__all__ = ["Decoded", "decode_records"]

Decoded = Event | Forget | DecodeError


def decode_records(decoder: EventDecoder, records: Sequence[Record], log_times: I64 | None = None) -> list[Decoded]:
    """Decode each of the *records*, in order; an unreadable one becomes its DecodeError.

    *log_times*, [n] in ms, say when the log took each; None: it does not say.
    """
    times: list[int] | repeat[None] = repeat(None) if log_times is None else log_times.tolist()
    if not isinstance(records, Records):
        return [_decoded(decoder, record, log_ms) for record, log_ms in zip(records, times, strict=False)]
    values = records.values
    decoded: list[Decoded] = []
    n_odd = 1
    while len(decoded) < len(values):
        done = len(decoded)
        rest = None if log_times is None else log_times[done:]
        plain = decoder.decode_plain(values[done:] if done else values, rest)
        decoded += plain
        # Where few records are plain, trying costs more than it saves: so decode twice as many one by one.
        n_odd = 1 if len(plain) > n_odd else 2 * n_odd
        odd = slice(len(decoded), len(decoded) + n_odd)
        odd_times = times if isinstance(times, repeat) else times[odd]
        decoded += [_decoded(decoder, record, log_ms) for record, log_ms in zip(records[odd], odd_times, strict=False)]
    return decoded


def _decoded(decoder: EventDecoder, record: Record, log_ms: int | None) -> Decoded:
    try:
        if record.fault is not None:
            return DecodeError(*record.fault)
        if record.tombstone:  # planted bug: tombstone-ignored
            return decoder.decode_tombstone(record.key)
        if record.row is not None:
            return decoder.decode_row(record.row, log_ms)
        if is_framed(record.value):
            return _read_unframed(decoder, record, log_ms)
        return _read(decoder, record, log_ms)
    except DecodeError as error:
        # Without its traceback, which would keep the whole batch in memory.
        return error.with_traceback(None)


def _read(decoder: EventDecoder, record: Record, log_ms: int | None) -> Event | Forget:
    """Return what the value says. A value that says in JSON that there is none makes a tombstone, too."""
    try:
        return decoder.decode(record.value, log_ms)
    except DecodeError:
        if is_empty_envelope(record.value):
            return decoder.decode_tombstone(record.key)
        if record.headers and (bare := without_registry(record)).fault is not None:
            raise DecodeError(*bare.fault) from None
        raise


def _read_unframed(decoder: EventDecoder, record: Record, log_ms: int | None) -> Event | Forget:
    """Return what the JSON behind a schema registry's frame says. Raises DecodeError where it is something else."""
    bare = without_registry(record)
    if bare.fault is not None:
        raise DecodeError(*bare.fault)
    return _read(decoder, bare, log_ms)
