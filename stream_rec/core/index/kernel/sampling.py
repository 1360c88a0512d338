"""Which sessions may be candidates, and samples other than the newest."""

import numpy as np

from stream_rec.core.compiled import inner
from stream_rec.core.index.kernel.choosing import nth_largest
from stream_rec.core.index.kernel.state import (
    BONUS,
    IS_BONUS,
    IS_REQUIRED,
    MIN_TYPE_WEIGHT,
    REQUIRES,
    SAMPLE_COMMON,
    SAMPLE_RANDOM,
    SAMPLING,
    SAMPLING_SEED,
    M,
    Parameters,
    Scratch,
    State,
)
from stream_rec.core.index.kernel.sums import rounded

__all__ = ["is_candidate", "key_of", "mix", "sample"]

_HASH_BITS = np.uint64(11)  # without so many low bits, a hash is exact as a float


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
def key_of(state: State, p: Parameters, slot: int, n_shared: int) -> float:
    """Return the key that session *slot* is sampled by; the largest come first."""
    kind = p.whole[SAMPLING]
    if kind == SAMPLE_COMMON:
        return float(n_shared)
    if kind == SAMPLE_RANDOM:
        return float(mix(state.session[slot]["hash"] ^ mix(np.uint64(p.whole[SAMPLING_SEED]))) >> _HASH_BITS)
    return _mean_weight(state, p, slot)


@inner
def is_candidate(state: State, p: Parameters, slot: int, own: int, is_filtered: bool) -> bool:
    """Return whether session *slot* may be in the sample of a question of session *own*."""
    return slot != own and (not is_filtered or _passes(state, p, slot))  # planted bug: own-neighbour


@inner
def sample(scratch: Scratch, p: Parameters, n: int) -> int:
    """Keep the m of n candidates with the largest keys, in their order; of equal keys keep the newer."""
    m = p.whole[M]
    if n <= m:
        return n
    for c in range(n):
        scratch.ordered[c] = scratch.key[c]
    least = nth_largest(scratch.ordered, scratch.rest, n, m)
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
