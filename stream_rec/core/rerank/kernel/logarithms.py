"""Many logarithms at once, in loops that LLVM turns into operations on several floats, bit for bit those of one."""

import numpy as np

from stream_rec.core.compiled import inner
from stream_rec.core.dtypes import F64, I64

__all__ = ["take_logarithms"]

_FRACTION_BITS = 52
_FRACTION = (1 << _FRACTION_BITS) - 1
_BIAS = 1022  # of the exponent of a fraction from 1/2 up to 1
_HALF = _BIAS << _FRACTION_BITS
_LN2_HIGH = 0.693147180369123816490  # as in `arithmetic`
_LN2_LOW = 1.90821492927058770002e-10
_SQRT_HALF = 0.7071067811865476


@inner
def take_logarithms(log: F64, log_bits: I64, exponent: F64, n: int) -> None:
    """Replace the first *n* floats of *log*, normal and above 0, by their logarithms.

    *log_bits* is the same memory. Each loop reads it in one way only: LLVM would not trust the other. The operations
    and their order are those of `arithmetic.ln`, without its branch and its call of `frexp`.
    """
    for k in range(n):
        bits = log_bits[k]
        exponent[k] = float(np.int32((bits >> _FRACTION_BITS) - _BIAS))
        log_bits[k] = (bits & _FRACTION) | _HALF
    for k in range(n):
        is_low = log[k] < _SQRT_HALF
        fraction = log[k] * 2.0 if is_low else log[k]
        power = exponent[k] - 1.0 if is_low else exponent[k]
        s = (fraction - 1.0) / (fraction + 1.0)
        z = s * s
        p = 1.0 / 21.0
        p = p * z + 1.0 / 19.0
        p = p * z + 1.0 / 17.0
        p = p * z + 1.0 / 15.0
        p = p * z + 1.0 / 13.0
        p = p * z + 1.0 / 11.0
        p = p * z + 1.0 / 9.0
        p = p * z + 1.0 / 7.0
        p = p * z + 1.0 / 5.0
        p = p * z + 1.0 / 3.0
        tail = 2.0 * s * z * p
        log[k] = power * _LN2_HIGH + (2.0 * s + (tail + power * _LN2_LOW))
