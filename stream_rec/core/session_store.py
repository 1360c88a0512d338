"""Sessions by id, their users, and the order in which sessions leave: oldest last event first.

Knows nothing of Kafka, of item scores or of the wall clock: the newest event *is* the present, so a replay of
yesterday's log evicts what yesterday did.

A session is queued for eviction under the time of its first event, in a bucket of event time, and stays there however
much it grows. Only when its bucket is the oldest and its turn comes is it inspected again: queued under its new time if
it has grown, else evicted. So the queue costs nothing for each event, and the sorted container holds buckets only.
"""

from array import array
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
from sortedcontainers import SortedDict

from stream_rec.core.ids import IdTable

__all__ = ["EvictionQueue", "SessionStore", "Users", "each_user"]

Users = str | tuple[str, Any]
"""The users of a session: one, or a pair of the newest and all others. It is immutable, so a copy of a table of them is
a snapshot; and adding a user costs the same however many there are."""


def each_user(users: Users) -> Iterator[str]:
    """Yield the users, each once, the newest first."""
    while not isinstance(users, str):
        user, users = users
        yield user
    yield users


OPEN_AT_ONCE = 16_384  # most sessions sorted for eviction at a time, ties aside: some 3 ms
OPEN_AT_LEAST = 512  # ... and fewest, if there are so many: each time costs some 50 us, however few they are
_BUCKETS_OF_RETENTION = 1024
_LONGEST_BUCKET_MS = 3_600_000


class _Bucket:
    """Sessions queued in one stretch of event time, with the time of each, in no order."""

    __slots__ = ("sessions", "times")

    def __init__(self) -> None:
        self.sessions = array("i")
        self.times = array("q")

    def sorted(self, hashes: npt.NDArray[np.uint64]) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int64]]:
        sessions = np.frombuffer(self.sessions, np.int32)
        times = np.frombuffer(self.times, np.int64)
        order = np.lexsort((hashes[sessions], times))
        return sessions[order], times[order]


class EvictionQueue:
    """Buckets of queued sessions, oldest first. Sessions are ordinals.

    Invariant: no session is queued under a time after its last event, so the first bucket bounds the age of all.
    """

    NOTHING = (1 << 62) - 1
    """`next_time` of an empty queue: after every event."""

    def __init__(self, retention_ms: int | None, open_at_least: int = OPEN_AT_LEAST) -> None:
        self._open_at_least = open_at_least
        width = _LONGEST_BUCKET_MS if retention_ms is None else retention_ms // _BUCKETS_OF_RETENTION
        self._width = max(1, min(width, _LONGEST_BUCKET_MS))
        self._buckets: SortedDict[int, _Bucket] = SortedDict()

    def __len__(self) -> int:
        return sum(len(bucket.sessions) for bucket in self._buckets.values())

    @property
    def next_time(self) -> int:
        """No queued session is older than this, in ms."""
        return int(self._buckets.peekitem(0)[0]) * self._width if self._buckets else self.NOTHING

    def add(self, sessions: npt.NDArray[np.int32], times: npt.NDArray[np.int64]) -> None:
        """Queue *sessions* under *times*, arrays of one length. O(n log n), a few numpy calls a bucket."""
        if not sessions.size:
            return
        keys = times // self._width
        first = int(keys[0])
        if keys[-1] == first and (keys == first).all():
            self._append(first, sessions, times)
            return
        order = np.argsort(keys, kind="stable")
        cuts = np.flatnonzero(np.diff(keys[order])) + 1
        for part in np.split(order, cuts):
            self._append(int(keys[part[0]]), sessions[part], times[part])

    def take_oldest(self, hashes: npt.NDArray[np.uint64]) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int64], int]:
        """Remove the oldest sessions, at least OPEN_AT_LEAST and about OPEN_AT_ONCE at most, and return them.

        Returns the sessions and their times, sorted by (time, hash), and the limit: all sessions queued before it are
        among them. Raises IndexError if the queue is empty.
        """
        key, bucket = self._buckets.popitem(0)
        while len(bucket.sessions) < self._open_at_least and self._buckets:
            key, following = self._buckets.popitem(0)
            bucket.sessions.extend(following.sessions)
            bucket.times.extend(following.times)
        sessions, times = bucket.sorted(hashes)
        if sessions.size > OPEN_AT_ONCE and times[OPEN_AT_ONCE] > times[0]:
            n = int(np.searchsorted(times, times[OPEN_AT_ONCE], side="left"))
            self.add(sessions[n:], times[n:])
            return sessions[:n], times[:n], int(times[n])
        return sessions, times, (int(key) + 1) * self._width

    def _append(self, key: int, sessions: npt.NDArray[np.int32], times: npt.NDArray[np.int64]) -> None:
        bucket = self._buckets.get(key)
        if bucket is None:
            bucket = self._buckets[key] = _Bucket()
        bucket.sessions.frombytes(np.ascontiguousarray(sessions, np.int32).tobytes())
        bucket.times.frombytes(np.ascontiguousarray(times, np.int64).tobytes())

    def _check(self) -> None:
        """Assert that each entry is in its bucket. O(n)."""
        for key, bucket in self._buckets.items():
            assert len(bucket.sessions) == len(bucket.times) > 0
            assert all(time // self._width == key for time in bucket.times)


class SessionStore:
    """Ids and users of the sessions, and the queue in which they leave. Their events are in the index."""

    def __init__(self, retention_ms: int | None, ids: IdTable | None = None) -> None:
        self.ids = IdTable() if ids is None else ids
        self.eviction_queue = EvictionQueue(retention_ms)
        self._sessions_of_user: dict[str, int | set[int]] = {}  # most users have one session
        self._users_of_session: dict[int, Users] = {}

    def __getstate__(self) -> dict[str, Any]:
        """Return the state for pickle, with users as lists, oldest first: pickle follows chains by recursion."""
        users = {session: list(each_user(users))[::-1] for session, users in self._users_of_session.items()}
        return {**self.__dict__, "_sessions_of_user": {}, "_users_of_session": {}, "users": users}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Restore what `__getstate__` returned."""
        users = state.pop("users")
        self.__dict__.update(state)
        self._link_all(users)

    def link(self, session: int, user_id: str) -> None:
        """Record that *user_id* took part in *session*. O(1)."""
        sessions = self._sessions_of_user.get(user_id)
        if sessions is None:
            self._sessions_of_user[user_id] = session
        elif isinstance(sessions, int):
            if sessions == session:
                return
            self._sessions_of_user[user_id] = {sessions, session}
        elif session in sessions:
            return
        else:
            sessions.add(session)
        others = self._users_of_session.get(session)
        self._users_of_session[session] = user_id if others is None else (user_id, others)

    def of_user(self, user_id: str) -> list[int]:
        """Return the sessions that *user_id* took part in, ascending."""
        return sorted(_as_set(self._sessions_of_user.get(user_id)))

    def export_users(self) -> Mapping[int, Users]:
        """Return the users of each session: a copy of one table."""
        return dict(self._users_of_session)

    def import_users(self, users: Mapping[int, Users]) -> None:
        """Load what `export_users` returned into an empty store."""
        self._link_all({session: list(each_user(chain))[::-1] for session, chain in users.items()})

    def _link_all(self, users: Mapping[int, list[str]]) -> None:
        for session, names in users.items():
            for name in names:
                self.link(session, name)

    @property
    def has_users(self) -> bool:
        """Whether any retained session has a user."""
        return bool(self._users_of_session)

    def unlink(self, sessions: Iterable[int]) -> None:
        """Forget the users of *sessions*."""
        if not self._users_of_session:
            return
        for session in sessions:
            users = self._users_of_session.pop(session, None)
            if isinstance(users, str):
                self._leave(users, session)
            elif users is not None:
                for user_id in each_user(users):
                    self._leave(user_id, session)

    def _leave(self, user_id: str, session: int) -> None:
        sessions = self._sessions_of_user[user_id]
        if isinstance(sessions, set) and len(sessions) > 1:
            sessions.discard(session)
        else:
            del self._sessions_of_user[user_id]

    def release(self, sessions: Iterable[int]) -> None:
        """Forget the ids and users of *sessions*, which have left; their ordinals will be used again."""
        gone = list(sessions)
        self.unlink(gone)
        self.ids.release(gone)

    def _check(self) -> None:
        """Assert that users and sessions refer to each other, and the invariants of the parts. O(n)."""
        self.ids._check()  # noqa: SLF001  # a part checks itself
        self.eviction_queue._check()  # noqa: SLF001
        pairs = {(user, session) for user, sessions in self._sessions_of_user.items() for session in _as_set(sessions)}
        assert pairs == {
            (user, session) for session, users in self._users_of_session.items() for user in each_user(users)
        }


def _as_set(sessions: int | set[int] | None) -> set[int]:
    if sessions is None:
        return set()
    return {sessions} if isinstance(sessions, int) else sessions
