"""The index and the tables of the names behind its ordinals, kept consistent.

Knows nothing of models, rules or answers: a log leaves the same state under any of them.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Final, NamedTuple

import numpy as np
from xxhash import xxh3_64_intdigest

from stream_rec.core.engine_state import EngineSnapshot
from stream_rec.core.ids import IdTable
from stream_rec.core.index import EventArrays, Index, field, invariants, retained
from stream_rec.core.limits import HOUR_MS, Limits
from stream_rec.core.session_store import SessionStore
from stream_rec.errors import SnapshotError

__all__ = ["COMMON_TYPES", "MOST_TYPES", "TYPES_STEP_MS", "BatchEffects", "EngineState"]

MOST_TYPES: Final = 250  # event types are a closed set in practice; the kernels keep the codes above for themselves
TYPES_STEP_MS: Final = 6 * HOUR_MS
"""Where types are scarce, those that are not used any more are given back once in this much event time."""

COMMON_TYPES: Final = frozenset({"view", "click", "cart", "purchase"})
_IMPOSSIBLE: Final = "no engine leaves such a state"


class BatchEffects(NamedTuple):
    """What left the index during a batch, in that order; an entry may occur more than once."""

    released: list[int]
    """Sessions that were evicted or started again ..."""
    released_at: list[int]
    """... and the event up to which facts about each are void."""
    emptied: list[int]
    """Items that lost their last session."""


class EngineState:
    """The state that the modules of an engine share. `load` replaces its parts, so keep no reference to them."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.index = Index(limits)
        self.sessions = SessionStore(limits.retention_ms)
        self.items = IdTable()
        self.types = IdTable()
        self.erasures = 0
        """How often something was erased, or all was replaced: what was found before does not hold any more."""

    # --- running kernels

    def run(self, batch: EventArrays, step: Callable[[int], tuple[int, int]]) -> BatchEffects:
        """Call *step*, a kernel over *batch* from an event on, until it is done; provide what it needs in between."""
        effects = BatchEffects([], [], [])
        reached, need = 0, field.DONE
        while True:
            reached, need = step(reached)
            for all_so_far, new in zip(effects, self.drain_lists(), strict=True):
                all_so_far.extend(new)
            if need == field.DONE:
                return effects
            if need == field.MORE_FRONT:
                self.refill_front()
            else:
                self.index.provide(need, batch, reached)

    def drain_lists(self) -> BatchEffects:
        """Drain the kernels' lists: queue new sessions for eviction, and return the rest."""
        lists = self.index.drain_lists()
        self.sessions.eviction_queue.add(lists.queued, lists.queued_at)
        return BatchEffects(lists.released.tolist(), lists.released_at.tolist(), lists.emptied.tolist())

    def refill_front(self) -> None:
        """Bring the oldest session to the start of the eviction front."""
        index, queue = self.index, self.sessions.eviction_queue
        while not index.advance_front():
            self.drain_lists()
            if index.view.front_size == 0:
                index.set_front(*queue.take_oldest(index.state.session["hash"]))
            index.set_next_queued(queue.next_time)

    # --- what leaves

    def release(self, sessions: Iterable[int], items: Iterable[int]) -> None:
        """Free the ordinals of those *sessions* and *items* that are gone now that the batch is done."""
        self.sessions.release(self.index.view.empty_sessions(sessions))
        empty = self.index.view.empty_items(items)
        self.index.free_items(empty)
        self.items.release(empty)

    def erase(self, sessions: Iterable[int], owners: Sequence[int]) -> None:
        """Erase *sessions*, and the event ids of sessions whose ids hash to *owners*. O(event-id window)."""
        emptied: list[int] = []
        self.erasures += 1  # planted bug: trends-of-the-forgotten
        for each in sorted(sessions):  # planted bug: forget-one-session (2 lines)
            self.index.drop(each)
            emptied += self.drain_lists().emptied
        if owners:
            self.index.forget_ids_of(owners)
        self.release(sessions, emptied)

    def release_types(self) -> bool:
        """Free the ordinals of types that no retained event has; return whether there were any. O(events)."""
        used = frozenset(np.unique(retained.export(self.index).type).tolist())
        unused = [ordinal for ordinal in self.types.live().values() if ordinal not in used]
        self.types.release(unused)
        return bool(unused)

    # --- all of it at once

    def load(self, snapshot: EngineSnapshot, by_list: Callable[[str], int]) -> None:
        """Replace the whole state by *snapshot*; *by_list* returns the DENIED_* bits that the lists give an item.

        Raises SnapshotError for a state that no engine leaves, and then changes nothing. O(n log n).
        """
        session_ids, self.items, self.types = _tables_of(snapshot)
        self.erasures += 1
        self.index = Index(self.limits)
        self.sessions = SessionStore(self.limits.retention_ms, session_ids)
        names = map(self.items.names.__getitem__, snapshot.retained.items.tolist())
        denied = list(map(by_list, names))  # type: ignore[arg-type]  # ordinals in use
        retained.load(self.index, snapshot.retained, denied)
        self.sessions.eviction_queue.add(snapshot.retained.sessions, snapshot.retained.last)
        self.index.set_next_queued(self.sessions.eviction_queue.next_time)
        self.sessions.import_users(snapshot.users)

    def _check(self) -> None:
        """Assert the invariants of all parts, and that they agree. O(everything)."""
        self.sessions._check()  # noqa: SLF001  # the whole checks its parts
        self.items._check()  # noqa: SLF001
        invariants.check(self.index)
        for table, records in ((self.sessions.ids, self.index.state.session), (self.items, self.index.state.item)):
            for name, ordinal in table.live().items():
                encoded = name.encode()
                assert (xxh3_64_intdigest(encoded), len(encoded)) == (
                    records["hash"][ordinal],
                    records["id_bytes"][ordinal],
                )
        view = self.index.view
        assert sorted(self.sessions.ids.live().values()) == view.live_sessions().tolist()
        assert sorted(self.items.live().values()) == view.live_items().tolist()
        n_queued = len(self.sessions.eviction_queue) + view.front_size
        assert n_queued >= len(self.sessions.ids), "every session is queued for eviction"


def _tables_of(snapshot: EngineSnapshot) -> tuple[IdTable, IdTable, IdTable]:
    """Return the tables of sessions, items and types. Raises SnapshotError if no engine leaves such a *snapshot*."""
    fault = snapshot.fault(MOST_TYPES)
    if fault is not None:
        raise SnapshotError(f"{_IMPOSSIBLE}: {fault}; take an older snapshot, or replay the log")
    try:
        return IdTable.of(snapshot.session_names), IdTable.of(snapshot.item_names), IdTable.of(snapshot.type_names)
    except ValueError as error:
        raise SnapshotError(f"{_IMPOSSIBLE}: {error}; take an older snapshot, or replay the log") from error
