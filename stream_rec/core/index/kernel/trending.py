"""What trends: items whose share of the newest events is larger than their share of all that popularity counts.

With a(i) the events of item i decayed by a short half-life, b(i) those decayed by the half-life of popularity, and A
and B the sums over all items, i has A b(i) / B events where its share has not changed. Its score is by how much a(i) is
more, in standard deviations of a Poisson variable, with one event more expected than was counted, so that a single
click is no trend: (a - e) / sqrt(e + 1), after the Poisson model of Hendrickson et al., "Trend detection in social
data" (Gnip, 2015).

Nothing of it is stored: the short counts are added up, in whole numbers, from the retained events. So eviction and
forgetting leave no trace, and no event costs more than before.
"""

import math

import numpy as np

from stream_rec.core.compiled import inner
from stream_rec.core.dtypes import F64, I64
from stream_rec.core.index.kernel import popular
from stream_rec.core.index.kernel.arithmetic import exp
from stream_rec.core.index.kernel.session_events import item_of
from stream_rec.core.index.kernel.state import (
    NEVER,
    PARTS,
    POPULAR_SLOTS,
    POPULAR_STEPS,
    STEP_HALVES,
    STEP_NOW,
    WATERMARK,
    State,
)
from stream_rec.core.index.kernel.sums import rounded

__all__ = ["score_trends"]

# A weight is 2**-age, the age in whole PARTS of a half-life, in units of 2**-30: after 30 half-lives it is 0. A sum has
# space for 2**33 events.
_BITS = 30
_UNIT = float(1 << _BITS)
_DECAYED = np.array([math.floor(exp(-part / PARTS * 0.6931471805599453) * _UNIT + 0.5) for part in range(PARTS)])
_STEP_FACTOR = 0.5**STEP_HALVES
_ROUNDING = 0.5**18  # the weights of popularity have 20 binary places: a smaller excess says nothing


@inner
def _add_recent(state: State, half_life: int, recent: I64) -> int:
    """Add the weights of the newest events to those of their items, *recent*; return their sum."""
    now = state.counters[WATERMARK]
    since = now - (_BITS + 1) * half_life
    now_part = now * PARTS // half_life
    total = 0
    for slot in range(state.session.size):
        if state.session[slot]["events"] == 0 or state.session[slot]["last"] < since:
            continue
        at = state.session[slot]["at"]
        for j in range(at + state.session[slot]["events"] - 1, at - 1, -1):
            time = state.event_time[j]
            if time < since:
                break
            age = max(now_part - time * PARTS // half_life, 0)  # an event may be a little ahead of the watermark
            weight = _DECAYED[age % PARTS] >> min(age // PARTS, _BITS + 1)  # planted bug: trend-jumps
            recent[item_of(state, j)] += weight
            total += weight
    return total


@inner
def _add_counts(state: State, total: I64) -> float:
    """Add up the counts of all items by their age in steps, in *total*; return their sum in units of the present step.

    Whole numbers first, since a sum of floats would depend on the order of the items.
    """
    now = state.counters[STEP_NOW]
    for item in range(state.item.size):
        if state.item[item]["df"] > 0:
            behind = now - state.item[item]["step"]
            for age in range(max(behind - 1, -1), POPULAR_STEPS):
                total[age + 1] += state.counts[item * POPULAR_SLOTS + (now - age) % POPULAR_SLOTS]
    whole, factor = 0.0, 1.0 / _STEP_FACTOR
    for age in range(POPULAR_STEPS + 1):
        whole += total[age] * factor
        factor *= _STEP_FACTOR
    return whole


@inner
def score_trends(state: State, half_life: int, recent: I64, total: I64, score: F64) -> None:
    """Write the score of each item, 0 for one that does not trend. *recent*, [I], and *total*, [POPULAR_SLOTS], are 0.

    O(session ordinals + item ordinals + events of 30 half-lives).
    """
    if state.counters[WATERMARK] == NEVER:
        return
    of_all = _add_recent(state, half_life, recent)
    counted = _add_counts(state, total)
    if of_all == 0 or counted <= 0.0:
        return
    share = (float(of_all) / _UNIT) / counted
    for item in range(state.item.size):
        if recent[item] > 0:
            expected = popular.sum_of(state, item) * share
            above = float(recent[item]) / _UNIT - expected
            if above > expected * _ROUNDING:
                score[item] = rounded(above / math.sqrt(expected + 1.0))
