"""A progress line on the terminal: how far, how fast, how many sessions.

Draws nothing if standard error is not a terminal. Draws when it is called, at most a few times a second; it has no
thread of its own.
"""

from collections import deque
from time import perf_counter
from typing import TYPE_CHECKING, Final

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from stream_rec.service.metrics.format import show_duration

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

    from stream_rec.service.running.batch_job import BatchJob
    from stream_rec.transport.records import Progress as SourceProgress

__all__ = ["ProgressLine", "ReadingLine"]

_REDRAW_AFTER_S: Final = 0.25
_THOUSAND: Final = 1000
_RATE_DRAWINGS: Final = 20  # drawings, that is five seconds


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
        self._recent: deque[tuple[float, int, int]] = deque(maxlen=_RATE_DRAWINGS)

    def __enter__(self) -> "Self":
        """Show the line."""
        self._line.start()
        self._recent.append((perf_counter(), 0, 0))
        return self

    def __exit__(
        self, kind: "type[BaseException] | None", error: "BaseException | None", trace: "TracebackType | None"
    ) -> None:
        """Remove the line."""
        self._line.stop()

    def __call__(self, job: "BatchJob") -> None:
        """Draw the progress of *job*, unless it was drawn just now."""
        now = perf_counter()
        if now < self._next_draw_at or self._line.disable:
            return
        self._next_draw_at = now + _REDRAW_AFTER_S
        self._recent.append((now, job.counters.n_read, job.counters.n_answers))
        done = job.progress
        self._line.update(
            self._task,
            completed=done.bytes_read,
            total=done.total_bytes,
            description=self._description(job),
            refresh=True,
        )

    def _description(self, job: "BatchJob") -> str:
        """Return the text of the line, short enough for a terminal of 80 columns."""
        stats, counts = job.engine.stats(), job.counters
        then, read, answers = self._recent[0]
        seconds = max(self._recent[-1][0] - then, _REDRAW_AFTER_S)
        events = f"{_short(counts.n_read)} events {_short((counts.n_read - read) / seconds)}/s"
        answered = f", answers {_short((counts.n_answers - answers) / seconds)}/s" if counts.n_answers else ""
        horizon = "" if stats.horizon_ms is None else f", {show_duration(stats.horizon_ms)}"
        return f"{events}{answered}, {_short(stats.n_sessions)} sessions{horizon}"


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
        self._line.stop()

    def __call__(self, done: "SourceProgress") -> None:
        """Draw how far the source is read, unless it was drawn just now."""
        now = perf_counter()
        if now >= self._next_draw_at and not self._line.disable:
            self._next_draw_at = now + _REDRAW_AFTER_S
            self._line.update(self._task, completed=done.bytes_read, total=done.total_bytes, refresh=True)


def _short(number: float) -> str:
    """Return *number* with about three digits: `31.2k`."""
    for unit in ("", "k", "M"):
        if number < _THOUSAND:
            return f"{number:.0f}" if not unit else f"{number:.1f}{unit}"
        number /= _THOUSAND
    return f"{number:.1f}G"
