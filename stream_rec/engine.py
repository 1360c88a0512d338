"""The pure core: events in, answers out, the same for the same log on any machine.

Knows nothing of files, Kafka, threads, settings or clocks. Ids become numbers here, and numbers ids; between the two,
compiled loops work on whole batches. A batch leaves the state that its events one by one would.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from operator import attrgetter
from typing import Final, NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt
from xxhash import xxh3_64_intdigest

from stream_rec.catalogue import Catalogue
from stream_rec.columns import id_keys, times_of
from stream_rec.errors import SnapshotError
from stream_rec.events import Answer, Event, Forget, Recommendation, Request
from stream_rec.ids import IdTable
from stream_rec.index import ANYTHING, Answers, Batch, Index, Parameters, Queries, Spread, field, retained
from stream_rec.limits import Limits, validated
from stream_rec.outcome import Applied, Judge, Round, Stats, Watch
from stream_rec.recommend import (
    DEFAULT_PRESET,
    EXPLAINED,
    SALT,
    Asked,
    Explaining,
    Model,
    Names,
    Rulebook,
    Rules,
    Scored,
    Split,
    Trial,
    changed,
    compile_model,
    explain,
    model,
    stack_models,
)
from stream_rec.sessionize import Sessionizer
from stream_rec.sessions import SessionStore
from stream_rec.state import EngineState, differences, rules_of

__all__ = ["Applied", "Engine", "EngineState", "Question", "Stats"]

MOST_TYPES: Final = 250  # event types are a closed set in practice; the numbers above are the kernel's
SOURCES: Final = ("neighbours", "followed", "popular")
NOTHING: Final = np.empty(0, np.int32)
NO_OFFSETS: Final[dict[str, int]] = {}
NOT_OF_A_PRESET: Final = (
    *("m", "k", "n", "last", "seen", "fallbacks"),
    *("require_type", "min_type_weight", "sampling", "sampling_seed", "bonus_type", "bonus"),
)
"""What a request that names a preset leaves as the engine has it: a preset is its formulas."""

SESSION_OF: Final = attrgetter("session_id")
ITEM_OF: Final = attrgetter("item_id")
TYPE_OF: Final = attrgetter("type")
EVENT_ID_OF: Final = attrgetter("event_id")
USER_OF: Final = attrgetter("user_id")

Offsets = Mapping[str, int]


class Question(NamedTuple):
    """What next for a session, or after *items*; with both, the session is nobody's neighbour."""

    session_id: str | None = None
    items: Sequence[str] | None = None


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
        self.index = Index(self.limits)
        self.sessions = SessionStore(self.limits.retention_ms)
        self.items = IdTable()
        self.types = IdTable()
        self._type_weights = dict(type_weights or {})
        given = rules or Rules()
        self._rulebook = Rulebook(msgspec.structs.replace(given, deny=given.deny | frozenset(deny)))
        self._sessionizer = None if session_gap_ms is None else Sessionizer(session_gap_ms, self.limits.lateness_ms)
        self._compiled: dict[Model, Parameters] = {}
        self._default: Parameters | None = None
        self._together: Parameters | None = None
        """All models of `split`, stacked."""
        self._stacked: dict[Model, Parameters] = {}
        self._row = _rows(1, self.model.n)
        self._variants: dict[tuple[object, ...], Model] = {}

    # --- events

    def apply(self, events: Sequence[Event | Forget], watch: Watch | None = None) -> Applied:
        """Apply *events* in order, and say what became of each. Each costs O(events of its session)."""
        return self._in_order(events, None, watch)[0]

    def apply_and_answer(
        self,
        events: Sequence[Event | Forget],
        offsets: Sequence[Offsets] | None = None,
        wanted: Sequence[bool] | npt.NDArray[np.bool_] | None = None,
        watch: Watch | None = None,
    ) -> tuple[Applied, list[Answer | None]]:
        """Apply *events* in order, and right after each answer for its session, with the session's model.

        The answers stand event for event; None for what was not applied, for a `Forget`, and where *wanted* says that
        none is. *offsets* are the log positions to state in them, event for event. Where somebody is to *watch*,
        shadows are asked as well.
        """
        asks = np.ones(len(events), np.uint8) if wanted is None else np.array(wanted, np.uint8)
        asked = _Asked([NO_OFFSETS] * len(events) if offsets is None else offsets, asks, bool(asks.all()))
        return self._in_order(events, asked, watch)

    def forget(self, *, session_id: str | None = None, user_id: str | None = None, judge: Judge | None = None) -> int:
        """Erase a session, a user's sessions, or both, as if they had never been seen; return how many sessions.

        *judge*, who may know something of them, is told. The watermark stays, as does the absence of what had to leave.
        O(event-id window).
        """
        slots = set() if user_id is None else set(self.sessions.of_user(user_id))
        slot = None if session_id is None else self.sessions.ids.find(session_id)
        if slot is not None:
            slots.add(slot)
        names = {self.sessions.ids.names[each] for each in slots}
        if session_id is not None:
            names.add(session_id)  # evicted or not: its event ids may still stand in the window
        owners = [xxh3_64_intdigest(str(name).encode()) for name in names]
        if judge is not None:
            judge.forgot(owners)
        if self._sessionizer is not None and user_id is not None:
            self._sessionizer.forget(user_id)
        if self._sessionizer is not None and session_id is not None:
            self._sessionizer.forget_session(session_id)
        emptied: list[int] = []
        for each in sorted(slots):
            self.index.drop(each)
            emptied += self._take_notes().emptied
        if owners:
            self.index.forget_ids_of(owners)
        self._release(slots, emptied)
        return len(slots)

    def _in_order(
        self, events: Sequence[Event | Forget], asked: "_Asked | None", watch: Watch | None
    ) -> tuple[Applied, list[Answer | None]]:
        """Apply runs of events as batches, and what is to be forgotten in between."""
        if self._sessionizer is None and Forget not in set(map(type, events)):
            outcome, answers = self._apply_events(events, asked, watch)  # type: ignore[arg-type]  # events only
            return Applied(outcome), answers
        outcomes = [np.zeros(0, np.uint8)]
        answers = []
        for run in self._runs(events):
            if isinstance(run[0], Forget):
                judge = None if watch is None else watch.judge
                self.forget(session_id=run[0].session_id, user_id=run[0].user_id, judge=judge)
                outcomes.append(np.zeros(1, np.uint8))
                answers.append(None)
                continue
            part = None if asked is None else asked.part(len(answers), len(run))
            seen = None if watch is None else watch.part(len(answers), len(run))
            outcome, answered = self._apply_events(run, part, seen)  # type: ignore[arg-type]  # events only
            outcomes.append(outcome)
            answers += answered
        return Applied(np.concatenate(outcomes)), answers

    def _apply_events(
        self, events: Sequence[Event], asked: "_Asked | None", watch: Watch | None
    ) -> tuple[npt.NDArray[np.uint8], list[Answer | None]]:
        if self._sessionizer is not None:
            events = self._with_sessions(events, self._sessionizer)
        before = self.index.counter(field.WATERMARK)
        batch, new_slots, new_items = self._batch(events)
        served, rows, n_rows = self._rows_of(batch, asked, watch)
        answers = _rows(n_rows, self.split.longest)
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
                    self._named(answers, rows[place, by]),
                    int(as_of[place]),
                    dict(asked.offsets[place]),
                    self.split.models[by].name,
                )
        if watch is not None:
            state = self.index.state
            watch.judge.took(Round(batch, state.session, state.item, watch.counted, rows, answers))
        self._release([*new_slots, *notes.released], [*new_items, *notes.emptied])
        return batch.outcome, answered

    def _rows_of(
        self, batch: Batch, asked: "_Asked | None", watch: Watch | None
    ) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.int32], int]:
        """Return each event's model, [n], the row of each model's answer, [n, models], and how many rows there are."""
        n, split = batch.slot.size, self.split
        served = np.zeros(n, np.intp)
        if asked is None:
            return served, np.full((n, len(split.models)), -1, np.int32), 0
        if split.is_single:
            if asked.all:
                return served, np.arange(n, dtype=np.int32).reshape(n, 1), n
            asks = asked.wanted.reshape(n, 1) != 0
        else:
            if split.n_served > 1:
                served = split.served(self.index.state.session["hash"][batch.slot])
            asks = np.zeros((n, len(split.models)), np.bool_)
            asks[np.arange(n), served] = asked.wanted
            if watch is not None:
                asks[:, split.n_served :] = asks.any(axis=1, keepdims=True)
        rows = np.cumsum(asks, dtype=np.int32).reshape(asks.shape)
        return served, np.where(asks, rows - np.int32(1), np.int32(-1)), int(np.count_nonzero(asks))

    def _with_sessions(self, events: Sequence[Event], sessionizer: Sessionizer) -> Sequence[Event]:
        """Return the events with the sessions that they fall into.

        One that came before (it stands alone then, see `_runs`) or cannot be stored must not move its user's session.
        """
        times_of(events)
        if len(events) == 1 and self._is_duplicate(events[0]):
            return events
        return sessionizer.assign(events, self.index.watermark)  # type: ignore[return-value]  # events only

    def _is_duplicate(self, event: Event) -> bool:
        return bool(event.event_id) and self.index.is_duplicate(id_keys([event.event_id]))

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

    def _batch(self, events: Sequence[Event]) -> tuple[Batch, list[int], list[int]]:
        """Turn ids into numbers; return the batch, the new session slots and the new items.

        An event that no decoder let through (a time or an id that cannot be stored) raises before anything is applied.
        """
        times = times_of(events)
        id_key = id_keys(list(map(EVENT_ID_OF, events)))
        types, unknown = self._type_numbers(list(map(TYPE_OF, events)))
        outcome = np.zeros(len(events), np.uint8)
        outcome[unknown] = field.UNKNOWN_TYPE
        slots, new_slots = self.sessions.ids.intern(list(map(SESSION_OF, events)))
        items, new_items = self.items.intern(list(map(ITEM_OF, events)))
        try:
            self._introduce(new_slots, new_items)
        except Exception:
            self.sessions.ids.release(new_slots)
            self.items.release(new_items)
            raise
        batch = Batch(
            slot=np.array(slots, np.int32),
            item=np.array(items, np.int32),
            time=times,
            type=np.array(types, np.uint8),
            id_key=id_key,
            outcome=outcome,
            novel=np.zeros(len(events), np.uint8),
        )
        return batch, new_slots, new_items

    def _introduce(self, new_slots: list[int], new_items: list[int]) -> None:
        """Tell the index of new numbers, with what it needs to know of the names behind them."""
        sessions, items = _encoded(self.sessions.ids, new_slots), _encoded(self.items, new_items)
        names = [self.items.names[item] for item in new_items]
        denied = list(map(self._rulebook.by_list, names))  # type: ignore[arg-type]  # numbers in use
        self.index.add_sessions(new_slots, list(map(xxh3_64_intdigest, sessions)), list(map(len, sessions)))
        self.index.add_items(new_items, list(map(xxh3_64_intdigest, items)), list(map(len, items)), denied)
        if new_items and self.catalogue is not None:
            self._place_items(np.array(new_items, np.int64))

    def _place_items(self, items: npt.NDArray[np.int64]) -> None:
        """Tell the index where in the catalogue *items* are, and whether they may come."""
        names = [self.items.names[item] for item in items.tolist()]
        rows, denied = self._rulebook.rows(names, items)  # type: ignore[arg-type]  # numbers in use
        self.index.place_items(items, rows)
        by_list = self.index.state.item["denied"][items] & np.uint8(field.DENIED_BY_LIST)
        self.index.deny(items, denied | by_list)

    def _type_numbers(self, types: list[str]) -> tuple[list[int], list[int]]:
        """Return each type's number, and the places of types that there is no number left for."""
        if types and types[0] in self.types and types.count(types[0]) == len(types):  # mostly there are only views
            return [self.types.find(types[0]) or 0] * len(types), []
        room = MOST_TYPES - len(self.types)
        new = [name for name in dict.fromkeys(types) if name not in self.types]
        if new:
            self.types.intern(new[:room])
            self._forget_compiled()
        refused = frozenset(new[room:])
        if not refused:
            return self.types.intern(types)[0], []
        unknown = [place for place, name in enumerate(types) if name in refused]
        return [self.types.find(name) or 0 for name in types], unknown

    def _link_users(self, events: Sequence[Event], batch: Batch, notes: "_Notes") -> None:
        """Note who took part in which session, from the event on that last began it."""
        if self.sessions.has_users or set(map(USER_OF, events)) - {None}:
            dropped = dict(zip(notes.released, notes.released_at, strict=True))
            self.sessions.unlink(dropped)
            slots = batch.slot.tolist()
            for place in np.flatnonzero(batch.outcome == field.APPLIED).tolist():
                user_id = events[place].user_id
                if user_id is not None and place > dropped.get(slots[place], -1):
                    self.sessions.link(slots[place], user_id)

    # --- the kernel's needs

    def _drive(self, batch: Batch, asked: "_Asked | None", rows: npt.NDArray[np.int32], answers: Answers) -> "_Notes":
        """Apply the batch, and answer into *rows* if anything is *asked*."""
        if asked is None:
            return self._run(batch, lambda reached: self.index.apply(batch, reached))
        if self._together is None:
            self._together = stack_models(list(map(self._parameters, self.split.models)))
        stacked, rules = self._together, self._rulebook.default
        return self._run(batch, lambda reached: self.index.apply_and_ask(stacked, batch, reached, rows, rules, answers))

    def _run(self, batch: Batch, step: Callable[[int], tuple[int, int]]) -> "_Notes":
        """Run a kernel through the batch, giving it the room it asks for on the way."""
        notes = _Notes([], [], [])
        reached, need = 0, field.DONE
        while True:
            reached, need = step(reached)
            for kept, new in zip(notes, self._take_notes(), strict=True):
                kept.extend(new)
            if need == field.DONE:
                return notes
            if need == field.MORE_FRONT:
                self._refill_front()
            else:
                self.index.make_room(need, batch, reached)

    def _take_notes(self) -> "_Notes":
        """Read the kernel's lists: file its new sessions in the time order, and return the rest."""
        slots, times, released, released_at, emptied = self.index.take_lists()
        self.sessions.order.file(slots, times)
        return _Notes(released.tolist(), released_at.tolist(), emptied.tolist())

    def _refill_front(self) -> None:
        """Let the front of the time order hold the oldest session."""
        while not self.index.settle():
            self._take_notes()
            if self.index.front_size == 0:
                slots, times, limit = self.sessions.order.take_oldest(self.index.state.session["hash"])
                self.index.set_front(slots, times, limit)
            self.index.set_next_filed(self.sessions.order.next_time)

    def _release(self, slots: Iterable[int], items: Iterable[int]) -> None:
        """Give back the numbers of those sessions and items that are gone now that the batch is done."""
        self.sessions.release(self.index.without_session(slots))
        empty = self.index.without_holder(items)
        self.index.free_items(empty)
        self.items.release(empty)

    # --- many models at once

    def ask_and_apply(
        self, events: Sequence[Event], asks: npt.NDArray[np.uint8], stacked: Parameters, answers: Answers
    ) -> Batch:
        """Apply *events* in order, and before each that *asks* marks, ask its session with all models of *stacked*.

        *answers* has room for events x models rows, event by event. Returns the events as numbers, with what became of
        each. Sessions are not cut from users here.
        """
        batch, new_slots, new_items = self._batch(events)
        notes = self._run(batch, lambda reached: self.index.ask_and_apply(stacked, batch, reached, asks, answers))
        self._link_users(events, batch, notes)
        self._release([*new_slots, *notes.released], [*new_items, *notes.emptied])
        return batch

    def ask_each(self, queries: Queries, stacked: Parameters, answers: Answers) -> None:
        """Ask each query with all models of *stacked*, into queries x models rows. Changes nothing."""
        self.index.ask_many(stacked, queries, ANYTHING, answers)

    def parameters(self, point: Model) -> Parameters:
        """Return *point* as the kernels take it, given the event types seen so far."""
        return self._parameters(point)

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
        return self.answer([request])[0].items

    def answer(self, requests: Sequence[Request], offsets: Offsets = NO_OFFSETS) -> list[Answer]:
        """Answer each request from the present state, which asking does not change.

        A request with `items` is a query of its own (its session, if any, is nobody's neighbour in it); without, the
        session's events are the query, and a session that is not retained gets what fallbacks give.
        Many cost less each than one: those with the same parameters go through the kernel together. Raises
        SettingsError for parameters out of range, and for rules that cannot be read; then nothing is answered.
        """
        alike: dict[tuple[int, bool], tuple[Model, list[int]]] = {}
        for place, request in enumerate(requests):
            point = self._variant(request)
            alike.setdefault((id(point), request.explain), (point, []))[1].append(place)
        answers: list[Answer] = [None] * len(requests)  # type: ignore[list-item]  # each is filled in below
        as_of = self.index.watermark
        for point, places in alike.values():
            asked = requests if len(alike) == 1 else [requests[place] for place in places]
            for place, request, items in zip(places, asked, self._answer_alike(point, asked), strict=True):
                answers[place] = Answer(request.session_id, request.request_id, items, as_of, dict(offsets), point.name)
        return answers

    def _answer_alike(self, point: Model, requests: Sequence[Request]) -> Iterator[list[Recommendation]]:
        """Answer requests that have the same parameters, and are all to be explained or none."""
        if requests[0].explain:  # from what the kernel leaves of its last query
            for request in requests:
                yield self._ask_one(point, request, Explaining(hide_sessions=request.hide_sessions))
            return
        stacked = self._stack(point)
        at_most = max(1, MOST_ROWS // point.n)
        for begin, end, policy in self._rulebook.policies(requests, self.items.find, at_most):
            answers = _rows(end - begin, point.n)
            self.index.ask_many(stacked, self._queries(requests[begin:end]), policy, answers)
            yield from self._all_named(answers)

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
        return self._ask_one(point, request, how)

    def _ask_one(self, point: Model, request: Request, how: Explaining | None) -> list[Recommendation]:
        """Answer *request* with *point*, and tell why if it is told *how*."""
        parameters, items = self._parameters(point), request.items
        rows = self._row if point.n <= self._row.item.shape[1] else _rows(1, point.n)
        self._row = rows
        slot = None if request.session_id is None else self.sessions.ids.find(request.session_id)
        ((_, _, policy),) = self._rulebook.policies([request], self.items.find, 1)
        own = -1 if slot is None else slot
        query = None if items is None and slot is not None else self._query(items or ())
        if query is None:
            self.index.ask_session(parameters, own, policy, rows, 0)
        else:
            self.index.ask_items(parameters, query, own, policy, rows, 0)
        named = self._named(rows, 0)
        if how is None:
            return named
        seen = self.index.events_of(own)[0] if query is None else query
        boosts = self._rulebook.boosts(policy, self.index.state.item["row"], rows.item[0, : len(named)])
        return self._explained(named, rows, Asked(parameters, seen.tolist(), own, boosts), how)

    def ask_many(
        self,
        point: Model,
        questions: Sequence[Question],
        *,
        exclude: Sequence[str] = (),
        spread: Spread = map,
        parts: int = 1,
    ) -> list[list[Recommendation]]:
        """Return what `ask` would for each of *questions*, at less cost each. Changes nothing.

        They are cut into *parts*, which *spread* may run side by side (the kernel holds no interpreter lock); nothing
        else may be asked or applied meanwhile.
        """
        answers = _rows(len(questions), point.n)
        current = (None if each.items is None else tuple(each.items[-1:]) for each in questions)
        asked = [Request(items=items, exclude=tuple(exclude)) for items in current]
        for begin, end, policy in self._rulebook.policies(asked, self.items.find, max(1, len(questions))):
            part = Answers._make(array[begin:end] for array in answers)
            queries = self._queries(questions[begin:end])
            self.index.ask_many(self._stack(point), queries, policy, part, spread, parts)
        return list(self._all_named(answers))

    def _queries(self, questions: "Sequence[Question] | Sequence[Request]") -> Queries:
        """Return questions as numbers; where a session's own events are the query, the kernel reads them."""
        find = self.sessions.ids.find
        parts, begins, ends, owns = [NOTHING], [], [], []
        end = 0
        for each in questions:
            slot = None if each.session_id is None else find(each.session_id)
            owns.append(-1 if slot is None else slot)
            if each.items is None and slot is not None:
                begins.append(field.OWN_EVENTS)
                ends.append(field.OWN_EVENTS)
                continue
            begins.append(end)
            if each.items:
                parts.append(self._query(each.items))
                end += len(each.items)
            ends.append(end)
        items = np.concatenate(parts) if end else NOTHING
        return Queries(items, np.array(begins, np.int64), np.array(ends, np.int64), np.array(owns, np.int64))

    def _variant(self, request: Request) -> Model:
        """Return the model of the request's session, or that which it names, with the request's parameters."""
        if request.model is not None:
            base = self.split.named(request.model)
        elif request.session_id is not None and request.preset is None:
            base = self.split.of(request.session_id)
        else:
            base = self.model
        changes = (
            request.preset,
            request.n,
            request.m,
            request.k,
            request.last,
            request.seen,
            request.fallbacks,
        )
        if changes == NO_CHANGES:
            return base
        variant = self._variants.get((base.name, *changes))
        if variant is None:
            variant = self._changed(base, *changes)
            if len(self._variants) >= MOST_VARIANTS:
                self._variants.clear()
            self._variants[base.name, *changes] = variant
        return variant

    @staticmethod
    def _changed(own: Model, preset: str | None, n: int | None, *others: object) -> Model:
        m, k, last, seen, fallbacks = others
        base = own if preset is None else model(preset, **{key: getattr(own, key) for key in NOT_OF_A_PRESET})
        return changed(base, n=n, m=m, k=k, last=last, seen=seen, fallbacks=fallbacks)

    def _parameters(self, asked: Model) -> Parameters:
        """Return *asked* as the kernel takes it. The engine's own model is spared the look-up by value."""
        if asked is self.model:
            if self._default is None:
                self._default = self._compile(asked)
            return self._default
        return self._compile(asked)

    def _compile(self, asked: Model) -> Parameters:
        parameters = self._compiled.get(asked)
        if parameters is None:
            numbers = self.types.live()
            longest = self.limits.max_session_events
            parameters = compile_model(validated(asked), numbers, self._type_weights, longest)
            if len(self._compiled) >= MOST_VARIANTS:
                self._compiled.clear()
            self._compiled[asked] = parameters
        return parameters

    def _stack(self, point: Model) -> Parameters:
        """Return *point* as the only one of several models."""
        stacked = self._stacked.get(point)
        if stacked is None:
            stacked = stack_models([self._parameters(point)])
            if len(self._stacked) >= MOST_VARIANTS:
                self._stacked.clear()
            self._stacked[point] = stacked
        return stacked

    def _forget_compiled(self) -> None:
        """Compile models anew: which event types there are is part of that."""
        self._compiled.clear()
        self._stacked.clear()
        self._default = self._together = None

    def _query(self, names: Sequence[str]) -> npt.NDArray[np.int32]:
        """Number the query's items; those that nobody holds get negative numbers, equal ones alike."""
        strangers: dict[str, int] = {}
        numbers = [self.items.find(name) for name in names]
        for place, number in enumerate(numbers):
            if number is None:
                numbers[place] = -1 - strangers.setdefault(names[place], len(strangers))
        return np.array(numbers, np.int32)

    def _named(self, answers: Answers, row: int) -> list[Recommendation]:
        n = int(answers.n[row])
        items = map(self.items.names.__getitem__, answers.item[row, :n].tolist())
        sources = map(SOURCES.__getitem__, answers.source[row, :n].tolist())
        scores = answers.score[row, :n].tolist()
        return list(map(Recommendation, items, scores, sources))  # type: ignore[arg-type]  # an answer's item has a name

    def _all_named(self, answers: Answers) -> Iterator[list[Recommendation]]:
        """Yield all rows with names; less work each than `_named` is for one."""
        names = self.items.names
        columns = (answers.n, answers.item, answers.score, answers.source)
        for n, items, scores, sources in zip(*(each.tolist() for each in columns), strict=True):
            of = (map(names.__getitem__, items[:n]), scores[:n], map(SOURCES.__getitem__, sources[:n]))
            yield list(map(Recommendation, *of))  # type: ignore[arg-type]  # an answer's item has a name

    # --- rules

    @property
    def catalogue(self) -> Catalogue | None:
        """What is known of items, if anything is."""
        return self._rulebook.catalogue

    def set_catalogue(self, catalogue: Catalogue) -> None:
        """Look items up in *catalogue* from now on. No part of the state: a log leaves the same state under any.

        O(items), some ns each; 50 ns for each that the last one's line of versions did not have.
        """
        first_new = self._rulebook.take(catalogue)
        if first_new == 0:
            self._place_items(self.index.live_items())
            return
        new = [
            (name, number) for _, name in catalogue.ids_from(first_new) if (number := self.items.find(name)) is not None
        ]
        self._place_items(np.array([number for _, number in new], np.int64))
        self._judge_items()

    def _judge_items(self) -> None:
        """Tell the index anew which items may come, by the catalogue."""
        items = self.index.live_items()
        item = self.index.state.item
        by_list = item["denied"][items] & np.uint8(field.DENIED_BY_LIST)
        self.index.deny(items, by_list | self._rulebook.by_catalogue(item["row"][items]))

    def _explained(
        self, named: list[Recommendation], rows: Answers, asked: Asked, how: Explaining
    ) -> list[Recommendation]:
        """Return the items *named*, in row 0, with why they are the answer to what was *asked* last."""
        n = min(len(named), EXPLAINED)
        columns = (column[0, :n].tolist() for column in (rows.item, rows.score, rows.source))
        names = Names(self.items.names, self.sessions.ids.names)
        reasons = explain(self.index, names, asked, list(map(Scored, *columns)), how)
        told = [msgspec.structs.replace(each, why=why) for each, why in zip(named, reasons, strict=False)]
        return told + named[n:]

    # --- its state

    def export_state(self) -> EngineState:
        """Return all that later answers depend on, as it is now; it shares nothing with the engine, which may go on.

        Copies columns and tables, some 100 ms for 5 M events in 1 M sessions, and loops over nothing in Python.
        """
        return EngineState(
            limits=self.limits,
            session_gap_ms=None if self._sessionizer is None else self._sessionizer.gap_ms,
            retained=retained.export(self.index),
            session_names=self.sessions.ids.names.copy(),
            item_names=self.items.names.copy(),
            type_names=tuple(map(str, self.types.names)),
            users=self.sessions.export_users(),
            spans=None if self._sessionizer is None else self._sessionizer.export_state(),
        )

    def import_state(self, state: EngineState) -> None:
        """Take the place of whatever was known with *state*, and go on as the engine would have that it was taken from.

        Model, type weights and deny list stay this engine's own. Raises SnapshotError for a state left by other limits
        or another session gap, or one that no engine leaves; nothing is changed then. O(n log n).
        """
        session_ids, self.items, self.types = self._tables_of(state)
        self.index = Index(self.limits)
        self.sessions = SessionStore(self.limits.retention_ms, session_ids)
        names = map(self.items.names.__getitem__, state.retained.items.tolist())
        denied = list(map(self._rulebook.by_list, names))  # type: ignore[arg-type]  # items that are held
        retained.load(self.index, state.retained, denied)
        self.sessions.order.file(state.retained.slot, state.retained.last)
        self.index.set_next_filed(self.sessions.order.next_time)
        self.sessions.import_users(state.users)
        if self._sessionizer is not None and state.spans is not None:
            self._sessionizer.import_state(state.spans)
        self._forget_compiled()
        if self.catalogue is not None:
            self._rulebook.forget_numbers()
            self._place_items(self.index.live_items())

    def _tables_of(self, state: EngineState) -> tuple[IdTable, IdTable, IdTable]:
        """Return the tables of sessions, items and types, unless *state* is not one to go on from."""
        gap = None if self._sessionizer is None else self._sessionizer.gap_ms
        other = differences(rules_of(state.limits, state.session_gap_ms), rules_of(self.limits, gap))
        if other:
            raise SnapshotError(f"the state is another engine's: {'; '.join(other)}; use its limits, or replay the log")
        fault = state.fault(MOST_TYPES)
        if fault is not None:
            raise SnapshotError(f"{NO_ENGINES}: {fault}; take an older snapshot, or replay the log")
        try:
            return IdTable.of(state.session_names), IdTable.of(state.item_names), IdTable.of(state.type_names)
        except ValueError as error:
            raise SnapshotError(f"{NO_ENGINES}: {error}; take an older snapshot, or replay the log") from error

    # --- what it holds

    @property
    def denied(self) -> frozenset[str]:
        """Items that are never recommended."""
        return self._rulebook.rules.deny

    @property
    def rules(self) -> Rules:
        """The rules that always hold."""
        return self._rulebook.rules

    @property
    def watermark(self) -> int | None:
        """The largest accepted timestamp in ms, None before the first event."""
        return self.index.watermark

    def stats(self) -> Stats:
        """Return counts, memory and horizon. May sort the oldest sessions; cheap otherwise."""
        count = self.index.counter
        horizon = None
        if count(field.N_SESSIONS):
            self._refill_front()
            self._take_notes()
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
        self.sessions._check()  # noqa: SLF001  # the whole checks its parts
        self.items._check()  # noqa: SLF001
        self.index._check()  # noqa: SLF001
        for table, records in ((self.sessions.ids, self.index.state.session), (self.items, self.index.state.item)):
            for name, number in table.live().items():
                encoded = name.encode()
                assert (xxh3_64_intdigest(encoded), len(encoded)) == (
                    records["hash"][number],
                    records["id_bytes"][number],
                )
        assert sorted(self.sessions.ids.live().values()) == self.index.live_slots().tolist()
        assert sorted(self.items.live().values()) == self.index.live_items().tolist()
        filed = len(self.sessions.order) + self.index.front_size
        assert filed >= len(self.sessions.ids), "every session stands in the time order"


NO_ENGINES: Final = "no engine leaves such a state"
NO_CHANGES: Final = (None,) * 7
MOST_ROWS: Final = 1 << 20  # items of the answers of one call: 13 MB
MOST_VARIANTS: Final = 1024  # distinct parameter sets of requests remembered at a time


class _Asked(NamedTuple):
    """What is to be answered of a batch, event for event."""

    offsets: Sequence[Offsets]
    wanted: npt.NDArray[np.uint8]
    all: bool
    """Whether every event is wanted."""

    def part(self, start: int, n: int) -> "_Asked":
        """Return what is asked of *n* events from *start* on."""
        return _Asked(self.offsets[start : start + n], self.wanted[start : start + n], self.all)


class _Notes(NamedTuple):
    """What a batch left behind, in the order it happened."""

    released: list[int]
    released_at: list[int]
    emptied: list[int]


def _rows(queries: int, n: int) -> Answers:
    return Answers(
        item=np.empty((queries, n), np.int32),
        score=np.empty((queries, n), np.float64),
        source=np.empty((queries, n), np.uint8),
        n=np.zeros(queries, np.int32),
    )


def _encoded(table: IdTable, numbers: list[int]) -> list[bytes]:
    names: Iterable[str] = map(table.names.__getitem__, numbers)  # type: ignore[arg-type]  # numbers in use
    return list(map(str.encode, names))
