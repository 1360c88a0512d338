"""Past questions: each step of a retained session asks what came next, of the index as of then.

Which steps are drawn depends on the retained sessions alone: on their ids' hashes and their times.
"""

from typing import Final, NamedTuple

import numpy as np

from stream_rec.core.dtypes import I32, I64, U64, Mask
from stream_rec.core.index import Queries
from stream_rec.core.index.kernel.state import ITEM_BITS, State

__all__ = ["PastQuestions", "draw_questions"]

SPAN_MS: Final = 24 * 3_600_000
"""Questions are drawn from fewer sessions if those of all sessions would span less."""
_MOST_HALVINGS: Final = 16


class PastQuestions(NamedTuple):
    """Q questions in order of time, of equal times by the hash of their session, then by their place in it."""

    queries: Queries
    now: I64
    """[Q] ms: the time of the newest event of the query"""
    came: I32
    """[Q] the item that came next"""

    def part(self, begin: int, end: int) -> "PastQuestions":
        """Return the questions from *begin* up to *end*."""
        q = self.queries
        queries = Queries(q.item, q.begin[begin:end], q.end[begin:end], q.own[begin:end])
        return PastQuestions(queries, self.now[begin:end], self.came[begin:end])

    def __len__(self) -> int:
        """Return Q."""
        return len(self.now)


def draw_questions(state: State, boundary: int, most: int) -> PastQuestions:
    """Draw the newest questions, at most *most*, whose answer came at or before *boundary*, ms.

    A share of 1, 1/2, 1/4, ... of the sessions is drawn by the hash of their ids, the largest with which the questions
    span SPAN_MS, if there are so many.
    """
    slots = np.flatnonzero(state.session["events"] > 1)
    hashes: U64 = state.session["hash"][slots]
    first = _first_halvings(state, slots, boundary, most)
    kept = _newest(state, slots[_is_drawn(hashes, first)], boundary, most)
    for halvings in range(first + 1, _MOST_HALVINGS):
        if len(kept.time) == 0 or kept.time[-1] - kept.time[0] >= SPAN_MS:
            break
        drawn = _newest(state, slots[_is_drawn(hashes, halvings)], boundary, most)
        if len(drawn.time) < most:
            break  # a larger share had enough
        kept = drawn
    return _questions(state, kept.session, kept.place)


def _is_drawn(hashes: U64, halvings: int) -> Mask:
    """Return which sessions are in the share of 1 / 2 ** *halvings*."""
    drawn: Mask = hashes <= np.uint64((1 << (64 - halvings)) - 1)
    return drawn


def _first_halvings(state: State, slots: I64, boundary: int, most: int) -> int:
    """Return halvings before which each share has *most* steps, and the newest of them span less than SPAN_MS.

    A share is one of these for certain if so many of its steps are in whole sessions of the last SPAN_MS. That is
    counted by session, so no event is read; a share with fewer may be one too.
    """
    if len(slots) == 0:
        return 0
    last: I64 = state.session["last"][slots]
    since = min(int(last.max()), boundary) - SPAN_MS
    begun = state.event_time[state.session["at"][slots]]
    recent = slots[(begun > since) & (last <= boundary)]
    steps: I64 = state.session["events"][recent].astype(np.int64) - 1
    hashes: U64 = state.session["hash"][recent]
    for halvings in range(_MOST_HALVINGS):
        drawn = _is_drawn(hashes, halvings)
        steps, hashes = steps[drawn], hashes[drawn]
        if int(steps.sum()) < most:
            return max(0, halvings - 1)
    return _MOST_HALVINGS - 1


class _Steps(NamedTuple):
    """Events that a question asks for."""

    session: I64
    place: I64
    time: I64

    def at(self, which: I64 | Mask) -> "_Steps":
        """Return some of them."""
        return _Steps(self.session[which], self.place[which], self.time[which])


def _newest(state: State, slots: I64, boundary: int, most: int) -> _Steps:
    """Return the newest *most* steps of the sessions *slots*, in order. Reads the events of few other sessions."""
    last: I64 = np.minimum(state.session["last"][slots], boundary)
    if len(slots) > most:  # each has a step, so the newest sessions hold as many; older ones may hold newer of them
        times = _steps(state, slots[np.argpartition(last, len(slots) - most)[len(slots) - most :]], boundary).time
        if len(times) >= most:
            slots = slots[last >= _newest_time(times, most)]
    steps = _steps(state, slots, boundary)
    if len(steps.time) > most:
        steps = steps.at(steps.time >= _newest_time(steps.time, most))
    hashes: U64 = state.session["hash"][steps.session]
    order = np.lexsort((steps.place, hashes, steps.time))
    return steps.at(order[max(0, len(order) - most) :])


def _newest_time(times: I64, most: int) -> int:
    """Return the time of the oldest of the newest *most*."""
    return int(np.partition(times, len(times) - most)[len(times) - most])


def _steps(state: State, slots: I64, boundary: int) -> _Steps:
    """Return all events of *slots* up to *boundary* but sessions' first, which have place 0."""
    counts = state.session["events"][slots].astype(np.int64) - 1
    session = np.repeat(slots, counts)
    starts = np.cumsum(counts) - counts
    place = np.arange(len(session)) - np.repeat(starts, counts) + 1
    time: I64 = state.event_time[state.session["at"][session] + place]
    known = time <= boundary  # planted bug: learns-after-boundary
    return _Steps(session[known], place[known], time[known])


def _questions(state: State, session: I64, place: I64) -> PastQuestions:
    """Return the question before each event *place* of *session*: its items are all earlier ones."""
    at = state.session["at"][session]
    sessions = np.unique(session)
    sizes = state.session["events"][sessions].astype(np.int64)
    begins = np.cumsum(sizes) - sizes
    total = int(sizes.sum())
    where = np.arange(total) - np.repeat(begins, sizes) + np.repeat(state.session["at"][sessions], sizes)
    item = (state.event_item[where] & ITEM_BITS).astype(np.int32)
    begin = begins[np.searchsorted(sessions, session)]
    end = begin + place
    now = state.event_time[at + place - 1]
    return PastQuestions(Queries(item, begin, end, session.astype(np.int64)), now, item[end])
