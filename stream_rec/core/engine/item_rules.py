"""Which items may come: what the rules and the catalogue say of a name, told to the index by its number.

Knows nothing of questions; what they ask for beyond that is the rulebook's.
"""

import numpy as np
import numpy.typing as npt

from stream_rec.core.catalogue import Catalogue
from stream_rec.core.engine.state import EngineState
from stream_rec.core.index import field
from stream_rec.core.model import CompiledRules

__all__ = ["ItemRules"]


class ItemRules:
    """The *rulebook* in force over the items *held*."""

    def __init__(self, held: EngineState, rulebook: CompiledRules) -> None:
        self.rulebook = rulebook
        self._held = held

    def take(self, catalogue: Catalogue) -> None:
        """Look items up in *catalogue* from now on. O(items)."""
        first_new = self.rulebook.take(catalogue)
        if first_new == 0:
            self.place(self._held.index.live_items())
            return
        find = self._held.items.find
        new = [number for _, name in catalogue.ids_from(first_new) if (number := find(name)) is not None]
        self.place(np.array(new, np.int64))
        self._refresh_denials()

    def place(self, items: npt.NDArray[np.int64]) -> None:
        """Tell the index where in the catalogue *items* are, and whether they may come."""
        index = self._held.index
        names = [self._held.items.names[item] for item in items.tolist()]
        rows, denied = self.rulebook.rows(names, items)  # type: ignore[arg-type]  # numbers in use
        index.place_items(items, rows)
        by_list = index.state.item["denied"][items] & np.uint8(field.DENIED_BY_LIST)
        index.deny(items, denied | by_list)

    def place_anew(self) -> None:
        """Place all items, whose numbers are others than before."""
        if self.rulebook.catalogue is not None:
            self.rulebook.forget_numbers()
            self.place(self._held.index.live_items())

    def _refresh_denials(self) -> None:
        """Tell the index anew which items may come, by the catalogue."""
        index = self._held.index
        items, item = index.live_items(), index.state.item
        by_list = item["denied"][items] & np.uint8(field.DENIED_BY_LIST)
        index.deny(items, by_list | self.rulebook.by_catalogue(item["row"][items]))
