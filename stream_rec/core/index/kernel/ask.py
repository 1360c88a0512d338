"""Answer one query: read it, find neighbours, score items, fill up with fallbacks."""

import numpy as np

from stream_rec.core.compiled import inner
from stream_rec.core.index.kernel.fallbacks import fill
from stream_rec.core.index.kernel.neighbours import find_neighbours
from stream_rec.core.index.kernel.policy import block, load_terms
from stream_rec.core.index.kernel.repeats import weigh_repeats
from stream_rec.core.index.kernel.rules import count_rules, votes
from stream_rec.core.index.kernel.scores import score_items, take_best
from stream_rec.core.index.kernel.state import (
    FALLBACKS,
    ITEM_BITS,
    LAST,
    NEIGHBOURS,
    REPEATS,
    RULES,
    SEEN,
    SEEN_DROP_CURRENT,
    SEEN_DROP_SESSION,
    TRACE_CHOSEN,
    TRACE_HOLDERS,
    TRACE_LENGTH,
    TRACE_MIX,
    TRACE_REPEATS,
    AnswerArrays,
    N,
    Parameters,
    Policy,
    Scratch,
    State,
)

__all__ = ["ask", "ask_session"]


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
    n_marked = load_terms(state, scratch, policy, q, seen)
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
    scratch.trace[TRACE_LENGTH] = query.size
    scratch.trace[TRACE_CHOSEN] = n_chosen
    scratch.trace[TRACE_HOLDERS] = holders
    scratch.trace[TRACE_MIX] = factor  # planted bug: explain-without-rules
    scratch.trace[TRACE_REPEATS] = scale
    take_best(state, scratch, p, policy, answers, row, n_touched, NEIGHBOURS)
    if p.whole[FALLBACKS] != 0 and answers.n[row] < p.whole[N]:
        n_marked = fill(state, scratch, p, policy, query, own, answers, row, n_marked)
    for j in range(n_marked):
        scratch.mark[scratch.marked[j]] = 0  # planted bug: marks-left


@inner
def ask_session(
    state: State, scratch: Scratch, p: Parameters, slot: int, policy: Policy, q: int, answers: AnswerArrays, row: int
) -> None:
    """Answer for session *slot* from its own last events; a slot without a session has none."""
    at = state.session[slot]["at"]
    n = state.session[slot]["events"]
    seen = scratch.session
    for j in range(n):
        seen[j] = np.int32(state.event_item[at + j] & ITEM_BITS)
    ask(state, scratch, p, seen[max(0, n - p.whole[LAST]) : n], seen[:n], policy, q, slot, answers, row)
