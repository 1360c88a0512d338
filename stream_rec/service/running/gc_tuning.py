"""Python's collector of cycles, told that a service makes none to speak of.

A client hands out messages that the collector counts, tens of thousands a second, and each time that 700 more are there
it looks at them, and now and then at everything: a third of what a service that only indexes did (measured). All of
them are let go of by count alone; what forms cycles (an exception with its traceback) comes a few times an hour.
"""

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

__all__ = ["calm_collector", "set_aside"]

_YOUNG: Final = 50_000  # objects, more than are on their way at a time: some 10 MB, looked at in some 2 ms


@contextmanager
def calm_collector() -> Iterator[None]:
    """Within, what is here already is not looked at, and the rest seldom. The first of several in a process decides."""
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
    """Collect once, and look no more at what is left: the state that was just recovered stays as long as its service.

    A full collection looked at all tables of ids: 60 ms with 100,000 sessions, for which everybody waited.
    """
    gc.unfreeze()
    gc.collect()
    gc.freeze()
