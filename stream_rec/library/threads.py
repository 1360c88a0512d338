"""Calls in parallel threads: the kernels run without the interpreter's lock.

Knows nothing of what is called.
"""

import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from stream_rec.core.index import ParallelMap

__all__ = ["in_parallel", "n_threads", "parts_for"]

SHARES_EACH: Final = 4  # more shares than threads, so that a thread with short sessions takes more of them
FEWEST: Final = 16  # sessions in a share, at least: a thread costs as much as a few answers


def n_threads() -> int:
    """Return how many processors this process may use."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not on every system
        return os.cpu_count() or 1


def parts_for(n_sessions: int, threads: int) -> int:
    """Return the number of shares that *n_sessions* are cut into."""
    return 1 if threads == 1 else max(1, min(threads * SHARES_EACH, n_sessions // FEWEST))


def in_parallel(threads: int) -> ParallelMap:
    """Return a function that runs calls in *threads* threads and waits for all. It raises the exception of a call."""

    def parallel_map(call: Callable[[int], None], numbers: Iterable[int]) -> Iterator[None]:
        with ThreadPoolExecutor(threads, thread_name_prefix="recommend") as pool:
            yield from pool.map(call, numbers)

    return parallel_map
