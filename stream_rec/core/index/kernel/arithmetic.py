"""Natural logarithm, exponential and rounding from IEEE-754 basic operations only.

Answers must be the same, bit for bit, on every machine (law 1). The last bit of a C library's `log` and `exp` differs
between versions and between processors. These are built of +, -, *, / and exact scaling by powers of two, so all
machines that follow IEEE-754 agree. The relative error is below 4e-16 over the ranges used here.

The same source runs interpreted (reference implementation) and compiled (kernel).
"""

import math

__all__ = ["exp", "ln", "rounded", "rounded_coarsely"]

_LN2_HIGH = 0.693147180369123816490  # the upper 33 bits of ln 2, so that k * _LN2_HIGH is exact for |k| < 2**20
_LN2_LOW = 1.90821492927058770002e-10  # ln 2 - _LN2_HIGH
_SQRT_HALF = 0.7071067811865476
_TO_32_BITS = 2097153.0  # 2**(53 - 32) + 1
_TO_30_BITS = 8388609.0
_SMALLEST = -700.0  # e to a smaller power is not a normal number any more


def ln(x: float) -> float:
    """Return the natural logarithm of *x* > 0, by the series of artanh."""
    fraction, exponent = math.frexp(x)
    if fraction < _SQRT_HALF:
        fraction *= 2.0
        exponent -= 1
    s = (fraction - 1.0) / (fraction + 1.0)  # |s| <= 0.1716, so s**22 / 23 is below one unit in the last place
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
    return exponent * _LN2_HIGH + (2.0 * s + (tail + exponent * _LN2_LOW))


def exp(x: float) -> float:
    """Return e to the *x* for x up to 700; 0.0 below -700, since no smaller factor is ever needed."""
    if x < _SMALLEST:
        return 0.0
    k = math.floor(x * 1.4426950408889634 + 0.5)
    r = (x - k * _LN2_HIGH) - k * _LN2_LOW  # |r| <= 0.3466, so r**14 / 14! is below one unit in the last place
    p = 1.0 / 6227020800.0
    p = p * r + 1.0 / 479001600.0
    p = p * r + 1.0 / 39916800.0
    p = p * r + 1.0 / 3628800.0
    p = p * r + 1.0 / 362880.0
    p = p * r + 1.0 / 40320.0
    p = p * r + 1.0 / 5040.0
    p = p * r + 1.0 / 720.0
    p = p * r + 1.0 / 120.0
    p = p * r + 1.0 / 24.0
    p = p * r + 1.0 / 6.0
    p = p * r + 0.5
    return math.ldexp(1.0 + (r + r * r * p), int(k))


def rounded(x: float) -> float:
    """Return *x* rounded to 32 binary digits (nine decimal ones), by which scores and similarities are compared.

    Veltkamp's splitting. It never changes the order of two numbers. Halfway cases go either way, always the same.
    """
    wide = x * _TO_32_BITS
    return wide - (wide - x)


def rounded_coarsely(x: float) -> float:
    """Return *x* rounded to 30 binary digits.

    If two numbers differ after that, so do their products with any common factor after `rounded`.
    """
    wide = x * _TO_30_BITS
    return wide - (wide - x)
