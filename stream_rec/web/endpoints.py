"""One function a route: takes a call that is parsed already, asks the service, returns what to encode."""

import asyncio
import re
from collections.abc import Mapping, Sequence
from time import time
from typing import Any, Final
from uuid import uuid4

import msgspec

from stream_rec.core.engine import ListOrder
from stream_rec.core.events import Answer, Event, Forget, Reason, Request, RequestDecoder
from stream_rec.errors import DecodeError
from stream_rec.service.requests.ingest import Receipt
from stream_rec.service.requests.request_queue import EventsApplied, Query
from stream_rec.service.requests.state_queries import (
    AnswerList,
    CheckRequest,
    CountSessions,
    FindItems,
    GetItem,
    GetItems,
    GetSession,
    ListPopularItems,
    ListSessions,
)
from stream_rec.web.body import decode_body
from stream_rec.web.context import Call, Lines
from stream_rec.web.contract import (
    MOST,
    Answers,
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
from stream_rec.web.submitted import read_event, read_events

__all__ = []

_DECODER = RequestDecoder()
_any_json: Final = msgspec.json.Decoder().decode
_WHOLE: Final = re.compile("[0-9]{1,100}")
_MOST_ITEMS: Final = 20_000  # of all answers of a call together
_MOST_IDS: Final = 10_000  # in all lists of a call together


# --- recommendations


async def recommend_session(call: Call) -> object:
    """Answer for the session of the path, with the parameters of the query."""
    fields = call.query
    details = fields.pop("details", False)
    fields["session_id"] = call.path["session_id"]
    return await _answered(call, read_request(call, fields, strict=False), details=details)


async def recommend(call: Call) -> object:
    """Answer one request, or many; requests on lines are answered on lines."""
    if call.body.is_lines:
        lines = call.body.lines()
        call.api.refuse_too_many(len(lines), "requests")  # before they are decoded, while all other callers wait
        listed = [decode_body(_any_json, line, f"[{place}]") for place, line in enumerate(lines)]
        return Lines(await _answered_all(call, listed, "[{}]", details=call.query.pop("details", False)))
    body = decode_body(_any_json, call.body.data)
    if not isinstance(body, dict):
        raise ApiError(422, "wrong_type", "expected a JSON object", "")
    details = call.query.pop("details", False)
    if "requests" not in body:
        _refuse_too_many_ids([body])
        fields = dict(body)
        details = _details(fields) or details
        return await _answered(call, read_request(call, fields), details=details)
    if len(body) > 1 or not isinstance(body["requests"], list):
        raise ApiError(422, "wrong_type", 'expected {"requests": [..]} and no other field', "requests")
    return Answers(await _answered_all(call, body["requests"], "requests[{}]", details=details))


async def _answered_all(call: Call, listed: Sequence[object], where: str, *, details: bool) -> list[Any]:
    """Answer the requests in *listed*, whose places are of the form *where*: all of them, or none."""
    call.api.refuse_too_many(len(listed), "requests")
    _refuse_too_many_ids(listed)
    requests = [read_listed_request(call, fields, where.format(place)) for place, fields in enumerate(listed)]
    n_items = sum(request.n or call.api.service.usual_n for request in requests)
    if n_items > _MOST_ITEMS:
        message = f"expected at most {_MOST_ITEMS} items in all answers together, found {n_items}"
        raise ApiError(413, "too_many", message, "requests")
    call.api.refuse_too_many_explained(sum(request.explain for request in requests))
    call.api.refuse_too_many_rules(requests)
    if not requests:
        return []
    answers: list[Answer] = await call.api.bridge.submit(Query(requests))
    return [await _with_details(call, answer, details=details) for answer in answers]


async def recommend_after(call: Call) -> object:
    """Apply an event, then answer a request."""
    body = call.body
    if not isinstance(body, dict) or "event" not in body:
        raise ApiError(422, "missing_field", 'expected {"event": {..}} and the fields of a request', "event")
    _refuse_too_many_ids([body])
    fields = dict(body)
    event = read_event(call, fields.pop("event"), "event")
    details = _details(fields)
    if not isinstance(event, Event):
        raise ApiError(
            422, "wrong_type", "an order to forget gets no recommendations: send it to /v1/events", "event.type"
        )
    if event.session_id:
        fields.setdefault("session_id", event.session_id)
    elif "session_id" not in fields and "items" not in fields:
        message = "this service cuts sessions from users, so give the session to answer for: see /v1/sessions"
        raise ApiError(422, "missing_field", message, "session_id")
    request = read_request(call, fields)
    if request != Request(session_id=request.session_id):
        # A request that cannot be answered is refused before its event is applied: the caller will send both again,
        # and the event would count twice.
        await call.api.bridge.read(CheckRequest(request))
    ingested, answer = await call.api.bridge.ingest_and_answer(event, request)
    if isinstance(ingested, EventsApplied) and ingested.rejected and ingested.rejected[0].reason != Reason.DUPLICATE:
        rejected = ingested.rejected[0]
        raise ApiError(422, str(rejected.reason), rejected.message, "event")
    assert answer is not None, "the request is answered even if the event was not applied"
    return await _with_details(call, answer, details=details)


def _refuse_too_many_ids(requests: Sequence[object]) -> None:
    """Raise ApiError if the lists of *requests* hold too many ids together: reading them takes a microsecond each."""
    lists = [
        value for fields in requests if isinstance(fields, dict) for value in fields.values() if isinstance(value, list)
    ]
    n_ids = sum(map(len, lists))
    if n_ids > _MOST_IDS:
        raise ApiError(413, "too_many", f"expected at most {_MOST_IDS} ids in all lists of a call, found {n_ids}")


def _details(fields: dict[str, Any]) -> bool:
    """Remove `details` from *fields*, since a request in a topic has no such field, and return it."""
    details = fields.pop("details", False)
    if not isinstance(details, bool):
        raise ApiError(422, "wrong_type", "expected true or false", "details")
    return details


async def similar(call: Call) -> object:
    """Answer for this item alone; an item that nothing is known of is an error, and not what is popular."""
    query: SimilarQuery = call.query
    item_id = call.path["item_id"]
    known, answer = await asyncio.gather(  # so that both are served in one turn
        call.api.bridge.read(GetItem(item_id)), call.api.bridge.answer(Request(items=(item_id,), n=query.n))
    )
    _found(known, _unknown_item(item_id))
    return await _with_details(call, answer, details=query.details)


async def popular(call: Call) -> object:
    """Answer with what is popular now."""
    return await _listed(call, "popular")


async def trending(call: Call) -> object:
    """Answer with what trends now."""
    return await _listed(call, "trending")


async def newest(call: Call) -> object:
    """Answer with the newest of the catalogue."""
    return await _listed(call, "newest")


async def _listed(call: Call, order: ListOrder) -> object:
    """Answer for no session; a category that no item has is an error, not an empty list."""
    fields = call.query
    details, category = fields.pop("details", False), fields.pop("category", None)
    request = read_request(call, {**fields, "items": []}, strict=False)
    answer = await call.api.bridge.read(AnswerList(order, request, category))
    if answer is None:
        raise ApiError(404, "not_found", f"no item of the catalogue has the category {category!r}", "category")
    return await _with_details(call, answer, details=details)


def read_request(call: Call, fields: Mapping[str, object], *, strict: bool = True) -> Request:
    """Return the request in *fields*. Explanations name sessions only if the key may also erase sessions."""
    try:
        request = _DECODER.convert(fields, strict=strict)
    except msgspec.ValidationError:
        _refuse_too_large(fields)  # where the limit over HTTP is the lower one, that is what the caller must know
        raise
    for name, most in MOST.items():
        value = getattr(request, name)
        if value is not None and value > most:
            raise _too_large(name, most, value)
    if request.explain and ADMIN not in call.scopes:
        return msgspec.structs.replace(request, hide_sessions=True)
    return request


def _refuse_too_large(fields: Mapping[str, object]) -> None:
    """Raise ApiError if a number in *fields*, which may be text, is over the limit that it has over HTTP."""
    for name, most in MOST.items():
        value = fields.get(name)
        number = int(value) if isinstance(value, str) and _WHOLE.fullmatch(value) else value
        if type(number) is int and number > most:
            raise _too_large(name, most, number)


def _too_large(name: str, most: int, value: int) -> ApiError:
    return ApiError(422, "out_of_range", f"expected at most {most} over HTTP, found {value}", name)


def read_listed_request(call: Call, fields: object, where: str) -> Request:
    """Return the request in *fields*, one of a list. Errors name its place *where*. Raises ApiError."""
    if not isinstance(fields, dict):
        raise ApiError(422, "wrong_type", "expected a JSON object", where)
    try:
        return read_request(call, fields)
    except msgspec.ValidationError as error:
        raise ApiError.of_validation(error, where) from None
    except DecodeError as error:
        raise ApiError(422, str(error.reason), error.message, where) from None
    except ApiError as error:
        raise error.at(where) from None


async def _answered(call: Call, request: Request, *, details: bool) -> object:
    return await _with_details(call, await call.api.bridge.answer(request), details=details)


async def _with_details(call: Call, answer: Answer, *, details: bool) -> object:
    """Return *answer* as it is encoded: with *details*, each item has what the catalogue knows of it."""
    if not details:
        return answer
    found = await call.api.bridge.read(GetItems([each.item_id for each in answer.items]))
    detailed = msgspec.to_builtins(answer)
    for each, view in zip(detailed["items"], found, strict=True):
        each.update({} if view is None else msgspec.to_builtins(view))
    return detailed


# --- events


async def take_events(call: Call) -> object:
    """Take one event or many. Those that may not be applied are listed; a malformed one fails the whole call."""
    given = read_events(call, call.body)
    refused = given.refused
    offsets: dict[str, int] = {}
    n_rejected = 0
    if given.events:
        result = await call.api.bridge.ingest(given.events)
        if isinstance(result, Receipt):
            offsets = result.offsets
        else:
            n_rejected = len(result.rejected)
            for each in result.rejected:
                place = given.places[each.record.offset - result.first_offset]
                refused[place] = RefusedEvent(place, str(each.reason), each.message)
    in_order = [refused[place] for place in sorted(refused)]
    return Taken(len(given.events) - n_rejected, call.api.service.ingest.is_durable, offsets, in_order)


# --- reading


async def session(call: Call) -> object:
    """Return one session."""
    session_id = call.path["session_id"]
    found = await call.api.bridge.read(GetSession(session_id))
    return _found(found, f"the session {session_id!r} is not retained")


async def sessions(call: Call) -> object:
    """Return the newest sessions."""
    query: LimitQuery = call.query
    return Sessions(await call.api.bridge.read(ListSessions(query.limit)))


async def item(call: Call) -> object:
    """Return one item."""
    item_id = call.path["item_id"]
    found = await call.api.bridge.read(GetItem(item_id))
    return _found(found, _unknown_item(item_id))


async def items(call: Call) -> object:
    """Return items by a part of their title or id; without it, the most popular."""
    query: ItemQuery = call.query
    if not query.q:
        return Items(await call.api.bridge.read(ListPopularItems(query.limit)))
    catalogue = call.api.service.catalogue()
    # The first search of a catalogue reads all its titles. On a thread of its own, other requests do not wait for it.
    found = [] if catalogue is None else await asyncio.to_thread(catalogue.search, query.q, query.limit)
    titled = [each.id for each in found]
    return Items(await call.api.bridge.read(FindItems(query.q, query.limit, titled)))


def _unknown_item(item_id: str) -> str:
    return f"no retained session holds the item {item_id!r}, and no catalogue lists it"


def _found(view: object, otherwise: str) -> object:
    if view is None:
        raise ApiError(404, "not_found", otherwise)
    return view


async def stats(call: Call) -> object:
    """Return the figures of a second ago at most: making them takes as long as some recommendations."""
    return msgspec.Raw(call.api.encoded_stats())


async def stats_history(call: Call) -> object:
    """Return the figures of the last hour."""
    return msgspec.Raw(call.api.history.encoded())


# --- forgetting


async def forget_session(call: Call) -> object:
    """Erase a session by its id, whether it is retained or not."""
    return await _forgotten(call, Forget(session_id=call.path["session_id"]))


async def forget_user(call: Call) -> object:
    """Erase every session in which the user has an event."""
    return await _forgotten(call, Forget(user_id=call.path["user_id"]))


async def _forgotten(call: Call, order: Forget) -> Forgotten:
    n_sessions = await call.api.bridge.read(CountSessions(order))
    result = await call.api.bridge.ingest([order])
    return Forgotten(
        uuid4().hex,
        int(time() * 1000),
        call.api.service.ingest.is_durable,
        n_sessions,
        order.session_id,
        order.user_id,
        result.offsets if isinstance(result, Receipt) else {},
    )
