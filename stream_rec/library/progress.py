"""A progress bar for a long fit: bytes read, then events learned.

Draws nothing if standard error is neither a terminal nor a notebook. Knows nothing of what is read.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Final

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from stream_rec.core.events import Event

__all__ = ["FitProgress", "fit_progress"]

READING: Final = "reading"
LEARNING: Final = "learning"


class FitProgress:
    """Draws the progress of a fit; draws nothing without *bar*."""

    def __init__(self, bar: Progress | None = None) -> None:
        self._bar = bar
        self._task = None if bar is None else bar.add_task(READING, total=None)

    def reading(self, done: int, total: int | None) -> None:
        """Show how many bytes of *total* are read."""
        if self._bar is not None and self._task is not None:
            self._bar.update(self._task, completed=done, total=total)

    def learning(self, batches: Iterable[list[Event]], total: int) -> Iterator[list[Event]]:
        """Yield *batches* unchanged, and show how many events of *total* are learned."""
        if self._bar is not None and self._task is not None:
            self._bar.reset(self._task, description=LEARNING, total=total)
        for events in batches:
            yield events
            if self._bar is not None and self._task is not None:
                self._bar.advance(self._task, len(events))


@contextmanager
def fit_progress(progress: bool, console: Console | None = None) -> Iterator[FitProgress]:
    """Give the FitProgress that a fit reports to. The bar is removed at the end."""
    console = console or Console(stderr=True)
    if not (progress and (console.is_terminal or console.is_jupyter)):
        yield FitProgress()
        return
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn(compact=True))
    with Progress(*columns, console=console, transient=True) as bar:
        yield FitProgress(bar)
