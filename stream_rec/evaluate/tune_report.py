"""What tuning found, as sentences, a table and a figure."""

from collections.abc import Sequence
from typing import Any, Final

import msgspec
import numpy as np
from rich.console import Group
from rich.text import Text

from stream_rec.evaluate import plots, space
from stream_rec.evaluate.report import Report
from stream_rec.evaluate.search import FEWEST_SETS, TrialResult
from stream_rec.evaluate.tables import verdict
from stream_rec.evaluate.whole_table import WholeTable

__all__ = ["BEST_SHOWN", "TuneResult", "draw_result", "influence_line", "result_lines", "result_table"]

SHOWN: Final = 8
"""Parameters in the table."""
BEST_SHOWN: Final = 4
"""Parameter sets in the table."""


class TuneResult(msgspec.Struct, frozen=True, kw_only=True):
    """What tuning found, as written to JSON."""

    metric: str
    questions: int
    """Questions of the tuning part that each set was asked, if it was not dropped."""
    start: float
    """The metric of the model that the search began with, on the same questions."""
    best: float
    parameters: dict[str, Any]
    """Parameters of the best set, or of the start if no set was better."""
    improved: bool
    tried: list[TrialResult]
    influence: dict[str, float]
    """By parameter: the share of the differences between sets that goes with its value, on the first questions,
    which all sets were asked; largest first. Empty: there were too few sets."""
    early_questions: int = 0
    """How many questions all sets were asked, those that were dropped later too."""
    test: Report | None
    """The best set and the start on the test part, which the search never saw; None if there is no test part."""
    notes: list[str] = []
    """What of the log makes the figures say less than they seem to."""


def result_lines(result: TuneResult) -> list[str]:
    """Return sentences on what was found."""
    dropped = sum(not each.finished for each in result.tried)
    lines = [
        f"{len(result.tried)} sets of parameters, {dropped} of them dropped on the way, {result.questions:,} questions",
        f"{result.metric} there {result.best:.4f}, of the start {result.start:.4f}",
    ]
    if not result.improved:
        lines.append("no set was better than the start, which is what is written")
    elif result.test is not None:
        lines += [f"on the test part: {line}" for line in verdict(result.test)]
    return lines


def influence_line(result: TuneResult) -> str:
    """Return what the influence of parameters was measured on, or why it was not."""
    if not result.influence:
        return f"influence of parameters: not measured, {len(result.tried)} sets are too few ({FEWEST_SETS} would do)"
    return (
        f"influence: the share of the differences between all {len(result.tried)} sets that goes with a parameter, on "
        f"the first {result.early_questions:,} questions, which all were asked"
    )


def result_table(result: TuneResult, out: str) -> Group:
    """Return the best sets and their most influential parameters as a table, and the sentences under it."""
    finished = sorted((each for each in result.tried if each.finished), key=lambda each: -each.value)[:BEST_SHOWN]
    names = [*(result.influence or space.SEARCHED)][:SHOWN]
    about = "and the parameters that mattered most" if result.influence else "and their first parameters"
    columns = ["parameter", *(["influence"] if result.influence else []), *(f"set {each.number}" for each in finished)]
    table = WholeTable(f"the best sets by {result.metric}, {about}", columns)
    blank = [""] if result.influence else []
    table.add_row(result.metric, *blank, *(f"{each.value:.4f}" for each in finished), style="bold")
    for name in names:
        share = [f"{result.influence[name]:.2f}"] if result.influence else []
        table.add_row(name, *share, *(_cell(each.parameters[name]) for each in finished))
    lines = [influence_line(result), *result_lines(result), f"written to {out}"]
    return Group(table, *(Text(line) for line in lines))


def _cell(value: Any) -> str:  # noqa: ANN401  # a number or a word
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def draw_result(result: TuneResult) -> Any:  # noqa: ANN401  # a figure
    """Draw the course of the search, the influence of parameters, and the six most influential ones."""
    figure, axes = plots.new_figure(2, 4, height=3.4)
    panels = axes.ravel()
    finished = [each for each in result.tried if each.finished]
    _draw_search(panels[0], result, finished)
    names = list(result.influence)[::-1]
    for panel in panels[1 + bool(names) + min(len(names), len(panels) - 2) :]:
        panel.set_visible(False)
    panels[1].barh(names, [result.influence[name] for name in names], color=plots.COLOURS[0])
    panels[1].tick_params(axis="y", labelsize=8)
    plots.tidy(panels[1], "what mattered", "share of the differences that go with it", "")
    for panel, name in zip(panels[2:], result.influence, strict=False):
        _draw_parameter(panel, result, finished, name)
    return figure


def _draw_search(axes: Any, result: TuneResult, finished: Sequence[TrialResult]) -> None:  # noqa: ANN401  # untyped axes
    numbers = [each.number for each in finished]
    values = [each.value for each in finished]
    axes.scatter(numbers, values, s=14, color=plots.COLOURS[0], alpha=0.7, label="asked to the end")
    axes.step(numbers, np.maximum.accumulate(values), where="post", color=plots.COLOURS[1], label="best so far")
    axes.axhline(result.start, color=plots.GREY, linestyle="--", linewidth=1, label="start")
    axes.legend(frameon=False, fontsize=8, loc="lower right")
    plots.tidy(axes, "the search", "set", result.metric)


def _draw_parameter(axes: Any, result: TuneResult, finished: Sequence[TrialResult], name: str) -> None:  # noqa: ANN401  # as above
    values = [each.parameters[name] for each in finished]
    best = max(finished, key=lambda each: each.value)
    axes.scatter(values, [each.value for each in finished], s=14, color=plots.COLOURS[0], alpha=0.6)
    axes.scatter([best.parameters[name]], [best.value], s=60, marker="*", color=plots.COLOURS[1], zorder=3)
    if name in {**space.WHOLE, **space.DECAYS}:
        plots.logarithmic(axes)
    plots.tidy(axes, name, "", result.metric)
