"""The index: for each item the retained sessions that hold it, newest first, and the events of each session.

Updated event by event, and at every moment equal to an index built from scratch. Knows ordinals only: it sees no id, no
settings file and nothing outside the core.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from stream_rec.core.dtypes import I32, I64, U8, U64
from stream_rec.core.index.arrays import ANYTHING, IndexArrays, Workspace
from stream_rec.core.index.kernel import entries
from stream_rec.core.index.kernel import state as field
from stream_rec.core.index.kernel.state import AnswerArrays, EventArrays, Parameters, Policy, Queries, State
from stream_rec.core.index.views import IndexView
from stream_rec.core.limits import Limits

__all__ = ["Index", "KernelLists", "ParallelMap", "n_listed"]

ParallelMap = Callable[[Callable[[int], None], Iterable[int]], Iterable[None]]
"""`map`, or a function that does the same with its calls in parallel."""


class KernelLists(NamedTuple):
    """What kernels listed for Python since the lists were last drained. Copies."""

    queued: I32
    """Sessions to queue for eviction ..."""
    queued_at: I64
    """... and the times, ms, to queue them under."""
    released: I32
    """Sessions that left ..."""
    released_at: I32
    """... and the event of the batch up to which facts about each are void."""
    emptied: I32
    """Items that lost their last session."""


class Index:
    """Changes and queries: `arrays` holds the memory, `view` reads it. Not thread-safe: one thread owns it."""

    def __init__(self, limits: Limits) -> None:
        self.arrays = IndexArrays(limits)
        self.view = IndexView(self.arrays)

    @property
    def state(self) -> State:
        """The arrays themselves, not copied; the next event may change or replace them."""
        return self.arrays.state

    # --- new ordinals

    def add_sessions(self, sessions: Sequence[int], hashes: Sequence[int], id_bytes: Sequence[int]) -> None:
        """Prepare *sessions* that have the given XXH3-64 hashes and id lengths in bytes.

        Raises OverflowError for more sessions than a posting can number.
        """
        if not sessions:
            return
        if max(sessions) >= field.DEAD:
            raise OverflowError(f"more than {field.DEAD} sessions at a time: set max_sessions or a shorter retention")
        self.arrays.reserve_sessions(max(sessions) + 1)
        records = self.state.session
        records["hash"][sessions] = np.array(hashes, np.uint64)
        records["id_bytes"][sessions] = id_bytes

    def add_items(
        self, items: Sequence[int], hashes: Sequence[int], id_bytes: Sequence[int], denied: Sequence[int]
    ) -> None:
        """Prepare *items* that have the given XXH3-64 hashes, id lengths in bytes and DENIED_* bits.

        They are not in the catalogue, unless `place_items` puts them there.
        """
        if not items:
            return
        self.arrays.reserve_items(max(items) + 1)
        records = self.state.item
        records["hash"][items] = np.array(hashes, np.uint64)
        records["id_bytes"][items] = id_bytes
        records["denied"][items] = denied
        records["row"][items] = 0

    def place_items(self, items: npt.NDArray[np.integer], rows: I32) -> None:
        """Set the rows of *items* in the catalogue."""
        self.state.item["row"][items] = rows

    def deny(self, items: npt.NDArray[np.integer], denied: U8) -> None:
        """Set the DENIED_* bits of *items*, which are retained; 0 allows an item.

        The order of popular items is updated from those that changed, as after an event. O(items).
        """
        item, counters = self.state.item, self.state.counters
        changed = items[item["denied"][items] != denied]
        item["denied"][items] = denied
        fresh = changed[item["dirty"][changed] == 0]
        item["dirty"][fresh] = 1
        begin = int(counters[field.N_DIRTY])
        self.state.dirty[begin : begin + fresh.size] = fresh
        counters[field.N_DIRTY] = begin + fresh.size  # planted bug: unavailable-stays-popular

    # --- events

    def apply(self, batch: EventArrays, begin: int) -> tuple[int, int]:
        """Apply *batch* from event *begin* on; see `entries.apply`."""
        return entries.apply(self.arrays.state, batch, begin)

    def apply_and_ask(
        self,
        stacked: Parameters,
        batch: EventArrays,
        begin: int,
        rows: I32,
        policy: Policy,
        answers: AnswerArrays,
    ) -> tuple[int, int]:
        """Apply *batch* from event *begin* on, and ask several models by *rows*; see `entries.apply_and_ask`."""
        whole = stacked.whole[0] if len(stacked.whole) == 1 else stacked.whole.max(axis=0)
        scratch = self.arrays.scratch(whole, n_listed(policy), self.arrays.workspace)
        return entries.apply_and_ask(self.arrays.state, scratch, stacked, batch, begin, rows, policy, answers)

    def ask_and_apply(
        self, stacked: Parameters, batch: EventArrays, begin: int, asks: U8, answers: AnswerArrays
    ) -> tuple[int, int]:
        """Ask with several models before each marked event, then apply it; see `entries.ask_and_apply`."""
        scratch = self.arrays.scratch(stacked.whole.max(axis=0), 0, self.arrays.workspace)
        return entries.ask_and_apply(self.arrays.state, scratch, stacked, batch, begin, asks, ANYTHING, answers)

    def provide(self, need: int, batch: EventArrays, reached: int) -> None:
        """Provide what a kernel returned as its *need*, so that it can go on at event *reached* of *batch*."""
        self.arrays.provide(need, int(batch.time[reached]))

    def drain_lists(self) -> KernelLists:
        """Empty the lists that kernels fill, and return them."""
        state, counters = self.state, self.state.counters
        n_queued, n_released = int(counters[field.N_QUEUED]), int(counters[field.N_RELEASED])
        lists = KernelLists(
            queued=state.queued["session"][:n_queued].copy(),
            queued_at=state.queued["time"][:n_queued].copy(),
            released=state.released["session"][:n_released].copy(),
            released_at=state.released["event"][:n_released].copy(),
            emptied=state.emptied[: counters[field.N_EMPTIED]].copy(),
        )
        counters[[field.N_QUEUED, field.N_RELEASED, field.N_EMPTIED]] = 0
        return lists

    def is_duplicate(self, id_key: U64) -> bool:
        """Return whether the event-id window holds the id with this key, [1, 2]."""
        return entries.is_duplicate(self.arrays.state, id_key)

    # --- the eviction front

    def advance_front(self) -> bool:
        """Bring the oldest session to the start of the front; return False if the front must be refilled first."""
        return entries.advance_front(self.arrays.state)

    def set_front(self, sessions: I32, times: I64, limit: int) -> None:
        """Replace the used-up front by *sessions*, sorted by (time, hash): all that are before *limit*."""
        self.arrays.set_front(sessions, times, limit)

    def set_next_queued(self, time: int) -> None:
        """Set the time before which no session outside the front is queued."""
        self.state.counters[field.NEXT_QUEUED] = time

    # --- what leaves

    def drop(self, session: int) -> None:
        """Remove *session* from everything but the event-id window."""
        entries.drop_session(self.arrays.state, session)

    def forget_ids_of(self, owners: Sequence[int]) -> None:
        """Remove the event ids of the sessions with the hashes *owners* from the window. O(window)."""
        self.arrays.rebuild_ids(without=np.array(owners, np.uint64))  # planted bug: forget-leaves-ids

    def free_items(self, items: Sequence[int]) -> None:
        """Free the posting blocks of *items*, which no session holds any more."""
        for item in items:
            entries.free_block(self.arrays.state, item)

    # --- queries

    def settle(self) -> None:
        """Order the popular items, which queries do otherwise: until the next event they write to no array of it.

        So they may run side by side, each in a workspace of its own.
        """
        entries.order_popular(self.arrays.state)

    def ask_session(
        self,
        p: Parameters,
        session: int,
        policy: Policy,
        answers: AnswerArrays,
        row: int,
        workspace: Workspace | None = None,
    ) -> None:
        """Answer for *session* into *row*."""
        scratch = self.arrays.scratch(p.whole, n_listed(policy), workspace or self.arrays.workspace)
        entries.ask_session(self.arrays.state, scratch, p, session, policy, answers, row)

    def ask_items(
        self,
        p: Parameters,
        items: I32,
        own: int,
        policy: Policy,
        answers: AnswerArrays,
        row: int,
        workspace: Workspace | None = None,
    ) -> None:
        """Answer a query of *items* (all of them, oldest first) into *row*; session *own* may not be a neighbour."""
        scratch = self.arrays.scratch(p.whole, n_listed(policy) + items.size, workspace or self.arrays.workspace)
        query = items[max(0, items.size - int(p.whole[field.LAST])) :]
        entries.ask(self.arrays.state, scratch, p, query, items, policy, own, answers, row)

    def ask_many(
        self,
        stacked: Parameters,
        queries: Queries,
        policy: Policy,
        answers: AnswerArrays,
        parallel_map: ParallelMap = map,
        parts: int = 1,
        workspace: Workspace | None = None,
    ) -> None:
        """Answer each query with several models, cut into *parts* that *parallel_map* may run side by side.

        No event may be applied meanwhile. See `entries.ask_many`.
        """
        arrays, state = self.arrays, self.arrays.state
        whole, n_queries = stacked.whole.max(axis=0), len(queries.own)
        n_extra = n_listed(policy) + int((queries.end - queries.begin).max(initial=0))
        bounds = [n_queries * part // parts for part in range(parts + 1)]
        scratch = arrays.scratch(whole, n_extra, workspace or arrays.workspace)

        def answer(part: int) -> None:
            own = scratch if parts == 1 else arrays.own_scratch(whole, n_extra)
            entries.ask_many(state, own, stacked, queries, policy, answers, bounds[part], bounds[part + 1])

        if parts > 1:
            entries.order_popular(state)
            entries.ask_many(state, scratch, stacked, queries, policy, answers, 0, 0)  # compile once, not in each part
        for _ in parallel_map(answer, range(parts)):
            pass


def n_listed(policy: Policy) -> int:
    """Return the largest number of items that the lists of one query name."""
    if policy.listed.size == 0:
        return 0
    terms = policy.terms
    return int((terms["exclude_end"] - terms["exclude_begin"] + terms["allow_end"] - terms["allow_begin"]).max())
