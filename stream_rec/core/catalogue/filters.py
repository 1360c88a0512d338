"""An expression evaluated over all rows at once.

A comparison with a field that an item does not have is false; `not` makes it true.
"""

import operator
from collections.abc import Callable
from functools import reduce
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from stream_rec.core.catalogue.columns import Column, Stored, bool_of
from stream_rec.core.dtypes import Mask
from stream_rec.core.expressions import All, Compared, Contains, Either, Expression, Is, Not, OneOf, Value

if TYPE_CHECKING:
    from stream_rec.core.catalogue.versions import Catalogue

__all__ = ["holds"]

_ORDERS: Final[dict[str, Callable[[Any, Any], Any]]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


def holds(expression: Expression, catalogue: "Catalogue") -> Mask:
    """Return for which rows of *catalogue* the *expression* holds. Row 0 stands for items outside the catalogue."""
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


def _compared(column: Column, relation: str, value: Value) -> Mask:
    if relation == "=":
        return _equals(column, value)
    if relation == "!=":
        return column.present & ~_equals(column, value)
    order = _ORDERS[relation]
    if type(value) is float:
        return order(column.numbers, value)  # type: ignore[no-any-return]  # false for values that are no number
    if type(value) is str:
        return column.where(lambda each: type(each) is str and order(each, value))
    return np.zeros(column.codes.size, np.bool_)  # true and false have no order


def _equals(column: Column, value: Value) -> Mask:
    if type(value) is float:
        hits: Mask = column.numbers == value
        return hits
    if type(value) is str:
        return column.equals(value)
    return column.where(lambda each: bool_of(each) is value)


def _contains(each: Stored, value: Value) -> bool:
    if type(each) is tuple:
        return any(type(part) is type(value) and part == value for part in each)
    return type(each) is str and type(value) is str and value in each
