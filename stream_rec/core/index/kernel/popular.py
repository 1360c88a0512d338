"""Recently popular items: exactly decayed weights of retained events, and the best of them in order.

An event counts 2**(-age/half-life), with its age in whole 1024ths of a half-life (PARTS). Since all events decay alike,
nothing needs to be decayed: an event adds 2**(time/half-life), in units of its step, as a whole number that eviction
and forgetting subtract again without a rounding error. The order of the best TOP_SIZE items does not change with the
time. It is updated from the items that changed; all items are scanned only when a step begins or the top runs low.
"""

import math

import numpy as np

from stream_rec.core.compiled import inner
from stream_rec.core.index.kernel.state import (
    HALF_LIFE,
    N_DIRTY,
    N_TOP,
    PARTS,
    POPULAR_SLOTS,
    POPULAR_STEPS,
    POPULAR_WEIGHT,
    STEP_HALVES,
    STEP_NOW,
    TOP_COMPLETE,
    TOP_SIZE,
    TOP_VALID,
    WATERMARK,
    State,
)
from stream_rec.core.index.kernel.sums import rounded_coarsely

__all__ = ["count", "move_to", "order", "popularity", "present", "sum_of"]

_STEP_FACTOR = 0.5**STEP_HALVES
_FLOAT_LIMIT = 1 << 40  # ms
_ENOUGH_TOP = 64  # a shorter list is rebuilt, so that not every item that drops out costs a scan


@inner
def _expire_counts(state: State, item: int) -> None:
    """Zero the counts of *item* whose steps have left the window."""
    now = state.counters[STEP_NOW]
    behind = now - state.item[item]["step"]
    if behind <= 0:
        return
    for j in range(min(behind, POPULAR_SLOTS)):
        state.counts[item * POPULAR_SLOTS + (now + 1 - j) % POPULAR_SLOTS] = 0
    state.item[item]["step"] = now


@inner
def _part_of(state: State, time: int, half: int) -> int:
    """Return into which part of its half-life, *half*, *time* falls.

    Below 2**40 ms the division of floats is exact where it matters, at whole numbers, and takes a third of the time.
    """
    half_life = state.limits[HALF_LIFE]
    since = time - half * half_life
    if half_life < _FLOAT_LIMIT:
        return np.int64(float(since * PARTS) / float(half_life))
    return since * PARTS // half_life


@inner
def count(state: State, item: int, time: int, change: int) -> None:
    """Add the weight of an event at *time* to *item*, or subtract it (*change* 1 or -1), if its step still counts."""
    half = time // state.limits[HALF_LIFE]
    step = half // STEP_HALVES
    if step <= state.counters[STEP_NOW] - POPULAR_STEPS:
        return
    _expire_counts(state, item)
    weight = POPULAR_WEIGHT[_part_of(state, time, half)] << (half - step * STEP_HALVES)
    state.counts[item * POPULAR_SLOTS + step % POPULAR_SLOTS] += change * weight
    if state.item[item]["dirty"] == 0:  # planted bug: popularity-not-repaired
        state.item[item]["dirty"] = 1
        state.dirty[state.counters[N_DIRTY]] = item
        state.counters[N_DIRTY] += 1


@inner
def sum_of(state: State, item: int) -> float:
    """Return the weights of the events of *item*, in units of the present step, rounded.

    The order of items by this is that of their popularity as it is answered, at any watermark.
    """
    now = state.counters[STEP_NOW]
    behind = now - state.item[item]["step"]
    total, factor = 0.0, 1.0 / _STEP_FACTOR
    for age in range(-1, POPULAR_STEPS):  # from the step after the present one
        if age >= behind - 1:
            total += state.counts[item * POPULAR_SLOTS + (now - age) % POPULAR_SLOTS] * factor
        factor *= _STEP_FACTOR
    return rounded_coarsely(total)


@inner
def present(state: State) -> float:
    """Return the weight of an event at the watermark, in units of the present step."""
    time = state.counters[WATERMARK]
    half = time // state.limits[HALF_LIFE]
    back = half - state.counters[STEP_NOW] * STEP_HALVES
    return math.ldexp(float(POPULAR_WEIGHT[_part_of(state, time, half)]), back)  # planted bug: popularity-jumps


@inner
def popularity(state: State, item: int) -> float:
    """Return the decayed count of *item*."""
    return sum_of(state, item) / present(state)


@inner
def _beats(score: float, key: np.uint64, other_score: float, other_key: np.uint64) -> bool:
    return score > other_score or (score == other_score and key > other_key)


@inner
def _put(state: State, item: int, score: float) -> None:
    """Insert *item* into the top at its place; a full list drops its last."""
    n = state.counters[N_TOP]
    key = state.item[item]["hash"]
    low, high = 0, n
    while low < high:
        middle = (low + high) >> 1
        if _beats(state.top[middle]["score"], state.top[middle]["hash"], score, key):
            low = middle + 1
        else:
            high = middle
    if low == TOP_SIZE:
        state.counters[TOP_COMPLETE] = 0
        return
    for j in range(min(n, TOP_SIZE - 1), low, -1):
        state.top[j]["item"] = state.top[j - 1]["item"]
        state.top[j]["hash"] = state.top[j - 1]["hash"]
        state.top[j]["score"] = state.top[j - 1]["score"]
    state.top[low]["item"] = item
    state.top[low]["hash"] = key
    state.top[low]["score"] = score
    if n == TOP_SIZE:
        state.counters[TOP_COMPLETE] = 0
    else:
        state.counters[N_TOP] = n + 1


@inner
def _rebuild(state: State) -> None:
    counters = state.counters
    counters[N_TOP] = 0
    counters[TOP_COMPLETE] = 1
    counters[TOP_VALID] = 1
    for item in range(state.item.size):
        state.item[item]["dirty"] = 0
        if state.item[item]["df"] > 0 and state.item[item]["denied"] == 0:
            score = sum_of(state, item)
            if score > 0.0:
                _put(state, item, score)
    counters[N_DIRTY] = 0


@inner
def _update(state: State) -> None:
    """Move the changed items to their new places.

    The list is the best of all items down to its last entry; what is below is unknown. So a changed item stays or
    enters only if it is not below what that entry was. Each entry has the item's hash, because its ordinal may belong
    to another item by now.
    """
    counters = state.counters
    n = counters[N_TOP]
    floor_key = state.top[n - 1]["hash"] if n > 0 else np.uint64(0)
    floor_score = state.top[n - 1]["score"] if n > 0 else 0.0
    kept = 0
    for j in range(n):
        if state.item[state.top[j]["item"]]["dirty"] == 0:
            state.top[kept]["item"] = state.top[j]["item"]
            state.top[kept]["hash"] = state.top[j]["hash"]
            state.top[kept]["score"] = state.top[j]["score"]
            kept += 1
    counters[N_TOP] = kept
    for j in range(counters[N_DIRTY]):
        item = state.dirty[j]
        state.item[item]["dirty"] = 0
        if state.item[item]["df"] == 0 or state.item[item]["denied"] != 0:
            continue
        score = sum_of(state, item)
        if score <= 0.0:
            continue
        if counters[TOP_COMPLETE] == 1 or not _beats(floor_score, floor_key, score, state.item[item]["hash"]):
            _put(state, item, score)
    counters[N_DIRTY] = 0


@inner
def order(state: State, wanted: int) -> None:
    """Bring the top up to date, with *wanted* items (at most half of TOP_SIZE) if so many are popular."""
    counters = state.counters
    if counters[TOP_VALID] == 0 or counters[N_DIRTY] * 4 > state.item.size:
        _rebuild(state)
        return
    if counters[N_DIRTY] > 0:
        _update(state)
    if counters[TOP_COMPLETE] == 0 and counters[N_TOP] < min(max(wanted, _ENOUGH_TOP), TOP_SIZE // 2):
        _rebuild(state)


@inner
def move_to(state: State, time: int) -> None:
    """Begin the step of *time* if it is later than the newest; then the units of all sums change."""
    step = time // state.limits[HALF_LIFE] // STEP_HALVES
    if step > state.counters[STEP_NOW]:
        state.counters[STEP_NOW] = step
        state.counters[TOP_VALID] = 0
