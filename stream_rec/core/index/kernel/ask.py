"""One answer: query, neighbours, scores and fallbacks in turn."""

import numpy as np

from stream_rec.core.compiled import inner
from stream_rec.core.index.kernel.fallbacks import fill
from stream_rec.core.index.kernel.neighbours import find_neighbours
from stream_rec.core.index.kernel.policy import begin_policy, block
from stream_rec.core.index.kernel.repeats import weigh_repeats
from stream_rec.core.index.kernel.rules import count_rules, votes
from stream_rec.core.index.kernel.scores import score_items, take_best
from stream_rec.core.index.kernel.state import (
    FALLBACKS,
    ITEM_MASK,
    LAST,
    NEIGHBOURS,
    REPEATS,
    RULES,
    SEEN,
    SEEN_DROP_CURRENT,
    SEEN_DROP_SESSION,
    TRAIL_CHOSEN,
    TRAIL_HOLDERS,
    TRAIL_LENGTH,
    TRAIL_MIX,
    TRAIL_REPEATS,
    AnswerArrays,
    N,
    Parameters,
    Policy,
    Scratch,
    State,
)

ITEM_BITS = np.uint32(ITEM_MASK)


@inner
def ask(
    state: State,
    scratch: Scratch,
    p: Parameters,
    query: np.ndarray,
    seen: np.ndarray,
    policy: Policy,
    q: int,
    own: int,
    answers: AnswerArrays,
    row: int,
) -> None:
    """Answer one query into *row*.

    `query` is its last events, oldest first; `seen` the items the seen-policy is about (the last is the current one);
    `q` tells which of the policy's terms hold; `own` the slot that is nobody's neighbour, -1 for none.
    """
    answers.n[row] = 0
    n_marked = begin_policy(state, scratch, policy, q, seen)
    if p.whole[SEEN] == SEEN_DROP_SESSION:
        for item in seen:
            n_marked = block(scratch, n_marked, item)
    elif p.whole[SEEN] == SEEN_DROP_CURRENT and seen.size > 0:
        n_marked = block(scratch, n_marked, seen[-1])

    share = p.real[RULES]
    n_chosen = 0 if share == 1.0 else find_neighbours(state, scratch, p, query, own)
    n_touched, holders, factor, scale = 0, 0, 1.0, 1.0
    if share > 0.0 and query.size > 0 and query[-1] >= 0:
        n_touched, holders = count_rules(state, scratch, p, query[-1], own)
        if holders > 0:
            factor = (1.0 - share) * holders / (share * votes(scratch, p, n_chosen))
    n_touched = score_items(state, scratch, p, query, n_chosen, factor, n_touched)
    if p.whole[REPEATS] != 0:
        scale = weigh_repeats(state, scratch, policy, seen, n_touched)
    scratch.trail[TRAIL_LENGTH] = query.size
    scratch.trail[TRAIL_CHOSEN] = n_chosen
    scratch.trail[TRAIL_HOLDERS] = holders
    scratch.trail[TRAIL_MIX] = factor
    scratch.trail[TRAIL_REPEATS] = scale
    take_best(state, scratch, p, policy, answers, row, n_touched, NEIGHBOURS)
    if p.whole[FALLBACKS] != 0 and answers.n[row] < p.whole[N]:
        n_marked = fill(state, scratch, p, policy, query, own, answers, row, n_marked)
    for j in range(n_marked):
        scratch.mark[scratch.marked[j]] = 0


@inner
def ask_session(
    state: State, scratch: Scratch, p: Parameters, slot: int, policy: Policy, q: int, answers: AnswerArrays, row: int
) -> None:
    """Answer for a session as it stands, from its own last events; an empty slot has none."""
    at = state.session[slot]["at"]
    n = state.session[slot]["events"]
    seen = scratch.session
    for j in range(n):
        seen[j] = np.int32(state.event_item[at + j] & ITEM_BITS)
    ask(state, scratch, p, seen[max(0, n - p.whole[LAST]) : n], seen[:n], policy, q, slot, answers, row)
