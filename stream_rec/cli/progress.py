"""A progress line on the terminal: how far, how fast, how many sessions.

Draws nothing if standard error is not a terminal. Draws when it is called, at most a few times a second; it has no
thread of its own.
"""

from time import perf_counter
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from stream_rec.cli.progress_text import REDRAW_AFTER_S, JobText

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

    from stream_rec.service.running.batch_job import BatchJob
    from stream_rec.transport.records import Progress as SourceProgress

__all__ = ["ProgressLine", "ReadingLine"]


class ProgressLine:
    """Draws the progress of a job; call it after each batch. A context manager: it removes the line at the end."""

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console(stderr=True)
        self._line = Progress(
            BarColumn(bar_width=8),
            TaskProgressColumn(),
            TextColumn("{task.description}"),
            TimeRemainingColumn(compact=True),
            console=self._console,
            auto_refresh=False,
            transient=True,
            disable=not self._console.is_terminal,
        )
        self._task = self._line.add_task("", total=None)
        self._next_draw_at = 0.0
        self._text = JobText()

    def __enter__(self) -> "Self":
        """Show the line."""
        self._line.start()
        self._text = JobText()
        return self

    def __exit__(
        self, kind: "type[BaseException] | None", error: "BaseException | None", trace: "TracebackType | None"
    ) -> None:
        """Remove the line."""
        if not self._line.disable:  # some versions of Rich end a line that was never drawn
            self._line.stop()

    def __call__(self, job: "BatchJob") -> None:
        """Draw the progress of *job*, unless it was drawn just now."""
        now = perf_counter()
        if now < self._next_draw_at or self._line.disable:
            return
        self._next_draw_at = now + REDRAW_AFTER_S
        done = job.progress
        self._line.update(
            self._task,
            completed=done.bytes_read,
            total=done.total_bytes,
            description=self._text(job),
            refresh=True,
        )


class ReadingLine:
    """Draws how far a source is read. A context manager: it removes the line at the end."""

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console(stderr=True)
        columns = (TextColumn("reading"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn(compact=True))
        is_dumb = not self._console.is_terminal
        self._line = Progress(*columns, console=self._console, auto_refresh=False, transient=True, disable=is_dumb)
        self._task = self._line.add_task("", total=None)
        self._next_draw_at = 0.0

    def __enter__(self) -> "Self":
        """Show the line."""
        self._line.start()
        return self

    def __exit__(
        self, kind: "type[BaseException] | None", error: "BaseException | None", trace: "TracebackType | None"
    ) -> None:
        """Remove the line."""
        if not self._line.disable:  # some versions of Rich end a line that was never drawn
            self._line.stop()

    def __call__(self, done: "SourceProgress") -> None:
        """Draw how far the source is read, unless it was drawn just now."""
        now = perf_counter()
        if now >= self._next_draw_at and not self._line.disable:
            self._next_draw_at = now + REDRAW_AFTER_S
            self._line.update(self._task, completed=done.bytes_read, total=done.total_bytes, refresh=True)
