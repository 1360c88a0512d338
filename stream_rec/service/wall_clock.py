"""The time of day."""

from time import time

__all__ = ["now_ms"]


def now_ms() -> int:
    """Return the time of day in milliseconds since 1970 (UTC)."""
    return int(time() * 1000)
