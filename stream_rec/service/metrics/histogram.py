"""Histograms that are cheap to write, and that other threads can read without a lock.

One thread writes; any other may read, and sees counts that never go back. Knows nothing of what is counted, or of how
it is shown.
"""

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

__all__ = ["SECONDS", "SIZES", "Bins", "Histogram", "Occurrences", "Percentiles", "percentiles_of"]

_SLICE_S: Final = 10.0
_WINDOW_S: Final = 60.0
_SLICES: Final = int(_WINDOW_S / _SLICE_S)
_QUANTILES: Final = (0.5, 0.9, 0.99)


class Bins:
    """Upper bounds 1.0, 1.1, ... 9.9 of each power of ten, so that percentiles are at most a tenth off.

    The bounds are decimal, so that the round bounds of an exposition are among them: its counts are then sums of these
    counts, not estimates.
    """

    def __init__(self, first_power: int, last_power: int) -> None:
        powers = range(first_power, last_power)
        # From text, so that 0.0025 is the same float as the literal 0.0025.
        self.upper = [float(f"{tenths}e{power - 1}") for power in powers for tenths in range(10, 100)]
        self.upper.append(float(f"1e{last_power}"))
        self.as_array = np.array(self.upper)

    def __len__(self) -> int:
        """Number of counts: one for each bound, and one for values above the last."""
        return len(self.upper) + 1

    def places(self, bounds: Iterable[float]) -> list[int]:
        """Return the positions of *bounds*, each of which must be one of ours."""
        places = [bisect_left(self.upper, bound) for bound in bounds]
        assert [self.upper[place] for place in places] == list(bounds), "a bound that is not one of ours"
        return places


SECONDS: Final = Bins(-6, 4)
SIZES: Final = Bins(0, 7)

BucketCounts = list[int]


class _Slice(NamedTuple):
    """About ten seconds, which end at the monotonic time *until*."""

    until: float
    counts: BucketCounts


class _Recorded(NamedTuple):
    """All that was recorded. Replaced as a whole, except for the counts of the present slice, which only grow."""

    before: BucketCounts
    """The sum of all slices before the present one."""
    recent: tuple[_Slice, ...]
    """The last slices before the present one."""
    present: _Slice


class Percentiles(NamedTuple):
    """Percentiles of the values of about the last minute."""

    p50: float
    p90: float
    p99: float


class Histogram:
    """Counts values by size: since the start, and in about the last minute (its six or seven slices).

    `record` and `record_all` are for one thread, everything else for any.
    """

    def __init__(self, bins: Bins = SECONDS) -> None:
        self.sum = 0.0
        """The sum of all values."""
        self._bins = bins
        self._upper = bins.upper
        self._recorded = _Recorded([0] * len(bins), (), _Slice(0.0, [0] * len(bins)))
        self._present = self._recorded.present.counts
        self._until = 0.0

    def record(self, value: float, now: float) -> None:
        """Count *value*; *now* is the monotonic time. Half a microsecond or less."""
        if now >= self._until:
            self._turn(now)
        self._present[bisect_left(self._upper, value)] += 1
        self.sum += value

    def record_all(self, values: npt.NDArray[np.float64], now: float) -> None:
        """Count each of *values*."""
        if now >= self._until:
            self._turn(now)
        counts = np.bincount(np.searchsorted(self._bins.as_array, values))
        present = self._present
        for place in np.flatnonzero(counts).tolist():
            present[place] += int(counts[place])
        self.sum += float(values.sum())

    @property
    def count(self) -> int:
        """The number of values."""
        return int(self._counts().sum())

    def up_to(self, bounds: Sequence[float]) -> list[int]:
        """Return the number of values up to each of *bounds*, which are bounds of the bins; last, of all values."""
        reached = np.cumsum(self._counts())
        return [*reached[self._bins.places(bounds)].tolist(), int(reached[-1])]

    def recent_counts(self, now: float) -> npt.NDArray[np.int64]:
        """Return the counts of about the minute before *now*, by bin."""
        recorded = self._recorded
        recent = [each.counts for each in (*recorded.recent, recorded.present) if each.until > now - _WINDOW_S]
        counts: npt.NDArray[np.int64] = np.array(recent, np.int64).reshape(-1, len(self._bins)).sum(axis=0)
        return counts

    def percentiles(self, now: float) -> Percentiles | None:
        """Return the percentiles of the minute before *now*; None if nothing was recorded in it."""
        return percentiles_of(self.recent_counts(now), self._bins)

    def _counts(self) -> npt.NDArray[np.int64]:
        recorded = self._recorded
        return np.array(recorded.before, np.int64) + np.array(recorded.present.counts, np.int64)

    def _turn(self, now: float) -> None:
        """Begin a new slice, in one assignment: so no reader sees a count twice, or misses one."""
        before, recent, present = self._recorded
        self._until = now + _SLICE_S
        following = _Slice(self._until, [0] * len(self._bins))
        done = [a + b for a, b in zip(before, present.counts, strict=True)]
        self._recorded = _Recorded(done, (*recent, present)[-_SLICES:], following)
        self._present = following.counts


def percentiles_of(counts: npt.NDArray[np.int64], bins: Bins) -> Percentiles | None:
    """Return percentiles of *counts*, interpolated between the bounds of a bin; None if all counts are 0."""
    reached = np.cumsum(counts)
    total = int(reached[-1])
    if not total:
        return None
    upper = [*bins.upper, bins.upper[-1]]

    def at(quantile: float) -> float:
        wanted = quantile * total
        place = int(np.searchsorted(reached, wanted))
        below = upper[place - 1] if place else 0.0
        share = (wanted - (reached[place] - counts[place])) / counts[place]
        return float(below + share * (upper[place] - below))

    return Percentiles(*map(at, _QUANTILES))


class Occurrences:
    """Counts how often something rare happened, and how long it took."""

    def __init__(self) -> None:
        self.count = 0
        self.seconds = 0.0
        """Of all occurrences together."""
        self.last_seconds: float | None = None

    def record(self, seconds: float = 0.0) -> None:
        """Count one occurrence. For one thread."""
        self.count += 1
        self.seconds += seconds
        self.last_seconds = seconds
