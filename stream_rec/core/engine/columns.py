"""Events as columns of numbers, checked for what no decoder lets through.

Knows nothing of what the numbers are for.
"""

from array import array
from collections.abc import Sequence
from operator import attrgetter
from typing import Final

import numpy as np
import numpy.typing as npt
from xxhash import xxh3_128_digest

from stream_rec.core.events import Event

__all__ = ["FARTHEST_MS", "id_keys", "times_of"]

FARTHEST_MS: Final = 1 << 60
"""Times are subtracted and compared with limits in 64 bits: 36 million years either way leave room for that."""

NO_ID: Final = bytes(16)
TIME_OF: Final = attrgetter("timestamp")


def times_of(events: Sequence[Event]) -> npt.NDArray[np.int64]:
    """Return the events' timestamps in ms, [n].

    Raises TypeError for one that is no whole number, and OverflowError for one beyond FARTHEST_MS.
    """
    times = np.array(array("q", list(map(TIME_OF, events))), np.int64)
    if times.size and not -FARTHEST_MS <= times.min() <= times.max() <= FARTHEST_MS:
        raise OverflowError(f"timestamps must be within {FARTHEST_MS} ms of 1970: are they milliseconds?")
    return times


def id_keys(event_ids: Sequence[str | None]) -> npt.NDArray[np.uint64]:
    """Return the XXH3-128 of each id as two words, [n, 2], zeros for none or ""; [0, 2] if no event has one."""
    if not any(event_ids):
        return np.zeros((0, 2), np.uint64)
    digests = [xxh3_128_digest(each.encode()) if each else NO_ID for each in event_ids]
    return np.frombuffer(b"".join(digests), ">u8").reshape(-1, 2).astype(np.uint64)
