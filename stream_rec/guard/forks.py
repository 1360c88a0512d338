"""What happens to engines when their process forks: a child has only the thread that forked, and all of its memory.

Askers in other threads leave nothing half-done. A writer does: the child's engine then refuses to answer. Kernels that
another thread compiles are waited for, since the child would wait for that thread for ever.
"""

import os
from threading import Lock
from typing import Final, Protocol
from weakref import WeakSet

from numba.core.compiler_lock import global_compiler_lock

__all__ = ["Forked", "watch"]


class Forked(Protocol):
    """What must know of a fork."""

    def after_fork(self) -> None:
        """Go on in the child, where only this thread is."""


_watched: Final[WeakSet[Forked]] = WeakSet()
_lock: Final = Lock()


def watch(new: Forked) -> None:
    """Call `after_fork` of *new* in the child of every fork, as long as it lives."""
    with _lock:
        _watched.add(new)


def _before() -> None:
    _lock.acquire()
    global_compiler_lock.acquire()  # type: ignore[no-untyped-call]  # as all of Numba


def _after_in_parent() -> None:
    global_compiler_lock.release()  # type: ignore[no-untyped-call]  # as all of Numba
    _lock.release()


def _after_in_child() -> None:
    for each in _watched:
        each.after_fork()
    _after_in_parent()


if hasattr(os, "register_at_fork"):  # not on Windows, which has no fork
    os.register_at_fork(before=_before, after_in_parent=_after_in_parent, after_in_child=_after_in_child)
