"""A seeded click stream: sessions walk over items, and their events come in time order.

Works on arrays, in blocks of sessions: a million sessions take a second or two, and memory is that of a block. The same
`Shape` gives the same stream on every machine (see `draws`). Knows nothing of files, JSON or faults of delivery; see
`delivery`.
"""

from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray

from stream_rec.core.events import Event
from stream_rec.errors import SettingsError
from stream_rec.simulator import draws as _draws
from stream_rec.simulator.draws import DAY_MS, Words

__all__ = ["EVENT_TYPES", "Clicks", "Shape", "blocks", "columns", "events"]

EVENT_TYPES = ("view", "cart", "purchase")
"""The types that `Clicks.type` refers to: the steps of the funnel."""

BLOCK_SESSIONS = 1 << 16
"""Sessions that are drawn at a time: some 50 MB."""
_SESSIONS, _WALK, _SUCCESSORS, _DRIFT, _RANKS = range(5)  # streams of one seed
_LOW32 = np.uint64(0xFFFF_FFFF)
_LOW24 = np.uint64(0xFF_FFFF)
_LOW16 = np.uint64(0xFFFF)


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """The parameters of a stream. Raises SettingsError, naming the field, for an impossible value."""

    seed: int = 0
    """The same seed gives the same stream."""
    sessions: int = 1000
    """Number of sessions."""
    items: int = 1000
    """Number of items."""
    zipf: float = 1.0
    """The item of rank r has popularity (r + 1)**-zipf; with 0 all are equal."""
    structure: float = 0.5
    """Probability that the next item is one of the current item's few likely successors."""
    successors: int = 4
    """Number of likely successors of an item; each is half as likely as the one before."""
    repeats: float = 0.05
    """Probability of going back to an item of the session."""
    funnel: float = 0.0
    """Probability of going on with the same item: a view becomes a cart, a cart a purchase."""
    drift: float = 0.0
    """Share of items whose popularity and successors change each day."""
    mean_length: float = 5.0
    """Mean number of events in a session; at least one."""
    lengths: Literal["geometric", "log-normal"] = "geometric"
    """Distribution of session lengths, `geometric` or `log-normal`; the latter has a longer tail."""
    think_ms: int = 20_000
    """Median time between two events of a session (log-normal)."""
    tick_ms: int = 1
    """Timestamps are rounded down to whole ticks: with a second, many are equal."""
    start_ms: int = 1_700_006_400_000
    """Earliest start of the first session: 2023-11-15, midnight UTC."""
    duration_ms: int = DAY_MS
    """Time from the first to the last start of a session."""
    day_rhythm: float = 0.0
    """Amplitude of the daily rhythm of arrivals: 0 for none, 1 for no arrivals at midnight."""
    users: int = 0
    """Number of users that share the sessions; 0 omits user ids."""

    def __post_init__(self) -> None:
        """Refuse impossible values. Raises SettingsError, naming the field."""
        for name in ("structure", "repeats", "funnel", "drift", "day_rhythm"):
            _require(0 <= getattr(self, name) <= 1, name, "a share from 0 to 1")
        _require(self.repeats + self.funnel <= 1, "funnel", "at most 1 together with repeats")
        for name in ("sessions", "items", "successors", "think_ms", "tick_ms", "duration_ms"):
            _require(getattr(self, name) >= 1, name, "at least 1")
        for name in ("seed", "zipf", "users", "start_ms"):
            _require(getattr(self, name) >= 0, name, "at least 0")
        _require(self.mean_length >= 1, "mean_length", "at least 1")
        known = self.lengths in {"geometric", "log-normal"}
        _require(known, "lengths", "geometric or log-normal")
        _require(self.items < 1 << 31, "items", "below 2**31")
        _require(self.users < 1 << 24, "users", "below 2**24")
        # Start times are computed in 64-bit integers as session * duration.
        room = self.sessions * self.duration_ms < 1 << 62 and self.duration_ms < 1 << 38
        _require(room, "duration_ms", "below 2**38, and below 2**62 when multiplied by sessions")


@dataclass(frozen=True, slots=True)
class Clicks:
    """Events as columns of equal length, in time order; equal times in order of number."""

    session: NDArray[np.int32]
    item: NDArray[np.int32]
    timestamp: NDArray[np.int64]
    type: NDArray[np.uint8]
    """Index into `EVENT_TYPES`."""
    user: NDArray[np.int32]
    """-1 if the shape has no users."""
    number: NDArray[np.int64]
    """A unique number, counted session by session."""

    def __len__(self) -> int:
        """Return the number of events."""
        return len(self.session)

    def take(self, chosen: NDArray[np.int64] | NDArray[np.bool_] | slice) -> Self:
        """Return the events that an index, a mask or a slice selects, in its order."""
        return type(self)(*(column[chosen] for column in self.columns()))

    def columns(self) -> tuple[NDArray[Any], ...]:
        """Return all columns, in the order of the fields."""
        return tuple(getattr(self, field.name) for field in fields(self))

    @classmethod
    def joined(cls, parts: list[Self]) -> Self:
        """Concatenate *parts*."""
        rows = zip(*(part.columns() for part in parts), strict=True)
        return cls(*(np.concatenate(columns) for columns in rows))


def columns(shape: Shape) -> Clicks:
    """Return the whole stream at once: 5 M events are 150 MB."""
    return Clicks.joined(list(blocks(shape)))


def events(shape: Shape) -> Iterator[Event]:
    """Yield the stream as events, with the ids that `delivery` writes."""
    for block in blocks(shape):
        for session, item, timestamp, kind, user, number in zip(
            *(column.tolist() for column in block.columns()), strict=True
        ):
            yield Event(
                session_id=f"s{session}",
                item_id=f"i{item}",
                timestamp=timestamp,
                type=EVENT_TYPES[kind],
                event_id=f"e{number}",
                user_id=None if user < 0 else f"u{user}",
            )


def blocks(shape: Shape, block_sessions: int = BLOCK_SESSIONS) -> Iterator[Clicks]:
    """Yield the stream in pieces, each in time order, and none earlier than the piece before.

    Memory is that of some 65,000 sessions and of those still open.
    """
    walkers = _Walkers(shape)
    open_events: list[Clicks] = []
    for first, stop in _cuts(shape, block_sessions):
        open_events.append(walkers.block(first, stop))
        waiting = Clicks.joined(open_events)
        # A stable sort with older sessions first: equal times keep the order of `number`.
        waiting = waiting.take(np.argsort(waiting.timestamp, kind="stable"))
        n_ready = int(np.searchsorted(waiting.timestamp, walkers.earliest(stop)))
        if stop == shape.sessions:
            n_ready = len(waiting)
        if n_ready:
            yield waiting.take(slice(0, n_ready))
        open_events = [waiting.take(slice(n_ready, None))]


def _cuts(shape: Shape, block_sessions: int) -> Iterator[tuple[int, int]]:
    """Yield blocks of sessions; with drift, no block crosses the end of a day."""
    days = -(-shape.duration_ms // DAY_MS) if shape.drift else 1
    first = 0
    for day in range(1, days + 1):
        # The first session that does not start before the day's end (see `_Walkers.starts`).
        end = min(shape.sessions, -(-day * DAY_MS * shape.sessions // shape.duration_ms))
        end = shape.sessions if day == days else end
        while first < end:
            stop = min(end, first + block_sessions)
            yield first, stop
            first = stop


class _Walkers:
    """The tables of a shape, and the state of the items on the day of the last block."""

    def __init__(self, shape: Shape) -> None:
        self._shape = shape
        self._rhythm = _draws.day_rhythm(shape.day_rhythm)
        self._times = _draws.log_normal_times(shape.think_ms, 1.2)
        self._lengths = (
            _draws.geometric_lengths(shape.mean_length)
            if shape.lengths == "geometric"
            else _draws.log_normal_lengths(shape.mean_length, 1.0)
        )
        go_on = _draws.chance(shape.funnel, 16)
        go_back = go_on + _draws.chance(shape.repeats, 16)
        follow = go_back + round((65536 - go_back) * shape.structure)
        self._bounds = go_on, go_back, follow
        self._thresholds = _draws.zipf_thresholds(shape.items, shape.zipf)
        # So that the id of an item says nothing of its popularity or of its neighbours.
        self._item_of_rank = np.argsort(_draws.words(shape.seed, (_RANKS,), shape.items), kind="stable").astype(
            np.int32
        )
        self._choice_of_byte = _halving(shape.successors)
        draws = _draws.words(shape.seed, (_SUCCESSORS,), shape.items * shape.successors)
        self._successors = self._followers(np.arange(shape.items, dtype=np.int32), draws)
        self._day = 0
        self._n_events = 0

    def earliest(self, session: int) -> int:
        """Return the earliest possible time of events of *session* and of later ones."""
        even = np.array([session * self._shape.duration_ms // self._shape.sessions])
        cut = self._cut_to_tick(_draws.warp(even, self._rhythm))
        return int(cut[0]) + self._shape.start_ms

    def block(self, first: int, stop: int) -> Clicks:
        """Return all events of the sessions from *first* to before *stop*, session by session."""
        shape = self._shape
        self._drift_to(first * shape.duration_ms // shape.sessions // DAY_MS)
        draws = _draws.words(shape.seed, (_SESSIONS, first), stop - first)
        numbers = np.arange(first, stop, dtype=np.int64)
        starts = self._starts(numbers, (draws & _LOW24).astype(np.int64))
        lengths = self._lengths[(draws >> np.uint64(24)) & _LOW16]
        users = ((draws >> np.uint64(40)) * np.uint64(shape.users)) >> np.uint64(24)
        user = users.astype(np.int32) if shape.users else np.full(stop - first, -1, np.int32)

        steps = _draws.words(shape.seed, (_WALK, first), int(lengths.sum()))
        item, kind = self._walk(steps, lengths)
        n_before, self._n_events = self._n_events, self._n_events + len(steps)
        times = self._event_times(steps, lengths, starts)
        return Clicks(
            session=np.repeat(numbers.astype(np.int32), lengths),
            item=item,
            timestamp=self._cut_to_tick(times) + shape.start_ms,
            type=kind,
            user=np.repeat(user, lengths),
            number=np.arange(n_before, self._n_events, dtype=np.int64),
        )

    def _starts(self, numbers: NDArray[np.int64], jitter: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the starts: session s starts at random in the s-th of equal spans, warped to the day's rhythm."""
        shape = self._shape
        offset = jitter * shape.duration_ms >> 24
        return _draws.warp((numbers * shape.duration_ms + offset) // shape.sessions, self._rhythm)

    def _event_times(self, steps: Words, lengths: NDArray[np.int64], starts: NDArray[np.int64]) -> NDArray[np.int64]:
        firsts = np.cumsum(lengths) - lengths
        gaps = self._times[steps >> np.uint64(48)]
        gaps[firsts] = 0
        elapsed = np.cumsum(gaps)
        elapsed += np.repeat(starts - elapsed[firsts], lengths)
        return elapsed

    def _cut_to_tick(self, times: NDArray[np.int64]) -> NDArray[np.int64]:
        return times - times % self._shape.tick_ms

    def _walk(self, steps: Words, lengths: NDArray[np.int64]) -> tuple[NDArray[np.int32], NDArray[np.uint8]]:
        """Return the item and type of each event, computed for one step of all sessions at a time.

        Of a word, the low 32 bits choose an item, the next 16 the way to choose it, and the last 16 the think time.
        """
        value = _value(steps)
        way = ((steps >> np.uint64(32)) & _LOW16).astype(np.int32)
        item = np.empty(len(steps), np.int32)
        kind = np.zeros(len(steps), np.uint8)
        longest_first = np.argsort(-lengths, kind="stable")
        at = (np.cumsum(lengths) - lengths)[longest_first]
        item[at] = self._popular(value[at])
        n_longer = len(lengths) - np.cumsum(np.bincount(lengths))
        for step in range(1, int(lengths.max())):
            at = at[: n_longer[step]] + 1
            self._step(step, at, item, kind, value[at], way[at])
        return item, kind

    def _step(
        self,
        step: int,
        at: NDArray[np.int64],
        item: NDArray[np.int32],
        kind: NDArray[np.uint8],
        value: NDArray[np.uint32],
        way: NDArray[np.int32],
    ) -> None:
        """Write the events at places *at*, each the *step*-th of its session."""
        go_on, go_back, follow = self._bounds
        chosen = item[at - 1]
        if go_on:
            on = np.flatnonzero(way < go_on)
            kind[at[on]] = (kind[at[on] - 1] + 1) % len(EVENT_TYPES)
        back = np.flatnonzero((way >= go_on) & (way < go_back))
        places = (value[back].astype(np.uint64) * np.uint64(step)) >> np.uint64(32)
        chosen[back] = item[at[back] - 1 - places.astype(np.int64)]
        to_next = np.flatnonzero((way >= go_back) & (way < follow))
        which = self._choice_of_byte[value[to_next] >> np.uint32(24)]
        chosen[to_next] = self._successors[chosen[to_next], which]
        fresh_draw = np.flatnonzero(way >= follow)
        chosen[fresh_draw] = self._popular(value[fresh_draw])
        item[at] = chosen

    def _popular(self, value: NDArray[np.uint32]) -> NDArray[np.int32]:
        return self._item_of_rank[np.searchsorted(self._thresholds, value, side="right")]

    def _followers(self, items: NDArray[np.int32], draws: Words) -> NDArray[np.int32]:
        """Return popular successors for each of *items*, never the item itself: shape (items, successors)."""
        drawn = self._popular(_value(draws)).reshape(len(items), self._shape.successors)
        itself = drawn == items[:, None]
        return np.where(itself, (drawn + np.int32(1)) % np.int32(self._shape.items), drawn)

    def _drift_to(self, day: int) -> None:
        """For each new day, let the share `drift` of the items swap ranks and get new successors."""
        shape = self._shape
        n_changed = round(shape.items * shape.drift)
        while self._day < day and n_changed:
            self._day += 1
            draws = _draws.words(shape.seed, (_DRIFT, self._day), shape.items + n_changed * shape.successors)
            chosen = np.argsort(draws[: shape.items], kind="stable")[:n_changed]
            self._item_of_rank[chosen] = self._item_of_rank[np.roll(chosen, 1)]
            fresh = self._followers(chosen.astype(np.int32), draws[shape.items :])
            self._successors[chosen] = fresh


def _value(draws: Words) -> NDArray[np.uint32]:
    return (draws & _LOW32).astype(np.uint32)


def _halving(count: int) -> NDArray[np.int64]:
    """Return which of *count* a byte chooses: half of all bytes 0, the next quarter 1, ..."""
    leading_ones = (8 - (~byte & 0xFF).bit_length() for byte in range(256))
    return np.array([min(ones, count - 1) for ones in leading_ones], np.int64)


def _require(holds: bool, key: str, expected: str) -> None:
    if not holds:
        raise SettingsError(key, f"must be {expected}")
