"""What people want to see of the state: visitors, their clicks, items. Each looks once, on the recommender thread.

Nothing here is needed to recommend. What it costs is said, since answers wait meanwhile.
"""

from typing import Final

import msgspec

from stream_rec.events import Forget, Recommendation
from stream_rec.recommend import changed
from stream_rec.service.worker import Worker

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


def session(worker: Worker, session_id: str) -> SessionView | None:
    """The session; None if it is not retained."""
    events = worker.engine.session(session_id)
    if not events:
        return None
    return SessionView(
        session_id,
        worker.engine.split.of(session_id).name,
        [SessionEvent(each.item_id, each.timestamp, each.type) for each in events],
    )


def n_sessions_of(worker: Worker, order: Forget) -> int:
    """How many retained sessions an order to forget is about."""
    sessions = worker.engine.sessions
    slots = set() if order.user_id is None else set(sessions.of_user(order.user_id))
    slot = None if order.session_id is None else sessions.ids.find(order.session_id)
    return len(slots | ({slot} - {None}))


def newest_sessions(worker: Worker, limit: int) -> list[SessionLine]:
    """The *limit* newest sessions, newest first. O(slots), some milliseconds for a million."""
    engine = worker.engine
    slots = engine.index.newest_slots(limit)
    lines = []
    for slot in slots:
        items, times, _ = engine.index.events_of(slot)
        names = [str(engine.items.names[number]) for number in items[-_LAST_ITEMS:].tolist()]
        lines.append(SessionLine(str(engine.sessions.ids.names[slot]), int(times[-1]), len(items), names))
    return lines


def item(worker: Worker, item_id: str) -> ItemView | None:
    """The item; None if no retained session holds it."""
    number = worker.engine.items.find(item_id)
    return None if number is None else ItemView(item_id, worker.engine.index.df(number))


def find_items(worker: Worker, text: str, limit: int) -> list[ItemView]:
    """Items whose id holds *text*, those in the most sessions first. O(items)."""
    engine = worker.engine
    wanted = text.casefold()
    found = [
        ItemView(name, engine.index.df(number))
        for name, number in engine.items.live().items()
        if wanted in name.casefold()
    ]
    found.sort(key=lambda each: (-each.sessions, each.item_id))
    return found[:limit]


def popular_items(worker: Worker, limit: int) -> list[ItemView]:
    """What is popular lately."""
    engine = worker.engine
    asked: list[Recommendation] = engine.ask(changed(engine.model, n=limit, fallbacks=True), items=())
    return [view for each in asked if (view := item(worker, each.item_id)) is not None]
