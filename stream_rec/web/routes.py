"""The table of routes: the application and its OpenAPI document are both made from it."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, NamedTuple

import msgspec

from stream_rec.core.events import Answer
from stream_rec.service.requests.state_queries import ItemView, SessionView
from stream_rec.web import endpoints
from stream_rec.web.body import Body
from stream_rec.web.context import Call
from stream_rec.web.contract import (
    Answers,
    EventAndRequest,
    EventFields,
    Forgotten,
    ItemQuery,
    Items,
    LimitQuery,
    LogRecord,
    Name,
    NoQuery,
    OneRequest,
    RequestFields,
    Requests,
    Sessions,
    SimilarQuery,
    Taken,
)
from stream_rec.web.history import History
from stream_rec.web.keys import ADMIN, READ, WRITE
from stream_rec.web.stats import Stats

__all__ = ["ROUTES", "Route"]


class Route(NamedTuple):
    """One method of one path."""

    name: str
    method: str
    path: str
    handle: Callable[[Call], Awaitable[object]]
    """Returns the answer, to be encoded as JSON."""

    scopes: tuple[str, ...]
    """The scopes that a key must have, all of them."""

    summary: str
    answer: tuple[Any, ...]
    """The types of the answer."""

    query: type[msgspec.Struct] = NoQuery
    body: tuple[Any, ...] = ()
    """The types of the body; empty: no body."""

    decoded: Any = Any
    """The type that the body is decoded to; Any where the endpoint has a decoder of its own, Body where it reads
    the bytes itself."""

    examples: Mapping[str, Any] = {}
    """Bodies by a short title; the first is what a viewer fills in."""

    as_lines: bool = False
    """Whether the body may also be an object on each line."""

    answers_lines: bool = False
    """Whether a body of lines is answered by lines, each of the first type of the answer."""

    status: int = 200
    errors: Mapping[int, str] = {}
    """Further statuses, besides those that every path may answer with."""

    without: frozenset[str] = frozenset()
    """Fields of *query* that are not parameters of this route."""

    more: Mapping[str, Any] = {}
    """Further parameters: name -> type."""

    needs_ready: bool = True
    """Whether it answers 503 until the service is ready."""


_NOT_FOUND: Final = {404: "It is not retained."}
_OF_A_LIST: Final = frozenset({"n", "exclude", "filter", "allow", "max_per_category"})
_NOT_TAKEN: Final = {503: "The events could not be written: send them again."}


def _list_route(name: str, handle: Callable[[Call], Awaitable[object]], summary: str) -> Route:
    """Return the route of a list for no session."""
    return Route(
        name,
        "GET",
        f"/v1/{name}",
        handle,
        (READ,),
        summary,
        (Answer,),
        query=RequestFields,
        without=frozenset(RequestFields.__struct_fields__) - _OF_A_LIST,
        errors={404: "No item of the catalogue has the category."},
        more={"category": Name, "details": bool},
    )


ROUTES: Final = (
    Route(
        "recommend_session",
        "GET",
        "/v1/sessions/{session_id}/recommendations",
        endpoints.recommend_session,
        (READ,),
        "What next for a session?",
        (Answer,),
        query=RequestFields,
        without=frozenset(
            {"session_id", "ttl_ms", "boost"}
        ),  # in the path; for topics only; a table, which a query string cannot hold
        more={"details": bool},
    ),
    Route(
        "recommend_after",
        "POST",
        "/v1/events:recommend",
        endpoints.recommend_after,
        (WRITE, READ),
        "Apply an event, then recommend for its session.",
        (Answer,),
        body=(EventAndRequest,),
        errors=_NOT_TAKEN,
        examples={"a view, and five items": {"event": {"session_id": "anna", "item_id": "tent"}, "n": 5}},
    ),
    Route(
        "take_events",
        "POST",
        "/v1/events",
        endpoints.take_events,
        (WRITE,),
        "Send one event, an array of them, or one on each line.",
        (Taken,),
        body=(EventFields, list[EventFields], LogRecord, list[LogRecord]),
        decoded=Body,
        examples={
            "two events": [
                {"session_id": "anna", "item_id": "tent", "event_id": "e-1"},
                {"session_id": "anna", "item_id": "stove", "type": "cart", "event_id": "e-2"},
            ],
            "one event": {"session_id": "anna", "item_id": "tent", "event_id": "e-1"},
        },
        as_lines=True,
        status=202,
        errors=_NOT_TAKEN,
    ),
    Route(
        "recommend",
        "POST",
        "/v1/recommendations",
        endpoints.recommend,
        (READ,),
        'What next for a session, or after items? One request, or many as {"requests": [..]} or one on each line.',
        (Answer, Answers),
        body=(OneRequest, Requests),
        examples={
            "for a session": {"session_id": "anna", "n": 5},
            "after items": {"items": ["tent", "stove"], "n": 5, "exclude": ["lamp"]},
            "many": {"requests": [{"session_id": "anna"}, {"items": ["tent"], "n": 3}]},
        },
        decoded=Body,
        as_lines=True,
        answers_lines=True,
        more={"details": bool},
    ),
    Route(
        "session",
        "GET",
        "/v1/sessions/{session_id}",
        endpoints.session,
        (READ,),
        "The events of a session.",
        (SessionView,),
        errors=_NOT_FOUND,
    ),
    Route(
        "sessions", "GET", "/v1/sessions", endpoints.sessions, (ADMIN,), "The newest sessions.", (Sessions,), LimitQuery
    ),
    Route(
        "similar",
        "GET",
        "/v1/items/{item_id}/similar",
        endpoints.similar,
        (READ,),
        "What goes with an item: recommendations after this item alone.",
        (Answer,),
        SimilarQuery,
        errors={404: "No retained session holds the item, and no catalogue lists it."},
    ),
    _list_route(
        "popular",
        endpoints.popular,
        "What is popular now, in one category or in all: the fallbacks of a visitor without a history.",
    ),
    _list_route(
        "trending",
        endpoints.trending,
        "What trends now, in one category or in all: items whose share of the newest events has grown most.",
    ),
    _list_route(
        "newest",
        endpoints.newest,
        "The newest of the catalogue, in one category or in all, by the field `listed_at` of its items.",
    ),
    Route("item", "GET", "/v1/items/{item_id}", endpoints.item, (READ,), "One item.", (ItemView,), errors=_NOT_FOUND),
    Route("items", "GET", "/v1/items", endpoints.items, (READ,), "Find items.", (Items,), ItemQuery),
    Route(
        "forget_session",
        "DELETE",
        "/v1/sessions/{session_id}",
        endpoints.forget_session,
        (ADMIN,),
        "Erase a session, as if it had never been seen.",
        (Forgotten,),
        errors=_NOT_TAKEN,
    ),
    Route(
        "forget_user",
        "DELETE",
        "/v1/users/{user_id}",
        endpoints.forget_user,
        (ADMIN,),
        "Erase a user's sessions, as if they had never been seen.",
        (Forgotten,),
        errors=_NOT_TAKEN,
    ),
    Route(
        "stats",
        "GET",
        "/v1/stats",
        endpoints.stats,
        (READ,),
        "The figures of the service, also while it is not ready.",
        (Stats,),
        needs_ready=False,
    ),
    Route(
        "stats_history",
        "GET",
        "/v1/stats/history",
        endpoints.stats_history,
        (READ,),
        "The figures of the last hour, as the dashboard draws them.",
        (History,),
        needs_ready=False,
    ),
)
