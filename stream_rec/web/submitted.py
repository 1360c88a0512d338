"""Submitted events: the API's own form first, then the form of the log, by the decoder that reads the log.

An event whose fields are all the API's keeps the meaning and the errors that the API documents, whatever the settings
say of the log. Any other is a record of the log: it is read as from a topic, and judged by itself. If it is none, it
may still have the fields of the API, among others.
"""

from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

import msgspec

from stream_rec.core.events import FORGET, SURELY_SECONDS, Event, Forget, Reason, accepts
from stream_rec.errors import DecodeError
from stream_rec.web.body import Body
from stream_rec.web.context import Call
from stream_rec.web.contract import EventFields, RefusedEvent, StrictEventFields
from stream_rec.web.errors import ApiError
from stream_rec.web.keys import ADMIN

__all__ = ["Submitted", "read_event", "read_events"]

_FIELDS: Final = frozenset(EventFields.__struct_fields__)
_decode_all: Final = msgspec.json.Decoder(StrictEventFields | list[StrictEventFields]).decode
_decode_one: Final = msgspec.json.Decoder(StrictEventFields).decode
_decode_loosely: Final = msgspec.json.Decoder(EventFields).decode
_split_array: Final = msgspec.json.Decoder(list[msgspec.Raw]).decode
_split_object: Final = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_any_json: Final = msgspec.json.Decoder(msgspec.Raw).decode

_NO_TIME: Final = frozenset({"wrong_type", "out_of_range"})  # codes of a value that is no time
_NotJson: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


class Submitted(NamedTuple):
    """The events of a call, and those that may not be applied."""

    n_given: int
    events: list[Event | Forget]
    places: list[int]
    """By event, its place in the call."""
    refused: dict[int, RefusedEvent]


class NotAppliedError(ApiError):
    """A well-formed event that may not be applied, such as one of an unknown type."""

    @property
    def is_final(self) -> bool:
        """Whether it is so in the form of the log too: only a time could mean something else there."""
        return self.problem.code != Reason.BAD_TIME


def read_events(call: Call, body: Body) -> Submitted:
    """Return the events of a body: one object, an array of objects, or an object on each line.

    A malformed event of the API's own form fails the whole call, and so does a single event. Raises ApiError.
    """
    given, lines = _split(body)
    is_array = isinstance(given, list)
    listed = given if isinstance(given, list) else [given]
    call.api.refuse_too_many(len(listed), "")
    found: list[Event | Forget | None] = []
    failed: dict[int, ApiError] = {}
    for place, fields in enumerate(listed):
        try:
            if isinstance(fields, ApiError):
                raise fields
            found.append(_checked(call, fields, f"[{place}]" if is_array else ""))
        except ApiError as error:
            found.append(None)
            failed[place] = error
    if not failed:
        return Submitted(len(listed), found, list(range(len(listed))), {})  # type: ignore[arg-type]  # none is None
    return _with_records(call, found, failed, lines(), is_array=is_array)


def read_event(call: Call, value: object, where: str) -> Event | Forget:
    """Return the one event in *value*, decoded JSON, which has the place *where* in its call. Raises ApiError."""
    try:
        fields = msgspec.convert(value, StrictEventFields)
        return _checked(call, fields, where)
    except msgspec.ValidationError as error:
        failed = ApiError.of_validation(error, where)
    except ApiError as error:
        if isinstance(error, NotAppliedError) and error.is_final:
            raise
        failed = error
    encoded = msgspec.json.encode(value)
    (read,) = _read_records(call, [encoded])
    if len(read) > 1:
        raise ApiError(422, "too_many", f"expected one event, found {len(read)}", where)
    found = read[0] if read else None
    if isinstance(found, Event | Forget):
        return _permitted(call, found, where)
    among = _among_others(call, encoded, where)
    if among is not None:
        return among
    if not isinstance(value, dict) or value.keys() <= _FIELDS:
        raise _explained(failed, found)
    raise _refusal(found, where)


_Given = EventFields | ApiError


def _split(body: Body) -> tuple[_Given | list[_Given], Callable[[], list[bytes]]]:
    """Return the events of *body* as the API has them, errors where they are not, and a function for their bytes."""
    data = body.data
    if not body.is_lines:
        try:
            given = _decode_all(data)
        except msgspec.ValidationError as error:
            return _one_by_one(data, error)
        except _NotJson as error:
            if not _is_lines(data):
                raise ApiError(400, "not_json", f"the body is not JSON: {error}") from None
        else:
            return given, lambda: list(map(bytes, _split_array(data))) if isinstance(given, list) else [data]
    records = body.lines()
    return [_own_form(line, f"[{place}]") for place, line in enumerate(records)], lambda: records


def _one_by_one(data: bytes, error: msgspec.ValidationError) -> tuple[_Given | list[_Given], Callable[[], list[bytes]]]:
    """Return the same for JSON that is not as a whole what the API expects."""
    try:
        records = list(map(bytes, _split_array(data)))
    except msgspec.ValidationError:
        return ApiError.of_validation(error), lambda: [data]
    return [_own_form(value, f"[{place}]") for place, value in enumerate(records)], lambda: records


def _own_form(value: bytes, where: str) -> _Given:
    try:
        return _decode_one(value)
    except msgspec.ValidationError as error:
        return ApiError.of_validation(error, where)
    except _NotJson as error:
        return ApiError(400, "not_json", f"is not JSON: {error}", where)


def _is_lines(data: bytes) -> bool:
    """Whether the first of several lines is JSON by itself."""
    first, _, rest = data.lstrip().partition(b"\n")
    try:
        _any_json(first)
    except _NotJson:
        return False
    return bool(rest)


def _with_records(
    call: Call,
    found: Sequence[Event | Forget | None],
    failed: dict[int, ApiError],
    values: Sequence[bytes],
    *,
    is_array: bool,
) -> Submitted:
    """Read what has *failed* as records of the log, at their places in *values*."""
    again = [place for place, error in failed.items() if not (isinstance(error, NotAppliedError) and error.is_final)]
    read = dict(zip(again, _read_records(call, [values[place] for place in again]), strict=True))
    events: list[Event | Forget] = []
    places: list[int] = []
    refused: dict[int, RefusedEvent] = {}
    for place, own in enumerate(found):
        where = f"[{place}]" if is_array else ""
        if own is None and place not in read:
            refused[place] = _listed(failed[place], place, is_array=is_array)
        said = read.get(place, ()) if own is None else (own,)
        if all(isinstance(each, DecodeError) for each in said) and (among := _among_others(call, values[place], where)):
            said = (among,)
        for each in said:
            if isinstance(each, DecodeError):
                refused[place] = _judged(failed[place], each, values[place], place, where, is_array=is_array)
            else:
                events.append(each if own is not None else _permitted(call, each, where))
                places.append(place)
    call.api.refuse_too_many(len(events), "")
    return Submitted(len(found), events, places, refused)


def _among_others(call: Call, value: bytes, where: str) -> Event | Forget | None:
    """Return the event of an object that has the fields of the API among others; None if it has none."""
    try:
        return _checked(call, _decode_loosely(value), where)
    except (*_NotJson, ApiError):
        return None


def _judged(own: ApiError, error: DecodeError, value: bytes, place: int, where: str, *, is_array: bool) -> RefusedEvent:
    """Return why an event is refused alone. Raises ApiError if the whole call is."""
    if _is_own_form(value):
        return _listed(_explained(own, error), place, is_array=is_array)
    if not is_array:
        raise _refusal(error, where)
    return RefusedEvent(place, str(error.reason), error.message)


def _listed(error: ApiError, place: int, *, is_array: bool) -> RefusedEvent:
    """Return why an event of an array may not be applied. Raises *error* if it fails the whole call."""
    if not isinstance(error, NotAppliedError) or not is_array:
        raise error
    return RefusedEvent(place, error.problem.code, error.problem.message)


def _is_own_form(value: bytes) -> bool:
    """Whether *value* has no other field than the API's, or is no object at all."""
    try:
        return _split_object(value).keys() <= _FIELDS
    except msgspec.ValidationError:
        return True
    except _NotJson:
        return False


def _explained(own: ApiError, error: DecodeError | None) -> ApiError:
    """Return the API's own error; of a time, with the decoder's words, which know the unit that is expected."""
    is_time = (own.problem.field or "").rpartition(".")[2] == "timestamp" and own.problem.code in _NO_TIME
    if error is None or not is_time or error.reason not in {Reason.BAD_TIME, Reason.NEGATIVE_TIME, Reason.WRONG_TYPE}:
        return own
    return ApiError(own.status, own.problem.code, error.message.partition(": ")[2] or error.message, own.problem.field)


def _refusal(error: DecodeError | None, where: str) -> ApiError:
    if error is None:
        return ApiError(422, Reason.NOT_AN_EVENT, "has no event", where or None)
    return ApiError(422, str(error.reason), error.message, where or None)


# --- the API's own form


def _checked(call: Call, fields: EventFields, where: str) -> Event | Forget:
    """Check what types cannot express, and fill in the time. Raises ApiError."""
    service = call.api.service
    if fields.type == FORGET:
        if fields.session_id is None and fields.user_id is None:
            raise _missing("session_id", where)
        return _permitted(call, Forget(_text(fields.session_id), _text(fields.user_id)), where)
    whose = "user_id" if service.session_from_user else "session_id"
    for name in (whose, "item_id"):
        if getattr(fields, name) is None:
            raise _missing(name, where)
    if service.types is not None and not accepts(fields.type, service.types, service.shown_type):
        raise NotAppliedError(
            422, Reason.UNKNOWN_TYPE, f"{fields.type!r} is none of {sorted(service.types)}", _at(where, "type")
        )
    now = service.now_ms()
    timestamp = now if fields.timestamp is None else fields.timestamp
    if service.max_future_ms is not None and timestamp > now + service.max_future_ms:
        raise NotAppliedError(
            422, Reason.FUTURE, f"is {timestamp - now} ms ahead of the clock", _at(where, "timestamp")
        )
    if service.max_future_ms is not None and timestamp < SURELY_SECONDS <= now:
        raise NotAppliedError(
            422,
            Reason.BAD_TIME,
            "is before 1974: expected milliseconds since 1970, not seconds",
            _at(where, "timestamp"),
        )
    session_id = "" if service.session_from_user else str(fields.session_id)
    event_id, user_id = _text(fields.event_id), _text(fields.user_id)
    return Event(session_id, str(fields.item_id), timestamp, fields.type, event_id, user_id)


def _permitted(call: Call, event: Event | Forget, where: str) -> Event | Forget:
    """Return *event*. Raises ApiError if this key may not send it."""
    if isinstance(event, Forget) and ADMIN not in call.scopes:
        message = "this key may not erase sessions: it lacks the scope admin"
        raise ApiError(403, "forbidden", message, _at(where, "type"))
    return event


def _text(value: str | int | None) -> str | None:
    """Return a whole number as its decimal text, as in a topic."""
    return None if value is None else str(value)


def _missing(name: str, where: str) -> ApiError:
    return ApiError(422, Reason.MISSING_FIELD, "is missing", _at(where, name))


def _at(where: str, name: str) -> str:
    return f"{where}.{name}" if where else name


# --- the log's form


def _read_records(call: Call, values: Sequence[bytes]) -> list[Sequence[Event | Forget | DecodeError]]:
    return call.api.service.read_records(values, call.api.service.now_ms())
