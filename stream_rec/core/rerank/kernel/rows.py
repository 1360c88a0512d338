"""Sums over rows of HIDDEN floats, which lie in registers of the processor from the first feature to the last.

Written out for LLVM: it can't know that arrays do not overlap, and would write each sum to memory after each feature.
The operations and their order are those of the loops in the docstrings, so the bits are too, on any processor.
"""

from collections.abc import Callable
from typing import Any, TypeAlias, cast

from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic

from stream_rec.core.rerank.kernel.fields import HIDDEN, N_FEATURES

__all__ = ["add_outer", "add_product", "follow_rows"]

Node: TypeAlias = Any
"""A type or a value of Numba or LLVM; neither has stubs."""

_FLOAT = ir.FloatType()
_ROW = ir.VectorType(_FLOAT, HIDDEN)
_BYTES = 4  # of a float, and all that rows are aligned to


def _pointer(context: Node, builder: Node, kind: Node, array: Node, at: Node) -> Node:
    made = context.make_array(kind)(context, builder, array)
    return builder.gep(made.data, [at])


def _row(builder: Node, pointer: Node, n: int) -> Node:
    """Return where the row *n* rows behind *pointer* is."""
    at = builder.gep(pointer, [ir.Constant(ir.IntType(64), n * HIDDEN)])
    return builder.bitcast(at, _ROW.as_pointer())


def _spread(builder: Node, value: Node) -> Node:
    """Return a row of one float."""
    one = builder.insert_element(ir.Constant(_ROW, ir.Undefined), value, ir.Constant(ir.IntType(32), 0))
    places = ir.Constant(ir.VectorType(ir.IntType(32), HIDDEN), [0] * HIDDEN)
    return builder.shuffle_vector(one, ir.Constant(_ROW, ir.Undefined), places)


def _element(builder: Node, pointer: Node, n: int) -> Node:
    """Return a row of the float *n* floats behind *pointer*."""
    return _spread(builder, builder.load(builder.gep(pointer, [ir.Constant(ir.IntType(64), n)]), align=_BYTES))


@intrinsic
def _add_product(_typing: Node, out: Node, _at: Node, matrix: Node, _first: Node, x: Node, _begin: Node) -> Node:
    def generate(context: Node, builder: Node, signature: Node, args: Node) -> Node:
        kinds = signature.args
        target, rows, values = (_pointer(context, builder, kinds[j], args[j], args[j + 1]) for j in (0, 2, 4))
        total = builder.load(_row(builder, target, 0), align=_BYTES)
        for f in range(N_FEATURES):
            row = builder.load(_row(builder, rows, f), align=_BYTES)
            total = builder.fadd(total, builder.fmul(row, _element(builder, values, f)))
        builder.store(total, _row(builder, target, 0), align=_BYTES)
        return context.get_dummy_value()

    return types.void(out, types.intp, matrix, types.intp, x, types.intp), generate


@intrinsic
def _add_outer(_typing: Node, matrix: Node, _first: Node, x: Node, _begin: Node, row: Node, _at: Node) -> Node:
    def generate(context: Node, builder: Node, signature: Node, args: Node) -> Node:
        kinds = signature.args
        rows, values, source = (_pointer(context, builder, kinds[j], args[j], args[j + 1]) for j in (0, 2, 4))
        added = builder.load(_row(builder, source, 0), align=_BYTES)
        for f in range(N_FEATURES):
            total = builder.load(_row(builder, rows, f), align=_BYTES)
            total = builder.fadd(total, builder.fmul(added, _element(builder, values, f)))
            builder.store(total, _row(builder, rows, f), align=_BYTES)
        return context.get_dummy_value()

    return types.void(matrix, types.intp, x, types.intp, row, types.intp), generate


@intrinsic
def _follow_rows(
    _typing: Node, weights: Node, _at: Node, squares: Node, _place: Node, gradient: Node, _first: Node, _rate: Node
) -> Node:
    def generate(context: Node, builder: Node, signature: Node, args: Node) -> Node:
        kinds = signature.args
        values, sums, steps = (_pointer(context, builder, kinds[j], args[j], args[j + 1]) for j in (0, 2, 4))
        name = f"llvm.sqrt.v{HIDDEN}f32"
        root = builder.module.globals.get(name) or ir.Function(builder.module, ir.FunctionType(_ROW, [_ROW]), name)
        fast = _spread(builder, args[6])
        for f in range(N_FEATURES):
            each = builder.load(_row(builder, steps, f), align=_BYTES)
            total = builder.fadd(builder.load(_row(builder, sums, f), align=_BYTES), builder.fmul(each, each))
            builder.store(total, _row(builder, sums, f), align=_BYTES)
            moved = builder.fdiv(builder.fmul(fast, each), builder.call(root, [total]))
            value = builder.fsub(builder.load(_row(builder, values, f), align=_BYTES), moved)
            builder.store(value, _row(builder, values, f), align=_BYTES)
        return context.get_dummy_value()

    return types.void(weights, types.intp, squares, types.intp, gradient, types.intp, types.float32), generate


# Arrays are contiguous floats of 32 bits; places count in floats, from the array's first.
add_product: Callable[[Node, int, Node, int, Node, int], None] = cast("Any", _add_product)
"""out[at + h] += matrix[first + f * HIDDEN + h] * x[begin + f], for each f in order, for all h."""
add_outer: Callable[[Node, int, Node, int, Node, int], None] = cast("Any", _add_outer)
"""matrix[first + f * HIDDEN + h] += row[at + h] * x[begin + f], for all f and h."""
follow_rows: Callable[[Node, int, Node, int, Node, int, Node], None] = cast("Any", _follow_rows)
"""With g = gradient[first + j]: squares[place + j] += g * g; weights[at + j] -= rate * g / sqrt(squares[place + j])."""
