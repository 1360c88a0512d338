"""Ctrl-C and SIGTERM as a flag that the loops check, not as an exception in their midst.

After the first one, the batch under way is finished and everything is written; the second one ends the program at once.
"""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType, TracebackType
from typing import Any, Self

__all__ = ["CutShort", "Interrupt"]


class CutShort(KeyboardInterrupt):
    """A first signal came amid what may be left at any point."""


_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interrupt:
    """While entered, `asked` says whether a signal has come. For the main thread only."""

    def __init__(self) -> None:
        self.asked = False
        self._before: dict[signal.Signals, Any] = {}
        self._cuts_short = False

    def __enter__(self) -> Self:
        self._before = {each: signal.signal(each, self._note) for each in _SIGNALS}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for each, handler in self._before.items():
            signal.signal(each, handler)

    @contextmanager
    def cutting_short(self) -> Iterator[None]:
        """In this block, which nothing is lost by leaving, a first signal raises CutShort; so does one before it."""
        if self.asked:
            raise CutShort
        self._cuts_short = True
        try:
            yield
        finally:
            self._cuts_short = False

    def _note(self, number: int, frame: FrameType | None) -> None:
        del number, frame
        if self.asked:
            raise KeyboardInterrupt
        self.asked = True
        if self._cuts_short:
            raise CutShort
