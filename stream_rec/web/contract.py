"""Bodies, query strings and answers as types.

The OpenAPI document is made from these types, so API users read their names and docstrings. A request for
recommendations has the same fields as in a topic: they come from `core.events.RequestDecoder`, which reads both.
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
    "LogRecord",
    "Name",
    "NoQuery",
    "OneRequest",
    "RefusedEvent",
    "RequestFields",
    "Requests",
    "Sessions",
    "SimilarQuery",
    "StrictEventFields",
    "Taken",
]

Name = Annotated[str, Meta(min_length=1, max_length=512)]
TypeName = Annotated[str, Meta(max_length=512)]
ApiId = Name | int
TimestampMs = Annotated[int, Meta(ge=0, le=253_402_300_799_999)]
ListLimit = Annotated[int, Meta(ge=1, le=1000)]


class EventFields(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One visitor touched one item. Further fields are passed over. Records in the form of the log are taken too."""

    session_id: ApiId | None = None
    """The session of the event. Not needed where the service cuts sessions from users."""

    item_id: ApiId | None = None
    """The item. Required, except for `type` = `forget`."""

    timestamp: TimestampMs | None = None
    """When it happened, in milliseconds since 1970 (UTC). Default: when the service receives it."""

    type: TypeName = "view"
    """`view`, `click`, `cart`, `purchase`, or any other; empty is `view`; `forget` erases the session, or the user."""

    event_id: ApiId | None = None
    """An event that is sent again with the same id counts once."""

    user_id: ApiId | None = None


class StrictEventFields(EventFields, frozen=True, forbid_unknown_fields=True, kw_only=True, gc=False):
    """An event with these fields and no other."""


class LogRecord(msgspec.Struct, frozen=True):
    """An event in the form of the log: with the names, the unit and the types that the settings of the service say."""


MOST: Final = {"n": 1000, "m": 20_000, "last": 1000}
"""The limits over HTTP: all callers wait while one is answered. At these limits an answer takes some hundred
milliseconds, at those of a topic minutes."""

_REQUEST = [
    (
        field.name,
        Annotated[int, Meta(ge=1, le=MOST[field.name])] | None if field.name in MOST else field.type,
        field.default,
    )
    for field in msgspec.structs.fields(RequestDecoder.fields)
]

# Its name shows in the OpenAPI document, so it is that of the core's type, whose fields it has with narrower limits.
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
    namespace={"__doc__": "A request, and whether to add what the catalogue knows of each item."},
    frozen=True,
    forbid_unknown_fields=True,
    kw_only=True,
)

EventAndRequest = msgspec.defstruct(
    "EventAndRequest",
    [("event", EventFields), *_REQUEST, ("details", bool, False)],
    namespace={"__doc__": "An event, and the request to answer right after it: by default for the event's session."},
    frozen=True,
    forbid_unknown_fields=True,
    kw_only=True,
)


class RefusedEvent(msgspec.Struct, frozen=True):
    """An event that was not applied."""

    index: int
    """Its position in the call, from 0."""

    code: str
    message: str


class Taken(msgspec.Struct, frozen=True):
    """What became of the events of a call."""

    accepted: int
    durable: bool
    """Whether they outlive this process: they are in the topic of events, or in a journal on disk."""

    offsets: dict[str, int]
    """By partition, the last offset of these events in the log. Empty without a log."""

    refused: list[RefusedEvent]
    """Late and repeated events, if the service applies events at once. If it writes them to a topic, such events
    become dead letters later."""


class Forgotten(msgspec.Struct, frozen=True, omit_defaults=True):
    """The receipt for an order to forget."""

    receipt: str
    at_ms: int
    durable: bool
    sessions: int
    """How many retained sessions the order erases. 0: it was not retained, or has another id."""

    session_id: str | None = None
    user_id: str | None = None
    offsets: dict[str, int] = {}
    """The order's offset in the log, by partition: a replica that has read so far has forgotten."""


class Answers(msgspec.Struct, frozen=True):
    """Answers to several requests, in their order."""

    answers: list[Any]


class Sessions(msgspec.Struct, frozen=True):
    """The newest sessions, newest first."""

    sessions: list[SessionLine]


class Items(msgspec.Struct, frozen=True):
    """The items that were found."""

    items: list[ItemView]


class NoQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """No parameters."""


class LimitQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How many to return."""

    limit: ListLimit = 50


class ItemQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What to look for."""

    q: Annotated[str, Meta(max_length=200)] = ""
    """Part of a title or of an id. Without it, the most popular items are returned."""

    limit: ListLimit = 20


class SimilarQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How many items to return, and whether to add what the catalogue knows of each."""

    n: Annotated[int, Meta(ge=1, le=1000)] | None = None
    details: bool = False
