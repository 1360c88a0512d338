"""Weigh the session's own items by how often sessions repeat items.

The session's items get the share of all scores that repeats have of all events, first events of sessions excluded. So
a log without repeats recommends no item twice, and a log full of repeats mostly what was seen. After the idea of
Ren et al., "RepeatNet", AAAI 2019: first whether to repeat, then what; here counted, not trained.
"""

import numpy as np

from stream_rec.core.compiled import inner
from stream_rec.core.index.kernel.policy import is_blocked
from stream_rec.core.index.kernel.state import IN_SESSION, N_EVENTS, N_SESSION_ITEMS, N_SESSIONS, Policy, Scratch, State

__all__ = ["weigh_repeats"]


@inner
def weigh_repeats(state: State, scratch: Scratch, policy: Policy, seen: np.ndarray, n_touched: int) -> float:
    """Scale the scores of the items *seen* to their share among items that are not blocked; return the factor."""
    for item in seen:
        if item >= 0:
            scratch.mark[item] |= np.uint8(IN_SESSION)
    old, new = 0.0, 0.0
    for j in range(n_touched):
        item = scratch.touched[j]
        if is_blocked(state, scratch, policy, item):  # planted bug: repeats-count-blocked (2 lines)
            continue
        if (scratch.mark[item] & np.uint8(IN_SESSION)) == 0:
            new += scratch.score[item]
        else:
            old += scratch.score[item]
    counters = state.counters
    repeats = float(counters[N_EVENTS] - counters[N_SESSION_ITEMS])
    others = float(counters[N_SESSION_ITEMS] - counters[N_SESSIONS])
    factor = 1.0
    if old > 0.0 and new > 0.0 and others > 0.0:
        factor = (repeats * new) / (others * old)
        for j in range(n_touched):
            item = scratch.touched[j]
            if (scratch.mark[item] & np.uint8(IN_SESSION)) != 0:
                scratch.score[item] *= factor
    for item in seen:
        if item >= 0:
            scratch.mark[item] &= ~np.uint8(IN_SESSION)
    return factor
