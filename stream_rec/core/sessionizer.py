"""Cuts a user's events into sessions where the user was idle.

Pure and in event time: the same events in the same order give the same sessions, in whatever batches they come. Knows
nothing of what sessions are used for, and stores only their bounds.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final, NamedTuple

import msgspec

from stream_rec.core.events import Event, Forget

__all__ = ["OpenSpans", "Sessionizer"]

# A window has so many steps of time: a purge comes at most one step late.
_STEPS_PER_WINDOW: Final = 8
_BEFORE_ALL: Final = -(1 << 63)


class _Span(msgspec.Struct):
    """A session that events may still join; `opened` is the time of the event that opened it."""

    first: int
    last: int
    opened: int
    session_id: str


class _User(msgspec.Struct):
    """The open spans of a user, and the step of time after which they are inspected."""

    spans: list[_Span]
    step: int
    n_exports: int
    """How many exports came before this object was made. One from before the last export must not be changed."""


class OpenSpans(NamedTuple):
    """All that later sessions depend on, at one moment. Immutable."""

    watermark: int | None
    oldest_last: int
    """A span that ended before this time is not open any more."""
    users: Mapping[str, _User]

    @classmethod
    def of(cls, watermark: int | None, rows: Iterable[tuple[str, Iterable[tuple[int, int, int]]]]) -> "OpenSpans":
        """Return the spans in *rows*, as `rows` yields them."""
        users = {}
        for user_id, bounds in rows:
            spans = [_Span(first, last, at, _session_id(user_id, at)) for first, last, at in bounds]
            users[user_id] = _User(spans, 0, 0)
        return cls(watermark, _BEFORE_ALL, users)

    def rows(self) -> Iterator[tuple[str, list[tuple[int, int, int]]]]:
        """Yield each user with (first, last, opened) of the open spans, in no order. O(users) in all."""
        for user_id, user in self.users.items():
            spans = [(s.first, s.last, s.opened) for s in user.spans if s.last >= self.oldest_last]
            if spans:
                yield user_id, spans


class Sessionizer:
    """Gives each event of a user its session, whose id is `user@time of the opening event`.

    An event at t joins the newest (by last event, then opening) of its user's spans that begins at most a gap after t
    and ended at most a gap before it. If there is none, it opens one. A late event may widen a span to within the gap
    of another: they stay two, because their ids are published.

    Memory: the users active within lateness + gap of the watermark, and an eighth of that time more.
    """

    def __init__(self, gap_ms: int, lateness_ms: int) -> None:
        self.gap_ms = gap_ms
        self.lateness_ms = lateness_ms
        self.watermark: int | None = None
        self._users: dict[str, _User] = {}
        # step -> the users to inspect when it has passed (a dict for its order). An active user is not moved at each
        # event, but once, when the step is due.
        self._due: dict[int, dict[str, None]] = {}
        self._step_ms = max(1, (gap_ms + lateness_ms) // _STEPS_PER_WINDOW)
        self._purged_step = -1
        self._n_exports = 0

    def __len__(self) -> int:
        """Return the number of users with a span."""
        return len(self._users)

    def assign(
        self, events: Sequence[Event | Forget], watermark: int | None = None, reach: Sequence[int] | None = None
    ) -> list[Event | Forget]:
        """Return *events*, each with its session; orders to forget are carried out and passed on.

        *reach* is how far each moves the watermark, in ms; None: to its own time.

        An event older than the watermark (the larger of *watermark* and that of the events so far) less the lateness
        gets a session id, but neither joins nor opens a span: the engine will reject it as late. Amortised O(1) an
        event. Raises ValueError for an event without a user.
        """
        self._advance(watermark)
        if reach is None:
            return [self._carry_out(e) if isinstance(e, Forget) else self._assign(e, e.timestamp) for e in events]
        pairs = zip(events, reach, strict=True)
        return [self._carry_out(e) if isinstance(e, Forget) else self._assign(e, at) for e, at in pairs]

    def forget(self, user_id: str) -> bool:
        """Erase the user; return whether there was one. O(1)."""
        user = self._users.pop(user_id, None)
        if user is not None:
            self._drop_due(user_id, user.step)
        return user is not None

    def forget_session(self, session_id: str) -> bool:
        """Erase one session, so that its user's next event opens another; return whether it was open."""
        user_id, _, _ = session_id.rpartition("@")
        user = self._users.get(user_id)
        kept = [s for s in user.spans if s.session_id != session_id] if user else []
        if user is None or len(kept) == len(user.spans):
            return False
        self._owned(user_id, user).spans = kept
        return True if kept else self.forget(user_id)

    def export_state(self) -> OpenSpans:
        """Return all that later sessions depend on. O(users), but fast: users are copied only when they change."""
        self._n_exports += 1
        return OpenSpans(self.watermark, self._oldest_last(), dict(self._users))

    def import_state(self, state: OpenSpans) -> None:
        """Replace the present state by what `export_state` returned, without sharing memory."""
        self._users.clear()
        self._due.clear()
        self._purged_step = -1
        self.watermark = None
        self._advance(state.watermark)
        for user_id, bounds in state.rows():
            spans = [_Span(first, last, at, _session_id(user_id, at)) for first, last, at in bounds]
            self._store(user_id, spans)

    def _owned(self, user_id: str, user: _User) -> _User:
        """Return *user* for a change, or a copy in its place if it has been exported."""
        if user.n_exports == self._n_exports:
            return user
        spans = [_Span(s.first, s.last, s.opened, s.session_id) for s in user.spans]
        own = self._users[user_id] = _User(spans, user.step, self._n_exports)
        return own

    def _assign(self, event: Event, reach: int) -> Event:
        user_id, timestamp = event.user_id, event.timestamp
        if user_id is None:
            raise ValueError("an event without a user has no session to be cut")
        if self.watermark is not None and timestamp < self.watermark - self.lateness_ms:
            return _with_session(event, _session_id(user_id, timestamp))
        if self.watermark is None or reach > self.watermark:
            self._advance(reach)
        return _with_session(event, self._join(user_id, timestamp))

    def _carry_out(self, order: Forget) -> Forget:
        if order.session_id is not None:
            self.forget_session(order.session_id)
        if order.user_id is not None:
            self.forget(order.user_id)
        return order

    def _join(self, user_id: str, timestamp: int) -> str:
        user = self._users.get(user_id)
        if user is None:
            return self._open(user_id, [], timestamp)
        if user.n_exports != self._n_exports:  # planted bug: export-changes (2 lines)
            user = self._owned(user_id, user)
        gap_ms = self.gap_ms
        span = user.spans[-1]
        if len(user.spans) == 1 and span.last <= timestamp <= span.last + gap_ms:
            span.last = timestamp  # the common case: the session goes on
            return span.session_id
        near = [s for s in user.spans if s.first - gap_ms <= timestamp <= s.last + gap_ms]
        if not near:
            self._drop_due(user_id, user.step)
            return self._open(user_id, self._alive(user.spans), timestamp)
        span = near[0] if len(near) == 1 else max(near, key=_newness)
        span.first = min(span.first, timestamp)
        span.last = max(span.last, timestamp)
        return span.session_id

    def _open(self, user_id: str, others: list[_Span], timestamp: int) -> str:
        span = _Span(timestamp, timestamp, timestamp, _session_id(user_id, timestamp))
        self._store(user_id, [*others, span])
        return span.session_id

    def _store(self, user_id: str, spans: list[_Span]) -> None:
        step = max(s.last for s in spans) // self._step_ms
        self._users[user_id] = _User(spans, step, self._n_exports)
        self._due.setdefault(step, {})[user_id] = None

    def _drop_due(self, user_id: str, step: int) -> None:
        users = self._due[step]
        del users[user_id]
        if not users:
            del self._due[step]

    def _advance(self, timestamp: int | None) -> None:
        if timestamp is None or (self.watermark is not None and timestamp <= self.watermark):
            return
        self.watermark = timestamp
        # A step has passed when every time in it is too old to be joined.
        passed = self._oldest_last() // self._step_ms - 1
        if passed > self._purged_step:
            self._purge(passed)

    def _purge(self, passed: int) -> None:
        """Inspect the users that are due up to *passed*. O(those users), and O(steps) after a leap of time."""
        steps: Iterable[int] = range(self._purged_step + 1, passed + 1)
        if passed - self._purged_step > len(self._due):
            steps = sorted(step for step in self._due if step <= passed)
        self._purged_step = passed
        for step in steps:
            for user_id in self._due.pop(step, ()):
                alive = self._alive(self._owned(user_id, self._users[user_id]).spans)
                del self._users[user_id]
                if alive:
                    self._store(user_id, alive)

    def _alive(self, spans: list[_Span]) -> list[_Span]:
        oldest = self._oldest_last()
        return [s for s in spans if s.last >= oldest]

    def _oldest_last(self) -> int:
        """Return the time before which an ended span can be joined only by late events."""
        return (self.watermark or 0) - self.lateness_ms - self.gap_ms

    def _check(self) -> None:
        """Assert the invariants. O(users)."""
        due = [(user_id, step) for step, users in self._due.items() for user_id in users]
        # Every user is due at exactly one step, its own.
        assert sorted(due) == sorted((u, user.step) for u, user in self._users.items())
        # No user without spans, and no span that ends before it begins or was opened outside it.
        for user in self._users.values():
            assert user.spans
            assert all(s.first <= s.opened <= s.last for s in user.spans)
        # What is due has not passed.
        assert all(step > self._purged_step for step in self._due)


def _session_id(user_id: str, opened: int) -> str:
    return f"{user_id}@{opened}"


def _newness(span: _Span) -> tuple[int, int]:
    return (span.last, span.opened)


def _with_session(event: Event, session_id: str) -> Event:
    return Event(session_id, event.item_id, event.timestamp, event.type, event.event_id, event.user_id)
