"""From a query to its neighbours: distinct items, candidates newest first, the k most similar.

All posting lists share one order. So a merge of the query's lists from their ends meets each candidate session once,
newest first, in all of its lists at the same time: its similarity is then complete, and the work ends at the m-th
candidate. For a sample other than the newest m, the merge meets all candidates and keeps the best m by another key.

A merge compares all lists' heads for each candidate, and no processor predicts how that turns out. So the newest m are
taken in slabs: all lists are read down to one time, one list after the other, and a small hash table adds up what they
have of each session. Only where one time has more postings than a slab, these are merged.
"""

import numpy as np

from stream_rec.core.compiled import inner, prefetch
from stream_rec.core.index.kernel.choosing import choose, norm, vote
from stream_rec.core.index.kernel.postings import BITS, SLOT, end_of, is_older
from stream_rec.core.index.kernel.sampling import is_candidate, key_of, sample
from stream_rec.core.index.kernel.slabs import keep_newest
from stream_rec.core.index.kernel.state import (
    AGE,
    IN_QUERY,
    MATCH_DENOMINATOR,
    MIN_TYPE_WEIGHT,
    NORMALISE,
    NORMALISE_COSINE,
    NORMALISE_QUERY,
    REQUIRES,
    SAMPLE_RECENT,
    SAMPLING,
    SLAB_ROOM,
    SLAB_TABLE,
    TERM_UNTIL,
    TRACE_DISTINCT,
    WEIGHT,
    WEIGHT_AFTER,
    WEIGHT_DISTINCT,
    WEIGHT_LINEAR,
    WEIGHT_QUADRATIC,
    WEIGHT_SAME,
    M,
    Parameters,
    Scratch,
    State,
)

__all__ = ["find_neighbours", "votes_divisor"]

_LARGEST_SLAB = 48  # postings of a list
_LEAST_SLAB = 4
_MOST_LISTS = SLAB_ROOM // _LEAST_SLAB  # more are merged
_SPREAD = np.uint64(2654435761)  # multiplicative hashing (Knuth)
_SPREAD_SHIFT = np.uint64(20)


@inner
def _weight(p: Parameters, position: int, length: int) -> float:
    """Return the weight of the query's item at *position* (1 is the oldest): its numerator over `_denominator`."""
    kind = p.whole[WEIGHT]
    if kind == WEIGHT_SAME:
        return 1.0
    if kind in (WEIGHT_LINEAR, WEIGHT_DISTINCT):
        return float(position)
    if kind == WEIGHT_QUADRATIC:
        return float(position) * float(position)
    if kind == WEIGHT_AFTER:
        return float(position + 1)
    return p.weight[min(length - position, p.weight.size - 1)]


@inner
def _denominator(p: Parameters, length: int, distinct: int) -> float:
    """Return the denominator of all weights, 1 if they are no fractions."""
    kind = p.whole[WEIGHT]
    if kind == WEIGHT_DISTINCT:
        return float(distinct)
    if kind == WEIGHT_QUADRATIC:
        return float(length) * float(length)
    return float(length) if kind in (WEIGHT_LINEAR, WEIGHT_AFTER) else 1.0


@inner
def votes_divisor(p: Parameters, length: int, distinct: int) -> float:
    """Return what votes that are whole numbers must be divided by; 1 if votes are real numbers."""
    if p.whole[MATCH_DENOMINATOR] == 0:
        return 1.0
    divisor = _denominator(p, length, distinct) * p.whole[MATCH_DENOMINATOR]
    return divisor * distinct if p.whole[NORMALISE] == NORMALISE_QUERY else divisor


@inner
def _read_query(scratch: Scratch, p: Parameters, query: np.ndarray) -> int:
    """Write the query's distinct items, newest first, each at its newest place, with their weights; return U.

    Items that no session holds are negative, equal ones equal: they count for U and have no list.
    """
    n = 0
    length = query.size
    for j in range(length - 1, -1, -1):
        item = query[j]
        is_repeat = False
        if item >= 0:
            is_repeat = (scratch.mark[item] & IN_QUERY) != 0
            scratch.mark[item] |= IN_QUERY
        else:
            for later in range(j + 1, length):
                is_repeat |= query[later] == item
        if not is_repeat:
            scratch.query[n]["item"] = item
            scratch.query[n]["step"] = length - j
            n += 1
    for j in range(n):
        if scratch.query[j]["item"] >= 0:
            scratch.mark[scratch.query[j]["item"]] ^= IN_QUERY
        position = length - scratch.query[j]["step"] + 1
        scratch.query[j]["weight"] = _weight(p, position, length)
    return n


@inner
def _open_heads(state: State, scratch: Scratch, distinct: int) -> int:
    """Find the newest live posting of each of the query's lists; return how many lists have one."""
    n = 0
    until = scratch.term[TERM_UNTIL]
    for j in range(distinct):
        item = scratch.query[j]["item"]
        if item >= 0:
            prefetch(state.postings, state.item[item]["at"] + state.item[item]["end"] - 1)
    for j in range(distinct):
        item = scratch.query[j]["item"]
        if item < 0:
            continue
        at = state.item[item]["at"]
        stop = at + state.item[item]["start"]
        here = end_of(state, item, until) - 1
        while here >= stop and (state.postings[here] & SLOT) == SLOT:
            here -= 1
        if here >= stop:
            scratch.head[n] = state.postings[here]
            scratch.lists[n]["at"] = here
            scratch.lists[n]["stop"] = stop
            scratch.lists[n]["query"] = j
            n += 1
    return n


@inner
def _merge(
    state: State, scratch: Scratch, p: Parameters, n: int, n_heads: int, own: int, until: np.uint64
) -> tuple[int, int]:
    """Merge the lists from the newest end into more candidates, newest first, down to the framed time *until*.

    *n* there are already. At most m if the sample is the newest, else all. Returns how many candidates there are, and
    how many lists are not yet read to their start.
    """
    is_recent = p.whole[SAMPLING] == SAMPLE_RECENT
    m = p.whole[M] if is_recent else state.session.size
    is_filtered = p.whole[REQUIRES] != 0 or p.real[MIN_TYPE_WEIGHT] > 0.0
    postings = state.postings
    head = scratch.head
    while n < m and n_heads > 0:
        newest = head[0] >> BITS
        for j in range(1, n_heads):
            newest = max(newest, head[j] >> BITS)
        if newest < until:
            break
        best = np.uint64(0)
        n_match = 0
        for j in range(n_heads):
            word = head[j]
            if (word >> BITS) == newest:
                if word == best:
                    scratch.match[n_match] = j
                    n_match += 1
                elif n_match == 0 or is_older(state, np.int64(best & SLOT), np.int64(word & SLOT)):
                    best = word
                    scratch.match[0] = j
                    n_match = 1
        slot = np.int64(best & SLOT)
        similarity = 0.0
        n_ended = 0
        for i in range(n_match):
            j = scratch.match[i]
            similarity += scratch.query[scratch.lists[j]["query"]]["weight"]
            here = scratch.lists[j]["at"] - 1
            stop = scratch.lists[j]["stop"]
            while here >= stop and (postings[here] & SLOT) == SLOT:
                here -= 1
            scratch.lists[j]["at"] = here
            if here >= stop:
                head[j] = postings[here]
            else:
                n_ended += 1
        if is_candidate(state, p, slot, own, is_filtered):
            scratch.candidate[n] = slot
            scratch.word[n] = best
            scratch.similarity[n] = similarity
            scratch.step[n] = scratch.query[scratch.lists[scratch.match[0]]["query"]]["step"]
            if not is_recent:
                scratch.key[n] = key_of(state, p, slot, n_match)
            n += 1
        if n_ended > 0:
            n_heads = _close_heads(scratch, n_heads)
    return n, n_heads


@inner
def _read_slab(state: State, scratch: Scratch, n: int, n_heads: int, floor: np.uint64, looks: bool) -> int:
    """Read all lists down to posting *floor*, for candidates behind the *n* there are; return how many there are."""
    postings = state.postings
    stamp = scratch.stamp[0] + 1
    scratch.stamp[0] = stamp
    mask = np.uint64(SLAB_TABLE - 1)
    for j in range(n_heads):
        here, stop = scratch.lists[j]["at"], scratch.lists[j]["stop"]
        item = scratch.lists[j]["query"]
        weight, step = scratch.query[item]["weight"], scratch.query[item]["step"]
        while here >= stop and postings[here] >= floor:
            word = postings[here]
            here -= 1
            slot = word & SLOT
            if slot == SLOT:
                continue
            place = ((slot * _SPREAD) >> _SPREAD_SHIFT) & mask
            while scratch.table_stamp[place] == stamp and scratch.candidate[scratch.table_candidate[place]] != np.int64(
                slot
            ):
                place = (place + np.uint64(1)) & mask
            if scratch.table_stamp[place] == stamp:
                scratch.similarity[scratch.table_candidate[place]] += weight
            else:
                scratch.table_stamp[place] = stamp
                scratch.table_candidate[place] = n
                scratch.candidate[n] = np.int64(slot)
                scratch.word[n] = word
                scratch.similarity[n] = weight
                scratch.step[n] = step
                if looks:
                    prefetch(state.session, np.int64(slot))
                n += 1
        scratch.lists[j]["at"] = here
    return n


@inner
def _keep_candidates(state: State, scratch: Scratch, p: Parameters, begin: int, n: int, own: int) -> int:
    """Drop the sessions from *begin* on that may be no candidates; return how many of the *n* are left."""
    is_filtered = p.whole[REQUIRES] != 0 or p.real[MIN_TYPE_WEIGHT] > 0.0
    if own < 0 and not is_filtered:
        return n
    kept = begin
    for i in range(begin, n):
        slot = np.int64(scratch.candidate[i])
        scratch.candidate[kept] = scratch.candidate[i]
        scratch.word[kept] = scratch.word[i]
        scratch.similarity[kept] = scratch.similarity[i]
        scratch.step[kept] = scratch.step[i]
        kept += is_candidate(state, p, slot, own, is_filtered)
    return kept


@inner
def _refresh_heads(state: State, scratch: Scratch, n_heads: int) -> int:
    """Bring each list to its newest unread live posting; return how many lists have one."""
    for j in range(n_heads):
        here, stop = scratch.lists[j]["at"], scratch.lists[j]["stop"]
        while here >= stop and (state.postings[here] & SLOT) == SLOT:
            here -= 1
        scratch.lists[j]["at"] = here
        if here >= stop:
            scratch.head[j] = state.postings[here]
    return _close_heads(scratch, n_heads)


@inner
def _gather_newest(state: State, scratch: Scratch, p: Parameters, n_heads: int, own: int) -> tuple[int, int]:
    """Gather the newest m candidates in slabs; return how many candidates, and how many slabs, there are.

    A slab ends above the time of a posting that is so many places from the end of its list: it has fewer postings than
    that of each list. The candidates of a session's lists have one time, and so stand in one slab.
    """
    m = p.whole[M]
    looks = p.whole[NORMALISE] == NORMALISE_COSINE or p.real[AGE] > 0.0 or p.whole[REQUIRES] != 0
    size = max(_LEAST_SLAB, min(_LARGEST_SLAB, m // n_heads, SLAB_ROOM // n_heads)) if n_heads > 0 else 1
    postings = state.postings
    n, n_slabs = 0, 0
    scratch.slab[0] = 0
    while n < m and n_heads > 0:
        floor, newest = np.uint64(0), np.uint64(0)
        for j in range(n_heads):
            at = scratch.lists[j]["at"]
            newest = max(newest, postings[at])
            if at - size >= scratch.lists[j]["stop"]:
                floor = max(floor, ((postings[at - size] >> BITS) + np.uint64(1)) << BITS)
        begin = n
        if newest >= floor:
            n = _read_slab(state, scratch, n, n_heads, floor, looks)
            n = _keep_candidates(state, scratch, p, begin, n, own)
            if n > m:
                keep_newest(state, scratch, begin, n, m)  # planted bug: slab-cut-anywhere
                n = m
            n_heads = _close_heads(scratch, n_heads)
        else:  # one time has more postings than a slab
            n_heads = _refresh_heads(state, scratch, n_heads)
            n, n_heads = _merge(state, scratch, p, n, n_heads, own, (floor >> BITS) - np.uint64(1))
        if n > begin:
            n_slabs += 1
            scratch.slab[n_slabs] = n
    return n, n_slabs


@inner
def _close_heads(scratch: Scratch, n_heads: int) -> int:
    """Drop the lists that are read to their start; the others keep their order."""
    kept = 0
    for j in range(n_heads):
        if scratch.lists[j]["at"] >= scratch.lists[j]["stop"]:
            scratch.head[kept] = scratch.head[j]
            scratch.lists[kept]["at"] = scratch.lists[j]["at"]
            scratch.lists[kept]["stop"] = scratch.lists[j]["stop"]
            scratch.lists[kept]["query"] = scratch.lists[j]["query"]
            kept += 1
    return kept


@inner
def find_neighbours(state: State, scratch: Scratch, p: Parameters, query: np.ndarray, own: int) -> int:
    """List the neighbours of the query in `chosen`, newest first, with their votes; return how many.

    *own* is never one.
    """
    distinct = _read_query(scratch, p, query)
    scratch.trace[TRACE_DISTINCT] = distinct
    n_heads = _open_heads(state, scratch, distinct)
    n_slabs = 0
    if p.whole[SAMPLING] == SAMPLE_RECENT and n_heads <= _MOST_LISTS:
        n, n_slabs = _gather_newest(state, scratch, p, n_heads, own)
    else:
        n, _ = _merge(state, scratch, p, 0, n_heads, own, np.uint64(0))
    if p.whole[SAMPLING] != SAMPLE_RECENT:
        n = sample(scratch, p, n)
    denominator = _denominator(p, query.size, distinct)
    divisor = denominator
    if p.whole[NORMALISE] == NORMALISE_QUERY:
        divisor *= distinct
    elif p.whole[NORMALISE] == NORMALISE_COSINE:
        divisor = norm(scratch, distinct)  # the denominator of both lengths cancels
    n_chosen = choose(state, scratch, p, n, n_slabs, distinct, divisor)
    vote(state, scratch, p, n_chosen, divisor)
    for j in range(distinct):
        scratch.query[j]["weight"] /= denominator
    return n_chosen
