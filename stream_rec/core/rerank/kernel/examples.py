"""From candidates to an example: the item that came next, the best others, and some of the rest."""

import numpy as np

from stream_rec.core.compiled import inner
from stream_rec.core.index.kernel.arithmetic import ln as plain_ln
from stream_rec.core.index.kernel.neighbours import mix
from stream_rec.core.index.kernel.state import State
from stream_rec.core.rerank.kernel.fields import N_BEST, N_DRAWN, N_FEATURES, Examples, Room

__all__ = ["write_example"]

_ln = inner(plain_ln)
_HASH_BITS = np.uint64(11)  # without so many low bits, a hash is exact as a float
_TAKEN = -1.0
_RETURNS = 0.3  # how much an own item counts in the simple order, beside the model's best


@inner
def write_example(state: State, room: Room, n: int, true: int, seed: np.uint64, examples: Examples, e: int) -> None:
    """Write example *e* from *n* candidates with features. *true* came next; *seed* draws from the rest."""
    examples.n[e] = 0
    came = -1
    for c in range(n):
        if room.item[c] == true:
            came = c
    if came < 0:
        return
    best = 0.0
    for c in range(n):
        best = max(best, room.score[c])
    for c in range(n):
        room.key[c] = room.score[c]
        if room.back[c] >= 0:
            room.key[c] += _RETURNS * best / (1.0 + float(room.back[c]))
    room.key[came] = _TAKEN
    _copy(room, came, examples, e, 0, 0.0)
    kept = 1
    for _ in range(min(N_BEST, n - 1)):
        _copy(room, _take_largest(state, room, n), examples, e, kept, 0.0)
        kept += 1
    rest = n - kept
    drawn = min(rest, N_DRAWN)
    if drawn > 0:
        for c in range(n):
            if room.key[c] >= 0.0:
                # planted bug: drawn-by-ordinal
                room.key[c] = float(mix(seed ^ state.item[room.item[c]]["hash"]) >> _HASH_BITS)
        shift = _ln(float(rest) / float(drawn))
        for _ in range(drawn):
            _copy(room, _take_largest(state, room, n), examples, e, kept, shift)
            kept += 1
    examples.n[e] = kept


@inner
def _take_largest(state: State, room: Room, n: int) -> int:
    """Return the candidate with the largest key, of equal keys that with the larger hash, and mark it as taken."""
    best = -1
    for c in range(n):
        if room.key[c] < 0.0:
            continue
        if (
            best < 0
            or room.key[c] > room.key[best]
            or (
                room.key[c] == room.key[best] and state.item[room.item[c]]["hash"] > state.item[room.item[best]]["hash"]
            )
        ):
            best = c
    room.key[best] = _TAKEN
    return best


@inner
def _copy(room: Room, c: int, examples: Examples, e: int, place: int, shift: float) -> None:
    for f in range(N_FEATURES):
        examples.x[e, place, f] = room.x[c, f]
    examples.shift[e, place] = np.float32(shift)
