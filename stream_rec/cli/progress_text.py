"""Progress as text, and as plain lines where there is no terminal. Does without Rich, which takes a while to import."""

from collections import deque
from collections.abc import Callable
from time import perf_counter
from typing import TYPE_CHECKING, Final

from stream_rec.service.metrics.format import show_duration
from stream_rec.service.reporting.plain_lines import PlainLines

if TYPE_CHECKING:
    from stream_rec.service.running.batch_job import BatchJob
    from stream_rec.transport.records import Progress

__all__ = ["REDRAW_AFTER_S", "JobText", "plain_job_progress", "plain_reading_progress"]

REDRAW_AFTER_S: Final = 0.25
_THOUSAND: Final = 1000
_RATE_DRAWINGS: Final = 20  # drawings, that is five seconds on a terminal


class JobText:
    """The progress of a job in words, short enough for a terminal of 80 columns; rates are those of the last calls."""

    def __init__(self) -> None:
        self._recent: deque[tuple[float, int, int]] = deque([(perf_counter(), 0, 0)], maxlen=_RATE_DRAWINGS)

    def __call__(self, job: "BatchJob") -> str:
        """Return the text for *job* as it is now."""
        self._recent.append((perf_counter(), job.counters.n_read, job.counters.n_answers))
        stats, counts = job.engine.stats(), job.counters
        then, read, answers = self._recent[0]
        seconds = max(self._recent[-1][0] - then, REDRAW_AFTER_S)
        events = f"{_short(counts.n_read)} events {_short((counts.n_read - read) / seconds)}/s"
        answered = f", answers {_short((counts.n_answers - answers) / seconds)}/s" if counts.n_answers else ""
        horizon = "" if stats.horizon_ms is None else f", {show_duration(stats.horizon_ms)}"
        return f"{events}{answered}, {_short(stats.n_sessions)} sessions{horizon}"


def plain_job_progress(lines: PlainLines | None = None) -> Callable[["BatchJob"], None]:
    """Return what writes the progress of a job now and then, on a line each: call it after each batch."""
    lines, text = lines or PlainLines(), JobText()
    return lambda job: lines(lambda: f"{_share(job.progress)}{text(job)}")


def plain_reading_progress(lines: PlainLines | None = None) -> Callable[["Progress"], None]:
    """Return what writes how far a source is read now and then, on a line each."""
    lines = lines or PlainLines()
    return lambda done: lines(lambda: f"{_share(done)}{_short(done.bytes_read)} bytes read")


def _share(done: "Progress") -> str:
    return f"{done.bytes_read / done.total_bytes:.0%}, " if done.total_bytes else ""


def _short(number: float) -> str:
    """Return *number* with about three digits: `31.2k`."""
    for unit in ("", "k", "M"):
        if number < _THOUSAND:
            return f"{number:.0f}" if not unit else f"{number:.1f}{unit}"
        number /= _THOUSAND
    return f"{number:.1f}G"
