"""Ends a process whose stop takes too long."""

import logging
import os
from collections.abc import Callable
from threading import Event, Thread
from types import TracebackType
from typing import Self

from stream_rec.service.timeouts import TIMEOUTS, Timeouts

__all__ = ["Overtime"]

log = logging.getLogger(__name__)


class Overtime:
    """Ends the process where a stop takes longer than the process's supervisor waits for it. A context manager.

    What is left undone then was not committed, so the next start does it.
    """

    def __init__(
        self, is_requested: Callable[[], bool], is_done: Callable[[], bool], timeouts: Timeouts = TIMEOUTS
    ) -> None:
        self._is_requested = is_requested
        self._is_done = is_done
        self._timeouts = timeouts
        self._over = Event()

    def __enter__(self) -> Self:
        """Watch from a thread of its own."""
        Thread(target=self._watch, name="overtime", daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the watching: the stop was in time."""
        self._over.set()

    def _watch(self) -> None:
        while not self._is_requested():
            if self._over.wait(self._timeouts.overtime_tick_s):
                return
        if not self._over.wait(self._timeouts.overtime_s):
            done = self._is_done()
            log.warning("the stop took too long: %s", "all was committed" if done else "the next start does the rest")
            os._exit(0 if done else 1)
