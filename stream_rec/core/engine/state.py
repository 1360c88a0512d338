"""The index and the tables of the names that its numbers stand for, kept in step.

Knows nothing of models, of rules, nor of what is answered: a log leaves the same here under any.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Final, NamedTuple

from xxhash import xxh3_64_intdigest

from stream_rec.core.engine_state import EngineSnapshot
from stream_rec.core.ids import IdTable
from stream_rec.core.index import EventArrays, Index, field, retained
from stream_rec.core.limits import Limits
from stream_rec.core.session_store import SessionStore
from stream_rec.errors import SnapshotError

__all__ = ["MOST_TYPES", "EngineSnapshot", "Notes"]

MOST_TYPES: Final = 250  # event types are a closed set in practice; the numbers above are the kernel's
NO_ENGINES: Final = "no engine leaves such a state"


class Notes(NamedTuple):
    """What a batch left behind, in the order it happened."""

    released: list[int]
    released_at: list[int]
    emptied: list[int]


class EngineState:
    """What the rooms of an engine share. `load` puts others in the place of its parts, so nobody else keeps one."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self.index = Index(limits)
        self.sessions = SessionStore(limits.retention_ms)
        self.items = IdTable()
        self.types = IdTable()

    # --- the kernel's needs

    def run(self, batch: EventArrays, step: Callable[[int], tuple[int, int]]) -> Notes:
        """Run a kernel through the batch, giving it the room it asks for on the way."""
        notes = Notes([], [], [])
        reached, need = 0, field.DONE
        while True:
            reached, need = step(reached)
            for kept, new in zip(notes, self.take_notes(), strict=True):
                kept.extend(new)
            if need == field.DONE:
                return notes
            if need == field.MORE_FRONT:
                self.refill_front()
            else:
                self.index.make_room(need, batch, reached)

    def take_notes(self) -> Notes:
        """Read the kernel's lists: file its new sessions in the time order, and return the rest."""
        slots, times, released, released_at, emptied = self.index.take_lists()
        self.sessions.order.file(slots, times)
        return Notes(released.tolist(), released_at.tolist(), emptied.tolist())

    def refill_front(self) -> None:
        """Let the front of the time order hold the oldest session."""
        while not self.index.settle():
            self.take_notes()
            if self.index.front_size == 0:
                slots, times, limit = self.sessions.order.take_oldest(self.index.state.session["hash"])
                self.index.set_front(slots, times, limit)
            self.index.set_next_filed(self.sessions.order.next_time)

    # --- what leaves

    def release(self, slots: Iterable[int], items: Iterable[int]) -> None:
        """Give back the numbers of those sessions and items that are gone now that the batch is done."""
        self.sessions.release(self.index.without_session(slots))
        empty = self.index.without_holder(items)
        self.index.free_items(empty)
        self.items.release(empty)

    def erase(self, slots: Iterable[int], owners: Sequence[int]) -> None:
        """Erase the sessions *slots*, and the event ids of those whose ids hash to *owners*. O(event-id window)."""
        emptied: list[int] = []
        for each in sorted(slots):
            self.index.drop(each)
            emptied += self.take_notes().emptied
        if owners:
            self.index.forget_ids_of(owners)
        self.release(slots, emptied)

    # --- all of it at once

    def load(self, state: EngineSnapshot, by_list: Callable[[str], int]) -> None:
        """Take the place of all that was held with *state*; *by_list* tells why an item is denied by the lists.

        Raises SnapshotError for a state that no engine leaves; nothing is changed then. O(n log n).
        """
        session_ids, self.items, self.types = _tables_of(state)
        self.index = Index(self._limits)
        self.sessions = SessionStore(self._limits.retention_ms, session_ids)
        names = map(self.items.names.__getitem__, state.retained.items.tolist())
        denied = list(map(by_list, names))  # type: ignore[arg-type]  # items that are held
        retained.load(self.index, state.retained, denied)
        self.sessions.order.file(state.retained.slot, state.retained.last)
        self.index.set_next_filed(self.sessions.order.next_time)
        self.sessions.import_users(state.users)

    def _check(self) -> None:
        """Assert the invariants of all parts, and that they agree. O(everything)."""
        self.sessions._check()  # noqa: SLF001  # the whole checks its parts
        self.items._check()  # noqa: SLF001
        self.index._check()  # noqa: SLF001
        for table, records in ((self.sessions.ids, self.index.state.session), (self.items, self.index.state.item)):
            for name, number in table.live().items():
                encoded = name.encode()
                assert (xxh3_64_intdigest(encoded), len(encoded)) == (
                    records["hash"][number],
                    records["id_bytes"][number],
                )
        assert sorted(self.sessions.ids.live().values()) == self.index.live_slots().tolist()
        assert sorted(self.items.live().values()) == self.index.live_items().tolist()
        filed = len(self.sessions.order) + self.index.front_size
        assert filed >= len(self.sessions.ids), "every session stands in the time order"


def _tables_of(state: EngineSnapshot) -> tuple[IdTable, IdTable, IdTable]:
    """Return the tables of sessions, items and types, unless *state* is not one to go on from."""
    fault = state.fault(MOST_TYPES)
    if fault is not None:
        raise SnapshotError(f"{NO_ENGINES}: {fault}; take an older snapshot, or replay the log")
    try:
        return IdTable.of(state.session_names), IdTable.of(state.item_names), IdTable.of(state.type_names)
    except ValueError as error:
        raise SnapshotError(f"{NO_ENGINES}: {error}; take an older snapshot, or replay the log") from error
