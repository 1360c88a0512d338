"""The engine behind a gate: askers side by side, one writer alone, and nothing unchecked gets in.

Each public method checks what it is given, goes through the gate, and calls the core's engine. The answers are the
core's; so is the state.
"""

import pickle
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, Never, Unpack

import numpy as np
import numpy.typing as npt

from stream_rec.core import engine as core
from stream_rec.core.catalogue import Catalogue
from stream_rec.core.engine import Applied, EngineSnapshot, LearnedOrder, ListOrder, LogTimes, NextItemQuery, Stats
from stream_rec.core.events import Answer, Event, Forget, Recommendation, Request
from stream_rec.core.index import AnswerArrays, EventArrays, ParallelMap, Parameters, Queries
from stream_rec.core.limits import Limits
from stream_rec.core.model import DEFAULT_PRESET, SALT, Explaining, Model, Rules, Trial
from stream_rec.core.outcome import Evaluator, Observation
from stream_rec.core.shown import ShownRules
from stream_rec.errors import TornStateError
from stream_rec.guard.arguments import (
    argument_elsewhere,
    no_argument_of_ask,
    no_argument_of_forget,
    no_argument_of_recommend,
)
from stream_rec.guard.beside import on_a_thread
from stream_rec.guard.compiling import announce_compilation
from stream_rec.guard.gate import Gate
from stream_rec.guard.lists import ListRules, list_request
from stream_rec.guard.seconds import warn_of_seconds
from stream_rec.guard.showing import as_html, as_line
from stream_rec.guard.values import (
    Id,
    checked_catalogue,
    checked_events,
    checked_id,
    checked_ids,
    checked_request,
    checked_rules,
    checked_weights,
)
from stream_rec.nearest import names_its_arguments

__all__ = ["Engine"]

_OTHER_NAMES: Final = {"model": "preset", "weight": "type_weights", "weights": "type_weights", "types": "type_weights"}
_NO_IDS: Final[tuple[str, ...]] = ()
_NO_OFFSETS: Final[Mapping[str, int]] = {}


class Engine(core.Engine):
    """A live session store and index, and the model that answers from them. Any thread may use it.

    *preset* is a model or the name of one. *type_weights* are the weights of event types for sampling (others weigh 1).
    *deny* lists items that are never recommended; *rules* holds more rules. With *session_gap_ms*, sessions are cut
    from `user_id` where a user was idle for longer. *trials* are further models: for a share of the sessions, drawn by
    *salt*, or as shadows. Trends are found in events decayed by *trending_half_life_ms*, by default a 24th of the
    half-life of popularity. With *shown*, events of a type say what a session was shown.

    Threads ask side by side; a write waits for those that ask, and they wait for it. An answer sees all of a batch of
    events or nothing of it. Ids may be whole numbers, which stand for their text. `index`, `sessions`, `items` and
    `types` are the engine's inside, for a thread that has it for itself.

    Raises SettingsError for parameters out of range.

    >>> from stream_rec import Engine, Event
    >>> engine = Engine("vmis-knn")
    >>> engine.apply([Event("ann", "tent", 0), Event("ann", "stove", 60_000), Event("ben", "tent", 90_000)])
    Applied(3 of 3)
    >>> [item.item_id for item in engine.recommend("ben")]
    ['stove']
    """

    @names_its_arguments(_OTHER_NAMES, argument_elsewhere)
    def __init__(  # noqa: PLR0913 (each by its name)
        self,
        preset: str | Model = DEFAULT_PRESET,
        *,
        limits: Limits | None = None,
        type_weights: Mapping[str, float] | None = None,
        deny: Iterable[Id] = (),
        session_gap_ms: int | None = None,
        trials: Sequence[Trial] = (),
        salt: str = SALT,
        rules: Rules | None = None,
        trending_half_life_ms: int | None = None,
        shown: ShownRules | None = None,
    ) -> None:
        announce_compilation()
        super().__init__(
            preset,
            limits=limits,
            type_weights=checked_weights("type_weights", type_weights),
            session_gap_ms=session_gap_ms,
            trials=trials,
            salt=salt,
            rules=checked_rules(rules or Rules(), deny),
            trending_half_life_ms=trending_half_life_ms,
            shown=shown,
            beside=on_a_thread,
        )
        self._gate = Gate()

    def _settle(self) -> None:
        """Have askers write to nothing that they share."""
        self._state.index.settle()

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
        to its own time. Raises ValueError where there are not as many as events.

        Raises DecodeError, naming its place, for an event that cannot be stored; then none is applied.
        """
        given = checked_events(events, has_sessions=self._sessionizer is None)
        warn_of_seconds(given)
        with self._gate.writing(self._settle):
            return super().apply(given, observation, log_times=log_times)

    def apply_and_answer(
        self,
        events: Sequence[Event | Forget],
        offsets: Sequence[Mapping[str, int]] | None = None,
        wanted: Sequence[bool] | npt.NDArray[np.bool_] | None = None,
        observation: Observation | None = None,
        *,
        log_times: LogTimes | None = None,
    ) -> tuple[Applied, list[Answer | None]]:
        """Apply *events* in order, and right after each answer for its session, with the session's model.

        Returns an answer for each event; None for one that was not applied, for a `Forget`, and if *wanted* is false.
        *offsets* are the log offsets that each answer names. With an *observation*, shadows are asked too. *log_times*
        as in `apply`. Raises as `apply` does.
        """
        given = checked_events(events, has_sessions=self._sessionizer is None)
        warn_of_seconds(given)
        with self._gate.writing(self._settle):
            return super().apply_and_answer(given, offsets, wanted, observation, log_times=log_times)

    def forget(
        self,
        *,
        session_id: Id | None = None,
        user_id: Id | None = None,
        evaluator: Evaluator | None = None,
        **unknown: Never,
    ) -> int:
        """Erase a session, a user's sessions, or both, as if they had never occurred; return how many sessions.

        The *evaluator*, if any, erases them too. The watermark stays, and sessions that were evicted do not come back.
        O(event-id window). Raises SettingsError for an argument that there is not, with the one that was meant.
        """
        if unknown:
            raise no_argument_of_forget(unknown)
        session = None if session_id is None else checked_id("session_id", session_id)
        user = None if user_id is None else checked_id("user_id", user_id)
        with self._gate.writing(self._settle):
            return super().forget(session_id=session, user_id=user, evaluator=evaluator)

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
        with self._gate.writing(self._settle):
            return super().ask_and_apply(events, asks, stacked, answers, before)

    def ask_each(self, queries: Queries, stacked: Parameters, answers: AnswerArrays) -> None:
        """Ask each query with all models of *stacked*, into queries x models rows. Changes nothing."""
        with self._gate.writing(self._settle):  # in the workspace of the index
            super().ask_each(queries, stacked, answers)

    def parameters(self, point: Model) -> Parameters:
        """Return *point* as the kernels take it, with the event types that came so far."""
        with self._gate.asking(self._settle):
            return super().parameters(point)

    # --- answers

    def recommend(
        self,
        session_id: Id | None = None,
        *,
        items: Sequence[Id] | None = None,
        n: int | None = None,
        explain: bool = False,
        **unknown: Never,
    ) -> list[Recommendation]:
        """Return what is recommended next for a session, or after *items*; with *explain*, also why.

        Changes nothing. Raises SettingsError for an argument that there is not, with the one that was meant.
        """
        if unknown:
            raise no_argument_of_recommend(unknown)
        if session_id is not None and type(session_id) is not str:
            session_id = checked_id("session_id", session_id)
        asked = None if items is None else checked_ids("items", items)
        request = Request(session_id=session_id, items=asked, n=n)
        how = Explaining() if explain else None
        gate = self._gate
        try:
            workspace = gate.open.pop()
        except IndexError:
            workspace = gate.wait(self._settle)
        try:
            if self._impressions is None or self._answerer.can_share((request,)):
                # planted bug: askers-share-scratch
                return self._answerer.ask(self._models.variant(request), request, how, workspace)
        finally:
            gate.home.append(workspace)
            if gate.is_shut:
                gate.on_return()
        with gate.writing(self._settle):  # rules that others read are compiled
            return self._answerer.ask(self._models.variant(request), request, how)

    def ask(
        self,
        point: Model,
        *,
        session_id: Id | None = None,
        items: Sequence[Id] | None = None,
        exclude: Iterable[Id] = (),
        how: Explaining | None = None,
        **unknown: Never,
    ) -> list[Recommendation]:
        """Return what *point* recommends next for a session, or after *items*. Changes nothing.

        With *how*, the first EXPLAINED items are explained, which takes some milliseconds more. Raises SettingsError
        for an argument that there is not, with the one that was meant.
        """
        if unknown:
            raise no_argument_of_ask(unknown)
        if session_id is not None and type(session_id) is not str:
            session_id = checked_id("session_id", session_id)
        asked = None if items is None else checked_ids("items", items)
        excluded = _NO_IDS if exclude is _NO_IDS else checked_ids("exclude", exclude)
        request = Request(session_id=session_id, items=asked, exclude=excluded)
        gate = self._gate
        try:
            workspace = gate.open.pop()
        except IndexError:
            workspace = gate.wait(self._settle)
        try:
            if self._is_plain(excluded) or self._answerer.can_share((request,)):
                return self._answerer.ask(point, request, how, workspace)
        finally:
            gate.home.append(workspace)
            if gate.is_shut:
                gate.on_return()
        with gate.writing(self._settle):  # rules that others read are compiled
            return self._answerer.ask(point, request, how)

    def answer(self, requests: Sequence[Request], offsets: Mapping[str, int] = _NO_OFFSETS) -> list[Answer]:
        """Answer each request from the present state, and change nothing.

        `items` of a request are the query, and its session may not be a neighbour; without `items`, the events of the
        session are the query, and a session that is not retained gets fallbacks only. Requests with equal parameters
        share one kernel call, so many cost less each than one. Raises SettingsError for parameters out of range, and
        for rules that cannot be read; then no request is answered.
        """
        asked = list(map(checked_request, requests))
        with self._gate.asking(self._settle) as workspace:
            if self._answerer.can_share(asked):
                return self._answerer.answer(asked, offsets, workspace)
        with self._gate.writing(self._settle):  # rules that others read are compiled
            return self._answerer.answer(asked, offsets)

    def ask_many(
        self,
        point: Model,
        queries: Sequence[NextItemQuery],
        *,
        exclude: Iterable[Id] = (),
        parallel_map: ParallelMap = map,
        parts: int = 1,
    ) -> list[list[Recommendation]]:
        """Return what `ask` would for each of *queries*, at less cost each. Changes nothing.

        They are cut into *parts*, which *parallel_map* may run side by side (the kernel holds no interpreter lock).
        """
        asked = [_checked_query(query) for query in queries]
        excluded = checked_ids("exclude", exclude)
        has_rules = not self._is_plain(excluded)
        with self._gate.asking(self._settle) as workspace:
            named = (Request(session_id=each.session_id, exclude=excluded) for each in asked)
            if not has_rules or self._answerer.can_share(list(named)):
                return self._answerer.ask_many(point, asked, excluded, parallel_map, parts, workspace)
        with self._gate.writing(self._settle):  # rules that others read are compiled
            return self._answerer.ask_many(point, asked, excluded, parallel_map, parts)

    # --- lists for no session

    def listed(
        self, order: ListOrder, request: Request, offsets: Mapping[str, int] = _NO_OFFSETS, *, fresh: bool = True
    ) -> Answer:
        """Return the items that are first in *order*, for no session, under the rules of *request*; changes nothing.

        `popular` has what fills an answer without a query, `trending` the items whose share of the newest events has
        grown most, `newest` those of the catalogue that were listed last. What trends need not be *fresh*: else the
        answer is by what trended when that was last found, and says as of when. Raises SettingsError as `answer` does,
        and for `newest` without a catalogue whose items say when they were listed.
        """
        asked = checked_request(request)
        if order != "popular":  # which brings the order of the popular items up to date
            with self._gate.asking(self._settle):
                if self._answerer.can_share((asked,)):
                    return super().listed(order, asked, offsets, fresh=fresh)
        with self._gate.writing(self._settle):
            return super().listed(order, asked, offsets, fresh=fresh)

    def popular(self, **rules: Unpack[ListRules]) -> list[Recommendation]:
        """Return the most popular items, for no session. Raises SettingsError, naming the rule.

        >>> from stream_rec import Engine, Event
        >>> engine = Engine()
        >>> engine.apply([Event("ann", "tent", 0), Event("ben", "tent", 9), Event("ben", "stove", 9)])
        Applied(3 of 3)
        >>> [item.item_id for item in engine.popular(n=1)]
        ['tent']
        """
        return self.listed("popular", list_request(self.catalogue, rules)).items

    def trending(self, **rules: Unpack[ListRules]) -> list[Recommendation]:
        """Return the items whose share of the newest events has grown most. Raises SettingsError, naming the rule.

        O(session ordinals + item ordinals + events of 30 half-lives), some ms for a million sessions.

        >>> from stream_rec import Engine, Event
        >>> engine, day = Engine(), 86_400_000
        >>> engine.apply([Event("ann", "tent", 0), Event("ann", "stove", 1), Event("ben", "stove", day)])
        Applied(3 of 3)
        >>> [item.item_id for item in engine.trending()]
        ['stove']
        """
        return self.listed("trending", list_request(self.catalogue, rules)).items

    def newest(self, **rules: Unpack[ListRules]) -> list[Recommendation]:
        """Return the items of the catalogue that were listed last, newest first. Raises SettingsError, naming the rule.

        The score is when that was, in ms; items listed later than the watermark wait for it.

        >>> from stream_rec import Catalogue, CatalogueItem, Engine
        >>> engine = Engine()
        >>> engine.set_catalogue(Catalogue([CatalogueItem("tent", listed_at=5), CatalogueItem("stove", listed_at=9)]))
        >>> [item.item_id for item in engine.newest()]
        ['stove', 'tent']
        """
        return self.listed("newest", list_request(self.catalogue, rules)).items

    def _is_plain(self, excluded: Sequence[str]) -> bool:
        """Return whether a query that excludes these has no rule that must be compiled."""
        return not excluded and self._impressions is None

    # --- rules

    def set_catalogue(self, catalogue: Catalogue) -> None:
        """Look items up in *catalogue* from now on. It is not part of the state: a log leaves the same state under any.

        O(items), some ns each; 50 ns for each item that is new in this line of versions.
        """
        checked = checked_catalogue(catalogue)
        with self._gate.writing(self._settle):
            super().set_catalogue(checked)

    # --- its state

    def export_state(self) -> EngineSnapshot:
        """Return all that later answers depend on. It shares no memory with the engine, which may go on.

        Copies columns and tables, without a loop in Python: some 100 ms for 5 M events in 1 M sessions. Others may ask
        meanwhile.
        """
        with self._gate.asking(self._settle):
            return super().export_state()

    def import_state(self, state: EngineSnapshot) -> None:
        """Replace the present state by *state*, and go on as the engine that exported it would.

        Model, type weights and deny list stay those of this engine. Raises SnapshotError for a state under other limits
        or another session gap, or one that no engine leaves, and then changes nothing. O(n log n).
        """
        with self._gate.writing(self._settle):
            super().import_state(state)

    def __reduce__(self) -> tuple[Any, ...]:
        """Copy and pickle the state of one moment; a copy shares nothing with the original."""
        with self._gate.asking(self._settle):
            parts = {name: part for name, part in self.__dict__.items() if name != "_gate"}
            return _made_again, (type(self), pickle.dumps(parts))

    def __repr__(self) -> str:
        return self._shown(as_line)

    def _repr_html_(self) -> str:
        """Return a table, which notebooks show."""
        return self._shown(as_html)

    def _shown(self, way: Callable[[str, str, Stats], str]) -> str:
        kind = type(self).__name__
        try:
            return way(kind, self.model.name, self.stats())
        except (TornStateError, RuntimeError):  # a debugger or a message of an error may look at it in a write
            return f"{kind}({self.model.name}: in a write, or torn)"

    # --- its parts

    @property
    def watermark(self) -> int | None:
        """The largest accepted timestamp in ms, None before the first event."""
        with self._gate.asking(self._settle):
            return super().watermark

    def stats(self) -> Stats:
        """Return counts, memory and horizon. May sort the oldest sessions; cheap otherwise."""
        with self._gate.writing(self._settle):  # it brings the eviction front up to date
            return super().stats()

    def session(self, session_id: Id) -> list[Event]:
        """Return the retained events of a session, oldest first; empty if it is not retained."""
        name = checked_id("session_id", session_id)
        with self._gate.asking(self._settle):
            return super().session(name)

    def shown(self, session_id: Id) -> dict[str, int]:
        """Return how often each item was shown to a session since it last clicked it; nothing without `ShownRules`."""
        name = checked_id("session_id", session_id)
        with self._gate.asking(self._settle):
            return super().shown(name)

    def learned_orders(self) -> list[LearnedOrder]:
        """Return what is known of the order of each model that learns one."""
        with self._gate.asking(self._settle):
            return super().learned_orders()

    def session_ids(self) -> list[str]:
        """Return the ids of all retained sessions, in no order. O(sessions)."""
        with self._gate.asking(self._settle):
            return super().session_ids()


def _made_again(kind: type[Engine], parts: bytes) -> Engine:
    """Return an engine from what `Engine.__reduce__` wrote."""
    engine = kind.__new__(kind)
    engine.__dict__.update(pickle.loads(parts))  # noqa: S301  # a part of the pickle that is being loaded
    engine._gate = Gate()  # noqa: SLF001  # of this module
    return engine


def _checked_query(query: NextItemQuery) -> NextItemQuery:
    session = None if query.session_id is None else checked_id("session_id", query.session_id)
    return NextItemQuery(session, None if query.items is None else checked_ids("items", query.items))
