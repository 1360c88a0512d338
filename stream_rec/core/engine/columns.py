"""The numbers of a batch that need no table: times, how far they move the watermark, id keys. Computed once, passed on.

Knows nothing of what they are for.
"""

from array import array
from collections.abc import Sequence
from operator import attrgetter
from typing import Final, NamedTuple

import numpy as np
from xxhash import xxh3_128_digest

from stream_rec.core.bounds import FARTHEST_MS
from stream_rec.core.dtypes import I64, U64
from stream_rec.core.events import Event

__all__ = ["EventColumns"]

_NO_ID: Final = bytes(16)
_TIME_OF: Final = attrgetter("timestamp")
_EVENT_ID_OF: Final = attrgetter("event_id")
_SESSION_OF: Final = attrgetter("session_id")
_USER_OF: Final = attrgetter("user_id")


class EventColumns(NamedTuple):
    """Times and id keys of n events."""

    time: I64
    """[n] ms."""
    reach: I64
    """[n] ms, min(event time, log time): how far the event moves the watermark."""
    id_key: U64
    """[n, 2] the XXH3-128 of each event id and its owner as two words, zeros for none or ""; [0, 2] if no event has
    one."""

    @classmethod
    def of(
        cls, events: Sequence[Event], log_times: I64 | None = None, ahead_ms: int = 0, *, by_user: bool = False
    ) -> "EventColumns":
        """Return the columns of *events*; *log_times*, [n] in ms, say when the log took each. None: it does not say.

        No event stays further ahead of the watermark than *ahead_ms*.

        Raises TypeError for a time that is no whole number, OverflowError for one beyond FARTHEST_MS, and ValueError
        where there are not as many log times as events.
        """
        times = _times_of(events)
        return cls(times, _reach_of(times, log_times, ahead_ms), _id_keys(events, by_user=by_user))

    def part(self, start: int, n: int) -> "EventColumns":
        """Return the columns of *n* events from *start* on, not copied."""
        where = slice(start, start + n)
        return EventColumns(self.time[where], self.reach[where], self.id_key[where])


def _times_of(events: Sequence[Event]) -> I64:
    times = np.array(array("q", list(map(_TIME_OF, events))), np.int64)
    if times.size and not -FARTHEST_MS <= times.min() <= times.max() <= FARTHEST_MS:
        raise OverflowError(f"timestamps must be within {FARTHEST_MS} ms of 1970: are they milliseconds?")
    return times


def _reach_of(times: I64, log_times: I64 | None, ahead_ms: int) -> I64:
    if log_times is None:
        return times
    if log_times.shape != times.shape:
        raise ValueError(f"expected a log time for each of {times.size} events, found {log_times.size}")
    # planted bug: watermark-by-event-time
    reach: I64 = np.maximum(np.minimum(times, log_times), times - ahead_ms)
    return reach


def _id_keys(events: Sequence[Event], *, by_user: bool) -> U64:
    """Return the keys by which repeated events are recognised.

    By owner, so that no sender can have the events of others taken for repeated ones by using their ids first.
    """
    event_ids = list(map(_EVENT_ID_OF, events))
    if not any(event_ids):
        return np.zeros((0, 2), np.uint64)
    owners = map(_USER_OF if by_user else _SESSION_OF, events)
    digests = [
        xxh3_128_digest(f"{owner}\0{each}".encode()) if each else _NO_ID  # planted bug: ids-of-all-sessions
        for owner, each in zip(owners, event_ids, strict=True)
    ]
    return np.frombuffer(b"".join(digests), ">u8").reshape(-1, 2).astype(np.uint64)
