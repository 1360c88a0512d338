"""The newest answers by session, and their comparison with the next event: one loop for a whole batch.

Sessions and items are known by the XXH3-64 of their ids, which outlive the ordinals of the index. Allocates nothing:
the caller provides space for the items of new answers. Knows nothing of models' parameters, names or averages.
"""

from typing import NamedTuple

import numpy as np

from stream_rec.core.compiled import entry, inner
from stream_rec.core.dtypes import I32, I64, U8, U64, Structs
from stream_rec.core.index.kernel.state import APPLIED, NEVER, AnswerArrays, EventArrays

__all__ = ["Covered", "PendingAnswers", "Tally", "forget", "refill", "score_applied", "show"]


NEWEST, OLDEST, FREE, N_PENDING, _N_HEADS = range(5)  # of PendingAnswers.heads
_NO_ITEM = np.uint64(0)  # of Covered.item; an item with this hash is known by 1
_ONE = np.uint64(1)
_HIGH_HALF = np.uint64(32)


class PendingAnswers(NamedTuple):
    """The newest answers of A sessions; the oldest answers are dropped first. H is a power of two, above 2 A.

    Lane 0 holds the answer of the served model, lane l that of the l-th shadow.
    """

    table: I32  # [H] place of a session, found by its hash; -1 for a free entry
    heads: I64  # [_N_HEADS] first and last place in order of age, first free place, places in use
    session: U64  # [A]
    newer: I32  # [A] neighbours in order of age, -1 at the ends
    older: I32  # [A] ... for a free place, the next free one
    model: I32  # [A, L] the model of the answer, -1 for none
    n: I32  # [A, L] number of its items
    item: U64  # [A, L, N]


class Tally(NamedTuple):
    """Counts of W windows in S steps each, of M models; step s of a window is at index s modulo S."""

    now: I64  # [1] the largest event time so far
    step_ms: I64  # [W]
    until: I64  # [W] when the present step ends
    at: I64  # [W] index of the present step
    step: I64  # [W, S] number of the step at each index
    answers: I64  # [W, S, M]
    ranks: I64  # [W, S, M, N + 1] by the rank of the next item; 0: it was not among the first N
    novel: I64  # [W, S, M, N + 1] the same for items that were new to their session


class Covered(NamedTuple):
    """When each item was last recommended. C is a power of two, and at most half of it is in use."""

    item: U64  # [C] _NO_ITEM for a free entry
    last: I64  # [C, M] NEVER if it was not
    used: I64  # [1]


# --- the newest answers, by session


@inner
def _find(pending: PendingAnswers, session: np.uint64) -> int:
    """Return the table entry of *session*, or the free one where it belongs."""
    mask = pending.table.size - 1
    at = np.int64(session >> _HIGH_HALF) & mask
    while pending.table[at] >= 0 and pending.session[pending.table[at]] != session:
        at = (at + 1) & mask
    return at


@inner
def _unlink(pending: PendingAnswers, place: int) -> None:
    newer, older = pending.newer[place], pending.older[place]
    if newer >= 0:
        pending.older[newer] = older
    else:
        pending.heads[NEWEST] = older
    if older >= 0:
        pending.newer[older] = newer
    else:
        pending.heads[OLDEST] = newer


@inner
def _link(pending: PendingAnswers, place: int) -> None:
    newest = pending.heads[NEWEST]
    pending.newer[place] = -1
    pending.older[place] = newest
    if newest >= 0:
        pending.newer[newest] = place
    else:
        pending.heads[OLDEST] = place
    pending.heads[NEWEST] = place


@inner
def _drop(pending: PendingAnswers, at: int) -> None:
    """Free the place of entry *at*, and close the gap in the table."""
    place = pending.table[at]
    _unlink(pending, place)
    pending.older[place] = pending.heads[FREE]
    pending.heads[FREE] = place
    pending.heads[N_PENDING] -= 1
    mask = pending.table.size - 1
    hole = at
    probe = (at + 1) & mask
    while pending.table[probe] >= 0:
        home = np.int64(pending.session[pending.table[probe]] >> _HIGH_HALF) & mask
        if ((probe - home) & mask) >= ((probe - hole) & mask):
            pending.table[hole] = pending.table[probe]
            hole = probe
        probe = (probe + 1) & mask
    pending.table[hole] = -1


@inner
def _place_of(pending: PendingAnswers, session: np.uint64) -> int:
    """Make *session* the newest and return its place; if all places are in use, that of the oldest session."""
    at = _find(pending, session)
    if pending.table[at] >= 0:
        place = np.int64(pending.table[at])
        _unlink(pending, place)
        _link(pending, place)
        return place
    if pending.heads[FREE] < 0:
        _drop(pending, _find(pending, pending.session[pending.heads[OLDEST]]))
        at = _find(pending, session)
    place = pending.heads[FREE]
    pending.heads[FREE] = pending.older[place]
    pending.heads[N_PENDING] += 1
    pending.table[at] = place
    pending.session[place] = session
    for lane in range(pending.model.shape[1]):
        pending.model[place, lane] = -1
    _link(pending, place)
    return place


# --- counts


@inner
def _move_to(tally: Tally, time: int) -> None:
    """Move the present to *time*, if that is later; a step that begins has no counts."""
    if time <= tally.now[0]:
        return
    tally.now[0] = time
    for w in range(tally.until.size):
        if time >= tally.until[w]:
            step = time // tally.step_ms[w]
            at = step % tally.step.shape[1]
            tally.until[w] = (step + 1) * tally.step_ms[w]
            tally.at[w] = at
            tally.step[w, at] = step
            for m in range(tally.answers.shape[2]):
                tally.answers[w, at, m] = 0
                for rank in range(tally.ranks.shape[3]):
                    tally.ranks[w, at, m, rank] = 0  # planted bug: window-keeps-old
                    tally.novel[w, at, m, rank] = 0


@inner
def _score(pending: PendingAnswers, tally: Tally, place: int, item: np.uint64, is_novel: int) -> None:
    """Score the answers at *place* by the item that came next."""
    for lane in range(pending.model.shape[1]):
        m = pending.model[place, lane]
        if m < 0:
            continue
        rank = 0
        for r in range(pending.n[place, lane]):
            if pending.item[place, lane, r] == item:
                rank = r + 1
                break
        for w in range(tally.at.size):
            tally.ranks[w, tally.at[w], m, rank] += 1
            tally.novel[w, tally.at[w], m, rank] += is_novel


@inner
def _cover(covered: Covered, tally: Tally, item: np.uint64, m: int) -> None:
    """Record that model *m* recommends *item* now."""
    wanted = max(item, _ONE)
    mask = covered.item.size - 1
    at = np.int64(wanted >> _HIGH_HALF) & mask
    while covered.item[at] != _NO_ITEM and covered.item[at] != wanted:
        at = (at + 1) & mask
    if covered.item[at] == _NO_ITEM:
        covered.item[at] = wanted
        covered.used[0] += 1
    covered.last[at, m] = tally.now[0]


@inner
def _begin_answer(pending: PendingAnswers, tally: Tally, place: int, m: int, n: int, n_served: int) -> int:
    """Start an answer of model *m* with *n* items at *place*; return its lane."""
    lane = 0 if m < n_served else m - n_served + 1
    pending.model[place, lane] = m
    pending.n[place, lane] = n
    for w in range(tally.at.size):
        tally.answers[w, tally.at[w], m] += 1
    return lane


@entry
def score_applied(
    pending: PendingAnswers,
    tally: Tally,
    covered: Covered,
    n_served: int,
    batch: EventArrays,
    sessions: Structs,
    items: Structs,
    counted: U8,
    rows: I32,
    answers: AnswerArrays,
) -> None:
    """Score the newest answers of its session by each applied event, and store the answers given after it.

    An answer is scored once. One whose next event is not *counted* (another process answers for it) is dropped.
    """
    most = pending.item.shape[2]
    for i in range(batch.time.size):
        if batch.outcome[i] != APPLIED:
            continue
        _move_to(tally, batch.time[i])
        session = sessions[batch.session[i]]["hash"]
        at = _find(pending, session)
        place = np.int64(pending.table[at])
        if place >= 0 and counted[i]:  # planted bug: others-scored
            _score(pending, tally, place, items[batch.item[i]]["hash"], np.int64(batch.novel[i]))
        is_asked = False
        for m in range(rows.shape[1]):
            is_asked = is_asked or (counted[i] != 0 and rows[i, m] >= 0)
        if not is_asked:
            if place >= 0:  # planted bug: scored-by-every-event (3 lines)
                _drop(pending, at)
            continue
        place = np.int64(_place_of(pending, session))
        for lane in range(pending.model.shape[1]):
            pending.model[place, lane] = -1
        for m in range(rows.shape[1]):
            row = rows[i, m]
            if row >= 0:
                n = min(np.int64(answers.n[row]), most)
                lane = _begin_answer(pending, tally, place, m, n, n_served)
                for r in range(n):
                    item = items[answers.item[row, r]]["hash"]
                    pending.item[place, lane, r] = item
                    _cover(covered, tally, item, m)


@entry
def show(
    pending: PendingAnswers,
    tally: Tally,
    covered: Covered,
    n_served: int,
    session: U64,
    model: I32,
    item: U64,
    n: I32,
) -> None:
    """Store the answers `item[q, :n[q]]` that models now give to sessions."""
    for q in range(session.size):
        if tally.now[0] == NEVER:
            return
        place = _place_of(pending, session[q])
        lane = _begin_answer(pending, tally, place, np.int64(model[q]), np.int64(n[q]), n_served)
        for r in range(n[q]):
            pending.item[place, lane, r] = item[q, r]
            _cover(covered, tally, item[q, r], np.int64(model[q]))


@entry
def forget(pending: PendingAnswers, sessions: U64) -> None:
    """Erase the answers to *sessions*."""
    for session in sessions:
        at = _find(pending, session)
        if pending.table[at] >= 0:
            place = pending.table[at]
            for lane in range(pending.model.shape[1]):
                for r in range(pending.item.shape[2]):
                    pending.item[place, lane, r] = 0
            _drop(pending, at)
            pending.session[place] = 0


@entry
def refill(old: Covered, new: Covered, since: int) -> None:
    """Fill the empty *new* with the items of *old* that were recommended at *since* or later."""
    mask = new.item.size - 1
    models = old.last.shape[1]
    for j in range(old.item.size):
        if old.item[j] == _NO_ITEM:
            continue
        is_kept = False
        for m in range(models):
            is_kept = is_kept or old.last[j, m] >= since
        if is_kept:
            at = np.int64(old.item[j] >> _HIGH_HALF) & mask
            while new.item[at] != _NO_ITEM:
                at = (at + 1) & mask
            new.item[at] = old.item[j]
            for m in range(models):
                new.last[at, m] = old.last[j, m]
            new.used[0] += 1
