"""Fill an answer that neighbours leave short: with followers of the last item, then with popular items."""

import numpy as np

from stream_rec.core.compiled import inner, prefetch
from stream_rec.core.index.kernel import popular
from stream_rec.core.index.kernel.policy import block, boosted, count_category, is_blocked, largest_factor
from stream_rec.core.index.kernel.postings import SLOT
from stream_rec.core.index.kernel.scores import AHEAD, add, rank, take_best
from stream_rec.core.index.kernel.state import (
    FOLLOWED,
    IN_QUERY,
    ITEM_BITS,
    N_TOP,
    POPULAR,
    POPULAR_SLOTS,
    TERM_BEGIN,
    TERM_CAP,
    TERM_END,
    TERM_GROUP,
    TERM_LISTED,
    TERM_RULESET,
    TOP_COMPLETE,
    AnswerArrays,
    M,
    N,
    Parameters,
    Policy,
    Scratch,
    State,
)
from stream_rec.core.index.kernel.sums import rounded

__all__ = ["fill"]


@inner
def _score_followers(state: State, scratch: Scratch, p: Parameters, item: int, own: int) -> int:
    """Count what came right after *item* in the m newest sessions that hold it; a repeat is no follower."""
    at = state.item[item]["at"]
    stop = at + state.item[item]["start"]
    here = at + state.item[item]["end"] - 1
    left = p.whole[M]
    n_touched = 0
    while here >= stop and left > 0:
        word = state.postings[here]
        here -= 1
        slot = np.int64(word & SLOT)
        if (word & SLOT) == SLOT or slot == own:
            continue
        left -= 1
        first = state.session[slot]["at"]
        for j in range(first, first + state.session[slot]["events"] - 1):
            if np.int64(state.event_item[j] & ITEM_BITS) == item:
                follower = np.int64(state.event_item[j + 1] & ITEM_BITS)
                if follower != item:
                    n_touched = add(scratch, n_touched, follower, 1.0)
    return n_touched


@inner
def _fill_popular(
    state: State, scratch: Scratch, p: Parameters, policy: Policy, answers: AnswerArrays, row: int, n_marked: int
) -> None:
    """Fill the answer with the most popular items that are neither blocked nor in it yet."""
    popular.order(state, p.whole[N] + n_marked)
    if largest_factor(scratch, policy) == 0.0:
        _fill_in_order(state, scratch, p, policy, answers, row)
    else:
        _fill_boosted(state, scratch, p, policy, answers, row)


@inner
def _fill_in_order(
    state: State, scratch: Scratch, p: Parameters, policy: Policy, answers: AnswerArrays, row: int
) -> None:
    """Take the popular items in their order."""
    wanted = p.whole[N]
    cap = scratch.term[TERM_CAP]
    present = popular.present(state)
    n_top = state.counters[N_TOP]
    for j in range(n_top):
        n = answers.n[row]
        if n == wanted:
            return
        item = state.top[j]["item"]
        if not is_blocked(state, scratch, policy, item):
            n_alike, _ = count_category(state, scratch, policy, answers, row, 0, item)
            if cap == 0 or n_alike < cap:
                answers.item[row, n] = item
                answers.score[row, n] = rounded(state.top[j]["score"] / present)
                answers.source[row, n] = POPULAR
                answers.n[row] = n + 1
    if answers.n[row] < wanted and state.counters[TOP_COMPLETE] == 0:
        _scan_popular(state, scratch, policy, answers, row, wanted)


@inner
def _fill_boosted(
    state: State, scratch: Scratch, p: Parameters, policy: Policy, answers: AnswerArrays, row: int
) -> None:
    """Take the popular items by popularity times factor; stop where no item can still enter the answer."""
    wanted = p.whole[N]
    begin = answers.n[row]
    most = largest_factor(scratch, policy)
    present = popular.present(state)
    n_top = state.counters[N_TOP]
    for j in range(n_top):
        score = state.top[j]["score"] / present
        # planted bug: boosted-too-early
        if answers.n[row] == wanted and answers.score[row, wanted - 1] > rounded(score * most):
            return
        item = state.top[j]["item"]
        if not is_blocked(state, scratch, policy, item):
            score = rounded(boosted(state, scratch, policy, item, score))
            rank(state, scratch, policy, answers, row, begin, wanted, item, score, POPULAR)
    if state.counters[TOP_COMPLETE] == 0:
        answers.n[row] = begin
        _scan_popular(state, scratch, policy, answers, row, wanted)


@inner
def _scan_popular(state: State, scratch: Scratch, policy: Policy, answers: AnswerArrays, row: int, wanted: int) -> None:
    """Find popular items beyond the ordered top.

    Scans the smallest set that is known to contain every allowed item: the listed items, the category's, the rule
    set's, or all. O(items scanned).
    """
    begin = answers.n[row]
    for j in range(begin):
        scratch.mark[answers.item[row, j]] |= IN_QUERY
    term = scratch.term
    ruleset, group = term[TERM_RULESET], term[TERM_GROUP]
    if term[TERM_LISTED] != 0:
        for j in range(term[TERM_BEGIN], term[TERM_END]):
            _consider(state, scratch, policy, answers, row, begin, wanted, policy.listed[j])
    elif group > 0:
        end = policy.member_at[group + 1]
        for j in range(policy.member_at[group], end):
            _prefetch_row(state, policy, policy.member[min(j + AHEAD, end - 1)])
            _consider_row(state, scratch, policy, answers, row, begin, wanted, policy.member[j])
    elif ruleset >= 0 and policy.chosen_at[ruleset] < policy.chosen_at[ruleset + 1]:
        end = policy.chosen_at[ruleset + 1]
        for j in range(policy.chosen_at[ruleset], end):
            _prefetch_row(state, policy, policy.chosen[min(j + AHEAD, end - 1)])
            _consider_row(state, scratch, policy, answers, row, begin, wanted, policy.chosen[j])
    else:
        for item in range(state.item.size):
            _consider(state, scratch, policy, answers, row, begin, wanted, item)
    for j in range(begin):
        scratch.mark[answers.item[row, j]] &= ~np.uint8(IN_QUERY)


@inner
def _prefetch_row(state: State, policy: Policy, of: int) -> None:
    """Prefetch what will soon be read of the item in row *of* of the catalogue."""
    item = policy.holder[of]
    if item >= 0:
        prefetch(state.item, item)
        prefetch(state.counts, item * POPULAR_SLOTS)


@inner
def _consider_row(
    state: State, scratch: Scratch, policy: Policy, answers: AnswerArrays, row: int, begin: int, wanted: int, of: int
) -> None:
    """Consider the item in row *of* of the catalogue, if there is one."""
    item = policy.holder[of]
    if item >= 0 and state.item[item]["row"] == of:
        _consider(state, scratch, policy, answers, row, begin, wanted, item)


@inner
def _consider(
    state: State, scratch: Scratch, policy: Policy, answers: AnswerArrays, row: int, begin: int, wanted: int, item: int
) -> None:
    """Rank *item* by its popularity, unless it is blocked or in the answer."""
    is_in_answer = (scratch.mark[item] & IN_QUERY) != 0
    if state.item[item]["df"] > 0 and not is_in_answer and not is_blocked(state, scratch, policy, item):
        score = popular.popularity(state, item)
        if score > 0.0:
            score = rounded(boosted(state, scratch, policy, item, score))
            rank(state, scratch, policy, answers, row, begin, wanted, item, score, POPULAR)


@inner
def fill(
    state: State,
    scratch: Scratch,
    p: Parameters,
    policy: Policy,
    query: np.ndarray,
    own: int,
    answers: AnswerArrays,
    row: int,
    n_marked: int,
) -> int:
    """Fill the answer, no item twice; return how many items are now marked as blocked."""
    begin = 0
    if query.size > 0 and query[-1] >= 0:
        n_marked = _block_answer(scratch, answers, row, begin, n_marked)
        begin = answers.n[row]
        n_touched = _score_followers(state, scratch, p, query[-1], own)
        take_best(state, scratch, p, policy, answers, row, n_touched, FOLLOWED, 1.0)
    if answers.n[row] < p.whole[N]:
        n_marked = _block_answer(scratch, answers, row, begin, n_marked)
        _fill_popular(state, scratch, p, policy, answers, row, n_marked)
    return n_marked


@inner
def _block_answer(scratch: Scratch, answers: AnswerArrays, row: int, begin: int, n_marked: int) -> int:
    """Block the items that the answer has from *begin* on."""
    for j in range(begin, answers.n[row]):
        n_marked = block(scratch, n_marked, answers.item[row, j])
    return n_marked
