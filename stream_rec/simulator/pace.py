"""A simulated stream as one that happens now: so many lines a second, with times of today.

Knows nothing of where lines go. Only how they are sent, and what time they tell, depends on the clock; which lines
there are, and in which order, does not.
"""

import re
import time
from collections.abc import Callable, Sequence
from itertools import islice
from typing import Final

__all__ = ["Pace", "session_key"]

_SLICE_S: Final = 0.02
_AT_ONCE: Final = 2000
_KEY: Final = re.compile(rb'\{"session_id":"([^"\\]*)"')
_TIME: Final = re.compile(rb'(?<="timestamp":)\d{13}(?=[,}])')

Put = Callable[[Sequence[bytes], Sequence[bytes | None]], object]
"""Takes lines with their keys, and sees to it that they arrive."""


def session_key(line: bytes) -> bytes | None:
    """The session that *line* begins with, as the simulator writes it; nothing where it is broken."""
    found = _KEY.match(line)
    return None if found is None else found.group(1)


class Pace:
    """Hands whole lines on to *put*, *rate* a second (None: at once).

    With *now* each line tells when it is sent; a late one is as far behind that as it was behind the newest before it.
    """

    def __init__(
        self,
        put: Put,
        rate: float | None = None,
        *,
        now: bool = False,
        clock: Callable[[], float] = time.time,
        sleep: Callable[[float], object] = time.sleep,
    ) -> None:
        self._put = put
        self._rate = rate
        self._is_now = now
        self._clock = clock
        self._sleep = sleep
        self._began: float | None = None
        self._n_sent = 0
        self._newest_ms = 0

    def __call__(self, data: bytes) -> None:
        """Send the lines of *data*, each of which ends with a newline."""
        lines = iter(data.removesuffix(b"\n").split(b"\n"))
        while piece := list(islice(lines, self._how_many())):
            if self._is_now:
                piece = self._told_now(piece)
            self._put(piece, [session_key(line) for line in piece])
            self._n_sent += len(piece)

    def _how_many(self) -> int:
        """Wait until some are due, and return how many."""
        if self._rate is None:
            return _AT_ONCE
        self._began = self._clock() if self._began is None else self._began
        while (due := int((self._clock() - self._began) * self._rate) - self._n_sent) <= 0:
            self._sleep(max(_SLICE_S, 1 / self._rate))
        return min(due, _AT_ONCE)

    def _told_now(self, lines: list[bytes]) -> list[bytes]:
        now_ms = int(self._clock() * 1000)

        def shifted(found: re.Match[bytes]) -> bytes:
            told = int(found.group())
            self._newest_ms = max(self._newest_ms, told)
            return b"%d" % (now_ms - self._newest_ms + told)

        return [_TIME.sub(shifted, line, count=1) for line in lines]
