"""What the index shows of itself: counts, and copies that a caller may keep.

Reads the arrays and changes nothing. Explanations, the state queries of the service and the engine's own bookkeeping
read the index through it.
"""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from stream_rec.core.dtypes import F64, I32, I64, U8, Mask
from stream_rec.core.index.arrays import IndexArrays, Workspace
from stream_rec.core.index.kernel import entries
from stream_rec.core.index.kernel import state as field
from stream_rec.core.index.kernel.state import ITEM_BITS, REPEAT_BIT, State
from stream_rec.core.limits import Limits

__all__ = ["ExplainTrace", "IndexView", "SessionEvents"]

_SLOT_MASK = np.uint64(field.DEAD)


class ExplainTrace(NamedTuple):
    """How the last query was answered: U items of the query, K neighbours. Copies."""

    length: int
    """Events of the query."""
    item: I32
    """[U] distinct items of the query, newest first; negative for an item that no session holds."""
    item_step: I32
    """[U] distance from the end of the query, from 1."""
    weight: F64
    """[U]."""
    session: I32
    """[K] neighbours, newest first."""
    similarity: F64
    """[K]."""
    step: I32
    """[K] the step of the newest item that the neighbour shares."""
    holders: int
    """Sessions with a sequential rule."""
    mix: float
    """Weight of a neighbour's vote beside those rules; 1 without rules."""
    repeats: float
    """Factor of the scores of the session's own items; 1 if they were not scaled."""


class SessionEvents(NamedTuple):
    """The events of some sessions, [E] in all, session by session, each oldest first. Copies."""

    session: I64
    """[E] the place of the event's session in the list that was passed."""
    place: I64
    """[E] in its session, from 0."""
    item: I64
    """[E]."""
    is_newest: Mask
    """[E] whether the item does not occur again later in the session."""


class IndexView:
    """Reads of the *arrays* of an index. Sessions and items are ordinals."""

    def __init__(self, arrays: IndexArrays) -> None:
        self._arrays = arrays

    @property
    def state(self) -> State:
        """The arrays themselves, not copied; the next event may change or replace them."""
        return self._arrays.state

    @property
    def limits(self) -> Limits:
        """The limits that the index keeps."""
        return self._arrays.limits

    # --- counts

    def counter(self, which: int) -> int:
        """Return one of the state's counters, by its field in `kernel.state`."""
        return int(self.state.counters[which])

    @property
    def watermark(self) -> int | None:
        """The largest accepted timestamp in ms, None before the first event."""
        value = self.counter(field.WATERMARK)
        return None if value == field.NEVER else value

    @property
    def front_size(self) -> int:
        """The number of entries in the eviction front."""
        return self.counter(field.FRONT_END) - self.counter(field.FRONT_START)

    @property
    def oldest_time(self) -> int:
        """Time of the oldest session, in ms; valid right after `Index.advance_front` returned True."""
        return int(self.state.front["time"][self.counter(field.FRONT_START)])

    # --- sessions

    def live_sessions(self) -> npt.NDArray[np.intp]:
        """Return the retained sessions, ascending. O(ordinals)."""
        return np.flatnonzero(self.state.session["events"])

    def newest_sessions(self, n: int) -> list[int]:
        """Return the *n* newest sessions, newest first. O(ordinals)."""
        sessions = self.live_sessions()
        last = self.state.session["last"][sessions]
        if sessions.size > n:
            part = np.argpartition(last, sessions.size - n)[sessions.size - n :]
            sessions, last = sessions[part], last[part]
        order = np.lexsort((self.state.session["hash"][sessions], last))[::-1]
        return sessions[order].tolist()  # type: ignore[no-any-return]

    def empty_sessions(self, sessions: Iterable[int]) -> list[int]:
        """Return those of *sessions* that are not retained, each once."""
        distinct = np.unique(np.fromiter(sessions, np.int64))
        return distinct[self.state.session["events"][distinct] == 0].tolist()  # type: ignore[no-any-return]

    def events_of(self, session: int) -> tuple[I64, I64, U8]:
        """Return items, times (ms) and types of the events of *session*, oldest first: copies, [n] each."""
        state = self.state
        at, n = int(state.session["at"][session]), int(state.session["events"][session])
        part = slice(at, at + n)
        items = (state.event_item[part] & ITEM_BITS).astype(np.int64)
        return items, state.event_time[part].copy(), state.event_type[part].copy()

    def session_events(self, sessions: npt.NDArray[np.integer]) -> SessionEvents:
        """Return the events of *sessions*. O(events)."""
        records = self.state.session[sessions]
        n = records["events"].astype(np.int64)
        session = np.repeat(np.arange(n.size), n)
        place = np.arange(session.size) - np.repeat(np.cumsum(n) - n, n)
        words = self.state.event_item[np.repeat(records["at"], n) + place]
        return SessionEvents(session, place, (words & ITEM_BITS).astype(np.int64), (words & REPEAT_BIT) == 0)

    # --- items

    def df(self, item: int) -> int:
        """Return the number of retained sessions that hold *item*."""
        return int(self.state.item["df"][item])

    def live_items(self) -> npt.NDArray[np.intp]:
        """Return the items that a retained session holds, ascending. O(ordinals)."""
        return np.flatnonzero(self.state.item["df"])

    def empty_items(self, items: Iterable[int]) -> list[int]:
        """Return those of *items* that no retained session holds, each once."""
        distinct = np.unique(np.fromiter(items, np.int64))
        return distinct[self.state.item["df"][distinct] == 0].tolist()  # type: ignore[no-any-return]

    def newest_holders(self, item: int, most: int, own: int) -> I64:
        """Return the *most* newest sessions that hold *item*, newest first, without *own*. O(most)."""
        record = self.state.item[item]
        begin, end = (int(record["at"] + record[edge]) for edge in ("start", "end"))
        reach = most + 1
        while True:
            words = self.state.postings[max(begin, end - reach) : end][::-1]
            sessions = (words & _SLOT_MASK).astype(np.int64)
            sessions = sessions[(sessions != field.DEAD) & (sessions != own)]  # planted bug: explain-counts-itself
            if sessions.size >= most or end - reach <= begin:
                return sessions[:most]  # type: ignore[no-any-return]
            reach *= 2

    def holders(self, item: int) -> list[int]:
        """Return all retained sessions that hold *item*, oldest first. O(df)."""
        return self.newest_holders(item, max(1, self.df(item)), -1)[::-1].tolist()  # type: ignore[no-any-return]

    def trends(self, half_life_ms: int) -> F64:
        """Return by how much each item trends, [ordinals], 0 for one that does not; see `kernel.trending`.

        O(session ordinals + item ordinals + events of 30 half-lives).
        """
        n = self.state.item.size
        score = np.zeros(n, np.float64)
        recent, total = np.zeros(n, np.int64), np.zeros(field.POPULAR_SLOTS, np.int64)
        entries.score_trends(self.state, half_life_ms, recent, total, score)
        return score

    # --- the last query

    def trace(self, workspace: Workspace | None = None) -> ExplainTrace:
        """Return how the last query in *workspace* was answered; by default in that of the index.

        There must have been one, and it must not have run in parts.
        """
        scratch = (workspace or self._arrays.workspace).scratch
        assert scratch is not None, "a query was answered"
        trace = scratch.trace
        n_chosen = int(trace[field.TRACE_CHOSEN])
        query = scratch.query[: int(trace[field.TRACE_DISTINCT]) if n_chosen else 0]
        chosen = scratch.chosen[:n_chosen]
        return ExplainTrace(
            length=int(trace[field.TRACE_LENGTH]),
            item=query["item"].copy(),
            item_step=query["step"].copy(),
            weight=query["weight"].copy(),
            session=scratch.candidate[chosen],
            similarity=scratch.similarity[chosen],
            step=scratch.step[chosen],
            holders=int(trace[field.TRACE_HOLDERS]),
            mix=float(trace[field.TRACE_MIX]),
            repeats=float(trace[field.TRACE_REPEATS]),
        )
