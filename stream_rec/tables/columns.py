"""A log at rest as columns: dictionaries of sessions, data frames and files are read into them.

Each id is stored once, and events refer to it by number: a log of millions of events takes tens of bytes per event.
Knows nothing of files, Arrow or the engine.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final, NamedTuple
from uuid import UUID

import numpy as np
import numpy.typing as npt
from xxhash import xxh3_64_intdigest

from stream_rec.core.events import VIEW, DecodeRules, Event, Reason, TimeReader, found, identifier, time_reader
from stream_rec.datasets.statistics import LogStatistics, Summary
from stream_rec.errors import DecodeError, SettingsError

__all__ = ["Columns", "Ids", "columns_of_events", "columns_of_sessions"]

BATCH_EVENTS: Final = 1 << 16
MAX_ID_CHARS: Final = DecodeRules().max_id_chars
FEWEST_ROWS: Final = 2  # items and times
MAX_SHOWN: Final = 60
MAX_NAMED: Final = 5


class Ids(NamedTuple):
    """One column of names: event e has names[codes[e]], or None if its code is -1."""

    names: list[str]
    codes: npt.NDArray[np.int32]

    @classmethod
    def of(cls, values: Iterable[str | None]) -> "Ids":
        """Number *values* by their first occurrence."""
        numbers: dict[str | None, int] = {None: -1}
        codes = [numbers.setdefault(value, len(numbers) - 1) for value in values]
        return cls([name for name in numbers if name is not None], np.array(codes, np.int32))

    def __repr__(self) -> str:
        more = ", ..." if len(self.names) > MAX_NAMED else ""
        return f"Ids({len(self.codes):,} of {len(self.names):,}: {', '.join(self.names[:MAX_NAMED])}{more})"

    def only(self, keep: npt.NDArray[np.bool_]) -> "Ids":
        """Return the rows where *keep* is true, with only the names that they use."""
        used, codes = np.unique(self.codes[keep], return_inverse=True)
        n_none = int(used.size > 0 and used[0] < 0)
        return Ids([self.names[code] for code in used[n_none:].tolist()], (codes - n_none).astype(np.int32))

    def at(self, places: npt.NDArray[np.int64]) -> list[str | None]:
        """Return the names of the events at *places*."""
        names: list[str | None] = [*self.names, None]  # -1 is the last
        return list(map(names.__getitem__, self.codes[places].tolist()))


_MAKE_EVENT: Final[Callable[..., Event]] = Event


@dataclass(frozen=True, slots=True, repr=False)
class Columns:
    """Events, in the order in which they were read; all columns have the same length.

    >>> from stream_rec import read_log
    >>> read_log({"ann": (["tent", "stove"], [10, 20])})
    Columns(2 events, 1 sessions, 2 items, types view)
    """

    sessions: Ids
    items: Ids
    times: npt.NDArray[np.int64]
    """[n], ms since 1970 (UTC)."""
    types: Ids
    users: Ids | None = None
    weights: npt.NDArray[np.float64] | None = None
    """[n], if the log has a weight for each event."""
    left_out: Mapping[str, int] = field(default_factory=dict)
    """Records that were left out, by reason: types that are not accepted, lines that are no events."""

    def __len__(self) -> int:
        return len(self.times)

    def __repr__(self) -> str:
        names = f"{len(self.sessions.names):,} sessions, {len(self.items.names):,} items"
        return f"Columns({len(self):,} events, {names}, types {', '.join(self.types.names[:MAX_NAMED]) or 'none'})"

    def events(self, batch: int = BATCH_EVENTS) -> Iterator[list[Event]]:
        """Yield the events in time order, *batch* at a time; equal times keep the order in which they were read."""
        yield from self._in_order(np.argsort(self.times, kind="stable"), self.users, batch)

    def session_by_session(self, batch: int = BATCH_EVENTS) -> Iterator[list[Event]]:
        """Yield the same events in an order that costs a store without limits least, and gives the same state.

        In time order, each event moves its session in the posting lists of all its items. Here, sessions come in the
        order of their last events, and each session starts with its last event (with the first of several at that
        time). So a session has its final place from the start. A user comes once with each session, because a store
        keeps the users of a session, not of an event.
        """
        order = np.argsort(self.times, kind="stable")
        sessions, times = self.sessions.codes[order], self.times[order]
        last = np.zeros(len(self.sessions.names), np.int64)
        last[sessions] = times  # of equal keys the last assignment wins, and times ascend
        is_rest = np.ones(len(order), np.bool_)
        ends = np.flatnonzero(times == last[sessions])
        is_rest[ends[np.unique(sessions[ends], return_index=True)[1]]] = False
        order = order[np.lexsort((is_rest, sessions, last[sessions]))]
        yield from self._in_order(order, self._users_once(), batch)

    def _users_once(self) -> Ids | None:
        """Return the users, each at only one event of a session."""
        if self.users is None:
            return None
        # No user (-1) counts as user 0 here, so that each pair has its own number.
        pairs = self.sessions.codes * np.int64(len(self.users.names) + 1) + self.users.codes + 1
        first = np.unique(pairs, return_index=True)[1]
        once = np.full_like(self.users.codes, -1)
        once[first] = self.users.codes[first]
        return Ids(self.users.names, once)

    def _in_order(self, order: npt.NDArray[np.int64], users: Ids | None, batch: int) -> Iterator[list[Event]]:
        for begin in range(0, len(order), batch):
            places = order[begin : begin + batch]
            names = (
                self.sessions.at(places),
                self.items.at(places),
                self.times[places].tolist(),
                self.types.at(places),
            )
            yield list(map(_MAKE_EVENT, *names, *_after_type(users, places)))

    def by_session(self) -> dict[str, tuple[list[str], list[int], list[str]]]:
        """Return the items, times (ms) and types of each session in time order, as `columns_of_sessions` reads them."""
        sessions: dict[str, tuple[list[str], list[int], list[str]]] = {}
        for events in self.events():
            for event in events:
                items, times, types = sessions.setdefault(event.session_id, ([], [], []))
                items.append(event.item_id)
                times.append(event.timestamp)
                types.append(event.type)
        return sessions

    def split(self, share: float, seed: int = 0) -> tuple["Columns", "Columns"]:
        """Split off a *share* of the sessions, drawn by *seed*. Return the rest, and the sessions split off.

        The draw depends only on the seed and the session ids, not on the order of the log. Raises SettingsError for a
        share outside 0 to 1.
        """
        if not 0 <= share <= 1:
            raise SettingsError("share", f"expected a share from 0 to 1, found {share}")
        draws = [(xxh3_64_intdigest(name.encode(), seed), name) for name in self.sessions.names]
        drawn = {name for _, name in sorted(draws)[: round(share * len(draws))]}
        is_off = np.array([name in drawn for name in self.sessions.names], np.bool_)[self.sessions.codes]
        return self._part(~is_off), self._part(is_off)

    def summary(self) -> Summary:
        """Return the statistics of the log, with its events in time order."""
        statistics = LogStatistics()
        for events in self.events():
            statistics.add_all(events)
        return statistics.summary()

    def only(self, keep: npt.NDArray[np.bool_], reason: Reason = Reason.UNKNOWN_TYPE) -> "Columns":
        """Return the events where *keep* is true; count the others as left out for *reason*."""
        n_out = int((~keep).sum())
        left_out = {**self.left_out, str(reason): n_out} if n_out else self.left_out
        return replace(self._part(keep), left_out=left_out)

    def _part(self, keep: npt.NDArray[np.bool_]) -> "Columns":
        return Columns(
            self.sessions.only(keep),
            self.items.only(keep),
            self.times[keep],
            self.types.only(keep),
            None if self.users is None else self.users.only(keep),
            None if self.weights is None else self.weights[keep],
        )

    def of_types(self, types: frozenset[str] | None) -> "Columns":
        """Return the events of *types*; all of them for None."""
        if types is None or types.issuperset(self.types.names):
            return self
        return self.only(np.array([name in types for name in self.types.names], np.bool_)[self.types.codes])

    def without_repeats(self) -> "Columns":
        """Return the events without those that equal an earlier one in everything; these count as duplicates."""
        rows = np.zeros((len(self), 6), np.int64)
        rows[:, :4] = np.column_stack([self.sessions.codes, self.items.codes, self.times, self.types.codes])
        if self.users is not None:
            rows[:, 4] = self.users.codes
        if self.weights is not None:
            rows[:, 5] = self.weights.view(np.int64)
        keep = np.zeros(len(self), np.bool_)
        keep[np.unique(rows, axis=0, return_index=True)[1]] = True
        return self.only(keep, Reason.DUPLICATE)


def _after_type(users: Ids | None, places: npt.NDArray[np.int64]) -> tuple[list[str | None], ...]:
    """Return the columns of an event after its type: no event id, and the user; nothing if no event has a user."""
    return () if users is None else ([None] * len(places), users.at(places))


def columns_of_events(events: Iterable[Event]) -> Columns:
    """Turn *events* into columns. Event ids are dropped: a log at rest has no duplicates."""
    listed = list(events)
    users = [event.user_id for event in listed]
    return Columns(
        Ids.of(event.session_id for event in listed),
        Ids.of(event.item_id for event in listed),
        np.array([event.timestamp for event in listed], np.int64),
        Ids.of(event.type for event in listed),
        Ids.of(users) if any(users) else None,
    )


def columns_of_sessions(
    sessions: Mapping[Any, Sequence[Sequence[Any]]],
    *,
    timestamp_unit: str = "ms",
    timestamp_format: str | None = None,
    time_zone: str | None = None,
    types_row: int | None = 2,
    weights_row: int | None = 3,
) -> Columns:
    """Read a dictionary as WSKNN takes it: session -> (items, times, and optionally types and weights of the events).

    *types_row* and *weights_row* are the rows of types and weights, if any. Raises DecodeError, naming the session and
    the place in it, for a row of another length and for a value that is not an id, time or weight.
    """
    read_time = time_reader(timestamp_unit, timestamp_format, time_zone)
    parts = [
        _session(name, rows, read_time, types_row, weights_row)
        for name, rows in sessions.items()
        if _has_events(name, rows)
    ]
    weights = [weight for part in parts for weight in part.weights]
    if weights and len(weights) < sum(len(part.items) for part in parts):
        raise DecodeError(
            Reason.MISSING_FIELD, "some sessions have weights and others do not: give weights for all, or for none"
        )
    return Columns(
        Ids.of(part.name for part in parts for _ in part.items),
        Ids.of(item for part in parts for item in part.items),
        np.array([time for part in parts for time in part.times], np.int64),
        Ids.of(kind for part in parts for kind in part.types),
        weights=np.array(weights, np.float64) if weights else None,
    )


class _Session(NamedTuple):
    name: str
    items: list[str]
    times: list[int]
    types: list[str]
    weights: list[float]


def _has_events(name: object, rows: Sequence[Sequence[Any]]) -> bool:
    is_short = isinstance(rows, str | bytes) or not hasattr(rows, "__len__") or len(rows) < FEWEST_ROWS
    if is_short or any(isinstance(row, str | bytes) for row in rows[:FEWEST_ROWS]):
        shown = repr(rows) if len(repr(rows)) <= MAX_SHOWN else f"a {type(rows).__name__}"
        expected = "expected (items, times), two lists, and optionally types and weights"
        raise DecodeError(Reason.NOT_A_ROW, f"session {name!r}: {expected}; found {shown}")
    return len(rows[0]) > 0


def _session(
    name: object,
    rows: Sequence[Sequence[Any]],
    read_time: TimeReader,
    types_row: int | None,
    weights_row: int | None,
) -> _Session:
    n = len(rows[0])
    types = _row(rows, types_row)
    weights = _row(rows, weights_row)
    for label, row in (("times", rows[1]), ("types", types), ("weights", weights)):
        if row is not None and len(row) != n:
            raise DecodeError(Reason.NOT_A_ROW, f"session {name!r}: it has {n} items and {len(row)} {label}")
    return _Session(
        _id(name, "session"),
        [_id(item, f"session {name!r}, item {place}") for place, item in enumerate(rows[0])],
        [_read(read_time, time, f"session {name!r}, time {place}") for place, time in enumerate(rows[1])],
        [VIEW] * n if types is None else [_id(kind, f"session {name!r}, type {i}") for i, kind in enumerate(types)],
        [] if weights is None else [_read(_weight, w, f"session {name!r}, weight {i}") for i, w in enumerate(weights)],
    )


def _row(rows: Sequence[Sequence[Any]], place: int | None) -> Sequence[Any] | None:
    return rows[place] if place is not None and place < len(rows) else None


def _read(read: Callable[[Any], Any], value: object, where: str) -> Any:  # noqa: ANN401  # whatever *read* makes
    try:
        return read(_plain(value))
    except DecodeError as error:
        raise DecodeError(error.reason, f"{where}: {error.message}") from None


def _id(value: object, where: str) -> str:
    plain = str(value) if isinstance(value, UUID) else _plain(value)
    return identifier(where, plain, MAX_ID_CHARS)


def _plain(value: object) -> object:
    """Return the Python value of a NumPy value."""
    if isinstance(value, np.datetime64):  # with nanoseconds, item() would return an integer
        return value.astype("datetime64[us]").item()
    return value.item() if isinstance(value, np.generic) else value


def _weight(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < float("inf"):
        raise DecodeError(Reason.WRONG_TYPE, f"expected a weight, a number from 0 on, found {found(value)}")
    return float(value)
