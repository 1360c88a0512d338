"""Which items are allowed: passes what the rules and the catalogue say of an item on to the index.

Knows nothing of queries; their own rules are compiled by `CompiledRules`.
"""

import numpy as np
import numpy.typing as npt

from stream_rec.core.catalogue import Catalogue
from stream_rec.core.engine.state import EngineState
from stream_rec.core.index import field
from stream_rec.core.model import CompiledRules

__all__ = ["ItemRules"]


class ItemRules:
    """The *rules* in force over the items in *state*."""

    def __init__(self, state: EngineState, rules: CompiledRules) -> None:
        self.rules = rules
        self._state = state

    def set_catalogue(self, catalogue: Catalogue) -> None:
        """Look items up in *catalogue* from now on. O(items)."""
        first_new = self.rules.set_catalogue(catalogue)
        if first_new == 0:
            self.place(self._state.index.view.live_items())
            return
        find = self._state.items.find
        new = [item for _, name in catalogue.ids_from(first_new) if (item := find(name)) is not None]
        self.place(np.array(new, np.int64))
        self._refresh_denials()

    def place(self, items: npt.NDArray[np.integer]) -> None:
        """Set in the index the catalogue rows of *items*, and whether they are denied."""
        index = self._state.index
        names = [self._state.items.names[item] for item in items.tolist()]
        rows, denied = self.rules.rows(names, items)  # type: ignore[arg-type]  # ordinals in use
        index.place_items(items, rows)
        by_list = index.state.item["denied"][items] & np.uint8(field.DENIED_BY_LIST)
        index.deny(items, denied | by_list)

    def place_all(self) -> None:
        """Place all items, after their ordinals have changed."""
        if self.rules.catalogue is not None:
            self.rules.forget_ordinals()  # planted bug: load-without-catalogue (2 lines)
            self.place(self._state.index.view.live_items())

    def _refresh_denials(self) -> None:
        """Set in the index again which items the catalogue denies."""
        index = self._state.index
        items, item = index.view.live_items(), index.state.item
        by_list = item["denied"][items] & np.uint8(field.DENIED_BY_LIST)
        index.deny(items, by_list | self.rules.by_catalogue(item["row"][items]))
