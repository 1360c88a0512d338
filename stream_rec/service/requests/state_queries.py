"""What people want to see of the state: visitors, their clicks, items. Each looks once, on the recommender thread.

Nothing here is needed to recommend. What it costs is said, since answers wait meanwhile.
"""

from collections.abc import Sequence
from heapq import nsmallest
from typing import Final

import msgspec

from stream_rec.core.events import Forget, Recommendation
from stream_rec.core.model import changed
from stream_rec.service.processing.processor import Processor

__all__ = [
    "ItemView",
    "SessionEvent",
    "SessionLine",
    "SessionView",
    "find_items",
    "item",
    "n_sessions_of",
    "newest_sessions",
    "popular_items",
    "session",
]

_LAST_ITEMS: Final = 5


class ItemView(msgspec.Struct, frozen=True, omit_defaults=True):
    """An item: how many retained sessions hold it, and what the catalogue says of it."""

    item_id: str
    sessions: int
    title: str | None = None
    category: str | None = None
    price: float | None = None
    image: str | None = None
    available: bool | None = None
    """False: it is never recommended. Left out without a catalogue."""

    tags: tuple[str, ...] = ()


class SessionEvent(msgspec.Struct, frozen=True, omit_defaults=True):
    """One event of a session."""

    item_id: str
    timestamp: int
    """In milliseconds since 1970 (UTC)."""

    type: str
    title: str | None = None


class SessionView(msgspec.Struct, frozen=True, omit_defaults=True):
    """A retained session, its events oldest first."""

    session_id: str
    model: str
    """What its visitor is answered with."""

    events: list[SessionEvent]


class SessionLine(msgspec.Struct, frozen=True):
    """A session in a list: its last items, newest last."""

    session_id: str
    last_ms: int
    n_events: int
    items: list[str]


def session(processor: Processor, session_id: str) -> SessionView | None:
    """The session; None if it is not retained."""
    events = processor.engine.session(session_id)
    if not events:
        return None
    catalogue = processor.engine.catalogue

    def title(item_id: str) -> str | None:
        known = None if catalogue is None else catalogue.get(item_id)
        return None if known is None else known.title

    return SessionView(
        session_id,
        processor.engine.split.of(session_id).name,
        [SessionEvent(each.item_id, each.timestamp, each.type, title(each.item_id)) for each in events],
    )


def n_sessions_of(processor: Processor, order: Forget) -> int:
    """How many retained sessions an order to forget is about."""
    sessions = processor.engine.sessions
    of_user = set() if order.user_id is None else set(sessions.of_user(order.user_id))
    session = None if order.session_id is None else sessions.ids.find(order.session_id)
    return len(of_user | ({session} - {None}))


def newest_sessions(processor: Processor, limit: int) -> list[SessionLine]:
    """The *limit* newest sessions, newest first. O(ordinals), some milliseconds for a million."""
    engine = processor.engine
    view = engine.index.view
    lines = []
    for session in view.newest_sessions(limit):
        items, times, _ = view.events_of(session)
        names = [str(engine.items.names[number]) for number in items[-_LAST_ITEMS:].tolist()]
        lines.append(SessionLine(str(engine.sessions.ids.names[session]), int(times[-1]), len(items), names))
    return lines


def item(processor: Processor, item_id: str) -> ItemView | None:
    """The item; None if no retained session holds it, and no catalogue knows it."""
    engine = processor.engine
    number = engine.items.find(item_id)
    known = None if engine.catalogue is None else engine.catalogue.get(item_id)
    if number is None and known is None:
        return None
    sessions = 0 if number is None else engine.index.view.df(number)
    if known is None:
        return ItemView(item_id, sessions)
    return ItemView(
        item_id,
        sessions,
        known.title,
        known.category,
        known.price,
        known.image,
        known.available,
        known.tags,
    )


def find_items(processor: Processor, text: str, limit: int, titled: Sequence[str] = ()) -> list[ItemView]:
    """The items *titled*, and behind them those whose id holds *text*, the most frequent first. O(items)."""
    by_title = [view for item_id in titled if (view := item(processor, item_id)) is not None]
    by_id = _with_id_like(processor, text, limit)
    ids = {each.item_id for each in by_title}
    rest = [view for each in by_id if each not in ids and (view := item(processor, each)) is not None]
    return [*by_title, *rest][:limit]


def _with_id_like(processor: Processor, text: str, limit: int) -> list[str]:
    engine = processor.engine
    wanted = text.casefold()
    found = [
        (-engine.index.view.df(number), name)
        for name, number in engine.items.live().items()
        if wanted in name.casefold()
    ]
    return [name for _, name in nsmallest(limit, found)]


def popular_items(processor: Processor, limit: int) -> list[ItemView]:
    """What is popular lately."""
    engine = processor.engine
    asked: list[Recommendation] = engine.ask(changed(engine.model, n=limit, fallbacks=True), items=())
    return [view for each in asked if (view := item(processor, each.item_id)) is not None]
