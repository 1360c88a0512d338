"""How loops are compiled: lazily, cached on disk, without the interpreter lock, and with no licence to reorder floats."""

from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

import numba

Args = ParamSpec("Args")
Result = TypeVar("Result")


# `fastmath` stays off: reordered sums would break ties differently from machine to machine (law 1).
OPTIONS: dict[str, Any] = {"cache": True, "nogil": True, "fastmath": False, "error_model": "numpy"}
# A function that only kernels call needs no way in from Python; building one for so many arrays costs as much time
# as compiling the function.
INNER: dict[str, Any] = {**OPTIONS, "no_cpython_wrapper": True, "no_cfunc_wrapper": True}


def entry(function: Callable[Args, Result]) -> Callable[Args, Result]:
    """Compile *function*, which Python calls, at its first call, and keep the code on disk beside the module."""
    return numba.njit(**OPTIONS)(function)  # type: ignore[no-any-return]


def compiled(function: Callable[Args, Result]) -> Callable[Args, Result]:
    """Compile *function*, which only kernels call."""
    return numba.njit(**INNER)(function)  # type: ignore[no-any-return]


def inlined(function: Callable[Args, Result]) -> Callable[Args, Result]:
    """Compile a small *function* that is called once a posting, into its callers."""
    return numba.njit(**INNER, forceinline=True)(function)  # type: ignore[no-any-return]
