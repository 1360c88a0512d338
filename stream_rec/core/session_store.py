"""Sessions in order of their last event; the oldest leave first.

Knows nothing of Kafka, of item scores or of the wall clock: the newest event seen *is* the present, so a replay of
yesterday's log evicts what yesterday did.

A session is filed under the time it has when it comes, in a bucket of event time, and stays there however much it
grows. Only when its bucket is the oldest, and its turn to leave comes, is it looked at again: filed anew if it has
grown since, evicted if not. So the order costs nothing for each event, and the sorted container sees buckets only.
"""

from array import array
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
from sortedcontainers import SortedDict

from stream_rec.core.ids import IdTable

__all__ = ["SessionStore", "TimeOrder", "Users", "each_user"]

Users = str | tuple[str, Any]
"""Who took part in a session: one user, or one and the others. Nothing of it ever changes, so the copy of a table of
them is a snapshot, and one more costs the same however many there are."""


def each_user(users: Users) -> Iterator[str]:
    """Yield the users, each once, the last that came first."""
    while not isinstance(users, str):
        user, users = users
        yield user
    yield users


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

    def __init__(self, retention_ms: int | None, ids: IdTable | None = None) -> None:
        self.ids = IdTable() if ids is None else ids
        self.order = TimeOrder(retention_ms)
        self._slots_of_user: dict[str, int | set[int]] = {}  # most users have one session
        self._users_of_slot: dict[int, Users] = {}

    def __getstate__(self) -> dict[str, Any]:
        """Give what pickle takes: users as lists, the first that came first, since it follows chains by recursion."""
        users = {slot: list(each_user(users))[::-1] for slot, users in self._users_of_slot.items()}
        return {**self.__dict__, "_slots_of_user": {}, "_users_of_slot": {}, "users": users}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Take it back."""
        users = state.pop("users")
        self.__dict__.update(state)
        self._link_all(users)

    def link(self, slot: int, user_id: str) -> None:
        """Note that *user_id* took part in session *slot*. O(1)."""
        slots = self._slots_of_user.get(user_id)
        if slots is None:
            self._slots_of_user[user_id] = slot
        elif isinstance(slots, int):
            if slots == slot:
                return
            self._slots_of_user[user_id] = {slots, slot}
        elif slot in slots:
            return
        else:
            slots.add(slot)
        others = self._users_of_slot.get(slot)
        self._users_of_slot[slot] = user_id if others is None else (user_id, others)

    def of_user(self, user_id: str) -> list[int]:
        """Return the slots of the sessions that *user_id* took part in, ascending."""
        return sorted(_as_set(self._slots_of_user.get(user_id)))

    def export_users(self) -> Mapping[int, Users]:
        """Return who took part in which session: a copy of one table."""
        return dict(self._users_of_slot)

    def import_users(self, users: Mapping[int, Users]) -> None:
        """Take what `export_users` gave into an empty store."""
        self._link_all({slot: list(each_user(chain))[::-1] for slot, chain in users.items()})

    def _link_all(self, users: Mapping[int, list[str]]) -> None:
        for slot, names in users.items():
            for name in names:
                self.link(slot, name)

    @property
    def has_users(self) -> bool:
        """Whether any retained session has a user."""
        return bool(self._users_of_slot)

    def unlink(self, slots: Iterable[int]) -> None:
        """Forget who took part in the sessions *slots*."""
        if not self._users_of_slot:
            return
        for slot in slots:
            users = self._users_of_slot.pop(slot, None)
            if isinstance(users, str):
                self._leave(users, slot)
            elif users is not None:
                for user_id in each_user(users):
                    self._leave(user_id, slot)

    def _leave(self, user_id: str, slot: int) -> None:
        sessions = self._slots_of_user[user_id]
        if isinstance(sessions, set) and len(sessions) > 1:
            sessions.discard(slot)
        else:
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
        pairs = {(user, slot) for user, slots in self._slots_of_user.items() for slot in _as_set(slots)}
        assert pairs == {(user, slot) for slot, users in self._users_of_slot.items() for user in each_user(users)}


def _as_set(slots: int | set[int] | None) -> set[int]:
    if slots is None:
        return set()
    return {slots} if isinstance(slots, int) else slots
