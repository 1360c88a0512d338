"""Sessions that do not look like visits, and events that do not look like clicks: counted while a source is read."""

from collections.abc import Mapping
from heapq import nlargest
from typing import Final, NamedTuple

from stream_rec.core.events import Event
from stream_rec.core.limits import DAY_MS
from stream_rec.datasets.statistics import Summary

__all__ = ["Giant", "SessionShapes", "impressions_in"]

IMPRESSIONS: Final = frozenset(
    {"impression", "impressions", "exposure", "exposed", "shown", "show", "display", "displayed", "served", "search",
     "viewitemlist", "viewlist", "listview", "viewsearchresults", "productlistviewed", "productimpression"}
)  # fmt: skip
"""Types of events that a page makes by itself, in letters only."""

_LONG_MS: Final = DAY_MS
_MOST_SESSIONS: Final = 1_000_000
_MANY: Final = 20
_PAUSING: Final = 0.3
_SHARED: Final = 0.3
_GIANT: Final = 200
_GIANT_SHARE: Final = 0.2
_GIANT_LEAST: Final = 30
_TIMES: Final = 10
_FEW: Final = 10


class _Session:
    __slots__ = ("is_mixed", "is_shared", "last_ms", "n", "pauses", "step", "user")

    def __init__(self, event: Event) -> None:
        self.n = 0
        self.last_ms = event.timestamp
        self.pauses = False
        self.user = event.user_id
        self.is_shared = False
        self.step = 0
        self.is_mixed = False
        """Whether its times go up and down: what lies between two of its events is then no pause."""


class Giant(NamedTuple):
    """The longest of the sessions that are far longer than all others."""

    session_id: str
    n: int
    next_longest: int
    """Of the sessions that are not giants."""
    more: int = 0
    """How many other giants there are."""


class SessionShapes:
    """What each session looks like; of a log with very many, the first million."""

    def __init__(self) -> None:
        self._sessions: dict[str, _Session] = {}
        self._n = 0

    def see(self, event: Event) -> None:
        """Count *event*, whose session is the log's own."""
        self._n += 1
        session = self._sessions.get(event.session_id)
        if session is None:
            if len(self._sessions) >= _MOST_SESSIONS:
                return
            session = self._sessions[event.session_id] = _Session(event)
        session.n += 1
        step = event.timestamp - session.last_ms
        if step:
            session.is_mixed |= step * session.step < 0
            session.step = step
            session.pauses |= abs(step) > _LONG_MS
        session.last_ms = event.timestamp
        if event.user_id != session.user:
            session.is_shared = True

    def pausing_share(self) -> float:
        """Return the share of sessions of several events that pause for more than a day; 0 if few sessions could."""
        longer = [each for each in self._sessions.values() if each.n > 1 and not each.is_mixed]
        share = sum(each.pauses for each in longer) / max(1, len(longer))
        return share if len(longer) >= _MANY and share > _PAUSING else 0.0

    def shared_share(self) -> float:
        """Return the share of sessions that belong to several users; 0 if it is small."""
        named = [each for each in self._sessions.values() if each.n > 1]
        share = sum(each.is_shared for each in named) / max(1, len(named))
        return share if share > _SHARED else 0.0

    def giant(self) -> Giant | None:
        """Return the longest session, if it and at most a few more are far longer than all others."""
        ranked = nlargest(_FEW + 1, self._sessions.items(), key=lambda pair: pair[1].n)
        for place in range(1, min(len(ranked), len(self._sessions) // 2 + 1)):
            (_, shortest), (_, other) = ranked[place - 1 : place + 1]
            large = shortest.n >= _GIANT or (shortest.n >= _GIANT_LEAST and shortest.n > _GIANT_SHARE * self._n)
            if large and shortest.n > _TIMES * other.n:
                name, longest = ranked[0]
                return Giant(name, longest.n, other.n, place - 1)
        return None


def impressions_in(summary: Summary) -> Mapping[str, int]:
    """Return the types of events that pages make by themselves, where there are others beside them."""
    found = {kind: n for kind, n in summary.types.items() if "".join(filter(str.isalpha, kind.lower())) in IMPRESSIONS}
    return found if len(found) < len(summary.types) else {}
