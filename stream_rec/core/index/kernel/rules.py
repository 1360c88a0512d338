"""Sequential rules: what came after the current item, and how soon, in the newest sessions that hold it.

A rule counts at every place of the current item, by distance. Rules and neighbours are mixed as shares of votes: the
neighbours' scores over the sum of their similarities, the rules' over the number of sessions with a rule.
"""

import numpy as np

from stream_rec.core.compiled import inner
from stream_rec.core.index.kernel.postings import SLOT
from stream_rec.core.index.kernel.scores import add
from stream_rec.core.index.kernel.state import (
    ITEM_BITS,
    RULES_M,
    Parameters,
    Scratch,
    State,
)

__all__ = ["count_rules", "votes"]


@inner
def count_rules(state: State, scratch: Scratch, p: Parameters, item: int, own: int) -> tuple[int, int]:
    """Add up the rules from *item*; return how many items have a score, and how many sessions have a rule."""
    at = state.item[item]["at"]
    stop = at + state.item[item]["start"]
    here = at + state.item[item]["end"] - 1
    left = p.whole[RULES_M]
    n_touched, n_holders = 0, 0
    while here >= stop and left > 0:
        word = state.postings[here]
        here -= 1
        slot = np.int64(word & SLOT)
        if (word & SLOT) == SLOT or slot == own:  # planted bug: follows-own-rules
            continue
        left -= 1
        n_touched, found = _count_session(state, scratch, p, item, slot, n_touched)
        n_holders += found
    return n_touched, n_holders


@inner
def _count_session(
    state: State, scratch: Scratch, p: Parameters, item: int, slot: int, n_touched: int
) -> tuple[int, bool]:
    """Add the rules of one session; return whether there was one. A repeat of the item itself is no rule."""
    first = state.session[slot]["at"]
    end = first + state.session[slot]["events"]
    found = False
    for j in range(first, end - 1):
        if np.int64(state.event_item[j] & ITEM_BITS) == item:
            for after in range(j + 1, min(end, j + p.rule.size)):
                follower = np.int64(state.event_item[after] & ITEM_BITS)
                value = p.rule[after - j]
                if follower != item and value > 0.0:
                    n_touched = add(scratch, n_touched, follower, value)
                    found = True
    return n_touched, found


@inner
def votes(scratch: Scratch, p: Parameters, n_chosen: int) -> float:
    """Return the sum of the neighbours' votes, newest first; 1 if that is 0."""
    last_match = p.match.size - 1
    total = 0.0
    for i in range(n_chosen):
        c = scratch.chosen[i]
        total += max(0.0, scratch.similarity[c] * p.match[min(scratch.step[c], last_match)])
    return total if total > 0.0 else 1.0
