"""A bar on the terminal for a fit that takes its time: bytes read, then events learned.

Where standard error is neither a terminal nor a notebook, nothing is drawn. Knows nothing of what is read.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Final

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from stream_rec.core.events import Event

__all__ = ["FitWatch", "watched"]

READING: Final = "reading"
LEARNING: Final = "learning"


class FitWatch:
    """Draws how far a fit is; draws nothing without *bar*."""

    def __init__(self, bar: Progress | None = None) -> None:
        self._bar = bar
        self._task = None if bar is None else bar.add_task(READING, total=None)

    def reading(self, done: int, total: int | None) -> None:
        """Show how many bytes of how many are read."""
        if self._bar is not None and self._task is not None:
            self._bar.update(self._task, completed=done, total=total)

    def learning(self, batches: Iterable[list[Event]], total: int) -> Iterator[list[Event]]:
        """Hand *batches* on, and show how many events of how many are learned."""
        if self._bar is not None and self._task is not None:
            self._bar.reset(self._task, description=LEARNING, total=total)
        for events in batches:
            yield events
            if self._bar is not None and self._task is not None:
                self._bar.advance(self._task, len(events))


@contextmanager
def watched(progress: bool, console: Console | None = None) -> Iterator[FitWatch]:
    """Give what a fit tells how far it is. The bar goes away at the end."""
    console = console or Console(stderr=True)
    if not (progress and (console.is_terminal or console.is_jupyter)):
        yield FitWatch()
        return
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn(compact=True))
    with Progress(*columns, console=console, transient=True) as bar:
        yield FitWatch(bar)
