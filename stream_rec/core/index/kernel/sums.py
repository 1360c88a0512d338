"""Sums that do not depend on the order of their terms, and rounding by which equal numbers compare as equal.

A sum of floats depends on their order, by a last bit that can decide between two items. So each term is cut into a high
and a low part, multiples of two units (powers of two) so large that no sum of such parts is ever rounded: sums of the
parts are exact, and so independent of the order. This is the reproducible summation of Demmel & Nguyen ("Parallel
reproducible summation", IEEE Transactions on Computers 2015) with two bins. Terms that are whole numbers need no low
part: sums of them are exact below 2**53.

What remains are the roundings inside of each term. `rounded` hides them: of numbers that differ by such roundings
only, it makes one and the same number, unless there is a boundary just between them.
"""

import math

from stream_rec.core.compiled import inner
from stream_rec.core.index.kernel import arithmetic

__all__ = ["rounded", "rounded_coarsely", "shifts", "split", "unit"]

rounded = inner(arithmetic.rounded)
rounded_coarsely = inner(arithmetic.rounded_coarsely)
_MANTISSA = 53
_HALF_ULP = 0.5**52


@inner
def shifts(largest: float, n_terms: float) -> tuple[float, float]:
    """Return the shifts for high and low parts, for sums of at most *n_terms* terms >= 0 that do not exceed *largest*.

    The unit of the low parts is about n_terms * largest * 2**-104.
    """
    _, exponent = math.frexp(largest)
    _, bits = math.frexp(n_terms)
    return math.ldexp(1.0, exponent), math.ldexp(1.5, exponent - _MANTISSA + bits)


@inner
def unit(shift: float) -> float:
    """Return a number that `split` by the shift of low parts does not make zero."""
    return shift * _HALF_ULP


@inner
def split(value: float, shift: float) -> float:
    """Return the part of *value* that is a multiple of the unit of *shift*; *value* less that is exact."""
    return (value + shift) - shift
