"""Live quality: each answer held against what the visitor did next, by model, in windows of event time.

It looks on while the engine works, and leaves no trace there. Memory is bounded: the newest answers of so many
sessions, counts by window, step, model and rank, and a table of the items recommended within the longest window. Not
thread-safe: it belongs to the thread that owns the engine.
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
from stream_rec.core.quality.kernel import score
from stream_rec.core.quality.kernel.score import Covered, Shown, Tally
from stream_rec.core.quality.report import ModelShare, QualityReport, WindowQuality, figures

__all__ = ["ROOM", "STEPS", "WINDOWS_MS", "Quality", "models_of"]

STEPS: Final = 60
"""A window moves on in steps of a sixtieth: it holds the last 59 whole ones and the one that has begun."""
ROOM: Final = 100_000
WINDOWS_MS: Final = (300_000, 3_600_000, 86_400_000)
_FEWEST_ITEMS: Final = 1 << 12


def models_of(split: Split) -> list[ModelShare]:
    """Return the models that run, the main one first and the shadows last."""
    return [
        ModelShare(model.name, share, place >= split.n_served)
        for place, (model, share) in enumerate(zip(split.models, split.shares, strict=True))
    ]


class Quality:
    """What came of the answers of all models of *split*, judged by their first *n* items.

    *room* is how many sessions' newest answers wait for the next event; those asked for longest ago make way. Each
    takes 8 (n + 1) bytes, times one more than there are shadows, once that many sessions have been answered.
    """

    def __init__(self, split: Split, *, n: int = 20, windows_ms: Sequence[int] = WINDOWS_MS, room: int = ROOM) -> None:
        self.n = n
        self.windows_ms = tuple(windows_ms)
        self._models = models_of(split)
        self._n_served = split.n_served
        self._number = {model.name: number for number, model in enumerate(self._models)}
        self._shown = _nothing_shown(room, len(self._models) - split.n_served + 1, n)
        self._tally = _nothing_counted(self.windows_ms, len(self._models), n)
        self._covered = _nothing_covered(_FEWEST_ITEMS, len(self._models))

    def on_applied(self, applied: AppliedBatch) -> None:
        """Score what waited for these events, and remember the answers to them. A kernel call for a batch."""
        n_new = min(applied.answers.n.size * self.n, len(applied.item))
        self._make_room(n_new)
        score.score_applied(
            self._shown,
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
        """Remember answers that were given to requests; those without a session, or by no model of ours, are let be.

        Each is its session's newest answer now, in the place of one that no event followed.
        """
        mine = [each for each in answers if each.session_id is not None and each.model in self._number]
        if not mine:
            return
        names = [item.item_id for each in mine for item in each.items[: self.n]]
        counts = np.array([min(len(each.items), self.n) for each in mine], np.int32)
        items = np.zeros((len(mine), self.n), np.uint64)
        items[np.arange(self.n) < counts[:, np.newaxis]] = _hashed(names)
        self.on_answered_hashes(
            _hashed([str(each.session_id) for each in mine]),
            np.array([self._number[each.model] for each in mine], np.int32),
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
        """Remember answers as XXH3-64 of ids: sessions [q], which model [q], items [q, at least n], how many [q]."""
        self._make_room(int(np.minimum(n, self.n).sum()))
        item = np.ascontiguousarray(item)
        score.show(self._shown, self._tally, self._covered, self._n_served, session, model, item, np.minimum(n, self.n))

    def on_forgotten(self, sessions: Sequence[int]) -> None:
        """Keep nothing of these sessions, given by the XXH3-64 of their ids; counts do not say whose they are."""
        score.forget(self._shown, np.array(sessions, np.uint64))

    def report(self, n_items: int) -> QualityReport:
        """Return the figures as of now, *n_items* being retained. O(items recommended)."""
        windows = []
        for w, window_ms in enumerate(self.windows_ms):
            inside = self._tally.step[w] > self._present(w) - STEPS
            answers = self._tally.answers[w, inside].sum(axis=0).tolist()
            ranks = self._tally.ranks[w, inside].sum(axis=0).tolist()
            novel = self._tally.novel[w, inside].sum(axis=0).tolist()
            covered = (self._covered.last >= self._begin(w)).sum(axis=0).tolist()
            columns = zip(self._models, answers, ranks, novel, covered, strict=True)
            windows.append(WindowQuality(window_ms / 1000, [figures(*each, n_items) for each in columns]))
        return QualityReport(self.n, windows)

    def _present(self, window: int) -> int:
        """The number of the step that has begun."""
        return int(self._tally.step[window, self._tally.at[window]])

    def _begin(self, window: int) -> int:
        """When the window begins, in ms; after all times before the first event."""
        if self._tally.now[0] == field.NEVER:
            return field.UNLIMITED
        return (self._present(window) - STEPS + 1) * int(self._tally.step_ms[window])

    def _make_room(self, n_new: int) -> None:
        """See to room for so many more items, letting go of those that no window holds any more."""
        if (int(self._covered.used[0]) + n_new) * 2 <= self._covered.item.size:
            return
        since = min(map(self._begin, range(len(self.windows_ms))))
        kept = int((self._covered.last.max(axis=1) >= since).sum())
        size = _FEWEST_ITEMS
        while size < (kept + n_new) * 3:
            size *= 2
        old, self._covered = self._covered, _nothing_covered(size, len(self._models))
        score.refill(old, self._covered, since)

    def _check(self) -> None:
        """Assert what the kernels rely on. O(everything)."""
        shown = self._shown
        by_age = []
        place = int(shown.heads[score.NEWEST])
        while place >= 0:
            by_age.append(place)
            place = int(shown.older[place])
        free = []
        place = int(shown.heads[score.FREE])
        while place >= 0:
            free.append(place)
            place = int(shown.older[place])
        assert sorted(by_age + free) == list(range(shown.session.size)), "each place is in use or free"
        assert len(by_age) == shown.heads[score.N_SHOWN]
        assert sorted(by_age) == sorted(shown.table[shown.table >= 0].tolist()), "the table knows those in use"
        back, place = [], int(shown.heads[score.OLDEST])
        while place >= 0:
            back.append(place)
            place = int(shown.newer[place])
        assert back == by_age[::-1], "the order is one from both ends"
        mask = shown.table.size - 1
        for place in by_age:
            at = int(shown.session[place] >> np.uint64(32)) & mask
            while shown.table[at] != place:
                assert shown.table[at] >= 0, "no gap before a session's entry"
                at = (at + 1) & mask
        assert self._covered.used[0] == (self._covered.item != 0).sum() <= self._covered.item.size // 2


def _nothing_shown(room: int, lanes: int, n: int) -> Shown:
    """Return memory for answers; its pages are touched as answers come."""
    size = 1 << (2 * room).bit_length()
    older = np.arange(1, room + 1, dtype=np.int32)
    older[-1] = -1
    return Shown(
        table=np.full(size, -1, np.int32),
        heads=np.array([-1, -1, 0, 0], np.int64),
        session=np.zeros(room, np.uint64),
        newer=np.full(room, -1, np.int32),
        older=older,
        model=np.full((room, lanes), -1, np.int32),
        n=np.zeros((room, lanes), np.int32),
        item=np.zeros((room, lanes, n), np.uint64),
    )


def _nothing_counted(windows_ms: Sequence[int], models: int, n: int) -> Tally:
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


def _nothing_covered(size: int, models: int) -> Covered:
    return Covered(
        item=np.zeros(size, np.uint64),
        last=np.full((size, models), field.NEVER, np.int64),
        used=np.zeros(1, np.int64),
    )


def _hashed(names: Sequence[str]) -> npt.NDArray[np.uint64]:
    return np.fromiter(map(xxh3_64_intdigest, map(str.encode, names)), np.uint64, len(names))
