"""A table that is never cut: one that is wider than its place goes on below, with its first column again.

Rich shortens the cells of a wide table (`100…` for 1004), and without a terminal it takes 80 columns for its place.
"""

from collections.abc import Iterator, Sequence
from typing import Final

from rich.box import SIMPLE_HEAD
from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.table import Table
from rich.text import Text

__all__ = ["UNLIMITED", "WholeTable"]

UNLIMITED: Final = 100_000
"""Columns: the width of a place that has none, such as a file or a pipe."""


class WholeTable:
    """A title, a first column of names, and columns of figures. Print it with `crop=False`."""

    def __init__(self, title: str, columns: Sequence[str]) -> None:
        self.title = title
        self.columns = columns
        self.rows: list[tuple[Sequence[str], str]] = []
        """The cells of each row, and its style."""

    def add_row(self, *cells: str, style: str = "") -> None:
        """Add a row with a cell for each column."""
        self.rows.append((cells, style))

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Render the title, and as many tables below each other as the width needs."""
        yield Text(self.title, style="bold")
        for shown in self._blocks(console, options):
            table = self._table(shown)
            table.width = _width(table, console, options)
            yield table
            yield Text()

    def _blocks(self, console: Console, options: ConsoleOptions) -> Iterator[list[int]]:
        """Yield the columns of each table: the first one, and as many as fit beside it, at least one."""
        shown = [0]
        for place in range(1, len(self.columns)):
            fits = _width(self._table([*shown, place]), console, options) <= options.max_width
            if not fits and len(shown) > 1:
                yield shown
                shown = [0]
            shown.append(place)
        yield shown

    def _table(self, shown: Sequence[int]) -> Table:
        table = Table(box=SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0))
        for place in shown:
            table.add_column(self.columns[place], justify="right" if place else "left", no_wrap=True)
        for cells, style in self.rows:
            table.add_row(*(Text(cells[place]) for place in shown), style=style)
        return table


def _width(table: RenderableType, console: Console, options: ConsoleOptions) -> int:
    """Return the width at which nothing of *table* is cut."""
    return console.measure(table, options=options.update(width=UNLIMITED)).maximum
