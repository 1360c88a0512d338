"""Ids, events and weights as they come from a program: checked, and whole numbers as the texts that they stand for.

The decoders do the same for bytes. Text costs a look at its type; only what is not text is looked at one by one.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from operator import attrgetter, index
from typing import Any, Final
from uuid import UUID

import msgspec
import numpy as np

from stream_rec.core.catalogue import Catalogue
from stream_rec.core.events import Event, Forget, Reason, Request
from stream_rec.core.model import Rules
from stream_rec.errors import DecodeError, SettingsError

__all__ = [
    "Id",
    "checked_catalogue",
    "checked_events",
    "checked_id",
    "checked_ids",
    "checked_request",
    "checked_rules",
    "checked_weights",
]

Id = str | int | UUID
"""A text, or a whole number or UUID, which stand for their texts. NumPy's whole numbers are taken too."""

_TEXT: Final = {str}
_TEXT_OR_NONE: Final = {str, type(None)}
_WHOLE: Final = {int}
_TRUTH: Final = (bool, np.bool_)
_LONGEST: Final = 65_535
_ID_FIELDS: Final = ("session_id", "item_id", "type", "event_id", "user_id")
_OPTIONAL: Final = ("event_id", "user_id")
_GET: Final = {name: attrgetter(name) for name in (*_ID_FIELDS, "timestamp")}
_SHOWN: Final = 60
_SECONDS_BELOW: Final = 1e10
"""Below it, a time with a fraction is rather in seconds (until 2286) than in milliseconds (of 1970)."""


def _text_of(value: object) -> str | None:
    """Return the text of an id, None for what is no id: a text is itself, a whole number its digits."""
    if isinstance(value, str | UUID):
        return str(value)
    if isinstance(value, _TRUTH):
        return None
    try:
        return str(index(value))  # type: ignore[arg-type]  # what has no index raises
    except TypeError:
        return None


def _advice(value: object) -> str:
    """Say what *value* is, and what to pass in its place."""
    match value:
        case None:
            return "found None: leave such rows out, or give them an id of their own"
        case _ if isinstance(value, _TRUTH):
            return f"found {value}: a truth value is no id"
        case float():
            shown = "nan: drop it, or fill the gap" if math.isnan(value) else f"the number {value!r}"
            return f"found {shown}; pass int(...) or str(...) (a column with gaps: astype('Int64'))"
        case bytes() | bytearray():
            return f"found bytes: pass {bytes(value)[:_SHOWN]!r}.decode()"
    kind = type(value).__name__
    return f"found a {kind}: pass str(...) of it"


def _unfit(text: str) -> str | None:
    """Return why no table can store *text*, None if it can."""
    if len(text) * 4 > _LONGEST or not text.isascii():
        try:
            size = len(text.encode())
        except UnicodeEncodeError as error:
            return f"character {error.start} is half a surrogate pair, which has no UTF-8"
        if size > _LONGEST:
            return f"has {size} bytes in UTF-8, and at most {_LONGEST} can be stored"
    return None


def checked_id(key: str, value: object) -> str:
    """Return an id as text. Raises SettingsError, naming *key*, for what is neither text nor a whole number."""
    text = _text_of(value)
    if text is None:
        raise SettingsError(key, f"expected an id (text or a whole number), {_advice(value)}")
    return text


def checked_ids(key: str, values: object) -> tuple[str, ...]:
    """Return ids as texts. Raises SettingsError, naming *key*, for a bare id and for what holds something else."""
    found: Any = values
    if type(values) is not list and type(values) is not tuple:
        found = _listed(key, values)
    try:
        "".join(found)  # takes texts only, at half the price of a look at each type
    except TypeError:
        return tuple(checked_id(f"{key}[{place}]", value) for place, value in enumerate(found))
    return tuple(found)


def _listed(key: str, values: object) -> list[Any]:
    if isinstance(values, str | bytes | bytearray) or not isinstance(values, Iterable):
        found = repr(values) if len(repr(values)) <= _SHOWN else f"a {type(values).__name__}"
        shown = found if isinstance(values, str | int) else "..."
        raise SettingsError(key, f"expected a list of ids, found {found}: pass [{shown}]")
    if hasattr(values, "columns"):  # going over a frame gives the names of its columns
        raise SettingsError(key, f"expected a list of ids, found a {type(values).__name__}: pass one of its columns")
    return list(values)


def checked_weights(key: str, weights: Mapping[Any, Any] | None) -> dict[str, float]:
    """Return the weights of event types. Raises SettingsError for one that is negative, nan or infinite."""
    if weights is None:
        return {}
    if not isinstance(weights, Mapping):
        raise SettingsError(key, f"expected a dictionary, event type -> weight, found {weights!r:.60}")
    for name, weight in weights.items():
        if not isinstance(name, str):
            raise SettingsError(key, f"expected the name of an event type, found {name!r:.60}")
        if isinstance(weight, bool) or not isinstance(weight, int | float) or not 0.0 <= weight < math.inf:
            message = f"expected a finite weight from 0 on for {name!r}, found {weight!r:.60}; 0 makes a type not count"
            raise SettingsError(key, message)
    return dict(weights)


def checked_rules(rules: Rules, deny: Iterable[object]) -> Rules:
    """Return *rules* with ids as texts, and with *deny* among them."""
    denied = {*checked_ids("deny", rules.deny), *checked_ids("deny", deny)}
    allowed = None if rules.allow is None else frozenset(checked_ids("allow", rules.allow))
    return msgspec.structs.replace(rules, deny=frozenset(denied), allow=allowed)


def checked_request(request: Request) -> Request:
    """Return *request* with ids as texts, itself if they are. Raises SettingsError, naming the field."""
    if not isinstance(request, Request):
        raise SettingsError("requests", f"expected a list of Request, found a {type(request).__name__} in it")
    changes: dict[str, Any] = {}
    for key in ("session_id", "request_id"):
        value = getattr(request, key)
        if value is not None and type(value) is not str:
            changes[key] = checked_id(key, value)
    for key in ("items", "exclude", "allow"):
        value = getattr(request, key)
        if value is not None and (type(value) is not tuple or not set(map(type, value)) <= _TEXT):
            changes[key] = checked_ids(key, value)
    return msgspec.structs.replace(request, **changes) if changes else request


def checked_catalogue(catalogue: Catalogue) -> Catalogue:
    """Return *catalogue* with ids as texts, itself if they are. Raises SettingsError. O(items)."""
    if set(map(type, (item.id for item in catalogue))) <= _TEXT:
        return catalogue
    return Catalogue(
        msgspec.structs.replace(item, id=checked_id(f"id of item {place} of the catalogue", item.id))
        for place, item in enumerate(catalogue)
    )


# --- events


def checked_events(events: Iterable[object], *, has_sessions: bool = True) -> Sequence[Event | Forget]:
    """Return *events*, with ids as texts. Without *has_sessions*, sessions are cut from users, and ids may be empty.

    Raises DecodeError, naming the place, for what no table can store.
    """
    if isinstance(events, Event | Forget):
        raise DecodeError(
            Reason.NOT_AN_EVENT, f"expected a list of events, found one: pass [{type(events).__name__}(...)]"
        )
    given: Sequence[Any] = events if isinstance(events, list | tuple) else list(events)
    kinds = set(map(type, given))
    if kinds <= {Event} and _are_fit(given, has_sessions):
        return given
    return [_checked_event(place, event, has_sessions) for place, event in enumerate(given)]


def _are_fit(events: Sequence[Event], has_sessions: bool) -> bool:
    """Return whether all of *events* can be stored as they are. Loops in C."""
    for name in _ID_FIELDS:
        column = list(map(_GET[name], events))
        if name in _OPTIONAL:
            column = [text for text in column if text is not None]
        elif "" in column and (has_sessions or name != "session_id"):
            return False
        if not set(map(type, column)) <= _TEXT:
            return False
        needs_a_look = bool(column) and (not "".join(column).isascii() or max(map(len, column)) * 4 > _LONGEST)
        if needs_a_look and not all(_unfit(text) is None for text in column):
            return False
    return set(map(type, map(_GET["timestamp"], events))) <= _WHOLE


def _checked_event(place: int, event: object, has_sessions: bool) -> Event | Forget:
    """Return one event with ids as texts. Raises DecodeError."""
    if not isinstance(event, Event | Forget):
        advice = ": pass Event(**...)" if isinstance(event, Mapping) else ": pass Event(*...)"
        is_row = isinstance(event, Mapping | tuple | list)
        message = (
            f"event {place}: expected an Event or a Forget, found a {type(event).__name__}{advice if is_row else ''}"
        )
        raise DecodeError(Reason.NOT_AN_EVENT, message)
    if isinstance(event, Forget):
        owners = {name: _checked_field(place, event, name) for name in ("session_id", "user_id")}
        return msgspec.structs.replace(event, **owners)
    changes = {name: _checked_field(place, event, name) for name in _ID_FIELDS}
    for name, text in changes.items():
        if text == "" and name not in _OPTIONAL and (has_sessions or name != "session_id"):
            raise DecodeError(Reason.EMPTY_ID, f"event {place}, {name}: expected an id, found an empty text")
    time = event.timestamp
    if type(time) is not int:
        time = _checked_time(place, time)
    return msgspec.structs.replace(event, **changes, timestamp=time)


def _checked_field(place: int, event: Event | Forget, name: str) -> str | None:
    value = getattr(event, name)
    if value is None and (name in _OPTIONAL or isinstance(event, Forget)):
        return None
    text = _text_of(value)
    if text is None:
        message = f"event {place}, {name}: expected text or a whole number, {_advice(value)}"
        raise DecodeError(Reason.WRONG_TYPE, message)
    why = _unfit(text)
    if why is not None:
        raise DecodeError(Reason.TOO_LARGE if "bytes" in why else Reason.NOT_UTF8, f"event {place}, {name}: {why}")
    return text


def _checked_time(place: int, time: object) -> int:
    if not isinstance(time, bool):
        try:
            return index(time)  # type: ignore[arg-type]  # what has no index raises
        except TypeError:
            pass
    if isinstance(time, datetime):
        advice = "pass int(time.timestamp() * 1000)"
    elif isinstance(time, float) and abs(time) < _SECONDS_BELOW:
        advice = "seconds, as of time.time()? Then pass int(... * 1000)"
    else:
        advice = "pass int(...)"
    message = f"event {place}, timestamp: expected whole milliseconds since 1970 (UTC), found {time!r:.60}: {advice}"
    raise DecodeError(Reason.BAD_TIME, message)
