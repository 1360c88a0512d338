"""The page of `evaluate`: the verdict, the log, tables, charts, and what it takes to do it again."""

from collections.abc import Iterator, Sequence

import numpy as np

from stream_rec.core.events import Event
from stream_rec.evaluate.candidates import BASELINES
from stream_rec.evaluate.page.document import (
    Chart,
    Series,
    charts_html,
    details_html,
    facts_html,
    lines_html,
    section_html,
    table_html,
    write_page,
)
from stream_rec.evaluate.page.occasion import Occasion, log_html, occasion_html
from stream_rec.evaluate.report import ModelReport, Report
from stream_rec.evaluate.tables import headline, next_table, rest_table, verdict

__all__ = ["report_charts", "report_tables", "write_evaluation"]


def write_evaluation(path: str, report: Report, occasion: Occasion, events: Sequence[Event]) -> None:
    """Write *report* on *events* as a page to *path*. Raises StreamRecError."""
    models = {each.name: each.parameters for each in report.models if not each.is_baseline}
    own = [name for name in BASELINES if any(each.name.split(" ")[0] == name for each in report.models)]
    baselines = {name: BASELINES[name] for name in own}
    parts = [
        lines_html([headline(report)]),
        lines_html(verdict(report), "said"),
        lines_html(report.notes, "note"),
        log_html(occasion, events, report.refused),
        section_html("Figures", *report_tables(report)),
        section_html("Charts", charts_html(report_charts(report))),
        section_html("The baselines", facts_html(baselines)),
        occasion_html(occasion, models),
    ]
    write_page(path, f"stream-rec evaluate: {', '.join(occasion.sources.values())}", parts)


def report_tables(report: Report) -> Iterator[str]:
    """Yield the tables of *report*: those of the last cut-off, and the others to be opened."""
    *others, last = report.cutoffs
    for table in (next_table(report, last), rest_table(report, last)):
        yield table_html(table)
    for k in reversed(others):
        tables = (next_table(report, k), rest_table(report, k))
        yield details_html(f"among {k}", *map(table_html, tables))


def report_charts(report: Report) -> Iterator[Chart]:
    """Yield the metric over time, HR by the length of the answer, and the latency of answers."""
    styles = {found.name: style for style, found in enumerate(report.models)}

    def lines(values: str) -> list[Series]:
        return [Series(name=each.name, values=getattr(each, values), style=styles[each.name]) for each in report.models]

    if len(report.stretch_begins) > 1:
        yield Chart(
            title=f"{report.headline} over time",
            x=report.stretch_begins,
            x_kind="time",
            x_label="event time (UTC)",
            y_label=report.headline,
            series=lines("over_time"),
        )
    yield Chart(
        title="HR by length of the answer",
        x=list(range(1, report.cutoffs[-1] + 1)),
        x_label="k",
        x_kind="count",
        y_label="HR@k",
        series=lines("hr_by_k"),
    )
    timed = [each for each in report.models if each.micros]
    if timed:
        yield _latency(report, timed, styles)


def _latency(report: Report, timed: Sequence[ModelReport], styles: dict[str, int]) -> Chart:
    """Return the share of answers by their latency, up to the slowest p99: slower ones say more of the machine."""
    middles = np.sqrt(np.array(report.micros_edges[:-1]) * np.array(report.micros_edges[1:]))
    shown = int(np.searchsorted(middles, 1.5 * max(each.micros["p99"] for each in timed)))
    return Chart(
        title="latency of an answer",
        x=middles[:shown].round(1).tolist(),
        x_kind="log",
        x_label="microseconds, in process",
        y_label="share of answers",
        series=[
            Series(
                name=each.name,
                values=[count / sum(each.micros_counts) for count in each.micros_counts[:shown]],
                style=styles[each.name],
            )
            for each in timed
        ],
    )
