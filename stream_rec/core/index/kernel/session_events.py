"""One session: its events in time order, in a block of the event arena, and its place in the lists of its items."""

import numpy as np

from stream_rec.core.compiled import inner
from stream_rec.core.index.kernel import popular
from stream_rec.core.index.kernel.postings import block_size, ensure_capacity, insert, remove, size_index
from stream_rec.core.index.kernel.state import (
    EVENT_COST,
    EVENTS_TOP,
    ITEM_BITS,
    ITEM_COST,
    MAX_SESSION_EVENTS,
    N_BYTES,
    N_EMPTIED,
    N_EVENTS,
    N_RELEASED,
    N_SESSION_ITEMS,
    N_SESSIONS,
    NEVER,
    REPEAT_BIT,
    SESSION_COST,
    State,
)

__all__ = ["drop_session", "ensure_event_capacity", "ensure_posting_capacity", "grow", "is_repeated", "item_of"]


@inner
def ensure_event_capacity(state: State, slot: int) -> bool:
    """Ensure that session *slot* can take one more event; False if the arena must grow first."""
    n = state.session[slot]["events"]
    capacity = state.session[slot]["capacity"]
    if n < capacity:
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
    state.session[slot]["capacity"] = block_size(k)
    return True


@inner
def _free_events(state: State, slot: int) -> None:
    capacity = state.session[slot]["capacity"]
    if capacity > 0:
        k = size_index(capacity)
        at = state.session[slot]["at"]
        state.event_time[at] = state.event_blocks[k]
        state.event_blocks[k] = at
        state.session[slot]["capacity"] = 0


@inner
def item_of(state: State, at: int) -> int:
    """Return the item of the event at *at* in the arena."""
    return np.int64(state.event_item[at] & ITEM_BITS)


@inner
def is_repeated(state: State, at: int) -> bool:
    """Return whether the item of the event occurs again later in the session."""
    return (state.event_item[at] & REPEAT_BIT) != 0


@inner
def _leave(state: State, slot: int, item: int, is_oldest: bool) -> None:
    """Remove the session from the list of *item*; note the item if no session holds it any more."""
    remove(state, item, slot, is_oldest)
    state.counters[N_SESSION_ITEMS] -= 1
    if state.item[item]["df"] == 0:
        state.counters[N_BYTES] -= state.limits[ITEM_COST] + state.item[item]["id_bytes"]
        state.emptied[state.counters[N_EMPTIED]] = item
        state.counters[N_EMPTIED] += 1


@inner
def _join(state: State, slot: int, item: int) -> None:
    if state.item[item]["df"] == 0:
        state.counters[N_BYTES] += state.limits[ITEM_COST] + state.item[item]["id_bytes"]
    state.counters[N_SESSION_ITEMS] += 1
    insert(state, item, slot)


@inner
def drop_session(state: State, slot: int, at_event: int, is_oldest: bool) -> None:
    """Remove session *slot* from all arrays, and list its slot in `released`, with *at_event*."""
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
    state.session[slot]["queued"] = NEVER
    counters[N_SESSIONS] -= 1
    counters[N_EVENTS] -= n  # planted bug: evicted-still-counted
    counters[N_BYTES] -= state.limits[SESSION_COST] + state.session[slot]["id_bytes"] + n * state.limits[EVENT_COST]
    state.released[counters[N_RELEASED]]["session"] = slot
    state.released[counters[N_RELEASED]]["event"] = at_event
    counters[N_RELEASED] += 1


@inner
def _drop_oldest_event(state: State, slot: int) -> None:
    """Drop the oldest event of a session that is at its largest."""
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
    """Insert the event at *place* in its session; return whether the item is new to the session."""
    at = state.session[slot]["at"]
    n = state.session[slot]["events"]
    for j in range(at + n, at + place, -1):
        state.event_item[j] = state.event_item[j - 1]
        state.event_time[j] = state.event_time[j - 1]
        state.event_type[j] = state.event_type[j - 1]
    word = np.uint32(item)
    is_new = True
    for j in range(at, at + place):
        if state.event_item[j] == word:  # not the newest any more
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
    """Add an event to an open session and move the session to its new place in the lists of all its items.

    Return whether the item is new to the session.
    """
    makes_way = False
    if state.session[slot]["events"] == state.limits[MAX_SESSION_EVENTS]:
        if time < state.event_time[state.session[slot]["at"]]:
            return False  # older than all that a full session keeps
        makes_way = item_of(state, state.session[slot]["at"]) == item  # the item was in the session when it came again
        _drop_oldest_event(state, slot)
    at = state.session[slot]["at"]
    n = state.session[slot]["events"]
    place = n
    while place > 0 and state.event_time[at + place - 1] > time:  # planted bug: late-joins-last
        place -= 1
    moves = n == 0 or time > state.session[slot]["last"]
    if moves:
        for j in range(at, at + n):
            if not is_repeated(state, j):
                remove(state, item_of(state, j), slot, False)
        state.session[slot]["last"] = time
        for j in range(at, at + n):  # planted bug: growing-keeps-place (3 lines)
            if not is_repeated(state, j):
                insert(state, item_of(state, j), slot)
    is_new = _insert_event(state, slot, place, item, time, kind)
    if is_new:
        _join(state, slot, item)
    return is_new and not makes_way


@inner
def ensure_posting_capacity(state: State, slot: int, item: int) -> bool:
    """Ensure capacity in the lists of *item* and of all items of the session; False if the arrays must grow first."""
    if not ensure_capacity(state, item):
        return False
    at = state.session[slot]["at"]
    for j in range(at, at + state.session[slot]["events"]):
        if not is_repeated(state, j) and not ensure_capacity(state, item_of(state, j)):
            return False
    return True
