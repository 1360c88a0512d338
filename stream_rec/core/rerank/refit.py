"""A refit beside an index that goes on: the sessions as of a boundary are copied, then learned from on any thread.

    refit = Refit(index, model, boundary)
    while not refit.is_copied:      # on the thread that owns the index; events may be applied in between
        refit.step(n_events)
    fit = refit.learn()             # on any thread: it reads the copy alone

A past question depends on all sessions that had ended by then, and a session that goes on has not ended any more. So
questions can't be put to an index that goes on and be the same each time; and what they are put to is copied.
"""

from collections.abc import Generator
from typing import Final

import numpy as np

from stream_rec.core.dtypes import I32, I64, U8
from stream_rec.core.index import Index, Parameters, field
from stream_rec.core.index.retained import RetainedState, load
from stream_rec.core.rerank.kernel import entries
from stream_rec.core.rerank.kernel.copying import CopiedEvents, SessionsAsOf
from stream_rec.core.rerank.learner import MOST_EXAMPLES, Fit, Learner
from stream_rec.core.rerank.reranker import Reranker

__all__ = ["MOST_EVENTS", "Refit"]

MOST_EVENTS: Final = 1_000_000
"""Events that are copied, of the newest sessions: some 60 bytes each while it lasts."""


class Refit:
    """Weights for *model* from what *index* retains as of *boundary*, ms of event time.

    They are the same with whatever events are applied between the steps. If a session leaves, or drops its oldest
    event, before it was copied, or one is forgotten at any time, the refit `is_void`: start another one, and use no
    weights of this one. At first, sessions are copied that may drop their oldest event at their next; then the oldest.
    """

    def __init__(
        self, index: Index, model: Parameters, boundary: int, most: int = MOST_EXAMPLES, most_events: int = MOST_EVENTS
    ) -> None:
        """List the sessions. O(session ordinals)."""
        self.boundary = boundary
        self._index = index
        self._model = model
        self._most = most
        self._limits = index.view.limits
        state = index.state
        self._listed = _listed_in_order(index, boundary, most_events)
        self._ends: I64 = np.cumsum(self._listed.n_events, dtype=np.int64)
        n_events = int(self._ends[-1]) if self._ends.size else 0
        self._events = CopiedEvents(
            np.empty(n_events, np.int32), np.empty(n_events, np.int64), np.empty(n_events, np.uint8)
        )
        self._item_hash = state.item["hash"].copy()
        self._denied: U8 = state.item["denied"].copy()
        self._n_dropped = index.n_dropped
        self._n_copied = 0
        self._has_lost = False

    @property
    def n_events(self) -> int:
        """How many events are copied in all."""
        return len(self._events.item)

    @property
    def is_copied(self) -> bool:
        """Whether nothing of the index will be read any more."""
        return self._n_copied == len(self._ends)

    @property
    def is_void(self) -> bool:
        """Whether sessions left that it needs, or must not know: to be asked on the thread that owns the index."""
        return self._has_lost or self._index.n_dropped != self._n_dropped  # planted bug: refit-keeps-forgotten

    def step(self, n_events: int) -> None:
        """Copy sessions with about *n_events* in all, at least one session. Some 20 ns an event.

        Raises ValueError if the refit is void.
        """
        first, copied = self._n_copied, self._copied_events()
        last = min(len(self._ends), max(first + 1, int(np.searchsorted(self._ends, copied + n_events, side="right"))))
        self._has_lost |= not entries.copy_events(
            self._index.state, self.boundary, self._listed, first, last, copied, self._events
        )
        self._refuse_if_lost(is_void=self.is_void)
        self._n_copied = last

    def learn(self) -> Fit:
        """Learn from the copy; see `learning`."""
        steps = self.learning()
        while True:
            try:
                next(steps)
            except StopIteration as end:
                fit: Fit = end.value
                return fit

    def learning(self) -> Generator[None, None, Fit]:
        """Learn from the copy in steps of some tens of milliseconds, most without the interpreter lock.

        Reads nothing of the index, so it may run on any thread. Call it once, after all is copied.
        """
        assert self.is_copied, "all is copied first"
        self._refuse_if_lost(is_void=self._has_lost)
        index = Index(self._limits)
        retained, denied = self._retained()
        yield
        load(index, retained, denied)
        yield
        return (yield from Learner(index, Reranker(index)).fitting(self._model, self.boundary, self._most))

    def _copied_events(self) -> int:
        return int(self._ends[self._n_copied - 1]) if self._n_copied else 0

    def _refuse_if_lost(self, *, is_void: bool) -> None:
        if is_void:
            raise ValueError("sessions left meanwhile: start another refit")

    def _retained(self) -> tuple[RetainedState, list[int]]:
        """Return the copy as the content of an index with ordinals of its own, and the DENIED_* bits of its items."""
        listed, events = self._listed, self._events
        items: I32 = np.flatnonzero(np.bincount(events.item, minlength=1)).astype(np.int32)
        number = np.zeros(len(self._item_hash), np.int32)
        number[items] = np.arange(len(items))
        retained = RetainedState(
            watermark=self.boundary if len(events.item) else None,
            n_evicted=0,
            sessions=np.arange(len(listed.slot), dtype=np.int32),
            hash=listed.hash,
            id_bytes=np.zeros(len(listed.slot), np.uint16),
            n_events=listed.n_events,
            item=number[events.item],
            time=events.time,
            type=events.type,
            items=np.arange(len(items), dtype=np.int32),
            item_hash=self._item_hash[items],
            item_id_bytes=np.zeros(len(items), np.uint16),
            ids=np.empty(0, field.SEEN_ID),
        )
        return retained, self._denied[items].tolist()


def _listed_in_order(index: Index, boundary: int, most_events: int) -> SessionsAsOf:
    """List the newest sessions with at most *most_events* in all: first the full ones, then the oldest first."""
    n = index.view.counter(field.N_SESSIONS)
    space = SessionsAsOf(np.empty(n, np.int32), np.empty(n, np.uint64), np.empty(n, np.int64), np.empty(n, np.int32))
    n = entries.list_sessions(index.state, boundary, space)
    order = np.lexsort((space.hash[:n], space.last[:n]))
    listed = SessionsAsOf._make(column[:n][order] for column in space)
    behind = np.cumsum(listed.n_events[::-1], dtype=np.int64)[::-1]  # events of a session and all newer ones
    is_full = index.state.session["events"][listed.slot] >= index.view.limits.max_session_events
    wanted = np.flatnonzero(behind <= most_events)
    full = is_full[wanted]
    order = np.concatenate((wanted[full], wanted[~full]))
    return SessionsAsOf._make(column[order] for column in listed)
