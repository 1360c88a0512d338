"""Statistics of a log: counts, lengths of sessions, lateness of events.

Takes events one at a time, in log order, and keeps 8 bytes for each, plus the table of ids. Computes the figures on
demand. Knows nothing of records that are not events.
"""

from array import array
from collections import Counter
from collections.abc import Iterable
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from stream_rec.core.events import Event

__all__ = ["LogStatistics", "Summary"]

_ITEM_BITS = 32


class Summary(msgspec.Struct, frozen=True):
    """Statistics of a log. Shares are from 0 to 1, and 0 for an empty log."""

    events: int
    sessions: int
    items: int
    users: int
    types: dict[str, int]
    """Events of each type, the most frequent first."""
    first_timestamp: int | None
    last_timestamp: int | None
    session_length_mean: float
    session_length_p50: int
    session_length_p90: int
    session_length_p99: int
    session_length_max: int
    head_share: float
    """Share of the events on the most popular 1 % of items (at least one item)."""
    repeats_share: float
    """Share of the events that repeat an item of their session."""
    out_of_order_share: float
    """Share of the events that are older than an earlier one in the log."""
    lateness_ms_p99: int
    """99 % of the events out of order are behind by at most this."""
    lateness_ms_max: int
    """With this allowed lateness, no event is too late."""


class LogStatistics:
    """Counts events; `summary()` may be called at any time."""

    def __init__(self) -> None:
        self._sessions: dict[str, int] = {}
        self._items: dict[str, int] = {}
        self._users: set[str] = set()
        self._types: Counter[str] = Counter()
        self._touches = array("Q")  # session << 32 | item, of each event
        self._first: int | None = None
        self._watermark: int | None = None
        self._lateness = array("q")  # ms behind the watermark, of events out of order

    def add(self, event: Event) -> None:
        """Count *event*. O(1)."""
        session = self._sessions.setdefault(event.session_id, len(self._sessions))
        item = self._items.setdefault(event.item_id, len(self._items))
        self._touches.append(session << _ITEM_BITS | item)
        self._types[event.type] += 1
        if event.user_id is not None:
            self._users.add(event.user_id)
        self._see(event.timestamp)

    def add_all(self, events: Iterable[Event]) -> None:
        """Count each of *events*."""
        for event in events:
            self.add(event)

    def summary(self) -> Summary:
        """Return the statistics so far. O(events log events), and as much memory again."""
        touches = np.array(self._touches, np.uint64)
        n_events = len(touches)
        lengths = np.sort(np.bincount(_int(touches >> np.uint64(_ITEM_BITS))))
        counts = np.sort(np.bincount(_int(touches & np.uint64(0xFFFF_FFFF))))[::-1]
        head = int(counts[: max(1, round(len(counts) / 100))].sum())
        n_repeats = n_events - len(np.unique(touches))
        lateness = np.sort(np.array(self._lateness, np.int64))
        return Summary(
            events=n_events,
            sessions=len(self._sessions),
            items=len(self._items),
            users=len(self._users),
            types=dict(self._types.most_common()),
            first_timestamp=self._first,
            last_timestamp=self._watermark,
            session_length_mean=n_events / max(1, len(self._sessions)),
            session_length_p50=_percentile(lengths, 50),
            session_length_p90=_percentile(lengths, 90),
            session_length_p99=_percentile(lengths, 99),
            session_length_max=_percentile(lengths, 100),
            head_share=head / max(1, n_events),
            repeats_share=n_repeats / max(1, n_events),
            out_of_order_share=len(lateness) / max(1, n_events),
            lateness_ms_p99=_percentile(lateness, 99),
            lateness_ms_max=_percentile(lateness, 100),
        )

    def _see(self, timestamp: int) -> None:
        if self._first is None or self._watermark is None:
            self._first = self._watermark = timestamp
        elif timestamp >= self._watermark:
            self._watermark = timestamp
        else:
            self._first = min(self._first, timestamp)
            self._lateness.append(self._watermark - timestamp)


def _int(numbers: NDArray[np.uint64]) -> NDArray[np.int64]:
    return numbers.astype(np.int64)


def _percentile(ascending: NDArray[Any], percent: int) -> int:
    """Return the smallest value that *percent* % of all do not exceed; 0 without values."""
    if not len(ascending):
        return 0
    return int(ascending[max(0, -(-percent * len(ascending) // 100) - 1)])
