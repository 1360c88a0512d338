"""Rows as text in columns, none of them cut, and texts of others made safe for a terminal."""

from collections.abc import Iterable, Sequence

from rich.cells import cell_len

__all__ = ["in_columns", "safe"]

_GAP = "  "


def safe(text: str) -> str:
    """Return *text* with escapes for what is not printable: an id may hold codes that control a terminal."""
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)


def in_columns(rows: Iterable[Sequence[str]], right: Iterable[int] = ()) -> list[str]:
    """Return a line for each row, the first of which is the head; the cells of the columns *right* end in a line.

    A column that holds nothing but its head is left out. Wide characters count as the cells that they fill.
    """
    found = [[safe(cell) for cell in row] for row in rows]
    widths = [max(map(cell_len, column)) if any(column[1:]) else 0 for column in zip(*found, strict=True)]
    rights = frozenset(right)

    def line(row: list[str]) -> str:
        cells = []
        for place, (cell, width) in enumerate(zip(row, widths, strict=True)):
            if not width:
                continue
            blank = " " * (width - cell_len(cell))
            cells.append(blank + cell if place in rights else cell + blank)
        return _GAP.join(cells).rstrip()

    return [line(row) for row in found]
