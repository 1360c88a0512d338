"""Candidates in slabs of time: which of a slab are the newest, and those chosen in order.

A slab's candidates are all newer than those of the next slab, and stand in no order themselves. Most are never chosen,
so only the chosen ones are put in order. `Scratch.slab` says where slabs begin.
"""

import numpy as np

from stream_rec.core.compiled import inner
from stream_rec.core.index.kernel.postings import BITS, SLOT, is_older
from stream_rec.core.index.kernel.state import Scratch, State

__all__ = ["keep_newest", "list_all", "list_best"]

_FEW = 48  # so many are sorted by insertion alone


@inner
def _is_newer(state: State, word: np.uint64, other: np.uint64) -> bool:
    """Return whether the session of posting *word* comes after that of posting *other* in the total order."""
    a, b = word >> BITS, other >> BITS
    return a > b or (a == b and is_older(state, np.int64(other & SLOT), np.int64(word & SLOT)))


@inner
def _swap(scratch: Scratch, i: int, j: int) -> None:
    scratch.word[i], scratch.word[j] = scratch.word[j], scratch.word[i]
    scratch.candidate[i], scratch.candidate[j] = scratch.candidate[j], scratch.candidate[i]
    scratch.similarity[i], scratch.similarity[j] = scratch.similarity[j], scratch.similarity[i]
    scratch.step[i], scratch.step[j] = scratch.step[j], scratch.step[i]


@inner
def keep_newest(state: State, scratch: Scratch, begin: int, end: int, m: int) -> None:
    """Bring the newest of the candidates from *begin* to *end* before place *m*, in no order (quickselect)."""
    low, high = begin, end - 1
    target = m - 1
    while low < high:
        pivot = scratch.word[(low + high) >> 1]
        i, j = low, high
        while i <= j:
            while _is_newer(state, scratch.word[i], pivot):
                i += 1
            while _is_newer(state, pivot, scratch.word[j]):
                j -= 1
            if i <= j:
                _swap(scratch, i, j)
                i += 1
                j -= 1
        if target <= j:
            high = j
        elif target >= i:
            low = i
        else:
            break


@inner
def _order(state: State, scratch: Scratch, begin: int, end: int) -> None:
    """Order `chosen` from *begin* to *end* by time, newest first (Shell's sort, with gaps by Ciura)."""
    for gap in (132, 57, 23, 10, 4, 1):
        if gap > 1 and end - begin <= max(_FEW, gap):
            continue
        for i in range(begin + gap, end):
            c = scratch.chosen[i]
            word = scratch.word[c]
            place = i
            while place - gap >= begin and _is_newer(state, word, scratch.word[scratch.chosen[place - gap]]):
                scratch.chosen[place] = scratch.chosen[place - gap]
                place -= gap
            scratch.chosen[place] = c


@inner
def list_all(state: State, scratch: Scratch, n_slabs: int) -> None:
    """List all candidates in `chosen`, newest first."""
    for s in range(n_slabs):
        for c in range(scratch.slab[s], scratch.slab[s + 1]):
            scratch.chosen[c] = c
        _order(state, scratch, scratch.slab[s], scratch.slab[s + 1])


@inner
def list_best(state: State, scratch: Scratch, n_slabs: int, key: np.ndarray, least: float, n_equal: int) -> None:
    """List in `chosen`, newest first, all candidates with a key above *least* and the newest *n_equal* that have it."""
    n_chosen = 0
    for s in range(n_slabs):
        begin = n_chosen
        for c in range(scratch.slab[s], scratch.slab[s + 1]):
            value = key[c]
            scratch.chosen[n_chosen] = c
            n_chosen += (value > least) | ((value == least) & (n_equal > 0))
        _order(state, scratch, begin, n_chosen)
        if n_equal > 0:
            kept = begin
            for i in range(begin, n_chosen):
                c = scratch.chosen[i]
                is_equal = key[c] == least
                scratch.chosen[kept] = c
                kept += (not is_equal) or n_equal > 0  # planted bug: slab-takes-all-equal
                n_equal -= is_equal
            n_chosen = kept
