"""The eviction front: the oldest sessions, in order, and their eviction.

The store queues sessions in buckets of time. The oldest are here, sorted, in the front. Eviction takes them from its
start; only an empty front is refilled from the store's queue.
"""

import numpy as np

from stream_rec.core.compiled import inner
from stream_rec.core.index.kernel.session_events import drop_session
from stream_rec.core.index.kernel.state import (
    DONE,
    EVENT_NOW,
    FRONT_END,
    FRONT_LIMIT,
    FRONT_START,
    MAX_BYTES,
    MAX_EVENTS,
    MAX_SESSIONS,
    MORE_FRONT,
    MORE_LIST_CAPACITY,
    N_BYTES,
    N_EMPTIED,
    N_EVENTS,
    N_EVICTED,
    N_QUEUED,
    N_RELEASED,
    N_SESSIONS,
    NEXT_QUEUED,
    RETENTION,
    WATERMARK,
    State,
)

__all__ = ["advance_front", "evict", "has_list_capacity", "queue"]


@inner
def queue(state: State, slot: int, time: int) -> None:
    """Queue session *slot* under *time*: in the front if it is among the oldest, else in the store's queue."""
    counters = state.counters
    state.session[slot]["queued"] = time
    if time < counters[FRONT_LIMIT]:
        _queue_in_front(state, slot, time)
        return
    state.queued[counters[N_QUEUED]]["session"] = slot
    state.queued[counters[N_QUEUED]]["time"] = time
    counters[N_QUEUED] += 1
    counters[NEXT_QUEUED] = min(counters[NEXT_QUEUED], time)


@inner
def _queue_in_front(state: State, slot: int, time: int) -> None:
    counters = state.counters
    start, end = counters[FRONT_START], counters[FRONT_END]
    if end == state.front.size:  # `has_list_capacity` ensured that the start has room
        for j in range(start, end):
            state.front[j - start]["session"] = state.front[j]["session"]
            state.front[j - start]["hash"] = state.front[j]["hash"]
            state.front[j - start]["time"] = state.front[j]["time"]
        end -= start
        start = 0
        counters[FRONT_START] = 0
    key = state.session[slot]["hash"]
    place = end
    while place > start and _goes_after(state, place - 1, time, key):
        state.front[place]["time"] = state.front[place - 1]["time"]
        state.front[place]["hash"] = state.front[place - 1]["hash"]
        state.front[place]["session"] = state.front[place - 1]["session"]
        place -= 1
    state.front[place]["session"] = slot
    state.front[place]["hash"] = key
    state.front[place]["time"] = time
    counters[FRONT_END] = end + 1


@inner
def _goes_after(state: State, place: int, time: int, key: np.uint64) -> bool:
    """Return whether the front's entry belongs behind a session with that time and hash."""
    other = state.front[place]["time"]
    return other > time or (other == time and state.front[place]["hash"] > key)


@inner
def _is_void(state: State, slot: int, time: int, key: np.uint64) -> bool:
    """Return whether the session of the front's entry is gone, or queued elsewhere by now.

    The slot may hold another session of the same time, which has its own place in the order.
    """
    session = state.session[slot]
    return session["events"] == 0 or session["queued"] != time or session["hash"] != key


@inner
def advance_front(state: State) -> bool:
    """Bring the oldest session to the start of the front; return False if the front must be refilled first.

    A session is queued under the time it had then and may have grown since: when its turn comes, it is queued again.
    """
    counters = state.counters
    while counters[FRONT_START] < counters[FRONT_END]:
        slot = state.front[counters[FRONT_START]]["session"]
        time = state.front[counters[FRONT_START]]["time"]
        if not _is_void(state, slot, time, state.front[counters[FRONT_START]]["hash"]):
            if state.session[slot]["last"] == time:  # planted bug: evicts-newest (2 lines)
                return True
            if counters[N_QUEUED] == state.queued.size:
                return False
            counters[FRONT_START] += 1
            queue(state, slot, state.session[slot]["last"])
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
def has_list_capacity(state: State, n_items: int) -> bool:
    """Return whether the entries of this step fit the lists that Python reads between calls."""
    counters = state.counters
    return (
        counters[N_RELEASED] + 1 < state.released.size
        and counters[N_QUEUED] + 1 < state.queued.size
        and counters[N_EMPTIED] + n_items + 1 < state.emptied.size
        and (counters[FRONT_END] - counters[FRONT_START] + 1 < state.front.size)
    )


@inner
def evict(state: State) -> int:
    """Evict the oldest sessions, in order, until retention and limits hold. Return DONE, or what is needed first."""
    counters = state.counters
    cut = counters[WATERMARK] - state.limits[RETENTION]
    while True:
        in_front = counters[FRONT_START] < counters[FRONT_END]
        bound = state.front[counters[FRONT_START]]["time"] if in_front else counters[NEXT_QUEUED]
        is_over = _is_over(state)
        if not is_over and (cut <= bound or counters[N_SESSIONS] == 0):
            return DONE
        if not advance_front(state):
            return MORE_FRONT
        slot = state.front[counters[FRONT_START]]["session"]
        if not is_over and state.session[slot]["last"] >= cut:
            return DONE
        if not has_list_capacity(state, state.session[slot]["events"]):
            return MORE_LIST_CAPACITY
        counters[FRONT_START] += 1
        counters[N_EVICTED] += 1
        drop_session(state, slot, counters[EVENT_NOW], True)
