"""A catalogue at one moment. A change makes a new version, which shares the unchanged parts.

Within one line of versions items keep their rows, and new ids get new rows. So rows that were looked up in an older
version stay valid, and only later ones must be looked up. Any thread may read a version; one thread makes the next from
the last.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Final

import numpy as np
import numpy.typing as npt

from stream_rec.core.catalogue.columns import COMMON, Column
from stream_rec.core.catalogue.items import CatalogueItem
from stream_rec.core.catalogue.newest import Newest
from stream_rec.core.catalogue.search import Titles, folded
from stream_rec.errors import SettingsError

__all__ = ["Catalogue"]

_GONE: Final = 4096  # more rows of removed items than this, and than items: time to renumber the rows


class Catalogue:
    """Items by id and by row. Row 0 has no item: it stands for all that are not in the catalogue.

    Raises SettingsError for what is no CatalogueItem, naming its place.

    >>> from stream_rec import Catalogue, CatalogueItem, Engine
    >>> catalogue = Catalogue([CatalogueItem("tent", price=99.0), CatalogueItem("stove", available=False)])
    >>> len(catalogue), catalogue.get("tent").price
    (2, 99.0)
    >>> Engine().set_catalogue(catalogue)
    """

    def __init__(self, items: Iterable[CatalogueItem] = ()) -> None:
        given = items if isinstance(items, list | tuple) else list(items)
        if not set(map(type, given)) <= {CatalogueItem}:
            place, other = next((n, item) for n, item in enumerate(given) if type(item) is not CatalogueItem)
            message = (
                f"expected items, found a {type(other).__name__} at {place}: pass CatalogueItem(id, title=..., ...)"
            )
            raise SettingsError("catalogue", message)
        by_id = {item.id: item for item in given}
        self._items: list[CatalogueItem | None] = [None, *by_id.values()]
        self._rows = {name: row for row, name in enumerate(by_id, 1)}
        """Shared by all versions of this line; a row beyond the end of `_items` belongs to a later version."""
        self._others = {name for item in by_id.values() for name in item.others or ()}
        """Fields that items of this line have or had, besides those that any item may have."""
        self._columns: dict[str, Column] = {}
        self._titles: Titles | None = None
        self._newest: Newest | None = None
        self.line = object()
        """The same object in all versions in which items have the same rows."""
        self.n_items = len(by_id)
        self.n_unavailable = sum(not item.available for item in by_id.values())

    # --- items

    @property
    def n_rows(self) -> int:
        """The number of rows, row 0 and those of removed items included."""
        return len(self._items)

    def __len__(self) -> int:
        return self.n_items

    def __iter__(self) -> Iterator[CatalogueItem]:
        return (item for item in self._items if item is not None)

    def get(self, item_id: str) -> CatalogueItem | None:
        """Return an item, None if it is not in the catalogue."""
        return self._items[self.row(item_id)]

    def row(self, item_id: str) -> int:
        """Return the row of an item, which may have been removed; 0 if it was never in the catalogue."""
        row = self._rows.get(item_id, 0)
        return row if row < len(self._items) else 0

    def ids_from(self, row: int) -> list[tuple[int, str]]:
        """Return rows and ids of the items from *row* on."""
        return [(place, item.id) for place, item in enumerate(self._items[row:], row) if item is not None]

    def search(self, text: str, limit: int = 20) -> list[CatalogueItem]:
        """Return the *limit* items whose titles match *text* best; see `Titles.search`.

        The first search of a version reads all titles, some 1 us each; later ones take 1 ms for 100,000 of them.
        """
        titles = self._titles
        if titles is None:
            titled = [(row, item.title) for row, item in enumerate(self._items) if item is not None and item.title]
            titles = self._titles = Titles([row for row, _ in titled], [folded(title) for _, title in titled])
        found = (self._items[row] for row in titles.search(text, limit))
        return [item for item in found if item is not None]

    # --- versions

    def changed(self, changes: Mapping[str, CatalogueItem | None]) -> "Catalogue":
        """Return the version with *changes*: the new item of each id, None to remove it.

        O(rows) to copy them, some ns each, and O(changes).
        """
        n_gone = self.n_rows - 1 - self.n_items
        if n_gone > _GONE and n_gone > self.n_items:
            items = {item.id: item for item in self}
            for name, item in changes.items():
                items.pop(name, None) if item is None else items.update({name: item})
            return self._renumbered(items.values())
        after = Catalogue()
        after._descend(self, changes)  # of the same class
        return after

    def _descend(self, before: "Catalogue", changes: Mapping[str, CatalogueItem | None]) -> None:
        """Become the version after *before*, with *changes*."""
        self._items, self._rows, self.line = before._items.copy(), before._rows, before.line  # noqa: SLF001
        self._others = before._others  # noqa: SLF001
        self.n_items, self.n_unavailable = before.n_items, before.n_unavailable
        rows: dict[int, CatalogueItem | None] = {}
        relisted: dict[int, CatalogueItem | None] = {}
        for name, item in changes.items():
            row = self._row_for(name, item)
            if row:
                self._others.update(() if item is None else item.others or ())
                rows[row] = item
                was = self._items[row]
                if _listed_at(was) != _listed_at(item):
                    relisted[row] = item
                self._items[row] = item
                self.n_items += (item is not None) - (was is not None)
                self.n_unavailable += _is_unavailable(item) - _is_unavailable(was)
        for field, column in list(before._columns.items()):  # noqa: SLF001
            patched = column.changed(field, rows, self.n_rows)
            self._columns[field] = patched or Column.of(field, self._items, self.n_rows)
        if before._newest is not None:  # noqa: SLF001
            self._newest = before._newest.changed(relisted)  # noqa: SLF001  # planted bug: newest-of-before

    def replaced(self, items: Iterable[CatalogueItem]) -> "Catalogue":
        """Return the version with *items* and no others; this version itself if nothing differs."""
        new = {item.id: item for item in items}
        changes: dict[str, CatalogueItem | None] = {}
        for name, item in new.items():
            before = self.get(name)
            if item is not before and item != before:
                changes[name] = item
        changes.update((item.id, None) for item in self if item.id not in new)
        return self.changed(changes) if changes else self

    def _row_for(self, name: str, item: CatalogueItem | None) -> int:
        """Return the row that *name* has or gets; 0 for a removal of an unknown name."""
        row = self._rows.get(name, 0)
        if row >= len(self._items):  # of a later version of this line: two versions were made from this one
            raise AssertionError("the next version is made from the last one")
        if not row and item is not None:
            row = len(self._items)
            self._items.append(None)
            self._rows[name] = row  # only after the item has its place: other threads look it up meanwhile
        return row

    def _renumbered(self, items: Iterable[CatalogueItem]) -> "Catalogue":
        """Return a version of another line with *items*, and with the columns that this version has."""
        after = Catalogue(items)
        for field in list(self._columns):
            after.column(field)
        return after

    # --- columns

    def column(self, field: str) -> Column:
        """Return a field of all rows; built when first asked for, O(rows).

        The column of an unknown field is not cached: names in requests could fill the memory.
        """
        column = self._columns.get(field)
        if column is None and not (field in COMMON or field in self._others):
            return Column(np.zeros(self.n_rows, np.int32), [None], {})
        if column is None:
            column = self._columns[field] = Column.of(field, self._items, self.n_rows)
        return column

    @property
    def newest(self) -> Newest:
        """The items that say when they were listed, newest first.

        Put in order when first asked for, O(rows log rows); later versions of this line go on from that order.
        """
        if self._newest is None:
            self._newest = Newest.of(enumerate(self._items))
        return self._newest

    def item_at(self, row: int) -> CatalogueItem | None:
        """Return the item in *row*; None if it has been removed, and for row 0."""
        return self._items[row]

    @property
    def available(self) -> npt.NDArray[np.bool_]:
        """[rows] whether the item is available; items outside the catalogue are."""
        off = self.column("available").where(lambda value: value is False)
        return ~off


def _is_unavailable(item: CatalogueItem | None) -> bool:
    return item is not None and not item.available


def _listed_at(item: CatalogueItem | None) -> int | None:
    return None if item is None else item.listed_at
