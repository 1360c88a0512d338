"""From counts to figures with confidence intervals: plain structs, as the JSON shows them.

Formulas: HR and MRR as in docs/reference/metrics.md; the interval of a share is Wilson's (1927), that of a mean the
normal approximation. Knows nothing of how answers were counted.
"""

import math
from collections.abc import Sequence
from typing import Final

import msgspec

__all__ = ["ClickThrough", "ModelQuality", "ModelShare", "QualityReport", "WindowQuality", "figures", "share"]

_Z: Final = 1.959963984540054
"""95 % of the normal distribution lie within this many standard deviations."""


class ModelShare(msgspec.Struct, frozen=True):
    """A running model, and the share of sessions that it answers."""

    name: str
    share: float
    shadow: bool


class ModelQuality(msgspec.Struct, frozen=True, kw_only=True):
    """The quality of a model's answers in one window. None: no answer was scored."""

    model: str
    shadow: bool
    answers: int
    """Answers given; for a shadow, computed."""
    scored: int
    """Answers that an event followed, both within the window."""
    hr: float | None
    """Share of the scored answers with the next item among their first n."""
    hr_low: float | None
    """The 95 % interval."""
    hr_high: float | None
    mrr: float | None
    """Mean of 1/rank of that item; 0 if it was not among them."""
    mrr_low: float | None
    mrr_high: float | None
    novel_scored: int
    """Scored answers whose next item was new to its session."""
    hr_novel: float | None
    hr_novel_low: float | None
    hr_novel_high: float | None
    coverage: float | None
    """Distinct items among the first n of the window's answers, divided by the retained items."""


class ClickThrough(msgspec.Struct, frozen=True, kw_only=True):
    """What became of the items that were shown, of a model or of a part of them, in one window."""

    model: str
    """The model of the sessions that saw them."""
    by: str
    """`model` for all of them, `place` or `source` for a part."""
    value: str
    """Which part: a place (`1` to `5`, `6-10`, `11-20`, `21+`), a source, or `unknown`; `all` for all."""
    shown: int
    """Items shown, as often as they were."""
    clicked: int
    """Items clicked after that."""
    ctr: float | None
    """`clicked` / `shown`."""
    ctr_low: float | None
    """The 95 % interval."""
    ctr_high: float | None


class WindowQuality(msgspec.Struct, frozen=True):
    """The models side by side, in the newest *window_s* seconds of event time."""

    window_s: float
    models: list[ModelQuality]
    shown: list[ClickThrough] = []
    """What became of the items that pages said they showed; by model, place and source."""


class QualityReport(msgspec.Struct, frozen=True):
    """Live quality in several windows, at a cut-off of n items."""

    n: int
    windows: list[WindowQuality]


def figures(
    model: ModelShare, answers: int, ranks: Sequence[int], novel: Sequence[int], covered: int, n_items: int
) -> ModelQuality:
    """Return the figures of *model* from counts by rank (rank 0: no hit)."""
    scored, hits = sum(ranks), sum(ranks[1:])
    novel_scored, novel_hits = sum(novel), sum(novel[1:])
    hr, hr_low, hr_high = share(hits, scored)
    mrr, mrr_low, mrr_high = _mean(ranks, scored)
    hr_novel, hr_novel_low, hr_novel_high = share(novel_hits, novel_scored)
    return ModelQuality(
        model=model.name,
        shadow=model.shadow,
        answers=answers,
        scored=scored,
        hr=hr,
        hr_low=hr_low,
        hr_high=hr_high,
        mrr=mrr,
        mrr_low=mrr_low,
        mrr_high=mrr_high,
        novel_scored=novel_scored,
        hr_novel=hr_novel,
        hr_novel_low=hr_novel_low,
        hr_novel_high=hr_novel_high,
        coverage=covered / n_items if n_items else None,
    )


_Interval = tuple[float | None, float | None, float | None]
"""A figure, and the ends of its interval."""


def share(hits: int, of: int) -> _Interval:
    """Return the share of *hits*, and the ends of Wilson's interval; None of nothing."""
    if of == 0:
        return None, None, None
    share = hits / of
    below = 1.0 + _Z * _Z / of
    centre = (share + _Z * _Z / (2 * of)) / below
    half = _Z / below * math.sqrt(share * (1.0 - share) / of + _Z * _Z / (4.0 * of * of))
    return share, max(0.0, min(share, centre - half)), min(1.0, max(share, centre + half))


def _mean(ranks: Sequence[int], of: int) -> _Interval:
    if of == 0:
        return None, None, None
    mean = math.fsum(count / rank for rank, count in enumerate(ranks) if rank) / of
    square = math.fsum(count / (rank * rank) for rank, count in enumerate(ranks) if rank) / of
    half = _Z * math.sqrt(max(0.0, square - mean * mean) / of)
    return mean, max(0.0, mean - half), min(1.0, mean + half)
