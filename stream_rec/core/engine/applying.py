"""Events in: runs of them as batches through the kernel, each answered right after it where that is asked.

Knows nothing of requests. What an event does and in which order is the kernel's; users and their sessions are kept up
here.
"""

from collections.abc import Iterator, Mapping, Sequence
from operator import attrgetter
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt
from xxhash import xxh3_64_intdigest

from stream_rec.core.engine.columns import id_keys, times_of
from stream_rec.core.engine.encoding import IdEncoder
from stream_rec.core.engine.item_rules import ItemRules
from stream_rec.core.engine.models import Models
from stream_rec.core.engine.rows import named, new_rows
from stream_rec.core.engine.state import EngineState, Notes
from stream_rec.core.events import Answer, Event, Forget
from stream_rec.core.index import AnswerArrays, EventArrays, Parameters, field
from stream_rec.core.outcome import Applied, AppliedBatch, Evaluator, Observation
from stream_rec.core.sessionizer import Sessionizer

__all__ = ["Applying", "ToAnswer"]

USER_OF: Final = attrgetter("user_id")


class ToAnswer(NamedTuple):
    """What is to be answered of a batch, event for event."""

    offsets: Sequence[Mapping[str, int]]
    wanted: npt.NDArray[np.uint8]
    all: bool
    """Whether every event is wanted."""

    def part(self, start: int, n: int) -> "ToAnswer":
        """Return what is asked of *n* events from *start* on."""
        return ToAnswer(self.offsets[start : start + n], self.wanted[start : start + n], self.all)


class Applying:
    """Lets events do their work on what is *held*. With a *sessionizer* sessions are cut from users."""

    def __init__(self, held: EngineState, models: Models, ruling: ItemRules, sessionizer: Sessionizer | None) -> None:
        self._held = held
        self._models = models
        self._rulebook = ruling.rulebook
        self._sessionizer = sessionizer
        self._numbering = IdEncoder(held, models, ruling)

    def in_order(
        self, events: Sequence[Event | Forget], asked: ToAnswer | None, observation: Observation | None
    ) -> tuple[Applied, list[Answer | None]]:
        """Apply runs of events as batches, and what is to be forgotten in between."""
        if self._sessionizer is None and Forget not in set(map(type, events)):
            outcome, answers = self._apply_events(events, asked, observation)  # type: ignore[arg-type]  # events only
            return Applied(outcome), answers
        outcomes = [np.zeros(0, np.uint8)]
        answers = []
        for run in self._runs(events):
            if isinstance(run[0], Forget):
                self.forget(run[0].session_id, run[0].user_id, None if observation is None else observation.evaluator)
                outcomes.append(np.zeros(1, np.uint8))
                answers.append(None)
                continue
            part = None if asked is None else asked.part(len(answers), len(run))
            observed = None if observation is None else observation.part(len(answers), len(run))
            outcome, answered = self._apply_events(run, part, observed)  # type: ignore[arg-type]  # events only
            outcomes.append(outcome)
            answers += answered
        return Applied(np.concatenate(outcomes)), answers

    def ask_and_apply(
        self, events: Sequence[Event], asks: npt.NDArray[np.uint8], stacked: Parameters, answers: AnswerArrays
    ) -> EventArrays:
        """Apply *events* in order, and before each that *asks* marks, ask its session with all models of *stacked*."""
        batch, new_slots, new_items = self._numbering.batch(events)
        index = self._held.index
        notes = self._held.run(batch, lambda reached: index.ask_and_apply(stacked, batch, reached, asks, answers))
        self._link_users(events, batch, notes)
        self._held.release([*new_slots, *notes.released], [*new_items, *notes.emptied])
        return batch

    def forget(self, session_id: str | None, user_id: str | None, evaluator: Evaluator | None) -> int:
        """Erase a session, a user's sessions, or both; return how many sessions."""
        sessions = self._held.sessions
        slots = set() if user_id is None else set(sessions.of_user(user_id))
        slot = None if session_id is None else sessions.ids.find(session_id)
        if slot is not None:
            slots.add(slot)
        names = {sessions.ids.names[each] for each in slots}
        if session_id is not None:
            names.add(session_id)  # evicted or not: its event ids may still stand in the window
        owners = [xxh3_64_intdigest(str(name).encode()) for name in names]
        if evaluator is not None:
            evaluator.on_forgotten(owners)
        if self._sessionizer is not None and user_id is not None:
            self._sessionizer.forget(user_id)
        if self._sessionizer is not None and session_id is not None:
            self._sessionizer.forget_session(session_id)
        self._held.erase(slots, owners)
        return len(slots)

    # --- one batch

    def _apply_events(
        self, events: Sequence[Event], asked: ToAnswer | None, observation: Observation | None
    ) -> tuple[npt.NDArray[np.uint8], list[Answer | None]]:
        if self._sessionizer is not None:
            events = self._with_sessions(events, self._sessionizer)
        held, split = self._held, self._models.split
        before = held.index.counter(field.WATERMARK)
        batch, new_slots, new_items = self._numbering.batch(events)
        served, rows, n_rows = self._rows_of(batch, asked, observation)
        answers = new_rows(n_rows, split.longest)
        notes = self._drive(batch, asked, rows, answers)
        self._link_users(events, batch, notes)
        answered: list[Answer | None] = [None] * len(events)
        if asked is not None:
            as_of = np.maximum.accumulate(
                np.where(batch.outcome == field.APPLIED, np.maximum(batch.time, before), before)
            )
            for place in np.flatnonzero((batch.outcome == field.APPLIED) & (asked.wanted != 0)).tolist():
                by = served[place]
                answered[place] = Answer(
                    events[place].session_id,
                    None,
                    named(held.items.names, answers, rows[place, by]),
                    int(as_of[place]),
                    dict(asked.offsets[place]),
                    split.models[by].name,
                )
        if observation is not None:
            state = held.index.state
            observed = AppliedBatch(batch, state.session, state.item, observation.counted, rows, answers)
            observation.evaluator.on_applied(observed)
        held.release([*new_slots, *notes.released], [*new_items, *notes.emptied])
        return batch.outcome, answered

    def _rows_of(
        self, batch: EventArrays, asked: ToAnswer | None, observation: Observation | None
    ) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.int32], int]:
        """Return each event's model, [n], the row of each model's answer, [n, models], and how many rows there are."""
        n, split = batch.slot.size, self._models.split
        served = np.zeros(n, np.intp)
        if asked is None:
            return served, np.full((n, len(split.models)), -1, np.int32), 0
        if split.is_single:
            if asked.all:
                return served, np.arange(n, dtype=np.int32).reshape(n, 1), n
            asks = asked.wanted.reshape(n, 1) != 0
        else:
            if split.n_served > 1:
                served = split.served(self._held.index.state.session["hash"][batch.slot])
            asks = np.zeros((n, len(split.models)), np.bool_)
            asks[np.arange(n), served] = asked.wanted
            if observation is not None:
                asks[:, split.n_served :] = asks.any(axis=1, keepdims=True)
        rows = np.cumsum(asks, dtype=np.int32).reshape(asks.shape)
        return served, np.where(asks, rows - np.int32(1), np.int32(-1)), int(np.count_nonzero(asks))

    def _drive(
        self, batch: EventArrays, asked: ToAnswer | None, rows: npt.NDArray[np.int32], answers: AnswerArrays
    ) -> Notes:
        """Apply the batch, and answer into *rows* if anything is *asked*."""
        index = self._held.index
        if asked is None:
            return self._held.run(batch, lambda reached: index.apply(batch, reached))
        stacked, rules = self._models.together(), self._rulebook.default
        return self._held.run(batch, lambda reached: index.apply_and_ask(stacked, batch, reached, rows, rules, answers))

    def _link_users(self, events: Sequence[Event], batch: EventArrays, notes: Notes) -> None:
        """Note who took part in which session, from the event on that last began it."""
        sessions = self._held.sessions
        if sessions.has_users or set(map(USER_OF, events)) - {None}:
            dropped = dict(zip(notes.released, notes.released_at, strict=True))
            sessions.unlink(dropped)
            slots = batch.slot.tolist()
            for place in np.flatnonzero(batch.outcome == field.APPLIED).tolist():
                user_id = events[place].user_id
                if user_id is not None and place > dropped.get(slots[place], -1):
                    sessions.link(slots[place], user_id)

    # --- where sessions are cut from users

    def _runs(self, events: Sequence[Event | Forget]) -> Iterator[list[Event | Forget]]:
        """Cut *events* where they cannot be one batch.

        A `Forget` is no event. And where sessions are cut from users, one whose id was seen stands alone: whether it is
        a duplicate, which decides its user's session, is known when those before it are applied.
        """
        seen: set[str] = set()
        run: list[Event | Forget] = []
        for event in events:
            if isinstance(event, Forget) or (self._sessionizer is not None and self._may_repeat(event, seen)):
                if run:
                    yield run
                    run = []
                yield [event]
            else:
                run.append(event)
        if run:
            yield run

    def _may_repeat(self, event: Event, seen: set[str]) -> bool:
        if not event.event_id:
            return False
        is_seen = event.event_id in seen or self._is_duplicate(event)
        seen.add(event.event_id)
        return is_seen

    def _is_duplicate(self, event: Event) -> bool:
        return bool(event.event_id) and self._held.index.is_duplicate(id_keys([event.event_id]))

    def _with_sessions(self, events: Sequence[Event], sessionizer: Sessionizer) -> Sequence[Event]:
        """Return the events with the sessions that they fall into.

        One that came before (it stands alone then, see `_runs`) or cannot be stored must not move its user's session.
        """
        times_of(events)
        if len(events) == 1 and self._is_duplicate(events[0]):
            return events
        return sessionizer.assign(events, self._held.index.watermark)  # type: ignore[return-value]  # events only
