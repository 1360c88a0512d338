"""A report as tables and sentences, on a terminal or in a file."""

from collections.abc import Iterable

from rich.console import Console, Group, RenderableType
from rich.text import Text

from stream_rec.evaluate.report import Difference, Estimate, ModelReport, Report
from stream_rec.evaluate.whole_table import WholeTable

__all__ = ["headline", "next_table", "print_report", "rendered_report", "rest_table", "verdict"]


def print_report(report: Report, console: Console | None = None) -> None:
    """Print *report*."""
    (console or Console()).print(rendered_report(report), crop=False)


def rendered_report(report: Report) -> RenderableType:
    """Return the report as text: the questions, two tables, and the verdict."""
    return Group(
        Text(headline(report)),
        next_table(report, report.cutoffs[-1]),
        rest_table(report, report.cutoffs[-1]),
        *(Text(line) for line in verdict(report)),
        *(Text(f"note: {note}") for note in report.notes),
    )


def headline(report: Report) -> str:
    """Return what was asked, in one line."""
    refused = sum(report.refused.values())
    without = f"; {_count(refused, 'record')} left out" if refused else ""
    return (
        f"{report.mode}: {_count(report.questions, 'question')} in {_count(report.sessions, 'session')}, "
        f"of {_count(report.events, 'event')} and {_count(report.items, 'item')}{without}"
    )


def _count(n: int, noun: str) -> str:
    return f"{n:,} {noun}{'' if n == 1 else 's'}"


def next_table(report: Report, k: int) -> WholeTable:
    """Return the next-item metrics at *k*, half the width of their intervals, and the distance to the first model."""
    names = [f"MRR@{k}", f"HR@{k}", f"NDCG@{k}", f"novel MRR@{k}"]
    columns = ["model", "MRR", "+-", "HR", "+-", "NDCG", "novel MRR", "behind"]
    table = WholeTable(f"the next item, among {k} (+-: half of the 95 % interval)", columns)
    for found in report.models:
        mrr, hr, ndcg, novel = (found.metrics[name] for name in names)
        cells = [
            _number(mrr.value),
            _half(mrr),
            _number(hr.value),
            _half(hr),
            _number(ndcg.value),
            _number(novel.value),
        ]
        table.add_row(found.name, *cells, _difference(found.behind.get(names[0])), style=_style(found))
    return table


def rest_table(report: Report, k: int) -> WholeTable:
    """Return the rest-of-session metrics at *k*, and properties of the answers."""
    names = [f"precision@{k}", f"recall@{k}", f"MAP@{k}"]
    columns = ["model", "prec.", "recall", "MAP", "cover.", "popul.", "length", "p50", "p90", "p99"]
    table = WholeTable(f"the rest of the session, and {k} items answered (p50 to p99: latency, us)", columns)
    for found in report.models:
        table.add_row(
            found.name,
            *(_number(found.metrics[name].value) for name in names),
            f"{found.coverage[f'coverage@{k}']:.3f}",
            f"{found.popularity[f'popularity@{k}']:.3f}",
            f"{found.length:.1f}",
            *(f"{found.micros[p]:.0f}" if found.micros else "-" for p in ("p50", "p90", "p99")),
            style=_style(found),
        )
    return table


def _style(found: ModelReport) -> str:
    return "dim" if found.is_baseline else ""


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"


def _half(figure: Estimate) -> str:
    if figure.low is None or figure.high is None:
        return "-"
    return f"{(figure.high - figure.low) / 2:.4f}"


def _difference(behind: Difference | None) -> str:
    if behind is None or behind.value is None:
        return ""
    return f"{behind.value:+.4f}{'' if behind.is_sure else ' ?'}"


def verdict(report: Report) -> Iterable[str]:
    """Yield sentences that compare the first model with the others on the headline metric."""
    baselines = [found for found in report.models[1:] if found.is_baseline]
    others = [found for found in report.models[1:] if not found.is_baseline]
    for kind, rivals in (("baseline", baselines), ("other model", others)):
        rated = [found for found in rivals if found.metrics[report.headline].value is not None]
        if rated:
            best = max(rated, key=lambda found: found.metrics[report.headline].value or 0.0)
            yield _sentence(report, kind, best)
            if best.name.startswith(f"{report.first.name}+"):
                yield f"{best.name} is {report.first.name} in a learned order, in which `run` does not answer yet."
    if any(not each.behind[report.headline].is_sure for each in report.models[1:]):
        yield "? the interval of the difference contains zero: other sessions of the same kind might say otherwise."


def _sentence(report: Report, kind: str, best: ModelReport) -> str:
    behind = best.behind[report.headline]
    own, theirs = report.first.metrics[report.headline].value, best.metrics[report.headline].value
    figures = f"{report.headline} {_number(own)} against {_number(theirs)}"
    if not behind.is_sure or behind.value is None:
        return f"{report.first.name} and the best {kind}, {best.name}, cannot be distinguished: {figures}."
    verb = "beats" if behind.value > 0 else "is beaten by"
    between = f"the difference lies between {behind.low:+.4f} and {behind.high:+.4f}"
    return f"{report.first.name} {verb} the best {kind}, {best.name}: {figures}; {between}."
