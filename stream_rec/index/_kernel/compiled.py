"""How loops are compiled: lazily, cached on disk, without the interpreter lock, and with no licence to reorder floats."""

from collections.abc import Callable
from typing import Any, Generic, ParamSpec, TypeVar

import numba
from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic

Args = ParamSpec("Args")
Result = TypeVar("Result")

# `fastmath` stays off: reordered sums would break ties differently from machine to machine (law 1).
# `_nrt` off: kernels allocate nothing, and counting references to every array at every call took 3/4 of their time.
OPTIONS: dict[str, Any] = {
    "cache": True,
    "nogil": True,
    "fastmath": False,
    "error_model": "numpy",
    "_nrt": False,
}
# Every array of the state would be an argument of seven words at each call between kernels, so what only kernels call
# is compiled into its callers, and gets no way in from Python (building one costs as much time as the function).
INNER: dict[str, Any] = {
    **OPTIONS,
    "forceinline": True,
    "no_cpython_wrapper": True,
    "no_cfunc_wrapper": True,
}


class Entry(Generic[Args, Result]):
    """A compiled function as Python calls it, always with arguments of the same types.

    The first call lets Numba find out the types and compile. Later ones go straight to the compiled code: looking at
    the types of some forty arrays each time takes ten microseconds, as long as answering a query.
    """

    def __init__(self, function: Callable[Args, Result]) -> None:
        self.dispatcher = numba.njit(**OPTIONS)(function)
        self._code: Callable[..., Any] | None = None
        self.__doc__ = function.__doc__

    def __call__(self, *args: Args.args, **kwargs: Args.kwargs) -> Result:
        if self._code is None or kwargs:
            result: Result = self.dispatcher(*args, **kwargs)
            (compiled,) = self.dispatcher.overloads.values()
            self._code = compiled.entry_point
            return result
        return self._code(*args)  # type: ignore[no-any-return]  # compiled from `function`


def entry(function: Callable[Args, Result]) -> Entry[Args, Result]:
    """Compile *function*, which Python calls, at its first call, and keep the code on disk beside the module."""
    return Entry(function)


def inner(function: Callable[Args, Result]) -> Callable[Args, Result]:
    """Compile *function*, which only kernels call, into its callers."""
    return numba.njit(**INNER)(function)  # type: ignore[no-any-return]


def shared(function: Callable[Args, Result]) -> tuple[Entry[Args, Result], Callable[Args, Result]]:
    """Compile *function* for both: as Python calls it, and as kernels do."""
    return entry(function), inner(function)


@intrinsic  # type: ignore[untyped-decorator]
def prefetch(typing_context: Any, array: Any, index: Any) -> Any:  # noqa: ANN401, ARG001  # Numba's own types
    """Ask for the cache line of array[index] (one dimension, contiguous) without waiting for it."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:  # noqa: ANN401
        made = context.make_array(signature.args[0])(context, builder, args[0])
        pointer = builder.gep(made.data, [args[1]])
        pointer = builder.bitcast(pointer, ir.IntType(8).as_pointer())
        number = ir.IntType(32)
        shape = ir.FunctionType(ir.VoidType(), [pointer.type, number, number, number])
        name = "llvm.prefetch.p0" if "p0i8" not in str(pointer.type) else "llvm.prefetch.p0i8"
        function = builder.module.globals.get(name) or ir.Function(builder.module, shape, name)
        builder.call(function, [pointer, ir.Constant(number, 0), ir.Constant(number, 3), ir.Constant(number, 1)])
        return context.get_dummy_value()

    return types.void(array, types.intp), generate
