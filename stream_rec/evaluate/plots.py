"""A report as a picture: the metric over time, HR over k, latency of answers.

Needs matplotlib, an extra (`stream-rec[evaluate]`). The report's JSON holds all that is drawn.
"""

from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from stream_rec.errors import SettingsError, StreamRecError
from stream_rec.evaluate.report import ModelReport, Report

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["check_place", "draw_report", "logarithmic", "new_figure", "save", "tidy", "write_plot"]

PICTURE: Final = ".png"
# People with red-green colour blindness can tell these apart (Okabe & Ito 2008). The first is the model's own.
COLOURS: Final = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
DASHES: Final = ("--", ":", "-.", (0, (5, 1)), (0, (3, 1, 1, 1, 1, 1)))
GREY: Final = "#777777"


def check_place(path: str | None) -> None:
    """Check the file format and that matplotlib is installed, before the long pass. Raises SettingsError."""
    if path is None:
        return
    if Path(path).suffix != PICTURE:
        raise SettingsError("plot", f"{path!r} does not end in .png; for a page of charts and tables, say --html")
    new_figure(1, 1)


def new_figure(rows: int, columns: int, height: float = 4.2) -> "tuple[Figure, Any]":
    """Return an empty figure of rows x columns panels. Raises StreamRecError if matplotlib is missing."""
    try:
        from matplotlib.figure import Figure  # noqa: PLC0415  # an extra
    except ImportError:
        raise StreamRecError("a plot needs matplotlib: pip install 'stream-rec[evaluate]'") from None
    figure = Figure(figsize=(5.2 * columns, height * rows), layout="constrained", dpi=110)
    return figure, figure.subplots(rows, columns, squeeze=False)


def write_plot(report: Report, path: str) -> None:
    """Draw *report* into a .png file."""
    save(draw_report(report), path)


def save(figure: "Figure", path: str) -> None:
    """Write *figure* as PNG. Raises StreamRecError."""
    buffer = BytesIO()
    figure.savefig(buffer, format="png")
    try:
        Path(path).write_bytes(buffer.getvalue())
    except OSError as error:
        raise StreamRecError(f"cannot write {path!r}: {error.strerror}") from error


def draw_report(report: Report) -> "Figure":
    """Draw three panels with one legend."""
    figure, axes = new_figure(1, 3)
    over_time, by_k, latency = axes[0]
    _draw_over_time(over_time, report)
    _draw_by_k(by_k, report)
    _draw_latency(latency, report)
    handles, labels = by_k.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=min(6, len(labels)), frameon=False)
    figure.suptitle(f"{report.mode}: {report.questions:,} questions, {report.events:,} events, {report.items:,} items")
    return figure


def _line_style(report: Report, found: ModelReport) -> dict[str, Any]:
    """Return the line style of a model: models in colour, baselines grey and dashed."""
    alike = [each.name for each in report.models if each.is_baseline == found.is_baseline]
    place = alike.index(found.name)
    if found.is_baseline:
        return {"color": GREY, "linestyle": DASHES[place % len(DASHES)], "linewidth": 1.2}
    return {"color": COLOURS[place % len(COLOURS)], "linewidth": 2.2 if place == 0 else 1.4}


def tidy(axes: "Axes", title: str, x: str, y: str) -> None:
    """Set the title and axis labels of a panel, and remove ink that it does not need."""
    axes.set_title(title, loc="left", fontsize=11)
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(visible=True, axis="y", alpha=0.25)


def logarithmic(axes: "Axes") -> None:
    """Make the x axis logarithmic, with few labels in plain numbers."""
    from matplotlib.ticker import LogLocator, NullFormatter, ScalarFormatter  # noqa: PLC0415  # as above

    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 3), numticks=6))
    axes.xaxis.set_major_formatter(ScalarFormatter())
    axes.xaxis.set_minor_formatter(NullFormatter())


def _draw_over_time(axes: "Axes", report: Report) -> None:
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter  # noqa: PLC0415  # as above

    times = [datetime.fromtimestamp(begin / 1000, UTC) for begin in report.stretch_begins]
    for found in report.models:
        axes.plot(times, found.over_time, label=found.name, **_line_style(report, found))  # type: ignore[arg-type]  # times
    locator = AutoDateLocator(maxticks=6)  # type: ignore[no-untyped-call]  # matplotlib's dates have no types
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(ConciseDateFormatter(locator))  # type: ignore[no-untyped-call]
    axes.set_ylim(bottom=0)
    tidy(axes, f"{report.headline} over time", "event time (UTC)", report.headline)


def _draw_by_k(axes: "Axes", report: Report) -> None:
    for found in report.models:
        axes.plot(range(1, len(found.hr_by_k) + 1), found.hr_by_k, label=found.name, **_line_style(report, found))
    axes.set_ylim(bottom=0)
    axes.set_xlim(1, max(2, report.cutoffs[-1]))
    axes.set_xticks(sorted({1, *report.cutoffs}))
    tidy(axes, "HR by length of the answer", "k", "HR@k")


def _draw_latency(axes: "Axes", report: Report) -> None:
    """Draw shares of the timed answers of models, up to the slowest p99: slower answers say more of the machine."""
    longest = 0.0
    for found in report.models:
        timed = sum(found.micros_counts)
        if timed and not found.is_baseline:
            shares = [count / timed for count in found.micros_counts]
            style_of_line = _line_style(report, found)
            axes.stairs(shares, report.micros_edges, color=style_of_line["color"], linewidth=style_of_line["linewidth"])
            longest = max(longest, found.micros["p99"])
            axes.axvline(found.micros["p90"], color=style_of_line["color"], linestyle=":", linewidth=1)
    logarithmic(axes)
    if longest:
        axes.set_xlim(report.micros_edges[0], longest * 1.5)
    tidy(axes, "latency of an answer (dotted: p90)", "microseconds, in process", "share of answers")
