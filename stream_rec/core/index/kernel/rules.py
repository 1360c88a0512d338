"""Sequential rules: what came after the current item, and how soon, in the newest sessions that hold it.

A rule counts at every place of the current item, by distance. Rules and neighbours are mixed as shares of votes: the
neighbours' scores over the sum of their similarities, the rules' over the number of sessions with a rule.
"""

import numpy as np

from stream_rec.core.compiled import inner
from stream_rec.core.index.kernel.postings import SLOT, end_of
from stream_rec.core.index.kernel.scores import add_parts
from stream_rec.core.index.kernel.state import (
    ITEM_BITS,
    RULES_M,
    TERM_UNTIL,
    Parameters,
    Scratch,
    State,
)
from stream_rec.core.index.kernel.sums import shifts, split, unit

__all__ = ["count_rules", "largest_vote", "total_votes"]


@inner
def count_rules(
    state: State, scratch: Scratch, p: Parameters, item: int, own: int, high_shift: float, low_shift: float
) -> tuple[int, int]:
    """Add up the rules from *item*; return how many items have a score, and how many sessions have a rule."""
    at = state.item[item]["at"]
    stop = at + state.item[item]["start"]
    here = end_of(state, item, scratch.term[TERM_UNTIL]) - 1
    left = p.whole[RULES_M]
    n_touched, n_holders = 0, 0
    while here >= stop and left > 0:
        word = state.postings[here]
        here -= 1
        slot = np.int64(word & SLOT)
        if (word & SLOT) == SLOT or slot == own:  # planted bug: follows-own-rules
            continue
        left -= 1
        n_touched, found = _count_session(state, scratch, p, item, slot, high_shift, low_shift, n_touched)
        n_holders += found
    return n_touched, n_holders


@inner
def _count_session(
    state: State,
    scratch: Scratch,
    p: Parameters,
    item: int,
    slot: int,
    high_shift: float,
    low_shift: float,
    n_touched: int,
) -> tuple[int, bool]:
    """Add the rules of one session; return whether there was one. A repeat of the item itself is no rule."""
    first = state.session[slot]["at"]
    end = first + state.session[slot]["events"]
    found = False
    least = unit(low_shift)
    for j in range(first, end - 1):
        if np.int64(state.event_item[j] & ITEM_BITS) == item:
            for after in range(j + 1, min(end, j + p.rule.size)):
                follower = np.int64(state.event_item[after] & ITEM_BITS)
                value = p.rule[after - j]
                if follower != item and value >= least:
                    high = split(value, high_shift)
                    low = split(value - high, low_shift)
                    n_touched = add_parts(scratch, n_touched, follower, high, low)
                    found = True
    return n_touched, found


@inner
def largest_vote(scratch: Scratch, n_chosen: int) -> float:
    """Return the largest vote of the neighbours, 0 if there is none."""
    largest = 0.0
    for i in range(n_chosen):
        largest = max(largest, scratch.vote[i])
    return largest


@inner
def total_votes(scratch: Scratch, n_chosen: int, largest: float) -> float:
    """Return the sum of the neighbours' votes, in whatever order they are; 1 if that is 0."""
    high_shift, low_shift = shifts(largest * max(n_chosen, 1), float(n_chosen))
    total, low = 0.0, 0.0
    for i in range(n_chosen):
        high = split(scratch.vote[i], high_shift)
        total += high
        low += split(scratch.vote[i] - high, low_shift)
    total += low
    return total if total > 0.0 else 1.0
