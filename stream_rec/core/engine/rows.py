"""Answers as the kernels leave them: room for their rows, and the names of what stands there."""

from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np

from stream_rec.core.events import Recommendation
from stream_rec.core.index import AnswerArrays

__all__ = ["all_named", "named", "new_rows"]

SOURCES: Final = ("neighbours", "followed", "popular")

ItemNames = Sequence[str | None]
"""Of items, by their numbers."""


def new_rows(queries: int, n: int) -> AnswerArrays:
    """Return room for the answers to *queries*, of *n* items at most."""
    return AnswerArrays(
        item=np.empty((queries, n), np.int32),
        score=np.empty((queries, n), np.float64),
        source=np.empty((queries, n), np.uint8),
        n=np.zeros(queries, np.int32),
    )


def named(names: ItemNames, answers: AnswerArrays, row: int) -> list[Recommendation]:
    """Return one row with names."""
    n = int(answers.n[row])
    items = map(names.__getitem__, answers.item[row, :n].tolist())
    sources = map(SOURCES.__getitem__, answers.source[row, :n].tolist())
    scores = answers.score[row, :n].tolist()
    return list(map(Recommendation, items, scores, sources))  # type: ignore[arg-type]  # an answer's item has a name


def all_named(names: ItemNames, answers: AnswerArrays) -> Iterator[list[Recommendation]]:
    """Yield all rows with names; less work each than `named` is for one."""
    columns = (answers.n, answers.item, answers.score, answers.source)
    for n, items, scores, sources in zip(*(each.tolist() for each in columns), strict=True):
        of = (map(names.__getitem__, items[:n]), scores[:n], map(SOURCES.__getitem__, sources[:n]))
        yield list(map(Recommendation, *of))  # type: ignore[arg-type]  # an answer's item has a name
