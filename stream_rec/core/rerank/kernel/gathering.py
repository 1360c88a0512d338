"""From a question to its candidates, and what neighbours and holders of its items say of each.

The candidates are the model's own best, the session's own items and the items that are popular now. One walk goes over
the neighbours, one over the sessions that hold the current item, one over those that hold the item before it.
"""

import numpy as np

from stream_rec.core.compiled import inner, prefetch
from stream_rec.core.index.kernel.arithmetic import exp as plain_exp
from stream_rec.core.index.kernel.choosing import now_of
from stream_rec.core.index.kernel.policy import boosted, is_blocked
from stream_rec.core.index.kernel.postings import SLOT, end_of
from stream_rec.core.index.kernel.scores import AHEAD, take_sum, weighed
from stream_rec.core.index.kernel.state import (
    DIRECTION,
    ITEM_BITS,
    N_TOP,
    REPEATS,
    RULES_M,
    TERM_UNTIL,
    TRACE_CHOSEN,
    N,
    Parameters,
    Policy,
    Scratch,
    State,
)
from stream_rec.core.index.kernel.sums import rounded
from stream_rec.core.rerank.kernel.fields import (
    ALL_FOLLOWS,
    ALL_FRESH_FOLLOWS,
    ALL_FRESH_VOTES,
    ALL_PLACES,
    ALL_PRECEDES,
    ALL_SCORES,
    ALL_VOTES,
    BESIDE,
    FOLLOWS,
    FOLLOWS_PREVIOUS,
    FRESH_FOLLOWS,
    FRESH_MS,
    FRESH_VOTES,
    HOUR_FOLLOWS,
    HOUR_MS,
    LATER_FOLLOWS,
    MOST_BACK,
    N_SUMS,
    N_TOTALS,
    N_TRENDING,
    NEXT_VOTES,
    PRECEDES,
    RANK_DECAY,
    REACH,
    SHORT_REACH,
    VOTES,
    WINDOW,
    WITH_LATER,
    WITH_LATER_PREVIOUS,
    Room,
)

__all__ = ["forget_places", "gather", "list_candidates", "moment_of", "take_candidates"]

_exp = inner(plain_exp)
_RANKS = np.array([plain_exp(-rank / RANK_DECAY) for rank in range(512)])  # the last is below 1e-11
_INVERSE = np.array([0.0, *(1.0 / distance for distance in range(1, REACH + 1))])


@inner
def take_candidates(
    state: State, scratch: Scratch, p: Parameters, policy: Policy, room: Room, n_touched: int, divisor: float
) -> None:
    """List the best of the touched items in `room.base`, best first, and zero their scores.

    As `scores.take_best` ranks them, but through a heap: inserting hundreds in order would take longer than the query.
    """
    wanted = p.whole[N]
    n = 0
    for j in range(n_touched):
        if j + AHEAD < n_touched:
            prefetch(state.item, scratch.touched[j + AHEAD])
        item = np.int64(scratch.touched[j])
        score = take_sum(scratch, p, item)
        if is_blocked(state, scratch, policy, item):
            continue
        if p.whole[REPEATS] == 0:
            score = weighed(state, p, item, score / divisor)
        score = rounded(boosted(state, scratch, policy, item, score))
        if score <= 0.0:
            continue
        if n < wanted:
            n += 1
            _rise(state, room, n - 1, item, score)
        elif _is_below(state, np.int64(room.base.item[0, 0]), room.base.score[0, 0], item, score):
            _sink(state, room, n, item, score)
    room.base.n[0] = n
    while n > 1:  # the lowest goes to the end of what is left
        n -= 1
        item, score = np.int64(room.base.item[0, n]), room.base.score[0, n]
        room.base.item[0, n] = room.base.item[0, 0]
        room.base.score[0, n] = room.base.score[0, 0]
        _sink(state, room, n, item, score)


@inner
def _is_below(state: State, item: int, score: float, other: int, other_score: float) -> bool:
    return score < other_score or (score == other_score and state.item[item]["hash"] < state.item[other]["hash"])


@inner
def _rise(state: State, room: Room, place: int, item: int, score: float) -> None:
    """Put the item into the heap, whose root is the lowest, at *place* or above."""
    items, scores = room.base.item, room.base.score
    while place > 0:
        parent = (place - 1) >> 1
        if not _is_below(state, item, score, np.int64(items[0, parent]), scores[0, parent]):
            break
        items[0, place] = items[0, parent]
        scores[0, place] = scores[0, parent]
        place = parent
    items[0, place] = item
    scores[0, place] = score


@inner
def _sink(state: State, room: Room, n: int, item: int, score: float) -> None:
    """Put the item into the heap of *n* in place of its root."""
    items, scores = room.base.item, room.base.score
    place = 0
    while 2 * place + 1 < n:
        child = 2 * place + 1
        if child + 1 < n and _is_below(
            state, np.int64(items[0, child + 1]), scores[0, child + 1], np.int64(items[0, child]), scores[0, child]
        ):
            child += 1
        if not _is_below(state, np.int64(items[0, child]), scores[0, child], item, score):
            break
        items[0, place] = items[0, child]
        scores[0, place] = scores[0, child]
        place = child
    items[0, place] = item
    scores[0, place] = score


@inner
def gather(
    state: State, scratch: Scratch, room: Room, p: Parameters, query: np.ndarray, own: int, n: int, n_picked: int
) -> None:
    """Add up the sums of those of the *n* candidates that are picked."""
    if n_picked < n:  # what has no place is not counted
        for c in range(n):
            room.place[room.item[c]] = 0
        for i in range(n_picked):
            room.place[room.item[room.pick[i]]] = room.pick[i] + 1
    for i in range(n_picked):
        for j in range(N_SUMS):
            room.sums[room.pick[i], j] = 0.0
    for j in range(N_TOTALS):
        room.totals[j] = 0.0
    for c in range(n):
        room.totals[ALL_SCORES] += room.score[c]
    _walk_neighbours(state, scratch, room, p, query, own)
    if query.size > 0 and query[-1] >= 0:
        _walk_current(state, scratch, room, p, np.int64(query[-1]), own)
        for j in range(query.size - 2, -1, -1):
            if query[j] != query[-1]:
                if query[j] >= 0:
                    _walk_previous(state, scratch, room, p, np.int64(query[j]), own)
                break


@inner
def moment_of(state: State, scratch: Scratch, own: int) -> int:
    """Return the moment that ages are counted to, ms: when the session's newest event came, live and put back alike."""
    if scratch.term[TERM_UNTIL] == 0 and own >= 0 and state.session[own]["events"] > 0:
        return state.session[own]["last"]
    return now_of(state, scratch)


@inner
def forget_places(room: Room, n: int) -> None:
    """Zero what was written of the *n* candidates by item."""
    for c in range(n):
        room.place[room.item[c]] = 0


@inner
def list_candidates(state: State, scratch: Scratch, policy: Policy, room: Room, seen: np.ndarray) -> int:
    """List the candidates of a query with the model's own best in `room.base`; return how many there are."""
    n, most = 0, room.item.size
    for j in range(room.base.n[0]):
        item = np.int64(room.base.item[0, j])
        n = _add(room, n, item, room.base.score[0, j] / boosted(state, scratch, policy, item, 1.0))
    for back in range(min(seen.size, MOST_BACK)):
        item = np.int64(seen[seen.size - 1 - back])
        if item < 0:
            continue
        if room.place[item] == 0:
            if n == most or is_blocked(state, scratch, policy, item):
                continue
            n = _add(room, n, item, 0.0)
        c = room.place[item] - 1
        if room.back[c] < 0:
            room.back[c] = back
        room.times[c] += 1
    for j in range(min(state.counters[N_TOP], N_TRENDING)):
        item = np.int64(state.top[j]["item"])
        if n < most and room.place[item] == 0 and not is_blocked(state, scratch, policy, item):
            n = _add(room, n, item, 0.0)
    return n


@inner
def _add(room: Room, n: int, item: int, score: float) -> int:
    room.place[item] = n + 1
    room.item[n] = item
    room.score[n] = score
    room.back[n] = -1
    room.times[n] = 0
    return n + 1


@inner
def _walk_neighbours(state: State, scratch: Scratch, room: Room, p: Parameters, query: np.ndarray, own: int) -> None:
    now = moment_of(state, scratch, own)
    last = p.place.size - 1
    for i in range(np.int64(scratch.trace[TRACE_CHOSEN])):
        c = scratch.chosen[i]
        slot = scratch.candidate[c]
        vote = scratch.vote[i]
        fresh = vote * _exp(-float(max(now - state.session[slot]["last"], 0)) / FRESH_MS)
        room.totals[ALL_VOTES] += vote
        room.totals[ALL_FRESH_VOTES] += fresh
        shared = query[query.size - scratch.step[c]]
        first = state.session[slot]["at"]
        end = first + state.session[slot]["events"]
        anchor = first
        while state.event_item[anchor] != np.uint32(shared):
            anchor += 1
        for j in range(max(first, anchor - WINDOW), min(end, anchor + WINDOW + 1)):
            place = room.place[np.int64(state.event_item[j] & ITEM_BITS)] - 1
            if place < 0:
                continue
            factor = p.place[min(abs(j - anchor), last)]
            if j < anchor:
                factor *= p.real[DIRECTION]
            room.sums[place, VOTES] += vote * factor
            room.sums[place, FRESH_VOTES] += fresh * factor
            if j == anchor + 1:
                room.sums[place, NEXT_VOTES] += vote


@inner
def _walk_current(state: State, scratch: Scratch, room: Room, p: Parameters, item: int, own: int) -> None:
    now = moment_of(state, scratch, own)
    stop = state.item[item]["at"] + state.item[item]["start"]
    here = end_of(state, item, scratch.term[TERM_UNTIL]) - 1  # planted bug: learns-from-later-sessions
    n_read = 0
    while here >= stop and n_read < p.whole[RULES_M]:
        word = state.postings[here]
        here -= 1
        slot = np.int64(word & SLOT)
        if (word & SLOT) == SLOT or slot == own:
            continue
        first = state.session[slot]["at"]
        end = first + state.session[slot]["events"]
        by_rank = _RANKS[min(n_read, _RANKS.size - 1)]
        age = max(now - state.session[slot]["last"], 0)
        n_read += 1
        for j in range(first, end):
            if np.int64(state.event_item[j] & ITEM_BITS) == item:
                room.totals[ALL_PLACES] += 1.0
                _count_after(state, room, item, j, end, by_rank, age)
                _count_before(state, room, item, j, first)


@inner
def _count_after(state: State, room: Room, item: int, j: int, end: int, by_rank: float, age: int) -> None:
    has_later = False
    for after in range(j + 1, min(end, j + 1 + REACH)):
        other = np.int64(state.event_item[after] & ITEM_BITS)
        if other == item:
            continue
        has_later = True
        is_next = after == j + 1
        if is_next:
            room.totals[ALL_FOLLOWS] += 1.0
            room.totals[ALL_FRESH_FOLLOWS] += by_rank
        c = room.place[other] - 1
        if c < 0:
            continue
        room.sums[c, LATER_FOLLOWS] += _INVERSE[after - j]
        room.sums[c, BESIDE] += 1.0
        if is_next:
            room.sums[c, FOLLOWS] += 1.0
            room.sums[c, FRESH_FOLLOWS] += by_rank
            room.sums[c, HOUR_FOLLOWS] += _exp(-float(age) / HOUR_MS)
    room.totals[WITH_LATER] += has_later


@inner
def _count_before(state: State, room: Room, item: int, j: int, first: int) -> None:
    for before in range(j - 1, max(first, j - REACH) - 1, -1):
        other = np.int64(state.event_item[before] & ITEM_BITS)
        if other == item:
            continue
        if before == j - 1:
            room.totals[ALL_PRECEDES] += 1.0
        c = room.place[other] - 1
        if c < 0:
            continue
        room.sums[c, BESIDE] += 1.0
        if before == j - 1:
            room.sums[c, PRECEDES] += 1.0


@inner
def _walk_previous(state: State, scratch: Scratch, room: Room, p: Parameters, item: int, own: int) -> None:
    stop = state.item[item]["at"] + state.item[item]["start"]
    here = end_of(state, item, scratch.term[TERM_UNTIL]) - 1
    left = p.whole[RULES_M] // 2
    while here >= stop and left > 0:
        word = state.postings[here]
        here -= 1
        slot = np.int64(word & SLOT)
        if (word & SLOT) == SLOT or slot == own:
            continue
        left -= 1
        first = state.session[slot]["at"]
        end = first + state.session[slot]["events"]
        for j in range(first, end):
            if np.int64(state.event_item[j] & ITEM_BITS) != item:
                continue
            has_later = False
            for after in range(j + 1, min(end, j + 1 + SHORT_REACH)):
                other = np.int64(state.event_item[after] & ITEM_BITS)
                if other == item:
                    continue
                has_later = True
                c = room.place[other] - 1
                if c >= 0:
                    room.sums[c, FOLLOWS_PREVIOUS] += _INVERSE[after - j]
            room.totals[WITH_LATER_PREVIOUS] += has_later
