"""Events into sessions and posting lists, and old sessions out again, one compiled loop for a whole batch.

Knows nothing of ids, files or queries. Nothing here allocates: where an array is full, the loop stops between two
steps of one event, says what it needs, and goes on when called again. That way a batch and its events one by one
leave the same state.
"""

import numpy as np

from stream_rec.index._kernel import popular
from stream_rec.index._kernel.compiled import inner, prefetch
from stream_rec.index._kernel.postings import block_size, ensure_room, insert, remove, size_index
from stream_rec.index._kernel.state import (
    APPLIED,
    BASE,
    DONE,
    DUPLICATE,
    EVENT_COST,
    EVENT_NOW,
    EVENTS_TOP,
    FRONT_END,
    FRONT_LIMIT,
    FRONT_START,
    ID_WINDOW,
    ITEM_COST,
    ITEM_MASK,
    LATE,
    LATENESS,
    MAX_BYTES,
    MAX_EVENTS,
    MAX_SESSION_EVENTS,
    MAX_SESSIONS,
    MORE_EVENT_ROOM,
    MORE_FILING_ROOM,
    MORE_FRONT,
    MORE_ID_ROOM,
    MORE_POSTING_ROOM,
    N_BYTES,
    N_EMPTIED,
    N_EVENTS,
    N_EVICTED,
    N_FILED,
    N_RELEASED,
    N_SEEN_IDS,
    N_SESSIONS,
    NEVER,
    NEW_FRAME,
    NEXT_FILED,
    POPULAR_STEPS,
    REJOIN,
    REPEATED,
    RETENTION,
    SESSION_COST,
    SHIFT,
    STAGE,
    STAGE_ANSWER,
    STAGE_APPLY,
    STAGE_EVICT,
    TIME_LIMIT,
    UNKNOWN_TYPE,
    WATERMARK,
    Batch,
    Records,
    State,
)

REPEAT_BIT = np.uint32(REPEATED)
ITEM_BITS = np.uint32(ITEM_MASK)


# --- the event-id window


@inner
def _is_vacant(seen: Records, place: int) -> bool:
    return seen[place]["high"] == 0 and seen[place]["low"] == 0


@inner
def find_id(seen: Records, high: np.uint64, low: np.uint64) -> int:
    """Return the place of an event id in the window's hash table, or of the vacant entry where it would go."""
    mask = seen.size - 1
    place = np.int64(low & np.uint64(mask))
    while (seen[place]["high"] != high or seen[place]["low"] != low) and not _is_vacant(seen, place):
        place = (place + 1) & mask
    return place


@inner
def copy_ids(state: State, table: Records, without: np.uint64, drops: bool) -> int:
    """Fill a fresh table with the unexpired ids, leaving out those of owner *without* if *drops*; return how many."""
    oldest = state.counters[WATERMARK] - state.limits[ID_WINDOW]
    n = 0
    for j in range(state.seen.size):
        entry = state.seen[j]
        if _is_vacant(state.seen, j) or entry["time"] < oldest or (drops and entry["owner"] == without):
            continue
        place = find_id(table, entry["high"], entry["low"])
        table[place]["high"] = entry["high"]
        table[place]["low"] = entry["low"]
        table[place]["time"] = entry["time"]
        table[place]["owner"] = entry["owner"]
        n += 1
    return n


# --- the event arena


@inner
def _ensure_event_room(state: State, slot: int) -> bool:
    """Make room for one more event of session *slot*; False if the arena must grow first."""
    n = state.session[slot]["events"]
    room = state.session[slot]["room"]
    if n < room:
        return True
    k = size_index(n + 1)
    block = state.event_blocks[k]
    if block >= 0:
        state.event_blocks[k] = state.event_time[block]
    else:
        block = state.counters[EVENTS_TOP]
        if block + block_size(k) > state.event_time.size:
            return False
        state.counters[EVENTS_TOP] = block + block_size(k)
    at = state.session[slot]["at"]
    for j in range(n):
        state.event_item[block + j] = state.event_item[at + j]
        state.event_time[block + j] = state.event_time[at + j]
        state.event_type[block + j] = state.event_type[at + j]
    _free_events(state, slot)
    state.session[slot]["at"] = block
    state.session[slot]["room"] = block_size(k)
    return True


@inner
def _free_events(state: State, slot: int) -> None:
    room = state.session[slot]["room"]
    if room > 0:
        k = size_index(room)
        at = state.session[slot]["at"]
        state.event_time[at] = state.event_blocks[k]
        state.event_blocks[k] = at
        state.session[slot]["room"] = 0


# --- one session


@inner
def _item(state: State, at: int) -> int:
    return np.int64(state.event_item[at] & ITEM_BITS)


@inner
def _is_repeated(state: State, at: int) -> bool:
    return (state.event_item[at] & REPEAT_BIT) != 0


@inner
def _leave(state: State, slot: int, item: int, is_oldest: bool) -> None:
    """Take the session out of the item's list, and note an item that nobody holds any more."""
    remove(state, item, slot, is_oldest)
    if state.item[item]["df"] == 0:
        state.counters[N_BYTES] -= state.limits[ITEM_COST] + state.item[item]["id_bytes"]
        state.emptied[state.counters[N_EMPTIED]] = item
        state.counters[N_EMPTIED] += 1


@inner
def _join(state: State, slot: int, item: int) -> None:
    if state.item[item]["df"] == 0:
        state.counters[N_BYTES] += state.limits[ITEM_COST] + state.item[item]["id_bytes"]
    insert(state, item, slot)


@inner
def drop_session(state: State, slot: int, at_event: int, is_oldest: bool) -> None:
    """Remove session *slot* from everything it touches. Its slot is listed in `released`, with *at_event*."""
    counters = state.counters
    at = state.session[slot]["at"]
    n = state.session[slot]["events"]
    for j in range(at, at + n):
        item = _item(state, j)
        popular.count(state, item, state.event_time[j], -1)
        if not _is_repeated(state, j):
            _leave(state, slot, item, is_oldest)
    _free_events(state, slot)
    state.session[slot]["events"] = 0
    state.session[slot]["items"] = 0
    state.session[slot]["filed"] = NEVER
    counters[N_SESSIONS] -= 1
    counters[N_EVENTS] -= n
    counters[N_BYTES] -= state.limits[SESSION_COST] + state.session[slot]["id_bytes"] + n * state.limits[EVENT_COST]
    state.released[counters[N_RELEASED]]["slot"] = slot
    state.released[counters[N_RELEASED]]["event"] = at_event
    counters[N_RELEASED] += 1


@inner
def _drop_oldest_event(state: State, slot: int) -> None:
    """Make room in a session that is at its largest."""
    at = state.session[slot]["at"]
    n = state.session[slot]["events"]
    item = _item(state, at)
    popular.count(state, item, state.event_time[at], -1)
    if not _is_repeated(state, at):
        _leave(state, slot, item, False)
        state.session[slot]["items"] -= 1
    for j in range(at, at + n - 1):
        state.event_item[j] = state.event_item[j + 1]
        state.event_time[j] = state.event_time[j + 1]
        state.event_type[j] = state.event_type[j + 1]
    state.session[slot]["events"] = n - 1
    state.counters[N_EVENTS] -= 1
    state.counters[N_BYTES] -= state.limits[EVENT_COST]


@inner
def _begin(state: State, slot: int, time: int) -> None:
    """Open a session and have it filed in the time order."""
    counters = state.counters
    state.session[slot]["last"] = time
    counters[N_SESSIONS] += 1
    counters[N_BYTES] += state.limits[SESSION_COST] + state.session[slot]["id_bytes"]
    _file(state, slot, time)


@inner
def _insert_event(state: State, slot: int, place: int, item: int, time: int, kind: int) -> bool:
    """Put the event at *place* among its session's; tell whether the item is new to the session."""
    at = state.session[slot]["at"]
    n = state.session[slot]["events"]
    for j in range(at + n, at + place, -1):
        state.event_item[j] = state.event_item[j - 1]
        state.event_time[j] = state.event_time[j - 1]
        state.event_type[j] = state.event_type[j - 1]
    word = np.uint32(item)
    is_new = True
    for j in range(at, at + place):
        if state.event_item[j] == word:  # the newest so far, no longer
            state.event_item[j] = word | REPEAT_BIT
            is_new = False
    for j in range(at + place + 1, at + n + 1):
        if state.event_item[j] == word:
            state.event_item[at + place] = word | REPEAT_BIT
            is_new = False
            break
    else:
        state.event_item[at + place] = word
    state.event_time[at + place] = time
    state.event_type[at + place] = kind
    state.session[slot]["events"] = n + 1
    state.session[slot]["items"] += is_new
    state.counters[N_EVENTS] += 1
    state.counters[N_BYTES] += state.limits[EVENT_COST]
    popular.count(state, item, time, 1)
    return is_new


@inner
def _grow(state: State, slot: int, item: int, time: int, kind: int) -> None:
    """Add an event to an open session and move the session to its new place in all its items' lists."""
    if state.session[slot]["events"] == state.limits[MAX_SESSION_EVENTS]:
        if time < state.event_time[state.session[slot]["at"]]:
            return  # older than all that a full session keeps
        _drop_oldest_event(state, slot)
    at = state.session[slot]["at"]
    n = state.session[slot]["events"]
    place = n
    while place > 0 and state.event_time[at + place - 1] > time:
        place -= 1
    moves = n == 0 or time > state.session[slot]["last"]
    if moves:
        for j in range(at, at + n):
            if not _is_repeated(state, j):
                remove(state, _item(state, j), slot, False)
        state.session[slot]["last"] = time
        for j in range(at, at + n):
            if not _is_repeated(state, j):
                insert(state, _item(state, j), slot)
    if _insert_event(state, slot, place, item, time, kind):
        _join(state, slot, item)


@inner
def _ensure_posting_room(state: State, slot: int, item: int) -> bool:
    if not ensure_room(state, item):
        return False
    at = state.session[slot]["at"]
    for j in range(at, at + state.session[slot]["events"]):
        if not _is_repeated(state, j) and not ensure_room(state, _item(state, j)):
            return False
    return True


# --- the time order


@inner
def _file(state: State, slot: int, time: int) -> None:
    """Have session *slot* filed under *time*: in the front if it is among the oldest, else by the store."""
    counters = state.counters
    state.session[slot]["filed"] = time
    if time < counters[FRONT_LIMIT]:
        _file_in_front(state, slot, time)
        return
    state.filed[counters[N_FILED]]["slot"] = slot
    state.filed[counters[N_FILED]]["time"] = time
    counters[N_FILED] += 1
    counters[NEXT_FILED] = min(counters[NEXT_FILED], time)


@inner
def _goes_after(state: State, place: int, slot: int, time: int) -> bool:
    """Tell whether the front's entry belongs behind session *slot*; one that is void may stand anywhere."""
    other = state.front[place]["slot"]
    if state.front[place]["time"] != time:
        return state.front[place]["time"] > time
    is_void = state.session[other]["events"] == 0 or state.session[other]["filed"] != time
    return is_void or state.session[other]["hash"] > state.session[slot]["hash"]


@inner
def _file_in_front(state: State, slot: int, time: int) -> None:
    counters = state.counters
    start, end = counters[FRONT_START], counters[FRONT_END]
    if end == state.front.size:  # `apply` has made sure that there is room at the start
        for j in range(start, end):
            state.front[j - start]["slot"] = state.front[j]["slot"]
            state.front[j - start]["time"] = state.front[j]["time"]
        end -= start
        start = 0
        counters[FRONT_START] = 0
    place = end
    while place > start and _goes_after(state, place - 1, slot, time):
        state.front[place]["time"] = state.front[place - 1]["time"]
        state.front[place]["slot"] = state.front[place - 1]["slot"]
        place -= 1
    state.front[place]["slot"] = slot
    state.front[place]["time"] = time
    counters[FRONT_END] = end + 1


@inner
def settle_front(state: State) -> bool:
    """Bring the oldest session to the start of the front; False if the store must refill it first.

    A session is filed under the time it had then and may have grown since: it is filed anew when its turn comes.
    """
    counters = state.counters
    while counters[FRONT_START] < counters[FRONT_END]:
        slot = state.front[counters[FRONT_START]]["slot"]
        time = state.front[counters[FRONT_START]]["time"]
        if state.session[slot]["events"] > 0 and state.session[slot]["filed"] == time:
            if state.session[slot]["last"] == time:
                return True
            if counters[N_FILED] == state.filed.size:
                return False
            counters[FRONT_START] += 1
            _file(state, slot, state.session[slot]["last"])
        else:
            counters[FRONT_START] += 1
    return False


@inner
def _is_over(state: State) -> bool:
    counters = state.counters
    limits = state.limits
    return counters[N_SESSIONS] > 0 and (
        counters[N_SESSIONS] > limits[MAX_SESSIONS]
        or counters[N_EVENTS] > limits[MAX_EVENTS]
        or counters[N_BYTES] > limits[MAX_BYTES]
    )


@inner
def evict(state: State) -> int:
    """Evict the oldest sessions, in order, until retention and limits hold. DONE, or what it needs first."""
    counters = state.counters
    cut = counters[WATERMARK] - state.limits[RETENTION]
    while True:
        in_front = counters[FRONT_START] < counters[FRONT_END]
        bound = state.front[counters[FRONT_START]]["time"] if in_front else counters[NEXT_FILED]
        is_over = _is_over(state)
        if not is_over and (cut <= bound or counters[N_SESSIONS] == 0):
            return DONE
        if not settle_front(state):
            return MORE_FRONT
        slot = state.front[counters[FRONT_START]]["slot"]
        if not is_over and state.session[slot]["last"] >= cut:
            return DONE
        if not _has_list_room(state, state.session[slot]["events"]):
            return MORE_FILING_ROOM
        counters[FRONT_START] += 1
        counters[N_EVICTED] += 1
        drop_session(state, slot, counters[EVENT_NOW], True)


@inner
def _has_list_room(state: State, n_items: int) -> bool:
    """Tell whether this step's notes fit the lists that the shell reads between calls."""
    counters = state.counters
    return (
        counters[N_RELEASED] + 1 < state.released.size
        and counters[N_FILED] + 1 < state.filed.size
        and counters[N_EMPTIED] + n_items + 1 < state.emptied.size
        and (counters[FRONT_END] - counters[FRONT_START] + 1 < state.front.size)
    )


# --- the batch


@inner
def _needs_frame(state: State, time: int) -> bool:
    framed = (time - state.counters[BASE]) >> state.counters[SHIFT]
    return framed < 1 or framed >= TIME_LIMIT


@inner
def _apply_one(state: State, batch: Batch, i: int) -> int:
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
        if not _is_vacant(state.seen, id_place) and state.seen[id_place]["time"] >= watermark - limits[ID_WINDOW]:
            batch.outcome[i] = DUPLICATE
            return DONE
    if watermark != NEVER and time < watermark - limits[LATENESS]:
        batch.outcome[i] = LATE
        return DONE
    if _needs_frame(state, time):
        return NEW_FRAME
    if not _has_list_room(state, state.session[slot]["events"]):
        return MORE_FILING_ROOM
    if state.session[slot]["events"] > 0 and time - state.session[slot]["last"] > limits[REJOIN]:
        drop_session(state, slot, i - 1, False)
    if not _ensure_event_room(state, slot):
        return MORE_EVENT_ROOM
    if not _ensure_posting_room(state, slot, item):
        return MORE_POSTING_ROOM
    if id_place >= 0:
        counters[N_SEEN_IDS] += _is_vacant(state.seen, id_place)
        state.seen[id_place]["high"] = batch.id_key[i, 0]
        state.seen[id_place]["low"] = batch.id_key[i, 1]
        state.seen[id_place]["time"] = time
        state.seen[id_place]["owner"] = state.session[slot]["hash"]
    if time > watermark:
        counters[WATERMARK] = time
        popular.move_to(state, time)
    if state.session[slot]["events"] == 0:
        _begin(state, slot, time)
    _grow(state, slot, item, time, batch.type[i])
    batch.outcome[i] = APPLIED
    return DONE


@inner
def apply_step(state: State, batch: Batch, i: int) -> int:
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


# --- reading ahead

# Memory far off takes as long as hundreds of instructions, and a batch tells which memory will be needed. So each
# event's is asked for in four steps, some events ahead: its session, the session's events, their items, the ends of
# the items' lists.
AHEAD_SESSION, AHEAD_EVENTS, AHEAD_ITEMS, AHEAD_LISTS = 16, 12, 8, 4
MOST_AHEAD = 16  # events of a session that are read ahead for


@inner
def _read_ahead(state: State, batch: Batch, i: int) -> None:
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
            prefetch(state.item, _item(state, j))
        prefetch(state.counts, batch.item[i + AHEAD_ITEMS] * POPULAR_STEPS)
    if i + AHEAD_LISTS < n:
        slot = batch.slot[i + AHEAD_LISTS]
        at = state.session[slot]["at"]
        for j in range(at, at + min(state.session[slot]["events"], MOST_AHEAD)):
            _prefetch_end(state, _item(state, j))
        _prefetch_end(state, np.int64(batch.item[i + AHEAD_LISTS]))


@inner
def _prefetch_end(state: State, item: int) -> None:
    prefetch(state.postings, state.item[item]["at"] + state.item[item]["end"])
