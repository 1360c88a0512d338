"""From candidates to neighbours: the k most similar, and of equal similarity the newer.

Equal must be exact. Where the weights are fractions of one denominator, their numerators were added up, and candidates
are compared by these whole numbers: by the sums themselves, or with `normalise=cosine` by their squares over the number
of items (see `_rate_cosine`). Where the similarity has logarithms or powers of e in it, it is compared as rounded to 32
binary digits (see sums.py).
"""

import numpy as np

from stream_rec.core.compiled import inner
from stream_rec.core.index.kernel.arithmetic import exp as plain_exp
from stream_rec.core.index.kernel.slabs import list_all, list_best
from stream_rec.core.index.kernel.state import (
    AGE,
    MATCH_DENOMINATOR,
    MAX_SESSION_EVENTS,
    NORMALISE,
    NORMALISE_COSINE,
    TERM_NOW,
    TERM_UNTIL,
    WATERMARK,
    WEIGHT,
    WEIGHT_TABLE,
    K,
    Parameters,
    Scratch,
    State,
)
from stream_rec.core.index.kernel.sums import rounded

__all__ = ["choose", "norm", "now_of", "nth_largest", "vote"]

_exp = inner(plain_exp)
_EXACT_RATIO = 2.0**51  # see `_rate_cosine`
_DIGIT = np.uint64(32)  # bits
_LOW_DIGIT = np.uint64(0xFFFF_FFFF)
_N_DIGITS = 5  # three before the point, two behind it
_LAST_WHOLE = 2
_LOST, _TIED, _TAKEN = 0.0, 1.0, 2.0


@inner
def nth_largest(values: np.ndarray, other: np.ndarray, n: int, k: int) -> float:
    """Return the k-th largest (from 1) of the first n values; both arrays are overwritten.

    Quickselect from one array to the other, so that no branch depends on how two values compare.
    """
    while n > 1:
        a, b, c = values[0], values[n >> 1], values[n - 1]
        pivot = max(min(a, b), min(max(a, b), c))
        n_above, n_equal = 0, 0
        for i in range(n):
            value = values[i]
            other[n_above] = value
            n_above += value > pivot
            n_equal += value == pivot
        if k <= n_above:
            n = n_above
        elif k <= n_above + n_equal:
            return pivot
        else:
            k -= n_above + n_equal
            n_below = 0
            for i in range(n):
                value = values[i]
                other[n_below] = value
                n_below += value < pivot
            n = n_below
        values, other = other, values
    return values[0]


@inner
def _is_exact(p: Parameters) -> bool:
    """Return whether candidates are compared by whole numbers."""
    return p.whole[WEIGHT] != WEIGHT_TABLE and p.real[AGE] == 0.0


@inner
def norm(scratch: Scratch, distinct: int) -> float:
    """Return the root of the sum of the squared weights of the query."""
    squares = 0.0
    for j in range(distinct):
        squares += scratch.query[j]["weight"] * scratch.query[j]["weight"]
    return np.sqrt(squares)


@inner
def now_of(state: State, scratch: Scratch) -> int:
    """Return the moment that the question is asked at, ms: the watermark, unless it is put back."""
    return scratch.term[TERM_NOW] if scratch.term[TERM_UNTIL] != 0 else state.counters[WATERMARK]


@inner
def _rate(state: State, scratch: Scratch, p: Parameters, n: int, divisor: float) -> None:
    """Write similarity and key of candidates whose similarity is no fraction: equal keys are equal similarities."""
    is_cosine, decay, now = p.whole[NORMALISE] == NORMALISE_COSINE, p.real[AGE], now_of(state, scratch)
    for c in range(n):
        slot = scratch.candidate[c]
        length = divisor * np.sqrt(float(state.session[slot]["items"])) if is_cosine else divisor
        similarity = scratch.similarity[c] / length
        if decay > 0.0:
            similarity *= _exp(-float(max(now - state.session[slot]["last"], 0)) / decay)
        scratch.similarity[c] = similarity
        scratch.key[c] = rounded(similarity)


@inner
def _rate_cosine(state: State, scratch: Scratch, n: int) -> None:
    """Write a**2 / n of candidates with n items that share the weights a, for a total of weights that is not too large.

    Two such fractions differ by a relative 1 / (n * a**2) at least. As long as n * a**2 is at most _EXACT_RATIO, that
    is more than the distance of two floats: equal fractions give one float, others two, in their order.
    """
    for c in range(n):
        weights = scratch.similarity[c]
        scratch.key[c] = weights * weights / state.session[scratch.candidate[c]]["items"]


@inner
def _list_by_key(state: State, scratch: Scratch, n_slabs: int, key: np.ndarray, n: int, k: int) -> None:
    """List in `chosen` the k of n candidates with the largest keys, newest first; of equal keys the newer."""
    for c in range(n):
        scratch.ordered[c] = key[c]
    least = nth_largest(scratch.ordered, scratch.rest, n, k)
    n_above = 0
    for c in range(n):
        n_above += key[c] > least
    n_equal = k - n_above
    if n_slabs > 0:
        list_best(state, scratch, n_slabs, key, least, n_equal)
        return
    n_chosen = 0
    for c in range(n):
        value = key[c]  # planted bug: equal-takes-older (2 lines)
        takes = value > least or (value == least and n_equal > 0)
        n_equal -= value == least
        scratch.chosen[n_chosen] = c
        n_chosen += takes
        if n_chosen == k:
            break


@inner
def _digit(weights: float, items: int, place: int) -> float:
    """Return a digit of weights**2 / items, base 2**32; place 0 is the first of three before the point.

    For whole weights below 2**48 and less than 2**32 items: long division of the square's digits.
    """
    whole, divisor = np.uint64(weights), np.uint64(items)
    high, low = whole >> _DIGIT, whole & _LOW_DIGIT
    last = low * low
    middle = np.uint64(2) * high * low + (last >> _DIGIT)
    first = high * high + (middle >> _DIGIT)
    quotient, rest = first // divisor, first % divisor
    for j in range(1, place + 1):
        rest <<= _DIGIT
        if j == 1:
            rest |= middle & _LOW_DIGIT
        elif j == _LAST_WHOLE:
            rest |= last & _LOW_DIGIT
        quotient, rest = rest // divisor, rest % divisor
    return float(quotient)


@inner
def _list_by_digits(state: State, scratch: Scratch, n_slabs: int, n: int, k: int) -> None:
    """As `_list_by_key`, for cosines that need more than a float: decided digit by digit among those still equal.

    Two fractions with denominators below 2**32 that differ do so by more than 2**-64: the two digits behind the point
    tell them apart.
    """
    for c in range(n):
        scratch.key[c] = _TIED
    left = k
    for place in range(_N_DIGITS):
        n_tied = 0
        for c in range(n):
            if scratch.key[c] == _TIED:
                scratch.ordered[n_tied] = _digit(
                    scratch.similarity[c], state.session[scratch.candidate[c]]["items"], place
                )
                n_tied += 1
        if n_tied <= left:
            break
        least = nth_largest(scratch.ordered, scratch.rest, n_tied, left)
        for c in range(n):
            if scratch.key[c] == _TIED:
                digit = _digit(scratch.similarity[c], state.session[scratch.candidate[c]]["items"], place)
                if digit > least:
                    scratch.key[c] = _TAKEN
                    left -= 1
                elif digit < least:
                    scratch.key[c] = _LOST
    if n_slabs > 0:
        list_best(state, scratch, n_slabs, scratch.key, _TIED, left)
        return
    n_chosen = 0
    for c in range(n):
        if scratch.key[c] == _TAKEN or (scratch.key[c] == _TIED and left > 0):
            left -= scratch.key[c] == _TIED
            scratch.chosen[n_chosen] = c
            n_chosen += 1


@inner
def choose(state: State, scratch: Scratch, p: Parameters, n: int, n_slabs: int, distinct: int, divisor: float) -> int:
    """List the k most similar candidates in `chosen`, newest first; of equal similarity the newer. Return how many.

    Candidates stand newest first, or in so many slabs if *n_slabs* is not 0.
    """
    k = p.whole[K]
    if not _is_exact(p):
        _rate(state, scratch, p, n, divisor)
    if n <= k and n_slabs > 0:
        list_all(state, scratch, n_slabs)
        return n
    if n <= k:
        for c in range(n):
            scratch.chosen[c] = c
        return n
    if not _is_exact(p):
        _list_by_key(state, scratch, n_slabs, scratch.key, n, k)
    elif p.whole[NORMALISE] != NORMALISE_COSINE:
        _list_by_key(state, scratch, n_slabs, scratch.similarity, n, k)
    else:
        total = 0.0
        for j in range(distinct):
            total += scratch.query[j]["weight"]
        if total * total * state.limits[MAX_SESSION_EVENTS] > _EXACT_RATIO:  # planted bug: cosine-too-narrow
            _list_by_digits(state, scratch, n_slabs, n, k)
        else:
            _rate_cosine(state, scratch, n)  # planted bug: similarity-as-floats
            _list_by_key(state, scratch, n_slabs, scratch.key, n, k)
    return k


@inner
def vote(state: State, scratch: Scratch, p: Parameters, n_chosen: int, divisor: float) -> None:
    """Complete the similarities of the chosen candidates, and write their votes."""
    last_match = p.match.size - 1
    denominator = p.whole[MATCH_DENOMINATOR]
    is_exact, is_cosine = _is_exact(p), p.whole[NORMALISE] == NORMALISE_COSINE
    for i in range(n_chosen):
        c = scratch.chosen[i]
        match = p.match[min(scratch.step[c], last_match)]
        if denominator != 0:
            scratch.vote[i] = scratch.similarity[c] * np.floor(match * denominator + 0.5)
        if is_exact:
            items = float(state.session[scratch.candidate[c]]["items"])
            scratch.similarity[c] /= divisor * np.sqrt(items) if is_cosine else divisor
        if denominator == 0:
            scratch.vote[i] = scratch.similarity[c] * match
