"""Progress where there is no terminal: a plain line now and then, for the log of CI, of cron, and for files.

A run that is over before the first one is due writes none.
"""

import sys
from collections.abc import Callable
from time import perf_counter
from typing import Final

__all__ = ["PlainLines"]

EVERY_S: Final = 10.0
"""Few enough for a log, and often enough for the systems that end a job which is silent for minutes."""


class PlainLines:
    """Writes `progress: ...` on standard error, if the last line was long enough ago."""

    def __init__(self, clock: Callable[[], float] = perf_counter) -> None:
        self._clock = clock
        self._next_at = clock() + EVERY_S

    def __call__(self, text: Callable[[], str]) -> None:
        """Write what *text* returns, if a line is due: else it is not called."""
        now = self._clock()
        if now >= self._next_at:
            self._next_at = now + EVERY_S
            sys.stderr.write(f"progress: {text()}\n")
            sys.stderr.flush()
