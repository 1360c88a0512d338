"""The content of an index as columns that share no memory with it, and an index loaded from them.

The columns are the retained sessions with their events, and the event-id window. All else (posting lists, popularity,
the time frame, free blocks, the eviction order) follows from these and is rebuilt at loading. It may then lie elsewhere
in memory than before; no answer depends on that (law 2).
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from stream_rec.core.bounds import FARTHEST_MS
from stream_rec.core.dtypes import I32, I64, U8, U16, U64, Structs
from stream_rec.core.index.arrays import EVENT_COST, ITEM_COST, SESSION_COST, STORE_COST, time_frame
from stream_rec.core.index.index import Index
from stream_rec.core.index.kernel import entries
from stream_rec.core.index.kernel import state as field
from stream_rec.core.index.kernel.retained import RetainedColumns

__all__ = ["RetainedState", "export", "load"]

_BLOCK_SIZES = np.array(
    [(3 if k & 1 else 2) << (k >> 1) for k in range(field.N_BLOCK_SIZES)], np.int64
)  # those of `kernel.postings`


class RetainedState(NamedTuple):
    """All that later answers depend on, names excepted: N sessions, E events, I items and W event ids.

    It owns its arrays, and has the hashes and lengths of names: keeping them is cheaper than computing them again.
    """

    watermark: int | None
    n_evicted: int
    sessions: I32
    """[N] ordinals, ascending."""
    hash: U64
    """[N] XXH3-64 of each session's id."""
    id_bytes: U16
    """[N] length of that id."""
    n_events: I32
    """[N] events of each session, at least one."""
    item: I32
    """[E] place of the event's item in `items`; events are in session order, each session oldest first."""
    time: I64
    """[E] ms."""
    type: U8
    """[E]."""
    items: I32
    """[I] ordinals of the items with a session, ascending."""
    item_hash: U64
    """[I]."""
    item_id_bytes: U16
    """[I]."""
    ids: Structs
    """[W] SEEN_ID: the event ids that would be recognised as duplicates, in no order."""

    def fault(self, n_types: int, ahead_ms: int) -> str | None:
        """Return what no index can hold, None if all is valid: a kernel would corrupt memory. O(everything).

        *ahead_ms* is how far ahead of the watermark an event may be.
        """
        n_events = int(self.n_events.sum(dtype=np.int64))
        of_sessions, of_events = (self.hash, self.id_bytes, self.n_events), (self.item, self.time, self.type)
        if (
            any(column.size != self.sessions.size for column in of_sessions)
            or any(column.size != n_events for column in of_events)
            or any(column.size != self.items.size for column in (self.item_hash, self.item_id_bytes))
        ):
            return "its columns have different lengths"
        if not _ascends(self.sessions) or not _ascends(self.items):
            return "ordinals do not ascend"
        if self.sessions.size and self.sessions[-1] >= field.DEAD:
            return "it has more sessions than a posting can number"
        if self.watermark is None and n_events + self.ids.size > 0:
            return "there are events but no time"
        if not (_is_a_time(self.watermark or 0) and all(map(_are_times, (self.time, self.ids["time"])))):
            return f"a time is further than {FARTHEST_MS} ms from 1970"
        if n_events and int(self.time.max()) > self.watermark + ahead_ms:  # type: ignore[operator]  # as just checked
            return "an event is ahead of its time"
        return self._fault_of_events(n_types) if n_events else None

    def _fault_of_events(self, n_types: int) -> str | None:
        if self.n_events.min() < 1:
            return "a session is empty"
        if self.type.max() >= n_types or not 0 <= self.item.min() <= self.item.max() < self.items.size:
            return "a type or an item has no name"
        if not np.bincount(self.item, minlength=self.items.size).all():
            return "no session holds an item"
        begins = np.zeros(self.time.size + 1, np.bool_)
        begins[np.cumsum(self.n_events, dtype=np.int64)] = True
        if not begins[1:-1][np.diff(self.time) < 0].all():
            return "events are out of order"
        return None

    @property
    def last(self) -> I64:
        """[N] time of each session's last event."""
        return self.time[np.cumsum(self.n_events, dtype=np.int64) - 1]


def _is_a_time(time_ms: int) -> bool:
    return -FARTHEST_MS <= time_ms <= FARTHEST_MS


def _are_times(times: I64) -> bool:
    return not times.size or (_is_a_time(int(times.min())) and _is_a_time(int(times.max())))


def _ascends(numbers: I32) -> bool:
    return bool((np.diff(numbers) > 0).all()) and not (numbers.size and numbers[0] < 0)


def export(index: Index) -> RetainedState:
    """Copy the content of *index*. O(everything), one pass over its sessions: some 60 ms for 5 M events."""
    state = index.state
    n, e = index.view.counter(field.N_SESSIONS), index.view.counter(field.N_EVENTS)
    columns = RetainedColumns(
        session=np.empty(n, np.int32),
        hash=np.empty(n, np.uint64),
        id_bytes=np.empty(n, np.uint16),
        n_events=np.empty(n, np.int32),
        item=np.empty(e, np.int32),
        time=np.empty(e, np.int64),
        type=np.empty(e, np.uint8),
    )
    has_session = state.item["df"] > 0
    entries.copy_sessions(state, (np.cumsum(has_session) - 1).astype(np.int32), columns)
    items = np.flatnonzero(has_session).astype(np.int32)
    of_names = (state.item["hash"][items], state.item["id_bytes"][items])
    return RetainedState(
        index.view.watermark, index.view.counter(field.N_EVICTED), *columns, items, *of_names, _fresh_ids(index)
    )


def _fresh_ids(index: Index) -> Structs:
    """Return the entries of the window that have not expired; only those can be recognised."""
    watermark, seen = index.view.watermark, index.state.seen
    if watermark is None or index.view.counter(field.N_SEEN_IDS) == 0:
        return np.empty(0, field.SEEN_ID)
    oldest = max(watermark - index.view.limits.window_ms, field.NEVER)
    is_fresh = (seen["time"] >= oldest) & ((seen["high"] != 0) | (seen["low"] != 0))
    # planted bug: load-forgets-ids
    return seen[is_fresh]  # type: ignore[no-any-return]


def load(index: Index, retained: RetainedState, denied: Sequence[int]) -> None:
    """Fill the empty *index* with *retained*, which has no `fault`; *denied* are the DENIED_* bits of its items.

    The caller must then queue every session under the time of its last event. O(n log n).
    """
    _load_names(index, retained, denied)
    counters = index.state.counters
    counters[field.N_EVICTED] = retained.n_evicted
    if retained.watermark is not None:
        counters[field.WATERMARK] = retained.watermark
        half_life = int(index.state.limits[field.HALF_LIFE])
        counters[field.STEP_NOW] = retained.watermark // half_life // field.STEP_HALVES
    index.state.item["step"] = counters[field.STEP_NOW]
    _load_events(index, retained)
    _load_postings(index, retained)
    index.arrays.load_ids(retained.ids)
    counters[field.N_SESSIONS] = retained.sessions.size
    counters[field.N_EVENTS] = retained.item.size
    counters[field.N_SESSION_ITEMS] = index.state.item["df"].sum()  # planted bug: load-without-count
    counters[field.N_BYTES] = _cost(retained)
    counters[field.TOP_VALID] = 0


def _load_names(index: Index, retained: RetainedState, denied: Sequence[int]) -> None:
    if retained.sessions.size:
        index.arrays.reserve_sessions(int(retained.sessions[-1]) + 1)
        index.state.session["hash"][retained.sessions] = retained.hash
        index.state.session["id_bytes"][retained.sessions] = retained.id_bytes
    if retained.items.size:
        index.arrays.reserve_items(int(retained.items[-1]) + 1)
        index.state.item["hash"][retained.items] = retained.item_hash
        index.state.item["id_bytes"][retained.items] = retained.item_id_bytes
        index.state.item["denied"][retained.items] = denied


def _load_events(index: Index, retained: RetainedState) -> None:
    capacities = _BLOCK_SIZES[np.searchsorted(_BLOCK_SIZES, retained.n_events)]
    total = int(capacities.sum())
    index.arrays.reserve_events(total)
    session = index.state.session
    session["at"][retained.sessions] = np.cumsum(capacities) - capacities
    session["capacity"][retained.sessions] = capacities
    session["events"][retained.sessions] = retained.n_events
    session["last"][retained.sessions] = session["queued"][retained.sessions] = retained.last
    index.state.counters[field.EVENTS_TOP] = total
    columns = RetainedColumns(
        retained.sessions,
        retained.hash,
        retained.id_bytes,
        retained.n_events,
        retained.item,
        retained.time,
        retained.type,
    )
    entries.place_events(index.state, columns, retained.items, np.full(len(index.state.item), -1, np.int32))


def _load_postings(index: Index, retained: RetainedState) -> None:
    if not retained.sessions.size:
        return
    df = index.state.item["df"][retained.items]
    capacities = _BLOCK_SIZES[np.searchsorted(_BLOCK_SIZES, df, side="right")]  # with space for one more
    total = int(capacities.sum())
    index.arrays.reserve_postings(total)
    item, counters = index.state.item, index.state.counters
    item["at"][retained.items] = np.cumsum(capacities) - capacities
    item["capacity"][retained.items] = capacities
    counters[field.POSTINGS_TOP] = total
    last = retained.last
    counters[[field.BASE, field.SHIFT]] = time_frame(int(last.min()), int(last.max()))
    entries.place_postings(index.state, retained.sessions[_oldest_first(last, retained.hash)])


def _oldest_first(last: I64, hashes: npt.NDArray[np.uint64]) -> npt.NDArray[np.int64]:
    """Return the places of sessions by (last, hash); only those with equal times are sorted twice."""
    order = np.argsort(last, kind="stable")
    is_same = np.zeros(last.size + 1, np.bool_)  # time equal to that of the one before
    is_same[1:-1] = np.diff(last[order]) == 0
    tied = np.flatnonzero(is_same[1:] | is_same[:-1])
    among = order[tied]
    order[tied] = among[np.lexsort((hashes[among], last[among]))]  # planted bug: load-ties-by-ordinal
    return order


def _cost(retained: RetainedState) -> int:
    names = int(retained.id_bytes.sum(dtype=np.int64)) + int(retained.item_id_bytes.sum(dtype=np.int64))
    items = ITEM_COST * retained.items.size
    return STORE_COST + SESSION_COST * retained.sessions.size + EVENT_COST * retained.item.size + items + names
