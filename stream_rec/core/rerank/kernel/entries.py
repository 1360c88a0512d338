"""The kernels that Python calls: entry points only."""

import math

import numpy as np

from stream_rec.core.compiled import entry, inner
from stream_rec.core.dtypes import F64, I32, I64
from stream_rec.core.index.kernel.ask import score_query
from stream_rec.core.index.kernel.neighbours import mix
from stream_rec.core.index.kernel.scores import rank
from stream_rec.core.index.kernel.state import (
    BASE,
    LAST,
    NEIGHBOURS,
    NEVER,
    SHIFT,
    TERM_NOW,
    TERM_UNTIL,
    AnswerArrays,
    Parameters,
    Policy,
    Queries,
    Scratch,
    State,
)
from stream_rec.core.rerank.kernel import copying, learning
from stream_rec.core.rerank.kernel.examples import pick_example, write_example
from stream_rec.core.rerank.kernel.features import write_features
from stream_rec.core.rerank.kernel.fields import MOST_BACK, PLAIN, Examples, Room, Step, Weights
from stream_rec.core.rerank.kernel.gathering import forget_places, gather, list_candidates, take_candidates

__all__ = ["ask_again", "copy_events", "count_returns", "descend", "list_sessions"]

_GRAIN = 0.5**20
_MOST_CANDIDATES = 1024


@entry
def ask_again(
    state: State,
    scratch: Scratch,
    p: Parameters,
    policy: Policy,
    room: Room,
    weights: Weights,
    queries: Queries,
    now: I64,
    came: I32,
    answers: AnswerArrays,
    examples: Examples,
) -> None:
    """Put Q questions, [Q], with candidates from *p*: as of now, or back to an event time.

    `now` is that time, ms, NEVER for the present. Put back, only sessions that had ended by then are neighbours, or
    hold an item; and `came` is the item that came next. Where that is no candidate, there is nothing to learn or to
    judge, and so neither an example nor an answer. If there is space for examples, each question becomes one; else it
    is answered by each of the weights, that of weights w in row q * W + w. *p* must not ask for fallbacks, and the
    popular items must be in order (`order_popular`).
    """
    models = weights.form.size
    is_plain = True
    for w in range(models):
        is_plain &= weights.form[w] == PLAIN
    for q in range(queries.own.size):
        begin, end, own = queries.begin[q], queries.end[q], queries.own[q]
        seen = queries.item[begin:end]
        query = queries.item[max(begin, end - p.whole[LAST]) : end]
        is_past = now[q] != NEVER
        if is_past:
            scratch.term[TERM_UNTIL] = ((now[q] - state.counters[BASE]) >> state.counters[SHIFT]) + 1
            scratch.term[TERM_NOW] = now[q]
        n_marked, n_touched, divisor = score_query(state, scratch, p, query, seen, policy, 0, own)
        take_candidates(state, scratch, p, policy, room, n_touched, divisor)
        n = list_candidates(state, scratch, policy, room, seen)
        for j in range(n_marked):
            scratch.mark[scratch.marked[j]] = 0
        is_example = examples.n.size > 0
        true = room.place[came[q]] - 1 if is_past else 0
        n_picked = 0
        if true >= 0:
            if is_example:
                seed = mix(state.session[own]["hash"] + np.uint64(seen.size))
                n_picked = pick_example(state, room, n, true, seed)
            elif not is_plain:
                n_picked = n
                for c in range(n):
                    room.pick[c] = c
        if n_picked > 0:
            gather(state, scratch, room, p, query, own, n, n_picked)
            write_features(state, scratch, room, weights.returns, n_picked, seen.size, own)
            if not is_example:
                learning.spread(room.x, n, room.floats)
        forget_places(room, n)
        scratch.term[TERM_UNTIL] = 0  # planted bug: stays-put-back
        if is_example:
            write_example(room, n, n_picked, examples, q)
        else:
            for w in range(models):
                _answer(state, scratch, policy, room, weights, w, n if true >= 0 else 0, answers, q * models + w)


@inner
def _answer(
    state: State,
    scratch: Scratch,
    policy: Policy,
    room: Room,
    weights: Weights,
    w: int,
    n: int,
    answers: AnswerArrays,
    row: int,
) -> None:
    """Rank the *n* candidates by weights *w*; without weights, those that the model brings, by its own scores.

    Learned scores are compared in whole _GRAINS; of equal ones that comes first which the model itself has first.
    """
    answers.n[row] = 0
    for c in range(n):
        if weights.form[w] == PLAIN:
            score = room.score[c]
            if score <= 0.0:
                continue
        else:
            value = float(learning.value_of(weights, w, room.floats, c, room.z, 0))
            score = math.floor(value / _GRAIN + 0.5) * _GRAIN - c * (_GRAIN / _MOST_CANDIDATES)
        rank(
            state,
            scratch,
            policy,
            answers,
            row,
            0,
            answers.item.shape[1],
            np.int64(room.item[c]),
            score,
            NEIGHBOURS,
        )


@entry
def count_returns(queries: Queries, came: I32, chances: F64, hits: F64) -> None:
    """Count by places back, [MOST_BACK]: how often there was an item so far back, and how often it came next.

    An item counts at its newest place.
    """
    for q in range(queries.own.size):
        begin, end = queries.begin[q], queries.end[q]
        for back in range(min(end - begin, MOST_BACK)):
            item = queries.item[end - 1 - back]
            is_newest = True
            for later in range(end - back, end):
                is_newest &= queries.item[later] != item
            if is_newest:
                chances[back] += 1.0
                hits[back] += item == came[q]


@entry
def descend(
    examples: Examples, first: int, last: int, weights: Weights, squares: Weights, step: Step, rate: float, passes: int
) -> None:
    """Learn each of the weights from the examples from *first* up to *last*, in so many passes."""
    for w in range(weights.form.size):
        for _ in range(passes):
            learning.descend(examples, first, last, weights, squares, w, step, np.float32(rate))


@entry
def list_sessions(state: State, boundary: int, listed: copying.SessionsAsOf) -> int:
    """List the sessions that have events up to a boundary; see `copying.list_sessions`."""
    return copying.list_sessions(state, boundary, listed)


@entry
def copy_events(
    state: State,
    boundary: int,
    listed: copying.SessionsAsOf,
    first: int,
    last: int,
    begin: int,
    events: copying.CopiedEvents,
) -> bool:
    """Copy events up to a boundary; see `copying.copy_events`."""
    return copying.copy_events(state, boundary, listed, first, last, begin, events)
