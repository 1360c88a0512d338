"""Sessions in order of their last event; the oldest leave first.

Knows nothing of Kafka, of item scores or of the wall clock: the newest event seen *is* the present, so a replay of
yesterday's log evicts what yesterday did.

A session is filed under the time it has when it comes, in a bucket of event time, and stays there however much it
grows. Only when its bucket is the oldest, and its turn to leave comes, is it looked at again: filed anew if it has
grown since, evicted if not. So the order costs nothing for each event, and the sorted container sees buckets only.
"""

from array import array
from collections.abc import Iterable

import numpy as np
import numpy.typing as npt
from sortedcontainers import SortedDict

from stream_rec.ids import IdTable

__all__ = ["SessionStore", "TimeOrder"]

OPEN_AT_ONCE = 16_384  # sessions sorted for eviction at a time at most, ties aside: some 3 ms
OPEN_AT_LEAST = 512  # ... and at least, while there are so many: opening costs some 50 us, however few there are
BUCKETS_OF_RETENTION = 1024
LONGEST_BUCKET_MS = 3_600_000


class _Bucket:
    """Sessions filed in one stretch of event time: slot and time of each, in no order."""

    __slots__ = ("slots", "times")

    def __init__(self) -> None:
        self.slots = array("i")
        self.times = array("q")

    def sorted(self, hashes: npt.NDArray[np.uint64]) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int64]]:
        slots = np.frombuffer(self.slots, np.int32)
        times = np.frombuffer(self.times, np.int64)
        order = np.lexsort((hashes[slots], times))
        return slots[order], times[order]


class TimeOrder:
    """Buckets of filed sessions, oldest first.

    Invariant: no session is filed later than its last event, so the first bucket bounds the age of all sessions.
    """

    NOTHING = (1 << 62) - 1
    """`next_time` of an empty order: after every event."""

    def __init__(self, retention_ms: int | None) -> None:
        width = LONGEST_BUCKET_MS if retention_ms is None else retention_ms // BUCKETS_OF_RETENTION
        self._width = max(1, min(width, LONGEST_BUCKET_MS))
        self._buckets: SortedDict[int, _Bucket] = SortedDict()

    def __len__(self) -> int:
        return sum(len(bucket.slots) for bucket in self._buckets.values())

    @property
    def next_time(self) -> int:
        """No filed session is older than this, in ms."""
        return int(self._buckets.peekitem(0)[0]) * self._width if self._buckets else self.NOTHING

    def file(self, slots: npt.NDArray[np.int32], times: npt.NDArray[np.int64]) -> None:
        """File session *slots* under *times*, arrays of one length. O(n log n), a few numpy calls a bucket."""
        if not slots.size:
            return
        keys = times // self._width
        first = int(keys[0])
        if keys[-1] == first and (keys == first).all():
            self._append(first, slots, times)
            return
        order = np.argsort(keys, kind="stable")
        cuts = np.flatnonzero(np.diff(keys[order])) + 1
        for part in np.split(order, cuts):
            self._append(int(keys[part[0]]), slots[part], times[part])

    def take_oldest(self, hashes: npt.NDArray[np.uint64]) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int64], int]:
        """Take the oldest sessions out, OPEN_AT_LEAST of them and about OPEN_AT_ONCE at most.

        Returns their slots and times, sorted by (time, hash), and the limit: every session filed before it was taken.
        Raises IndexError if nothing is filed.
        """
        key, bucket = self._buckets.popitem(0)
        while len(bucket.slots) < OPEN_AT_LEAST and self._buckets:
            key, following = self._buckets.popitem(0)
            bucket.slots.extend(following.slots)
            bucket.times.extend(following.times)
        slots, times = bucket.sorted(hashes)
        if slots.size > OPEN_AT_ONCE and times[OPEN_AT_ONCE] > times[0]:
            n = int(np.searchsorted(times, times[OPEN_AT_ONCE], side="left"))
            self.file(slots[n:], times[n:])
            return slots[:n], times[:n], int(times[n])
        return slots, times, (int(key) + 1) * self._width

    def _append(self, key: int, slots: npt.NDArray[np.int32], times: npt.NDArray[np.int64]) -> None:
        bucket = self._buckets.get(key)
        if bucket is None:
            bucket = self._buckets[key] = _Bucket()
        bucket.slots.frombytes(np.ascontiguousarray(slots, np.int32).tobytes())
        bucket.times.frombytes(np.ascontiguousarray(times, np.int64).tobytes())

    def _check(self) -> None:
        """Assert that each filing is in its bucket. O(n)."""
        for key, bucket in self._buckets.items():
            assert len(bucket.slots) == len(bucket.times) > 0
            assert all(time // self._width == key for time in bucket.times)


class SessionStore:
    """Who the sessions are: ids, users, and the order in which they will leave. Their events stand in the index."""

    def __init__(self, retention_ms: int | None) -> None:
        self.ids = IdTable()
        self.order = TimeOrder(retention_ms)
        self._slots_of_user: dict[str, set[int]] = {}
        self._users_of_slot: dict[int, set[str]] = {}

    def link(self, slot: int, user_id: str) -> None:
        """Note that *user_id* took part in session *slot*."""
        self._slots_of_user.setdefault(user_id, set()).add(slot)
        self._users_of_slot.setdefault(slot, set()).add(user_id)

    def of_user(self, user_id: str) -> list[int]:
        """Return the slots of the sessions that *user_id* took part in, ascending."""
        return sorted(self._slots_of_user.get(user_id, ()))

    @property
    def has_users(self) -> bool:
        """Whether any retained session has a user."""
        return bool(self._users_of_slot)

    def unlink(self, slots: Iterable[int]) -> None:
        """Forget who took part in the sessions *slots*."""
        if not self._users_of_slot:
            return
        for slot in slots:
            for user_id in self._users_of_slot.pop(slot, ()):
                sessions = self._slots_of_user[user_id]
                sessions.discard(slot)
                if not sessions:
                    del self._slots_of_user[user_id]

    def release(self, slots: Iterable[int]) -> None:
        """Forget the ids and users of sessions that are gone; their slots will be used again."""
        gone = list(slots)
        self.unlink(gone)
        self.ids.release(gone)

    def _check(self) -> None:
        """Assert that users and sessions know each other, and what the parts assert. O(n)."""
        self.ids._check()  # noqa: SLF001  # a part checks itself
        self.order._check()  # noqa: SLF001
        pairs = {(user, slot) for user, slots in self._slots_of_user.items() for slot in slots}
        assert pairs == {(user, slot) for slot, users in self._users_of_slot.items() for user in users}
