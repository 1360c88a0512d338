"""Calls side by side. The kernels hold no interpreter lock, so threads are enough.

Knows nothing of what is called.
"""

import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from stream_rec.core.index import ParallelMap

__all__ = ["n_threads", "parts_for", "side_by_side"]

SHARES_EACH: Final = 4  # so that threads whose sessions are short take over from those whose are long
FEWEST: Final = 16  # sessions that are worth a share: a thread costs as much as a few answers


def n_threads() -> int:
    """Return how many calls this process may run at a time."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not on every system
        return os.cpu_count() or 1


def parts_for(n_sessions: int, threads: int) -> int:
    """Return how many shares so many sessions are cut into."""
    return 1 if threads == 1 else max(1, min(threads * SHARES_EACH, n_sessions // FEWEST))


def side_by_side(threads: int) -> ParallelMap:
    """Return what runs calls in so many threads, and waits for all of them. An exception of one is raised here."""

    def parallel_map(call: Callable[[int], None], numbers: Iterable[int]) -> Iterator[None]:
        with ThreadPoolExecutor(threads, thread_name_prefix="recommend") as pool:
            yield from pool.map(call, numbers)

    return parallel_map
