"""The numbers of a batch that need no table: times and event-id keys. Each is computed once and passed on.

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
    id_key: U64
    """[n, 2] the XXH3-128 of each event id and its owner as two words, zeros for none or ""; [0, 2] if no event has
    one."""

    @classmethod
    def of(cls, events: Sequence[Event], *, by_user: bool = False) -> "EventColumns":
        """Return the columns of *events*. The owner of an event id is the session; *by_user*, it is the user.

        Raises TypeError for a time that is no whole number, and OverflowError for one beyond FARTHEST_MS.
        """
        return cls(_times_of(events), _id_keys(events, by_user=by_user))

    def part(self, start: int, n: int) -> "EventColumns":
        """Return the columns of *n* events from *start* on, not copied."""
        return EventColumns(self.time[start : start + n], self.id_key[start : start + n])


def _times_of(events: Sequence[Event]) -> I64:
    times = np.array(array("q", list(map(_TIME_OF, events))), np.int64)
    if times.size and not -FARTHEST_MS <= times.min() <= times.max() <= FARTHEST_MS:
        raise OverflowError(f"timestamps must be within {FARTHEST_MS} ms of 1970: are they milliseconds?")
    return times


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
