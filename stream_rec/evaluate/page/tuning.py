"""The page of `tune`: what was found, the course of the search, what mattered, and the figures of the best set."""

from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np

from stream_rec.core.events import Event
from stream_rec.evaluate import space
from stream_rec.evaluate.page.document import (
    Chart,
    Series,
    bars_html,
    charts_html,
    details_html,
    lines_html,
    section_html,
    table_html,
    write_page,
)
from stream_rec.evaluate.page.evaluation import report_charts, report_tables
from stream_rec.evaluate.page.occasion import Occasion, log_html, occasion_html, written
from stream_rec.evaluate.search import TrialResult
from stream_rec.evaluate.tables import headline
from stream_rec.evaluate.tune_report import BEST_SHOWN, TuneResult, influence_line, result_lines
from stream_rec.evaluate.whole_table import WholeTable

__all__ = ["write_tuning"]

_DRAWN: Final = 6
"""Parameters with a chart of their own."""


def write_tuning(path: str, result: TuneResult, occasion: Occasion, events: Sequence[Event]) -> None:
    """Write *result* on *events* as a page to *path*. Raises StreamRecError."""
    test = result.test
    models = {} if test is None else {each.name: each.parameters for each in test.models}
    parts = [
        lines_html(result_lines(result), "said"),
        lines_html(result.notes, "note"),
        log_html(occasion, events, {}),
        section_html("The search", table_html(_best_sets(result)), charts_html([_search_chart(result)])),
        section_html("What mattered", lines_html([influence_line(result)]), *_influence(result)),
    ]
    if test is not None:
        about = [headline(test), "No set was chosen by these questions: they come after all that the search has seen."]
        parts += [
            section_html("The test part", lines_html(about), *report_tables(test), charts_html(report_charts(test)))
        ]
    parts.append(occasion_html(occasion, models or {"best": result.parameters}))
    write_page(path, f"stream-rec tune: {', '.join(occasion.sources.values())}", parts)


def _finished(result: TuneResult) -> list[TrialResult]:
    return [each for each in result.tried if each.finished]


def _best_sets(result: TuneResult) -> WholeTable:
    """Return all parameters of the best sets, those that matter most first."""
    best = sorted(_finished(result), key=lambda each: -each.value)[:BEST_SHOWN]
    table = WholeTable(f"the best sets by {result.metric}", ["parameter", *(f"set {each.number}" for each in best)])
    table.add_row(result.metric, *(f"{each.value:.4f}" for each in best), style="bold")
    for name in result.influence or space.SEARCHED:
        table.add_row(name, *(written(each.parameters[name]) for each in best))
    return table


def _search_chart(result: TuneResult) -> Chart:
    """Return the metric of the sets that were asked to the end, in the order in which they were tried."""
    finished = _finished(result)
    values = [each.value for each in finished]
    return Chart(
        title=f"sets that were asked all {result.questions:,} questions",
        x=[each.number for each in finished],
        x_kind="count",
        x_label="set",
        y_label=result.metric,
        from_zero=False,
        series=[
            Series(name="asked to the end", values=values, style=0, kind="points"),
            Series(name="best so far", values=np.maximum.accumulate(values).tolist(), style=1, kind="steps"),
            Series(name="start", values=[result.start] * len(finished), style=2),
        ],
    )


def _influence(result: TuneResult) -> Iterator[str]:
    """Yield a bar for each parameter, and charts of the first of them."""
    if not result.influence:
        return
    yield bars_html("share of the differences that goes with a parameter", result.influence)
    shown = f"all {len(result.tried)} sets by the parameters that mattered most"
    yield details_html(shown, charts_html(_parameter_chart(result, name) for name in [*result.influence][:_DRAWN]))


def _parameter_chart(result: TuneResult, name: str) -> Chart:
    """Return the early metric of all sets by their value of the parameter *name*; the best set apart."""
    words = [] if name not in space.CHOICES else list(space.CHOICES[name])
    best = max(_finished(result), key=lambda each: each.value)
    values = [each.parameters[name] for each in result.tried]
    places = np.array([words.index(value) if words else value for value in values], np.float64)
    order = np.argsort(places, kind="stable").tolist()
    tried = [result.tried[place] for place in order]
    return Chart(
        title=name,
        x=places[order].tolist(),
        x_kind="words" if words else "log" if name in {**space.WHOLE, **space.DECAYS} else "number",
        words=words,
        x_label=name,
        y_label=f"{result.metric}, first {result.early_questions:,}",
        from_zero=False,
        series=[
            Series(
                name="sets",
                values=[None if each is best else each.early_value for each in tried],
                style=0,
                kind="points",
            ),
            Series(
                name="the best",
                values=[each.early_value if each is best else None for each in tried],
                style=1,
                kind="points",
            ),
        ],
    )
