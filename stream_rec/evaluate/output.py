"""What `evaluate` and `tune` share of their output: a progress bar, and JSON in a file."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import msgspec
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from stream_rec.errors import StreamRecError
from stream_rec.evaluate.asking import PassProgress
from stream_rec.evaluate.plan import Plan
from stream_rec.evaluate.whole_table import UNLIMITED

__all__ = ["OnProgress", "progress_bar", "report_console", "report_progress", "write_json"]

_STDOUT: Final = "-"

OnProgress = Callable[[str, int, int], None]
"""Takes a text, how much is done, and the total."""


def write_json(report: msgspec.Struct, path: str) -> None:
    """Write a report as JSON to *path*; `-` is standard output. Raises StreamRecError."""
    content = msgspec.json.format(msgspec.json.encode(report), indent=1)
    if path == _STDOUT:
        sys.stdout.write(content.decode() + "\n")
        return
    try:
        Path(path).write_bytes(content + b"\n")
    except OSError as error:
        raise StreamRecError(f"cannot write {path!r}: {error.strerror}") from error


def report_console(json: str | None) -> Console:
    """Return where tables are printed: standard error, if *json* takes standard output.

    Without a terminal there is no width, and lines are as long as they are.
    """
    console = Console(stderr=json == _STDOUT)
    return console if console.is_terminal else Console(stderr=json == _STDOUT, width=UNLIMITED)


@contextmanager
def progress_bar() -> Iterator[OnProgress]:
    """Show a progress bar while entered, if standard error is a terminal; give the function that updates it."""
    console = Console(stderr=True)
    line = Progress(
        BarColumn(bar_width=20),
        TaskProgressColumn(),
        TextColumn("{task.description}"),
        TimeRemainingColumn(compact=True),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )
    with line:
        task = line.add_task("reading", total=None)
        yield lambda text, done, total: line.update(task, description=text, completed=done, total=total)


def report_progress(on_progress: OnProgress, progress: PassProgress, plan: Plan) -> None:
    """Report how far a pass over *plan* is, and the MRR of the first model so far."""
    text = f"{progress.asked:,} questions, MRR {progress.mrr:.4f}" if progress.asked else "learning"
    total = sum(stretch.end - stretch.begin for stretch in plan.stretches)
    on_progress(text, progress.done, total)
