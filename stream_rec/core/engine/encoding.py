"""Events as the kernels take them: columns of numbers. Registers new names with the index.

Knows nothing of what becomes of the events.
"""

from collections.abc import Iterable, Sequence
from operator import attrgetter
from typing import Final, NamedTuple

import numpy as np
from xxhash import xxh3_64_intdigest

from stream_rec.core.engine.columns import EventColumns
from stream_rec.core.engine.item_rules import ItemRules
from stream_rec.core.engine.models import Models
from stream_rec.core.engine.state import COMMON_TYPES, MOST_TYPES, EngineState
from stream_rec.core.events import Event
from stream_rec.core.ids import IdTable
from stream_rec.core.index import EventArrays, field

__all__ = ["EncodedBatch", "IdEncoder"]

_SESSION_OF: Final = attrgetter("session_id")
_ITEM_OF: Final = attrgetter("item_id")
_TYPE_OF: Final = attrgetter("type")


class EncodedBatch(NamedTuple):
    """A batch in ordinals, and the ordinals that are new with it."""

    arrays: EventArrays
    new_sessions: list[int]
    new_items: list[int]


class IdEncoder:
    """Maps the names in events to ordinals. Has *models* compiled again when a new event type comes.

    There is always room for the common types and for those that *models* weigh: a sender with very many types cannot
    keep them out.
    """

    def __init__(self, state: EngineState, models: Models, item_rules: ItemRules) -> None:
        self._state = state
        self._models = models
        self._item_rules = item_rules
        self._kept_room = COMMON_TYPES | models.weighed_types

    @property
    def is_full(self) -> bool:
        """Whether there is no room for a further type, unless room is kept for it."""
        types = self._state.types
        return len(types) + sum(name not in types for name in self._kept_room) >= MOST_TYPES

    def has_room_for(self, events: Sequence[Event]) -> bool:
        """Whether there is room for further types, whichever types *events* have."""
        types = self._state.types
        n_types = len(types) + len(self._kept_room)
        if n_types + len(events) < MOST_TYPES:
            return True
        return n_types + sum(name not in types for name in set(map(_TYPE_OF, events))) < MOST_TYPES

    def batch(self, events: Sequence[Event], columns: EventColumns) -> EncodedBatch:
        """Return *events* with ordinals in place of ids; *columns* are theirs.

        Raises for an id that cannot be stored (no decoder lets one through) before anything is applied.
        """
        state = self._state
        types, unknown = self._encode_types(list(map(_TYPE_OF, events)))
        outcome = np.zeros(len(events), np.uint8)
        outcome[unknown] = field.UNKNOWN_TYPE
        sessions, new_sessions = state.sessions.ids.intern(list(map(_SESSION_OF, events)))
        items, new_items = state.items.intern(list(map(_ITEM_OF, events)))
        try:
            self._register(new_sessions, new_items)
        except Exception:
            state.sessions.ids.release(new_sessions)
            state.items.release(new_items)
            raise
        arrays = EventArrays(
            session=np.array(sessions, np.int32),
            item=np.array(items, np.int32),
            time=columns.time,
            reach=columns.reach,
            type=np.array(types, np.uint8),
            id_key=columns.id_key,
            outcome=outcome,
            novel=np.zeros(len(events), np.uint8),
        )
        return EncodedBatch(arrays, new_sessions, new_items)

    def items(self, names: Sequence[str]) -> tuple[list[int], list[int]]:
        """Return the ordinals of items, and those that are new: to be released if no event needs them."""
        items, new = self._state.items.intern(names)
        if new:
            self._register([], new)
        return items, new

    def _register(self, new_sessions: list[int], new_items: list[int]) -> None:
        """Register new ordinals with the index: hashes and lengths of their names, and whether items are denied."""
        state, rules = self._state, self._item_rules.rules
        sessions, items = _encoded(state.sessions.ids, new_sessions), _encoded(state.items, new_items)
        names = [state.items.names[item] for item in new_items]
        denied = list(map(rules.by_list, names))  # type: ignore[arg-type]  # ordinals in use
        state.index.add_sessions(new_sessions, list(map(xxh3_64_intdigest, sessions)), list(map(len, sessions)))
        state.index.add_items(new_items, list(map(xxh3_64_intdigest, items)), list(map(len, items)), denied)
        if new_items and rules.catalogue is not None:
            self._item_rules.place(np.array(new_items, np.int64))

    def _encode_types(self, types: list[str]) -> tuple[list[int], list[int]]:
        """Return the ordinal of each type, and the places of types that no ordinal is left for."""
        table = self._state.types
        if types and types[0] in table and types.count(types[0]) == len(types):  # mostly there are only views
            return [table.find(types[0]) or 0] * len(types), []
        new = [name for name in dict.fromkeys(types) if name not in table]
        too_many = self._intern_types(new) if new else frozenset()
        if not too_many:
            return table.intern(types)[0], []
        unknown = [place for place, name in enumerate(types) if name in too_many]
        return [table.find(name) or 0 for name in types], unknown

    def _intern_types(self, new: Iterable[str]) -> frozenset[str]:
        """Give ordinals to the *new* types in their order, and return those that there is no room for."""
        table = self._state.types
        n_kept = sum(name not in table for name in self._kept_room)
        too_many = set()
        for name in new:
            is_kept = name in self._kept_room
            if len(table) + (0 if is_kept else n_kept) < MOST_TYPES:
                table.intern([name])
                n_kept -= is_kept
            else:
                too_many.add(name)
        self._models.forget_compiled()
        return frozenset(too_many)


def _encoded(table: IdTable, ordinals: list[int]) -> list[bytes]:
    names: Iterable[str] = map(table.names.__getitem__, ordinals)  # type: ignore[arg-type]  # ordinals in use
    return list(map(str.encode, names))
