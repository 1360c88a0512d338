"""Answers as the kernels write them: memory for their rows, and the same rows with ids."""

from collections.abc import Iterator, Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from stream_rec.core.events import Recommendation
from stream_rec.core.index import AnswerArrays

__all__ = ["all_named", "chosen_rows", "named", "new_rows", "put_row"]

_SOURCES: Final = ("neighbours", "followed", "popular", "session", "newest")
_CODES: Final = {name: code for code, name in enumerate(_SOURCES)}

_ItemNames = Sequence[str | None]
"""Ids of items, by ordinal."""


def new_rows(queries: int, n: int) -> AnswerArrays:
    """Return memory for the answers to *queries*, of at most *n* items each."""
    return AnswerArrays(
        item=np.empty((queries, n), np.int32),
        score=np.empty((queries, n), np.float64),
        source=np.empty((queries, n), np.uint8),
        n=np.zeros(queries, np.int32),
    )


def chosen_rows(answers: AnswerArrays, rows: npt.NDArray[np.integer[Any]]) -> AnswerArrays:
    """Return the rows of the answers that are in *rows*, [m], in that order."""
    return AnswerArrays(answers.item[rows], answers.score[rows], answers.source[rows], answers.n[rows])


def named(names: _ItemNames, answers: AnswerArrays, row: int) -> list[Recommendation]:
    """Return one row with ids."""
    n = int(answers.n[row])
    items = map(names.__getitem__, answers.item[row, :n].tolist())
    sources = map(_SOURCES.__getitem__, answers.source[row, :n].tolist())
    scores = answers.score[row, :n].tolist()
    return list(map(Recommendation, items, scores, sources))  # type: ignore[arg-type]  # an answer's item has a name


def put_row(answers: AnswerArrays, row: int, items: Sequence[int], chosen: Sequence[Recommendation]) -> None:
    """Replace one row by *chosen*, whose ordinals are *items*."""
    n = len(chosen)
    answers.item[row, :n] = items
    answers.score[row, :n] = [each.score for each in chosen]
    answers.source[row, :n] = [_CODES[each.source] for each in chosen]
    answers.n[row] = n


def all_named(names: _ItemNames, answers: AnswerArrays) -> Iterator[list[Recommendation]]:
    """Yield all rows with ids, at less cost each than `named`."""
    columns = (answers.n, answers.item, answers.score, answers.source)
    for n, items, scores, sources in zip(*(each.tolist() for each in columns), strict=True):
        of = (map(names.__getitem__, items[:n]), scores[:n], map(_SOURCES.__getitem__, sources[:n]))
        yield list(map(Recommendation, *of))  # type: ignore[arg-type]  # an answer's item has a name
