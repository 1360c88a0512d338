"""The arrays of the index: how they are made, what they cost, how they grow."""

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from stream_rec.core.index.kernel import state as field
from stream_rec.core.index.kernel.state import Policy, Scratch, State
from stream_rec.core.limits import Limits

__all__ = [
    "ANYTHING",
    "EVENT_ARRAYS",
    "EVENT_COST",
    "GROWTH",
    "ITEM_ARRAYS",
    "ITEM_COST",
    "LISTS",
    "LONG_AGO",
    "NO_HASHES",
    "NO_ITEMS",
    "ONE_ROW",
    "SESSION_COST",
    "STORE_COST",
    "frame",
    "grown",
    "terms",
]

# What a retained session, event and item cost, in bytes, everything included: arrays with their unused room, id
# tables, the time order. Measured by benchmarks/bench_memory.py, rounded up, so that a memory budget is kept.
STORE_COST = 8 << 20
SESSION_COST = 340
EVENT_COST = 58
ITEM_COST = 480

LISTS = 1 << 14  # entries of the lists between kernel and shell
LONG_AGO = -(1 << 40)  # a popularity step before all others
GROWTH = 1.5
NO_HASHES = np.empty(0, np.uint64)
NO_ITEMS = np.empty(0, np.int32)
ONE_ROW = np.zeros(1, np.int32)


def terms(n: int) -> npt.NDArray[np.void]:
    """Return the terms of *n* queries that ask for nothing."""
    array = np.zeros(n, field.TERMS)
    array["ruleset"] = field.NO_RULESET
    array["row"] = field.LAST_SEEN
    return array


ANYTHING = Policy(
    terms=terms(1),
    listed=NO_ITEMS,
    verdict=np.zeros((1, 1), np.uint16),
    factor=np.zeros((1, 1), np.float64),
    most=np.zeros(1, np.float64),
    chosen=NO_ITEMS,
    chosen_at=np.zeros(2, np.int64),
    group=ONE_ROW,
    member=NO_ITEMS,
    member_at=np.zeros(2, np.int64),
    holder=np.full(1, -1, np.int32),
)
"""The policy that lets everything through. It holds without a catalogue only: there all items are in row 0."""

EVENT_ARRAYS = ("event_item", "event_time", "event_type")
ITEM_ARRAYS = ("item", "counts", "dirty")


def _limit(value: int | None) -> int:
    return field.UNLIMITED if value is None else value


def _limits_array(limits: Limits) -> npt.NDArray[np.int64]:
    array = np.full(field.N_LIMITS, field.UNLIMITED, np.int64)
    array[field.LATENESS] = limits.lateness_ms
    array[field.RETENTION] = _limit(limits.retention_ms)
    if limits.retention_ms is not None:
        array[field.REJOIN] = limits.retention_ms - limits.lateness_ms
    array[field.MAX_SESSIONS] = _limit(limits.max_sessions)
    array[field.MAX_EVENTS] = _limit(limits.max_events)
    array[field.MAX_BYTES] = _limit(limits.max_bytes)
    array[field.MAX_SESSION_EVENTS] = limits.max_session_events
    array[field.ID_WINDOW] = limits.window_ms
    array[field.POPULAR_STEP] = max(1, limits.popular_half_life_ms // 2)
    array[field.SESSION_COST] = SESSION_COST
    array[field.EVENT_COST] = EVENT_COST
    array[field.ITEM_COST] = ITEM_COST
    return array


def _empty_state(limits: Limits) -> State:
    counters = np.zeros(field.N_COUNTERS, np.int64)
    counters[field.WATERMARK] = field.NEVER
    counters[field.N_BYTES] = STORE_COST
    counters[field.FRONT_LIMIT] = field.NEVER
    counters[field.NEXT_FILED] = field.UNLIMITED
    counters[field.STEP_NOW] = LONG_AGO
    lists = LISTS + 2 * limits.max_session_events
    state = State(
        counters=counters,
        limits=_limits_array(limits),
        event_blocks=np.full(field.N_BLOCK_SIZES, -1, np.int64),
        posting_blocks=np.full(field.N_BLOCK_SIZES, -1, np.int64),
        session=np.zeros(0, field.SESSION),
        event_item=np.zeros(1024, np.uint32),
        event_time=np.zeros(1024, np.int64),
        event_type=np.zeros(1024, np.uint8),
        item=np.zeros(0, field.ITEM),
        counts=np.zeros(0, np.uint32),
        postings=np.zeros(1024, np.uint64),
        front=np.zeros(lists, field.OLDEST),
        filed=np.zeros(lists, field.FILING),
        released=np.zeros(lists, field.RELEASE),
        emptied=np.zeros(lists, np.int32),
        dirty=np.zeros(0, np.int32),
        top=np.zeros(field.TOP_SIZE, field.TOP),
        seen=np.zeros(1024, field.SEEN_ID),
    )
    return grown(grown(state, ("session",), 64), ITEM_ARRAYS, 64)


def grown(state: State, names: Sequence[str], needed: int) -> State:
    """Return *state* with the arrays *names* at least *needed* long, behind what they held as good as new."""
    old = len(getattr(state, names[0]))
    if old >= needed:
        return state
    size = max(needed, math.ceil(old * GROWTH))
    changed = {}
    for name in names:
        before = getattr(state, name)
        each = field.POPULAR_STEPS if name == "counts" else 1
        after = np.zeros(size * each, before.dtype)  # untouched pages of it take no memory yet
        after[: old * each] = before
        changed[name] = after
    if "item" in changed:
        changed["item"]["step"][old:] = LONG_AGO
    if "session" in changed:
        changed["session"]["filed"][old:] = field.NEVER
    return state._replace(**changed)


def frame(oldest: int, newest: int) -> tuple[int, int]:
    """Return base and shift of a time frame that holds both times with room on either side."""
    shift = 0
    while (newest - oldest) >> shift >= field.TIME_LIMIT // 2:
        shift += 1
    return oldest - ((field.TIME_LIMIT // 8) << shift), shift


def _new_scratch(n_items: int, m: int, last: int, n: int, session_events: int) -> Scratch:
    return Scratch(
        score=np.zeros(n_items, np.float64),
        mark=np.zeros(n_items, np.uint8),
        touched=np.zeros(n_items + 1, np.int32),
        marked=np.zeros(n_items + n + 1, np.int32),
        query=np.zeros(last + 1, field.QUERY_ITEM),
        head=np.zeros(last + 1, np.uint64),
        lists=np.zeros(last + 1, field.HEAD),
        match=np.zeros(last + 1, np.int32),
        candidate=np.zeros(m + 1, np.int32),
        similarity=np.zeros(m + 1, np.float64),
        step=np.zeros(m + 1, np.int32),
        chosen=np.zeros(m + 1, np.int32),
        ordered=np.zeros(m + 1, np.float64),
        key=np.zeros(m + 1, np.float64),
        session=np.zeros(session_events + 1, np.int32),
        term=np.zeros(field.N_TERMS, np.int64),
        trail=np.zeros(field.N_TRAIL, np.float64),
    )


def _n_listed(policy: Policy) -> int:
    """Return how many items the lists of one query name at most."""
    if policy.listed.size == 0:
        return 0
    asked = policy.terms
    return int((asked["exclude_end"] - asked["exclude_begin"] + asked["allow_end"] - asked["allow_begin"]).max())


def _blocks_overlap(at: npt.NDArray[np.int64], room: npt.NDArray[np.int32]) -> bool:
    used = np.flatnonzero(room)
    order = used[np.argsort(at[used])]
    return bool((at[order][:-1] + room[order][:-1] > at[order][1:]).any())
