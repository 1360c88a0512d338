"""Bytes or table rows -> events.

A valid record takes one call of compiled code. An invalid one is read again, slowly, to find exactly what is wrong.
Knows nothing of files, topics or clocks. JSON bytes and table rows pass the same checks, so that a reason means the
same for every format of the log.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from operator import attrgetter
from typing import Annotated, Any, Final

import msgspec
import numpy as np
from msgspec import Meta

from stream_rec.core.dtypes import I64
from stream_rec.core.events.times import SURELY_SECONDS, time_reader
from stream_rec.core.events.tombstones import key_value, named_in
from stream_rec.core.events.types import FORGET, MAX_ID_CHARS, MAX_TIME_MS, NO_LOG_TIME, VIEW, Event, Forget, Reason
from stream_rec.core.events.values import found, identifier
from stream_rec.errors import DecodeError, SettingsError

__all__ = ["DecodeRules", "EventDecoder", "FieldMap"]

_QUOTE: Final = ord('"')
_INTEGER: Final = re.compile(rb"-?[0-9]{1,1000}")
_NUMBER_START: Final = frozenset(b"-0123456789")
_CONTAINERS: Final[dict[int, object]] = {ord("["): [], ord("{"): {}}
_INT64_MAX: Final = (1 << 63) - 1
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_TIME_OF: Final = attrgetter("timestamp")
_TYPE_OF: Final = attrgetter("type")


class FieldMap(msgspec.Struct, frozen=True, kw_only=True):
    """The log's name of each field of an event: a JSON key, or the name or index of a column.

    >>> from stream_rec import FieldMap
    >>> FieldMap(session_id="VisitId", item_id="ProductId").item_id
    'ProductId'
    """

    session_id: str = "session_id"
    item_id: str = "item_id"
    timestamp: str = "timestamp"
    type: str = "type"
    event_id: str = "event_id"
    user_id: str = "user_id"

    @classmethod
    def parse(cls, pairs: Iterable[str]) -> "FieldMap":
        """Return the map of texts such as `session_id=SessionId`. Raises SettingsError, naming the invalid one."""
        names: dict[str, str] = {}
        for pair in pairs:
            field, equals, name = pair.partition("=")
            if not (equals and name) or field not in cls.__struct_fields__ or field in names:
                raise SettingsError(
                    "fields",
                    f"expected FIELD=NAME, each field once, with FIELD one of "
                    f"{', '.join(cls.__struct_fields__)}; found {pair!r}",
                )
            names[field] = name
        return cls(**names)

    def as_dict(self) -> dict[str, str]:
        """Return field -> the log's name of it."""
        return {field: getattr(self, field) for field in self.__struct_fields__}


class DecodeRules(msgspec.Struct, frozen=True, kw_only=True):
    """How the log is written, and which of its records are accepted.

    >>> from stream_rec import DecodeRules
    >>> DecodeRules(timestamp_unit="s", types=frozenset({"view", "cart"})).timestamp_unit
    's'
    """

    fields: FieldMap = FieldMap()

    timestamp_unit: str = "ms"
    """`ms`, `s`, `us` or `iso`."""

    timestamp_format: str | None = None
    """A strptime format; replaces the unit."""

    types: frozenset[str] | None = None
    """The accepted event types; None accepts all. `forget` is always accepted."""

    session_from_user: bool = False
    """Sessions are cut later from `user_id`, which is then required; `session_id` stays empty."""

    max_id_chars: int = MAX_ID_CHARS
    """Limits the memory that one visitor can take. Real ids have 1 to 64 characters."""

    max_record_bytes: int = 1 << 20

    max_future_ms: int | None = None
    """How far ahead of its log time an event may be. None: no event is compared with its log time."""

    def required(self) -> tuple[str, ...]:
        """Return the log's names of the fields that every event must have."""
        owner = self.fields.user_id if self.session_from_user else self.fields.session_id
        return (owner, self.fields.item_id, self.fields.timestamp)


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
        self._time = time_reader(self.rules.timestamp_unit, self.rules.timestamp_format)
        self._is_us = self.rules.timestamp_unit == "us"
        self._is_number = self.rules.timestamp_format is None and self.rules.timestamp_unit != "iso"
        self._fast = _fast_reader(self.rules)
        self._plain = _plain_reader(self.rules)
        self._max_bytes = self.rules.max_record_bytes
        self._max_id_chars = self.rules.max_id_chars

    def decode(  # noqa: C901 (a branch for each rare form; a call for each would double the cost)
        self, data: bytes, log_ms: int | None = None
    ) -> Event | Forget:
        """Return the event, or the order to forget, in one JSON object. *log_ms* is when the log took it, if it says.

        Raises DecodeError, at some ten times the cost of a valid record.
        """
        if len(data) > self._max_bytes:
            raise _too_large(self._max_bytes, len(data))
        try:
            row = self._fast(data)
            timestamp = row.timestamp
            if type(timestamp) is not int:
                timestamp = self._time(_plain(timestamp))
            elif self._is_us:
                timestamp = self._time(timestamp)
        # RecursionError: brackets nested a thousand deep.
        except (ValueError, RecursionError, DecodeError):
            return self._diagnose(data, log_ms)
        session_id, item_id, kind = row.session_id, row.item_id, row.type
        event_id, user_id = row.event_id, row.user_id
        if type(session_id) is not str:
            session_id = str(session_id)
        if type(item_id) is not str:
            item_id = str(item_id)
        if event_id is not None and (type(event_id) is not str or not event_id):
            event_id = _optional(event_id)
        if user_id is not None and (type(user_id) is not str or not user_id):
            user_id = _optional(user_id)
        # `view` is by far the most common type, so it is tested first.
        if kind != VIEW or self.rules.types is not None:
            kind = _optional(kind) or VIEW
            if kind == FORGET or not self._accepts(kind):
                return self._diagnose(data, log_ms)
        if log_ms is not None and not SURELY_SECONDS <= timestamp <= log_ms and self._is_wrong(timestamp, log_ms):
            return self._diagnose(data, log_ms)
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
            odd = {kind for kind in set(types) if kind == FORGET or not self._accepts(kind)}
            n = min(n, next((place for place, kind in enumerate(types) if kind in odd), n))
        if n and log_times is not None and self.rules.max_future_ms is not None:
            n = min(n, self._n_in_time(np.fromiter(map(_TIME_OF, events), np.int64, len(events)), log_times))
        return events[:n]

    def decode_row(self, row: Mapping[str, object], log_ms: int | None = None) -> Event | Forget:
        """Return the event, or the order to forget, in one row of a table: column -> value.

        Reads text, whole numbers and datetimes. An empty cell of an optional field counts as absent, as an empty text
        does in JSON. Raises DecodeError.
        """
        kind = self._read_optional("type", row) or VIEW
        if kind == FORGET:
            return self._forget(row)
        if not self._accepts(kind):
            raise self._error(Reason.UNKNOWN_TYPE, "type", f"{found(kind)} is not let in")
        user_needed = self.rules.session_from_user
        read_user = self._read_required if user_needed else self._read_optional
        return Event(
            "" if user_needed else self._read_required("session_id", row),
            self._read_required("item_id", row),
            self._read_time(row, log_ms),
            kind,
            self._read_optional("event_id", row),
            read_user("user_id", row),
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
            value = named_in(key_value(key), (self._names[field], field))
        except UnicodeDecodeError as error:
            raise self._error(Reason.NOT_UTF8, field, f"byte {error.start} of the key is not UTF-8") from None
        if value is None:
            message = "expected in the key of a record without a value, which is an object without it"
            raise self._error(Reason.MISSING_FIELD, field, message)
        name = identifier(self._label(field), value, self._max_id_chars)
        return Forget(user_id=name) if self.rules.session_from_user else Forget(session_id=name)

    def _diagnose(self, data: bytes, log_ms: int | None) -> Event | Forget:
        """Read *data* again, field by field: raise for what is wrong, or read a rare form."""
        try:
            data.decode()
        except UnicodeDecodeError as error:
            raise DecodeError(Reason.NOT_UTF8, f"byte {error.start} is not UTF-8 ({error.reason})") from None
        try:
            record = _read_loosely(data)
            values = {n: _value(record[n]) for n in self._names.values() if n in record}
        except msgspec.ValidationError:
            raise DecodeError(Reason.WRONG_TYPE, f"expected a JSON object, found {_kind(data.lstrip())}") from None
        except (ValueError, RecursionError) as error:
            raise DecodeError(Reason.NOT_JSON, str(error)) from None
        return self.decode_row(values, log_ms)

    def _forget(self, row: Mapping[str, object]) -> Forget:
        session_id = self._read_optional("session_id", row)
        user_id = self._read_optional("user_id", row)
        if session_id is None and user_id is None:
            raise self._error(Reason.MISSING_FIELD, "session_id", "expected, or a user_id, to know what to forget")
        return Forget(session_id, user_id)

    def _read_required(self, field: str, row: Mapping[str, object]) -> str:
        value = row.get(self._names[field])
        if type(value) is str and 0 < len(value) <= self._max_id_chars and value.isascii():
            return value
        if value is None:
            raise self._missing(field)
        return identifier(self._label(field), value, self._max_id_chars)

    def _read_optional(self, field: str, row: Mapping[str, object]) -> str | None:
        value = row.get(self._names[field])
        if value is None or value == "":
            return None
        return identifier(self._label(field), value, self._max_id_chars)

    def _read_time(self, row: Mapping[str, object], log_ms: int | None) -> int:
        value = row.get(self._names["timestamp"])
        if value is None or value == "":
            raise self._missing("timestamp")
        try:
            timestamp = self._time(value)
        except DecodeError as error:
            raise self._error(error.reason, "timestamp", error.message) from None
        if log_ms is not None and self._is_wrong(timestamp, log_ms):
            raise self._wrong_time(timestamp, log_ms)
        return timestamp

    def _accepts(self, kind: str) -> bool:
        return self.rules.types is None or kind in self.rules.types

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
        coarser = {"ms": "s", "us": "ms"}.get(self.rules.timestamp_unit)
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


def _fast_reader(rules: DecodeRules) -> Callable[[bytes], Any]:
    """Return compiled code that reads the fields of a record in the common form."""
    names = rules.fields.as_dict()
    if len(set(names.values())) < len(names):  # one key for two fields, which a Struct cannot have
        return _always_slow
    text = Annotated[str, Meta(min_length=1, max_length=rules.max_id_chars)]
    whole = Annotated[int, Meta(ge=-_INT64_MAX, le=_INT64_MAX)]
    required = text | whole if rules.max_id_chars >= len(str(-_INT64_MAX)) else text
    maybe = Annotated[str, Meta(max_length=rules.max_id_chars)] | whole | None
    owner = "user_id" if rules.session_from_user else "session_id"
    fields: list[tuple[str, Any] | tuple[str, Any, Any]] = [
        (owner, required),
        ("item_id", required),
        ("timestamp", _time_type(rules)),
        ("type", maybe, VIEW),
        ("event_id", maybe, None),
    ]
    if not rules.session_from_user:
        fields.append(("user_id", maybe, None))
    row = msgspec.defstruct(
        "Row",
        fields,
        namespace={"session_id": ""} if rules.session_from_user else {},
        rename={field: name for field, name in names.items() if field in {f[0] for f in fields}},
        gc=False,
    )
    return msgspec.json.Decoder(row).decode


def _plain_reader(rules: DecodeRules) -> Callable[[bytes | None], Event] | None:
    """Return compiled code that reads a record as an event in one step, with no further check.

    None if rules, names or the unit of time are not the defaults.
    """
    if rules.session_from_user or rules.timestamp_format is not None or rules.timestamp_unit != "ms":
        return None
    if rules.fields != FieldMap() or rules.max_id_chars != MAX_ID_CHARS:
        return None
    return msgspec.json.Decoder(Event).decode  # type: ignore[return-value]  # it raises TypeError for None


def _time_type(rules: DecodeRules) -> Any:  # noqa: ANN401 (a type as msgspec takes it)
    """Return the type of a time: raw if it may have decimals, because a float would lose them before rounding."""
    if rules.timestamp_format is not None or rules.timestamp_unit == "iso":
        return str
    if rules.timestamp_unit in {"ms", "us"}:
        largest = MAX_TIME_MS if rules.timestamp_unit == "ms" else MAX_TIME_MS * 1000
        return Annotated[int, Meta(ge=0, le=largest)] | str
    return msgspec.Raw


def _always_slow(data: bytes) -> Any:  # noqa: ANN401 (stands in for a reader of any Struct)
    raise ValueError(data)


_read_loosely: Final = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


def _plain(timestamp: str | msgspec.Raw) -> str:
    """Return the text of a time: the text between quotes, or the digits of a number as written."""
    if isinstance(timestamp, str):
        return timestamp
    raw = bytes(timestamp)
    return msgspec.json.decode(raw, type=str) if raw[0] == _QUOTE else raw.decode()


def _value(raw: msgspec.Raw) -> object:
    """Return a JSON value, with numbers exact: whole ones as int, others as Decimal."""
    data = bytes(raw)
    if data[0] in _CONTAINERS:  # wrong for every field, so its content does not matter
        return _CONTAINERS[data[0]]
    if data[0] not in _NUMBER_START:
        return msgspec.json.decode(data)
    if _INTEGER.fullmatch(data):
        return int(data)
    try:
        return Decimal(data.decode())
    except ArithmeticError:  # an exponent beyond what even a Decimal holds
        return Decimal("Infinity")


def _kind(data: bytes) -> str:
    names = {"[": "an array", '"': "a text", "t": "true", "f": "false", "n": "null"}
    return names.get(chr(data[0]), "a number")


def _optional(value: str | int | None) -> str | None:
    return None if value is None or value == "" else str(value)


def _too_large(limit: int, size: int) -> DecodeError:
    return DecodeError(Reason.TOO_LARGE, f"expected at most {limit} bytes, found {size}")
