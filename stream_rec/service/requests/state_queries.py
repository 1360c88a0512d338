"""Named queries over the state, for people: sessions, their events, items. None is needed to recommend.

Each is a `ReadState` of the request queue: a small value that any thread may make, and whose `read` runs once, on the
engine's thread. Answers wait meanwhile, so each one that costs more than a look-up states its cost.
"""

from collections.abc import Iterable, Sequence
from heapq import nsmallest
from typing import Final, NamedTuple

import msgspec

from stream_rec.core.engine import ListOrder, within_category
from stream_rec.core.events import Answer, Forget, Recommendation, Request
from stream_rec.core.model import changed, without_newest
from stream_rec.service.processing.processor import Processor

__all__ = [
    "AnswerList",
    "CheckRequest",
    "CountSessions",
    "FindItems",
    "GetItem",
    "GetItems",
    "GetSession",
    "ItemView",
    "ListPopularItems",
    "ListSessions",
    "SessionEvent",
    "SessionLine",
    "SessionView",
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


class GetSession(NamedTuple):
    """A session with its events."""

    session_id: str

    def read(self, processor: Processor) -> SessionView | None:
        """Return the session; None if it is not retained."""
        engine = processor.engine
        events = engine.session(self.session_id)
        if not events:
            return None
        catalogue = engine.catalogue

        def title(item_id: str) -> str | None:
            known = None if catalogue is None else catalogue.get(item_id)
            return None if known is None else known.title

        return SessionView(
            self.session_id,
            engine.split.of(self.session_id).name,
            [SessionEvent(each.item_id, each.timestamp, each.type, title(each.item_id)) for each in events],
        )


class ListSessions(NamedTuple):
    """The newest sessions."""

    limit: int

    def read(self, processor: Processor) -> list[SessionLine]:
        """Return the *limit* newest sessions, newest first. O(capacity): some milliseconds for a million sessions."""
        engine = processor.engine
        lines = []
        for ordinal in engine.index.view.newest_sessions(self.limit):
            items, times, _ = engine.index.view.events_of(ordinal)
            item_ids = [str(engine.items.names[item]) for item in items[-_LAST_ITEMS:].tolist()]
            session_id = str(engine.sessions.ids.names[ordinal])
            lines.append(SessionLine(session_id, int(times[-1]), len(items), item_ids))
        return lines


class CountSessions(NamedTuple):
    """How many retained sessions an order to forget would erase."""

    order: Forget

    def read(self, processor: Processor) -> int:
        """Return their number. O(sessions of the user)."""
        sessions = processor.engine.sessions
        session_id, user_id = self.order.session_id, self.order.user_id
        ordinals = set() if user_id is None else set(sessions.of_user(user_id))
        named = None if session_id is None else sessions.ids.find(session_id)
        return len(ordinals | ({named} - {None}))


class GetItem(NamedTuple):
    """An item."""

    item_id: str

    def read(self, processor: Processor) -> ItemView | None:
        """Return the item; None if no retained session holds it and no catalogue lists it."""
        engine = processor.engine
        ordinal = engine.items.find(self.item_id)
        known = None if engine.catalogue is None else engine.catalogue.get(self.item_id)
        if ordinal is None and known is None:
            return None
        sessions = 0 if ordinal is None else engine.index.view.df(ordinal)
        if known is None:
            return ItemView(self.item_id, sessions)
        return ItemView(
            self.item_id,
            sessions,
            known.title,
            known.category,
            known.price,
            known.image,
            known.available,
            known.tags,
        )


class GetItems(NamedTuple):
    """Several items, such as those of an answer."""

    item_ids: Sequence[str]

    def read(self, processor: Processor) -> list[ItemView | None]:
        """Return them in the same order, each as `GetItem` does."""
        return [GetItem(item_id).read(processor) for item_id in self.item_ids]


class FindItems(NamedTuple):
    """Items by a part of their id, behind those that were found by their title."""

    text: str
    limit: int
    titled: Sequence[str] = ()
    """Ids of the items whose title matches: searching titles takes long, so it is done beforehand, elsewhere."""

    def read(self, processor: Processor) -> list[ItemView]:
        """Return the items *titled*, and behind them those whose id holds *text*, most frequent first. O(items)."""
        titled = _known(GetItems(self.titled).read(processor))
        ids = {each.item_id for each in titled}
        others = [item_id for item_id in self._ids_with_text(processor) if item_id not in ids]
        return [*titled, *_known(GetItems(others).read(processor))][: self.limit]

    def _ids_with_text(self, processor: Processor) -> list[str]:
        engine = processor.engine
        wanted = self.text.casefold()
        found = [
            (-engine.index.view.df(ordinal), item_id)
            for item_id, ordinal in engine.items.live().items()
            if wanted in item_id.casefold()
        ]
        return [item_id for _, item_id in nsmallest(self.limit, found)]


class ListPopularItems(NamedTuple):
    """What is popular now: the fallbacks of a visitor without a history."""

    limit: int

    def read(self, processor: Processor) -> list[ItemView]:
        """Return at most *limit* items, most popular first."""
        engine = processor.engine
        popular: list[Recommendation] = engine.ask(
            changed(without_newest(engine.model), n=self.limit, fallbacks=True), items=()
        )
        return _known(GetItems([each.item_id for each in popular]).read(processor))


class AnswerList(NamedTuple):
    """The items that are first in an order, of one category or of all, under the rules of *request*, for no session."""

    order: ListOrder
    request: Request
    category: str | None = None

    def read(self, processor: Processor) -> Answer | None:
        """Return them; None if no item of the catalogue has the category. O(items) for all but what is popular.

        Raises SettingsError for a rule that cannot be read, and for a category, a rule or the newest items without a
        catalogue.
        """
        request: Request | None = self.request
        processor.update_catalogue()
        if self.category is not None:
            request = within_category(self.request, self.category, processor.engine.catalogue)
        return None if request is None else processor.list_items(self.order, request)


class CheckRequest(NamedTuple):
    """Whether a request could be answered."""

    request: Request

    def read(self, processor: Processor) -> None:
        """Answer the request and drop the answer. Raises SettingsError for parameters out of range."""
        processor.engine.answer([self.request])


def _known(views: Iterable[ItemView | None]) -> list[ItemView]:
    return [view for view in views if view is not None]
