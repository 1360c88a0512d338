"""Compile kernels: at their first call, cached on disk, without the interpreter lock, floats in the written order."""

import warnings
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, Final, Generic, ParamSpec, TypeVar, cast

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
# A call between kernels would pass each array of the state as an argument of seven words. So a function that only
# kernels call is compiled into its callers. It gets no Python wrapper, which would take as long to compile as the
# function, and its code is cached on disk with its callers only.
INNER: dict[str, Any] = {
    **OPTIONS,
    "cache": False,
    "forceinline": True,
    "no_cpython_wrapper": True,
    "no_cfunc_wrapper": True,
}


_MARK: Final = ".made-from"


class Entry(Generic[Args, Result]):
    """A compiled function that Python calls, always with arguments of the same types.

    At the first call Numba finds out the types and compiles. Later calls go straight to the compiled code: Numba takes
    ten microseconds to inspect the types of some forty arrays, which is as long as a query takes.
    """

    def __init__(self, function: Callable[Args, Result]) -> None:
        self.dispatcher = _cached_if_possible(function)
        self._code: Callable[..., Any] | None = None
        self.__doc__ = function.__doc__

    def __call__(self, *args: Args.args, **kwargs: Args.kwargs) -> Result:  # positional arguments only
        """Compile at the first call, and run the compiled code."""
        if self._code is None:
            if self.dispatcher.stats.cache_path is not None:
                drop_stale_code(Path(self.dispatcher.stats.cache_path))
            result: Result = self.dispatcher(*args, **kwargs)
            (compiled,) = self.dispatcher.overloads.values()
            self._code = compiled.entry_point
            return result
        return self._code(*args)


def _cached_if_possible(function: Callable[..., Any]) -> Any:  # noqa: ANN401  # Numba's own type
    """Compile *function* with its code cached on disk; warn if no folder can be written."""
    try:
        return numba.njit(**OPTIONS)(function)
    except RuntimeError:  # Numba found no folder that it may write to
        warnings.warn(
            "no folder to cache compiled kernels in: each start compiles them again, some 20 s; "
            "set NUMBA_CACHE_DIR to a writable folder",
            RuntimeWarning,
            stacklevel=2,
        )
        return numba.njit(**{**OPTIONS, "cache": False})(function)


@cache
def drop_stale_code(folder: Path) -> None:
    """Remove compiled code from *folder*, a disk cache, if a kernel of the core has changed since it was compiled.

    Numba checks only the file of an entry, not those of the functions compiled into it, and would run outdated code.
    An empty file named after the hash of the sources marks what the cache was compiled from.
    """
    core = Path(__file__).parent
    sources = b"".join(path.read_bytes() for path in (Path(__file__), *sorted(core.glob("*/kernel/*.py"))))
    mark = folder / f"kernels.{xxh3_64_hexdigest(sources)}{_MARK}"
    if mark.exists() or not folder.is_dir():
        return
    for pattern in ("*.nbi", "*.nbc", f"*{_MARK}"):
        for stale in folder.glob(pattern):
            stale.unlink(missing_ok=True)
    mark.touch()


def entry(function: Callable[Args, Result]) -> Entry[Args, Result]:
    """Compile *function*, which Python calls, at its first call, and cache the code on disk beside the module."""
    return Entry(function)


def inner(function: Callable[Args, Result]) -> Callable[Args, Result]:
    """Compile *function*, which only kernels call, into its callers."""
    return numba.njit(**INNER)(function)


@intrinsic
def _prefetch(typing_context: Any, array: Any, index: Any) -> Any:  # noqa: ANN401, ARG001  # Numba's own types
    """Request the cache line of array[index] (one dimension, contiguous) without waiting for it."""

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


# Kernels pass the array and the index; Numba adds the typing context.
prefetch: Callable[[Any, Any], None] = cast("Any", _prefetch)
