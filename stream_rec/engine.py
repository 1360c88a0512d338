"""The pure core: events in, answers out, the same for the same log on any machine.

Knows nothing of files, Kafka, threads, settings or clocks. Ids become numbers here, and numbers ids; between the two,
compiled loops work on whole batches. A batch leaves the state that its events one by one would.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from operator import attrgetter
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt
from xxhash import xxh3_64_intdigest

from stream_rec.columns import id_keys, times_of
from stream_rec.errors import SnapshotError
from stream_rec.events import Answer, Event, Forget, Recommendation, Request
from stream_rec.ids import IdTable
from stream_rec.index import Answers, Batch, Index, Parameters, Queries, Spread, field, retained
from stream_rec.limits import Limits, validated
from stream_rec.outcome import Applied, Stats
from stream_rec.recommend import DEFAULT_PRESET, Model, changed, compile_model, model, stack_models
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
    *deny* lists items that are never recommended, and with *session_gap_ms* sessions are cut from `user_id` where a
    user was idle for longer. Not thread-safe: one thread owns it.

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
    ) -> None:
        self.limits = validated(limits or Limits())
        self.model = model(preset) if isinstance(preset, str) else validated(preset)
        self.index = Index(self.limits)
        self.sessions = SessionStore(self.limits.retention_ms)
        self.items = IdTable()
        self.types = IdTable()
        self._type_weights = dict(type_weights or {})
        self._denied = frozenset(deny)
        self._sessionizer = None if session_gap_ms is None else Sessionizer(session_gap_ms, self.limits.lateness_ms)
        self._compiled: dict[Model, Parameters] = {}
        self._default: Parameters | None = None
        self._row = _rows(1, self.model.n)
        self._variants: dict[tuple[object, ...], Model] = {}

    # --- events

    def apply(self, events: Sequence[Event | Forget]) -> Applied:
        """Apply *events* in order, and say what became of each. Each costs O(events of its session)."""
        return self._in_order(events, None)[0]

    def apply_and_answer(
        self,
        events: Sequence[Event | Forget],
        offsets: Sequence[Offsets] | None = None,
        wanted: Sequence[bool] | npt.NDArray[np.bool_] | None = None,
    ) -> tuple[Applied, list[Answer | None]]:
        """Apply *events* in order, and right after each answer for its session.

        The answers stand event for event; None for what was not applied, for a `Forget`, and where *wanted* says that
        none is. *offsets* are the log positions to state in them, event for event.
        """
        asked = _Asked(
            self.model,
            [NO_OFFSETS] * len(events) if offsets is None else offsets,
            np.ones(len(events), np.uint8) if wanted is None else np.array(wanted, np.uint8),
        )
        return self._in_order(events, asked)

    def forget(self, *, session_id: str | None = None, user_id: str | None = None) -> int:
        """Erase a session, a user's sessions, or both, as if they had never been seen; return how many sessions.

        The watermark stays, as does the absence of what had to leave. O(event-id window).
        """
        slots = set() if user_id is None else set(self.sessions.of_user(user_id))
        slot = None if session_id is None else self.sessions.ids.find(session_id)
        if slot is not None:
            slots.add(slot)
        names = {self.sessions.ids.names[each] for each in slots}
        if session_id is not None:
            names.add(session_id)  # evicted or not: its event ids may still stand in the window
        owners = [xxh3_64_intdigest(str(name).encode()) for name in names]
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
        self, events: Sequence[Event | Forget], asked: "_Asked | None"
    ) -> tuple[Applied, list[Answer | None]]:
        """Apply runs of events as batches, and what is to be forgotten in between."""
        if self._sessionizer is None and Forget not in set(map(type, events)):
            outcome, answers = self._apply_events(events, asked)  # type: ignore[arg-type]  # events only
            return Applied(outcome), answers
        outcomes = [np.zeros(0, np.uint8)]
        answers = []
        for run in self._runs(events):
            if isinstance(run[0], Forget):
                self.forget(session_id=run[0].session_id, user_id=run[0].user_id)
                outcomes.append(np.zeros(1, np.uint8))
                answers.append(None)
                continue
            part = None if asked is None else asked.part(len(answers), len(run))
            outcome, answered = self._apply_events(run, part)  # type: ignore[arg-type]  # events only
            outcomes.append(outcome)
            answers += answered
        return Applied(np.concatenate(outcomes)), answers

    def _apply_events(
        self, events: Sequence[Event], asked: "_Asked | None"
    ) -> tuple[npt.NDArray[np.uint8], list[Answer | None]]:
        if self._sessionizer is not None:
            events = self._with_sessions(events, self._sessionizer)
        before = self.index.counter(field.WATERMARK)
        batch, new_slots, new_items = self._batch(events)
        answers = _rows(0, 1) if asked is None else _rows(len(events), asked.model.n)
        notes = self._drive(batch, asked, answers)
        self._link_users(events, batch, notes)
        answered: list[Answer | None] = [None] * len(events)
        if asked is not None:
            as_of = np.maximum.accumulate(
                np.where(batch.outcome == field.APPLIED, np.maximum(batch.time, before), before)
            )
            for row in np.flatnonzero((batch.outcome == field.APPLIED) & (asked.wanted != 0)).tolist():
                answered[row] = Answer(
                    events[row].session_id,
                    None,
                    self._named(answers, row),
                    int(as_of[row]),
                    dict(asked.offsets[row]),
                    asked.model.name,
                )
        self._release([*new_slots, *notes.released], [*new_items, *notes.emptied])
        return batch.outcome, answered

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
        )
        return batch, new_slots, new_items

    def _introduce(self, new_slots: list[int], new_items: list[int]) -> None:
        """Tell the index of new numbers, with what it needs to know of the names behind them."""
        sessions, items = _encoded(self.sessions.ids, new_slots), _encoded(self.items, new_items)
        self.index.add_sessions(new_slots, list(map(xxh3_64_intdigest, sessions)), list(map(len, sessions)))
        denied = [self.items.names[item] in self._denied for item in new_items]
        self.index.add_items(new_items, list(map(xxh3_64_intdigest, items)), list(map(len, items)), denied)

    def _type_numbers(self, types: list[str]) -> tuple[list[int], list[int]]:
        """Return each type's number, and the places of types that there is no number left for."""
        if types and types[0] in self.types and types.count(types[0]) == len(types):  # mostly there are only views
            return [self.types.find(types[0]) or 0] * len(types), []
        room = MOST_TYPES - len(self.types)
        new = [name for name in dict.fromkeys(types) if name not in self.types]
        if new:
            self.types.intern(new[:room])
            self._compiled.clear()
            self._default = None
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

    def _drive(self, batch: Batch, asked: "_Asked | None", answers: Answers) -> "_Notes":
        """Apply the batch, and answer each event if *asked* says how."""
        if asked is None:
            return self._run(batch, lambda reached: self.index.apply(batch, reached))
        p, wanted = self._parameters(asked.model), asked.wanted
        return self._run(batch, lambda reached: self.index.apply_and_ask(p, batch, reached, wanted, NOTHING, answers))

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
        self.index.ask_many(stacked, queries, NOTHING, answers)

    def parameters(self, point: Model) -> Parameters:
        """Return *point* as the kernels take it, given the event types seen so far."""
        return self._parameters(point)

    # --- answers

    def recommend(
        self, session_id: str | None = None, *, items: Sequence[str] | None = None, n: int | None = None
    ) -> list[Recommendation]:
        """Return what is recommended next for a session, or after *items*. Changes nothing."""
        request = Request(session_id=session_id, items=None if items is None else tuple(items), n=n)
        return self.answer([request])[0].items

    def answer(self, requests: Sequence[Request], offsets: Offsets = NO_OFFSETS) -> list[Answer]:
        """Answer each request from the present state, which asking does not change.

        A request with `items` is a query of its own (its session, if any, is nobody's neighbour in it); without, the
        session's events are the query, and a session that is not retained gets what fallbacks give.
        Raises SettingsError for parameters out of range.
        """
        return [self._answer(request, offsets) for request in requests]

    def ask(
        self,
        point: Model,
        *,
        session_id: str | None = None,
        items: Sequence[str] | None = None,
        exclude: Sequence[str] = (),
    ) -> list[Recommendation]:
        """Return what *point* recommends next for a session, or after *items*. Changes nothing."""
        parameters = self._parameters(point)
        rows = self._row if point.n <= self._row.item.shape[1] else _rows(1, point.n)
        self._row = rows
        slot = None if session_id is None else self.sessions.ids.find(session_id)
        barred = self._numbers(exclude)
        if items is None and slot is not None:
            self.index.ask_session(parameters, slot, barred, rows, 0)
        else:
            own = -1 if slot is None else slot
            self.index.ask_items(parameters, self._query(items or ()), own, barred, rows, 0)
        return self._named(rows, 0)

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
        stacked = stack_models([self._parameters(point)])
        self.index.ask_many(stacked, self._queries(questions), self._numbers(exclude), answers, spread, parts)
        return [self._named(answers, row) for row in range(len(questions))]

    def _queries(self, questions: Sequence[Question]) -> Queries:
        slots = [None if each.session_id is None else self.sessions.ids.find(each.session_id) for each in questions]
        items = [
            self.index.events_of(slot)[0].astype(np.int32)
            if each.items is None and slot is not None
            else self._query(each.items or ())
            for each, slot in zip(questions, slots, strict=True)
        ]
        sizes = np.array([each.size for each in items], np.int64)
        ends = np.cumsum(sizes)
        own = np.array([-1 if slot is None else slot for slot in slots], np.int64)
        return Queries(np.concatenate([NOTHING, *items]), ends - sizes, ends, own)

    def _answer(self, request: Request, offsets: Offsets) -> Answer:
        point = self._variant(request)
        items = self.ask(point, session_id=request.session_id, items=request.items, exclude=request.exclude)
        return Answer(request.session_id, request.request_id, items, self.index.watermark, dict(offsets), point.name)

    def _variant(self, request: Request) -> Model:
        """Return the engine's model with the request's parameters."""
        changes = (
            request.preset,
            request.n,
            request.m,
            request.k,
            request.last,
            request.seen,
            request.fallbacks,
        )
        if not any(change is not None for change in changes):
            return self.model
        variant = self._variants.get(changes)
        if variant is None:
            variant = self._changed(*changes)
            if len(self._variants) >= MOST_VARIANTS:
                self._variants.clear()
            self._variants[changes] = variant
        return variant

    def _changed(self, preset: str | None, n: int | None, *others: object) -> Model:
        m, k, last, seen, fallbacks = others
        own = self.model
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

    def _numbers(self, names: Iterable[str]) -> npt.NDArray[np.int32]:
        found = (self.items.find(name) for name in names)
        return np.array([number for number in found if number is not None], np.int32)

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
        denied = [self.items.names[item] in self._denied for item in state.retained.items.tolist()]
        retained.load(self.index, state.retained, denied)
        self.sessions.order.file(state.retained.slot, state.retained.last)
        self.index.set_next_filed(self.sessions.order.next_time)
        self.sessions.import_users(state.users)
        if self._sessionizer is not None and state.spans is not None:
            self._sessionizer.import_state(state.spans)
        self._compiled.clear()
        self._default = None

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
        return self._denied

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
MOST_VARIANTS: Final = 1024  # distinct parameter sets of requests remembered at a time


class _Asked(NamedTuple):
    """What is to be answered of a batch, event for event."""

    model: Model
    offsets: Sequence[Offsets]
    wanted: npt.NDArray[np.uint8]

    def part(self, start: int, n: int) -> "_Asked":
        """Return what is asked of *n* events from *start* on."""
        return _Asked(self.model, self.offsets[start : start + n], self.wanted[start : start + n])


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
