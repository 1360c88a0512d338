"""Answers remembered by session, and held against the next event: one loop for a whole batch.

Sessions and items are known by the XXH3-64 of their ids, which outlive the numbers of the index. Nothing here
allocates: the caller sees to room for the items of new answers. Knows nothing of models' parameters, names or averages.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from stream_rec.core.compiled import entry, inner
from stream_rec.core.index.kernel.state import APPLIED, NEVER, AnswerArrays, EventArrays, Structs

__all__ = ["Covered", "Shown", "Tally", "forget", "refill", "score_applied", "show"]

I32 = npt.NDArray[np.int32]
I64 = npt.NDArray[np.int64]
U64 = npt.NDArray[np.uint64]
U8 = npt.NDArray[np.uint8]

NEWEST, OLDEST, FREE, N_SHOWN, N_HEADS = range(5)  # of Shown.heads
NOBODY = np.uint64(0)  # of Covered.item; an item with this hash is known by 1
ONE = np.uint64(1)
HIGH_HALF = np.uint64(32)


class Shown(NamedTuple):
    """The newest answers of A sessions: those asked for longest ago make way. H is a power of two, above 2 A.

    Lane 0 holds the served model's answer, lane l that of the l-th shadow.
    """

    table: I32  # [H] place of a session by its hash, -1 for a free entry
    heads: I64  # [N_HEADS] first and last place in order of age, first free place, places in use
    session: U64  # [A]
    newer: I32  # [A] neighbours in order of age, -1 at the ends
    older: I32  # [A] ... for a free place, the next free one
    model: I32  # [A, L] who gave the answer, -1 for none
    n: I32  # [A, L] its items
    item: U64  # [A, L, N]


class Tally(NamedTuple):
    """Counts of W windows in S steps each, of M models; step s of a window stands at s modulo S."""

    now: I64  # [1] the largest event time so far
    step_ms: I64  # [W]
    until: I64  # [W] when the present step ends
    at: I64  # [W] where it stands
    step: I64  # [W, S] which step stands there
    answers: I64  # [W, S, M]
    ranks: I64  # [W, S, M, N + 1] by the rank of what came; 0: it was not among the first N
    novel: I64  # [W, S, M, N + 1] the same of items that were new to their session


class Covered(NamedTuple):
    """When each item was recommended last. C is a power of two, and at most half of it in use."""

    item: U64  # [C] NOBODY for a free entry
    last: I64  # [C, M] NEVER where it was not
    used: I64  # [1]


# --- the newest answers, by session


@inner
def _find(shown: Shown, session: np.uint64) -> int:
    """Return the table's entry of *session*, or the free one where it would be."""
    mask = shown.table.size - 1
    at = np.int64(session >> HIGH_HALF) & mask
    while shown.table[at] >= 0 and shown.session[shown.table[at]] != session:
        at = (at + 1) & mask
    return at


@inner
def _unlink(shown: Shown, place: int) -> None:
    newer, older = shown.newer[place], shown.older[place]
    if newer >= 0:
        shown.older[newer] = older
    else:
        shown.heads[NEWEST] = older
    if older >= 0:
        shown.newer[older] = newer
    else:
        shown.heads[OLDEST] = newer


@inner
def _link(shown: Shown, place: int) -> None:
    newest = shown.heads[NEWEST]
    shown.newer[place] = -1
    shown.older[place] = newest
    if newest >= 0:
        shown.newer[newest] = place
    else:
        shown.heads[OLDEST] = place
    shown.heads[NEWEST] = place


@inner
def _drop(shown: Shown, at: int) -> None:
    """Free the place of entry *at*, and close the gap that it leaves in the table."""
    place = shown.table[at]
    _unlink(shown, place)
    shown.older[place] = shown.heads[FREE]
    shown.heads[FREE] = place
    shown.heads[N_SHOWN] -= 1
    mask = shown.table.size - 1
    hole = at
    look = (at + 1) & mask
    while shown.table[look] >= 0:
        home = np.int64(shown.session[shown.table[look]] >> HIGH_HALF) & mask
        if ((look - home) & mask) >= ((look - hole) & mask):
            shown.table[hole] = shown.table[look]
            hole = look
        look = (look + 1) & mask
    shown.table[hole] = -1


@inner
def _place_of(shown: Shown, session: np.uint64) -> int:
    """Return the place of *session*, now the newest; if all are taken, the oldest session's."""
    at = _find(shown, session)
    if shown.table[at] >= 0:
        place = np.int64(shown.table[at])
        _unlink(shown, place)
        _link(shown, place)
        return place
    if shown.heads[FREE] < 0:
        _drop(shown, _find(shown, shown.session[shown.heads[OLDEST]]))
        at = _find(shown, session)
    place = shown.heads[FREE]
    shown.heads[FREE] = shown.older[place]
    shown.heads[N_SHOWN] += 1
    shown.table[at] = place
    shown.session[place] = session
    for lane in range(shown.model.shape[1]):
        shown.model[place, lane] = -1
    _link(shown, place)
    return place


# --- counts


@inner
def _move_to(tally: Tally, time: int) -> None:
    """Let *time* be the present, if it is later: a step that begins has no counts."""
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
                    tally.ranks[w, at, m, rank] = 0
                    tally.novel[w, at, m, rank] = 0


@inner
def _score(shown: Shown, tally: Tally, place: int, item: np.uint64, is_novel: int) -> None:
    """Hold the answers at *place* against what came."""
    for lane in range(shown.model.shape[1]):
        m = shown.model[place, lane]
        if m < 0:
            continue
        rank = 0
        for r in range(shown.n[place, lane]):
            if shown.item[place, lane, r] == item:
                rank = r + 1
                break
        for w in range(tally.at.size):
            tally.ranks[w, tally.at[w], m, rank] += 1
            tally.novel[w, tally.at[w], m, rank] += is_novel


@inner
def _cover(covered: Covered, tally: Tally, item: np.uint64, m: int) -> None:
    """Note that model *m* recommends *item* now."""
    wanted = max(item, ONE)
    mask = covered.item.size - 1
    at = np.int64(wanted >> HIGH_HALF) & mask
    while covered.item[at] != NOBODY and covered.item[at] != wanted:
        at = (at + 1) & mask
    if covered.item[at] == NOBODY:
        covered.item[at] = wanted
        covered.used[0] += 1
    covered.last[at, m] = tally.now[0]


@inner
def _begin_answer(shown: Shown, tally: Tally, place: int, m: int, n: int, n_served: int) -> int:
    """Make room at *place* for an answer of model *m* with *n* items; return its lane."""
    lane = 0 if m < n_served else m - n_served + 1
    shown.model[place, lane] = m
    shown.n[place, lane] = n
    for w in range(tally.at.size):
        tally.answers[w, tally.at[w], m] += 1
    return lane


@entry
def score_applied(
    shown: Shown,
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
    """Hold each applied event against its session's newest answers, and remember those that were given after it.

    An answer is scored once. One whose next event is not *counted* (others answer for it) is dropped.
    """
    most = shown.item.shape[2]
    for i in range(batch.time.size):
        if batch.outcome[i] != APPLIED:
            continue
        _move_to(tally, batch.time[i])
        session = sessions[batch.slot[i]]["hash"]
        at = _find(shown, session)
        place = np.int64(shown.table[at])
        if place >= 0 and counted[i]:
            _score(shown, tally, place, items[batch.item[i]]["hash"], np.int64(batch.novel[i]))
        is_asked = False
        for m in range(rows.shape[1]):
            is_asked = is_asked or (counted[i] != 0 and rows[i, m] >= 0)
        if not is_asked:
            if place >= 0:
                _drop(shown, at)
            continue
        place = np.int64(_place_of(shown, session))
        for lane in range(shown.model.shape[1]):
            shown.model[place, lane] = -1
        for m in range(rows.shape[1]):
            row = rows[i, m]
            if row >= 0:
                n = min(np.int64(answers.n[row]), most)
                lane = _begin_answer(shown, tally, place, m, n, n_served)
                for r in range(n):
                    item = items[answers.item[row, r]]["hash"]
                    shown.item[place, lane, r] = item
                    _cover(covered, tally, item, m)


@entry
def show(
    shown: Shown,
    tally: Tally,
    covered: Covered,
    n_served: int,
    session: U64,
    model: I32,
    item: U64,
    n: I32,
) -> None:
    """Remember the answers `item[q, :n[q]]` of models to sessions, given now."""
    for q in range(session.size):
        if tally.now[0] == NEVER:
            return
        place = _place_of(shown, session[q])
        lane = _begin_answer(shown, tally, place, np.int64(model[q]), np.int64(n[q]), n_served)
        for r in range(n[q]):
            shown.item[place, lane, r] = item[q, r]
            _cover(covered, tally, item[q, r], np.int64(model[q]))


@entry
def forget(shown: Shown, sessions: U64) -> None:
    """Keep no answers to *sessions*."""
    for session in sessions:
        at = _find(shown, session)
        if shown.table[at] >= 0:
            place = shown.table[at]
            for lane in range(shown.model.shape[1]):
                for r in range(shown.item.shape[2]):
                    shown.item[place, lane, r] = 0
            _drop(shown, at)
            shown.session[place] = 0


@entry
def refill(old: Covered, new: Covered, since: int) -> None:
    """Fill *new*, which is empty, with the items of *old* that were recommended at *since* or later."""
    mask = new.item.size - 1
    models = old.last.shape[1]
    for j in range(old.item.size):
        if old.item[j] == NOBODY:
            continue
        is_kept = False
        for m in range(models):
            is_kept = is_kept or old.last[j, m] >= since
        if is_kept:
            at = np.int64(old.item[j] >> HIGH_HALF) & mask
            while new.item[at] != NOBODY:
                at = (at + 1) & mask
            new.item[at] = old.item[j]
            for m in range(models):
                new.last[at, m] = old.last[j, m]
            new.used[0] += 1
