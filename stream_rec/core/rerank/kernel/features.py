"""From the sums of each candidate to its features: logarithms of smoothed shares, ages, and its place in the session.

All are rounded to whole multiples of 1 / SCALE, so that a last bit that differs does not matter.
"""

import math

import numpy as np

from stream_rec.core.compiled import inner
from stream_rec.core.index.kernel.arithmetic import ln as plain_ln
from stream_rec.core.index.kernel.postings import BITS, SLOT, end_of
from stream_rec.core.index.kernel.state import (
    BASE,
    SHIFT,
    TERM_UNTIL,
    TRACE_CHOSEN,
    Scratch,
    State,
)
from stream_rec.core.rerank.kernel.fields import (
    AGE_SCALE,
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
    FRESH_VOTES,
    HOUR_FOLLOWS,
    LATER_FOLLOWS,
    LEAST_BASE,
    LEAST_HOURLY,
    LEAST_SHARE,
    LONGEST_AGE,
    N_LOGS,
    NEXT_VOTES,
    PRECEDES,
    SCALE,
    SHARE_SCALE,
    VOTES,
    WITH_LATER,
    WITH_LATER_PREVIOUS,
    X_BASE,
    X_BESIDE,
    X_CURRENT,
    X_FOLLOWS,
    X_FOLLOWS_PREVIOUS,
    X_FRESH_FOLLOWS,
    X_FRESH_FOLLOWS_SHARE,
    X_FRESH_VOTES,
    X_HOLDERS,
    X_HOUR_FOLLOWS,
    X_LATER_FOLLOWS,
    X_LENGTH,
    X_NEIGHBOURS,
    X_NEWEST,
    X_NEXT_VOTES,
    X_OLDEST,
    X_OWN,
    X_PLACES_BACK,
    X_PRECEDES,
    X_RETURNS,
    X_SUPPORT,
    X_TIMES,
    X_VOTES,
    Room,
)
from stream_rec.core.rerank.kernel.gathering import moment_of
from stream_rec.core.rerank.kernel.logarithms import take_logarithms

__all__ = ["write_features"]

_ln = inner(plain_ln)
_FACTOR = 4  # the ages of holders 1, 4, 16 and 64 are features
_SECOND_MS = 1000.0
_MINUTE_MS = 60_000.0
_LARGEST = 32767.0
_NO_AGE = float(LONGEST_AGE) / _SECOND_MS + 1.0
_FACTORS = np.array([1.0, *[SHARE_SCALE] * X_BESIDE, 0.0, *[AGE_SCALE] * (X_OLDEST - X_NEWEST + 1), SHARE_SCALE])


@inner
def write_features(
    state: State, scratch: Scratch, room: Room, returns: np.ndarray, n_picked: int, length: int, own: int
) -> None:
    """Write the features of the picked candidates of a query with *length* events."""
    now = (moment_of(state, scratch, own) - state.counters[BASE]) >> state.counters[SHIFT]
    t = room.totals
    total = t[ALL_SCORES] if t[ALL_SCORES] > 0.0 else 1.0
    votes = t[ALL_VOTES] if t[ALL_VOTES] > 0.0 else 1.0
    fresh_votes = t[ALL_FRESH_VOTES] if t[ALL_FRESH_VOTES] > 0.0 else 1.0
    of_length = _rounded(0.5 * _ln(float(max(length, 1))))
    of_support = _rounded(0.2 * _ln(1.0 + t[ALL_FOLLOWS]))
    of_neighbours = _rounded(0.2 * _ln(1.0 + scratch.trace[TRACE_CHOSEN]))
    for i in range(n_picked):
        c = room.pick[i]
        s = room.sums[c]
        log = room.log[i * N_LOGS : (i + 1) * N_LOGS]
        log[X_BASE] = room.score[c] / total + LEAST_BASE
        log[X_VOTES] = s[VOTES] / votes + LEAST_SHARE
        log[X_FRESH_VOTES] = s[FRESH_VOTES] / fresh_votes + LEAST_SHARE
        log[X_NEXT_VOTES] = s[NEXT_VOTES] / votes + LEAST_SHARE
        log[X_FOLLOWS] = s[FOLLOWS] / (t[ALL_FOLLOWS] + 1.0) + LEAST_SHARE
        log[X_FRESH_FOLLOWS] = s[FRESH_FOLLOWS] / (t[ALL_FRESH_FOLLOWS] + 0.3) + LEAST_SHARE
        log[X_HOUR_FOLLOWS] = s[HOUR_FOLLOWS] + LEAST_HOURLY
        log[X_LATER_FOLLOWS] = s[LATER_FOLLOWS] / (t[WITH_LATER] + 1.0) + LEAST_SHARE
        log[X_FOLLOWS_PREVIOUS] = s[FOLLOWS_PREVIOUS] / (t[WITH_LATER_PREVIOUS] + 1.0) + LEAST_SHARE
        log[X_PRECEDES] = s[PRECEDES] / (t[ALL_PRECEDES] + 1.0) + LEAST_SHARE
        log[X_BESIDE] = s[BESIDE] / (t[ALL_PLACES] + 1.0) + LEAST_SHARE
        log[X_FRESH_FOLLOWS_SHARE] = 1.0
        _list_ages(state, scratch, log, np.int64(room.item[c]), own, now)
        log[X_HOLDERS] = float(state.item[room.item[c]]["df"]) + 1.0
    take_logarithms(room.log, room.log_bits, room.exponent, n_picked * N_LOGS)
    for i in range(n_picked):
        c = room.pick[i]
        for f in range(N_LOGS):
            room.x[c, f] = _rounded(_FACTORS[f] * room.log[i * N_LOGS + f])
        _put(room, c, X_FRESH_FOLLOWS_SHARE, 2.0 * room.sums[c, FRESH_FOLLOWS] / (t[ALL_FRESH_FOLLOWS] + 0.3))
        back = room.back[c]
        _put(room, c, X_OWN, 1.0 if back >= 0 else 0.0)
        _put(room, c, X_CURRENT, 1.0 if back == 0 else 0.0)
        _put(room, c, X_PLACES_BACK, _ln(1.0 + float(back)) if back >= 0 else 0.0)
        _put(room, c, X_TIMES, _ln(float(room.times[c])) if back >= 0 else 0.0)
        _put(room, c, X_RETURNS, returns[back] if back >= 0 else 0.0)
        room.x[c, X_LENGTH] = of_length
        room.x[c, X_SUPPORT] = of_support
        room.x[c, X_NEIGHBOURS] = of_neighbours


@inner
def _put(room: Room, c: int, feature: int, value: float) -> None:
    room.x[c, feature] = _rounded(value)


@inner
def _rounded(value: float) -> np.int16:
    return np.int16(min(max(math.floor(value * SCALE + 0.5), -_LARGEST), _LARGEST))


@inner
def _list_ages(state: State, scratch: Scratch, log: np.ndarray, item: int, own: int, now: int) -> None:
    """List the ages of the newest, fourth newest, ... and oldest holder of *item*; the session *own* is none.

    *now* is a framed time.
    """
    start = state.item[item]["at"] + state.item[item]["start"]
    end = end_of(state, item, scratch.term[TERM_UNTIL])
    n, wanted, feature = 0, 1, X_NEWEST
    begin = end  # what is behind was counted
    while feature < X_OLDEST:
        while n < wanted and begin > start:
            behind = begin  # as many postings as are missing must be read, so they are counted without a branch
            begin = max(start, begin - (wanted - n))
            for word in state.postings[begin:behind]:
                n += ((word & SLOT) != SLOT) & (np.int64(word & SLOT) != own)
        if n < wanted:
            break
        # The last count found as many as were missing in as many postings, so each is one.
        log[feature] = _age(state, now, state.postings[begin]) / _SECOND_MS + 1.0
        feature += 1
        wanted *= _FACTOR
    for missing in range(feature, X_OLDEST):
        log[missing] = _NO_AGE
    first = start
    while first < end and ((state.postings[first] & SLOT) == SLOT or np.int64(state.postings[first] & SLOT) == own):
        first += 1
    oldest = _age(state, now, state.postings[first]) if first < end else 0.0
    log[X_OLDEST] = oldest / _MINUTE_MS + 1.0


@inner
def _age(state: State, now: int, word: np.uint64) -> float:
    """Return how long before the framed time *now* the session of a posting ended, ms."""
    return float(max(now - np.int64(word >> BITS), 0) << state.counters[SHIFT])
