"""Answer one query: read it, find neighbours, score items, fill up with fallbacks."""

import numpy as np

from stream_rec.core.compiled import inner
from stream_rec.core.index.kernel.fallbacks import fill
from stream_rec.core.index.kernel.neighbours import find_neighbours, votes_divisor
from stream_rec.core.index.kernel.policy import block, load_terms
from stream_rec.core.index.kernel.repeats import weigh_repeats
from stream_rec.core.index.kernel.rules import count_rules, largest_vote, total_votes
from stream_rec.core.index.kernel.scores import score_items, take_best
from stream_rec.core.index.kernel.state import (
    EVERY_TIME,
    FALLBACKS,
    ITEM_BITS,
    LAST,
    MATCH_DENOMINATOR,
    MAX_SESSION_EVENTS,
    MIXED_TERMS,
    MIXED_TOTAL,
    NEIGHBOURS,
    REPEATS,
    RULES,
    SEEN,
    SEEN_DROP_CURRENT,
    SEEN_DROP_SESSION,
    TRACE_CHOSEN,
    TRACE_DISTINCT,
    TRACE_HOLDERS,
    TRACE_LENGTH,
    TRACE_MIX,
    TRACE_REPEATS,
    WHOLE_LIMIT,
    AnswerArrays,
    N,
    Parameters,
    Policy,
    Scratch,
    State,
)
from stream_rec.core.index.kernel.sums import shifts

__all__ = ["ask", "ask_session", "read_session", "score_query"]


@inner
def score_query(
    state: State, scratch: Scratch, p: Parameters, query: np.ndarray, seen: np.ndarray, policy: Policy, q: int, own: int
) -> tuple[int, int, float]:
    """Add up the scores of all items that neighbours or rules bring; see `ask`.

    Returns how many items are marked, how many have a score, and what the scores are still to be divided by.
    """
    n_marked = load_terms(state, scratch, policy, q, seen)
    if p.whole[SEEN] == SEEN_DROP_SESSION:
        for item in seen:
            n_marked = block(scratch, n_marked, item)
    elif p.whole[SEEN] == SEEN_DROP_CURRENT and seen.size > 0:
        n_marked = block(scratch, n_marked, seen[-1])

    share = p.real[RULES]
    n_chosen = 0 if share == 1.0 else find_neighbours(state, scratch, p, query, own)
    largest = largest_vote(scratch, n_chosen)
    n_touched, holders, factor, scale = 0, 0, 1.0, 1.0
    high_shift, low_shift = WHOLE_LIMIT, 0.0
    if share > 0.0 and query.size > 0 and query[-1] >= 0:
        high_shift, low_shift = shifts(p.real[MIXED_TOTAL], p.real[MIXED_TERMS])
        n_touched, holders = count_rules(state, scratch, p, query[-1], own, high_shift, low_shift)
        if holders > 0:
            factor = (1.0 - share) * holders / (share * total_votes(scratch, n_chosen, largest))
    if holders == 0 and p.whole[MATCH_DENOMINATOR] == 0:
        n_terms = float(n_chosen)
        if p.whole[EVERY_TIME] != 0:
            n_terms *= state.limits[MAX_SESSION_EVENTS]
        high_shift, low_shift = shifts(largest * n_terms, n_terms)
    n_touched = score_items(state, scratch, p, query, n_chosen, factor, largest, high_shift, low_shift, n_touched)
    distinct = np.int64(scratch.trace[TRACE_DISTINCT]) if n_chosen > 0 else 1
    divisor = votes_divisor(p, query.size, distinct) if n_chosen > 0 else 1.0
    if p.whole[REPEATS] != 0:
        scale = weigh_repeats(state, scratch, p, policy, seen, n_touched, divisor, high_shift)
    scratch.trace[TRACE_LENGTH] = query.size
    scratch.trace[TRACE_CHOSEN] = n_chosen
    scratch.trace[TRACE_HOLDERS] = holders
    scratch.trace[TRACE_MIX] = factor  # planted bug: explain-without-rules
    scratch.trace[TRACE_REPEATS] = scale
    return n_marked, n_touched, divisor


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

    `query` is its last events, oldest first. `seen` are the items of the seen-policy; the last is the current one.
    `q` is the row of the policy's terms. `own` is the session that may not be a neighbour, -1 for none.
    """
    answers.n[row] = 0
    n_marked, n_touched, divisor = score_query(state, scratch, p, query, seen, policy, q, own)
    take_best(state, scratch, p, policy, answers, row, n_touched, NEIGHBOURS, divisor)
    if p.whole[FALLBACKS] != 0 and answers.n[row] < p.whole[N]:
        n_marked = fill(state, scratch, p, policy, query, own, answers, row, n_marked)
    for j in range(n_marked):
        scratch.mark[scratch.marked[j]] = 0  # planted bug: marks-left


@inner
def ask_session(
    state: State, scratch: Scratch, p: Parameters, slot: int, policy: Policy, q: int, answers: AnswerArrays, row: int
) -> None:
    """Answer for session *slot* from its own last events; a slot without a session has none."""
    n = read_session(state, scratch, slot)
    seen = scratch.session
    ask(state, scratch, p, seen[max(0, n - p.whole[LAST]) : n], seen[:n], policy, q, slot, answers, row)


@inner
def read_session(state: State, scratch: Scratch, slot: int) -> int:
    """Write the items of session *slot*, oldest first, to `scratch.session`; return how many there are."""
    at = state.session[slot]["at"]
    n = state.session[slot]["events"]
    for j in range(n):
        scratch.session[j] = np.int32(state.event_item[at + j] & ITEM_BITS)
    return n
