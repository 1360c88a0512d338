"""Events as the kernels take them: columns of numbers, with what is new among the names told to the index.

Knows nothing of what becomes of them.
"""

from collections.abc import Iterable, Sequence
from operator import attrgetter
from typing import Final

import numpy as np
from xxhash import xxh3_64_intdigest

from stream_rec.core.engine.columns import id_keys, times_of
from stream_rec.core.engine.item_rules import ItemRules
from stream_rec.core.engine.models import Models
from stream_rec.core.engine.state import MOST_TYPES, EngineState
from stream_rec.core.events import Event
from stream_rec.core.ids import IdTable
from stream_rec.core.index import EventArrays, field

__all__ = ["IdEncoder"]

SESSION_OF: Final = attrgetter("session_id")
ITEM_OF: Final = attrgetter("item_id")
TYPE_OF: Final = attrgetter("type")
EVENT_ID_OF: Final = attrgetter("event_id")


class IdEncoder:
    """Gives numbers to the names in events. *models* are compiled anew when there is a new type among them."""

    def __init__(self, held: EngineState, models: Models, ruling: ItemRules) -> None:
        self._held = held
        self._models = models
        self._ruling = ruling

    def batch(self, events: Sequence[Event]) -> tuple[EventArrays, list[int], list[int]]:
        """Turn ids into numbers; return the batch, the new session slots and the new items.

        An event that no decoder let through (a time or an id that cannot be stored) raises before anything is applied.
        """
        held = self._held
        times = times_of(events)
        id_key = id_keys(list(map(EVENT_ID_OF, events)))
        types, unknown = self._type_numbers(list(map(TYPE_OF, events)))
        outcome = np.zeros(len(events), np.uint8)
        outcome[unknown] = field.UNKNOWN_TYPE
        slots, new_slots = held.sessions.ids.intern(list(map(SESSION_OF, events)))
        items, new_items = held.items.intern(list(map(ITEM_OF, events)))
        try:
            self._introduce(new_slots, new_items)
        except Exception:
            held.sessions.ids.release(new_slots)
            held.items.release(new_items)
            raise
        batch = EventArrays(
            slot=np.array(slots, np.int32),
            item=np.array(items, np.int32),
            time=times,
            type=np.array(types, np.uint8),
            id_key=id_key,
            outcome=outcome,
            novel=np.zeros(len(events), np.uint8),
        )
        return batch, new_slots, new_items

    def _introduce(self, new_slots: list[int], new_items: list[int]) -> None:
        """Tell the index of new numbers, with what it needs to know of the names behind them."""
        held, rulebook = self._held, self._ruling.rulebook
        sessions, items = _encoded(held.sessions.ids, new_slots), _encoded(held.items, new_items)
        names = [held.items.names[item] for item in new_items]
        denied = list(map(rulebook.by_list, names))  # type: ignore[arg-type]  # numbers in use
        held.index.add_sessions(new_slots, list(map(xxh3_64_intdigest, sessions)), list(map(len, sessions)))
        held.index.add_items(new_items, list(map(xxh3_64_intdigest, items)), list(map(len, items)), denied)
        if new_items and rulebook.catalogue is not None:
            self._ruling.place(np.array(new_items, np.int64))

    def _type_numbers(self, types: list[str]) -> tuple[list[int], list[int]]:
        """Return each type's number, and the places of types that there is no number left for."""
        table = self._held.types
        if types and types[0] in table and types.count(types[0]) == len(types):  # mostly there are only views
            return [table.find(types[0]) or 0] * len(types), []
        room = MOST_TYPES - len(table)
        new = [name for name in dict.fromkeys(types) if name not in table]
        if new:
            table.intern(new[:room])
            self._models.forget_compiled()
        refused = frozenset(new[room:])
        if not refused:
            return table.intern(types)[0], []
        unknown = [place for place, name in enumerate(types) if name in refused]
        return [table.find(name) or 0 for name in types], unknown


def _encoded(table: IdTable, numbers: list[int]) -> list[bytes]:
    names: Iterable[str] = map(table.names.__getitem__, numbers)  # type: ignore[arg-type]  # numbers in use
    return list(map(str.encode, names))
