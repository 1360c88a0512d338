"""Apply events to the state, in one compiled loop for a whole batch.

Knows nothing of ids, files or queries, and allocates nothing. If an array is full, the loop stops between two steps of
one event and returns what it needs; the next call goes on from there. So a batch leaves the same state as its events
one by one.
"""

import numpy as np

from stream_rec.core.compiled import inner, prefetch
from stream_rec.core.index.kernel import popular
from stream_rec.core.index.kernel.order import evict, has_list_capacity, queue
from stream_rec.core.index.kernel.seen_ids import find_id, is_vacant
from stream_rec.core.index.kernel.session_events import (
    drop_session,
    ensure_event_capacity,
    ensure_posting_capacity,
    grow,
    item_of,
)
from stream_rec.core.index.kernel.state import (
    APPLIED,
    BASE,
    DONE,
    DUPLICATE,
    EVENT_NOW,
    ID_WINDOW,
    LATE,
    LATENESS,
    MORE_EVENT_CAPACITY,
    MORE_ID_CAPACITY,
    MORE_LIST_CAPACITY,
    MORE_POSTING_CAPACITY,
    N_BYTES,
    N_SEEN_IDS,
    N_SESSIONS,
    NEVER,
    NEW_FRAME,
    POPULAR_SLOTS,
    REJOIN,
    SESSION_COST,
    SHIFT,
    STAGE,
    STAGE_ANSWER,
    STAGE_APPLY,
    STAGE_EVICT,
    TIME_LIMIT,
    UNKNOWN_TYPE,
    WATERMARK,
    EventArrays,
    State,
)

__all__ = ["apply_step"]

# A cache miss takes as long as hundreds of instructions, and a batch shows which memory will be needed. So the memory
# of each event is prefetched in four steps, some events ahead: its session, the session's events, their items, and the
# ends of the items' lists.
_AHEAD_SESSION, _AHEAD_EVENTS, _AHEAD_ITEMS, _AHEAD_LISTS = 16, 12, 8, 4
_MOST_AHEAD = 16  # events of a session to prefetch for


@inner
def _needs_frame(state: State, time: int) -> bool:
    framed = (time - state.counters[BASE]) >> state.counters[SHIFT]
    return framed < 1 or framed >= TIME_LIMIT


@inner
def _begin(state: State, slot: int, time: int) -> None:
    """Open a session and queue it for eviction."""
    counters = state.counters
    state.session[slot]["last"] = time
    counters[N_SESSIONS] += 1
    counters[N_BYTES] += state.limits[SESSION_COST] + state.session[slot]["id_bytes"]
    queue(state, slot, time)


@inner
def _apply_one(state: State, batch: EventArrays, i: int) -> int:
    """Apply event *i*. Return DONE after writing its outcome; or what is needed first, with nothing changed."""
    counters = state.counters
    limits = state.limits
    if batch.outcome[i] == UNKNOWN_TYPE:
        return DONE
    time = batch.time[i]
    slot = batch.session[i]
    item = np.int64(batch.item[i])
    watermark = counters[WATERMARK]
    id_place = -1
    if batch.id_key.shape[0] > 0 and (batch.id_key[i, 0] != 0 or batch.id_key[i, 1] != 0):
        if (counters[N_SEEN_IDS] + 1) * 2 > state.seen.size:
            return MORE_ID_CAPACITY
        id_place = find_id(state.seen, batch.id_key[i, 0], batch.id_key[i, 1])
        # planted bug: id-applied-twice
        if not is_vacant(state.seen, id_place) and state.seen[id_place]["time"] >= watermark - limits[ID_WINDOW]:
            batch.outcome[i] = DUPLICATE
            return DONE
    if watermark != NEVER and time < watermark - limits[LATENESS]:  # planted bug: late-applied
        batch.outcome[i] = LATE
        return DONE
    if _needs_frame(state, time):
        return NEW_FRAME
    if not has_list_capacity(state, state.session[slot]["events"]):
        return MORE_LIST_CAPACITY
    # planted bug: returns-after-retention
    if state.session[slot]["events"] > 0 and time - state.session[slot]["last"] > limits[REJOIN]:
        drop_session(state, slot, i - 1, False)
    if not ensure_event_capacity(state, slot):
        return MORE_EVENT_CAPACITY
    if not ensure_posting_capacity(state, slot, item):
        return MORE_POSTING_CAPACITY
    if id_place >= 0:
        counters[N_SEEN_IDS] += is_vacant(state.seen, id_place)
        state.seen[id_place]["high"] = batch.id_key[i, 0]
        state.seen[id_place]["low"] = batch.id_key[i, 1]
        state.seen[id_place]["time"] = time
        state.seen[id_place]["owner"] = state.session[slot]["hash"]
    reach = batch.reach[i]
    if reach > watermark:
        counters[WATERMARK] = reach
        popular.move_to(state, reach)
    if state.session[slot]["events"] == 0:
        _begin(state, slot, time)
    batch.novel[i] = grow(state, slot, item, time, batch.type[i])
    batch.outcome[i] = APPLIED
    return DONE


@inner
def apply_step(state: State, batch: EventArrays, i: int) -> int:
    """Apply event *i*, then evict. Return DONE, or what is needed before the next call."""
    counters = state.counters
    counters[EVENT_NOW] = i
    if counters[STAGE] == STAGE_APPLY:
        _prefetch_ahead(state, batch, i)
        need = _apply_one(state, batch, i)
        if need != DONE:
            return need
        counters[STAGE] = STAGE_EVICT
    if counters[STAGE] == STAGE_EVICT:
        if batch.outcome[i] == APPLIED:
            need = evict(state)
            if need != DONE:
                return need
        counters[STAGE] = STAGE_ANSWER
    return DONE


@inner
def _prefetch_ahead(state: State, batch: EventArrays, i: int) -> None:
    """Prefetch the memory that the next events need. Changes nothing."""
    n = batch.session.size
    if i + _AHEAD_SESSION < n:
        prefetch(state.session, batch.session[i + _AHEAD_SESSION])
    if i + _AHEAD_EVENTS < n:
        at = state.session[batch.session[i + _AHEAD_EVENTS]]["at"]
        prefetch(state.event_item, at)
        prefetch(state.event_time, at)
        prefetch(state.event_type, at)
        prefetch(state.item, batch.item[i + _AHEAD_EVENTS])
    if i + _AHEAD_ITEMS < n:
        slot = batch.session[i + _AHEAD_ITEMS]
        at = state.session[slot]["at"]
        for j in range(at, at + min(state.session[slot]["events"], _MOST_AHEAD)):
            prefetch(state.item, item_of(state, j))
        prefetch(state.counts, batch.item[i + _AHEAD_ITEMS] * POPULAR_SLOTS)
    if i + _AHEAD_LISTS < n:
        slot = batch.session[i + _AHEAD_LISTS]
        at = state.session[slot]["at"]
        for j in range(at, at + min(state.session[slot]["events"], _MOST_AHEAD)):
            _prefetch_end(state, item_of(state, j))
        _prefetch_end(state, np.int64(batch.item[i + _AHEAD_LISTS]))


@inner
def _prefetch_end(state: State, item: int) -> None:
    prefetch(state.postings, state.item[item]["at"] + state.item[item]["end"])
