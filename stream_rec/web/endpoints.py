"""One function a path: what was asked is parsed already; ask the service, and return what to encode."""

import asyncio
from collections.abc import Mapping, Sequence
from time import time
from typing import Any, Final
from uuid import uuid4

import msgspec

from stream_rec.core.events import FORGET, Answer, Event, Forget, Reason, Request, RequestDecoder
from stream_rec.service.requests.ingest import Receipt
from stream_rec.service.requests.request_queue import EventsApplied, Query
from stream_rec.service.requests.state_queries import (
    CheckRequest,
    CountSessions,
    FindItems,
    GetItem,
    GetItems,
    GetSession,
    ListPopularItems,
    ListSessions,
)
from stream_rec.web.context import Call
from stream_rec.web.contract import (
    MOST,
    Answers,
    EventFields,
    Forgotten,
    ItemQuery,
    Items,
    LimitQuery,
    RefusedEvent,
    Sessions,
    SimilarQuery,
    Taken,
)
from stream_rec.web.errors import ApiError
from stream_rec.web.keys import ADMIN

__all__ = []

_DECODER = RequestDecoder()
_MOST_ITEMS: Final = 20_000  # of all answers of a call together


# --- recommendations


async def recommend_session(asked: Call) -> object:
    """The session of the path, with the parameters of the query."""
    fields = asked.query
    details = fields.pop("details", False)
    fields["session_id"] = asked.path["session_id"]
    return await _answered(asked, _request_of(asked, fields, strict=False), details=details)


async def recommend(asked: Call) -> object:
    """One request, or many."""
    body = asked.body
    if not isinstance(body, dict):
        raise ApiError(422, "wrong_type", "expected a JSON object", "")
    details = asked.query.pop("details", False)
    if "requests" not in body:
        fields = dict(body)
        details = _details(fields) or details
        return await _answered(asked, _request_of(asked, fields), details=details)
    if len(body) > 1 or not isinstance(body["requests"], list):
        raise ApiError(422, "wrong_type", 'expected {"requests": [..]} and nothing beside it', "requests")
    asked.api.refuse_too_many(len(body["requests"]), "requests")
    requests = [_request(asked, fields, f"requests[{place}]") for place, fields in enumerate(body["requests"])]
    n_items = sum(request.n or asked.api.served.usual_n for request in requests)
    if n_items > _MOST_ITEMS:
        message = f"expected at most {_MOST_ITEMS} items in all answers together, found {n_items}"
        raise ApiError(413, "too_many", message, "requests")
    asked.api.refuse_too_many_explained(sum(request.explain for request in requests))
    asked.api.refuse_too_many_rules(requests)
    if not requests:
        return Answers([])
    answers: list[Answer] = await asked.api.bridge.ask(Query(requests))
    return Answers([await _told(asked, answer, details=details) for answer in answers])


async def recommend_after(asked: Call) -> object:
    """Apply, then answer."""
    body = asked.body
    if not isinstance(body, dict) or "event" not in body:
        raise ApiError(422, "missing_field", 'expected {"event": {..}}, and beside it the fields of a request', "event")
    fields = dict(body)
    try:
        written = msgspec.convert(fields.pop("event"), EventFields)
    except msgspec.ValidationError as error:
        raise ApiError.of_validation(error, "event") from None
    event = _event(asked, written, "event")
    details = _details(fields)
    if not isinstance(event, Event):
        raise ApiError(422, "wrong_type", "an order to forget is not answered: send it to /v1/events", "event.type")
    if event.session_id:
        fields.setdefault("session_id", event.session_id)
    elif "session_id" not in fields and "items" not in fields:
        message = "sessions are cut from users here, so name the one to answer for: it is in /v1/sessions"
        raise ApiError(422, "missing_field", message, "session_id")
    request = _request_of(asked, fields)
    if request != Request(session_id=request.session_id):
        # What cannot be answered is refused before the event is taken: it would count twice when sent again.
        await asked.api.bridge.read(CheckRequest(request))
    taken, answer = await asked.api.bridge.take_and_answer(event, request)
    if isinstance(taken, EventsApplied) and taken.rejected and taken.rejected[0].reason != Reason.DUPLICATE:
        refused = taken.rejected[0]
        raise ApiError(422, str(refused.reason), refused.message, "event")
    assert answer is not None, "whatever became of the event, the request is answered"
    return await _told(asked, answer, details=details)


def _details(fields: dict[str, Any]) -> bool:
    """Whether details are asked for; taken out of *fields*, since a request in a topic has none."""
    told = fields.pop("details", False)
    if not isinstance(told, bool):
        raise ApiError(422, "wrong_type", "expected true or false", "details")
    return told


async def similar(asked: Call) -> object:
    """What comes after this item alone."""
    query: SimilarQuery = asked.query
    request = Request(items=(asked.path["item_id"],), n=query.n)
    return await _answered(asked, request, details=query.details)


def _request_of(asked: Call, fields: Mapping[str, object], *, strict: bool = True) -> Request:
    """The request in *fields*. Whose visits explain an item is told to those only who may forget them."""
    request = _DECODER.convert(fields, strict=strict)
    for name, most in MOST.items():
        value = getattr(request, name)
        if value is not None and value > most:
            raise ApiError(422, "out_of_range", f"expected at most {most} over HTTP, found {value}", name)
    if request.explain and ADMIN not in asked.scopes:
        return msgspec.structs.replace(request, hide_sessions=True)
    return request


def _request(asked: Call, fields: object, where: str) -> Request:
    if not isinstance(fields, dict):
        raise ApiError(422, "wrong_type", "expected a JSON object", where)
    try:
        return _request_of(asked, fields)
    except msgspec.ValidationError as error:
        raise ApiError.of_validation(error, where) from None


async def _answered(asked: Call, request: Request, *, details: bool) -> object:
    return await _told(asked, await asked.api.bridge.answer(request), details=details)


async def _told(asked: Call, answer: Answer, *, details: bool) -> object:
    """The answer as who asked gets it: with what the catalogue says, if that was asked for."""
    if not details:
        return answer
    found = await asked.api.bridge.read(GetItems([each.item_id for each in answer.items]))
    told = msgspec.to_builtins(answer)
    for each, view in zip(told["items"], found, strict=True):
        each.update({} if view is None else msgspec.to_builtins(view))
    return told


# --- events


async def take_events(asked: Call) -> object:
    """One or many: all are taken but those that are refused by name; a malformed one refuses the call."""
    is_array = isinstance(asked.body, list)
    given: Sequence[EventFields] = asked.body if is_array else [asked.body]
    asked.api.refuse_too_many(len(given), "")
    durable = asked.api.served.ingest.is_durable
    refused: dict[int, RefusedEvent] = {}
    events: dict[int, Event | Forget] = {}
    for place, fields in enumerate(given):
        try:
            events[place] = _event(asked, fields, f"[{place}]" if is_array else "")
        except NotAppliedError as error:
            if not is_array:
                raise
            refused[place] = RefusedEvent(place, error.problem.code, error.problem.message)
    offsets: dict[str, int] = {}
    if events:
        result = await asked.api.bridge.take(list(events.values()))
        if isinstance(result, Receipt):
            offsets = result.offsets
        else:
            places = list(events)
            for each in result.rejected:
                place = places[each.record.offset - result.first_offset]
                refused[place] = RefusedEvent(place, str(each.reason), each.message)
    told = [refused[place] for place in sorted(refused)]
    return Taken(len(given) - len(refused), durable, offsets, told)


class NotAppliedError(ApiError):
    """An event is well written, and not to be applied."""


def _event(asked: Call, fields: EventFields, where: str) -> Event | Forget:
    """Check what types cannot say, and fill in the time."""
    served = asked.api.served
    if fields.type == FORGET:
        if fields.session_id is None and fields.user_id is None:
            raise _missing("session_id", where)
        if ADMIN not in asked.scopes:
            raise ApiError(403, "forbidden", "this key may not forget: that takes the scope admin", _at(where, "type"))
        return Forget(_text(fields.session_id), _text(fields.user_id))
    whose = "user_id" if served.session_from_user else "session_id"
    for name in (whose, "item_id"):
        if getattr(fields, name) is None:
            raise _missing(name, where)
    if served.types is not None and fields.type not in served.types:
        raise NotAppliedError(
            422, Reason.UNKNOWN_TYPE, f"{fields.type!r} is none of {sorted(served.types)}", _at(where, "type")
        )
    now = served.now_ms()
    timestamp = now if fields.timestamp is None else fields.timestamp
    if served.max_future_ms is not None and timestamp > now + served.max_future_ms:
        raise NotAppliedError(
            422, Reason.FUTURE, f"is {timestamp - now} ms ahead of the clock", _at(where, "timestamp")
        )
    session_id = "" if served.session_from_user else str(fields.session_id)
    event_id, user_id = _text(fields.event_id), _text(fields.user_id)
    return Event(session_id, str(fields.item_id), timestamp, fields.type, event_id, user_id)


def _text(value: str | int | None) -> str | None:
    """A whole number is its decimal text, as in a topic."""
    return None if value is None else str(value)


def _missing(name: str, where: str) -> ApiError:
    return ApiError(422, Reason.MISSING_FIELD, "is missing", _at(where, name))


def _at(where: str, name: str) -> str:
    return f"{where}.{name}" if where else name


# --- looking


async def session(asked: Call) -> object:
    """One session."""
    session_id = asked.path["session_id"]
    found = await asked.api.bridge.read(GetSession(session_id))
    return _found(found, f"the session {session_id!r} is not retained")


async def sessions(asked: Call) -> object:
    """The newest."""
    query: LimitQuery = asked.query
    return Sessions(await asked.api.bridge.read(ListSessions(query.limit)))


async def item(asked: Call) -> object:
    """One item."""
    item_id = asked.path["item_id"]
    found = await asked.api.bridge.read(GetItem(item_id))
    return _found(found, f"no retained session holds the item {item_id!r}, and it is in no catalogue")


async def items(asked: Call) -> object:
    """By a part of a title or of an id; or the most popular."""
    query: ItemQuery = asked.query
    if not query.q:
        return Items(await asked.api.bridge.read(ListPopularItems(query.limit)))
    catalogue = asked.api.served.catalogue()
    # The first search of a catalogue reads all its titles. On a thread of its own, other requests do not wait for it.
    found = [] if catalogue is None else await asyncio.to_thread(catalogue.search, query.q, query.limit)
    titled = [each.id for each in found]
    return Items(await asked.api.bridge.read(FindItems(query.q, query.limit, titled)))


def _found(view: object, otherwise: str) -> object:
    if view is None:
        raise ApiError(404, "not_found", otherwise)
    return view


async def stats(asked: Call) -> object:
    """How the service does."""
    return asked.api.stats()


# --- forgetting


async def forget_session(asked: Call) -> object:
    """By its id, whether it is retained or not."""
    return await _forgotten(asked, Forget(session_id=asked.path["session_id"]))


async def forget_user(asked: Call) -> object:
    """Every session that the user took part in."""
    return await _forgotten(asked, Forget(user_id=asked.path["user_id"]))


async def _forgotten(asked: Call, order: Forget) -> Forgotten:
    n_sessions = await asked.api.bridge.read(CountSessions(order))
    result = await asked.api.bridge.take([order])
    return Forgotten(
        uuid4().hex,
        int(time() * 1000),
        asked.api.served.ingest.is_durable,
        order.session_id,
        order.user_id,
        n_sessions,
        result.offsets if isinstance(result, Receipt) else {},
    )
