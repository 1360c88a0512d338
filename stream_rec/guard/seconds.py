"""Events whose times look like seconds: read as milliseconds they are of 1970, and late, and nothing else shows it."""

import sys
import warnings
from collections.abc import Sequence
from typing import Final

from stream_rec.core.events import Event, Forget

__all__ = ["warn_of_seconds"]

_SECONDS: Final = range(946_684_800, 2_145_916_800)
"""Seconds of the years from 2000 to 2037: what else is small are the milliseconds of an example, from 0 on."""


def warn_of_seconds(events: Sequence[Event | Forget]) -> None:
    """Warn the program that applies *events* if the first one's time looks like seconds. It looks at no other."""
    first = events[0] if events else None
    if type(first) is Event and first.timestamp in _SECONDS:
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
