"""What goes over the wire: bodies, query strings and answers, as types.

The OpenAPI document is made of these, so their docstrings are what API users read. Requests for recommendations are
not here: they are the same over HTTP as in a topic, and `events.RequestDecoder` reads both.
"""

from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta

from stream_rec.core.events import RequestDecoder
from stream_rec.service.requests.state_queries import ItemView, SessionLine

__all__ = [
    "MOST",
    "Answers",
    "EventAndRequest",
    "EventFields",
    "Forgotten",
    "ItemQuery",
    "Items",
    "LimitQuery",
    "NoQuery",
    "OneRequest",
    "RefusedEvent",
    "RequestFields",
    "Requests",
    "Sessions",
    "SimilarQuery",
    "Taken",
]

Text = Annotated[str, Meta(min_length=1, max_length=512)]
Id = Text | int
Millis = Annotated[int, Meta(ge=0, le=253_402_300_799_999)]
Few = Annotated[int, Meta(ge=1, le=1000)]


class EventFields(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, gc=False):
    """One visitor touched one item."""

    session_id: Id | None = None
    """Whose visit it is. Not needed where the service cuts sessions from users."""

    item_id: Id | None = None
    """What was touched. Needed, but for `type` = `forget`."""

    timestamp: Millis | None = None
    """When, in milliseconds since 1970 (UTC); left out, it is when the service gets it."""

    type: Text = "view"
    """`view`, `click`, `cart`, `purchase`, or any other; `forget` erases the session, or the user."""

    event_id: Id | None = None
    """The same event sent again, with the same id, counts once."""

    user_id: Id | None = None


MOST: Final = {"n": 1000, "m": 20_000, "last": 1000}
"""All wait while one is answered: with the most of each some hundred ms, with what a topic may ask minutes."""

_REQUEST = [
    (
        field.name,
        Annotated[int, Meta(ge=1, le=MOST[field.name])] | None if field.name in MOST else field.type,
        field.default,
    )
    for field in msgspec.structs.fields(RequestDecoder.fields)
]

RequestFields = msgspec.defstruct(
    "RequestFields",
    _REQUEST,
    namespace={"__doc__": "A request as it is written: for a session, for `items`, or both."},
    frozen=True,
    forbid_unknown_fields=True,
    kw_only=True,
)


class Requests(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Many requests in one call."""

    requests: list[RequestFields]  # type: ignore[valid-type]  # a type all the same


OneRequest = msgspec.defstruct(
    "OneRequest",
    [*_REQUEST, ("details", bool, False)],
    namespace={"__doc__": "A request, and whether to tell what the catalogue says of each item."},
    frozen=True,
    forbid_unknown_fields=True,
    kw_only=True,
)

EventAndRequest = msgspec.defstruct(
    "EventAndRequest",
    [("event", EventFields), *_REQUEST, ("details", bool, False)],
    namespace={
        "__doc__": "An event, and what to answer right after it: without parameters, what next for its session."
    },
    frozen=True,
    forbid_unknown_fields=True,
    kw_only=True,
)


class RefusedEvent(msgspec.Struct, frozen=True):
    """An event that was not applied."""

    index: int
    """Its place in the call, from 0."""

    code: str
    message: str


class Taken(msgspec.Struct, frozen=True):
    """What became of events."""

    accepted: int
    durable: bool
    """Whether they outlive this process: they are in the topic of events, or in a journal on disk."""

    offsets: dict[str, int]
    """By partition, the last offset that they have in the log; empty without a log."""

    refused: list[RefusedEvent]
    """Late ones and repeated ones, where that is known at once. Over a topic it is not: then they are dead letters."""


class Forgotten(msgspec.Struct, frozen=True, omit_defaults=True):
    """The receipt of an order to forget."""

    receipt: str
    at_ms: int
    durable: bool
    session_id: str | None = None
    user_id: str | None = None
    sessions: int = 0
    """How many retained sessions it was about."""

    offsets: dict[str, int] = {}
    """Where the order stands in the log: it holds for whoever reads that far."""


class Answers(msgspec.Struct, frozen=True):
    """Answers to several requests, in their order."""

    answers: list[Any]


class Sessions(msgspec.Struct, frozen=True):
    """The newest sessions, newest first."""

    sessions: list[SessionLine]


class Items(msgspec.Struct, frozen=True):
    """Items that were looked for."""

    items: list[ItemView]


class NoQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Nothing may be asked for."""


class LimitQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How many."""

    limit: Few = 50


class ItemQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What to look for."""

    q: Annotated[str, Meta(max_length=200)] = ""
    """Part of a title or of an id; left out, the most popular items come."""

    limit: Few = 20


class SimilarQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How many, and with what about each."""

    n: Annotated[int, Meta(ge=1, le=1000)] | None = None
    details: bool = False
