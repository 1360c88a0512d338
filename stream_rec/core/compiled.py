"""How loops are compiled: lazily, kept on disk, without the interpreter lock, with no licence to reorder floats."""

import warnings
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, Generic, ParamSpec, TypeVar, cast

import numba
from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic
from xxhash import xxh3_64_hexdigest

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
# is compiled into its callers, gets no way in from Python (building one costs as much time as the function), and is
# kept on disk as part of its callers only.
INNER: dict[str, Any] = {
    **OPTIONS,
    "cache": False,
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
        self.dispatcher = _kept_if_possible(function)
        self._code: Callable[..., Any] | None = None
        self.__doc__ = function.__doc__

    def __call__(self, *args: Args.args, **kwargs: Args.kwargs) -> Result:  # called by place only
        """Compile at the first call; later calls go straight to the compiled code."""
        if self._code is None:
            if self.dispatcher.stats.cache_path is not None:
                drop_stale_code(Path(self.dispatcher.stats.cache_path))
            result: Result = self.dispatcher(*args, **kwargs)
            (compiled,) = self.dispatcher.overloads.values()
            self._code = compiled.entry_point
            return result
        return self._code(*args)


def _kept_if_possible(function: Callable[..., Any]) -> Any:  # noqa: ANN401  # Numba's own type
    """Compile *function* with its code kept on disk, or say that there is no place to keep it."""
    try:
        return numba.njit(**OPTIONS)(function)
    except RuntimeError:  # Numba found no folder that it may write to
        warnings.warn(
            "no folder to keep compiled kernels in: each start compiles them again, some 20 s; "
            "set NUMBA_CACHE_DIR to a folder that may be written to",
            RuntimeWarning,
            stacklevel=2,
        )
        return numba.njit(**{**OPTIONS, "cache": False})(function)


@cache
def drop_stale_code(folder: Path) -> None:
    """Remove compiled entries from *folder*, the disk cache, if any source of this package has changed since.

    Numba looks only at the file that an entry is in, not at those of the functions compiled into it, and would go on
    running yesterday's kernel. What the cache was made from is told by an empty file named after its hash.
    """
    sources = b"".join(path.read_bytes() for path in sorted(Path(__file__).parent.glob("*.py")))
    mark = folder / f"entries.{xxh3_64_hexdigest(sources)}.made-from"
    if mark.exists() or not folder.is_dir():
        return
    for stale in folder.glob("entries.*.nb?"):
        stale.unlink(missing_ok=True)
    for stale in folder.glob("entries.*.made-from"):
        stale.unlink(missing_ok=True)
    mark.touch()


def entry(function: Callable[Args, Result]) -> Entry[Args, Result]:
    """Compile *function*, which Python calls, at its first call, and keep the code on disk beside the module."""
    return Entry(function)


def inner(function: Callable[Args, Result]) -> Callable[Args, Result]:
    """Compile *function*, which only kernels call, into its callers."""
    return numba.njit(**INNER)(function)


@intrinsic
def _prefetch(typing_context: Any, array: Any, index: Any) -> Any:  # noqa: ANN401, ARG001  # Numba's own types
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


# Kernels call it with the array and the index; Numba adds the typing context.
prefetch: Callable[[Any, Any], None] = cast("Any", _prefetch)
