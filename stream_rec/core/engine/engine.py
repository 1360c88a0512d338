"""The engine as callers see it: its modules put together, and its state as a whole."""

from array import array
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final, Literal

import msgspec
import numpy as np
import numpy.typing as npt

from stream_rec.core.catalogue import Catalogue
from stream_rec.core.engine.answering import NextItemQuery, QueryAnswerer
from stream_rec.core.engine.applying import EventApplier
from stream_rec.core.engine.item_rules import ItemRules
from stream_rec.core.engine.learning import LearnedOrder, Learning, Pace
from stream_rec.core.engine.lists import ItemLists, trending_half_life
from stream_rec.core.engine.models import Models
from stream_rec.core.engine.newest import NewestItems
from stream_rec.core.engine.runs import AnswersWanted
from stream_rec.core.engine.state import EngineState
from stream_rec.core.engine_state import EngineSnapshot, differences, rules_of
from stream_rec.core.events import NO_LOG_TIME, Answer, Event, Forget, Recommendation, Request
from stream_rec.core.ids import IdTable
from stream_rec.core.index import (
    ANYTHING,
    AnswerArrays,
    EventArrays,
    Index,
    ParallelMap,
    Parameters,
    Queries,
    field,
    retained,
)
from stream_rec.core.limits import Limits, validated
from stream_rec.core.model import (
    DEFAULT_PRESET,
    SALT,
    CompiledRules,
    Explaining,
    Model,
    Rules,
    Split,
    Trial,
    mixes_newest,
    model,
)
from stream_rec.core.outcome import Applied, Evaluator, Observation, Stats
from stream_rec.core.rerank import Beside, when_needed
from stream_rec.core.session_store import SessionStore
from stream_rec.core.sessionizer import Sessionizer
from stream_rec.core.shown import Impressions, ShownRules
from stream_rec.errors import SettingsError, SnapshotError

__all__ = ["Engine", "ListOrder", "LogTimes"]

ListOrder = Literal["popular", "trending", "newest"]

LogOffsets = Mapping[str, int]
LogTimes = Sequence[int | None] | npt.NDArray[np.int64]
_NO_OFFSETS: Final[LogOffsets] = {}


class Engine:
    """A live session store and index, and the model that answers from them.

    *preset* is a model or the name of one. *type_weights* are the weights of event types for sampling (others weigh 1).
    *deny* lists items that are never recommended; *rules* holds more rules. With *session_gap_ms*, sessions are cut
    from `user_id` where a user was idle for longer. *trials* are further models: for a share of the sessions, drawn by
    *salt*, or as shadows. Trends are found in events decayed by *trending_half_life_ms*, by default a 24th of the
    half-life of popularity. With *shown*, events of a type say what a session was shown. *beside* does the descents of
    models that learn an order, and *pace* says when. Not thread-safe, and trusts
    what it is given: `guard.Engine` is for programs.

    Raises SettingsError for parameters out of range.
    """

    def __init__(  # noqa: PLR0913 (each by its name)
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
        trending_half_life_ms: int | None = None,
        shown: ShownRules | None = None,
        beside: Beside = when_needed,
        pace: Pace | None = None,
    ) -> None:
        self.limits = validated(limits or Limits())
        self.model = model(preset) if isinstance(preset, str) else validated(preset)
        self.split = Split(self.model, [validated(each) for each in trials], salt)
        self._state = EngineState(self.limits)
        own = rules or Rules()
        compiled = CompiledRules(msgspec.structs.replace(own, deny=own.deny | frozenset(deny)))
        self._sessionizer = None if session_gap_ms is None else Sessionizer(session_gap_ms, self.limits.lateness_ms)
        self._models = Models(self.split, self._state, type_weights or {}, self.limits.max_session_events)
        self._item_rules = ItemRules(self._state, compiled)
        self._impressions = None if shown is None else Impressions(validated(shown), self.limits)
        if shown is not None and session_gap_ms is not None:
            message = "needs sessions of its own events, and session_gap_ms cuts them from clicks: leave that out, and "
            raise SettingsError("shown", message + "give each event a session_id, its user's where there is no other")
        self._newest = NewestItems(self._state, compiled)
        self._learning = Learning(self._state, self._models, beside, pace)
        self._applier = EventApplier(
            self._state,
            self._models,
            self._item_rules,
            self._newest,
            self._sessionizer,
            self._impressions,
            self._learning,
        )
        self._answerer = QueryAnswerer(
            self._state, self._models, compiled, self._newest, self._impressions, self._learning
        )
        self._lists = ItemLists(self._state, compiled, trending_half_life(trending_half_life_ms, self.limits))

    # --- events

    def apply(
        self,
        events: Sequence[Event | Forget],
        observation: Observation | None = None,
        *,
        log_times: LogTimes | None = None,
    ) -> Applied:
        """Apply *events* in order, and return the outcome of each. Each costs O(events of its session).

        *log_times* say when the log took each event, in ms: an event moves the watermark no further, however far its
        own clock is ahead. None, or NO_LOG_TIME in an array, is an event whose log does not say: it moves the watermark
        to its own time. Raises ValueError where there are not as many as events, and TypeError for no whole number.
        """
        return self._applier.apply(events, None, observation, _log_times_of(log_times))[0]

    def apply_and_answer(
        self,
        events: Sequence[Event | Forget],
        offsets: Sequence[LogOffsets] | None = None,
        wanted: Sequence[bool] | npt.NDArray[np.bool_] | None = None,
        observation: Observation | None = None,
        *,
        log_times: LogTimes | None = None,
    ) -> tuple[Applied, list[Answer | None]]:
        """Apply *events* in order, and right after each answer for its session, with the session's model.

        Returns an answer for each event; None for one that was not applied, for a `Forget`, and if *wanted* is false.
        *offsets* are the log offsets that each answer names. With an *observation*, shadows are asked too. *log_times*
        as in `apply`.
        """
        asks = np.ones(len(events), np.uint8) if wanted is None else np.array(wanted, np.uint8)
        of_each = [_NO_OFFSETS] * len(events) if offsets is None else offsets
        answers_wanted = AnswersWanted(of_each, asks, bool(asks.all()))
        return self._applier.apply(events, answers_wanted, observation, _log_times_of(log_times))

    def forget(
        self, *, session_id: str | None = None, user_id: str | None = None, evaluator: Evaluator | None = None
    ) -> int:
        """Erase a session, a user's sessions, or both, as if they had never occurred; return how many sessions.

        The *evaluator*, if any, erases them too. The watermark stays, and sessions that were evicted do not come back.
        O(event-id window).
        """
        return self._applier.forget(session_id, user_id, evaluator)

    # --- many models at once

    def ask_and_apply(
        self,
        events: Sequence[Event],
        asks: npt.NDArray[np.uint8],
        stacked: Parameters,
        answers: AnswerArrays,
        before: Callable[[int, int], None] | None = None,
    ) -> EventArrays:
        """Apply *events* in order, and before each that *asks* marks, ask its session with all models of *stacked*.

        *answers* has events x models rows, event by event. *before*, if any, is called before each marked event with
        its place in *events* and the ordinal of its session. Returns the events in ordinals, with their outcomes. It
        does not cut sessions from users.
        """
        return self._applier.ask_and_apply(events, asks, stacked, answers, before)

    def ask_each(self, queries: Queries, stacked: Parameters, answers: AnswerArrays) -> None:
        """Ask each query with all models of *stacked*, into queries x models rows. Changes nothing."""
        self.index.ask_many(stacked, queries, ANYTHING, answers)

    def parameters(self, point: Model) -> Parameters:
        """Return *point* as the kernels take it, with the event types that came so far."""
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
        """Return what is recommended next for a session, or after *items*; with *explain*, also why.

        Changes nothing.
        """
        asked = None if items is None else tuple(items)
        request = Request(session_id=session_id, items=asked, n=n)
        return self._answerer.ask(self._models.variant(request), request, Explaining() if explain else None)

    def answer(self, requests: Sequence[Request], offsets: LogOffsets = _NO_OFFSETS) -> list[Answer]:
        """Answer each request from the present state, and change nothing.

        `items` of a request are the query, and its session may not be a neighbour; without `items`, the events of the
        session are the query, and a session that is not retained gets fallbacks only. Requests with equal parameters
        share one kernel call, so many cost less each than one. Raises SettingsError for parameters out of range, and
        for rules that cannot be read; then no request is answered.
        """
        return self._answerer.answer(requests, offsets)

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

        With *how*, the first EXPLAINED items are explained, which takes some milliseconds more.
        """
        request = Request(session_id=session_id, items=None if items is None else tuple(items), exclude=tuple(exclude))
        return self._answerer.ask(point, request, how)

    def ask_many(
        self,
        point: Model,
        queries: Sequence[NextItemQuery],
        *,
        exclude: Sequence[str] = (),
        parallel_map: ParallelMap = map,
        parts: int = 1,
    ) -> list[list[Recommendation]]:
        """Return what `ask` would for each of *queries*, at less cost each. Changes nothing.

        They are cut into *parts*, which *parallel_map* may run side by side (the kernel holds no interpreter lock). No
        other query or event may run meanwhile.
        """
        return self._answerer.ask_many(point, queries, exclude, parallel_map, parts)

    def listed(
        self, order: ListOrder, request: Request, offsets: LogOffsets = _NO_OFFSETS, *, fresh: bool = True
    ) -> Answer:
        """Return the items that are first in *order*, for no session, under the rules of *request*; changes nothing.

        `popular` has what fills an answer without a query, `trending` the items whose share of the newest events has
        grown most, `newest` those of the catalogue that were listed last. What trends need not be *fresh*: else the
        answer is by what trended when that was last found, and says as of when. Raises SettingsError as `answer` does,
        and for `newest` without a catalogue whose items say when they were listed.
        """
        asked = msgspec.structs.replace(request, items=(), fallbacks=True)
        if order == "popular":
            return self._answerer.answer([asked], offsets, popular_only=True)[0]
        point = self._models.variant(asked)
        as_of = self._state.index.view.watermark
        if order == "trending":
            trends = self._lists.trends(offsets, fresh=fresh)
            items, as_of, offsets = self._lists.trending(trends, request, point.n), trends.as_of, trends.offsets
        else:
            items = self._lists.newest(request, point.n)
        return Answer(None, request.request_id, items, as_of, dict(offsets), point.name)

    # --- rules

    @property
    def catalogue(self) -> Catalogue | None:
        """The catalogue in force, if there is one."""
        return self._item_rules.rules.catalogue

    def set_catalogue(self, catalogue: Catalogue) -> None:
        """Look items up in *catalogue* from now on. It is not part of the state: a log leaves the same state under any.

        O(items), some ns each; 50 ns for each item that is new in this line of versions.
        """
        self._item_rules.set_catalogue(catalogue)
        if any(map(mixes_newest, self.split.models)):
            self._newest.prepare()

    @property
    def denied(self) -> frozenset[str]:
        """Items that are never recommended."""
        return self._item_rules.rules.rules.deny

    @property
    def rules(self) -> Rules:
        """The standing rules."""
        return self._item_rules.rules.rules

    # --- its state

    def export_state(self) -> EngineSnapshot:
        """Return all that later answers depend on. It shares no memory with the engine, which may go on.

        Copies columns and tables, without a loop in Python: some 100 ms for 5 M events in 1 M sessions.
        """
        return EngineSnapshot(
            limits=self.limits,
            session_gap_ms=None if self._sessionizer is None else self._sessionizer.gap_ms,
            retained=retained.export(self.index),
            session_names=self.sessions.ids.names.copy(),
            item_names=self.items.names.copy(),
            type_names=tuple(self.types.names),
            users=self.sessions.export_users(),
            spans=None if self._sessionizer is None else self._sessionizer.export_state(),
            shown_rules=self.shown_rules,
            shown=() if self._impressions is None else self._impressions.export_state(self.index.view.watermark),
            learned=self._learning.export_state(),
        )

    def import_state(self, state: EngineSnapshot) -> None:
        """Replace the present state by *state*, and go on as the engine that exported it would.

        Model, type weights and deny list stay those of this engine. Raises SnapshotError for a state under other limits
        or another session gap, or one that no engine leaves, and then changes nothing. O(n log n).
        """
        self._refuse_other_rules(state)
        self._state.load(state, self._item_rules.rules.by_list)
        if self._sessionizer is not None and state.spans is not None:
            self._sessionizer.import_state(state.spans)
        if self._impressions is not None:
            self._impressions.import_state(state.shown)
        self._models.forget_compiled()
        self._learning.import_state(state.learned)
        self._item_rules.place_all()

    def _refuse_other_rules(self, state: EngineSnapshot) -> None:
        gap = None if self._sessionizer is None else self._sessionizer.gap_ms
        theirs = rules_of(state.limits, state.session_gap_ms, state.shown_rules)
        other = differences(theirs, rules_of(self.limits, gap, self.shown_rules))
        if other:
            raise SnapshotError(f"the state is another engine's: {'; '.join(other)}; use its limits, or replay the log")

    # --- its parts

    @property
    def index(self) -> Index:
        """The retained sessions of each item, and the events of each session, in ordinals."""
        return self._state.index

    @property
    def sessions(self) -> SessionStore:
        """Ids and users of the retained sessions."""
        return self._state.sessions

    @property
    def items(self) -> IdTable:
        """The items that retained sessions hold."""
        return self._state.items

    @property
    def types(self) -> IdTable:
        """The event types that came so far."""
        return self._state.types

    @property
    def watermark(self) -> int | None:
        """The largest min(event time, log time) of an accepted event, in ms; None before the first event."""
        return self.index.view.watermark

    def stats(self) -> Stats:
        """Return counts, memory and horizon. May sort the oldest sessions; cheap otherwise."""
        count = self.index.view.counter
        horizon = None
        if count(field.N_SESSIONS):
            self._state.refill_front()
            self._state.drain_lists()
            horizon = max(0, count(field.WATERMARK) - self.index.view.oldest_time)
        return Stats(
            count(field.N_SESSIONS),
            count(field.N_EVENTS),
            len(self.items),
            count(field.N_BYTES),
            count(field.N_EVICTED),
            self.index.view.watermark,
            horizon,
        )

    def session(self, session_id: str) -> list[Event]:
        """Return the retained events of a session, oldest first; empty if it is not retained."""
        session = self.sessions.ids.find(session_id)
        if session is None:
            return []
        columns = (column.tolist() for column in self.index.view.events_of(session))
        return [
            Event(session_id, str(self.items.names[item]), time, str(self.types.names[kind]))
            for item, time, kind in zip(*columns, strict=True)
        ]

    @property
    def shown_rules(self) -> ShownRules | None:
        """Which events say what was shown, if any do."""
        return None if self._impressions is None else self._impressions.rules

    def shown(self, session_id: str) -> dict[str, int]:
        """Return how often each item was shown to a session since it last clicked it; nothing without `ShownRules`."""
        if self._impressions is None:
            return {}
        return self._impressions.counts(session_id, self._state.index.view.watermark)

    def learned_orders(self) -> list[LearnedOrder]:
        """Return what is known of the order of each model that learns one."""
        return self._learning.orders()

    def session_ids(self) -> list[str]:
        """Return the ids of all retained sessions, in no order. O(sessions)."""
        return list(self.sessions.ids.live())

    def _check(self) -> None:
        """Assert the invariants of all parts, and that they agree. O(everything)."""
        self._state._check()  # noqa: SLF001  # the whole checks its parts
        if self._impressions is not None:
            self._impressions._check()  # noqa: SLF001


def _log_times_of(given: LogTimes | None) -> npt.NDArray[np.int64] | None:
    if given is None:
        return None
    if not isinstance(given, np.ndarray):
        return np.array(array("q", [NO_LOG_TIME if each is None else each for each in given]), np.int64)
    if given.dtype.kind not in "iu":
        raise TypeError(f"log_times: expected whole milliseconds, found {given.dtype}: pass log_times.astype('int64')")
    return given.astype(np.int64, copy=False)
