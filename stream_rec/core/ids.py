"""Names of the outside <-> dense numbers of the inside.

Numbers of released names are used again, so arrays indexed by them stay as short as the live names are many.
Which number a name gets never shows in an answer.
"""

from collections.abc import Iterable, Sequence

__all__ = ["IdTable"]


class _Numbers(dict[str, int]):
    """Names with their numbers; one that is asked for by `[]` and has none gets one: no second look for what is new."""

    def __init__(self, names: list[str | None], free: list[int]) -> None:
        self.new: list[int] = []
        """Those given out by asking, since somebody put a list there."""
        self._names = names
        self._free = free

    def __missing__(self, name: str) -> int:
        if self._free:
            number = self._free.pop()
            self._names[number] = name
        else:
            number = len(self._names)
            self._names.append(name)
        self[name] = number
        self.new.append(number)
        return number


class IdTable:
    """A two-way table of names and numbers.

    Invariants (see `_check`): a name has one number and a number at most one name; a number is either in use or free.
    """

    def __init__(self) -> None:
        self.names: list[str | None] = []
        self._free: list[int] = []
        self._numbers = _Numbers(self.names, self._free)

    @classmethod
    def of(cls, names: Sequence[str | None]) -> "IdTable":
        """Return a table in which *names* have their places as numbers, and those without a name are free.

        Raises ValueError for a name that comes twice.
        """
        table = cls()
        table.names += names
        numbers: dict[str | None, int] = table._numbers  # type: ignore[assignment]  # None is taken out just below
        numbers.update(zip(names, range(len(names)), strict=True))
        if numbers.pop(None, None) is not None:
            table._free += [number for number, name in enumerate(names) if name is None]
        if len(table._numbers) + len(table._free) != len(names):
            raise ValueError("a name has two numbers")
        return table

    def __len__(self) -> int:
        return len(self._numbers)

    def __contains__(self, name: str) -> bool:
        return name in self._numbers

    def find(self, name: str) -> int | None:
        """Return the number of *name*, None if it has none."""
        return self._numbers.get(name)

    def intern(self, names: Sequence[str]) -> tuple[list[int], list[int]]:
        """Return the number of each name, and those numbers that are new. O(names), mostly inside `map`."""
        new = self._numbers.new = []
        try:
            return list(map(self._numbers.__getitem__, names)), new
        except BaseException:
            self.release(new)
            raise

    def release(self, numbers: Iterable[int]) -> None:
        """Forget the names of *numbers*, which may be given to other names from now on."""
        for number in numbers:
            name = self.names[number]
            if name is not None:
                del self._numbers[name]
                self.names[number] = None
                self._free.append(number)

    def live(self) -> dict[str, int]:
        """Return a copy of the names in use with their numbers."""
        return dict(self._numbers)

    def _check(self) -> None:
        """Assert the invariants. O(n)."""
        assert all(self.names[number] == name for name, number in self._numbers.items())
        in_use = {number for number, name in enumerate(self.names) if name is not None}
        assert in_use == set(self._numbers.values())
        assert in_use.isdisjoint(self._free)
        assert len(in_use) + len(self._free) == len(self.names)
        assert len(set(self._free)) == len(self._free)
