"""The learner: softmax over the candidates of an example, AdaGrad, one example a step.

Floats of 32 bits, in the written order, with the exponential of `arithmetic`: so all machines learn the same bits.
Duchi, Hazan & Singer, "Adaptive subgradient methods for online learning and stochastic optimization", JMLR 2011.
"""

import numpy as np

from stream_rec.core.compiled import inner
from stream_rec.core.index.kernel.arithmetic import exp as plain_exp
from stream_rec.core.rerank.kernel.fields import HIDDEN, N_FEATURES, PLAIN, SCALE, WITH_HIDDEN, Examples, Step, Weights
from stream_rec.core.rerank.kernel.rows import add_outer, add_product, follow_rows

__all__ = ["descend", "spread", "value_of"]

_exp = inner(plain_exp)
_LEAKY = np.float32(0.05)
_UNIT = np.float32(1.0 / SCALE)
_ZERO = np.float32(0.0)
_ONE = np.float32(1.0)
_LEAST = np.float32(1e-4)  # a smaller gradient is not followed
_HIDDEN_WEIGHTS = N_FEATURES * HIDDEN
_LOWEST = np.float32(-1e30)


@inner
def value_of(weights: Weights, w: int, x: np.ndarray, c: int, z: np.ndarray, unit: int) -> np.float32:
    """Return the score that weights *w* give row *c* of features; row *unit* of *z* becomes its hidden units."""
    value = _ZERO
    for f in range(N_FEATURES):
        value += weights.linear[w, f] * x[c, f]
    if weights.form[w] == WITH_HIDDEN:
        for h in range(HIDDEN):
            z[unit, h] = weights.bias[w, h]
        add_product(z, unit * HIDDEN, weights.hidden, w * _HIDDEN_WEIGHTS, x, c * N_FEATURES)
        for h in range(HIDDEN):
            if z[unit, h] < _ZERO:
                z[unit, h] *= _LEAKY
            value += weights.out[w, h] * z[unit, h]
    return value


@inner
def spread(x: np.ndarray, n: int, to: np.ndarray) -> None:
    """Write the features *x* of *n* candidates as floats *to* where they are learned from."""
    for c in range(n):
        for f in range(N_FEATURES):
            to[c, f] = np.float32(x[c, f]) * _UNIT


@inner
def descend(
    examples: Examples, first: int, last: int, weights: Weights, squares: Weights, w: int, step: Step, rate: np.float32
) -> None:
    """Follow the gradient of each example from *first* up to *last* once, in order. *squares* are AdaGrad's sums."""
    if weights.form[w] == PLAIN:
        return
    for e in range(first, last):
        if examples.n[e] > 1:
            _find_gradient(examples, e, weights, w, step)
            _follow(weights, squares, w, step, rate)


@inner
def _find_gradient(examples: Examples, e: int, weights: Weights, w: int, step: Step) -> None:
    n = examples.n[e]
    is_hidden = weights.form[w] == WITH_HIDDEN
    spread(examples.x[e], n, step.x)
    most = _LOWEST
    for c in range(n):
        step.value[c] = value_of(weights, w, step.x, c, step.z, c) + examples.shift[e, c]
        most = max(most, step.value[c])
    total = _ZERO
    for c in range(n):
        step.value[c] = np.float32(_exp(float(step.value[c] - most)))
        total += step.value[c]
    step.linear[:] = _ZERO
    step.hidden[:] = _ZERO
    step.bias[:] = _ZERO
    step.out[:] = _ZERO
    for c in range(n):
        error = step.value[c] / total
        if c == 0:
            error -= _ONE
        if abs(error) < _LEAST:
            continue
        for f in range(N_FEATURES):
            step.linear[f] += error * step.x[c, f]
        if is_hidden:
            for h in range(HIDDEN):
                unit = step.z[c, h]
                step.out[h] += error * unit
                step.z[c, h] = error * weights.out[w, h] * (_ONE if unit > _ZERO else _LEAKY)
                step.bias[h] += step.z[c, h]
            add_outer(step.hidden, 0, step.x, c * N_FEATURES, step.z, c * HIDDEN)


@inner
def _follow(weights: Weights, squares: Weights, w: int, step: Step, rate: np.float32) -> None:
    for f in range(N_FEATURES):
        squares.linear[w, f] += step.linear[f] * step.linear[f]
        weights.linear[w, f] -= rate * step.linear[f] / np.sqrt(squares.linear[w, f])
    if weights.form[w] == WITH_HIDDEN:
        at = w * _HIDDEN_WEIGHTS
        follow_rows(weights.hidden, at, squares.hidden, at, step.hidden, 0, rate)
        for h in range(HIDDEN):
            squares.bias[w, h] += step.bias[h] * step.bias[h]
            weights.bias[w, h] -= rate * step.bias[h] / np.sqrt(squares.bias[w, h])
            squares.out[w, h] += step.out[h] * step.out[h]
            weights.out[w, h] -= rate * step.out[h] / np.sqrt(squares.out[w, h])
