"""What visitors were shown: how often each item, since they last clicked it, for as long as that may matter.

A *shown* event says that a visitor saw an item. It is no click: it joins no session, counts for no popularity and moves
no watermark. What is kept of it are counts, for the rule that an item shown so often without a click is not
recommended again, and where the item was shown last, so that a click can be counted for that place.

As with sessions, nothing depends on when what has expired is removed: a visit that no later event may join is over,
whether it is still stored or not.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Final, NamedTuple

import msgspec
from sortedcontainers import SortedList
from xxhash import xxh3_64_intdigest

from stream_rec.core.bounds import Duration, PositiveInt
from stream_rec.core.events import Event
from stream_rec.core.limits import DAY_MS, Limits
from stream_rec.errors import SettingsError
from stream_rec.nearest import NamesItsFields

__all__ = ["MOST_PLACES", "SOURCES", "Impressions", "Seen", "ShownAs", "ShownRules", "ShownVisit", "seen_of"]

SOURCES: Final = ("", "neighbours", "followed", "popular", "trending", "newest", "session")
"""Where a shown item may have come from, by code; "" where the event does not say."""
MOST_PLACES: Final = 1000
_MOST_OF_VISIT: Final = 200
_DIGITS: Final = 4


class ShownRules(msgspec.Struct, frozen=True, kw_only=True, metaclass=NamesItsFields):
    """Which events say what was shown, and what follows from it.

    >>> from stream_rec import Engine, Event, ShownRules
    >>> engine = Engine(shown=ShownRules(at_most=1))
    >>> engine.apply([Event("ann", "tent", 0), Event("ben", "tent", 1), Event("ben", "stove", 2)])
    Applied(3 of 3)
    >>> [item.item_id for item in engine.recommend("ann")]
    ['stove']
    >>> _ = engine.apply([Event("ann", "stove", 3, "shown:1:neighbours")])
    >>> engine.recommend("ann")
    []
    """

    type: Annotated[str, msgspec.Meta(min_length=1)] = "shown"
    """The type of such events. Behind a colon it may name the place in the list, from 1, and behind another the source
    of the item: `shown:3:popular`."""

    at_most: PositiveInt | None = None
    """An item shown this often to a session, and not clicked since, is not recommended to it. None: all are."""

    window_ms: Duration = DAY_MS
    """A session's counts end where nothing was shown to it for so long, in event time. More than the lateness."""

    max_items: PositiveInt = 200_000
    """Most items counted, of all sessions together; those of the sessions that saw nothing for longest leave first. A
    session counts 200 at most."""


class ShownAs(NamedTuple):
    """What the type of a shown event says."""

    place: int
    """In the list, from 1; 0: it does not say."""
    source: int
    """A code of SOURCES."""


class Seen(NamedTuple):
    """An item that was shown to a session, or the click that followed."""

    session_id: str
    place: int
    """In its list, from 1; 0: it was not said."""
    source: str
    """Of the item; "": it was not said."""
    is_click: bool


class ShownItem:
    """One item that was shown to a session."""

    __slots__ = ("count", "first", "last", "place", "source")

    def __init__(self, count: int, first: int, last: int, place: int, source: int) -> None:
        self.count = count
        self.first = first
        self.last = last
        self.place = place
        self.source = source

    def row(self) -> tuple[int, int, int, int, int]:
        """Return its numbers."""
        return self.count, self.first, self.last, self.place, self.source


class ShownVisit(NamedTuple):
    """What was shown to one session, as it is exported."""

    session_id: str
    last: int
    """Time of the newest shown event, ms."""
    items: Mapping[str, tuple[int, int, int, int, int]]
    """How often each was shown since its last click, first and last when, and last where (`ShownAs`)."""
    event_ids: Sequence[int]
    """XXH3-64 of the ids of its events, in the order of the log."""
    users: Sequence[str]


class _Visit:
    __slots__ = ("event_ids", "items", "key", "last", "users")

    def __init__(self, key: tuple[int, str], last: int) -> None:
        self.key = key
        self.last = last
        self.items: dict[str, ShownItem] = {}
        self.event_ids: dict[int, None] = {}
        self.users: set[str] = set()

    @property
    def size(self) -> int:
        return len(self.items) + len(self.event_ids) + len(self.users) + 1


class Impressions:
    """The shown items of all sessions. Bounded: `max_items` of *rules*, some 300 bytes each with their ids.

    Raises SettingsError if the window is not longer than the lateness in *limits*: an event could join a visit or not,
    depending on what else came first.
    """

    def __init__(self, rules: ShownRules, limits: Limits) -> None:
        self.rules = rules
        self._lateness_ms = limits.lateness_ms
        self._open_ms = rules.window_ms - limits.lateness_ms
        """An event that is later than this after the last shown one of its visit begins another."""
        if self._open_ms <= 0:
            message = (
                f"is {rules.window_ms} ms, and must be longer than allowed_lateness ({limits.lateness_ms} ms): "
                "a late event could join what is over"
            )
            raise SettingsError("shown_window", f"{message}; raise it, or lower allowed_lateness")
        if ":" in rules.type:
            raise SettingsError("shown", f"expected a type without a colon, found {rules.type!r}")
        self._visits: dict[str, _Visit] = {}
        self._by_age: SortedList[tuple[int, tuple[int, str]]] = SortedList()
        self._size = 0

    # --- what types say

    def is_shown(self, kind: str) -> bool:
        """Return whether an event of this type says what was shown."""
        return kind == self.rules.type or kind.startswith(self.rules.type + ":")

    def said_by(self, kind: str) -> ShownAs | None:
        """Return what the type of a shown event says; None if that is no form of it."""
        _, *parts = kind.split(":")
        place, source = (*parts, "", "")[:2]
        if len(parts) > 2 or source not in SOURCES:  # noqa: PLR2004  # place and source
            return None
        if place == "":
            return ShownAs(0, SOURCES.index(source))
        if not (place.isascii() and place.isdigit() and len(place) <= _DIGITS and 1 <= int(place) <= MOST_PLACES):
            return None
        return ShownAs(int(place), SOURCES.index(source))

    # --- events

    def show(self, event: Event, said: ShownAs) -> bool:
        """Count what *event* says, which is not late; return False for one whose id came before."""
        session_id, time, event_id = event.session_id, event.timestamp, event.event_id
        visit = self._visits.get(session_id)
        if visit is not None and time > visit.last + self._open_ms:  # planted bug: shown-never-over
            self._remove(visit)
            visit = None
        id_key = None if not event_id else xxh3_64_intdigest(event_id.encode())
        if visit is None:
            visit = self._visits[session_id] = _Visit((xxh3_64_intdigest(session_id.encode()), session_id), time)
        elif id_key is not None and id_key in visit.event_ids:
            return False
        else:
            self._by_age.remove((visit.last, visit.key))
            self._size -= visit.size
        visit.last = max(visit.last, time)
        if id_key is not None:
            visit.event_ids[id_key] = None
            if len(visit.event_ids) > _MOST_OF_VISIT:
                del visit.event_ids[next(iter(visit.event_ids))]
        if event.user_id is not None:
            visit.users.add(event.user_id)
        _count(visit, event.item_id, time, said)
        self._by_age.add((visit.last, visit.key))
        self._size += visit.size
        while self._size > self.rules.max_items and len(self._by_age) > 1:
            _, (_, oldest) = self._by_age[0]
            self._remove(self._visits[oldest])
        return True

    def click(self, session_id: str, item_id: str, time: int) -> Seen | None:
        """Note that a session clicked an item; return where that was shown, None if it was not."""
        visit = self._visits.get(session_id)
        if visit is None or time > visit.last + self._open_ms:
            return None
        item = visit.items.get(item_id)
        if item is None or time < item.first:
            return None
        del visit.items[item_id]
        self._size -= 1
        return Seen(session_id, item.place, SOURCES[item.source], is_click=True)

    def forget(self, session_ids: Iterable[str], user_id: str | None) -> list[str]:
        """Erase what was shown to these sessions, and to those of a user; return which. O(sessions) for a user."""
        gone = {name for name in session_ids if name in self._visits}
        if user_id is not None:
            gone |= {name for name, visit in self._visits.items() if user_id in visit.users}
        for name in gone:  # planted bug: shown-not-forgotten (2 lines)
            self._remove(self._visits[name])
        return sorted(gone)

    def _remove(self, visit: _Visit) -> None:
        del self._visits[visit.key[1]]
        self._by_age.remove((visit.last, visit.key))
        self._size -= visit.size

    # --- the rule

    def is_late(self, time: int, watermark: int | None) -> bool:
        """Return whether a shown event comes too late to count."""
        return watermark is not None and time < watermark - self._lateness_ms

    def ignored(self, session_id: str | None, watermark: int | None) -> tuple[str, ...]:
        """Return the items that are not recommended to a session, for it has ignored them too often."""
        most = self.rules.at_most
        visit = None if most is None or session_id is None else self._visits.get(session_id)
        if visit is None or most is None or (watermark is not None and visit.last < watermark - self.rules.window_ms):
            return ()
        return tuple(name for name, item in visit.items.items() if item.count >= most)

    def ignored_after(self, event: Event, watermark: int) -> tuple[str, ...]:
        """Return what `ignored` will right after *event* is applied and *watermark* reached."""
        names = self.ignored(event.session_id, watermark)
        visit = self._visits.get(event.session_id)
        if visit is None or event.item_id not in names:
            return names
        is_click = visit.items[event.item_id].first <= event.timestamp <= visit.last + self._open_ms
        return tuple(name for name in names if name != event.item_id) if is_click else names

    def counts(self, session_id: str, watermark: int | None) -> dict[str, int]:
        """Return how often each item was shown to a session since it last clicked it."""
        visit = self._visits.get(session_id)
        if visit is None or (watermark is not None and visit.last < watermark - self.rules.window_ms):
            return {}
        return {name: item.count for name, item in visit.items.items()}

    def may_ignore(self, shown: Mapping[str, int]) -> set[str]:
        """Return those of *shown* (how often each session is shown something soon) that may come to ignore an item."""
        most = self.rules.at_most
        if most is None:
            return set()
        found = set()
        for name, n_more in shown.items():
            visit = self._visits.get(name)
            before = 0 if visit is None else max((item.count for item in visit.items.values()), default=0)
            if before + n_more >= most:
                found.add(name)
        return found

    # --- all of it at once

    def __len__(self) -> int:
        return self._size

    @property
    def n_sessions(self) -> int:
        """How many sessions it has counts of."""
        return len(self._visits)

    def export_state(self, watermark: int | None) -> list[ShownVisit]:
        """Return what was shown to each session, those that saw nothing for longest first, without what has expired."""
        since = None if watermark is None else watermark - self.rules.window_ms
        return [
            ShownVisit(
                name,
                last,
                {item_id: item.row() for item_id, item in sorted(visit.items.items())},
                list(visit.event_ids),
                sorted(visit.users),
            )
            for last, (_, name) in self._by_age
            if since is None or last >= since
            for visit in (self._visits[name],)
        ]

    def import_state(self, visits: Iterable[ShownVisit]) -> None:
        """Replace all by *visits*."""
        self._visits.clear()
        self._by_age.clear()
        self._size = 0
        for each in visits:
            visit = _Visit((xxh3_64_intdigest(each.session_id.encode()), each.session_id), each.last)
            visit.items = {name: ShownItem(*row) for name, row in each.items.items()}
            visit.event_ids = dict.fromkeys(each.event_ids)
            visit.users = set(each.users)
            self._visits[each.session_id] = visit
            self._by_age.add((visit.last, visit.key))
            self._size += visit.size

    def _check(self) -> None:
        """Assert its invariants. O(everything)."""
        assert self._size == sum(visit.size for visit in self._visits.values())
        assert list(self._by_age) == sorted((visit.last, visit.key) for visit in self._visits.values())
        assert self._size <= self.rules.max_items or len(self._visits) == 1
        for name, visit in self._visits.items():
            assert visit.key == (xxh3_64_intdigest(name.encode()), name)
            assert len(visit.items) <= _MOST_OF_VISIT
            assert len(visit.event_ids) <= _MOST_OF_VISIT
            assert all(item.first <= item.last <= visit.last and item.count > 0 for item in visit.items.values())


def _count(visit: _Visit, item_id: str, time: int, said: ShownAs) -> None:
    """Count an item once more; where there are too many, the one that was shown longest ago leaves."""
    item = visit.items.get(item_id)
    if item is None:
        if len(visit.items) == _MOST_OF_VISIT:
            del visit.items[min(visit.items, key=lambda name: (visit.items[name].last, name))]
        visit.items[item_id] = ShownItem(1, time, time, *said)
        return
    item.count += 1
    item.first = min(item.first, time)
    if time >= item.last:  # planted bug: shown-place-by-arrival
        item.last, item.place, item.source = time, *said


def seen_of(session_id: str, said: ShownAs) -> Seen:
    """Return that an item was shown."""
    return Seen(session_id, said.place, SOURCES[said.source], is_click=False)
