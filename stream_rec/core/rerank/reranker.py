"""Answers by weights: the memory that re-ranking needs, and the calls of its kernels."""

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final, Literal, NamedTuple

import numpy as np

from stream_rec.core.compiled import drop_stale_code
from stream_rec.core.dtypes import I64
from stream_rec.core.index import (
    ANYTHING,
    AnswerArrays,
    Index,
    Parameters,
    Policy,
    Queries,
    Workspace,
    field,
    n_listed,
)
from stream_rec.core.rerank.kernel import entries, fields
from stream_rec.core.rerank.kernel.fields import Examples, Room, Weights
from stream_rec.core.rerank.past import PastQuestions

__all__ = [
    "FEW_CANDIDATES",
    "FORMS",
    "MANY_CANDIDATES",
    "NO_ANSWERS",
    "CandidateModel",
    "FormName",
    "Reranker",
    "is_cold",
    "new_examples",
    "space_for",
]

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


def is_cold() -> bool:
    """Return whether the compiled code of re-ranking is not on disk. Cheap."""
    kept = entries.ask_again.dispatcher.stats.cache_path
    if kept is None:  # no folder may be written to: each start is a cold one
        return True
    drop_stale_code(Path(kept))
    return not any(Path(kept).glob("entries.ask_again-*.nbi"))


class CandidateModel(NamedTuple):
    """A model, and the same model as it brings candidates up."""

    own: Parameters
    """As it answers by itself."""
    candidates: Parameters
    """With as many items as there are candidates, and without fallbacks."""

    @classmethod
    def of(cls, model: Parameters, n_candidates: int = FEW_CANDIDATES) -> "CandidateModel":
        """Return *model* with at least *n_candidates*: as many as it has items in an answer, if that is more."""
        whole = model.whole.copy()
        whole[field.N] = max(n_candidates, int(whole[field.N]))
        whole[field.FALLBACKS] = 0
        return cls(model, model._replace(whole=whole))

    @property
    def without_fallbacks(self) -> "CandidateModel":
        """The same, with answers that are not filled up."""
        return CandidateModel(self.candidates, self.candidates)


class Reranker:
    """Re-ranks what models answer from *index*. Askers side by side need a workspace each."""

    def __init__(self, index: Index) -> None:
        self._index = index

    def ask(
        self,
        model: CandidateModel,
        weights: Weights,
        queries: Queries,
        answers: AnswerArrays,
        policy: Policy = ANYTHING,
        workspace: Workspace | None = None,
    ) -> None:
        """Answer each of Q queries by each of W weights from candidates of *model*, into Q x W rows of *answers*.

        An answer has as many items as there is space for, but no more than the model's own, and is filled up as these.
        """
        n = len(queries.own)
        now = np.full(n, field.NEVER, np.int64)
        self._ask(model, weights, PastQuestions(queries, now, np.zeros(n, np.int32)), answers, None, policy, workspace)

    def ask_session(
        self,
        model: CandidateModel,
        weights: Weights,
        session: int,
        answers: AnswerArrays,
        row: int,
        policy: Policy = ANYTHING,
        workspace: Workspace | None = None,
    ) -> None:
        """Answer for *session* by the one set of *weights* into *row*."""
        one = Queries(_NO_ITEMS, _OWN_EVENTS, _OWN_EVENTS, np.array([session], np.int64))
        space = AnswerArrays._make(each[row : row + 1] for each in answers)
        self._ask(model, weights, PastQuestions(one, _PRESENT, _NOTHING), space, None, policy, workspace)

    def ask_again(
        self,
        model: CandidateModel,
        weights: Weights,
        questions: PastQuestions,
        answers: AnswerArrays,
        examples: Examples | None = None,
    ) -> None:
        """Answer *questions* as of their time by each of the weights, and write them to *examples*, if there are any.

        Of *weights* only the returns are used for examples. `NO_ANSWERS` has no space for answers. Answers are not
        filled up.
        """
        self._ask(model.without_fallbacks, weights, questions, answers, examples, ANYTHING, None)

    def last_room(self, workspace: Workspace | None = None) -> Room:
        """Return the candidates of the last question in *workspace*, with their features."""
        room = (workspace or self._index.arrays.workspace).room
        assert isinstance(room, Room), "asked before"
        return room

    def _ask(
        self,
        model: CandidateModel,
        weights: Weights,
        questions: PastQuestions,
        answers: AnswerArrays,
        examples: Examples | None,
        policy: Policy,
        workspace: Workspace | None,
    ) -> None:
        index, own = self._index, model.own
        if answers.n.size and answers.item.shape[1] < own.whole[field.N]:
            own = own._replace(whole=own.whole.copy())
            own.whole[field.N] = answers.item.shape[1]
        workspace = workspace or index.arrays.workspace
        queries, whole = questions.queries, model.candidates.whole
        room = _room_in(workspace, int(whole[field.N]), len(index.state.item))
        n_extra = n_listed(policy) + int((queries.end - queries.begin).max(initial=0))
        scratch = index.arrays.scratch(whole, n_extra, workspace)
        entries.ask_again(
            index.state,
            scratch,
            model.candidates,
            own,
            policy,
            room,
            weights,
            queries,
            questions.now,
            questions.came,
            answers,
            _NO_EXAMPLES if examples is None else examples,
        )


def new_examples(n: int) -> Examples:
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


NO_ANSWERS: Final = space_for(0, 0)
_NO_EXAMPLES: Final = new_examples(0)
_NO_ITEMS: Final = np.empty(0, np.int32)
_OWN_EVENTS: Final[I64] = np.array([field.OWN_EVENTS], np.int64)
_PRESENT: Final[I64] = np.array([field.NEVER], np.int64)
_NOTHING: Final = np.zeros(1, np.int32)


def _room_in(workspace: Workspace, n: int, n_items: int) -> Room:
    """Return the room of *workspace*, for *n* candidates of a model over *n_items*."""
    room = workspace.room
    if not isinstance(room, Room) or room.base.item.shape[1] < n:
        room = workspace.room = _new_room(n, n_items)
    elif len(room.place) < n_items:
        room = workspace.room = room._replace(place=np.zeros(n_items, np.int32))
    return room


def _new_room(n: int, n_items: int) -> Room:
    most = n + _EXTRA
    log = np.zeros(most * fields.N_LOGS, np.float64)
    return Room(
        base=space_for(1, n),
        n=np.zeros(1, np.int32),
        place=np.zeros(n_items, np.int32),
        item=np.zeros(most, np.int32),
        score=np.zeros(most, np.float64),
        sums=np.zeros((most, fields.N_SUMS), np.float64),
        totals=np.zeros(fields.N_TOTALS, np.float64),
        back=np.zeros(most, np.int32),
        times=np.zeros(most, np.int32),
        x=np.zeros((most, fields.N_FEATURES), np.int16),
        floats=np.zeros((most, fields.N_FEATURES), np.float32),
        log=log,
        log_bits=log.view(np.int64),
        exponent=np.zeros(len(log), np.float64),
        z=np.zeros((1, fields.HIDDEN), np.float32),
        key=np.zeros(most, np.float64),
        pick=np.zeros(most, np.int32),
    )
