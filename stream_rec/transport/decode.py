"""Records to events: one parser for all transports, fast where many plain records come together.

A record makes one event, or several: an array of them, or an array in it that a path goes through.
"""

from collections.abc import Sequence
from itertools import repeat
from operator import attrgetter
from typing import Final, NamedTuple

import numpy as np

from stream_rec.core.dtypes import I32, I64
from stream_rec.core.events import Event, EventDecoder, Forget, Reason, is_empty_envelope
from stream_rec.errors import DecodeError
from stream_rec.transport.frames import is_framed, without_registry
from stream_rec.transport.records import Record, Records

__all__ = ["Decoded", "DecodedEvents", "decode_records"]

Decoded = Event | Forget | DecodeError

_ARRAY: Final = b"["
_ROWS: Final = 512
_ROW_OF: Final = attrgetter("row")
_FAULT_OF: Final = attrgetter("fault")


class DecodedEvents(NamedTuple):
    """What records say, event by event."""

    decoded: list[Decoded]
    """For what is unreadable, why it is that."""
    of: I64 | None = None
    """[n] the place, among the records, of the one that each is of; None: each record makes one event."""
    elements: I32 | None = None
    """[n] which event of its record each is, from 1; 0 for the one of a record that cannot hold several."""


def decode_records(decoder: EventDecoder, records: Sequence[Record], log_times: I64 | None = None) -> DecodedEvents:
    """Decode each of the *records*, in order; what is unreadable becomes its DecodeError.

    *log_times*, [n] in ms, say when the log took each; None: it does not say.
    """
    times: list[int] | repeat[None] = repeat(None) if log_times is None else log_times.tolist()
    if decoder.reads_plain and not isinstance(records, Records) and all(map(_is_bytes, records)):
        records = Records.of(records)
    if not isinstance(records, Records):
        if log_times is None and records and records[0].row is not None:
            return _flat(_decoded_rows(decoder, records))
        return _flat([_decoded(decoder, record, log_ms) for record, log_ms in zip(records, times, strict=False)])
    values = records.values
    decoded: list[Decoded | list[Decoded]] = []
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
    return _flat(decoded)


def _decoded_rows(decoder: EventDecoder, records: Sequence[Record]) -> list[Decoded | list[Decoded]]:
    """Return what each of *records* says, which are rows of a table: column by column, where some hundred are plain."""
    decoded: list[Decoded | list[Decoded]] = []
    for start in range(0, len(records), _ROWS):
        some = records[start : start + _ROWS]
        rows = list(map(_ROW_OF, some))
        is_plain = None not in rows and set(map(_FAULT_OF, some)) == {None}
        plain = decoder.decode_plain_rows(rows) if is_plain else None
        decoded += [_decoded(decoder, record, None) for record in some] if plain is None else plain
    return decoded


def _is_bytes(record: Record) -> bool:
    """Whether its value is all that there is to read."""
    return record.row is None and record.fault is None


def _flat(found: list[Decoded | list[Decoded]]) -> DecodedEvents:
    """Return what each record makes, one after the other."""
    if list not in set(map(type, found)):
        return DecodedEvents(found)  # type: ignore[arg-type]  # there is no list
    decoded: list[Decoded] = []
    of: list[int] = []
    elements: list[int] = []
    for place, each in enumerate(found):
        if isinstance(each, list):
            decoded += each
            of += [place] * len(each)
            elements += range(1, len(each) + 1)
        else:
            decoded.append(each)
            of.append(place)
            elements.append(0)
    return DecodedEvents(decoded, np.array(of, np.int64), np.array(elements, np.int32))


def _decoded(decoder: EventDecoder, record: Record, log_ms: int | None) -> Decoded | list[Decoded]:
    try:
        if record.fault is not None:
            return DecodeError(*record.fault)
        if record.tombstone:  # planted bug: tombstone-ignored
            return decoder.decode_tombstone(record.key)
        if record.row is not None:
            if decoder.makes_several:
                return decoder.decode_rows(record.row, log_ms, record)
            return decoder.decode_row(record.row, log_ms, record)
        if is_framed(record.value) or (record.headers and decoder.makes_several):
            return _read_unframed(decoder, record, log_ms)
        return _read(decoder, record, log_ms)
    except DecodeError as error:
        if record.row is not None and error.reason == Reason.WRONG_TYPE:  # perhaps an array in place of the item
            return _all_or_one(decoder.decode_rows(record.row, log_ms, record))
        # Without its traceback, which would keep the whole batch in memory.
        return error.with_traceback(None)


def _read(decoder: EventDecoder, record: Record, log_ms: int | None) -> Decoded | list[Decoded]:
    """Return what the value says. A value that says in JSON that there is none makes a tombstone, too."""
    value = record.value
    if decoder.makes_several or value.startswith(_ARRAY):
        return decoder.decode_tombstone(record.key) if is_empty_envelope(value) else _read_all(decoder, record, log_ms)
    try:
        return decoder.decode(value, log_ms, record)
    except DecodeError as error:
        if is_empty_envelope(value):
            return decoder.decode_tombstone(record.key)
        # An array at the top, or one in place of the item.
        if error.reason == Reason.WRONG_TYPE and _ARRAY in value:
            return _all_or_one(_read_all(decoder, record, log_ms))
        if record.headers and (bare := without_registry(record)).fault is not None:
            raise DecodeError(*bare.fault) from None
        raise


def _read_unframed(decoder: EventDecoder, record: Record, log_ms: int | None) -> Decoded | list[Decoded]:
    """Return what the JSON behind a schema registry's frame says. Raises DecodeError where it is something else."""
    bare = without_registry(record)
    if bare.fault is not None:
        raise DecodeError(*bare.fault)
    return _read(decoder, bare, log_ms)


def _all_or_one(found: list[Decoded]) -> Decoded | list[Decoded]:
    """Return why the record is unreadable, if that is all."""
    return found[0] if len(found) == 1 and isinstance(found[0], DecodeError) else found


def _read_all(decoder: EventDecoder, record: Record, log_ms: int | None) -> list[Decoded]:
    return decoder.decode_all(record.value, log_ms, record)
