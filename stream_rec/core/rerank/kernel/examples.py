"""From candidates to an example: the item that came next, the best others, and some of the rest."""

import numpy as np

from stream_rec.core.compiled import inner
from stream_rec.core.index.kernel.arithmetic import ln as plain_ln
from stream_rec.core.index.kernel.sampling import mix
from stream_rec.core.index.kernel.state import State
from stream_rec.core.rerank.kernel.fields import N_BEST, N_DRAWN, N_FEATURES, Examples, Room

__all__ = ["pick_example", "write_example"]

_ln = inner(plain_ln)
_HASH_BITS = np.uint64(11)  # without so many low bits, a hash is exact as a float
_ZERO = np.float32(0.0)
_TAKEN = -1.0
_RETURNS = 0.3  # how much an own item counts in the simple order, beside the model's best


@inner
def pick_example(state: State, room: Room, n: int, came: int, seed: np.uint64) -> int:
    """Pick candidate *came*, which came next, the best others of *n*, and some of the rest; return how many.

    *seed* draws from the rest.
    """
    best = 0.0
    for c in range(n):
        best = max(best, room.score[c])
    for c in range(n):
        room.key[c] = room.score[c]
        if room.back[c] >= 0:
            room.key[c] += _RETURNS * best / (1.0 + float(room.back[c]))
    room.pick[0] = came
    room.key[came] = _TAKEN
    kept = _pick_largest(state, room, n, 1, N_BEST)
    if kept == n:
        return kept
    for c in range(n):
        if room.key[c] >= 0.0:
            # planted bug: drawn-by-ordinal
            room.key[c] = float(mix(seed ^ state.item[room.item[c]]["hash"]) >> _HASH_BITS)
    return _pick_largest(state, room, n, kept, N_DRAWN)


@inner
def write_example(room: Room, n: int, n_picked: int, examples: Examples, e: int) -> None:
    """Write example *e* from the features of the picked ones of *n* candidates."""
    examples.n[e] = n_picked
    shift = 0.0
    if n_picked > 1 + N_BEST:
        shift = _ln(float(n - 1 - N_BEST) / float(n_picked - 1 - N_BEST))
    for i in range(n_picked):
        for f in range(N_FEATURES):
            examples.x[e, i, f] = room.x[room.pick[i], f]
        examples.shift[e, i] = np.float32(shift) if i > N_BEST else _ZERO


@inner
def _pick_largest(state: State, room: Room, n: int, first: int, most: int) -> int:
    """Pick the *most* candidates with the largest keys that are not taken, in order, after the *first* picked ones.

    Take them, and return how many are picked. Of equal keys that with the larger hash comes first.
    """
    end = first
    for c in range(n):
        if room.key[c] < 0.0 or (end == first + most and _is_below(state, room, c, room.pick[end - 1])):
            continue
        place = end
        if end == first + most:
            place -= 1
        else:
            end += 1
        while place > first and _is_below(state, room, room.pick[place - 1], c):
            room.pick[place] = room.pick[place - 1]
            place -= 1
        room.pick[place] = c
    for i in range(first, end):
        room.key[room.pick[i]] = _TAKEN
    return end


@inner
def _is_below(state: State, room: Room, c: int, other: int) -> bool:
    if room.key[c] != room.key[other]:
        return room.key[c] < room.key[other]
    return state.item[room.item[c]]["hash"] < state.item[room.item[other]]["hash"]
