"""Weights from the retained sessions: past questions are put again, and a small model learns what came next.

Each fit starts from the shipped start, which ranks as the model does, and looks at nothing but the retained sessions.
"""

from collections.abc import Generator, Iterator, Mapping, Sequence
from typing import Final, NamedTuple

import numpy as np

from stream_rec.core.dtypes import F32, F64, Mask
from stream_rec.core.index import AnswerArrays, Index, Parameters, ln
from stream_rec.core.rerank.kernel import entries, fields
from stream_rec.core.rerank.kernel.fields import Examples, Step, Weights
from stream_rec.core.rerank.past import PastQuestions, draw_questions
from stream_rec.core.rerank.reranker import (
    FEW_CANDIDATES,
    FORMS,
    MANY_CANDIDATES,
    FormName,
    Reranker,
    space_for,
    space_for_examples,
)

__all__ = ["FEWEST_EXAMPLES", "MOST_EXAMPLES", "Fit", "Learner", "start"]

MOST_EXAMPLES: Final = 20_000
FEWEST_EXAMPLES: Final = 3_000
"""With fewer, the model's own order is played: on a news log learned orders were behind it up to there."""

_PASSES: Final = 8
_RATE: Final = 0.05
_FIRST_SQUARES: Final = 0.01
_HELD_OUT: Final = 5  # the newest fifth judges what the rest has learned
_JUDGED_AT: Final = 20
_RARE_RETURNS: Final = 20.0  # further chances that nothing came of: a share of few is not believed
_MEASURED: Final = 500  # questions that decide how many candidates there are ...
_OFTEN: Final = 0.02  # ... and the share of them whose answer few candidates would leave out
_SPREAD: Final = 0.3  # standard deviation of the hidden weights at the start
_AT_ONCE: Final = 1_000  # questions that are put in one step
_LEARNED: Final[Sequence[FormName]] = ("linear", "hidden")


class Fit(NamedTuple):
    """What was learned at a boundary, and how it did on the newest fifth of the questions, unseen."""

    weights: Weights
    """One set for each of FORMS."""
    questions: int
    examples: int
    """Questions whose answer was a candidate."""
    mrr: Mapping[FormName, float]
    """Mean reciprocal rank at 20, of weights that were fitted to the older four fifths."""
    n_candidates: int
    """With so many candidates the weights were learned, and must be asked: see `Reranker.n_candidates`."""
    boundary: int
    """ms of event time."""

    @property
    def best(self) -> FormName:
        """The form to play: the one that was ahead, `plain` if none was, or with fewer than FEWEST_EXAMPLES."""
        if self.examples < FEWEST_EXAMPLES:
            return "plain"
        ahead = max(_LEARNED, key=lambda form: self.mrr[form])
        return ahead if self.mrr[ahead] > self.mrr["plain"] else "plain"


class Learner:
    """Learns how to re-rank what models answer from *index*."""

    def __init__(self, index: Index, reranker: Reranker) -> None:
        self._index = index
        self._reranker = reranker

    def fit(self, model: Parameters, boundary: int, most: int = MOST_EXAMPLES) -> Fit:
        """Learn from the newest *most* questions that were answered at or before *boundary*, ms of event time."""
        steps = self.fitting(model, boundary, most)
        while True:
            try:
                next(steps)
            except StopIteration as end:
                fit: Fit = end.value
                return fit

    def fitting(self, model: Parameters, boundary: int, most: int = MOST_EXAMPLES) -> Generator[None, None, Fit]:
        """Learn as `fit` does, in steps of some tens of milliseconds; the index must not change meanwhile."""
        questions = draw_questions(self._index.state, boundary, most)
        yield
        self._reranker.n_candidates = self._width(model, questions)
        yield
        weights = start(_returns(questions))
        examples = space_for_examples(len(questions))
        for begin in range(0, len(questions), _AT_ONCE):
            end = min(begin + _AT_ONCE, len(questions))
            part = Examples._make(each[begin:end] for each in examples)
            self._reranker.write_examples(model, weights, questions.part(begin, end), part)
            yield
        older = len(questions) - len(questions) // _HELD_OUT
        judged = start(weights.returns)
        yield from _descend(examples, 0, older, judged)
        mrr = self._judge(model, judged, questions.part(older, len(questions)))
        yield
        yield from _descend(examples, 0, len(questions), weights)
        n_examples = int((examples.n > 0).sum())
        return Fit(weights, len(questions), n_examples, mrr, self._reranker.n_candidates, boundary)

    def _width(self, model: Parameters, questions: PastQuestions) -> int:
        """Return how many candidates to take: many where the answer is often among those that few leave out."""
        few, many = FEW_CANDIDATES, MANY_CANDIDATES
        newest = questions.part(max(0, len(questions) - _MEASURED), len(questions))
        answers = space_for(len(newest), many)
        self._reranker.n_candidates = many
        self._reranker.ask_again(model, _only_plain(start(np.zeros(fields.MOST_BACK))), newest, answers)
        found = _hits(answers, newest)
        return many if found[:, few:].sum() > _OFTEN * len(newest) else few

    def _judge(self, model: Parameters, weights: Weights, questions: PastQuestions) -> dict[FormName, float]:
        n, forms = len(questions), len(FORMS)
        answers = space_for(n * forms, _JUDGED_AT)
        self._reranker.ask_again(model, weights, questions, answers)
        reciprocal = (_hits(answers, questions) / np.arange(1.0, _JUDGED_AT + 1.0)).sum(axis=1).reshape(n, forms)
        return {form: float(reciprocal[:, w].mean()) if n else 0.0 for w, form in enumerate(FORMS)}


def _hits(answers: AnswerArrays, questions: PastQuestions) -> Mask:
    """Return where the answers, Q x W rows of them, have the item that came next."""
    rows, n = answers.item.shape
    came = np.repeat(questions.came, rows // max(1, len(questions)))
    hits: Mask = (answers.item == came[:, None]) & (np.arange(n) < answers.n[:, None])
    return hits


def _only_plain(weights: Weights) -> Weights:
    return Weights(
        form=weights.form[:1],
        linear=weights.linear[:1],
        hidden=weights.hidden[:1],
        bias=weights.bias[:1],
        out=weights.out[:1],
        returns=weights.returns,
    )


def start(returns: F64) -> Weights:
    """Return the weights that each fit starts from: they rank as the model itself does.

    *returns*, [MOST_BACK], are logs of how often sessions return to the item so many places back.
    """
    forms = len(FORMS)
    linear = np.zeros((forms, fields.N_FEATURES), np.float32)
    linear[:, fields.X_BASE] = 1.0
    hidden = np.broadcast_to(_HIDDEN_START, (forms, *_HIDDEN_START.shape)).copy()
    units = (forms, fields.HIDDEN)
    return Weights(
        form=np.array(list(FORMS.values()), np.int64),
        linear=linear,
        hidden=hidden,
        bias=np.zeros(units, np.float32),
        out=np.zeros(units, np.float32),
        returns=returns,
    )


def _shipped_start() -> F32:
    """Draw the hidden weights by a generator and a transformation that are the same everywhere."""
    n = fields.N_FEATURES * fields.HIDDEN
    words = np.random.PCG64(7).random_raw(12 * n).reshape(n, 12)
    uniform = (words >> np.uint64(11)).astype(np.float64) / float(1 << 53)
    normal = uniform.sum(axis=1) - 6.0  # of 12 uniform ones: variance 1
    drawn: F32 = (normal * _SPREAD).astype(np.float32).reshape(fields.N_FEATURES, fields.HIDDEN)
    return drawn


_HIDDEN_START: Final = _shipped_start()


def _returns(questions: PastQuestions) -> F64:
    chances, hits = np.zeros(fields.MOST_BACK), np.zeros(fields.MOST_BACK)
    entries.count_returns(questions.queries, questions.came, chances, hits)
    shares = hits / (chances + _RARE_RETURNS)
    return np.array([ln(share + fields.LEAST_RETURNS) for share in shares.tolist()])


def _descend(examples: Examples, first: int, last: int, weights: Weights) -> Iterator[None]:
    """Fit *weights*, in place, to the examples from *first* up to *last*, a pass at each step."""
    squares = Weights(
        form=weights.form,
        linear=np.full_like(weights.linear, _FIRST_SQUARES),
        hidden=np.full_like(weights.hidden, _FIRST_SQUARES),
        bias=np.full_like(weights.bias, _FIRST_SQUARES),
        out=np.full_like(weights.out, _FIRST_SQUARES),
        returns=weights.returns,
    )
    step = Step(
        x=np.zeros((fields.ROW, fields.N_FEATURES), np.float32),
        linear=np.zeros(fields.N_FEATURES, np.float32),
        hidden=np.zeros((fields.N_FEATURES, fields.HIDDEN), np.float32),
        bias=np.zeros(fields.HIDDEN, np.float32),
        out=np.zeros(fields.HIDDEN, np.float32),
        z=np.zeros((fields.ROW, fields.HIDDEN), np.float32),
        value=np.zeros(fields.ROW, np.float32),
    )
    for _ in range(_PASSES):
        entries.descend(examples, first, last, weights, squares, step, _RATE, 1)
        yield
