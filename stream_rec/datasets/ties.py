"""Events that share their time: how many, and which of them repeat another exactly.

Takes events in order of time. Of equal times a log's order decides, and the order in which it was written may say more
than its visitors did: rows sorted by item, or written twice. Knows nothing of where the events come from.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import groupby
from operator import attrgetter
from typing import Final, NamedTuple

from stream_rec.core.events import Event

__all__ = ["TieCounter", "Ties", "WildTimes", "wild_times", "without_repeats"]

_TIME_OF: Final = attrgetter("timestamp")
_DAY_MS: Final = 86_400_000
_MOST_WILD: Final = 3  # more events than this are no few wrong clocks
_LEAST_EVENTS: Final = 30


class Ties(NamedTuple):
    """How the times of events coincide."""

    n_events: int
    n_tied: int
    """Events that have the time of another event of their session, repeats apart."""
    n_by_item: int
    """Those of them whose item's id is not smaller than that of the tied event before it: half, if drawn by lot."""
    n_follow: int
    """Those of them that have a tied event of their session before them."""
    n_repeats: int
    """Events that equal an earlier one in everything."""

    @property
    def share_tied(self) -> float:
        """Of all events."""
        return self.n_tied / max(1, self.n_events)

    @property
    def share_repeats(self) -> float:
        """Of all events."""
        return self.n_repeats / max(1, self.n_events)

    @property
    def is_by_item(self) -> bool:
        """Whether tied events stand in the order of their items' ids, which no real visit does."""
        return self.n_follow >= _LEAST_EVENTS and self.n_by_item == self.n_follow


class TieCounter:
    """Counts ties of events that come in order of time; holds those of the newest time only."""

    def __init__(self) -> None:
        self._n_events = self._n_tied = self._n_by_item = self._n_follow = self._n_repeats = 0
        self._time = -1
        self._group: list[Event] = []

    def add_all(self, events: Iterable[Event]) -> None:
        """Count *events*, none of which is older than one before."""
        for time, group in groupby(events, _TIME_OF):
            if time != self._time:
                self._close()
                self._time = time
            self._group += group

    def ties(self) -> Ties:
        """Return what was found up to now."""
        self._close()
        return Ties(self._n_events, self._n_tied, self._n_by_item, self._n_follow, self._n_repeats)

    def _close(self) -> None:
        group, self._group = self._group, []
        self._n_events += len(group)
        if len(group) < 2:  # noqa: PLR2004 (nothing is tied to itself)
            return
        distinct = list(dict.fromkeys(group))
        self._n_repeats += len(group) - len(distinct)
        of_session = Counter(map(_visitor, distinct))
        self._n_tied += sum(n for n in of_session.values() if n > 1)
        before: dict[tuple[str, str | None], str] = {}
        for event in distinct:
            visitor = _visitor(event)
            if visitor in before:
                self._n_follow += 1
                self._n_by_item += before[visitor] <= event.item_id
            before[visitor] = event.item_id


def without_repeats(events: Sequence[Event]) -> list[Event]:
    """Return *events*, which are in order of time, without those that equal an earlier one in everything."""
    kept: list[Event] = []
    for _, group in groupby(events, _TIME_OF):
        kept += dict.fromkeys(group)
    return kept


def _visitor(event: Event) -> tuple[str, str | None]:
    # Before sessions are cut from users, an event has no session yet, and its user stands for it.
    return event.session_id, None if event.session_id else event.user_id


class WildTimes(NamedTuple):
    """A few events far from all others: surely their clocks were wrong."""

    n_events: int
    far_ms: int
    """How far the nearest of them is from all others."""
    time: int
    """Of the first of them."""
    is_after: bool
    """Whether they lie after all others, not before."""


def wild_times(times: Sequence[int], least_ms: int = 30 * _DAY_MS) -> WildTimes | None:
    """Return the few *times*, ascending, that lie farther than *least_ms* from all others; None if there are none."""
    if len(times) < _LEAST_EVENTS:
        return None
    for n in range(1, _MOST_WILD + 1):
        first, last = int(times[0]), int(times[-1])
        after, before = int(times[-n]) - int(times[-n - 1]), int(times[n]) - int(times[n - 1])
        if after > max(least_ms, (int(times[-n - 1]) - first) // 10):
            return WildTimes(n, after, int(times[-n]), is_after=True)
        if before > max(least_ms, (last - int(times[n])) // 10):
            return WildTimes(n, before, first, is_after=False)
    return None
