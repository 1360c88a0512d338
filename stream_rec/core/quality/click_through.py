"""How much of what was shown is clicked: by model, by place in the list and by source, in windows of event time.

A click counts for the place where its item was shown last to the session, and once for all showings before it. Knows
nothing of sessions: what it counts names none.
"""

from collections import Counter, deque
from collections.abc import Sequence
from typing import Final

from stream_rec.core.index import field
from stream_rec.core.quality.report import ClickThrough, share

__all__ = ["ClickThroughTally"]

_BOUNDS: Final = ((5, ""), (10, "6-10"), (20, "11-20"))
UNKNOWN: Final = "unknown"

_Key = tuple[str, str, str]
"""Model, source and place."""


def place_name(place: int) -> str:
    """Return the group of a place in a list, 0 for an unknown one."""
    if place == 0:
        return UNKNOWN
    for last, name in _BOUNDS:
        if place <= last:
            return name or str(place)
    return "21+"


class ClickThroughTally:
    """Counts in windows that end at the watermark and move in *steps* each: of so many counters, and no more."""

    def __init__(self, windows_ms: Sequence[int], steps: int) -> None:
        self._step_ms = [-(-window // steps) for window in windows_ms]
        self._n_steps = steps
        self._counts: list[deque[tuple[int, Counter[tuple[_Key, bool]]]]] = [deque() for _ in windows_ms]

    def count(self, seen: Sequence[tuple[str, str, int, bool]], watermark: int) -> None:
        """Count each of *seen*: model, source, place, and whether it was clicked."""
        if watermark == field.NEVER:  # nothing is retained, so nothing is known of the time
            return
        keys = [((model, source or UNKNOWN, place_name(place)), is_click) for model, source, place, is_click in seen]
        for of_window, step_ms in zip(self._counts, self._step_ms, strict=True):
            step = watermark // step_ms
            if not of_window or of_window[-1][0] < step:
                of_window.append((step, Counter()))
            of_window[-1][1].update(keys)
            while of_window[0][0] <= step - self._n_steps:
                of_window.popleft()

    def report(self, window: int, watermark: int) -> list[ClickThrough]:
        """Return the figures of a window that ends at *watermark*, by model, place and source, in a fixed order."""
        since = watermark // self._step_ms[window] - self._n_steps
        counts: Counter[tuple[str, str, str, bool]] = Counter()
        for step, of_step in self._counts[window]:
            if step > since:
                for ((model, source, place), is_click), n in of_step.items():
                    counts[model, "model", "all", is_click] += n
                    counts[model, "place", place, is_click] += n
                    counts[model, "source", source, is_click] += n
        groups = sorted({key[:3] for key in counts}, key=lambda key: (key[0], key[1], len(key[2]), key[2]))
        return [_figures(group, counts[*group, False], counts[*group, True]) for group in groups]


def _figures(group: tuple[str, str, str], shown: int, clicked: int) -> ClickThrough:
    ctr, low, high = share(min(clicked, shown), shown)
    return ClickThrough(
        model=group[0], by=group[1], value=group[2], shown=shown, clicked=clicked, ctr=ctr, ctr_low=low, ctr_high=high
    )
