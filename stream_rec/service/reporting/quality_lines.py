"""Live quality as text: a line for each model."""

from stream_rec.core.quality import ModelQuality, QualityReport
from stream_rec.service.metrics.format import show_duration

__all__ = ["quality_lines"]


def quality_lines(report: QualityReport) -> list[str]:
    """Return a line for each model that has scored answers, over the longest window."""
    window = max(report.windows, key=lambda each: each.window_s)
    named = len(window.models) > 1
    length = show_duration(int(window.window_s * 1000))
    return [_line(each, report.n, length, named=named) for each in window.models if each.scored]


def _line(each: ModelQuality, n: int, length: str, *, named: bool) -> str:
    name = f"{each.model}{' (shadow)' if each.shadow else ''}: " if named else ""
    hr = _figure(each.hr, each.hr_low, each.hr_high)
    mrr = _figure(each.mrr, each.mrr_low, each.mrr_high)
    return f"{name}HR@{n} {hr}, MRR@{n} {mrr}, of {each.scored:,} answers in the last {length}"


def _figure(value: float | None, low: float | None, high: float | None) -> str:
    """Return the figure and half the width of its 95 % interval."""
    return f"{value or 0.0:.4f} +-{((high or 0.0) - (low or 0.0)) / 2:.4f}"
