"""The time of events over HTTP that do not name their own, behind a log that may have ended long ago."""

import logging
from collections.abc import Callable
from time import time
from typing import Literal

from stream_rec.service.metrics.format import show_duration

__all__ = ["LogClock"]

log = logging.getLogger(__name__)


class LogClock:
    """The wall clock, or one that goes on from the end of the log.

    *kind* is the setting `http_clock`; *retention_ms* is how long ago the log must have ended for `auto` to be `log`.
    """

    def __init__(
        self,
        kind: Literal["auto", "wall", "log"] = "auto",
        retention_ms: int | None = None,
        wall_ms: Callable[[], int] = lambda: int(time() * 1000),
    ) -> None:
        self._kind = kind
        self._retention_ms = retention_ms
        self._wall_ms = wall_ms
        self._behind_ms = 0

    def __call__(self) -> int:
        """Return the time in ms since 1970."""
        return self._wall_ms() - self._behind_ms

    def begin(self, watermark: int | None) -> None:
        """Decide by the *watermark*, once the files are read; log it where the time is not the wall clock's."""
        if watermark is None or self._kind == "wall":
            return
        behind_ms = self._wall_ms() - watermark
        is_over = self._retention_ms is not None and behind_ms > self._retention_ms
        if self._kind == "log" or is_over:
            self._behind_ms = behind_ms
            ago = show_duration(max(0, behind_ms))
            log.warning("the log ended %s ago: events over HTTP without a timestamp go on from there", ago)
