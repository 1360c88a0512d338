"""The arrays of the index: how they are made, what they cost, how they grow.

Knows nothing of queries, ids or eviction: it owns memory, and the kernels write to it.
"""

import math
from typing import Final

import numpy as np

from stream_rec.core.dtypes import I32, I64, U64, Structs
from stream_rec.core.index.kernel import entries
from stream_rec.core.index.kernel import state as field
from stream_rec.core.index.kernel.state import AnswerArrays, Policy, Scratch, State
from stream_rec.core.limits import Limits

__all__ = [
    "ANYTHING",
    "EVENT_COST",
    "ITEM_COST",
    "SESSION_COST",
    "STORE_COST",
    "IndexArrays",
    "Workspace",
    "time_frame",
    "unrestricted_terms",
]

# What a retained session, event and item cost, in bytes, everything included: arrays with their unused capacity, id
# tables, the eviction queue. Measured by benchmarks/bench_memory.py and rounded up, so that a memory budget holds.
STORE_COST: Final = 8 << 20
SESSION_COST: Final = 340
EVENT_COST: Final = 58
ITEM_COST: Final = 480

_LIST_CAPACITY: Final = 1 << 14  # entries of the lists that kernels fill for Python
_LONG_AGO: Final = -(1 << 40)  # a popularity step before all others
_GROWTH: Final = 1.5
_NO_ITEMS: Final = np.empty(0, np.int32)
_NO_HASHES: Final = np.empty(0, np.uint64)

_SESSION_ARRAYS: Final = ("session",)
_EVENT_ARRAYS: Final = ("event_item", "event_time", "event_type")
_ITEM_ARRAYS: Final = ("item", "counts", "dirty")
_POSTING_ARRAYS: Final = ("postings",)
_FRONT_ARRAYS: Final = ("front",)


def unrestricted_terms(n: int) -> Structs:
    """Return the terms, [n], of *n* queries without rules."""
    array = np.zeros(n, field.TERMS)
    array["ruleset"] = field.NO_RULESET
    array["row"] = field.LAST_SEEN
    return array


ANYTHING: Final = Policy(
    terms=unrestricted_terms(1),
    listed=_NO_ITEMS,
    verdict=np.zeros((1, 1), np.uint16),
    factor=np.zeros((1, 1), np.float64),
    most=np.zeros(1, np.float64),
    chosen=_NO_ITEMS,
    chosen_at=np.zeros(2, np.int64),
    group=np.zeros(1, np.int32),
    member=_NO_ITEMS,
    member_at=np.zeros(2, np.int64),
    holder=np.full(1, -1, np.int32),
)
"""The policy that allows every item. Valid only without a catalogue, when all items are in row 0."""


_ScratchSizes = tuple[int, int, int, int]
"""What the scratch memory of a query must hold: items, candidates, items of the query, marked items."""


class Workspace:
    """What queries write to, apart from their answers: askers that ask side by side need one each."""

    __slots__ = ("__weakref__", "room", "row", "scratch", "sizes")

    def __init__(self) -> None:
        self.scratch: Scratch | None = None
        """What the last query used, unless it ran in several parts."""
        self.sizes: _ScratchSizes = (0, 0, 0, 0)
        self.row: AnswerArrays | None = None
        """For the answer to a single query: the next one overwrites it."""
        self.room: object = None
        """What re-ranking writes to, beside `scratch`."""


class IndexArrays:
    """Owns the state's arrays and a workspace, and grows both.

    `state` is another tuple after each growth, so keep none of its arrays across a call that may grow them.
    """

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.state = _empty_state(limits)
        self.workspace = Workspace()
        """Of the thread that owns the index."""
        self.list_capacity = _LIST_CAPACITY
        """The eviction front grows by so many entries."""

    # --- the state

    def reserve_sessions(self, n: int) -> None:
        """Provide records for the session ordinals below *n*."""
        self._grow(_SESSION_ARRAYS, n)

    def reserve_items(self, n: int) -> None:
        """Provide records for the item ordinals below *n*."""
        self._grow(_ITEM_ARRAYS, n)

    def reserve_events(self, n: int) -> None:
        """Provide an event arena of at least *n* elements."""
        self._grow(_EVENT_ARRAYS, n)

    def reserve_postings(self, n: int) -> None:
        """Provide a posting arena of at least *n* words."""
        self._grow(_POSTING_ARRAYS, n)

    def provide(self, need: int, time: int) -> None:
        """Provide what a kernel returned as its *need*, so that it can go on with an event at *time*."""
        state = self.state
        if need == field.MORE_EVENT_CAPACITY:
            self.reserve_events(len(state.event_item) + 1)
        elif need == field.MORE_POSTING_CAPACITY:
            largest = int(state.item["capacity"].max()) * 2
            wanted = int(state.counters[field.POSTINGS_TOP]) + largest + 1
            self.reserve_postings(max(wanted, len(state.postings) + 1))
        elif need == field.MORE_ID_CAPACITY:
            self.rebuild_ids()
        elif need == field.MORE_LIST_CAPACITY:  # the other lists were emptied just before
            n_front = int(state.counters[field.FRONT_END] - state.counters[field.FRONT_START])
            if n_front + 2 > len(state.front):
                self._grow(_FRONT_ARRAYS, len(state.front) + self.list_capacity)
        else:
            self._reframe(time)

    def set_front(self, sessions: I32, times: I64, limit: int) -> None:
        """Replace the used-up eviction front by *sessions*, sorted by (time, hash): all that are before *limit*."""
        n = sessions.size
        if n + self.list_capacity > len(self.state.front):
            self.state = self.state._replace(front=np.zeros(n + self.list_capacity, field.OLDEST))
        state = self.state
        state.front["session"][:n] = sessions
        state.front["hash"][:n] = state.session["hash"][sessions]
        state.front["time"][:n] = times
        state.counters[field.FRONT_START] = 0
        state.counters[field.FRONT_END] = n
        state.counters[field.FRONT_LIMIT] = limit

    def rebuild_ids(self, without: U64 = _NO_HASHES) -> None:
        """Rebuild the event-id table without expired ids, and without those of sessions with the hashes *without*."""
        size = len(self.state.seen)
        while True:
            table = np.zeros(size, field.SEEN_ID)
            n = entries.copy_ids(self.state, table, np.unique(without))
            if n * 4 <= size:  # half of the largest allowed load: the next rebuild is that far away
                break
            size *= 2
        self._set_ids(table, n)

    def load_ids(self, ids: Structs) -> None:
        """Fill the event-id table with *ids*, SEEN_ID records in any order."""
        size = len(self.state.seen)
        while size < ids.size * 4:
            size *= 2
        table: Structs = np.zeros(size, field.SEEN_ID)
        self._set_ids(table, entries.copy_ids(self.state._replace(seen=ids), table, _NO_HASHES))

    def _set_ids(self, table: Structs, n: int) -> None:
        self.state = self.state._replace(seen=table)
        self.state.counters[field.N_SEEN_IDS] = n

    def _reframe(self, time: int) -> None:
        """Choose a time frame for the postings that holds all retained sessions and *time*."""
        session = self.state.session
        times = session["last"][session["events"] > 0]
        oldest = min(time, int(times.min())) if times.size else time
        newest = max(time, int(times.max())) if times.size else time
        entries.reframe(self.state, *time_frame(oldest, newest))

    def _grow(self, names: tuple[str, ...], needed: int) -> None:
        self.state = _grown(self.state, names, needed)

    # --- the scratch memory

    def scratch(self, whole: I64, n_extra: int, workspace: Workspace) -> Scratch:
        """Return scratch memory for a query with the whole-number parameters *whole* and *n_extra* more items to mark.

        For several models, *whole* has the largest of each number. The next query in *workspace* reuses the memory.
        """
        a, b, c, d = self._sizes(whole, n_extra)
        e, f, g, h = workspace.sizes
        if workspace.scratch is None or a > e or b > f or c > g or d > h:  # for each query, so no loop
            workspace.sizes = (max(a, e), max(b, f), max(c, g), max(d, h))
            workspace.scratch = _new_scratch(workspace.sizes, self.limits.max_session_events)
        return workspace.scratch

    def own_scratch(self, whole: I64, n_extra: int) -> Scratch:
        """Return new scratch memory that nothing else uses, for a query that runs beside others."""
        return _new_scratch(self._sizes(whole, n_extra), self.limits.max_session_events)

    def _sizes(self, whole: I64, n_extra: int) -> _ScratchSizes:
        last = int(min(whole[field.LAST], self.limits.max_session_events))
        n_slots = len(self.state.session)
        is_recent = whole[field.SAMPLING] == field.SAMPLE_RECENT
        return (
            len(self.state.item),
            min(int(whole[field.M]), n_slots) if is_recent else n_slots,
            max(last, n_extra),
            int(whole[field.N]) + n_extra,
        )


def time_frame(oldest: int, newest: int) -> tuple[int, int]:
    """Return base and shift of a time frame that holds both times, with space on either side."""
    shift = 0
    while (newest - oldest) >> shift >= field.TIME_LIMIT // 2:
        shift += 1
    return oldest - ((field.TIME_LIMIT // 8) << shift), shift


def _limit(value: int | None) -> int:
    return field.UNLIMITED if value is None else value


def _limits_array(limits: Limits) -> I64:
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
    array[field.HALF_LIFE] = limits.popular_half_life_ms
    array[field.SESSION_COST] = SESSION_COST
    array[field.EVENT_COST] = EVENT_COST
    array[field.ITEM_COST] = ITEM_COST
    return array


def _empty_state(limits: Limits) -> State:
    counters = np.zeros(field.N_COUNTERS, np.int64)
    counters[field.WATERMARK] = field.NEVER
    counters[field.N_BYTES] = STORE_COST
    counters[field.FRONT_LIMIT] = field.NEVER
    counters[field.NEXT_QUEUED] = field.UNLIMITED
    counters[field.STEP_NOW] = _LONG_AGO
    capacity = _LIST_CAPACITY + 2 * limits.max_session_events
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
        counts=np.zeros(0, np.int64),
        postings=np.zeros(1024, np.uint64),
        front=np.zeros(capacity, field.OLDEST),
        queued=np.zeros(capacity, field.QUEUED),
        released=np.zeros(capacity, field.RELEASE),
        emptied=np.zeros(capacity, np.int32),
        dirty=np.zeros(0, np.int32),
        top=np.zeros(field.TOP_SIZE, field.TOP),
        seen=np.zeros(1024, field.SEEN_ID),
    )
    return _grown(_grown(state, _SESSION_ARRAYS, 64), _ITEM_ARRAYS, 64)


def _grown(state: State, names: tuple[str, ...], needed: int) -> State:
    """Return *state* with the arrays *names* at least *needed* long; the new elements are as in an empty state."""
    old = len(getattr(state, names[0]))
    if old >= needed:
        return state
    size = max(needed, math.ceil(old * _GROWTH))
    changed = {}
    for name in names:
        before = getattr(state, name)
        each = field.POPULAR_SLOTS if name == "counts" else 1
        after = np.zeros(size * each, before.dtype)  # its untouched pages take no memory yet
        after[: old * each] = before
        changed[name] = after
    if "item" in changed:
        changed["item"]["step"][old:] = _LONG_AGO
    if "session" in changed:
        changed["session"]["queued"][old:] = field.NEVER
    return state._replace(**changed)


def _new_scratch(sizes: _ScratchSizes, session_events: int) -> Scratch:
    n_items, m, last, n = sizes
    n_candidates = m + field.SLAB_ROOM + 1  # the last slab may bring more than m
    return Scratch(
        score=np.zeros(2 * n_items, np.float64),
        mark=np.zeros(n_items, np.uint8),
        touched=np.zeros(n_items + 1, np.int32),
        marked=np.zeros(n_items + n + 1, np.int32),
        query=np.zeros(last + 1, field.QUERY_ITEM),
        head=np.zeros(last + 1, np.uint64),
        lists=np.zeros(last + 1, field.HEAD),
        match=np.zeros(last + 1, np.int32),
        candidate=np.zeros(n_candidates, np.int32),
        similarity=np.zeros(n_candidates, np.float64),
        step=np.zeros(n_candidates, np.int32),
        chosen=np.zeros(n_candidates, np.int32),
        vote=np.zeros(n_candidates, np.float64),
        ordered=np.zeros(n_candidates, np.float64),
        rest=np.zeros(n_candidates, np.float64),
        word=np.zeros(n_candidates, np.uint64),
        slab=np.zeros(n_candidates + 1, np.int32),
        table_stamp=np.zeros(field.SLAB_TABLE, np.int64),
        table_candidate=np.zeros(field.SLAB_TABLE, np.int32),
        stamp=np.zeros(1, np.int64),
        key=np.zeros(n_candidates, np.float64),
        session=np.zeros(session_events + 1, np.int32),
        term=np.zeros(field.N_TERMS, np.int64),
        trace=np.zeros(field.N_TRACE, np.float64),
    )
