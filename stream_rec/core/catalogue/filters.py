"""An expression over all rows at once.

A field that an item does not have compares false, whatever with; `not` turns that into true.
"""

import operator
from collections.abc import Callable
from functools import reduce
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from stream_rec.core.catalogue.columns import Column, Stored, bool_of
from stream_rec.core.expressions import All, Compared, Contains, Either, Expression, Is, Not, OneOf, Value

if TYPE_CHECKING:
    from stream_rec.core.catalogue.versions import Catalogue

__all__ = ["holds"]

Hits = npt.NDArray[np.bool_]

_ORDERS: Final[dict[str, Callable[[Any, Any], Any]]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


def holds(expression: Expression, catalogue: "Catalogue") -> Hits:
    """Return for which rows of *catalogue* the *expression* holds. Row 0 is an item that is not in it."""
    match expression:
        case Not(of):
            return ~holds(of, catalogue)
        case All(parts):
            return reduce(np.logical_and, (holds(part, catalogue) for part in parts))
        case Either(parts):
            return reduce(np.logical_or, (holds(part, catalogue) for part in parts))
        case Is(field):
            return catalogue.column(field).where(lambda each: bool_of(each) is True)
        case Contains(field, value):
            return catalogue.column(field).where(lambda each: _contains(each, value))
        case OneOf(field, values, negated):
            column = catalogue.column(field)
            hits = reduce(np.logical_or, (_equals(column, value) for value in values))
            return column.present & ~hits if negated else hits
        case Compared(field, relation, value):
            return _compared(catalogue.column(field), relation, value)


def _compared(column: Column, relation: str, value: Value) -> Hits:
    if relation == "=":
        return _equals(column, value)
    if relation == "!=":
        return column.present & ~_equals(column, value)
    order = _ORDERS[relation]
    if type(value) is float:
        return order(column.numbers, value)  # type: ignore[no-any-return]  # false for what is no number
    if type(value) is str:
        return column.where(lambda each: type(each) is str and order(each, value))
    return np.zeros(column.codes.size, np.bool_)  # true and false are in no order


def _equals(column: Column, value: Value) -> Hits:
    if type(value) is float:
        hits: Hits = column.numbers == value
        return hits
    if type(value) is str:
        return column.equals(value)
    return column.where(lambda each: bool_of(each) is value)


def _contains(each: Stored, value: Value) -> bool:
    if type(each) is tuple:
        return any(type(part) is type(value) and part == value for part in each)
    return type(each) is str and type(value) is str and value in each
