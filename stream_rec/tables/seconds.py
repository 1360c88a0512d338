"""Seconds that are read as milliseconds: the log then ends in 1970, and nothing else shows it."""

import warnings
from datetime import UTC, datetime
from typing import Final

from stream_rec.core.events import SURELY_SECONDS
from stream_rec.tables.columns import Columns

__all__ = ["warn_of_seconds"]

_SMALL: Final = SURELY_SECONDS // 1000
"""Up to here they are no times of this century in seconds either, but the 1, 2, 3 of an example."""


def warn_of_seconds(columns: Columns) -> None:
    """Warn the program that reads a log if all its times, in ms, look like seconds."""
    newest = int(columns.times.max()) if len(columns) else 0
    if _SMALL < newest < SURELY_SECONDS:
        year = datetime.fromtimestamp(newest / 1000, UTC).year
        message = f"the newest event is of {year}: are the times in seconds? Then say timestamp_unit='s'"
        warnings.warn(message, UserWarning, stacklevel=4)  # the caller of `fit` and the like
