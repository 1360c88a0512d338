"""Weigh the session's own items by how often sessions repeat items.

The session's items get the share of all scores, as they would be answered, that repeats have of all events, first
events of sessions excluded. So a log without repeats recommends no item twice, and a log full of repeats mostly what
was seen. After the idea of Ren et al., "RepeatNet", AAAI 2019: first whether to repeat, then what; here counted, not
trained.
"""

import numpy as np

from stream_rec.core.compiled import inner
from stream_rec.core.index.kernel.policy import is_blocked
from stream_rec.core.index.kernel.scores import largest_rarity, place_of, take_sum, weighed
from stream_rec.core.index.kernel.state import (
    IN_SESSION,
    N_EVENTS,
    N_SESSION_ITEMS,
    N_SESSIONS,
    Parameters,
    Policy,
    Scratch,
    State,
)
from stream_rec.core.index.kernel.sums import shifts, split

__all__ = ["weigh_repeats"]


@inner
def weigh_repeats(
    state: State,
    scratch: Scratch,
    p: Parameters,
    policy: Policy,
    seen: np.ndarray,
    n_touched: int,
    divisor: float,
    largest: float,
) -> float:
    """Complete the scores, and scale those of the items *seen* to their share among items that are not blocked.

    Return the factor. The sums of terms, at most *largest*, are divided by *divisor* and weighed by rarity. Without any
    repeat the factor is 0; it is 1 if there is nothing to share with: if no other item has a score.
    """
    for item in seen:
        if item >= 0:
            scratch.mark[item] |= np.uint8(IN_SESSION)
    rarity = largest_rarity(state, p)
    high_shift, low_shift = shifts(largest / divisor * rarity * max(n_touched, 1), float(n_touched))
    old, old_low, new, new_low = 0.0, 0.0, 0.0, 0.0
    for j in range(n_touched):
        item = scratch.touched[j]
        score = take_sum(scratch, p, item) / divisor
        score = weighed(state, p, item, score)  # planted bug: repeats-before-idf (2 lines)
        scratch.score[place_of(p, item)] = score
        if is_blocked(state, scratch, policy, item):  # planted bug: repeats-count-blocked (2 lines)
            continue
        high = split(score, high_shift)
        if (scratch.mark[item] & np.uint8(IN_SESSION)) == 0:
            new += high
            new_low += split(score - high, low_shift)
        else:
            old += high
            old_low += split(score - high, low_shift)
    old += old_low
    new += new_low
    counters = state.counters
    repeats = float(counters[N_EVENTS] - counters[N_SESSION_ITEMS])
    others = float(counters[N_SESSION_ITEMS] - counters[N_SESSIONS])
    factor = 1.0
    if repeats == 0.0:  # planted bug: repeats-without-repeats
        factor = 0.0
    elif old > 0.0 and new > 0.0 and others > 0.0:
        factor = (repeats * new) / (others * old)
    for item in seen:
        if item >= 0 and (scratch.mark[item] & np.uint8(IN_SESSION)) != 0:
            scratch.score[place_of(p, item)] *= factor
            scratch.mark[item] &= ~np.uint8(IN_SESSION)
    return factor
