"""The items of a catalogue by when they were listed, kept in order from one version to the next."""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

import numpy as np
from xxhash import xxh3_64_intdigest

from stream_rec.core.catalogue.items import CatalogueItem
from stream_rec.core.dtypes import F64, I32, U64

__all__ = ["Newest"]


class Newest(NamedTuple):
    """The rows of the items that say when they were listed, newest first; of equals the larger hash of the id."""

    rows: I32
    """[n]"""
    times: F64
    """[n] ms since 1970."""
    keys: U64
    """[n] the XXH3-64 of each id."""

    @classmethod
    def of(cls, items: Iterable[tuple[int, CatalogueItem | None]]) -> "Newest":
        """Return the order of *items*, which come with their rows. O(n log n)."""
        listed = [(row, item) for row, item in items if item is not None and item.listed_at is not None]
        rows = np.fromiter((row for row, _ in listed), np.int32, len(listed))
        times = np.fromiter((float(item.listed_at or 0) for _, item in listed), np.float64, len(listed))
        keys = np.fromiter((xxh3_64_intdigest(item.id.encode()) for _, item in listed), np.uint64, len(listed))
        order = np.lexsort((keys, times))[::-1]
        return cls(rows[order], times[order], keys[order])

    def changed(self, changes: Mapping[int, CatalogueItem | None]) -> "Newest":
        """Return the order after *changes*, by row: O(n) to copy it, some ns each, and O(changes log n)."""
        if not changes:
            return self
        kept = ~np.isin(self.rows, np.fromiter(changes, np.int32, len(changes)))
        rows, times, keys = (column[kept] for column in self)
        new = Newest.of(changes.items())
        back = -times
        first, end = np.searchsorted(back, -new.times, "left"), np.searchsorted(back, -new.times, "right")
        among = zip(first.tolist(), end.tolist(), new.keys, strict=True)
        places = np.array([begin + np.count_nonzero(keys[begin:to] > key) for begin, to, key in among], np.intp)
        return Newest(
            np.insert(rows, places, new.rows),
            np.insert(times, places, new.times),
            np.insert(keys, places, new.keys),
        )
