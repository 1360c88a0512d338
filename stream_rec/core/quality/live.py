"""Live quality: each answer is compared with the visitor's next event, by model, in windows of event time.

It follows the engine and changes nothing in it. Memory is bounded: the newest answers of a limited number of sessions,
counts by window, step, model and rank, and a table of the items recommended within the longest window. Not thread-safe:
it belongs to the thread that owns the engine.
"""

from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt
from xxhash import xxh3_64_intdigest

from stream_rec.core.events import Answer
from stream_rec.core.index import field
from stream_rec.core.model import Split
from stream_rec.core.outcome import AppliedBatch
from stream_rec.core.quality.click_through import ClickThroughTally
from stream_rec.core.quality.kernel import score
from stream_rec.core.quality.kernel.score import Covered, PendingAnswers, Tally
from stream_rec.core.quality.report import ModelShare, QualityReport, WindowQuality, figures
from stream_rec.core.shown import Seen

__all__ = ["CAPACITY", "STEPS", "WINDOWS_MS", "Quality", "models_of"]

STEPS: Final = 60
"""A window moves in steps of a sixtieth: it holds the last 59 whole steps and the one that has begun."""
CAPACITY: Final = 100_000
WINDOWS_MS: Final = (300_000, 3_600_000, 86_400_000)
_FEWEST_ITEMS: Final = 1 << 12


def models_of(split: Split) -> list[ModelShare]:
    """Return the models that run, the main one first and the shadows last."""
    return [
        ModelShare(model.name, share, place >= split.n_served)
        for place, (model, share) in enumerate(zip(split.models, split.shares, strict=True))
    ]


class Quality:
    """An `Evaluator` that scores the answers of all models of *split* by their first *n* items.

    At most *capacity* sessions have an answer that waits for the next event; the oldest answers are dropped first. A
    session takes 8 (n + 1) bytes, times one more than the number of shadows, allocated as sessions get answers.
    """

    def __init__(
        self, split: Split, *, n: int = 20, windows_ms: Sequence[int] = WINDOWS_MS, capacity: int = CAPACITY
    ) -> None:
        self.n = n
        self.windows_ms = tuple(windows_ms)
        self._models = models_of(split)
        self._n_served = split.n_served
        self._number = {model.name: number for number, model in enumerate(self._models)}
        self._pending = _no_answers(capacity, len(self._models) - split.n_served + 1, n)
        self._tally = _no_counts(self.windows_ms, len(self._models), n)
        self._covered = _no_coverage(_FEWEST_ITEMS, len(self._models))
        self._split = split
        self._click_through = ClickThroughTally(self.windows_ms, STEPS)

    def on_applied(self, applied: AppliedBatch) -> None:
        """Score the pending answers by these events, and store the answers after each. One kernel call a batch."""
        n_new = min(applied.answers.n.size * self.n, len(applied.item))
        self._reserve(n_new)
        score.score_applied(
            self._pending,
            self._tally,
            self._covered,
            self._n_served,
            applied.batch,
            applied.session,
            applied.item,
            applied.counted,
            applied.rows,
            applied.answers,
        )

    def on_answered(self, answers: Sequence[Answer]) -> None:
        """Store *answers* to requests; those without a session, or of an unknown model, are ignored.

        Each replaces an answer of its session that no event has followed.
        """
        known = [each for each in answers if each.session_id is not None and each.model in self._number]
        if not known:
            return
        names = [item.item_id for each in known for item in each.items[: self.n]]
        counts = np.array([min(len(each.items), self.n) for each in known], np.int32)
        items = np.zeros((len(known), self.n), np.uint64)
        items[np.arange(self.n) < counts[:, np.newaxis]] = _hashed(names)
        self.on_answered_hashes(
            _hashed([str(each.session_id) for each in known]),
            np.array([self._number[each.model] for each in known], np.int32),
            items,
            counts,
        )

    def on_answered_hashes(
        self,
        session: npt.NDArray[np.uint64],
        model: npt.NDArray[np.int32],
        item: npt.NDArray[np.uint64],
        n: npt.NDArray[np.int32],
    ) -> None:
        """Store answers as XXH3-64 of ids: *session* [q], *model* [q], *item* [q, at least n], *n* items each [q]."""
        self._reserve(int(np.minimum(n, self.n).sum()))
        item = np.ascontiguousarray(item)
        score.show(
            self._pending, self._tally, self._covered, self._n_served, session, model, item, np.minimum(n, self.n)
        )

    def on_seen(self, seen: Sequence[Seen], watermark: int) -> None:
        """Count what was shown and clicked for the models of its sessions; *watermark* is that after the batch."""
        of = self._split.of
        found = [(of(each.session_id).name, each.source, each.place, each.is_click) for each in seen]
        self._click_through.count(found, watermark)

    def on_forgotten(self, sessions: Sequence[int]) -> None:
        """Erase the answers to *sessions*, given by the XXH3-64 of their ids. Counts name no session and stay."""
        score.forget(self._pending, np.array(sessions, np.uint64))  # planted bug: forgotten-answer-pending

    def report(self, n_items: int) -> QualityReport:
        """Return the present figures; *n_items* is the number of retained items. O(items recommended)."""
        windows = []
        for w, window_ms in enumerate(self.windows_ms):
            inside = self._tally.step[w] > self._present(w) - STEPS
            answers = self._tally.answers[w, inside].sum(axis=0).tolist()
            ranks = self._tally.ranks[w, inside].sum(axis=0).tolist()
            novel = self._tally.novel[w, inside].sum(axis=0).tolist()
            covered = (self._covered.last >= self._begin(w)).sum(axis=0).tolist()
            columns = zip(self._models, answers, ranks, novel, covered, strict=True)
            shown = self._click_through.report(w, int(self._tally.now[0]))
            windows.append(WindowQuality(window_ms / 1000, [figures(*each, n_items) for each in columns], shown))
        return QualityReport(self.n, windows)

    def _present(self, window: int) -> int:
        """Return the number of the present step of a window."""
        return int(self._tally.step[window, self._tally.at[window]])

    def _begin(self, window: int) -> int:
        """Return the begin of a window in ms; before the first event, a time after all others."""
        if self._tally.now[0] == field.NEVER:
            return field.UNLIMITED
        return (self._present(window) - STEPS + 1) * int(self._tally.step_ms[window])

    def _reserve(self, n_new: int) -> None:
        """Ensure that *n_new* more items fit, and drop items that no window holds any more."""
        if (int(self._covered.used[0]) + n_new) * 2 <= self._covered.item.size:
            return
        since = min(map(self._begin, range(len(self.windows_ms))))
        kept = int((self._covered.last.max(axis=1) >= since).sum())
        size = _FEWEST_ITEMS
        while size < (kept + n_new) * 3:
            size *= 2
        old, self._covered = self._covered, _no_coverage(size, len(self._models))
        score.refill(old, self._covered, since)

    def _check(self) -> None:
        """Assert what the kernels rely on. O(everything)."""
        pending = self._pending
        by_age = []
        place = int(pending.heads[score.NEWEST])
        while place >= 0:
            by_age.append(place)
            place = int(pending.older[place])
        free = []
        place = int(pending.heads[score.FREE])
        while place >= 0:
            free.append(place)
            place = int(pending.older[place])
        assert sorted(by_age + free) == list(range(pending.session.size)), "each place is in use or free"
        assert len(by_age) == pending.heads[score.N_PENDING]
        assert sorted(by_age) == sorted(pending.table[pending.table >= 0].tolist()), "the table holds the places in use"
        back, place = [], int(pending.heads[score.OLDEST])
        while place >= 0:
            back.append(place)
            place = int(pending.newer[place])
        assert back == by_age[::-1], "the order is the same from both ends"
        mask = pending.table.size - 1
        for place in by_age:
            at = int(pending.session[place] >> np.uint64(32)) & mask
            while pending.table[at] != place:
                assert pending.table[at] >= 0, "no gap before a session's entry"
                at = (at + 1) & mask
        assert self._covered.used[0] == (self._covered.item != 0).sum() <= self._covered.item.size // 2


def _no_answers(capacity: int, lanes: int, n: int) -> PendingAnswers:
    """Return memory for answers; the system allocates its pages as answers come."""
    size = 1 << (2 * capacity).bit_length()
    older = np.arange(1, capacity + 1, dtype=np.int32)
    older[-1] = -1
    return PendingAnswers(
        table=np.full(size, -1, np.int32),
        heads=np.array([-1, -1, 0, 0], np.int64),
        session=np.zeros(capacity, np.uint64),
        newer=np.full(capacity, -1, np.int32),
        older=older,
        model=np.full((capacity, lanes), -1, np.int32),
        n=np.zeros((capacity, lanes), np.int32),
        item=np.zeros((capacity, lanes, n), np.uint64),
    )


def _no_counts(windows_ms: Sequence[int], models: int, n: int) -> Tally:
    count = len(windows_ms)
    return Tally(
        now=np.array([field.NEVER], np.int64),
        step_ms=np.array([-(-window // STEPS) for window in windows_ms], np.int64),
        until=np.full(count, field.NEVER, np.int64),
        at=np.zeros(count, np.int64),
        step=np.full((count, STEPS), -STEPS, np.int64),
        answers=np.zeros((count, STEPS, models), np.int64),
        ranks=np.zeros((count, STEPS, models, n + 1), np.int64),
        novel=np.zeros((count, STEPS, models, n + 1), np.int64),
    )


def _no_coverage(size: int, models: int) -> Covered:
    return Covered(
        item=np.zeros(size, np.uint64),
        last=np.full((size, models), field.NEVER, np.int64),
        used=np.zeros(1, np.int64),
    )


def _hashed(names: Sequence[str]) -> npt.NDArray[np.uint64]:
    return np.fromiter(map(xxh3_64_intdigest, map(str.encode, names)), np.uint64, len(names))
