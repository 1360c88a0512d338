"""Live quality in plain Python: it keeps everything that happened, and a report scans all of it.

Tests compare the compiled `Quality` with it. Knows ids, no hashes and no arrays.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from stream_rec.core.quality.live import STEPS

__all__ = ["Counted", "ReferenceQuality"]


class Counted(NamedTuple):
    """The counts of one model in a window."""

    answers: int
    ranks: list[int]
    """By rank, 0 for no hit."""
    novel: list[int]
    covered: int


class ReferenceQuality:
    """As `Quality`, one event at a time."""

    def __init__(self, n_models: int, n_served: int, *, n: int, windows_ms: Sequence[int], capacity: int) -> None:
        self.now: int | None = None
        self._n_models = n_models
        self._n_served = n_served
        self._n = n
        self._windows_ms = windows_ms
        self._capacity = capacity
        self._waiting: dict[str, dict[int, tuple[int, list[str]]]] = {}
        """By session, the one with the oldest answer first: by lane, the model and its items."""
        self._answers: list[tuple[int, int, list[str]]] = []
        self._scores: list[tuple[int, int, int, bool]] = []

    def event(
        self,
        session: str,
        item: str,
        time: int,
        answers: Mapping[int, Sequence[str]],
        *,
        is_novel: bool,
        is_counted: bool,
    ) -> None:
        """Score by an applied event, and store the models' answers after it."""
        self.now = time if self.now is None else max(self.now, time)
        for model, items in self._waiting.get(session, {}).values():
            if is_counted:
                rank = items.index(item) + 1 if item in items else 0
                self._scores.append((self.now, model, rank, is_novel))
        self.forget(session)
        if is_counted:
            for model, answered in answers.items():
                self.shown(session, model, answered)

    def shown(self, session: str, model: int, items: Sequence[str]) -> None:
        """Store an answer."""
        if self.now is None:
            return
        first = list(items[: self._n])
        self._answers.append((self.now, model, first))
        lanes = self._waiting.pop(session, {})
        lanes[max(0, model - self._n_served + 1)] = (model, first)
        self._waiting[session] = lanes
        if len(self._waiting) > self._capacity:
            self._waiting.pop(next(iter(self._waiting)))

    def forget(self, session: str) -> None:
        """Erase the answers to *session*."""
        self._waiting.pop(session, None)

    def report(self, window: int) -> list[Counted]:
        """Return the counts of each model, from all that happened."""
        step_ms = -(-self._windows_ms[window] // STEPS)

        def is_inside(time: int) -> bool:
            return self.now is not None and time // step_ms > self.now // step_ms - STEPS

        found = []
        for model in range(self._n_models):
            answers = [items for time, by, items in self._answers if by == model and is_inside(time)]
            scores = [(rank, new) for time, by, rank, new in self._scores if by == model and is_inside(time)]
            ranks, novel = [0] * (self._n + 1), [0] * (self._n + 1)
            for rank, is_new in scores:
                ranks[rank] += 1
                novel[rank] += is_new
            found.append(Counted(len(answers), ranks, novel, len({item for items in answers for item in items})))
        return found
