"""Logarithms that are taken many at once."""

import random
from typing import Any, cast

import numba
import numpy as np

from stream_rec.core.index.kernel.arithmetic import ln
from stream_rec.core.rerank.kernel.logarithms import take_logarithms


def test_many_logarithms_at_once_are_those_of_one() -> None:
    """Bit for bit, from the smallest share to the longest age, beside powers of two, and no further than asked."""
    chance = random.Random(7)
    powers = [
        2.0**k * near for k in range(-14, 41) for near in (1.0 - 2.0**-53, 1.0, 1.0 + 2.0**-52, 0.7071067811865476)
    ]
    values = [*powers, *(10.0 ** chance.uniform(-4.0, 12.0) for _ in range(2_000))]
    log = np.array([*values, 5.0])
    compiled = numba.njit(error_model="numpy")(cast("Any", take_logarithms).py_func)
    compiled(log, log.view(np.int64), np.zeros(len(log)), len(values))
    assert log.tolist() == [*map(ln, values), 5.0]
