"""Events whose times look like seconds: read as milliseconds they are of 1970, and late, and nothing else shows it."""

import sys
import warnings
from collections.abc import Sequence
from typing import Final

from stream_rec.core.events import SURELY_SECONDS, Event, Forget

__all__ = ["warn_of_seconds"]

_SMALL: Final = SURELY_SECONDS // 1000
"""Up to here they are no times of this century in seconds either, but the 0, 1, 2 of an example."""


def warn_of_seconds(events: Sequence[Event | Forget]) -> None:
    """Warn the program that applies *events* if the first one's time looks like seconds. It looks at no other."""
    first = events[0] if events else None
    if type(first) is Event and _SMALL < first.timestamp < SURELY_SECONDS:
        message = (
            f"an event's time is in milliseconds, and {first.timestamp} looks like seconds: "
            f"pass {first.timestamp * 1000}"
        )
        warnings.warn(message, UserWarning, stacklevel=_level_of_caller())


def _level_of_caller() -> int:
    """Return how far up the program is that uses the library: it may have called any of several methods."""
    frame, level = sys._getframe(1), 1  # noqa: SLF001  # `inspect` reads whole files for the same
    while frame.f_back is not None and frame.f_globals.get("__name__", "").startswith("stream_rec."):
        frame, level = frame.f_back, level + 1
    return level
