"""Answers by weights: the memory that re-ranking needs, and the calls of its kernels."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, Literal

import numpy as np

from stream_rec.core.dtypes import I32, I64
from stream_rec.core.index import ANYTHING, AnswerArrays, Index, Parameters, Queries, field
from stream_rec.core.rerank.kernel import entries, fields
from stream_rec.core.rerank.kernel.fields import Examples, Room, Weights
from stream_rec.core.rerank.past import PastQuestions

__all__ = ["FEW_CANDIDATES", "FORMS", "MANY_CANDIDATES", "FormName", "Reranker", "space_for", "space_for_examples"]

FormName = Literal["plain", "linear", "hidden"]
FORMS: Final[Mapping[FormName, int]] = MappingProxyType(
    {"plain": fields.PLAIN, "linear": fields.LINEAR, "hidden": fields.WITH_HIDDEN}
)
"""What weights can be: none (the model's own order), one for each feature, and these with hidden units."""

FEW_CANDIDATES: Final = 128
"""Items of the model's own answer that are re-ranked."""
MANY_CANDIDATES: Final = 512
"""The same where long sessions bring many items up."""
_EXTRA: Final = fields.MOST_BACK + fields.N_TRENDING


class Reranker:
    """Re-ranks what a model answers from *index*. Not thread-safe: one thread owns it, as it owns the index."""

    def __init__(self, index: Index, n_candidates: int = FEW_CANDIDATES) -> None:
        self._index = index
        self._n_candidates = n_candidates
        self._room = _new_room(n_candidates)

    @property
    def n_candidates(self) -> int:
        """How many items of the model's own answer are re-ranked."""
        return self._n_candidates

    @n_candidates.setter
    def n_candidates(self, n: int) -> None:
        if n != self._n_candidates:
            self._n_candidates = n
            self._room = _new_room(n)

    def ask(self, model: Parameters, weights: Weights, queries: Queries, answers: AnswerArrays) -> None:
        """Answer each of Q queries by each of W weights from candidates of *model*, into Q x W rows of *answers*."""
        now = np.full(len(queries.own), field.NEVER, np.int64)
        self._ask(model, weights, queries, now, np.zeros(len(now), np.int32), answers, space_for_examples(0))

    def ask_again(self, model: Parameters, weights: Weights, questions: PastQuestions, answers: AnswerArrays) -> None:
        """Answer *questions* as of their time, by each of the weights; with nothing where no candidate came next."""
        self._ask(model, weights, questions.queries, questions.now, questions.came, answers, space_for_examples(0))

    def examples_of(self, model: Parameters, weights: Weights, questions: PastQuestions) -> Examples:
        """Return *questions*, put as of their time, as examples. Of *weights* only the returns are used."""
        examples = space_for_examples(len(questions))
        self.write_examples(model, weights, questions, examples)
        return examples

    def write_examples(self, model: Parameters, weights: Weights, questions: PastQuestions, examples: Examples) -> None:
        """Write *questions*, Q of them, put as of their time, as Q *examples*; see `examples_of`."""
        if len(questions) > 0:  # none would be answered, not written
            self._ask(model, weights, questions.queries, questions.now, questions.came, _NO_ANSWERS, examples)

    def _ask(
        self,
        model: Parameters,
        weights: Weights,
        queries: Queries,
        now: I64,
        came: I32,
        answers: AnswerArrays,
        examples: Examples,
    ) -> None:
        index, room = self._index, self._room
        n_items = len(index.state.item)
        if len(room.place) < n_items:
            room = self._room = room._replace(place=np.zeros(n_items, np.int32))
        whole = model.whole.copy()
        whole[field.N] = self._n_candidates
        whole[field.FALLBACKS] = 0
        longest = int((queries.end - queries.begin).max(initial=0))
        scratch = index.arrays.scratch(whole, longest, index.arrays.workspace)
        index.settle()
        p = model._replace(whole=whole)
        entries.ask_again(index.state, scratch, p, ANYTHING, room, weights, queries, now, came, answers, examples)


def space_for_examples(n: int) -> Examples:
    """Return space for *n* examples."""
    return Examples(
        np.zeros((n, fields.ROW, fields.N_FEATURES), np.int16),
        np.zeros((n, fields.ROW), np.float32),
        np.zeros(n, np.int32),
    )


def space_for(rows: int, n: int) -> AnswerArrays:
    """Return space for *rows* answers of *n* items."""
    return AnswerArrays(
        np.zeros((rows, n), np.int32),
        np.zeros((rows, n), np.float64),
        np.zeros((rows, n), np.uint8),
        np.zeros(rows, np.int32),
    )


_NO_ANSWERS: Final = space_for(0, 0)


def _new_room(n: int) -> Room:
    most = n + _EXTRA
    return Room(
        base=space_for(1, n),
        place=np.zeros(0, np.int32),
        item=np.zeros(most, np.int32),
        score=np.zeros(most, np.float64),
        sums=np.zeros((most, fields.N_SUMS), np.float64),
        totals=np.zeros(fields.N_TOTALS, np.float64),
        back=np.zeros(most, np.int32),
        times=np.zeros(most, np.int32),
        x=np.zeros((most, fields.N_FEATURES), np.int16),
        floats=np.zeros((most, fields.N_FEATURES), np.float32),
        z=np.zeros((1, fields.HIDDEN), np.float32),
        key=np.zeros(most, np.float64),
        pick=np.zeros(most, np.int32),
    )
