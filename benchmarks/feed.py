"""The logs that benchmarks feed: as columns, as events, as lines; and an index fed with bare numbers.

The shape is that of the targets: sessions of five events on average, 100,000 items, Zipf 1.2, a million sessions in 30
days. A shorter log is the beginning of the same density, not a thinner one.
"""

from collections.abc import Iterator
from time import perf_counter

import numpy as np
from common import BATCH, EVENTS_A_SESSION, HOST_MS, ITEMS, Floats, latencies

from stream_rec.core.engine import Engine
from stream_rec.core.events import Event
from stream_rec.core.index import ANYTHING, AnswerArrays, EventArrays, Index, Parameters, field
from stream_rec.core.limits import Limits
from stream_rec.core.model import Model, compile_model
from stream_rec.simulator.clickstream import Clicks, Shape, columns

KEEP_ALL = Limits(retention_ms=None)
NO_IDS = np.zeros((0, 2), np.uint64)


def shape(n_events: int, *, items: int = ITEMS) -> Shape:
    """The shape of the targets for so many events."""
    n_sessions = n_events // EVENTS_A_SESSION
    duration = max(1, HOST_MS * n_sessions // 1_000_000)
    return Shape(seed=1, sessions=n_sessions, items=items, zipf=1.2, duration_ms=duration)


def log(n_events: int) -> Clicks:
    """The log as columns."""
    return columns(shape(n_events))


def events_of(clicks: Clicks, begin: int, end: int) -> list[Event]:
    """A stretch of the log as events."""
    part = clicks.take(slice(begin, min(end, len(clicks))))
    rows = zip(part.session.tolist(), part.item.tolist(), part.timestamp.tolist(), strict=True)
    return [Event(f"session-{session:09d}", f"item-{item:06d}", time) for session, item, time in rows]


def batches(clicks: Clicks, size: int = BATCH) -> Iterator[list[Event]]:
    """The log as batches of events, made one at a time."""
    for begin in range(0, len(clicks), size):
        yield events_of(clicks, begin, begin + size)


def fill(engine: Engine, clicks: Clicks) -> float:
    """Apply the log; return the seconds that the engine took, the making of events not counted."""
    return sum(_timed_apply(engine, events) for events in batches(clicks))


def fill_events(engine: Engine, events: list[Event]) -> float:
    """Apply *events*, batch by batch; return the seconds it took."""
    return sum(_timed_apply(engine, events[begin : begin + BATCH]) for begin in range(0, len(events), BATCH))


def _timed_apply(engine: Engine, events: list[Event]) -> float:
    started = perf_counter()
    engine.apply(events)
    return perf_counter() - started


class BareIndex:
    """The index without ids: only the work of the kernels."""

    def __init__(self, clicks: Clicks, limits: Limits = KEEP_ALL) -> None:
        rng = np.random.default_rng(7)
        self.clicks = clicks
        self.index = Index(limits)
        self.n_ordinals = int(clicks.session.max()) + 1
        n_items = int(clicks.item.max()) + 1
        # One ordinal more than there are sessions: an empty call asks for it.
        n_ordinals = self.n_ordinals + 1
        self.index.add_sessions(range(n_ordinals), rng.integers(0, 1 << 63, n_ordinals).tolist(), [17] * n_ordinals)
        self.index.add_items(
            range(n_items), rng.integers(0, 1 << 63, n_items).tolist(), [11] * n_items, [False] * n_items
        )
        self._fed = 0

    def feed(self, end: int) -> float:
        """Apply the log up to event *end*, at most all of it; return the seconds it took."""
        end = min(end, len(self.clicks))
        started = perf_counter()
        while self._fed < end:
            stop = min(end, self._fed + BATCH)
            self._run(self._batch(self._fed, stop))
            self._fed = stop
        taken = perf_counter() - started
        assert self.index.view.counter(field.N_EVENTS) == end, "every event was applied"
        return taken

    def _batch(self, begin: int, end: int) -> EventArrays:
        clicks = self.clicks
        return EventArrays(
            session=clicks.session[begin:end],
            item=clicks.item[begin:end],
            time=clicks.timestamp[begin:end],
            reach=clicks.timestamp[begin:end],
            type=np.zeros(end - begin, np.uint8),
            id_key=NO_IDS,
            outcome=np.zeros(end - begin, np.uint8),
            novel=np.zeros(end - begin, np.uint8),
        )

    def _run(self, batch: EventArrays) -> None:
        reached, need = 0, field.MORE_LIST_CAPACITY
        while need != field.DONE:
            reached, need = self.index.apply(batch, reached)
            self.index.drain_lists()
            if need != field.DONE:
                self.index.provide(need, batch, reached)

    def sessions(self, rng: np.random.Generator, n: int) -> list[int]:
        """Sessions as visitors would ask: drawn by their events, from all that are retained."""
        return self.clicks.session[rng.integers(0, self._fed, n)].tolist()  # type: ignore[no-any-return]


def answers(n: int) -> AnswerArrays:
    """Room for one answer."""
    return AnswerArrays(
        np.empty((1, n), np.int32), np.empty((1, n), np.float64), np.empty((1, n), np.uint8), np.zeros(1, np.int32)
    )


class Asker:
    """Asks the index's kernel for one session at a time, with the parameters of one model."""

    def __init__(self, index: Index, point: Model) -> None:
        self.index = index
        self._p: Parameters = compile_model(point, {}, {}, index.view.limits.max_session_events)
        self._rows = answers(point.n)

    def __call__(self, ordinal: int) -> None:
        """Answer for session *ordinal*."""
        self.index.ask_session(self._p, ordinal, ANYTHING, self._rows, 0)

    def times(self, ordinals: list[int]) -> Floats:
        """Microseconds of each of *ordinals*."""
        return latencies(self, ordinals)
