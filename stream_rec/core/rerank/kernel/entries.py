"""The kernels that Python calls: entry points only."""

import math

import numpy as np

from stream_rec.core.compiled import entry, inner
from stream_rec.core.dtypes import F64, I32, I64
from stream_rec.core.index.kernel import popular
from stream_rec.core.index.kernel.arithmetic import ln as plain_ln
from stream_rec.core.index.kernel.ask import read_session, score_query
from stream_rec.core.index.kernel.fallbacks import fill
from stream_rec.core.index.kernel.policy import boosted
from stream_rec.core.index.kernel.sampling import mix
from stream_rec.core.index.kernel.scores import rank
from stream_rec.core.index.kernel.state import (
    BASE,
    FALLBACKS,
    LAST,
    NEIGHBOURS,
    NEVER,
    OWN_EVENTS,
    POPULAR,
    SESSION_ITEM,
    SHIFT,
    TERM_NOW,
    TERM_UNTIL,
    TOP_SIZE,
    AnswerArrays,
    N,
    Parameters,
    Policy,
    Queries,
    Scratch,
    State,
)
from stream_rec.core.rerank.kernel import learning
from stream_rec.core.rerank.kernel.examples import pick_example, write_example
from stream_rec.core.rerank.kernel.features import write_features
from stream_rec.core.rerank.kernel.fields import MOST_BACK, PLAIN, Examples, Room, Step, Weights
from stream_rec.core.rerank.kernel.gathering import forget_places, gather, list_candidates, take_candidates

__all__ = ["ask_again", "count_returns", "descend"]

_ln = inner(plain_ln)
_GRAIN = 0.5**20
_MOST_CANDIDATES = 1024


@entry
def ask_again(
    state: State,
    scratch: Scratch,
    p: Parameters,
    own_model: Parameters,
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
    hold an item. `came` is the item that came next: where it is no candidate, there is nothing to learn or to judge,
    and neither an example nor an answer. If there is space for examples, each question becomes one. If there
    is space for answers, it is answered by each of the weights, that of weights w in row q * W + w, and filled up as
    *own_model* fills up its N items, for which there is space. *p* is that model with as many items as there are
    candidates, and without fallbacks.
    What `room` holds of the last question stays there, but for `place`.
    """
    models = weights.form.size
    is_example, is_asked, is_learned = examples.n.size > 0, answers.n.size > 0, False
    for w in range(models):
        is_learned |= weights.form[w] != PLAIN
    popular.order(state, TOP_SIZE // 2)
    for q in range(queries.own.size):
        begin, end, own = queries.begin[q], queries.end[q], queries.own[q]
        seen = queries.item[max(0, begin) : max(0, end)]
        if begin == OWN_EVENTS:
            seen = scratch.session[: read_session(state, scratch, own)]
        query = seen[max(0, seen.size - p.whole[LAST]) :]
        is_past = now[q] != NEVER
        if is_past:
            scratch.term[TERM_UNTIL] = ((now[q] - state.counters[BASE]) >> state.counters[SHIFT]) + 1
            scratch.term[TERM_NOW] = now[q]
        of = q if policy.terms.size > 1 else 0
        n_marked, n_touched, divisor = score_query(state, scratch, p, query, seen, policy, of, own)
        take_candidates(state, scratch, p, policy, room, n_touched, divisor)
        n = list_candidates(state, scratch, policy, room, seen)
        room.n[0] = n
        true = room.place[came[q]] - 1 if is_past else 0
        if is_asked:
            n_asked = n if true >= 0 else 0
            if is_learned and n_asked > 0:
                for c in range(n):
                    room.pick[c] = c
                gather(state, scratch, room, p, query, own, n, n)
                write_features(state, scratch, room, weights.returns, n, seen.size, own)
                learning.spread(room.x, n, room.floats)
            for w in range(models):
                row = q * models + w
                _answer(state, scratch, policy, room, weights, w, n_asked, answers, row, own_model.whole[N])
                if own_model.whole[FALLBACKS] != 0 and answers.n[row] < own_model.whole[N]:
                    filled = fill(state, scratch, own_model, policy, query, own, answers, row, n_marked)
                    for j in range(n_marked, filled):
                        scratch.mark[scratch.marked[j]] = 0
        if is_example:
            n_picked = 0
            if true >= 0:
                seed = mix(state.session[own]["hash"] + np.uint64(seen.size))
                n_picked = pick_example(state, room, n, true, seed)
                if not is_asked or not is_learned:
                    gather(state, scratch, room, p, query, own, n, n_picked)
                    write_features(state, scratch, room, weights.returns, n_picked, seen.size, own)
            write_example(room, n, n_picked, examples, q)
        for j in range(n_marked):
            scratch.mark[scratch.marked[j]] = 0
        forget_places(room, n)
        scratch.term[TERM_UNTIL] = 0  # planted bug: stays-put-back


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
    wanted: int,
) -> None:
    """Rank the *n* candidates by weights *w*; without weights, those that the model brings, by its own scores.

    Learned scores are compared in whole _GRAINS; of equal ones that comes first which the model itself has first. They
    are logarithms of odds, so the logarithm of the factor that rules give an item is added.
    """
    answers.n[row] = 0
    for c in range(n):
        factor = boosted(state, scratch, policy, np.int64(room.item[c]), 1.0)
        if weights.form[w] == PLAIN:
            score = room.score[c] * factor
            if score <= 0.0:
                continue
        elif factor <= 0.0:
            continue
        else:
            value = float(learning.value_of(weights, w, room.floats, c, room.z, 0))
            if factor != 1.0:
                value += _ln(factor)
            score = math.floor(value / _GRAIN + 0.5) * _GRAIN - c * (_GRAIN / _MOST_CANDIDATES)
        rank(
            state,
            scratch,
            policy,
            answers,
            row,
            0,
            wanted,
            np.int64(room.item[c]),
            score,
            NEIGHBOURS,
        )
    for j in range(answers.n[row]):
        c = room.place[answers.item[row, j]] - 1
        if room.score[c] <= 0.0:
            answers.source[row, j] = SESSION_ITEM if room.back[c] >= 0 else POPULAR


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
