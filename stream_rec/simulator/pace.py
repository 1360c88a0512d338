"""A simulated stream sent live: a number of lines per second, with the current time.

Knows nothing of where lines go. The clock decides when lines are sent and their timestamps, but not which lines there
are, or their order.
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
"""Takes lines with their keys, and returns once they are delivered."""


def session_key(line: bytes) -> bytes | None:
    """Return the session at the begin of *line*, as the simulator writes it; None for a broken line."""
    found = _KEY.match(line)
    return None if found is None else found.group(1)


class Pace:
    """Sends whole lines to *put*, *rate* per second (None: at once).

    With *now* each line gets the time at which it is sent. A late line stays as far behind as it was behind the newest.
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
                piece = self._with_current_time(piece)
            self._put(piece, [session_key(line) for line in piece])
            self._n_sent += len(piece)

    def _how_many(self) -> int:
        """Wait until lines are due, and return how many."""
        if self._rate is None:
            return _AT_ONCE
        self._began = self._clock() if self._began is None else self._began
        while (due := int((self._clock() - self._began) * self._rate) - self._n_sent) <= 0:
            self._sleep(max(_SLICE_S, 1 / self._rate))
        return min(due, _AT_ONCE)

    def _with_current_time(self, lines: list[bytes]) -> list[bytes]:
        now_ms = int(self._clock() * 1000)

        def shifted(found: re.Match[bytes]) -> bytes:
            time_ms = int(found.group())
            self._newest_ms = max(self._newest_ms, time_ms)
            return b"%d" % (now_ms - self._newest_ms + time_ms)

        return [_TIME.sub(shifted, line, count=1) for line in lines]
