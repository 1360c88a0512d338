"""Confidence intervals by the bootstrap: sessions drawn again with replacement.

Draws sessions, not questions: questions of one session are alike, and drawing them one by one would make intervals too
narrow (Efron & Tibshirani 1993, ch. 8 on dependent data). All figures of all models use the same draws, so that two
models are compared draw by draw. The same seed gives the same intervals.
"""

from typing import Final, NamedTuple

import numpy as np

from stream_rec.core.dtypes import F64
from stream_rec.evaluate.metrics import Sums

__all__ = ["Draws", "draw", "interval", "means"]


PERCENT: Final = 95.0
AT_ONCE: Final = 1 << 24  # counts of sessions held at a time: 128 MiB


class Draws(NamedTuple):
    """Each metric in each draw, [draws, M, P]; NaN if a draw has no question that counts."""

    value: F64


def means(sums: Sums) -> F64:
    """Return each metric over all questions, [M, P]; NaN if no question counts."""
    with np.errstate(invalid="ignore"):
        return np.asarray(sums.total.sum(axis=2) / sums.asked.sum(axis=1)[:, None], np.float64)


def draw(sums: Sums, draws: int, seed: int) -> Draws:
    """Draw all sessions again, *draws* times. O(draws x sessions), as matrix products."""
    metrics, models, sessions = sums.total.shape
    rng = np.random.default_rng(seed)
    total = sums.total.reshape(metrics * models, sessions).T
    found = np.empty((draws, metrics, models))
    at_once = max(1, AT_ONCE // max(1, sessions))
    for begin in range(0, draws, at_once):
        n = min(at_once, draws - begin)
        times = np.stack([_times_drawn(rng, sessions) for _ in range(n)])
        with np.errstate(invalid="ignore"):
            found[begin : begin + n] = (times @ total).reshape(n, metrics, models) / (times @ sums.asked.T)[:, :, None]
    return Draws(found)


def _times_drawn(rng: np.random.Generator, sessions: int) -> F64:
    """Return how often each session is drawn, in as many draws as there are sessions."""
    return np.bincount(rng.integers(0, sessions, sessions), minlength=sessions).astype(np.float64)


def interval(values: F64) -> tuple[F64, F64]:
    """Return the bounds of the middle 95 % of *values*, over the first axis; NaN values do not count."""
    outside = (100.0 - PERCENT) / 2
    low, high = np.full((2, *values.shape[1:]), np.nan)
    some = ~np.isnan(values).all(axis=0)  # a metric that no question counts for has no interval
    low[some], high[some] = np.nanpercentile(values[:, some], [outside, 100 - outside], axis=0)
    return low, high
