"""One fit, in slices: past questions are put again some at a time, while events go on.

    MEASURING   the newest questions say whether few candidates are enough
    OLDER       the older four fifths become examples
    TRIED       weights are learned from these, beside
    NEWER       the newest fifth is asked with them, which judges them, and becomes examples
    ALL         weights are learned from all examples, beside
    DONE

A slice reads the index as it is then, so what is learned depends on the events that came before each slice. A program
that makes its slices at the same events learns the same bits.
"""

from collections.abc import Callable, Mapping
from enum import IntEnum
from typing import Any, Final, NamedTuple

import numpy as np

from stream_rec.core.dtypes import I32, I64, U64, Mask
from stream_rec.core.index import AnswerArrays, Index, Parameters, Queries
from stream_rec.core.index.kernel.state import ITEM_BITS
from stream_rec.core.rerank.descent import descend, only_plain, returns_of, start
from stream_rec.core.rerank.explaining import importance
from stream_rec.core.rerank.fit import LEARNED_FORMS, Fit
from stream_rec.core.rerank.kernel.fields import Examples, Weights
from stream_rec.core.rerank.past import PastQuestions, draw_questions
from stream_rec.core.rerank.reranker import (
    FEW_CANDIDATES,
    FORMS,
    MANY_CANDIDATES,
    NO_ANSWERS,
    CandidateModel,
    FormName,
    Reranker,
    new_examples,
    space_for,
)

__all__ = ["Beside", "Phase", "Refit", "when_needed"]

_HELD_OUT: Final = 5  # the newest fifth judges what the rest has learned
_JUDGED_AT: Final = 20
_MEASURED: Final = 500  # questions that decide how many candidates there are ...
_OFTEN: Final = 0.02  # ... and the share of them whose answer few candidates would leave out
_NO_RETURNS: Final = only_plain(start(np.zeros(60)))

Beside = Callable[[Callable[[], None]], Callable[[], None]]
"""Starts work that touches nothing else, or keeps it; returns what waits until the work is done."""


def when_needed(work: Callable[[], None]) -> Callable[[], None]:
    """Do *work* where it is waited for."""
    return work


class Phase(IntEnum):
    """What a fit does next."""

    MEASURING = 0
    OLDER = 1
    TRIED = 2
    NEWER = 3
    ALL = 4
    DONE = 5


class Refit:
    """A fit to the newest *most* questions that were answered at or before *boundary*, ms of event time.

    *beside* does the descents, which read nothing but the examples.
    """

    def __init__(self, index: Index, boundary: int, most: int, beside: Beside = when_needed) -> None:
        questions = draw_questions(index.state, boundary, most)
        queries, records = questions.queries, index.state.session
        self._beside = beside
        self.boundary = boundary
        self._own = queries.own
        self._place = queries.end - queries.begin
        self._hash: U64 = records["hash"][queries.own]
        self._time: I64 = index.state.event_time[records["at"][queries.own] + self._place]
        returns = returns_of(questions)
        self._weights = {Phase.TRIED: start(returns), Phase.ALL: start(returns)}
        self._examples = new_examples(len(questions))
        self._n_candidates = FEW_CANDIDATES
        self._n_left_out = 0
        self._reciprocal = np.zeros(len(FORMS))
        self._wait: Callable[[], None] | None = None
        self.phase = Phase.MEASURING
        self._begin = max(0, len(questions) - _MEASURED)

    def __len__(self) -> int:
        """Return how many questions were drawn."""
        return len(self._own)

    @property
    def is_learning(self) -> bool:
        """Whether the next part is the end of a descent, which runs beside, and not questions."""
        return self.phase in {Phase.TRIED, Phase.ALL}

    def go_on(self, index: Index, model: Parameters, n: int) -> None:
        """Put *n* further questions to the index, or take what was learned meanwhile."""
        if self.is_learning:
            assert self._wait is not None, "begun with the phase"
            self._wait()
            self._enter(Phase(self.phase + 1))
            return
        end = min(self._begin + n, self._end)
        part = _again(index, self._own, self._place, self._hash, self._time, slice(self._begin, end))
        if len(part.kept):
            self._put(index, model, part)
        self._begin = end
        if end == self._end:
            if self.phase == Phase.MEASURING and self._n_left_out > _OFTEN * min(len(self), _MEASURED):
                self._n_candidates = MANY_CANDIDATES
            self._enter(Phase(self.phase + 1))

    @property
    def done(self) -> float:
        """The share of the questions that were put."""
        if self.phase == Phase.MEASURING or not len(self):
            return 0.0
        put = {Phase.TRIED: self._n_older, Phase.ALL: len(self), Phase.DONE: len(self)}
        return put.get(self.phase, self._begin) / len(self)

    @property
    def result(self) -> Fit:
        """What was learned, once it is done."""
        assert self.phase == Phase.DONE, "done"
        n_judged = len(self) - self._n_older
        totals = zip(FORMS, self._reciprocal.tolist(), strict=True)
        mrr: dict[FormName, float] = {form: total / n_judged if n_judged else 0.0 for form, total in totals}
        n_examples = int((self._examples.n > 0).sum())
        fit = Fit(self._weights[Phase.ALL], len(self), n_examples, mrr, self._n_candidates, self.boundary, {})
        moves = {form: importance(fit.of(form), self._examples).tolist() for form in LEARNED_FORMS}
        return fit._replace(importance=moves)

    # --- its state

    def export(self) -> dict[str, Any]:
        """Return all of it as numbers and arrays of its own, for `restored`. It knows sessions by their hashes only.

        What is being learned is left out: it is learned again, from the same examples.
        """
        weights = self._weights[Phase.TRIED]._asdict() if self.phase == Phase.NEWER else {}
        return {
            "phase": int(self.phase),
            "boundary": self.boundary,
            "begin": self._begin,
            "n_candidates": self._n_candidates,
            "n_left_out": self._n_left_out,
            "place": self._place,
            "hash": self._hash,
            "time": self._time,
            "reciprocal": self._reciprocal.copy(),
            "returns": self._weights[Phase.ALL].returns,
            **{f"examples_{name}": each.copy() for name, each in self._examples._asdict().items()},
            **{f"tried_{name}": each for name, each in weights.items()},
        }

    @classmethod
    def restored(cls, state: Mapping[str, Any], index: Index, beside: Beside = when_needed) -> "Refit":
        """Return a fit that goes on in *index* where the one that was exported was. Raises KeyError and ValueError."""
        self = cls.__new__(cls)
        self._beside = beside
        self.boundary = int(state["boundary"])
        self._n_candidates, self._n_left_out = int(state["n_candidates"]), int(state["n_left_out"])
        self._place, self._hash, self._time = (state[name] for name in ("place", "hash", "time"))
        self._own = _slots(index, self._hash)
        self._reciprocal = state["reciprocal"].copy()
        self._examples = Examples(*(state[f"examples_{name}"].copy() for name in Examples._fields))
        n = len(self._own)
        if {n} != {len(each) for each in (self._place, self._time, *self._examples)}:
            raise ValueError("the questions of a fit and their examples differ")
        returns = state["returns"]
        self._weights = {Phase.TRIED: start(returns), Phase.ALL: start(returns)}
        phase = Phase(int(state["phase"]))
        if phase == Phase.NEWER:
            self._weights[Phase.TRIED] = Weights(*(state[f"tried_{name}"] for name in Weights._fields))
        self._enter(phase)
        self._begin = int(state["begin"])
        return self

    # --- its parts

    @property
    def _n_older(self) -> int:
        return len(self) - len(self) // _HELD_OUT

    @property
    def _end(self) -> int:
        return self._n_older if self.phase == Phase.OLDER else len(self)

    def _enter(self, phase: Phase) -> None:
        self.phase, self._wait = phase, None
        self._begin = self._n_older if phase == Phase.NEWER else 0
        if self.is_learning:
            last = self._n_older if phase == Phase.TRIED else len(self)
            examples, weights = self._examples, self._weights[phase]
            self._wait = self._beside(lambda: descend(examples, 0, last, weights))

    def _put(self, index: Index, model: Parameters, part: "_Part") -> None:
        reranker, questions = Reranker(index), part.questions
        if self.phase == Phase.MEASURING:
            answers = space_for(len(questions), MANY_CANDIDATES)
            reranker.ask_again(CandidateModel.of(model, MANY_CANDIDATES), _NO_RETURNS, questions, answers)
            self._n_left_out += int(_hits(answers, questions)[:, FEW_CANDIDATES:].sum())
            return
        examples = new_examples(len(questions))
        candidates = CandidateModel.of(model, self._n_candidates)
        if self.phase == Phase.OLDER:
            reranker.ask_again(candidates, self._weights[Phase.ALL], questions, NO_ANSWERS, examples)
        else:
            answers = space_for(len(questions) * len(FORMS), _JUDGED_AT)
            reranker.ask_again(candidates, self._weights[Phase.TRIED], questions, answers, examples)
            ranks = _hits(answers, questions) / np.arange(1.0, _JUDGED_AT + 1.0)
            for row in ranks.sum(axis=1).reshape(len(questions), len(FORMS)):  # in order: the same sum for any slices
                self._reciprocal += row
        self._examples.x[part.kept] = examples.x
        self._examples.shift[part.kept] = examples.shift
        self._examples.n[part.kept] = examples.n


class _Part(NamedTuple):
    """Questions whose session still is what it was."""

    questions: PastQuestions
    kept: I64
    """Which of all questions they are."""


def _again(index: Index, own: I64, place: I64, hashes: U64, time: I64, which: slice) -> _Part:
    """Return the questions *which*, read again: sessions may have left since, or lost their first events."""
    own, place, hashes, time = own[which], place[which], hashes[which], time[which]
    state = index.state
    at = state.session["at"][own] + place
    holds = (state.session["hash"][own] == hashes) & (state.session["events"][own] > place)
    holds &= state.event_time[np.minimum(at, len(state.event_time) - 1)] == time
    kept = np.flatnonzero(holds)
    own, place, at = own[kept], place[kept], at[kept]
    ends = np.cumsum(place)
    begins = ends - place
    where = np.arange(int(place.sum())) - np.repeat(begins, place) + np.repeat(at - place, place)
    items: I32 = (state.event_item[where] & ITEM_BITS).astype(np.int32)
    came: I32 = (state.event_item[at] & ITEM_BITS).astype(np.int32)
    questions = PastQuestions(Queries(items, begins, ends, own), state.event_time[at - 1], came)
    return _Part(questions, kept + which.start)


def _slots(index: Index, hashes: U64) -> I64:
    """Return the sessions with these hashes; for one that has left any other, which is not taken for it."""
    live = index.view.live_sessions()
    if not live.size:
        return np.zeros(len(hashes), np.int64)
    of_live: U64 = index.state.session["hash"][live]
    order = np.argsort(of_live)
    found = np.minimum(np.searchsorted(of_live[order], hashes), live.size - 1)
    return live[order][found].astype(np.int64)


def _hits(answers: AnswerArrays, questions: PastQuestions) -> Mask:
    """Return where the answers, Q x W rows of them, have the item that came next."""
    rows, n = answers.item.shape
    came = np.repeat(questions.came, rows // max(1, len(questions)))
    hits: Mask = (answers.item == came[:, None]) & (np.arange(n) < answers.n[:, None])
    return hits
