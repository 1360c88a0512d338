"""Outside records as plain values. Knows nothing of bytes, names or units."""

import enum
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from stream_rec.core.events.mapping import AsMapping
from stream_rec.core.events.why import Why

__all__ = [
    "EXPIRED",
    "FORGET",
    "MAX_ID_CHARS",
    "MAX_TIME_MS",
    "NO_LOG_TIME",
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
    """The code in a dead letter: why a record was not applied.

    >>> from stream_rec import Engine, Event
    >>> engine = Engine()
    >>> engine.apply([Event("ann", "tent", 10**8), Event("ben", "tent", 0)]).reasons
    [None, <Reason.LATE: 'late'>]
    """

    NOT_UTF8 = "not_utf8"
    NOT_JSON = "not_json"
    NOT_A_ROW = "not_a_row"
    NOT_AN_EVENT = "not_an_event"
    NEEDS_REGISTRY = "needs_registry"
    UNKNOWN_SCHEMA = "unknown_schema"
    NOT_OF_SCHEMA = "not_of_schema"
    MISSING_FIELD = "missing_field"
    UNKNOWN_FIELD = "unknown_field"
    WRONG_TYPE = "wrong_type"
    EMPTY_ID = "empty_id"
    NULL_ID = "null_id"
    UNKNOWN_TYPE = "unknown_type"
    BAD_TIME = "bad_time"
    NEGATIVE_TIME = "negative_time"
    FUTURE = "future"
    LATE = "late"
    DUPLICATE = "duplicate"
    TOO_LARGE = "too_large"


MAX_ID_CHARS: Final = 512
"""Limits the memory that one visitor can take. Real ids have 1 to 64 characters."""

# The last millisecond of the year 9999, the last that datetime and ISO 8601 can express.
MAX_TIME_MS: Final = 253_402_300_799_999

NO_LOG_TIME: Final = (1 << 63) - 1
"""In columns of log times, that of a record without one: such an event may move the watermark to its own time."""

_Text = Annotated[str, Meta(min_length=1, max_length=MAX_ID_CHARS)]
"""An id or type under the default rules. Only decoding checks it; an event built from parts is not checked again."""


# gc=False: these hold no containers, so the garbage collector need not visit millions of them.
class Event(msgspec.Struct, frozen=True, gc=False):
    """One visitor touched one item, at `timestamp` milliseconds since 1970 (UTC).

    >>> from stream_rec import Event
    >>> Event("ann", "tent", 1_700_000_000_000, "cart").type
    'cart'
    """

    session_id: _Text
    item_id: _Text
    timestamp: Annotated[int, Meta(ge=0, le=MAX_TIME_MS)]
    type: _Text = VIEW
    event_id: _Text | None = None
    user_id: _Text | None = None


class Forget(msgspec.Struct, frozen=True, gc=False):
    """Erase a session, a user's sessions, or both, as if they had never occurred.

    >>> from stream_rec import Engine, Event, Forget
    >>> engine = Engine()
    >>> engine.apply([Event("ann", "tent", 0, user_id="u1"), Forget(user_id="u1")])
    Applied(2 of 2)
    >>> engine.session_ids()
    []
    """

    session_id: str | None = None
    user_id: str | None = None


class Request(msgspec.Struct, frozen=True):
    """A request for recommendations in a session, or after *items*. `None` takes the value of the setting.

    >>> from stream_rec import Engine, Event, Request
    >>> engine = Engine()
    >>> _ = engine.apply([Event("ann", "tent", 0), Event("ann", "stove", 60_000)])
    >>> (answer,) = engine.answer([Request(items=("tent",), n=1, exclude=("lamp",))])
    >>> answer.items[0].item_id
    'stove'
    """

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
    """An answer later than this after the request was written is useless to the caller."""
    model: str | None = None
    """The name of one of the running models, used in place of the session's own."""
    filter: str | None = None
    """An expression over the fields of the catalogue; only items for which it holds are recommended."""
    allow: tuple[str, ...] | None = None
    """The only items that are allowed."""
    same_category: bool | None = None
    max_per_category: int | None = None
    boost: dict[str, float] | None = None
    """Expression -> factor of the scores of items for which it holds."""
    explain: bool = False
    """Explain why each item is recommended."""
    hide_sessions: bool = False
    """Explain without the ids of other visitors' sessions."""
    rerank: str | None = None
    """`off` for the model's own order; `auto`, `linear` or `hidden` for a learned one, if the model learns one."""


class Recommendation(msgspec.Struct, AsMapping, frozen=True, gc=False, omit_defaults=True, repr_omit_defaults=True):
    """One item of an answer; `source` is `neighbours`, `followed`, `popular` or `newest`; of a list, also `trending`.

    >>> import json
    >>> from stream_rec import Recommendation
    >>> item = Recommendation("tent", 1.5, "neighbours")
    >>> item.to_dict()
    {'item_id': 'tent', 'score': 1.5, 'source': 'neighbours'}
    >>> json.dumps([item], default=dict)
    '[{"item_id": "tent", "score": 1.5, "source": "neighbours"}]'
    """

    item_id: str
    score: float
    source: str
    why: Why | None = None
    """None if no explanation was requested; then it is left out of the JSON."""


class Answer(msgspec.Struct, AsMapping, frozen=True, omit_defaults=True, repr_omit_defaults=True):
    """The recommendations, and the place in the log (`as_of`, `offsets`) that they were computed at.

    >>> import json
    >>> from stream_rec import Engine, Request
    >>> (answer,) = Engine().answer([Request(session_id="ann")])
    >>> json.dumps(answer, default=dict)
    '{"session_id": "ann", "request_id": null, "items": [], "as_of": null, "offsets": {}, "model": "default"}'
    """

    session_id: str | None
    request_id: str | None
    items: list[Recommendation]
    as_of: int | None
    offsets: dict[str, int]
    model: str
    reason: str | None = None
    """`expired` if there are no items for that reason, else None, and left out of the JSON."""
    weights: str | None = None
    """Form and boundary, ms, of the learned weights that ordered the items.

    None, and left out of the JSON, where none did.
    """
