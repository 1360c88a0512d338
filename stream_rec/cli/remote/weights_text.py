"""Learned orders of the HTTP API as text: what is played, how each form did, and what matters, in bars.

Works with the decoded JSON, so that a service of another version may leave out fields or add some.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from stream_rec.cli.remote.columns import in_columns, safe
from stream_rec.service.metrics.format import show_lines, show_time
from stream_rec.service.reporting.order_lines import OWN, FeatureFigures, OrderFigures, what_is_next, what_is_played

__all__ = ["in_words", "weights_lines"]

_BAR: Final = 24
Json = Mapping[str, Any]


def in_words(name: str) -> str:
    """Return the name of weights as text: their form, and their boundary as a time."""
    form, _, boundary = name.partition("@")
    return f"{safe(form)} weights of {show_time(int(boundary))}" if boundary.isdecimal() else safe(name)


def weights_lines(orders: Sequence[Json]) -> Iterator[str]:
    """Yield the lines of each order; one line where no model learns one."""
    if not orders:
        yield "no model of this service learns an order: start it with --rerank auto"
    for place, order in enumerate(orders):
        if place:
            yield ""
        figures = OrderFigures.of(order)
        yield from show_lines((label, safe(value)) for label, value in _figures(figures))
        if figures.mrr:
            yield ""
            yield from in_columns(_forms(figures), right=(1, 2))
        moving = list(_moving(figures.features))
        if moving:
            yield ""
            yield from in_columns(moving, right=(1,))


def _figures(figures: OrderFigures) -> Iterator[tuple[str, str]]:
    yield "model", f"{figures.model} (rerank = {figures.setting})"
    yield "played", what_is_played(figures) if figures.playing is None else in_words(figures.playing)
    if figures.learned_at is not None:
        if figures.playing is None:
            yield "learned last", f"from sessions up to {show_time(figures.learned_at)}"
        yield "examples", f"{figures.examples:,} of {figures.questions:,} questions have their answer among candidates"
    yield "next", what_is_next(figures)


def _forms(figures: OrderFigures) -> Iterator[tuple[str, ...]]:
    """Yield a row for each form: its figure on questions that it had not seen, beside the model's own."""
    own = figures.mrr.get(OWN, 0.0)
    yield "order", "MRR@20, unseen", "beside its own", ""
    for form, value in figures.mrr.items():
        by = value - own
        beside = "" if form == OWN else f"{by:+.4f}" + (f" ({by / own:+.1%})" if own else "")
        yield "its own" if form == OWN else form, f"{value:.4f}", beside, "played" if form == figures.form else ""


def _moving(features: Sequence[FeatureFigures]) -> Iterator[tuple[str, ...]]:
    """Yield a row for each feature that moves scores, with a bar beside that of the largest."""
    most = max((each.importance for each in features), default=0.0)
    if most > 0:
        yield "what matters", "moves a score by", ""
    for each in features:
        if each.importance > 0:
            bar = "#" * max(1, round(_BAR * each.importance / most))
            yield each.meaning, f"{each.importance:.3f}", bar
