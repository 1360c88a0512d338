"""Random draws that are the same on every machine: raw PCG64 words and tables of integers.

Only NumPy's *bit* generators guarantee the same words in every version and on every processor. Its distributions do
not, and `exp` or `pow` may differ in the last bit. So each distribution here is a table rounded to integers, and a draw
is a look-up. Knows nothing of events.
"""

import math
from collections.abc import Callable
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "DAY_MS",
    "TABLE_BITS",
    "Words",
    "chance",
    "day_rhythm",
    "geometric_lengths",
    "log_normal_lengths",
    "log_normal_times",
    "warp",
    "words",
    "zipf_thresholds",
]

Words = NDArray[np.uint64]

DAY_MS = 86_400_000
TABLE_BITS = 16
_TABLE_SIZE = 1 << TABLE_BITS
_RHYTHM_BINS = 1024
_BIN_MS = DAY_MS // _RHYTHM_BINS  # 84,375 exactly


def words(seed: int, stream: tuple[int, ...], count: int) -> Words:
    """Return *count* random 64-bit words; the *streams* of a seed are independent."""
    return np.random.PCG64(np.random.SeedSequence(seed, spawn_key=stream)).random_raw(count)


def chance(probability: float, bits: int) -> int:
    """Return how many of the 2**bits values of a draw make up *probability*."""
    return round(probability * (1 << bits))


def zipf_thresholds(items: int, exponent: float) -> NDArray[np.uint32]:
    """Return the inverse CDF of the bounded Zipf law P(rank r) ~ (r + 1)**-exponent, for 32-bit draws.

    `searchsorted(thresholds, draw, side="right")` is the rank, 0 the most popular. A rank less
    likely than 2**-32 may never be drawn.
    """
    share = np.cumsum(np.arange(1, items + 1, dtype=np.float64) ** -exponent)
    scaled = np.rint(share[:-1] / share[-1] * 2.0**32)
    thresholds: NDArray[np.uint32] = np.minimum(scaled, 2.0**32 - 1).astype(np.uint32)
    return thresholds


def geometric_lengths(mean: float) -> NDArray[np.int64]:
    """Return quantiles of the geometric distribution on 1, 2, ... with this *mean*."""
    if mean == 1:
        return np.ones(_TABLE_SIZE, np.int64)
    per_step = math.log1p(-1 / mean)
    return _quantiles(lambda u: 1 + math.floor(math.log1p(-u) / per_step))


def log_normal_lengths(mean: float, sigma: float) -> NDArray[np.int64]:
    """Return quantiles of a log-normal rounded to 1, 2, ..., shifted so that its mean is *mean*."""
    deviates = _deviates(sigma)
    low, high = -sigma * sigma - 20.0, math.log(mean) + 1
    for _ in range(60):  # bisection: rounding and the cut at 1 move the mean off its formula
        middle = (low + high) / 2
        if np.maximum(np.rint(np.exp(middle + deviates)), 1).mean() < mean:
            low = middle
        else:
            high = middle
    return np.maximum(np.rint(np.exp(high + deviates)), 1).astype(np.int64)


def log_normal_times(median_ms: int, sigma: float) -> NDArray[np.int64]:
    """Return quantiles of log-normal waiting times in ms, at least 1."""
    times = np.rint(np.exp(math.log(median_ms) + _deviates(sigma)))
    return np.maximum(times, 1).astype(np.int64)


def day_rhythm(amplitude: float) -> NDArray[np.int64]:
    """Return the ms of the day by which each 1/1024 of its arrivals has come, for `warp`.

    The rate is 1 - amplitude * cos(2 pi t / day): lowest at midnight, highest at noon.
    """
    day = np.linspace(0, 1, 8 * _RHYTHM_BINS + 1)
    arrived = day - amplitude * np.sin(2 * np.pi * day) / (2 * np.pi)
    times = np.interp(np.linspace(0, 1, _RHYTHM_BINS + 1), arrived, day)
    return np.rint(times * DAY_MS).astype(np.int64)


def warp(even_ms: NDArray[np.int64], rhythm: NDArray[np.int64]) -> NDArray[np.int64]:
    """Turn evenly spread times into times with the day's *rhythm*; the order stays."""
    day, of_day = np.divmod(even_ms, DAY_MS)
    at, rest = np.divmod(of_day, _BIN_MS)
    of_bin: NDArray[np.int64] = (rhythm[at + 1] - rhythm[at]) * rest // _BIN_MS
    return day * DAY_MS + rhythm[at] + of_bin


def _quantiles(inverse: Callable[[float], int]) -> NDArray[np.int64]:
    middles = ((i + 0.5) / _TABLE_SIZE for i in range(_TABLE_SIZE))
    return np.fromiter((inverse(u) for u in middles), np.int64, _TABLE_SIZE)


def _deviates(sigma: float) -> NDArray[np.float64]:
    normal = NormalDist()
    middles = ((i + 0.5) / _TABLE_SIZE for i in range(_TABLE_SIZE))
    return sigma * np.fromiter((normal.inv_cdf(u) for u in middles), np.float64, _TABLE_SIZE)
