"""What an index holds, as columns that share nothing with it, and an index made from them.

The columns are the retained sessions with their events, and the event-id window: all else (posting lists, popularity,
the time frame, free blocks, the order of leaving) follows from these, so it is neither copied nor kept. What follows
is made anew, and may lie elsewhere in memory than it did; no answer tells the difference (law 2).
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from stream_rec.core.index.arrays import (
    EVENT_ARRAYS,
    EVENT_COST,
    ITEM_ARRAYS,
    ITEM_COST,
    SESSION_COST,
    STORE_COST,
    frame,
    grown,
)
from stream_rec.core.index.index import Index
from stream_rec.core.index.kernel import entries
from stream_rec.core.index.kernel import state as field
from stream_rec.core.index.kernel.retained import RetainedColumns
from stream_rec.core.index.kernel.state import I32, I64, U8, U16, U64, Structs

__all__ = ["RetainedState", "export", "load"]

BLOCK_SIZES = np.array(
    [(3 if k & 1 else 2) << (k >> 1) for k in range(field.N_BLOCK_SIZES)], np.int64
)  # as the kernels'


class RetainedState(NamedTuple):
    """What later answers depend on, but for names: N sessions, E events, I items and W event ids.

    The arrays are its own. Of names it has the hashes and lengths, which are sooner kept than worked out again.
    """

    watermark: int | None
    n_evicted: int
    slot: I32
    """[N] ascending."""
    hash: U64
    """[N] XXH3-64 of each session's id."""
    id_bytes: U16
    """[N] length of it."""
    n_events: I32
    """[N] events of each session, at least one."""
    item: I32
    """[E] place of the event's item in `items`; events stand session by session, oldest first."""
    time: I64
    """[E] ms."""
    type: U8
    """[E]."""
    items: I32
    """[I] numbers of the items that are held, ascending."""
    item_hash: U64
    """[I]."""
    item_id_bytes: U16
    """[I]."""
    ids: Structs
    """[W] SEEN_ID: the event ids that would be recognised, in no order."""

    def fault(self, n_types: int) -> str | None:
        """Tell what no index could hold, None if nothing. O(everything): a kernel would not tell, but run astray."""
        n_events = int(self.n_events.sum(dtype=np.int64))
        of_sessions, of_events = (self.hash, self.id_bytes, self.n_events), (self.item, self.time, self.type)
        if (
            any(column.size != self.slot.size for column in of_sessions)
            or any(column.size != n_events for column in of_events)
            or any(column.size != self.items.size for column in (self.item_hash, self.item_id_bytes))
        ):
            return "its columns have different lengths"
        if not _ascends(self.slot) or not _ascends(self.items):
            return "numbers do not ascend"
        if self.slot.size and self.slot[-1] >= field.DEAD:
            return "it has more sessions than a posting can number"
        if self.watermark is None and n_events + self.ids.size > 0:
            return "there are events but no time"
        return self._fault_of_events(n_types) if n_events else None

    def _fault_of_events(self, n_types: int) -> str | None:
        if self.n_events.min() < 1:
            return "a session is empty"
        if self.type.max() >= n_types or not 0 <= self.item.min() <= self.item.max() < self.items.size:
            return "a type or an item has no name"
        if not np.bincount(self.item, minlength=self.items.size).all():
            return "an item is held by nobody"
        begins = np.zeros(self.time.size + 1, np.bool_)
        begins[np.cumsum(self.n_events, dtype=np.int64)] = True
        if not begins[1:-1][np.diff(self.time) < 0].all():
            return "events are out of order"
        return None

    @property
    def last(self) -> I64:
        """[N] time of each session's last event."""
        return self.time[np.cumsum(self.n_events, dtype=np.int64) - 1]


def _ascends(numbers: I32) -> bool:
    return bool((np.diff(numbers) > 0).all()) and not (numbers.size and numbers[0] < 0)


def export(index: Index) -> RetainedState:
    """Copy what *index* holds. O(everything), one pass over its sessions: some 60 ms for 5 M events."""
    state = index.state
    n, e = index.counter(field.N_SESSIONS), index.counter(field.N_EVENTS)
    columns = RetainedColumns(
        slot=np.empty(n, np.int32),
        hash=np.empty(n, np.uint64),
        id_bytes=np.empty(n, np.uint16),
        n_events=np.empty(n, np.int32),
        item=np.empty(e, np.int32),
        time=np.empty(e, np.int64),
        type=np.empty(e, np.uint8),
    )
    is_held = state.item["df"] > 0
    entries.copy_sessions(state, (np.cumsum(is_held) - 1).astype(np.int32), columns)
    items = np.flatnonzero(is_held).astype(np.int32)
    of_names = (state.item["hash"][items], state.item["id_bytes"][items])
    return RetainedState(index.watermark, index.counter(field.N_EVICTED), *columns, items, *of_names, _fresh_ids(index))


def _fresh_ids(index: Index) -> Structs:
    """Return the entries of the window that are not too old by now: those alone can be recognised."""
    watermark, seen = index.watermark, index.state.seen
    if watermark is None or index.counter(field.N_SEEN_IDS) == 0:
        return np.empty(0, field.SEEN_ID)
    oldest = max(watermark - index.limits.window_ms, field.NEVER)
    is_fresh = (seen["time"] >= oldest) & ((seen["high"] != 0) | (seen["low"] != 0))
    return seen[is_fresh]  # type: ignore[no-any-return]


def load(index: Index, kept: RetainedState, denied: Sequence[int]) -> None:
    """Fill *index*, which is empty, with *kept*, which has no `fault`; *denied* says why items may not come.

    Afterwards every session waits to be filed under its last event's time. O(n log n).
    """
    _load_names(index, kept, denied)
    counters = index.state.counters
    counters[field.N_EVICTED] = kept.n_evicted
    if kept.watermark is not None:
        counters[field.WATERMARK] = kept.watermark
        counters[field.STEP_NOW] = kept.watermark // index.state.limits[field.POPULAR_STEP]
    index.state.item["step"] = counters[field.STEP_NOW]
    _load_events(index, kept)
    _load_postings(index, kept)
    _load_ids(index, kept)
    counters[field.N_SESSIONS] = kept.slot.size
    counters[field.N_EVENTS] = kept.item.size
    counters[field.N_HELD] = index.state.item["df"].sum()
    counters[field.N_BYTES] = _price(kept)
    counters[field.TOP_VALID] = 0


def _load_names(index: Index, kept: RetainedState, denied: Sequence[int]) -> None:
    if kept.slot.size:
        index.state = grown(index.state, ("session",), int(kept.slot[-1]) + 1)
        index.state.session["hash"][kept.slot] = kept.hash
        index.state.session["id_bytes"][kept.slot] = kept.id_bytes
    if kept.items.size:
        index.state = grown(index.state, ITEM_ARRAYS, int(kept.items[-1]) + 1)
        index.state.item["hash"][kept.items] = kept.item_hash
        index.state.item["id_bytes"][kept.items] = kept.item_id_bytes
        index.state.item["denied"][kept.items] = denied


def _load_events(index: Index, kept: RetainedState) -> None:
    rooms = BLOCK_SIZES[np.searchsorted(BLOCK_SIZES, kept.n_events)]
    total = int(rooms.sum())
    index.state = grown(index.state, EVENT_ARRAYS, total)
    session = index.state.session
    session["at"][kept.slot] = np.cumsum(rooms) - rooms
    session["room"][kept.slot] = rooms
    session["events"][kept.slot] = kept.n_events
    session["last"][kept.slot] = session["filed"][kept.slot] = kept.last
    index.state.counters[field.EVENTS_TOP] = total
    columns = RetainedColumns(kept.slot, kept.hash, kept.id_bytes, kept.n_events, kept.item, kept.time, kept.type)
    entries.place_events(index.state, columns, kept.items, np.full(len(index.state.item), -1, np.int32))


def _load_postings(index: Index, kept: RetainedState) -> None:
    if not kept.slot.size:
        return
    held = index.state.item["df"][kept.items]
    rooms = BLOCK_SIZES[np.searchsorted(BLOCK_SIZES, held, side="right")]  # one more than is needed, for the next
    total = int(rooms.sum())
    index.state = grown(index.state, ("postings",), total)
    item, counters = index.state.item, index.state.counters
    item["at"][kept.items] = np.cumsum(rooms) - rooms
    item["room"][kept.items] = rooms
    counters[field.POSTINGS_TOP] = total
    last = kept.last
    counters[[field.BASE, field.SHIFT]] = frame(int(last.min()), int(last.max()))
    entries.place_postings(index.state, kept.slot[_oldest_first(last, kept.hash)])


def _oldest_first(last: I64, hashes: npt.NDArray[np.uint64]) -> npt.NDArray[np.int64]:
    """Return the places of sessions by (last, hash); only those with equal times are looked at twice."""
    order = np.argsort(last, kind="stable")
    is_same = np.zeros(last.size + 1, np.bool_)  # as the one before
    is_same[1:-1] = np.diff(last[order]) == 0
    tied = np.flatnonzero(is_same[1:] | is_same[:-1])
    among = order[tied]
    order[tied] = among[np.lexsort((hashes[among], last[among]))]
    return order


def _load_ids(index: Index, kept: RetainedState) -> None:
    size = len(index.state.seen)
    while size < kept.ids.size * 4:
        size *= 2
    table: npt.NDArray[np.void] = np.zeros(size, field.SEEN_ID)
    n = entries.copy_ids(index.state._replace(seen=kept.ids), table, np.empty(0, np.uint64))
    index.state = index.state._replace(seen=table)
    index.state.counters[field.N_SEEN_IDS] = n


def _price(kept: RetainedState) -> int:
    names = int(kept.id_bytes.sum(dtype=np.int64)) + int(kept.item_id_bytes.sum(dtype=np.int64))
    items = ITEM_COST * kept.items.size
    return STORE_COST + SESSION_COST * kept.slot.size + EVENT_COST * kept.item.size + items + names
