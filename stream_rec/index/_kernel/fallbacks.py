"""What fills an answer that neighbours leave short: followers of the last item, then popular items."""

import numpy as np

from stream_rec.index._kernel import popular
from stream_rec.index._kernel.compiled import inner
from stream_rec.index._kernel.postings import SLOT
from stream_rec.index._kernel.scores import add, block, is_blocked, rank, take_best
from stream_rec.index._kernel.state import (
    FOLLOWED,
    IN_QUERY,
    ITEM_MASK,
    N_TOP,
    POPULAR,
    TOP_COMPLETE,
    Answers,
    M,
    N,
    Parameters,
    Scratch,
    State,
)

ITEM_BITS = np.uint32(ITEM_MASK)


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
def _fill_popular(state: State, scratch: Scratch, p: Parameters, answers: Answers, row: int, n_marked: int) -> None:
    """Fill the answer with the most popular items that are not blocked and not in it yet."""
    wanted = p.whole[N]
    popular.order(state, wanted + n_marked)
    n_top = state.counters[N_TOP]
    for j in range(n_top):
        n = answers.n[row]
        if n == wanted:
            return
        item = state.top[j]["item"]
        if not is_blocked(state, scratch, item):
            answers.item[row, n] = item
            answers.score[row, n] = state.top[j]["score"]
            answers.source[row, n] = POPULAR
            answers.n[row] = n + 1
    if answers.n[row] < wanted and state.counters[TOP_COMPLETE] == 0:
        _scan_popular(state, scratch, answers, row, wanted)


@inner
def _scan_popular(state: State, scratch: Scratch, answers: Answers, row: int, wanted: int) -> None:
    """Find the popular items that the ordered top was too short for. O(items)."""
    begin = answers.n[row]
    for j in range(begin):
        scratch.mark[answers.item[row, j]] |= IN_QUERY
    for item in range(state.item.size):
        is_in_answer = (scratch.mark[item] & IN_QUERY) != 0
        if state.item[item]["df"] > 0 and not is_in_answer and not is_blocked(state, scratch, item):
            score = popular.popularity(state, item)
            if score > 0.0:
                rank(state, answers, row, begin, wanted, item, score, POPULAR)
    for j in range(begin):
        scratch.mark[answers.item[row, j]] &= ~np.uint8(IN_QUERY)


@inner
def fill(
    state: State,
    scratch: Scratch,
    p: Parameters,
    query: np.ndarray,
    own: int,
    answers: Answers,
    row: int,
    n_marked: int,
) -> int:
    """Fill the answer, no item twice; return how many items are marked as blocked by now."""
    begin = 0
    if query.size > 0 and query[-1] >= 0:
        n_marked = _block_answer(scratch, answers, row, begin, n_marked)
        begin = answers.n[row]
        n_touched = _score_followers(state, scratch, p, query[-1], own)
        take_best(state, scratch, p, answers, row, n_touched, FOLLOWED)
    if answers.n[row] < p.whole[N]:
        n_marked = _block_answer(scratch, answers, row, begin, n_marked)
        _fill_popular(state, scratch, p, answers, row, n_marked)
    return n_marked


@inner
def _block_answer(scratch: Scratch, answers: Answers, row: int, begin: int, n_marked: int) -> int:
    """Block the items that the answer has from *begin* on."""
    for j in range(begin, answers.n[row]):
        n_marked = block(scratch, n_marked, answers.item[row, j])
    return n_marked
