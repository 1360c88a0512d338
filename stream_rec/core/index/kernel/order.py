"""The oldest sessions, in order, and their eviction.

The store keeps sessions in buckets of time; the oldest stand here, sorted, in the front. Evicting takes them from its
start, and only when it is used up is the store asked for more.
"""

import numpy as np

from stream_rec.core.compiled import inner
from stream_rec.core.index.kernel.state import (
    DONE,
    EVENT_NOW,
    FRONT_END,
    FRONT_LIMIT,
    FRONT_START,
    MAX_BYTES,
    MAX_EVENTS,
    MAX_SESSIONS,
    MORE_FILING_ROOM,
    MORE_FRONT,
    N_BYTES,
    N_EMPTIED,
    N_EVENTS,
    N_EVICTED,
    N_FILED,
    N_RELEASED,
    N_SESSIONS,
    NEXT_FILED,
    RETENTION,
    WATERMARK,
    State,
)
from stream_rec.core.index.kernel.visits import drop_session


@inner
def file(state: State, slot: int, time: int) -> None:
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
def _file_in_front(state: State, slot: int, time: int) -> None:
    counters = state.counters
    start, end = counters[FRONT_START], counters[FRONT_END]
    if end == state.front.size:  # `apply` has made sure that there is room at the start
        for j in range(start, end):
            state.front[j - start]["slot"] = state.front[j]["slot"]
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
        state.front[place]["slot"] = state.front[place - 1]["slot"]
        place -= 1
    state.front[place]["slot"] = slot
    state.front[place]["hash"] = key
    state.front[place]["time"] = time
    counters[FRONT_END] = end + 1


@inner
def _goes_after(state: State, place: int, time: int, key: np.uint64) -> bool:
    """Tell whether the front's entry belongs behind a session with that time and hash."""
    other = state.front[place]["time"]
    return other > time or (other == time and state.front[place]["hash"] > key)


@inner
def _is_void(state: State, slot: int, time: int, key: np.uint64) -> bool:
    """Tell whether the front's entry is about a session that is gone, or filed elsewhere by now.

    Its slot may hold another session of the same time, whose place in the order is not this one.
    """
    session = state.session[slot]
    return session["events"] == 0 or session["filed"] != time or session["hash"] != key


@inner
def settle_front(state: State) -> bool:
    """Bring the oldest session to the start of the front; False if the store must refill it first.

    A session is filed under the time it had then and may have grown since: it is filed anew when its turn comes.
    """
    counters = state.counters
    while counters[FRONT_START] < counters[FRONT_END]:
        slot = state.front[counters[FRONT_START]]["slot"]
        time = state.front[counters[FRONT_START]]["time"]
        if not _is_void(state, slot, time, state.front[counters[FRONT_START]]["hash"]):
            if state.session[slot]["last"] == time:
                return True
            if counters[N_FILED] == state.filed.size:
                return False
            counters[FRONT_START] += 1
            file(state, slot, state.session[slot]["last"])
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
def has_list_room(state: State, n_items: int) -> bool:
    """Tell whether this step's notes fit the lists that the shell reads between calls."""
    counters = state.counters
    return (
        counters[N_RELEASED] + 1 < state.released.size
        and counters[N_FILED] + 1 < state.filed.size
        and counters[N_EMPTIED] + n_items + 1 < state.emptied.size
        and (counters[FRONT_END] - counters[FRONT_START] + 1 < state.front.size)
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
        if not has_list_room(state, state.session[slot]["events"]):
            return MORE_FILING_ROOM
        counters[FRONT_START] += 1
        counters[N_EVICTED] += 1
        drop_session(state, slot, counters[EVENT_NOW], True)
