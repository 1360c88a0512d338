"""The engine as callers see it: its rooms put together, and its state as a whole."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import msgspec
import numpy as np
import numpy.typing as npt

from stream_rec.core.catalogue import Catalogue
from stream_rec.core.engine.answering import Answering, NextItemQuery
from stream_rec.core.engine.applying import Applying, ToAnswer
from stream_rec.core.engine.item_rules import ItemRules
from stream_rec.core.engine.models import Models
from stream_rec.core.engine.state import EngineState
from stream_rec.core.engine_state import EngineSnapshot, differences, rules_of
from stream_rec.core.events import Answer, Event, Forget, Recommendation, Request
from stream_rec.core.ids import IdTable
from stream_rec.core.index import (
    ANYTHING,
    AnswerArrays,
    EventArrays,
    Index,
    Parameters,
    Queries,
    Spread,
    field,
    retained,
)
from stream_rec.core.limits import Limits, validated
from stream_rec.core.model import DEFAULT_PRESET, SALT, CompiledRules, Explaining, Model, Rules, Split, Trial, model
from stream_rec.core.outcome import Applied, Evaluator, Observation, Stats
from stream_rec.core.session_store import SessionStore
from stream_rec.core.sessionizer import Sessionizer
from stream_rec.errors import SnapshotError

__all__ = ["Engine"]

Offsets = Mapping[str, int]
NO_OFFSETS: Final[Offsets] = {}


class Engine:
    """A live session store and index, and the model that answers from them.

    *preset* names a model or is one, *type_weights* weighs event types for the sampling filter (others weigh 1),
    *deny* lists items that are never recommended, as *rules* may with more of the kind, and with *session_gap_ms*
    sessions are cut from `user_id` where a user was idle for longer. *trials* are models beside that of *preset*: for a
    share of the sessions, drawn by *salt*, or as shadows. Not thread-safe: one thread owns it.

    Raises SettingsError for parameters out of range.
    """

    def __init__(
        self,
        preset: str | Model = DEFAULT_PRESET,
        *,
        limits: Limits | None = None,
        type_weights: Mapping[str, float] | None = None,
        deny: Iterable[str] = (),
        session_gap_ms: int | None = None,
        trials: Sequence[Trial] = (),
        salt: str = SALT,
        rules: Rules | None = None,
    ) -> None:
        self.limits = validated(limits or Limits())
        self.model = model(preset) if isinstance(preset, str) else validated(preset)
        self.split = Split(self.model, [validated(each) for each in trials], salt)
        self._held = EngineState(self.limits)
        given = rules or Rules()
        rulebook = CompiledRules(msgspec.structs.replace(given, deny=given.deny | frozenset(deny)))
        self._sessionizer = None if session_gap_ms is None else Sessionizer(session_gap_ms, self.limits.lateness_ms)
        self._models = Models(self.split, self._held, type_weights or {}, self.limits.max_session_events)
        self._ruling = ItemRules(self._held, rulebook)
        self._applying = Applying(self._held, self._models, self._ruling, self._sessionizer)
        self._answering = Answering(self._held, self._models, rulebook)

    # --- events

    def apply(self, events: Sequence[Event | Forget], observation: Observation | None = None) -> Applied:
        """Apply *events* in order, and say what became of each. Each costs O(events of its session)."""
        return self._applying.in_order(events, None, observation)[0]

    def apply_and_answer(
        self,
        events: Sequence[Event | Forget],
        offsets: Sequence[Offsets] | None = None,
        wanted: Sequence[bool] | npt.NDArray[np.bool_] | None = None,
        observation: Observation | None = None,
    ) -> tuple[Applied, list[Answer | None]]:
        """Apply *events* in order, and right after each answer for its session, with the session's model.

        The answers stand event for event; None for what was not applied, for a `Forget`, and where *wanted* says that
        none is. *offsets* are the log positions to state in them, event for event. With an *observation*, shadows are
        asked as well.
        """
        asks = np.ones(len(events), np.uint8) if wanted is None else np.array(wanted, np.uint8)
        asked = ToAnswer([NO_OFFSETS] * len(events) if offsets is None else offsets, asks, bool(asks.all()))
        return self._applying.in_order(events, asked, observation)

    def forget(
        self, *, session_id: str | None = None, user_id: str | None = None, evaluator: Evaluator | None = None
    ) -> int:
        """Erase a session, a user's sessions, or both, as if they had never been seen; return how many sessions.

        The *evaluator*, if any, erases them too. The watermark stays, and sessions that were evicted do not come back.
        O(event-id window).
        """
        return self._applying.forget(session_id, user_id, evaluator)

    # --- many models at once

    def ask_and_apply(
        self, events: Sequence[Event], asks: npt.NDArray[np.uint8], stacked: Parameters, answers: AnswerArrays
    ) -> EventArrays:
        """Apply *events* in order, and before each that *asks* marks, ask its session with all models of *stacked*.

        *answers* has room for events x models rows, event by event. Returns the events as numbers, with what became of
        each. Sessions are not cut from users here.
        """
        return self._applying.ask_and_apply(events, asks, stacked, answers)

    def ask_each(self, queries: Queries, stacked: Parameters, answers: AnswerArrays) -> None:
        """Ask each query with all models of *stacked*, into queries x models rows. Changes nothing."""
        self.index.ask_many(stacked, queries, ANYTHING, answers)

    def parameters(self, point: Model) -> Parameters:
        """Return *point* as the kernels take it, given the event types seen so far."""
        return self._models.parameters(point)

    # --- answers

    def recommend(
        self,
        session_id: str | None = None,
        *,
        items: Sequence[str] | None = None,
        n: int | None = None,
        explain: bool = False,
    ) -> list[Recommendation]:
        """Return what is recommended next for a session, or after *items*, and why if it is to *explain*.

        Changes nothing.
        """
        asked = None if items is None else tuple(items)
        request = Request(session_id=session_id, items=asked, n=n, explain=explain)
        return self._answering.answer([request], NO_OFFSETS)[0].items

    def answer(self, requests: Sequence[Request], offsets: Offsets = NO_OFFSETS) -> list[Answer]:
        """Answer each request from the present state, which asking does not change.

        A request with `items` is a query of its own (its session, if any, is nobody's neighbour in it); without, the
        session's events are the query, and a session that is not retained gets what fallbacks give.
        Many cost less each than one: those with the same parameters go through the kernel together. Raises
        SettingsError for parameters out of range, and for rules that cannot be read; then nothing is answered.
        """
        return self._answering.answer(requests, offsets)

    def ask(
        self,
        point: Model,
        *,
        session_id: str | None = None,
        items: Sequence[str] | None = None,
        exclude: Sequence[str] = (),
        how: Explaining | None = None,
    ) -> list[Recommendation]:
        """Return what *point* recommends next for a session, or after *items*. Changes nothing.

        With *how*, the first EXPLAINED items come with why they did, at some milliseconds more.
        """
        request = Request(session_id=session_id, items=None if items is None else tuple(items), exclude=tuple(exclude))
        return self._answering.ask(point, request, how)

    def ask_many(
        self,
        point: Model,
        questions: Sequence[NextItemQuery],
        *,
        exclude: Sequence[str] = (),
        spread: Spread = map,
        parts: int = 1,
    ) -> list[list[Recommendation]]:
        """Return what `ask` would for each of *questions*, at less cost each. Changes nothing.

        They are cut into *parts*, which *spread* may run side by side (the kernel holds no interpreter lock); nothing
        else may be asked or applied meanwhile.
        """
        return self._answering.ask_many(point, questions, exclude, spread, parts)

    # --- rules

    @property
    def catalogue(self) -> Catalogue | None:
        """What is known of items, if anything is."""
        return self._ruling.rulebook.catalogue

    def set_catalogue(self, catalogue: Catalogue) -> None:
        """Look items up in *catalogue* from now on. No part of the state: a log leaves the same state under any.

        O(items), some ns each; 50 ns for each that the last one's line of versions did not have.
        """
        self._ruling.take(catalogue)

    @property
    def denied(self) -> frozenset[str]:
        """Items that are never recommended."""
        return self._ruling.rulebook.rules.deny

    @property
    def rules(self) -> Rules:
        """The rules that always hold."""
        return self._ruling.rulebook.rules

    # --- its state

    def export_state(self) -> EngineSnapshot:
        """Return all that later answers depend on, as it is now; it shares nothing with the engine, which may go on.

        Copies columns and tables, some 100 ms for 5 M events in 1 M sessions, and loops over nothing in Python.
        """
        return EngineSnapshot(
            limits=self.limits,
            session_gap_ms=None if self._sessionizer is None else self._sessionizer.gap_ms,
            retained=retained.export(self.index),
            session_names=self.sessions.ids.names.copy(),
            item_names=self.items.names.copy(),
            type_names=tuple(map(str, self.types.names)),
            users=self.sessions.export_users(),
            spans=None if self._sessionizer is None else self._sessionizer.export_state(),
        )

    def import_state(self, state: EngineSnapshot) -> None:
        """Take the place of whatever was known with *state*, and go on as the engine would have that it was taken from.

        Model, type weights and deny list stay this engine's own. Raises SnapshotError for a state left by other limits
        or another session gap, or one that no engine leaves; nothing is changed then. O(n log n).
        """
        self._refuse_other_rules(state)
        self._held.load(state, self._ruling.rulebook.by_list)
        if self._sessionizer is not None and state.spans is not None:
            self._sessionizer.import_state(state.spans)
        self._models.forget_compiled()
        self._ruling.place_anew()

    def _refuse_other_rules(self, state: EngineSnapshot) -> None:
        gap = None if self._sessionizer is None else self._sessionizer.gap_ms
        other = differences(rules_of(state.limits, state.session_gap_ms), rules_of(self.limits, gap))
        if other:
            raise SnapshotError(f"the state is another engine's: {'; '.join(other)}; use its limits, or replay the log")

    # --- what it holds

    @property
    def index(self) -> Index:
        """The retained sessions of each item, and the events of each session."""
        return self._held.index

    @property
    def sessions(self) -> SessionStore:
        """Who the retained sessions are."""
        return self._held.sessions

    @property
    def items(self) -> IdTable:
        """The items that retained sessions hold."""
        return self._held.items

    @property
    def types(self) -> IdTable:
        """The event types seen so far."""
        return self._held.types

    @property
    def watermark(self) -> int | None:
        """The largest accepted timestamp in ms, None before the first event."""
        return self.index.watermark

    def stats(self) -> Stats:
        """Return counts, memory and horizon. May sort the oldest sessions; cheap otherwise."""
        count = self.index.counter
        horizon = None
        if count(field.N_SESSIONS):
            self._held.refill_front()
            self._held.take_notes()
            horizon = count(field.WATERMARK) - self.index.oldest_time
        return Stats(
            count(field.N_SESSIONS),
            count(field.N_EVENTS),
            len(self.items),
            count(field.N_BYTES),
            count(field.N_EVICTED),
            self.watermark,
            horizon,
        )

    def session(self, session_id: str) -> list[Event]:
        """Return the retained events of a session, oldest first; empty if it is not retained."""
        slot = self.sessions.ids.find(session_id)
        if slot is None:
            return []
        columns = (column.tolist() for column in self.index.events_of(slot))
        return [
            Event(session_id, str(self.items.names[item]), time, str(self.types.names[kind]))
            for item, time, kind in zip(*columns, strict=True)
        ]

    def session_ids(self) -> list[str]:
        """Return the ids of all retained sessions, in no order. O(sessions)."""
        return list(self.sessions.ids.live())

    def _check(self) -> None:
        """Assert the invariants of all parts, and that they agree. O(everything)."""
        self._held._check()  # noqa: SLF001  # the whole checks its parts
