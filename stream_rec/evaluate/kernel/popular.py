"""All-time popularity as a baseline: counts of events since the start, with the most popular items in order.

Counts only grow, so an item enters the ordered top only when its own count grows. The top is exact at every moment, and
costs a few steps per event. Equal counts: the larger hash first.
"""

from typing import NamedTuple

from stream_rec.core.compiled import entry, inner
from stream_rec.core.dtypes import I32, I64, U8, U64

__all__ = ["PopularityCounts", "count_and_answer"]


KEEP, DROP_CURRENT, DROP_SESSION = range(3)


class PopularityCounts(NamedTuple):
    """Event counts of items, and the most popular items."""

    events: I64  # [I] events of each item
    hash: U64  # [I]
    denied: U8  # [I]
    at: I32  # [I] rank in `top` from 0, -1 if not in it
    top: I32  # [T] most popular first
    size: I64  # [1] items in `top`


@inner
def _beats(state: PopularityCounts, item: int, other: int) -> bool:
    a, b = state.events[item], state.events[other]
    return a > b or (a == b and state.hash[item] > state.hash[other])


@inner
def _count(state: PopularityCounts, item: int) -> None:
    """Count an event of *item*, and move it up to its rank."""
    state.events[item] += 1
    if state.denied[item] != 0:
        return
    place = state.at[item]
    if place < 0:
        place = state.size[0]
        if place == state.top.size:
            place -= 1
            fallen = state.top[place]
            if not _beats(state, item, fallen):
                return
            state.at[fallen] = -1
        else:
            state.size[0] += 1
    while place > 0 and _beats(state, item, state.top[place - 1]):
        state.top[place] = state.top[place - 1]
        state.at[state.top[place]] = place
        place -= 1
    state.top[place] = item
    state.at[item] = place


@entry
def count_and_answer(
    state: PopularityCounts,
    item: I32,
    asks: U8,
    learns: U8,
    seen: int,
    session: I32,
    begin: I64,
    end: I64,
    blocked: U8,
    answer: I32,
    n: I32,
) -> None:
    """Answer with the top before each event that `asks` marks, then count the event if `learns` marks it.

    The items of its session so far are session[begin:end]. `blocked`, [I], is all zero before and after.
    """
    for i in range(item.size):
        if asks[i] != 0:
            first = end[i] if seen == KEEP else max(begin[i], end[i] - 1) if seen == DROP_CURRENT else begin[i]
            for j in range(first, end[i]):
                blocked[session[j]] = 1
            n[i] = 0
            for place in range(state.size[0]):
                if n[i] == answer.shape[1]:
                    break
                if blocked[state.top[place]] == 0:
                    answer[i, n[i]] = state.top[place]
                    n[i] += 1
            for j in range(first, end[i]):
                blocked[session[j]] = 0
        if learns[i] != 0:
            _count(state, item[i])
