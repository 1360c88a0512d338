"""From neighbours to ranked items: add up scores, weigh them by rarity, keep the best in order.

Scores are summed from the newest neighbour to the oldest. The reference does the same, so that both agree to the bit.
"""

import numpy as np

from stream_rec.core.compiled import inner, prefetch
from stream_rec.core.index.kernel.arithmetic import ln as plain_ln
from stream_rec.core.index.kernel.policy import boosted, count_category, is_blocked
from stream_rec.core.index.kernel.state import (
    DIRECTION,
    EVERY_TIME,
    IDF,
    IDF_ADDED,
    IDF_FACTOR,
    IDF_NONE,
    ITEM_BITS,
    N_SESSIONS,
    NEIGHBOURS,
    PLACE,
    REPEAT_BIT,
    TERM_CAP,
    AnswerArrays,
    N,
    Parameters,
    Policy,
    Scratch,
    State,
)

__all__ = ["AHEAD", "add", "rank", "score_items", "take_best"]

_ln = inner(plain_ln)
AHEAD = 12  # items whose records are prefetched before they are read


@inner
def add(scratch: Scratch, n_touched: int, item: int, score: float) -> int:
    """Add *score* to that of *item*; return how many items have a score."""
    before = scratch.score[item]
    scratch.touched[n_touched] = item
    scratch.score[item] = before + score
    return n_touched + (before == 0.0)


@inner
def _score_alike(state: State, scratch: Scratch, p: Parameters, slot: int, score: float, n_touched: int) -> int:
    """Give every item of the neighbour the same score, once or for each time that the neighbour holds it."""
    at = state.session[slot]["at"]
    every_time = p.whole[EVERY_TIME] != 0
    for j in range(at, at + state.session[slot]["events"]):
        word = state.event_item[j]
        if (word & REPEAT_BIT) == 0 or every_time:
            n_touched = add(scratch, n_touched, np.int64(word & ITEM_BITS), score)
    return n_touched


@inner
def _score_by_place(
    state: State, scratch: Scratch, p: Parameters, slot: int, score: float, shared: int, n_touched: int
) -> int:
    """Give each item of the neighbour a score by its distance from the newest place of the shared item.

    An item counts at its newest place, or at each of its places.
    """
    at = state.session[slot]["at"]
    end = at + state.session[slot]["events"]
    anchor = at
    while state.event_item[anchor] != np.uint32(shared):
        anchor += 1
    reach = p.place.size - 1
    if p.place[reach] == 0.0:  # nothing beyond the table counts: read long sessions around the shared item only
        end = min(end, anchor + reach)
        at = max(at, anchor + 1 - reach)
    if p.real[DIRECTION] == 0.0:
        at = anchor
    for j in range(at, end):
        word = state.event_item[j]
        if (word & REPEAT_BIT) == 0 or p.whole[EVERY_TIME] != 0:
            value = score * p.place[min(abs(j - anchor), p.place.size - 1)]
            if j < anchor:
                value *= p.real[DIRECTION]
            if value > 0.0:
                n_touched = add(scratch, n_touched, np.int64(word & ITEM_BITS), value)
    return n_touched


@inner
def score_items(
    state: State, scratch: Scratch, p: Parameters, query: np.ndarray, n_chosen: int, factor: float, n_touched: int
) -> int:
    """Add up the scores of the neighbours' items, newest neighbour first; return how many items now have a score.

    Each neighbour counts *factor* times; 1.0 changes no bit.
    """
    last_match = p.match.size - 1
    for i in range(n_chosen):
        prefetch(state.session, scratch.candidate[scratch.chosen[i]])
    for i in range(n_chosen):
        prefetch(state.event_item, state.session[scratch.candidate[scratch.chosen[i]]]["at"])
    for i in range(n_chosen):
        c = scratch.chosen[i]
        step = scratch.step[c]
        score = scratch.similarity[c] * p.match[min(step, last_match)] * factor
        if score <= 0.0:
            continue
        slot = scratch.candidate[c]
        if p.whole[PLACE] == 0:
            n_touched = _score_alike(state, scratch, p, slot, score, n_touched)
        else:
            shared = query[query.size - step]
            n_touched = _score_by_place(state, scratch, p, slot, score, shared, n_touched)
    return n_touched


@inner
def _weighed(state: State, p: Parameters, item: int, score: float) -> float:
    """Return *score* times the factor of the item's rarity."""
    kind = p.whole[IDF]
    if kind == IDF_NONE:
        return score
    idf = _ln(float(state.counters[N_SESSIONS]) / float(state.item[item]["df"]))
    if kind == IDF_ADDED:
        return score * (1.0 + p.real[IDF_FACTOR] * idf)
    return score * idf if idf > 0.0 else score


@inner
def _is_below(state: State, item: int, score: float, other: int, other_score: float) -> bool:
    return score < other_score or (score == other_score and state.item[item]["hash"] < state.item[other]["hash"])


@inner
def rank(
    state: State,
    scratch: Scratch,
    policy: Policy,
    answers: AnswerArrays,
    row: int,
    begin: int,
    wanted: int,
    item: int,
    score: float,
    source: int,
) -> None:
    """Insert *item* at its place among the entries of one source, which start at *begin*.

    The list is never longer than *wanted*; of equal scores the larger hash comes first. In a full category a better
    item replaces the lowest entry. So whatever the order of the calls, the result is the sorted list without the items
    that come when their category is already full (the best basis of a matroid, found one by one).
    """
    n = answers.n[row]
    items, scores = answers.item, answers.score
    if n == wanted and _is_below(state, item, score, items[row, n - 1], scores[row, n - 1]):
        return
    if scratch.term[TERM_CAP] > 0:
        n_alike, lowest = count_category(state, scratch, policy, answers, row, begin, item)
        if n_alike >= scratch.term[TERM_CAP]:
            # planted bug: category-full
            if lowest < 0 or _is_below(state, item, score, items[row, lowest], scores[row, lowest]):
                return
            for j in range(lowest, n - 1):
                items[row, j] = items[row, j + 1]
                scores[row, j] = scores[row, j + 1]
            n -= 1
    if n == wanted:
        n -= 1
    place = n
    while place > begin and _is_below(state, items[row, place - 1], scores[row, place - 1], item, score):
        items[row, place] = items[row, place - 1]
        scores[row, place] = scores[row, place - 1]
        answers.source[row, place] = source
        place -= 1
    items[row, place] = item
    scores[row, place] = score
    answers.source[row, place] = source
    answers.n[row] = n + 1


@inner
def take_best(
    state: State,
    scratch: Scratch,
    p: Parameters,
    policy: Policy,
    answers: AnswerArrays,
    row: int,
    n_touched: int,
    source: int,
) -> None:
    """Rank the touched items after what the answer already has, and zero their scores."""
    begin = answers.n[row]
    wanted = p.whole[N]
    for j in range(n_touched):
        if j + AHEAD < n_touched:
            prefetch(state.item, scratch.touched[j + AHEAD])
        item = scratch.touched[j]
        score = scratch.score[item]
        scratch.score[item] = 0.0
        if begin < wanted and not is_blocked(state, scratch, policy, item):
            if source == NEIGHBOURS:
                score = _weighed(state, p, item, score)
            score = boosted(state, scratch, policy, item, score)
            if score > 0.0:
                rank(state, scratch, policy, answers, row, begin, wanted, item, score, source)
