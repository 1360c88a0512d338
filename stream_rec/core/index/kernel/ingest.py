"""Events into the state, one compiled loop for a whole batch.

Knows nothing of ids, files or queries. Nothing here allocates: where an array is full, the loop stops between two
steps of one event, says what it needs, and goes on when called again. That way a batch and its events one by one
leave the same state.
"""

import numpy as np

from stream_rec.core.compiled import inner, prefetch
from stream_rec.core.index.kernel import popular
from stream_rec.core.index.kernel.order import evict, file, has_list_room
from stream_rec.core.index.kernel.seen_ids import find_id, is_vacant
from stream_rec.core.index.kernel.state import (
    APPLIED,
    BASE,
    DONE,
    DUPLICATE,
    EVENT_NOW,
    ID_WINDOW,
    LATE,
    LATENESS,
    MORE_EVENT_ROOM,
    MORE_FILING_ROOM,
    MORE_ID_ROOM,
    MORE_POSTING_ROOM,
    N_BYTES,
    N_SEEN_IDS,
    N_SESSIONS,
    NEVER,
    NEW_FRAME,
    POPULAR_STEPS,
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
from stream_rec.core.index.kernel.visits import drop_session, ensure_event_room, ensure_posting_room, grow, item_of

# Memory far off takes as long as hundreds of instructions, and a batch tells which memory will be needed. So each
# event's is asked for in four steps, some events ahead: its session, the session's events, their items, the ends of
# the items' lists.
AHEAD_SESSION, AHEAD_EVENTS, AHEAD_ITEMS, AHEAD_LISTS = 16, 12, 8, 4
MOST_AHEAD = 16  # events of a session that are read ahead for


@inner
def _needs_frame(state: State, time: int) -> bool:
    framed = (time - state.counters[BASE]) >> state.counters[SHIFT]
    return framed < 1 or framed >= TIME_LIMIT


@inner
def _begin(state: State, slot: int, time: int) -> None:
    """Open a session and have it filed in the time order."""
    counters = state.counters
    state.session[slot]["last"] = time
    counters[N_SESSIONS] += 1
    counters[N_BYTES] += state.limits[SESSION_COST] + state.session[slot]["id_bytes"]
    file(state, slot, time)


@inner
def _apply_one(state: State, batch: EventArrays, i: int) -> int:
    """Apply event *i*: DONE with its outcome written, or what is needed first, with nothing changed."""
    counters = state.counters
    limits = state.limits
    if batch.outcome[i] == UNKNOWN_TYPE:
        return DONE
    time = batch.time[i]
    slot = batch.slot[i]
    item = np.int64(batch.item[i])
    watermark = counters[WATERMARK]
    id_place = -1
    if batch.id_key.shape[0] > 0 and (batch.id_key[i, 0] != 0 or batch.id_key[i, 1] != 0):
        if (counters[N_SEEN_IDS] + 1) * 2 > state.seen.size:
            return MORE_ID_ROOM
        id_place = find_id(state.seen, batch.id_key[i, 0], batch.id_key[i, 1])
        if not is_vacant(state.seen, id_place) and state.seen[id_place]["time"] >= watermark - limits[ID_WINDOW]:
            batch.outcome[i] = DUPLICATE
            return DONE
    if watermark != NEVER and time < watermark - limits[LATENESS]:
        batch.outcome[i] = LATE
        return DONE
    if _needs_frame(state, time):
        return NEW_FRAME
    if not has_list_room(state, state.session[slot]["events"]):
        return MORE_FILING_ROOM
    if state.session[slot]["events"] > 0 and time - state.session[slot]["last"] > limits[REJOIN]:
        drop_session(state, slot, i - 1, False)
    if not ensure_event_room(state, slot):
        return MORE_EVENT_ROOM
    if not ensure_posting_room(state, slot, item):
        return MORE_POSTING_ROOM
    if id_place >= 0:
        counters[N_SEEN_IDS] += is_vacant(state.seen, id_place)
        state.seen[id_place]["high"] = batch.id_key[i, 0]
        state.seen[id_place]["low"] = batch.id_key[i, 1]
        state.seen[id_place]["time"] = time
        state.seen[id_place]["owner"] = state.session[slot]["hash"]
    if time > watermark:
        counters[WATERMARK] = time
        popular.move_to(state, time)
    if state.session[slot]["events"] == 0:
        _begin(state, slot, time)
    batch.novel[i] = grow(state, slot, item, time, batch.type[i])
    batch.outcome[i] = APPLIED
    return DONE


@inner
def apply_step(state: State, batch: EventArrays, i: int) -> int:
    """Take event *i* as far as it goes: applied, then evicted for. DONE, or what is needed before calling again."""
    counters = state.counters
    counters[EVENT_NOW] = i
    if counters[STAGE] == STAGE_APPLY:
        _read_ahead(state, batch, i)
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
def _read_ahead(state: State, batch: EventArrays, i: int) -> None:
    """Ask for the memory that the next events will need. Changes nothing."""
    n = batch.slot.size
    if i + AHEAD_SESSION < n:
        prefetch(state.session, batch.slot[i + AHEAD_SESSION])
    if i + AHEAD_EVENTS < n:
        at = state.session[batch.slot[i + AHEAD_EVENTS]]["at"]
        prefetch(state.event_item, at)
        prefetch(state.event_time, at)
        prefetch(state.event_type, at)
        prefetch(state.item, batch.item[i + AHEAD_EVENTS])
    if i + AHEAD_ITEMS < n:
        slot = batch.slot[i + AHEAD_ITEMS]
        at = state.session[slot]["at"]
        for j in range(at, at + min(state.session[slot]["events"], MOST_AHEAD)):
            prefetch(state.item, item_of(state, j))
        prefetch(state.counts, batch.item[i + AHEAD_ITEMS] * POPULAR_STEPS)
    if i + AHEAD_LISTS < n:
        slot = batch.slot[i + AHEAD_LISTS]
        at = state.session[slot]["at"]
        for j in range(at, at + min(state.session[slot]["events"], MOST_AHEAD)):
            _prefetch_end(state, item_of(state, j))
        _prefetch_end(state, np.int64(batch.item[i + AHEAD_LISTS]))


@inner
def _prefetch_end(state: State, item: int) -> None:
    prefetch(state.postings, state.item[item]["at"] + state.item[item]["end"])
