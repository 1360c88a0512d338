"""From a query to its neighbours: distinct items, candidates newest first, the k most similar.

All posting lists share one order. So a merge of the query's lists from their ends meets each candidate session once,
newest first, in all of its lists at the same time: its similarity is then complete, and the work ends at the m-th
candidate. For a sample other than the newest m, the merge meets all candidates and keeps the best m by another key.
"""

import numpy as np

from stream_rec.core.compiled import inner, prefetch
from stream_rec.core.index.kernel.choosing import choose, norm, nth_largest, vote
from stream_rec.core.index.kernel.postings import BITS, SLOT, end_of, is_older
from stream_rec.core.index.kernel.state import (
    BONUS,
    IN_QUERY,
    IS_BONUS,
    IS_REQUIRED,
    MATCH_DENOMINATOR,
    MIN_TYPE_WEIGHT,
    NORMALISE,
    NORMALISE_COSINE,
    NORMALISE_QUERY,
    REQUIRES,
    SAMPLE_COMMON,
    SAMPLE_RANDOM,
    SAMPLE_RECENT,
    SAMPLING,
    SAMPLING_SEED,
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
from stream_rec.core.index.kernel.sums import rounded

__all__ = ["find_neighbours", "mix", "votes_divisor"]

_HASH_BITS = np.uint64(11)  # without so many low bits, a hash is exact as a float


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
def _passes(state: State, p: Parameters, slot: int) -> bool:
    """Return whether session *slot* passes the sampling filters."""
    at = state.session[slot]["at"]
    n = state.session[slot]["events"]
    has_type = p.whole[REQUIRES] == 0
    total = 0.0
    for j in range(at, at + n):
        kind = state.event_type[j]
        has_type |= (p.type_role[kind] & IS_REQUIRED) != 0
        total += p.type_weight[kind]
    return has_type and rounded(total / n) >= rounded(p.real[MIN_TYPE_WEIGHT])


@inner
def _mean_weight(state: State, p: Parameters, slot: int) -> float:
    """Return the mean weight of the events of session *slot*, plus the bonus if one of them earns it."""
    at = state.session[slot]["at"]
    n = state.session[slot]["events"]
    roles = 0
    total = 0.0
    for j in range(at, at + n):
        kind = state.event_type[j]
        roles |= p.type_role[kind]
        total += p.type_weight[kind]
    mean = total / n
    return rounded(mean + p.real[BONUS] if (roles & IS_BONUS) != 0 else mean)  # planted bug: bonus-for-all


@inner
def mix(word: np.uint64) -> np.uint64:
    """Return *word* mixed to 64 bits that look random: the finaliser of SplitMix64 (Steele et al., 2014)."""
    word = (word ^ (word >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    word = (word ^ (word >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return word ^ (word >> np.uint64(31))


@inner
def _key(state: State, p: Parameters, slot: int, n_shared: int) -> float:
    """Return the key that session *slot* is sampled by; the largest come first."""
    kind = p.whole[SAMPLING]
    if kind == SAMPLE_COMMON:
        return float(n_shared)
    if kind == SAMPLE_RANDOM:
        return float(mix(state.session[slot]["hash"] ^ mix(np.uint64(p.whole[SAMPLING_SEED]))) >> _HASH_BITS)
    return _mean_weight(state, p, slot)


@inner
def _gather(state: State, scratch: Scratch, p: Parameters, distinct: int, own: int) -> int:
    """Merge the query's lists from the newest end into candidates with their similarity and step.

    Returns how many: at most m if the sample is the newest, else all.
    """
    is_recent = p.whole[SAMPLING] == SAMPLE_RECENT
    m = p.whole[M] if is_recent else state.session.size
    is_filtered = p.whole[REQUIRES] != 0 or p.real[MIN_TYPE_WEIGHT] > 0.0
    postings = state.postings
    head = scratch.head
    n_heads = _open_heads(state, scratch, distinct)
    n = 0
    while n < m and n_heads > 0:
        newest = head[0] >> BITS
        for j in range(1, n_heads):
            newest = max(newest, head[j] >> BITS)
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
        if slot != own and (not is_filtered or _passes(state, p, slot)):  # planted bug: own-neighbour
            scratch.candidate[n] = slot
            scratch.similarity[n] = similarity
            scratch.step[n] = scratch.query[scratch.lists[scratch.match[0]]["query"]]["step"]
            if not is_recent:
                scratch.key[n] = _key(state, p, slot, n_match)
            n += 1
        if n_ended > 0:
            n_heads = _close_heads(scratch, n_heads)
    return n


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
def _sample(scratch: Scratch, p: Parameters, n: int) -> int:
    """Keep the m of n candidates with the largest keys, in their order; of equal keys keep the newer."""
    m = p.whole[M]
    if n <= m:
        return n
    for c in range(n):
        scratch.ordered[c] = scratch.key[c]
    least = nth_largest(scratch.ordered, n, m)
    n_equal = m
    for c in range(n):
        n_equal -= scratch.key[c] > least  # planted bug: equal-key-takes-older
    kept = 0
    for c in range(n):
        value = scratch.key[c]
        takes = value > least or (value == least and n_equal > 0)
        n_equal -= value == least
        scratch.candidate[kept] = scratch.candidate[c]
        scratch.similarity[kept] = scratch.similarity[c]
        scratch.step[kept] = scratch.step[c]
        kept += takes
        if kept == m:
            break
    return m


@inner
def find_neighbours(state: State, scratch: Scratch, p: Parameters, query: np.ndarray, own: int) -> int:
    """List the neighbours of the query in `chosen`, newest first, with their votes; return how many.

    *own* is never one.
    """
    distinct = _read_query(scratch, p, query)
    scratch.trace[TRACE_DISTINCT] = distinct
    n = _gather(state, scratch, p, distinct, own)
    if p.whole[SAMPLING] != SAMPLE_RECENT:
        n = _sample(scratch, p, n)
    denominator = _denominator(p, query.size, distinct)
    divisor = denominator
    if p.whole[NORMALISE] == NORMALISE_QUERY:
        divisor *= distinct
    elif p.whole[NORMALISE] == NORMALISE_COSINE:
        divisor = norm(scratch, distinct)  # the denominator of both lengths cancels
    n_chosen = choose(state, scratch, p, n, distinct, divisor)
    vote(state, scratch, p, n_chosen, divisor)
    for j in range(distinct):
        scratch.query[j]["weight"] /= denominator
    return n_chosen
