"""Ends a process that does not stop in time once a stop was asked for."""

import logging
import os
from collections.abc import Callable
from threading import Event, Thread
from types import TracebackType
from typing import Final, Self

__all__ = ["Overtime"]

log = logging.getLogger(__name__)

_TICK_S: Final = 0.1
_OVERTIME_S: Final = 9.5  # of the ten seconds that container engines wait before they kill


class Overtime:
    """Ends the process where a stop takes longer than whoever asked for it will wait. A context manager.

    What is left undone then was not committed, so the next start does it.
    """

    def __init__(self, asked: Callable[[], bool], is_done: Callable[[], bool]) -> None:
        self._asked = asked
        self._is_done = is_done
        self._over = Event()

    def __enter__(self) -> Self:
        """Watch from a thread of its own."""
        Thread(target=self._watch, name="overtime", daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Be content."""
        self._over.set()

    def _watch(self) -> None:
        while not self._asked():
            if self._over.wait(_TICK_S):
                return
        if not self._over.wait(_OVERTIME_S):
            done = self._is_done()
            log.warning("the stop took too long: %s", "all was committed" if done else "the next start does the rest")
            os._exit(0 if done else 1)
