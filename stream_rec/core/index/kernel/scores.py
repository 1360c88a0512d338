"""From neighbours to ranked items: add up scores, weigh them by rarity, keep the best in order.

The sums do not depend on the order of neighbours (see sums.py). Scores are compared as rounded to 32 binary digits, and
answered so.
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
    MATCH_DENOMINATOR,
    N_SESSIONS,
    NEIGHBOURS,
    PLACE,
    REPEAT_BIT,
    REPEATS,
    SMALLEST_TERM,
    TERM_CAP,
    AnswerArrays,
    N,
    Parameters,
    Policy,
    Scratch,
    State,
)
from stream_rec.core.index.kernel.sums import rounded, split, unit

__all__ = [
    "AHEAD",
    "add",
    "add_parts",
    "largest_rarity",
    "place_of",
    "rank",
    "score_items",
    "take_best",
    "take_sum",
    "weighed",
]

_ln = inner(plain_ln)
AHEAD = 12  # items whose records are prefetched before they are read


@inner
def add(scratch: Scratch, n_touched: int, item: int, score: float) -> int:
    """Add *score*, a whole number, to that of *item*; return how many items have a score."""
    before = scratch.score[item]
    scratch.touched[n_touched] = item
    scratch.score[item] = before + score
    return n_touched + (before == 0.0)


@inner
def add_parts(scratch: Scratch, n_touched: int, item: int, high: float, low: float) -> int:
    """Add the two parts of a term, not both zero, to the score of *item*; return how many items have a score."""
    at = item * 2
    before = scratch.score[at]
    low_before = scratch.score[at + 1]
    scratch.touched[n_touched] = item
    # planted bug: sum-in-order (2 lines)
    scratch.score[at] = before + high
    scratch.score[at + 1] = low_before + low
    return n_touched + (before == 0.0 and low_before == 0.0)


@inner
def place_of(p: Parameters, item: int) -> int:
    """Return where in `score` the sum of *item*, or of its high parts, is."""
    return item if p.whole[MATCH_DENOMINATOR] != 0 else item * 2


@inner
def take_sum(scratch: Scratch, p: Parameters, item: int) -> float:
    """Return the sum of the terms of *item*, and zero it."""
    at = place_of(p, item)
    total = scratch.score[at]
    scratch.score[at] = 0.0
    if p.whole[MATCH_DENOMINATOR] == 0:
        total += scratch.score[at + 1]
        scratch.score[at + 1] = 0.0
    return total


@inner
def _score_alike(
    state: State, scratch: Scratch, p: Parameters, slot: int, high: float, low: float, n_touched: int
) -> int:
    """Give every item of the neighbour the same score, once or for each time that the neighbour holds it."""
    at = state.session[slot]["at"]
    every_time = p.whole[EVERY_TIME] != 0
    is_whole = p.whole[MATCH_DENOMINATOR] != 0
    for j in range(at, at + state.session[slot]["events"]):
        word = state.event_item[j]
        if (word & REPEAT_BIT) == 0 or every_time:
            if is_whole:
                n_touched = add(scratch, n_touched, np.int64(word & ITEM_BITS), high)
            else:
                n_touched = add_parts(scratch, n_touched, np.int64(word & ITEM_BITS), high, low)
    return n_touched


@inner
def _score_by_place(
    state: State,
    scratch: Scratch,
    p: Parameters,
    slot: int,
    score: float,
    least: float,
    shared: int,
    high_shift: float,
    low_shift: float,
    n_touched: int,
) -> int:
    """Give each item of the neighbour a score by its distance from the newest place of the shared item.

    An item counts at its newest place, or at each of its places. A score below *least* counts nothing.
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
    every_time, direction, last = p.whole[EVERY_TIME] != 0, p.real[DIRECTION], p.place.size - 1
    for j in range(at, end):
        word = state.event_item[j]
        if (word & REPEAT_BIT) == 0 or every_time:
            value = score * p.place[min(abs(j - anchor), last)]
            if j < anchor:
                value *= direction
            if value >= least:
                high = split(value, high_shift)
                low = split(value - high, low_shift)
                n_touched = add_parts(scratch, n_touched, np.int64(word & ITEM_BITS), high, low)
    return n_touched


@inner
def score_items(
    state: State,
    scratch: Scratch,
    p: Parameters,
    query: np.ndarray,
    n_chosen: int,
    factor: float,
    largest: float,
    high_shift: float,
    low_shift: float,
    n_touched: int,
) -> int:
    """Add up the scores of the neighbours' items; return how many items now have a score.

    Each neighbour counts *factor* times its vote; *largest* is the largest vote.
    """
    for i in range(n_chosen):
        prefetch(state.session, scratch.candidate[scratch.chosen[i]])
    for i in range(n_chosen):
        prefetch(state.event_item, state.session[scratch.candidate[scratch.chosen[i]]]["at"])
    is_whole = p.whole[MATCH_DENOMINATOR] != 0
    least = 1.0 if is_whole else max(largest * factor * SMALLEST_TERM, unit(low_shift))
    for i in range(n_chosen):
        c = scratch.chosen[i]
        score = scratch.vote[i] * factor
        if score < least:
            continue
        slot = scratch.candidate[c]
        if p.whole[PLACE] == 0:
            high, low = score, 0.0
            if not is_whole:
                high = split(score, high_shift)
                low = split(score - high, low_shift)
            n_touched = _score_alike(state, scratch, p, slot, high, low, n_touched)
        else:
            shared = query[query.size - scratch.step[c]]
            n_touched = _score_by_place(state, scratch, p, slot, score, least, shared, high_shift, low_shift, n_touched)
    return n_touched


@inner
def weighed(state: State, p: Parameters, item: int, score: float) -> float:
    """Return *score* times the factor of the item's rarity."""
    kind = p.whole[IDF]
    if kind == IDF_NONE:
        return score
    idf = _ln(float(state.counters[N_SESSIONS]) / float(state.item[item]["df"]))
    if kind == IDF_ADDED:
        return score * (1.0 + p.real[IDF_FACTOR] * idf)
    return score * idf if idf > 0.0 else score


@inner
def largest_rarity(state: State, p: Parameters) -> float:
    """Return a bound of the factors of rarity."""
    idf = _ln(float(state.counters[N_SESSIONS] + 1))
    return 1.0 + idf * max(1.0, p.real[IDF_FACTOR])


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
    divisor: float,
) -> None:
    """Rank the touched items after what the answer already has, and zero their scores.

    The sums are divided by *divisor* and weighed by rarity, unless `weigh_repeats` did so.
    """
    begin = answers.n[row]
    wanted = p.whole[N]
    is_weighed = source == NEIGHBOURS and p.whole[REPEATS] == 0
    for j in range(n_touched):
        if j + AHEAD < n_touched:
            prefetch(state.item, scratch.touched[j + AHEAD])
        item = scratch.touched[j]
        if source == NEIGHBOURS:
            score = take_sum(scratch, p, item)
        else:
            score = scratch.score[item]
            scratch.score[item] = 0.0
        if begin < wanted and not is_blocked(state, scratch, policy, item):
            if is_weighed:
                score = weighed(state, p, item, score / divisor)
            score = rounded(boosted(state, scratch, policy, item, score))
            if score > 0.0:
                rank(state, scratch, policy, answers, row, begin, wanted, item, score, source)
