"""Bytes or table rows -> events.

A valid record takes one call of compiled code. An invalid one is read again, slowly, to find exactly what is wrong.
Knows nothing of files, topics or clocks. JSON bytes and table rows pass the same checks, so that a reason means the
same for every format of the log.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from itertools import chain, islice
from operator import attrgetter
from typing import Any, Final

import msgspec
import numpy as np

from stream_rec.core.dtypes import I64
from stream_rec.core.events.fast import fast_reader, plain_reader
from stream_rec.core.events.json_text import elements_in, object_in
from stream_rec.core.events.paths import MAX_EVENTS, Paths, RecordParts, goes_through_arrays, joined
from stream_rec.core.events.rows import PlainRows
from stream_rec.core.events.rules import DecodeRules
from stream_rec.core.events.times import SURELY_SECONDS, time_reader
from stream_rec.core.events.tombstones import key_value, named_in
from stream_rec.core.events.types import FORGET, NO_LOG_TIME, VIEW, Event, Forget, Reason
from stream_rec.core.events.values import NULL_TEXTS, check_text_id, found, identifier, may_hold_null_text, null_id
from stream_rec.errors import DecodeError

__all__ = ["EventDecoder"]

_QUOTE: Final = ord('"')
_ARRAY: Final = b"["
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_TIME_OF: Final = attrgetter("timestamp")
_TYPE_OF: Final = attrgetter("type")


class EventDecoder:
    """Reads records under fixed rules. Keeps no state between records, so threads may share one.

    >>> from stream_rec import DecodeRules, EventDecoder, FieldMap
    >>> decoder = EventDecoder(DecodeRules(fields=FieldMap(item_id="sku"), timestamp_unit="s"))
    >>> decoder.decode(b'{"session_id": "ann", "sku": "tent", "timestamp": 1700000000}').timestamp
    1700000000000
    """

    def __init__(self, rules: DecodeRules | None = None) -> None:
        self.rules = rules or DecodeRules()
        self._names = self.rules.fields.as_dict()
        self._paths = Paths(self._names.values())
        self.makes_several = self._paths.makes_several
        """Whether fields lie in arrays, so that a record makes an event of each element: `decode_all` reads it."""
        self._is_id_shared = self.makes_several and not goes_through_arrays(self._names["event_id"])
        self._time = time_reader(self.rules.timestamp_unit, self.rules.timestamp_format, self.rules.time_zone)
        self._is_scaled = self.rules.timestamp_unit in {"us", "ns", "auto"}
        self._nulls = frozenset() if self.rules.lenient_ids else NULL_TEXTS
        self._refuses_floats = not self.rules.lenient_ids
        self._forgets = self.rules.forget_types | {FORGET}
        self._is_number = self.rules.timestamp_format is None and self.rules.timestamp_unit in {"s", "ms", "us", "ns"}
        self._fast = fast_reader(self.rules) or _always_slow
        self._plain = plain_reader(self.rules)
        self.reads_plain = self._plain is not None
        """Whether `decode_plain` may read anything."""
        self._rows = PlainRows(self.rules, self._time) if self._paths.is_plain else None
        self._max_bytes = self.rules.max_record_bytes
        self._max_id_chars = self.rules.max_id_chars

    def decode(  # noqa: C901, PLR0912 (a branch for each rare form; a call for each would double the cost)
        self, data: bytes, log_ms: int | None = None, beside: RecordParts | None = None
    ) -> Event | Forget:
        """Return the event, or the order to forget, in one JSON object. *log_ms* is when the log took it, if it says.

        *beside* is what stands beside the value in its record, for fields that are mapped to it. Raises DecodeError, at
        some ten times the cost of a valid record.
        """
        if len(data) > self._max_bytes:
            raise _too_large(self._max_bytes, len(data))
        try:
            row = self._fast(data)
            timestamp = row.timestamp
            if type(timestamp) is not int:
                timestamp = self._time(_plain(timestamp))
            elif self._is_scaled:
                timestamp = self._time(timestamp)
        # RecursionError: brackets nested a thousand deep.
        except (ValueError, RecursionError, DecodeError):
            return self._diagnose(data, log_ms, beside)
        session_id, item_id, kind = row.session_id, row.item_id, row.type
        event_id, user_id = row.event_id, row.user_id
        if type(session_id) is not str:
            session_id = str(session_id)
        if type(item_id) is not str:
            item_id = str(item_id)
        nulls = self._nulls
        if session_id in nulls or item_id in nulls:
            return self._diagnose(data, log_ms, beside)
        if event_id is not None and (type(event_id) is not str or not event_id or event_id in nulls):
            event_id = self._optional(event_id)
        if user_id is not None and (type(user_id) is not str or not user_id or user_id in nulls):
            if self.rules.session_from_user:
                return self._diagnose(data, log_ms, beside)
            user_id = self._optional(user_id)
        # `view` is by far the most common type, so it is tested first.
        if kind != VIEW or self.rules.types is not None:
            kind = self._optional(kind) or VIEW
            if kind in self._forgets or not self._accepts(kind):
                return self._diagnose(data, log_ms, beside)
        if log_ms is not None and not SURELY_SECONDS <= timestamp <= log_ms and self._is_wrong(timestamp, log_ms):
            return self._diagnose(data, log_ms, beside)
        return Event(session_id, item_id, timestamp, kind, event_id, user_id)

    def decode_plain(self, values: Sequence[bytes | None], log_times: I64 | None = None) -> list[Event]:
        """Return the events of the leading plain *values*, as `decode` would, at half the cost of each.

        *log_times*, [n] in ms, say when the log took each, NO_LOG_TIME where it does not say.

        Stops before the first value that is not plain, which `decode` can read; None is not plain either.
        """
        events: list[Event] = []
        if self._plain is None:
            return events
        with suppress(ValueError, TypeError, RecursionError):
            events.extend(map(self._plain, values))
        n = len(events)
        if n and max(map(len, values[:n])) > self._max_bytes:  # type: ignore[arg-type]  # None is no event
            n = next(place for place, value in enumerate(values) if value is None or len(value) > self._max_bytes)
        types = list(map(_TYPE_OF, events))
        if self.rules.types is not None or types.count(VIEW) < len(types):
            odd = {kind for kind in set(types) if kind == FORGET or kind in self._nulls or not self._accepts(kind)}
            n = min(n, next((place for place, kind in enumerate(types) if kind in odd), n))
        if n and self._nulls and may_hold_null_text(b"".join(values[:n])):  # type: ignore[arg-type]  # as above
            n = next((place for place in range(n) if not self._nulls.isdisjoint(_texts(events[place]))), n)
        if n and log_times is not None and self.rules.max_future_ms is not None:
            n = min(n, self._n_in_time(np.fromiter(map(_TIME_OF, events), np.int64, len(events)), log_times))
        return events[:n]

    def decode_plain_rows(self, rows: Sequence[Mapping[str, object]]) -> list[Event] | None:
        """Return the event in each of *rows*, one or more, as `decode_row` would, at half the cost.

        None if one of them is wrong or holds what few do: `decode_row` then reads each.
        """
        return None if self._rows is None else self._rows.read(rows)

    def decode_all(
        self, data: bytes, log_ms: int | None = None, beside: RecordParts | None = None
    ) -> list[Event | Forget | DecodeError]:
        """Return what each event says in a record that may hold several: an array of them, or one with `[]` in a path.

        The order is that of the record. An element that is unreadable gives its DecodeError, and so does a record
        without an element: there is at least one result.
        """
        if len(data) > self._max_bytes:
            return [_too_large(self._max_bytes, len(data))]
        try:
            decoded = list(islice(self._decoded_all(data, log_ms, beside), MAX_EVENTS + 1))
        except DecodeError as error:
            return [error.with_traceback(None)]
        if len(decoded) > MAX_EVENTS:
            message = f"expected at most {MAX_EVENTS} events in a record, found more"
            return [DecodeError(Reason.TOO_LARGE, message)]
        return decoded

    def decode_row(
        self, row: Mapping[str, object], log_ms: int | None = None, beside: RecordParts | None = None
    ) -> Event | Forget:
        """Return the event, or the order to forget, in one row of a table: column -> value; rows may be nested.

        Reads text, whole numbers and datetimes. An empty cell of an optional field counts as absent, as an empty text
        does in JSON. Raises DecodeError.
        """
        values = row if self._paths.is_plain else self._paths.read(row, beside)
        return self._flat_row(values, log_ms, are_cells=True)

    def decode_rows(
        self, row: Mapping[str, object], log_ms: int | None = None, beside: RecordParts | None = None
    ) -> list[Event | Forget | DecodeError]:
        """Return what each event says in a row that may hold several, as `decode_all` does."""
        return self._decoded_rows(self._paths.read_all(row, beside), log_ms, are_cells=True)

    def _decoded_rows(
        self, rows: Iterable[dict[str, object] | DecodeError], log_ms: int | None, *, are_cells: bool = False
    ) -> list[Event | Forget | DecodeError]:
        decoded: list[Event | Forget | DecodeError] = []
        for each in chain.from_iterable(map(self._spread, rows)):
            try:
                if isinstance(each, DecodeError):
                    decoded.append(each)
                    continue
                if self._is_id_shared:
                    self._number_id(each, len(decoded) + 1)
                decoded.append(self._flat_row(each, log_ms, are_cells=are_cells))
            except DecodeError as error:
                decoded.append(error.with_traceback(None))
        return decoded

    def _spread(self, values: dict[str, object] | DecodeError) -> Iterator[dict[str, object] | DecodeError]:
        """Return an event of each item, where the item is an array: other fields that are, are gone through with it."""
        items = None if isinstance(values, DecodeError) else values.get(self._names["item_id"])
        if isinstance(values, DecodeError) or not isinstance(items, list):
            yield values
            return
        arrays = {name: each for name, each in values.items() if isinstance(each, list)}
        if len(set(map(len, arrays.values()))) > 1:
            lengths = ", ".join(f"{name} has {len(each)}" for name, each in arrays.items())
            message = f"expected arrays of the same length, but {lengths} elements"
            yield DecodeError(Reason.NOT_A_ROW, message)
            return
        if not items:
            yield self._error(Reason.NOT_AN_EVENT, "item_id", "an empty array: there is no element, and so no event")
        is_id_shared = not self._is_id_shared and self._names["event_id"] not in arrays
        for place in range(len(items)):
            event = {**values, **{name: each[place] for name, each in arrays.items()}}
            if is_id_shared:
                self._number_id(event, place + 1)
            yield event

    def _number_id(self, values: dict[str, object], element: int) -> None:
        """Give an event the id of its record and its number: else the others of the record would be taken for it."""
        name = self._names["event_id"]
        event_id = values.get(name)
        if event_id is not None:
            values[name] = joined([identifier(self._label("event_id"), event_id, self._max_id_chars), str(element)])

    def _decoded_all(
        self, data: bytes, log_ms: int | None, beside: RecordParts | None
    ) -> Iterator[Event | Forget | DecodeError]:
        parts = [data]
        if data.lstrip()[:1] == _ARRAY:
            parts = list(map(bytes, elements_in(data)))
        for part in parts:
            if not self.makes_several:
                event = self._decoded(part, log_ms, beside)
                if not isinstance(event, DecodeError) or event.reason != Reason.WRONG_TYPE or _ARRAY not in part:
                    yield event
                    continue
            try:
                yield from self._decoded_rows(self._paths.read_all(object_in(part), beside), log_ms)
            except DecodeError as error:
                yield error.with_traceback(None)

    def _decoded(self, data: bytes, log_ms: int | None, beside: RecordParts | None) -> Event | Forget | DecodeError:
        try:
            return self.decode(data, log_ms, beside)
        except DecodeError as error:
            return error.with_traceback(None)

    def _flat_row(self, row: Mapping[str, object], log_ms: int | None, *, are_cells: bool = False) -> Event | Forget:
        """Return what *row* says, by the log's names; *are_cells*: of a table, where ids may have become floats."""
        kind = self._read_optional("type", row) or VIEW
        if kind in self._forgets:
            return self._forget(row)
        if not self.rules.accepts(kind):
            raise self._error(Reason.UNKNOWN_TYPE, "type", f"{found(kind)} is not let in")
        user_needed = self.rules.session_from_user
        check = are_cells and self._refuses_floats
        read_user = self._read_required if user_needed else self._read_optional
        return Event(
            "" if user_needed else self._read_required("session_id", row, check),
            self._read_required("item_id", row, check),
            self._read_time(row, log_ms),
            kind,
            self._read_optional("event_id", row),
            read_user("user_id", row, check),
        )

    def decode_tombstone(self, key: bytes | None) -> Forget:
        """Return the order to forget in a record with a key and no value: the key is the id of the session.

        If sessions are cut from users, it is the id of the user. See `tombstones` for the forms of a key. Raises
        DecodeError.
        """
        field = "user_id" if self.rules.session_from_user else "session_id"
        if not key:
            raise self._error(Reason.MISSING_FIELD, field, "expected as the key of a record without a value")
        try:
            value = self._in_key(key_value(key), field)
        except UnicodeDecodeError as error:
            raise self._error(Reason.NOT_UTF8, field, f"byte {error.start} of the key is not UTF-8") from None
        if value is None:
            message = "expected in the key of a record without a value, which is an object without it"
            raise self._error(Reason.MISSING_FIELD, field, message)
        name = identifier(self._label(field), value, self._max_id_chars)
        return Forget(user_id=name) if self.rules.session_from_user else Forget(session_id=name)

    def _in_key(self, key: object, field: str) -> object:
        """Return the id of *field* that *key* is; of an object, the one in it."""
        name = self._names[field]
        value = named_in(key, (name, field))
        if value is None and isinstance(key, Mapping):
            value = Paths([name]).read(key)[name]
        return value

    def _diagnose(self, data: bytes, log_ms: int | None, beside: RecordParts | None = None) -> Event | Forget:
        """Read *data* again, field by field: raise for what is wrong, or read a rare form."""
        row = object_in(data)
        values = row if self._paths.is_plain else self._paths.read(row, beside)
        return self._flat_row(values, log_ms)

    def _forget(self, row: Mapping[str, object]) -> Forget:
        session_id = self._read_optional("session_id", row)
        user_id = self._read_optional("user_id", row)
        if session_id is None and user_id is None:
            raise self._error(Reason.MISSING_FIELD, "session_id", "expected, or a user_id, to know what to forget")
        return Forget(session_id, user_id)

    def _read_required(self, field: str, row: Mapping[str, object], check: bool) -> str:
        value = row.get(self._names[field])
        if type(value) is str:
            if value in self._nulls:
                raise null_id(self._label(field), value)
            if check and not value.isalnum():
                check_text_id(self._label(field), value)
            if 0 < len(value) <= self._max_id_chars and value.isascii():
                return value
        if value is None:
            raise self._missing(field)
        return identifier(self._label(field), value, self._max_id_chars)

    def _read_optional(self, field: str, row: Mapping[str, object], check: bool = False) -> str | None:
        value = row.get(self._names[field])
        if value is None or value == "":
            return None
        if type(value) is str:
            if value in self._nulls:
                return None
            if check and not value.isalnum():
                check_text_id(self._label(field), value)
        return identifier(self._label(field), value, self._max_id_chars)

    def _read_time(self, row: Mapping[str, object], log_ms: int | None) -> int:
        value = row.get(self._names["timestamp"])
        if value is None or value == "":
            raise self._missing("timestamp")
        try:
            timestamp = self._time(value)
        except DecodeError as error:
            if type(value) is str and value in NULL_TEXTS:
                raise self._missing("timestamp") from None
            raise self._error(error.reason, "timestamp", error.message) from None
        if log_ms is not None and self._is_wrong(timestamp, log_ms):
            raise self._wrong_time(timestamp, log_ms)
        return timestamp

    def _optional(self, value: str | int | None) -> str | None:
        return None if value is None or value == "" or value in self._nulls else str(value)

    def _accepts(self, kind: str) -> bool:
        return self.rules.accepts(kind)

    def _is_wrong(self, timestamp: int, log_ms: int) -> bool:
        """Return whether the log cannot have taken an event of that time then."""
        ahead = self.rules.max_future_ms
        return ahead is not None and (
            timestamp > log_ms + ahead or (self._is_number and timestamp < SURELY_SECONDS <= log_ms < NO_LOG_TIME)
        )

    def _n_in_time(self, times: I64, log_times: I64) -> int:
        """Return how many of the leading *times* are not wrong; there may be more *log_times*."""
        log_times = log_times[: times.size]
        ahead = self.rules.max_future_ms or 0
        wrong = times > np.minimum(log_times, NO_LOG_TIME - ahead) + ahead
        if self._is_number:
            wrong |= (times < SURELY_SECONDS) & (log_times >= SURELY_SECONDS) & (log_times < NO_LOG_TIME)
        return int(wrong.argmax()) if wrong.any() else times.size

    def _wrong_time(self, timestamp: int, log_ms: int) -> DecodeError:
        if timestamp > log_ms:
            ahead_s = (timestamp - log_ms) // 1000
            message = f"{found(timestamp)} ms is {ahead_s} s ahead of {log_ms} ms, when the log took it"
            return self._error(Reason.FUTURE, "timestamp", message)
        coarser = {"ms": "s", "us": "ms", "ns": "us"}.get(self.rules.timestamp_unit)
        hint = f": if the log writes {coarser}, set the unit to {coarser}" if coarser else ""
        year = (_EPOCH + timedelta(milliseconds=timestamp)).year
        message = f"{found(timestamp)} ms is in the year {year}, long before the log took it{hint}"
        return self._error(Reason.BAD_TIME, "timestamp", message)

    def _missing(self, field: str) -> DecodeError:
        return self._error(Reason.MISSING_FIELD, field, "expected, found nothing")

    def _error(self, reason: str, field: str, message: str) -> DecodeError:
        return DecodeError(reason, f"{self._label(field)}: {message}")

    def _label(self, field: str) -> str:
        name = self._names[field]
        return field if name == field else f"{field} ({name})"


def _always_slow(data: bytes) -> Any:  # noqa: ANN401 (stands in for a reader of any Struct)
    raise ValueError(data)


def _plain(timestamp: str | msgspec.Raw) -> str:
    """Return the text of a time: the text between quotes, or the digits of a number as written."""
    if isinstance(timestamp, str):
        return timestamp
    raw = bytes(timestamp)
    return msgspec.json.decode(raw, type=str) if raw[0] == _QUOTE else raw.decode()


def _texts(event: Event) -> tuple[str | None, ...]:
    return event.session_id, event.item_id, event.event_id, event.user_id


def _too_large(limit: int, size: int) -> DecodeError:
    return DecodeError(Reason.TOO_LARGE, f"expected at most {limit} bytes, found {size}")
