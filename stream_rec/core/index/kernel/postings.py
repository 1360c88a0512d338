"""Posting lists: each item's sessions, newest last, in blocks of one arena.

Knows nothing of events, queries or scores. A session that grows leaves a dead posting behind and is appended again.
The dead postings near the end of a list, where queries read, are removed once they are a quarter of what is read. So
upkeep costs about four sequential moves for each dead posting.
"""

import numpy as np

from stream_rec.core.compiled import inner
from stream_rec.core.index.kernel.state import BASE, DEAD, POSTINGS_TOP, SHIFT, SLOT_BITS, State

__all__ = [
    "BITS",
    "SLOT",
    "block_size",
    "end_of",
    "ensure_capacity",
    "free_block",
    "insert",
    "is_older",
    "posting",
    "reframe",
    "remove",
    "size_index",
]

BITS = np.uint64(SLOT_BITS)
SLOT = np.uint64(DEAD)
_NEAR_END = 4096  # postings from the end within which dead ones are counted and removed
_MANY_DEAD = 8  # fewer are not worth a pass


@inner
def block_size(k: int) -> int:
    """Return the size of block size *k*: 2, 3, 4, 6, 8, 12, 16, ..."""
    half = k >> 1
    return (3 << half) if k & 1 else (2 << half)


@inner
def size_index(size: int) -> int:
    """Return the smallest k with block_size(k) >= *size*."""
    k = 0
    while block_size(k) < size:
        k += 1
    return k


@inner
def posting(state: State, time: int, slot: int) -> np.uint64:
    """Return the posting of session *slot* with its last event at *time*."""
    counters = state.counters
    framed = (time - counters[BASE]) >> counters[SHIFT]
    return (np.uint64(framed) << BITS) | np.uint64(slot)


@inner
def is_older(state: State, slot: int, other: int) -> bool:
    """Return whether session *slot* comes before session *other* in the total order."""
    a, b = state.session[slot]["last"], state.session[other]["last"]
    if a != b:
        return a < b
    return state.session[slot]["hash"] < state.session[other]["hash"]  # planted bug: ties-by-ordinal


@inner
def end_of(state: State, item: int, until: int) -> int:
    """Return the place behind the newest posting of *item* with a framed time before *until*; 0 is any time."""
    low = state.item[item]["at"] + state.item[item]["start"]
    high = state.item[item]["at"] + state.item[item]["end"]
    if until == 0:
        return high
    bound = np.uint64(until)
    while low < high:
        middle = (low + high) >> 1
        if (state.postings[middle] >> BITS) < bound:
            low = middle + 1
        else:
            high = middle
    return low


@inner
def ensure_capacity(state: State, item: int) -> bool:
    """Ensure that *item* can take one more posting; False if the arena must grow first. Changes no answer."""
    end = state.item[item]["end"]
    capacity = state.item[item]["capacity"]
    if end < capacity:
        return True
    at = state.item[item]["at"]
    start = state.item[item]["start"]
    live = state.item[item]["df"]
    if capacity > 0 and (end - live) * 4 >= capacity:
        _compact(state, item, start, 0)
        return True
    k = size_index(capacity + 1)
    block = state.posting_blocks[k]
    if block >= 0:
        state.posting_blocks[k] = np.int64(state.postings[block])
    else:
        block = state.counters[POSTINGS_TOP]
        if block + block_size(k) > state.postings.size:
            return False
        state.counters[POSTINGS_TOP] = block + block_size(k)
    for j in range(start, end):
        state.postings[block + j - start] = state.postings[at + j]
    free_block(state, item)
    state.item[item]["at"] = block
    state.item[item]["capacity"] = block_size(k)
    state.item[item]["start"] = 0
    state.item[item]["end"] = end - start
    state.item[item]["low"] -= start
    return True


@inner
def free_block(state: State, item: int) -> None:
    """Return the block of *item* to the arena."""
    capacity = state.item[item]["capacity"]
    if capacity > 0:
        k = size_index(capacity)
        at = state.item[item]["at"]
        state.postings[at] = np.uint64(state.posting_blocks[k])
        state.posting_blocks[k] = at
        state.item[item]["capacity"] = 0


@inner
def _compact(state: State, item: int, begin: int, to: int) -> None:
    """Move the live postings from *begin* on to *to* <= *begin*, in order, and end the list after them."""
    at = state.item[item]["at"]
    postings = state.postings
    write = at + to
    for read in range(at + begin, at + state.item[item]["end"]):
        word = postings[read]
        postings[write] = word
        write += (word & SLOT) != SLOT
    state.item[item]["end"] = write - at
    if begin == state.item[item]["start"]:
        state.item[item]["start"] = to
    state.item[item]["dead"] = 0
    state.item[item]["low"] = write - at


@inner
def _place(state: State, item: int, word: np.uint64, slot: int) -> int:
    """Return the first index in the list of *item* whose session is not older than *slot*, by binary search."""
    at = state.item[item]["at"]
    postings = state.postings
    time = word >> BITS
    low = state.item[item]["start"]
    high = state.item[item]["end"]
    # Most postings that are searched for are near the end: double the reach from there.
    reach = 1
    while high - reach > low and (postings[at + high - reach] >> BITS) >= time:
        reach *= 2
    low = max(low, high - reach)
    while low < high:
        middle = (low + high) >> 1
        probe = middle
        # A dead posting has a time but no session; the next live one decides.
        while probe < high and (postings[at + probe] & SLOT) == SLOT and (postings[at + probe] >> BITS) == time:
            probe += 1
        if probe == high:
            high = middle
            continue
        other = postings[at + probe]
        if (other >> BITS) < time or ((other >> BITS) == time and is_older(state, np.int64(other & SLOT), slot)):
            low = probe + 1
        else:
            high = middle
    return low


@inner
def insert(state: State, item: int, slot: int) -> None:
    """Add a posting for session *slot* at its place; `ensure_capacity` must have returned True just before."""
    at = state.item[item]["at"]
    postings = state.postings
    end = state.item[item]["end"]
    word = posting(state, state.session[slot]["last"], slot)
    state.item[item]["df"] += 1
    if end == state.item[item]["start"] or (postings[at + end - 1] >> BITS) < (word >> BITS):
        postings[at + end] = word
        state.item[item]["end"] = end + 1
        return
    place = _place(state, item, word, slot)
    if place > state.item[item]["start"] and (postings[at + place - 1] & SLOT) == SLOT:
        postings[at + place - 1] = word
        _count_dead_off(state, item, place - 1)
        return
    while place <= end:
        carried = postings[at + place] if place < end else word
        postings[at + place] = word
        if place == end:
            state.item[item]["end"] = end + 1
            return
        if (carried & SLOT) == SLOT:
            _count_dead_off(state, item, place)
            return
        word = carried
        place += 1


@inner
def _count_dead_off(state: State, item: int, index: int) -> None:
    if index >= state.item[item]["low"] and state.item[item]["dead"] > 0:
        state.item[item]["dead"] -= 1


@inner
def _find(state: State, item: int, slot: int) -> int:
    """Return the index of the posting of session *slot* in the list of *item*; its `last` must be unchanged."""
    at = state.item[item]["at"]
    postings = state.postings
    start = state.item[item]["start"]
    end = state.item[item]["end"]
    word = posting(state, state.session[slot]["last"], slot)
    for j in range(end - 1, max(start, end - 8) - 1, -1):
        if postings[at + j] == word:
            return j
    j = _place(state, item, word, slot)
    while postings[at + j] != word:  # only dead postings of the same time can lie between
        j += 1
    return j


@inner
def remove(state: State, item: int, slot: int, is_oldest: bool) -> None:
    """Remove session *slot* from the list of *item*; its `last` must be the one that it was inserted with.

    An evicted session is the oldest in all its lists (*is_oldest*) and is at their start; others are searched for
    from the end.
    """
    state.item[item]["df"] -= 1
    if state.item[item]["df"] == 0:
        state.item[item]["start"] = 0
        state.item[item]["end"] = 0
        state.item[item]["dead"] = 0
        state.item[item]["low"] = 0
    elif is_oldest:
        at = state.item[item]["at"]
        start = state.item[item]["start"]
        while (state.postings[at + start] & SLOT) == SLOT:
            start += 1
        state.item[item]["start"] = start + 1
    else:
        _bury(state, item, _find(state, item, slot))


@inner
def _bury(state: State, item: int, index: int) -> None:
    """Mark the posting at *index* dead, and compact the end of the list once that pays."""
    at = state.item[item]["at"]
    end = state.item[item]["end"]
    if index == end - 1:
        while (state.postings[at + end - 2] & SLOT) == SLOT:  # a live posting comes before: df > 0
            end -= 1
        state.item[item]["end"] = end - 1
        return
    state.postings[at + index] |= SLOT
    if end - index > _NEAR_END:
        return
    state.item[item]["low"] = min(index, state.item[item]["low"]) if state.item[item]["dead"] > 0 else index
    state.item[item]["dead"] += 1
    # planted bug: compaction-revives
    low = max(state.item[item]["low"], state.item[item]["start"])  # what is before the start has been evicted
    if state.item[item]["dead"] >= _MANY_DEAD and state.item[item]["dead"] * 4 >= end - low:
        _compact(state, item, low, low)


@inner
def reframe(state: State, base: int, shift: int) -> None:
    """Rewrite the time of every live posting for a new frame, from the exact times of the sessions."""
    for item in range(state.item.size):
        if state.item[item]["df"] == 0:
            continue
        start = state.item[item]["start"]
        _compact(state, item, start, start)
        at = state.item[item]["at"]
        for j in range(at + start, at + state.item[item]["end"]):
            slot = state.postings[j] & SLOT
            time = (state.session[np.int64(slot)]["last"] - base) >> shift
            state.postings[j] = (np.uint64(time) << BITS) | slot
    state.counters[BASE] = base
    state.counters[SHIFT] = shift
