"""The descent: a small model learns from examples what came next.

It begins with the shipped start, which ranks as the model does. Reads nothing but the
examples, so it may run beside everything else.
"""

from typing import Final

import numpy as np

from stream_rec.core.dtypes import F32, F64
from stream_rec.core.index import ln
from stream_rec.core.rerank.kernel import entries, fields
from stream_rec.core.rerank.kernel.fields import Examples, Step, Weights
from stream_rec.core.rerank.past import PastQuestions
from stream_rec.core.rerank.reranker import FORMS

__all__ = ["descend", "only_plain", "returns_of", "start"]

_PASSES: Final = 8
_RATE: Final = 0.05
_FIRST_SQUARES: Final = 0.01
_RARE_RETURNS: Final = 20.0  # further chances that nothing came of: a share of few is not believed
_SPREAD: Final = 0.3  # standard deviation of the hidden weights at the start


def only_plain(weights: Weights) -> Weights:
    """Return the first set alone, which ranks as the model does."""
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


def returns_of(questions: PastQuestions) -> F64:
    """Return the logs of how often sessions return to the item so many places back, [MOST_BACK]."""
    chances, hits = np.zeros(fields.MOST_BACK), np.zeros(fields.MOST_BACK)
    entries.count_returns(questions.queries, questions.came, chances, hits)
    shares = hits / (chances + _RARE_RETURNS)
    return np.array([ln(share + fields.LEAST_RETURNS) for share in shares.tolist()])


def descend(examples: Examples, first: int, last: int, weights: Weights) -> None:
    """Fit *weights*, in place, to the examples from *first* up to *last*."""
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
    entries.descend(examples, first, last, weights, squares, step, _RATE, _PASSES)
