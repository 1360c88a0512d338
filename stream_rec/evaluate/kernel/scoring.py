"""Answers compared with what came next: ranks, hits among the rest of the session, items shown.

Flat loops over the answers of one batch. Knows nothing of models, of the index or of averages.
"""

from typing import NamedTuple

import numpy as np

from stream_rec.core.compiled import entry, inner
from stream_rec.core.dtypes import F32, I32, I64, U8, U16, U64

__all__ = ["AnswerScores", "GroundTruth", "fill_occurrences", "rest_sizes", "score_answers"]


EMPTY = np.uint64(0xFFFF_FFFF_FFFF_FFFF)
SPREAD = np.uint64(0x9E37_79B9_7F4A_7C15)  # 2**64 over the golden ratio: neighbouring keys land far apart
WORD = np.uint64(32)


class GroundTruth(NamedTuple):
    """What really happened: the first and last place of each item in its session, and the questions."""

    key: U64  # [H] session << 32 | item, EMPTY for a free entry; H a power of two
    first: I32  # [H] place in the session
    last: I32  # [H]
    session: I32  # [Q]
    place: I32  # [Q] of the event asked for
    item: I32  # [Q] of the event asked for
    rest: I32  # [Q] distinct items from there on
    novel: I32  # [Q] ... of which the session did not have before
    is_new: U8  # [Q] 1 if the session did not have the item before


class AnswerScores(NamedTuple):
    """Scores of the answers of P models to Q questions, at C cut-offs; I items."""

    rank: U16  # [P, Q] rank in the answer of the item that came, from 1; 0 if it is missing
    length: U16  # [P, Q] items in the answer
    hits: U16  # [P, Q, C] answered items that came in the rest of the session
    novel_hits: U16  # [P, Q, C] ... of which the session did not have before
    precision: F32  # [P, Q, C] sum of the precision at each hit
    novel_precision: F32  # [P, Q, C]
    shown: I64  # [P, C, I] how many answers have the item among their first C


@inner
def _find(key: U64, wanted: np.uint64) -> int:
    """Return the entry of *wanted*, or the free entry for it."""
    mask = key.size - 1
    spread = wanted * SPREAD
    place = np.int64(spread >> WORD) & mask
    while key[place] != EMPTY and key[place] != wanted:
        place = (place + 1) & mask
    return place


@inner
def _key(session: int, item: int) -> np.uint64:
    return (np.uint64(session) << WORD) | np.uint64(item)


@entry
def fill_occurrences(key: U64, first: I32, last: I32, session: I32, item: I32, place: I32) -> None:
    """Store for each session the first and last place of each of its items. *key* comes EMPTY."""
    for row in range(session.size):
        wanted = _key(session[row], item[row])
        at = _find(key, wanted)
        if key[at] == EMPTY:
            key[at] = wanted
            first[at] = place[row]
        last[at] = place[row]


@entry
def rest_sizes(
    key: U64,
    first: I32,
    last: I32,
    session: I32,
    item: I32,
    place: I32,
    rest: I32,
    novel: I32,
    is_new: U8,
    running: I32,
) -> None:
    """Count, for each event, the distinct items from there on in its session, and how many of them are new to it.

    *running* is scratch memory: two counts for each session, all zero.
    """
    for row in range(session.size - 1, -1, -1):
        at = _find(key, _key(session[row], item[row]))
        base = session[row] * 2
        if last[at] == place[row]:
            running[base] += 1
        is_new[row] = first[at] == place[row]
        if first[at] == place[row]:
            running[base + 1] += 1
        rest[row] = running[base]
        novel[row] = running[base + 1]


@entry
def score_answers(
    item: I32,
    n: I32,
    own: I32,
    row: I64,
    question: I64,
    model: I64,
    cutoffs: I64,
    truth: GroundTruth,
    scores: AnswerScores,
) -> None:
    """Score the answers in rows `row[i] * models + j` as those of models `model[j]` to questions `question[i]`.

    `own` maps the answers' item ordinals to those of the log.
    """
    models = model.size
    for i in range(row.size):
        q = question[i]
        session, place, wanted = truth.session[q], truth.place[q], truth.item[q]
        for j in range(models):
            at = row[i] * models + j
            p = model[j]
            scores.length[p, q] = n[at]
            hits, novel_hits, cut = 0, 0, 0
            precision, novel_precision = 0.0, 0.0
            for rank in range(1, cutoffs[-1] + 1):
                if rank <= n[at]:
                    answered = own[item[at, rank - 1]]
                    for c in range(cut, cutoffs.size):
                        scores.shown[p, c, answered] += 1
                    if answered == wanted:
                        scores.rank[p, q] = rank
                    found = _find(truth.key, _key(session, answered))
                    if truth.key[found] != EMPTY and truth.last[found] >= place:
                        hits += 1
                        precision += hits / rank
                        if truth.first[found] >= place:
                            novel_hits += 1
                            novel_precision += novel_hits / rank
                if rank == cutoffs[cut]:
                    scores.hits[p, q, cut] = hits
                    scores.novel_hits[p, q, cut] = novel_hits
                    scores.precision[p, q, cut] = precision
                    scores.novel_precision[p, q, cut] = novel_precision
                    cut += 1
