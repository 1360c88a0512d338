"""The figures of live quality and of learned orders for Prometheus. Knows nothing of how they are written."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from stream_rec.core.engine import LearnedOrder
from stream_rec.core.quality import QualityReport

__all__ = ["order_samples", "quality_samples"]

Samples = Iterator[tuple[str, tuple[str, ...], float]]
"""The family's name, the values of its labels, and the figure."""

_FORMS: Final = ("plain", "linear", "hidden")


def quality_samples(quality: QualityReport) -> Samples:
    """Yield the figures of live quality, by model and window."""
    for window in quality.windows:
        for each in window.models:
            labels = (each.model, str(each.shadow).lower(), f"{window.window_s:g}s", str(quality.n))
            figures: Mapping[str, float | None] = {
                "answers": each.answers,
                "scored": each.scored,
                "hit_ratio": each.hr,
                "mrr_ratio": each.mrr,
                "novel_scored": each.novel_scored,
                "novel_hit_ratio": each.hr_novel,
                "coverage_ratio": each.coverage,
            }
            for name, figure in figures.items():
                if figure is not None:
                    yield f"quality_{name}", labels, figure
        for part in window.shown:
            labels = (part.model, f"{window.window_s:g}s", part.by, part.value)
            yield "quality_shown", labels, part.shown
            yield "quality_shown_clicked", labels, part.clicked
            if part.ctr is not None:
                yield "quality_click_through_ratio", labels, part.ctr


def order_samples(orders: Sequence[LearnedOrder]) -> Samples:
    """Yield the figures of each model that learns an order."""
    for order in orders:
        playing = "plain" if order.playing is None else order.playing.partition("@")[0]
        for form in _FORMS:
            yield "learned_order_playing", (order.model, form), float(form == playing)
            if form in order.mrr:
                yield "learned_order_mrr_ratio", (order.model, form), order.mrr[form]
        yield "learned_order_examples", (order.model,), order.examples
        if order.learned_at is not None:
            yield "learned_order_boundary_timestamp_seconds", (order.model,), order.learned_at / 1000
        yield "learned_order_progress_ratio", (order.model,), order.done
