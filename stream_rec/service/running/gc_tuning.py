"""Python's collector of cycles, tuned for a service that makes next to none.

A client returns messages that the collector counts, tens of thousands a second. By default it looks at them each time
that 700 more are there, and now and then at everything: a third of the work of a service that only indexes (measured).
Reference counts free all of them; cycles (an exception with its traceback) come a few times an hour.
"""

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

__all__ = ["calm_collector", "set_aside"]

_YOUNG: Final = 50_000  # objects, more than are in use at a time: some 10 MB, looked at in some 2 ms


@contextmanager
def calm_collector() -> Iterator[None]:
    """Within, the collector skips what is here already, and runs seldom. The first of several in a process decides."""
    before = gc.get_threshold()
    if before[0] >= _YOUNG:
        yield
        return
    gc.collect()
    gc.freeze()
    gc.set_threshold(_YOUNG, *before[1:])
    try:
        yield
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()


def set_aside() -> None:
    """Collect once, and skip what is left from then on: the recovered state stays as long as its service.

    A full collection looked at all tables of ids: 60 ms with 100,000 sessions, during which nothing was answered.
    """
    gc.unfreeze()
    gc.collect()
    gc.freeze()
