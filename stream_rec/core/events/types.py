"""The records of the outside world as plain values. Knows nothing of bytes, names or units."""

import enum
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from stream_rec.core.events.why import Why

__all__ = [
    "EXPIRED",
    "FORGET",
    "MAX_ID_CHARS",
    "MAX_TIME_MS",
    "VIEW",
    "Answer",
    "Event",
    "Forget",
    "Reason",
    "Recommendation",
    "Request",
]

VIEW: Final = "view"
FORGET: Final = "forget"
EXPIRED: Final = "expired"


class Reason(enum.StrEnum):
    """Why a record was not applied: the code in a dead letter."""

    NOT_UTF8 = "not_utf8"
    NOT_JSON = "not_json"
    NOT_A_ROW = "not_a_row"
    NOT_AN_EVENT = "not_an_event"
    MISSING_FIELD = "missing_field"
    UNKNOWN_FIELD = "unknown_field"
    WRONG_TYPE = "wrong_type"
    EMPTY_ID = "empty_id"
    UNKNOWN_TYPE = "unknown_type"
    BAD_TIME = "bad_time"
    NEGATIVE_TIME = "negative_time"
    FUTURE = "future"
    LATE = "late"
    DUPLICATE = "duplicate"
    TOO_LARGE = "too_large"


MAX_ID_CHARS: Final = 512
"""Bounds what one visitor can make us remember. Real ids have 1 to 64 characters."""

# The last millisecond of the year 9999: what datetime, ISO 8601 and people can still read.
MAX_TIME_MS: Final = 253_402_300_799_999

_Text = Annotated[str, Meta(min_length=1, max_length=MAX_ID_CHARS)]
"""What a decoder lets in by its usual rules. Where an event is made of parts, nobody looks: those were checked."""


# gc=False: these hold no containers, so the collector need not visit millions of them.
class Event(msgspec.Struct, frozen=True, gc=False):
    """One visitor touched one item, at `timestamp` milliseconds since 1970 (UTC)."""

    session_id: _Text
    item_id: _Text
    timestamp: Annotated[int, Meta(ge=0, le=MAX_TIME_MS)]
    type: _Text = VIEW
    event_id: _Text | None = None
    user_id: _Text | None = None


class Forget(msgspec.Struct, frozen=True, gc=False):
    """Erase a session, a user's sessions, or both, as if they had never been seen."""

    session_id: str | None = None
    user_id: str | None = None


class Request(msgspec.Struct, frozen=True):
    """A question: what next for a session, or after *items*? `None` takes the setting's value."""

    request_id: str | None = None
    session_id: str | None = None
    items: tuple[str, ...] | None = None
    n: int | None = None
    exclude: tuple[str, ...] = ()
    m: int | None = None
    k: int | None = None
    last: int | None = None
    seen: str | None = None
    preset: str | None = None
    fallbacks: bool | None = None
    ttl_ms: int | None = None
    """An answer that comes later than this after the request was written is of no use to who asked."""
    model: str | None = None
    """The name of one of the models that run side by side; not the one that the session has, then."""
    filter: str | None = None
    """An expression over the catalogue's fields that holds for every item that comes."""
    allow: tuple[str, ...] | None = None
    """The only items that may come."""
    same_category: bool | None = None
    max_per_category: int | None = None
    boost: dict[str, float] | None = None
    """Expression -> factor of the score of an item for which it holds."""
    explain: bool = False
    """Say of each item why it is recommended."""
    hide_sessions: bool = False
    """Explain without the ids of other visitors' sessions."""


class Recommendation(msgspec.Struct, frozen=True, gc=False):
    """One item of an answer; `source` is `neighbours`, `followed` or `popular`."""

    item_id: str
    score: float
    source: str
    why: Why | msgspec.UnsetType = msgspec.UNSET
    """Where an explanation was asked for. Left out of the JSON otherwise."""


class Answer(msgspec.Struct, frozen=True):
    """What is recommended, and the log position (`as_of`, `offsets`) it was computed at."""

    session_id: str | None
    request_id: str | None
    items: list[Recommendation]
    as_of: int | None
    offsets: dict[str, int]
    model: str
    reason: str | msgspec.UnsetType = msgspec.UNSET
    """Why there are no items although there could be: `expired`. Left out of the JSON otherwise."""
