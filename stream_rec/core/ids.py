"""Names (ids from outside) <-> dense ordinals (array indices).

The ordinals of released names are used again, so arrays indexed by them stay as short as the number of live names
allows. No answer depends on which ordinal a name has.
"""

from collections.abc import Iterable, Sequence

__all__ = ["IdTable"]


class _Ordinals(dict[str, int]):
    """Names with their ordinals. A look-up by `[]` gives a new name an ordinal, so that one look-up does for both."""

    def __init__(self, names: list[str | None], free: list[int]) -> None:
        self.new: list[int] = []
        """Ordinals given to new names; the caller puts an empty list here first."""
        self._names = names
        self._free = free

    def __missing__(self, name: str) -> int:
        if self._free:
            ordinal = self._free.pop()
            self._names[ordinal] = name
        else:
            ordinal = len(self._names)
            self._names.append(name)
        self[name] = ordinal
        self.new.append(ordinal)
        return ordinal


class IdTable:
    """A two-way table of names and ordinals.

    Invariants (see `_check`): a name has one ordinal, and an ordinal at most one name; an ordinal is in use or free.
    """

    def __init__(self) -> None:
        self.names: list[str | None] = []
        self._free: list[int] = []
        self._ordinals = _Ordinals(self.names, self._free)

    @classmethod
    def of(cls, names: Sequence[str | None]) -> "IdTable":
        """Return a table in which each of *names* has its place as ordinal; places with None are free.

        Raises ValueError for a name that occurs twice.
        """
        table = cls()
        table.names += names
        ordinals: dict[str | None, int] = table._ordinals  # type: ignore[assignment]  # None is removed just below
        ordinals.update(zip(names, range(len(names)), strict=True))
        if ordinals.pop(None, None) is not None:
            table._free += [ordinal for ordinal, name in enumerate(names) if name is None]
        if len(table._ordinals) + len(table._free) != len(names):
            raise ValueError("a name has two ordinals")
        return table

    def __len__(self) -> int:
        return len(self._ordinals)

    def __contains__(self, name: str) -> bool:
        return name in self._ordinals

    def find(self, name: str) -> int | None:
        """Return the ordinal of *name*, None if it has none."""
        return self._ordinals.get(name)

    def intern(self, names: Sequence[str]) -> tuple[list[int], list[int]]:
        """Return the ordinal of each name, and the ordinals that are new. O(names), mostly inside `map`."""
        new = self._ordinals.new = []
        try:
            return list(map(self._ordinals.__getitem__, names)), new
        except BaseException:
            self.release(new)
            raise

    def release(self, ordinals: Iterable[int]) -> None:
        """Forget the names of *ordinals*; other names may get them from now on."""
        for ordinal in ordinals:
            name = self.names[ordinal]
            if name is not None:
                del self._ordinals[name]
                self.names[ordinal] = None
                self._free.append(ordinal)

    def live(self) -> dict[str, int]:
        """Return a copy of the names in use, with their ordinals."""
        return dict(self._ordinals)

    def _check(self) -> None:
        """Assert the invariants. O(n)."""
        assert all(self.names[ordinal] == name for name, ordinal in self._ordinals.items())
        in_use = {ordinal for ordinal, name in enumerate(self.names) if name is not None}
        assert in_use == set(self._ordinals.values())
        assert in_use.isdisjoint(self._free)
        assert len(in_use) + len(self._free) == len(self.names)
        assert len(set(self._free)) == len(self._free)
