"""One session: its events in time order, in a block of the event arena, and its place in its items' lists."""

import numpy as np

from stream_rec.core.compiled import inner
from stream_rec.core.index.kernel import popular
from stream_rec.core.index.kernel.postings import block_size, ensure_room, insert, remove, size_index
from stream_rec.core.index.kernel.state import (
    EVENT_COST,
    EVENTS_TOP,
    ITEM_COST,
    ITEM_MASK,
    MAX_SESSION_EVENTS,
    N_BYTES,
    N_EMPTIED,
    N_EVENTS,
    N_HELD,
    N_RELEASED,
    N_SESSIONS,
    NEVER,
    REPEATED,
    SESSION_COST,
    State,
)

REPEAT_BIT = np.uint32(REPEATED)
ITEM_BITS = np.uint32(ITEM_MASK)


@inner
def ensure_event_room(state: State, slot: int) -> bool:
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


@inner
def item_of(state: State, at: int) -> int:
    """Return the item of the event at place *at*."""
    return np.int64(state.event_item[at] & ITEM_BITS)


@inner
def is_repeated(state: State, at: int) -> bool:
    """Whether an earlier event of the session touched the same item."""
    return (state.event_item[at] & REPEAT_BIT) != 0


@inner
def _leave(state: State, slot: int, item: int, is_oldest: bool) -> None:
    """Take the session out of the item's list, and note an item that nobody holds any more."""
    remove(state, item, slot, is_oldest)
    state.counters[N_HELD] -= 1
    if state.item[item]["df"] == 0:
        state.counters[N_BYTES] -= state.limits[ITEM_COST] + state.item[item]["id_bytes"]
        state.emptied[state.counters[N_EMPTIED]] = item
        state.counters[N_EMPTIED] += 1


@inner
def _join(state: State, slot: int, item: int) -> None:
    if state.item[item]["df"] == 0:
        state.counters[N_BYTES] += state.limits[ITEM_COST] + state.item[item]["id_bytes"]
    state.counters[N_HELD] += 1
    insert(state, item, slot)


@inner
def drop_session(state: State, slot: int, at_event: int, is_oldest: bool) -> None:
    """Remove session *slot* from everything it touches. Its slot is listed in `released`, with *at_event*."""
    counters = state.counters
    at = state.session[slot]["at"]
    n = state.session[slot]["events"]
    for j in range(at, at + n):
        item = item_of(state, j)
        popular.count(state, item, state.event_time[j], -1)
        if not is_repeated(state, j):
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
    item = item_of(state, at)
    popular.count(state, item, state.event_time[at], -1)
    if not is_repeated(state, at):
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
def grow(state: State, slot: int, item: int, time: int, kind: int) -> bool:
    """Add an event to an open session and move the session to its new place in all its items' lists.

    Tell whether the item is new to the session.
    """
    makes_way = False
    if state.session[slot]["events"] == state.limits[MAX_SESSION_EVENTS]:
        if time < state.event_time[state.session[slot]["at"]]:
            return False  # older than all that a full session keeps
        makes_way = item_of(state, state.session[slot]["at"]) == item  # it was there when it came again
        _drop_oldest_event(state, slot)
    at = state.session[slot]["at"]
    n = state.session[slot]["events"]
    place = n
    while place > 0 and state.event_time[at + place - 1] > time:
        place -= 1
    moves = n == 0 or time > state.session[slot]["last"]
    if moves:
        for j in range(at, at + n):
            if not is_repeated(state, j):
                remove(state, item_of(state, j), slot, False)
        state.session[slot]["last"] = time
        for j in range(at, at + n):
            if not is_repeated(state, j):
                insert(state, item_of(state, j), slot)
    is_new = _insert_event(state, slot, place, item, time, kind)
    if is_new:
        _join(state, slot, item)
    return is_new and not makes_way


@inner
def ensure_posting_room(state: State, slot: int, item: int) -> bool:
    """Make room in the lists of *item* and of all items of the session; False where the arrays must grow first."""
    if not ensure_room(state, item):
        return False
    at = state.session[slot]["at"]
    for j in range(at, at + state.session[slot]["events"]):
        if not is_repeated(state, j) and not ensure_room(state, item_of(state, j)):
            return False
    return True
