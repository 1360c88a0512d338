"""A report as a picture: the metric over time, HR over k, how long answers take. PNG, or a page of HTML.

Needs matplotlib, which `stream-rec[evaluate]` brings; what is drawn is in the report's JSON, too.
"""

from datetime import UTC, datetime
from html import escape
from io import BytesIO, StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from stream_rec.errors import SettingsError, StreamRecError
from stream_rec.evaluate.report import Found, Report
from stream_rec.evaluate.tables import verdict

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["check_place", "draw_report", "logarithmic", "new_figure", "save", "tidy", "write_plot"]

FORMATS: Final = (".png", ".html")
# Colours that people who see no red or no green tell apart (Okabe & Ito 2008); the first is the model's own.
COLOURS: Final = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
DASHES: Final = ("--", ":", "-.", (0, (5, 1)), (0, (3, 1, 1, 1, 1, 1)))
GREY: Final = "#777777"


def check_place(path: str | None) -> None:
    """Refuse a name that tells no format, and a missing library, before a minute is spent. Raises SettingsError."""
    if path is None:
        return
    if Path(path).suffix not in FORMATS:
        raise SettingsError("plot", f"{path!r} ends in neither .png nor .html, which is what can be drawn")
    new_figure(1, 1)


def new_figure(rows: int, columns: int, height: float = 4.2) -> "tuple[Figure, Any]":
    """Return an empty figure of so many panels. Raises StreamRecError where matplotlib is missing."""
    try:
        from matplotlib.figure import Figure  # noqa: PLC0415  # an extra: who draws nothing need not have it
    except ImportError:
        raise StreamRecError("a plot needs matplotlib: pip install 'stream-rec[evaluate]'") from None
    figure = Figure(figsize=(5.2 * columns, height * rows), layout="constrained", dpi=110)
    return figure, figure.subplots(rows, columns, squeeze=False)


def write_plot(report: Report, path: str) -> None:
    """Draw *report* into a .png or .html file."""
    figure = draw_report(report)
    save(figure, path, f"stream-rec: {report.mode}", list(verdict(report)))


def save(figure: "Figure", path: str, title: str, lines: list[str]) -> None:
    """Write *figure*, on a page with *title* and *lines* if it is HTML. Raises StreamRecError."""
    if path.endswith(".png"):
        made = BytesIO()
        figure.savefig(made, format="png")
        content = made.getvalue()
    else:
        content = _page(figure, title, lines).encode()
    try:
        Path(path).write_bytes(content)
    except OSError as error:
        raise StreamRecError(f"cannot write {path!r}: {error.strerror}") from error


def _page(figure: "Figure", title: str, lines: list[str]) -> str:
    drawn = StringIO()
    figure.savefig(drawn, format="svg")
    svg = drawn.getvalue()
    told = "".join(f"<p>{escape(line)}</p>" for line in lines)
    style = "body{font:16px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:75rem}svg{width:100%;height:auto}"
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{escape(title)}</title>'
        f"<style>{style}</style><h1>{escape(title)}</h1>{told}{svg[svg.index('<svg') :]}</html>\n"
    )


def draw_report(report: Report) -> "Figure":
    """Draw three panels, and one legend for all."""
    figure, axes = new_figure(1, 3)
    over_time, by_k, latency = axes[0]
    _draw_over_time(over_time, report)
    _draw_by_k(by_k, report)
    _draw_latency(latency, report)
    handles, labels = by_k.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=min(6, len(labels)), frameon=False)
    figure.suptitle(f"{report.mode}: {report.questions:,} questions, {report.events:,} events, {report.items:,} items")
    return figure


def _look(report: Report, found: Found) -> dict[str, Any]:
    """Return a model's line: models in colours, baselines grey and broken."""
    alike = [each.name for each in report.models if each.is_baseline == found.is_baseline]
    place = alike.index(found.name)
    if found.is_baseline:
        return {"color": GREY, "linestyle": DASHES[place % len(DASHES)], "linewidth": 1.2}
    return {"color": COLOURS[place % len(COLOURS)], "linewidth": 2.2 if place == 0 else 1.4}


def tidy(axes: "Axes", title: str, x: str, y: str) -> None:
    """Give a panel its title and names, and no more ink than it needs."""
    axes.set_title(title, loc="left", fontsize=11)
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(visible=True, axis="y", alpha=0.25)


def logarithmic(axes: "Axes") -> None:
    """Let x be logarithmic, with few labels, in plain numbers."""
    from matplotlib.ticker import LogLocator, NullFormatter, ScalarFormatter  # noqa: PLC0415  # as above

    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 3), numticks=6))
    axes.xaxis.set_major_formatter(ScalarFormatter())
    axes.xaxis.set_minor_formatter(NullFormatter())


def _draw_over_time(axes: "Axes", report: Report) -> None:
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter  # noqa: PLC0415  # as above

    times = [datetime.fromtimestamp(begin / 1000, UTC) for begin in report.stretch_begins]
    for found in report.models:
        axes.plot(times, found.over_time, label=found.name, **_look(report, found))  # type: ignore[arg-type]  # times
    locator = AutoDateLocator(maxticks=6)  # type: ignore[no-untyped-call]  # matplotlib's dates have no types
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(ConciseDateFormatter(locator))  # type: ignore[no-untyped-call]
    axes.set_ylim(bottom=0)
    tidy(axes, f"{report.headline} over time", "event time (UTC)", report.headline)


def _draw_by_k(axes: "Axes", report: Report) -> None:
    for found in report.models:
        axes.plot(range(1, len(found.hr_by_k) + 1), found.hr_by_k, label=found.name, **_look(report, found))
    axes.set_ylim(bottom=0)
    axes.set_xlim(1, max(2, report.cutoffs[-1]))
    axes.set_xticks(sorted({1, *report.cutoffs}))
    tidy(axes, "HR by length of the answer", "k", "HR@k")


def _draw_latency(axes: "Axes", report: Report) -> None:
    """Models only, as shares of the answers timed, up to the slowest model's p99: what is behind it is the machine."""
    longest = 0.0
    for found in report.models:
        timed = sum(found.micros_counts)
        if timed and not found.is_baseline:
            shares = [count / timed for count in found.micros_counts]
            look = _look(report, found)
            axes.stairs(shares, report.micros_edges, color=look["color"], linewidth=look["linewidth"])
            longest = max(longest, found.micros["p99"])
            axes.axvline(found.micros["p90"], color=look["color"], linestyle=":", linewidth=1)
    logarithmic(axes)
    if longest:
        axes.set_xlim(report.micros_edges[0], longest * 1.5)
    tidy(axes, "latency of an answer (dotted: p90)", "microseconds, in process", "share of answers")
