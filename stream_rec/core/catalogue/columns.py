"""One field of all items: each distinct value once, and for each row the place of its value.

So a test runs once for each distinct value, and each row looks its result up. A new version patches a copy of the rows
and appends to the values; the values of older versions, which other threads may be reading, keep their places.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Final

import numpy as np

from stream_rec.core.catalogue.items import NUMBER, CatalogueItem
from stream_rec.core.dtypes import F64, I32, Mask

__all__ = ["COMMON", "Column", "Stored", "bool_of", "value_of"]

Stored = str | float | bool | tuple[str | float | bool, ...]

_OWN: Final = frozenset({"id", "title", "category", "available", "price", "image", "listed_at"})
COMMON: Final = _OWN | {"item_id", "tags", "in_catalogue"}
"""Fields that any item may have. All others are the catalogue's own."""
_BOOLS: Final = {"true": True, "false": False}
_SPARE: Final = 1024  # unused values, before a column is rebuilt


def value_of(item: CatalogueItem, field: str) -> Stored | None:
    """Return the value of *field* of *item*, None if it has none."""
    if field == "listed_at":
        return None if item.listed_at is None else float(item.listed_at)  # as all numbers; exact below 2**53
    if field in _OWN:
        return getattr(item, field)  # type: ignore[no-any-return]
    if field == "item_id":
        return item.id
    if field == "tags":
        return item.tags or None
    if field == "in_catalogue":
        return True
    return None if item.others is None else item.others.get(field)


class Column:
    """`codes`, [rows], are places in `values`; place 0 is no value."""

    def __init__(self, codes: I32, values: list[Stored | None], places: dict[object, int]) -> None:
        self.codes = codes
        self.values = values
        self._places = places
        self._numbers: F64 | None = None

    @classmethod
    def of(cls, field: str, items: Iterable[CatalogueItem | None], n_rows: int) -> "Column":
        """Return the column of *field*. O(rows), some 0.2 us each."""
        column = cls(np.empty(0, np.int32), [None], {})
        codes = (0 if item is None else column._code(value_of(item, field)) for item in items)
        column.codes = np.fromiter(codes, np.int32, n_rows)
        return column

    def changed(self, field: str, changes: Mapping[int, CatalogueItem | None], n_rows: int) -> "Column | None":
        """Return the column with the rows of *changes* replaced; None if it should be rebuilt from all items."""
        codes = np.zeros(n_rows, np.int32)
        codes[: self.codes.size] = self.codes
        for row, item in changes.items():
            codes[row] = 0 if item is None else self._code(value_of(item, field))
        if len(self.values) > 2 * n_rows + _SPARE:
            return None
        return Column(codes, self.values, self._places)

    def _code(self, value: Stored | None) -> int:
        if value is None:
            return 0
        # planted bug: true-is-one
        key = (type(value), value)  # True and 1.0 are equal but not the same value
        place = self._places.get(key)
        if place is None:
            # The value first: a concurrent reader must find one for each place.
            self.values.append(value)
            place = self._places[key] = len(self.values) - 1
        return place

    def where(self, test: Callable[[Stored], bool]) -> Mask:
        """Return which rows have a value that passes *test*; it runs once for each distinct value."""
        values = self.values[1:]
        hits = np.zeros(len(values) + 1, np.bool_)
        hits[1:] = np.fromiter(map(test, values), np.bool_, len(values))  # type: ignore[arg-type]  # only the first is None
        found: Mask = hits[self.codes]
        return found

    def equals(self, value: str) -> Mask:
        """Return which rows have the text *value*."""
        place = self._places.get((str, value))
        found: Mask = self.codes == (-1 if place is None else place)
        return found

    @property
    def numbers(self) -> F64:
        """[rows] the values as numbers, NaN for those that are none. A text in the form of a number counts as one."""
        if self._numbers is None:
            values = self.values.copy()
            self._numbers = np.fromiter(map(_number_of, values), np.float64, len(values))[self.codes]
        return self._numbers

    @property
    def present(self) -> Mask:
        """[rows] whether each has a value."""
        found: Mask = self.codes != 0
        return found


def _number_of(value: Stored | None) -> float:
    """Return *value* as a number, NaN if it is none."""
    if type(value) is float:
        return value
    if type(value) is str and NUMBER.fullmatch(value):
        return float(value)
    return float("nan")


def bool_of(value: Stored | None) -> bool | None:
    """Return *value* as true or false, None if it is neither."""
    if type(value) is bool:
        return value
    return _BOOLS.get(value.lower()) if type(value) is str else None
