"""Past questions: each step of a retained session asks what came next, of the index as of then.

Which steps are drawn depends on the retained sessions alone: on their ids' hashes and their times.
"""

from typing import Final, NamedTuple

import numpy as np

from stream_rec.core.dtypes import I32, I64, U64
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
    session, place, time = _steps(state, slots, boundary)
    hashes: U64 = state.session["hash"][session]
    kept = _newest(np.arange(len(time)), time, hashes, place, most)
    for halvings in range(1, _MOST_HALVINGS):
        if len(kept) == 0 or time[kept[-1]] - time[kept[0]] >= SPAN_MS:
            break
        drawn = np.flatnonzero(hashes <= np.uint64((1 << (64 - halvings)) - 1))
        if len(drawn) < most:
            break  # a larger share had enough
        kept = _newest(drawn, time, hashes, place, most)
    return _questions(state, session[kept], place[kept])


def _newest(steps: I64, time: I64, hashes: U64, place: I64, most: int) -> I64:
    """Return the newest *most* of *steps* in order; only about so many are sorted."""
    if len(steps) > most:
        times = time[steps]
        steps = steps[times >= np.partition(times, len(times) - most)[len(times) - most]]
    order = np.lexsort((place[steps], hashes[steps], time[steps]))
    return steps[order[max(0, len(order) - most) :]]


def _steps(state: State, slots: I64, boundary: int) -> tuple[I64, I64, I64]:
    """Return session, place (from 1) and time of all events up to *boundary* but sessions' first."""
    counts = state.session["events"][slots].astype(np.int64) - 1
    session = np.repeat(slots, counts)
    starts = np.cumsum(counts) - counts
    place = np.arange(len(session)) - np.repeat(starts, counts) + 1
    time: I64 = state.event_time[state.session["at"][session] + place]
    known = time <= boundary  # planted bug: learns-after-boundary
    return session[known], place[known], time[known]


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
