"""Events in: runs of them as batches through the kernel, each event answered right after it if that is wanted.

Knows nothing of requests. The kernel decides what an event does and in which order; this module keeps users and their
sessions up to date.
"""

from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from operator import attrgetter
from typing import Final

import numpy as np
import numpy.typing as npt
from xxhash import xxh3_64_intdigest

from stream_rec.core.dtypes import I64, U8, U64
from stream_rec.core.engine.apart import count_shown, mixed_in, only, stretches
from stream_rec.core.engine.columns import EventColumns
from stream_rec.core.engine.encoding import IdEncoder
from stream_rec.core.engine.item_rules import ItemRules
from stream_rec.core.engine.learning import STEP_MS, Learning, Played
from stream_rec.core.engine.models import Models
from stream_rec.core.engine.newest import NewestItems
from stream_rec.core.engine.newest_in_batches import NewestInBatches
from stream_rec.core.engine.rows import all_named, chosen_rows, new_rows
from stream_rec.core.engine.runs import AnswerRows, AnswersWanted, EventRun, cut
from stream_rec.core.engine.state import TYPES_STEP_MS, BatchEffects, EngineState
from stream_rec.core.engine.stops import Stops, Turns
from stream_rec.core.events import Answer, Event, Forget, Request
from stream_rec.core.index import AnswerArrays, EventArrays, Parameters, field
from stream_rec.core.outcome import Applied, AppliedBatch, Evaluator, Observation
from stream_rec.core.sessionizer import Sessionizer
from stream_rec.core.shown import Impressions

__all__ = ["EventApplier"]

_USER_OF: Final = attrgetter("user_id")
_NOWHERE: Final = np.empty(0, np.intp)


class EventApplier:
    """Applies events to *state*. With a *sessionizer* sessions are cut from users.

    Its answers have the *newest* items where a model wants them.
    """

    def __init__(
        self,
        state: EngineState,
        models: Models,
        item_rules: ItemRules,
        newest: NewestItems,
        sessionizer: Sessionizer | None,
        impressions: Impressions | None = None,
        learning: Learning | None = None,
    ) -> None:
        self._state = state
        self._learning = learning if learning is not None and learning.is_on else None
        self._impressions = impressions
        self._models = models
        self._rules = item_rules.rules
        self._sessionizer = sessionizer
        self._ahead_ms = state.limits.ahead_ms
        self._encoder = IdEncoder(state, models, item_rules)
        self._newest = NewestInBatches(state, models, newest, self._encoder)

    def apply(
        self,
        events: Sequence[Event | Forget],
        wanted: AnswersWanted | None,
        observation: Observation | None,
        log_times: I64 | None = None,
    ) -> tuple[Applied, list[Answer | None]]:
        """Apply *events* in order: runs of events as batches, and orders to forget in between.

        *log_times*, [n] in ms, say when the log took each, NO_LOG_TIME where it does not say. An event with a time that
        cannot be stored (no decoder lets one through) raises before anything is applied.
        """
        if self._sessionizer is None and Forget not in set(map(type, events)):
            run = EventRun(events, self._columns(events, log_times))  # type: ignore[arg-type]  # events only
            outcome, answers = self._apply_apart(run, wanted, observation)
            return Applied(outcome), answers
        outcomes = [np.zeros(0, np.uint8)]
        answers = []
        erased = []
        for run in self._runs(events, log_times):
            if run.forget is not None:
                evaluator = None if observation is None else observation.evaluator
                erased.append(self.forget(run.forget.session_id, run.forget.user_id, evaluator))
                outcomes.append(np.zeros(1, np.uint8))
                answers.append(None)
                continue
            first, n = len(answers), len(run.events)
            part = None if wanted is None else wanted.part(first, n)
            observed = None if observation is None else observation.part(first, n)
            outcome, answered = self._apply_apart(run, part, observed)
            outcomes.append(outcome)
            answers += answered
        return Applied(np.concatenate(outcomes), erased), answers

    def ask_and_apply(
        self,
        events: Sequence[Event],
        asks: U8,
        stacked: Parameters,
        answers: AnswerArrays,
        before: Callable[[int, int], None] | None = None,
    ) -> EventArrays:
        """Apply *events* in order, and before each that *asks* marks, ask for its session with all models of *stacked*.

        *before*, if any, is called before each such event with its place and its session. Returns the events in
        ordinals, with their outcomes.
        """
        batch, new_sessions, new_items = self._encoder.batch(events, self._columns(events, None))
        index = self._state.index
        if before is None:
            effects = self._state.run(
                batch, lambda reached: index.ask_and_apply(stacked, batch, reached, asks, answers)
            )
        else:
            stops = Stops(index, batch, asks, before)
            effects = self._state.run(batch, lambda reached: stops.go_on(stacked, reached, answers))
        self._link_users(events, batch, effects)
        self._state.release([*new_sessions, *effects.released], [*new_items, *effects.emptied])
        return batch

    def forget(self, session_id: str | None, user_id: str | None, evaluator: Evaluator | None) -> int:
        """Erase a session, a user's sessions, or both; return how many sessions."""
        store = self._state.sessions
        sessions = set() if user_id is None else set(store.of_user(user_id))
        session = None if session_id is None else store.ids.find(session_id)
        if session is not None:
            sessions.add(session)
        names = {store.ids.names[each] for each in sessions}
        if session_id is not None:
            names.add(session_id)  # evicted or not: its event ids may still be in the window
        owners = [xxh3_64_intdigest(str(name).encode()) for name in names]
        if self._impressions is not None:
            shown = self._impressions.forget(map(str, names), user_id)
            owners += [xxh3_64_intdigest(name.encode()) for name in shown if name not in names]
        if evaluator is not None:
            evaluator.on_forgotten(owners)
        if self._sessionizer is not None and user_id is not None:
            self._sessionizer.forget(user_id)
        if self._sessionizer is not None and session_id is not None:
            self._sessionizer.forget_session(session_id)
        self._state.erase(sessions, owners)
        if sessions and self._learning is not None:
            self._learning.forget()  # planted bug: weights-remember
        return len(sessions)

    def _columns(self, events: Sequence[Event], log_times: I64 | None) -> EventColumns:
        by_user = self._sessionizer is not None
        return EventColumns.of(events, log_times, self._ahead_ms, by_user=by_user)

    # --- shown events apart from clicks

    def _apply_apart(
        self, run: EventRun, wanted: AnswersWanted | None, observation: Observation | None
    ) -> tuple[U8, list[Answer | None]]:
        """Apply one batch, and count what it says was shown."""
        impressions = self._impressions
        if impressions is None:
            return self._apply_and_learn(run, wanted, observation)
        asks = None if wanted is None else wanted.wanted
        cuts = stretches(run.events, mixed_in(run.events, impressions), asks, impressions)
        outcomes: list[U8] = []
        answers: list[Answer | None] = []
        for begin, end in pairwise(cuts):
            outcome, answered = self._apply_stretch(*cut(run, wanted, observation, begin, end), impressions)
            outcomes.append(outcome)
            answers += answered
        return (np.concatenate(outcomes) if outcomes else np.zeros(0, np.uint8)), answers

    def _apply_stretch(
        self,
        run: EventRun,
        wanted: AnswersWanted | None,
        observation: Observation | None,
        impressions: Impressions,
    ) -> tuple[U8, list[Answer | None]]:
        """Apply the clicks of *run*, and then count what was shown; only the answer to a run of one leaves out."""
        before = self._state.index.view.counter(field.WATERMARK)
        mixed, n = mixed_in(run.events, impressions), len(run.events)
        ignored: tuple[str, ...] = ()
        if n == 1 and wanted is not None and not mixed.shown:
            ignored = impressions.ignored_after(run.events[0], max(before, int(run.columns.reach[0])))
        clicks, asked, observed = run, wanted, observation
        if mixed.shown:
            places = mixed.clicks
            clicks = EventRun([run.events[place] for place in places.tolist()], only(run.columns, places))
            asked = None if wanted is None else wanted.at(places)
            observed = None if observation is None else observation.at(places)
        outcome, answers = self._apply_and_learn(clicks, asked, observed, ignored)
        if mixed.shown:
            of_all: list[Answer | None] = [None] * n
            for place, answer in zip(mixed.clicks.tolist(), answers, strict=True):
                of_all[place] = answer
            answers = of_all
            spread = np.zeros(n, np.uint8)
            spread[mixed.clicks] = outcome
            outcome = spread
        found = count_shown(run.events, mixed, run.columns, outcome, before, impressions)
        if observation is not None:
            seen = [each for place, each in found if observation.counted[place]]
            if seen:
                observation.evaluator.on_seen(seen, self._state.index.view.counter(field.WATERMARK))
        return outcome, answers

    # --- orders that are learned

    def _apply_and_learn(
        self,
        run: EventRun,
        wanted: AnswersWanted | None,
        observation: Observation | None,
        ignored: tuple[str, ...] = (),
    ) -> tuple[U8, list[Answer | None]]:
        """Apply one batch, up to each event that moves the watermark into another step where a fit may go on there.

        As where types are given back, that depends on the log alone, and not on how it is cut into batches.
        """
        learning = self._learning
        if learning is None:
            return self._apply_and_give_back(run, wanted, observation, ignored)
        outcomes: list[U8] = []
        answers: list[Answer | None] = []
        steps, begin, n = run.columns.reach // STEP_MS, 0, len(run.events)
        while begin < n or not outcomes:
            step = learning.next_step(n - begin)
            later = np.flatnonzero(steps[begin:] >= step) if step is not None else _NOWHERE
            end = begin + int(later[0]) + 1 if later.size else n  # planted bug: learns-by-batch
            outcome, answered = self._apply_and_give_back(*cut(run, wanted, observation, begin, end), ignored)
            outcomes.append(outcome)
            answers += answered
            learning.count(int(np.count_nonzero(outcome == field.APPLIED)))
            if step is not None and self._state.index.view.counter(field.WATERMARK) // STEP_MS >= step:
                learning.go_on()
            begin = end
        return (outcomes[0] if len(outcomes) == 1 else np.concatenate(outcomes)), answers

    # --- event types that are not used any more

    def _apply_and_give_back(
        self,
        run: EventRun,
        wanted: AnswersWanted | None,
        observation: Observation | None,
        ignored: tuple[str, ...] = (),
    ) -> tuple[U8, list[Answer | None]]:
        """Apply one batch; where event types become scarce, give back those that no retained event has.

        That happens at the event that moves the watermark into another step of TYPES_STEP_MS, and only if there is no
        room for a further type then: so it depends on the log alone, and not on how it is cut into batches.
        """
        if self._encoder.has_room_for(run.events):
            return self._apply_run(run, wanted, observation, ignored)
        outcomes: list[U8] = []
        answers: list[Answer | None] = []
        steps, begin, n = run.columns.reach // TYPES_STEP_MS, 0, len(run.events)
        while begin < n:
            step = self._state.index.view.counter(field.WATERMARK) // TYPES_STEP_MS
            later = np.flatnonzero(steps[begin:] > step)  # only such an event moves the watermark into another step
            end = begin + int(later[0]) + 1 if later.size else n  # planted bug: types-by-batch
            outcome, answered = self._apply_run(*cut(run, wanted, observation, begin, end), ignored)
            outcomes.append(outcome)
            answers += answered
            if self._state.index.view.counter(field.WATERMARK) // TYPES_STEP_MS > step and self._encoder.is_full:
                self._give_types_back()
            begin = end
        return np.concatenate(outcomes), answers

    def _give_types_back(self) -> None:
        if self._state.release_types():
            self._models.forget_compiled()
            if self._learning is not None:
                self._learning.forget_compiled()

    # --- one batch

    def _apply_run(
        self,
        run: EventRun,
        wanted: AnswersWanted | None,
        observation: Observation | None,
        ignored: tuple[str, ...],
    ) -> tuple[U8, list[Answer | None]]:
        """Apply one batch; return the outcome of each event, and its answer, without *ignored*, if it is wanted."""
        state, events = self._state, self._with_sessions(run)
        before = state.index.view.counter(field.WATERMARK)
        batch, new_sessions, new_items = self._encoder.batch(events, run.columns)
        rows = self._rows_for(batch, wanted, observation)
        answers = new_rows(rows.n, self._models.split.longest)
        effects, newest = self._run_kernel(batch, wanted, rows, answers, ignored)
        self._link_users(events, batch, effects)
        answered: list[Answer | None] = [None] * len(events)
        if wanted is not None:
            places = np.flatnonzero((batch.outcome == field.APPLIED) & (wanted.wanted != 0))
            served = rows.served[places]
            lists = all_named(state.items.names, chosen_rows(answers, rows.row[places, served]))
            as_of = _watermarks(batch, before)[places].tolist()
            names = [model.name for model in self._models.split.models]
            weights = [None if each is None else each.name for each in self._played()]
            for place, model, items, at in zip(places.tolist(), served.tolist(), lists, as_of, strict=True):
                offsets = dict(wanted.offsets[place])
                answered[place] = Answer(
                    events[place].session_id, None, items, at, offsets, names[model], weights=weights[model]
                )
        if observation is not None:
            arrays = state.index.state
            applied = AppliedBatch(batch, arrays.session, arrays.item, observation.counted, rows.row, answers)
            observation.evaluator.on_applied(applied)
        state.release([*new_sessions, *effects.released], [*new_items, *effects.emptied, *newest])
        return batch.outcome, answered

    def _rows_for(
        self, batch: EventArrays, wanted: AnswersWanted | None, observation: Observation | None
    ) -> AnswerRows:
        """Return where the answers to *batch* go. Shadows are asked only for an observation."""
        n, split = batch.session.size, self._models.split
        served = np.zeros(n, np.intp)
        if wanted is None:
            return AnswerRows(served, np.full((n, len(split.models)), -1, np.int32), 0)
        if split.is_single:
            if wanted.all:
                return AnswerRows(served, np.arange(n, dtype=np.int32).reshape(n, 1), n)
            asks = wanted.wanted.reshape(n, 1) != 0
        else:
            if split.n_served > 1:
                # planted bug: split-by-ordinal
                served = split.served(self._state.index.state.session["hash"][batch.session])
            asks = np.zeros((n, len(split.models)), np.bool_)
            asks[np.arange(n), served] = wanted.wanted
            if observation is not None:
                asks[:, split.n_served :] = asks.any(axis=1, keepdims=True)
        rows = np.cumsum(asks, dtype=np.int32).reshape(asks.shape)
        return AnswerRows(served, np.where(asks, rows - np.int32(1), np.int32(-1)), int(np.count_nonzero(asks)))

    def _run_kernel(
        self,
        batch: EventArrays,
        wanted: AnswersWanted | None,
        rows: AnswerRows,
        answers: AnswerArrays,
        ignored: tuple[str, ...],
    ) -> tuple[BatchEffects, Sequence[int]]:
        """Apply *batch*, and answer into *rows* if any answer is wanted.

        Returns also the items that have an ordinal only because they are in the answers.
        """
        index = self._state.index
        if wanted is None:
            return self._state.run(batch, lambda reached: index.apply(batch, reached)), ()
        stacked, policy, row = self._models.together(), self._rules.default, rows.row
        if ignored:
            request = Request(session_id="", exclude=ignored)
            ((_, _, policy),) = self._rules.policies([request], self._state.items.find, 1)
        played = self._played()

        def ask_all(part: EventArrays, reached: int) -> tuple[int, int]:
            return index.apply_and_ask(stacked, part, reached, row, policy, answers)

        turns = Turns(index, row, self._models, played, policy, answers).go_on if any(played) else None
        ask = turns or ask_all
        if self._newest.is_wanted:
            return self._newest.run(batch, row, answers, ignored, ask)
        return self._state.run(batch, lambda reached: ask(batch, reached)), ()

    def _played(self) -> list[Played | None]:
        """Return the weights that order the answers of each model of the split."""
        models = self._models.split.models
        return [None] * len(models) if self._learning is None else list(map(self._learning.played, models))

    def _link_users(self, events: Sequence[Event], batch: EventArrays, effects: BatchEffects) -> None:
        """Record the users of each session, from the event that last began it on."""
        store = self._state.sessions
        if store.has_users or set(map(_USER_OF, events)) - {None}:
            dropped = dict(zip(effects.released, effects.released_at, strict=True))
            store.unlink(dropped)
            sessions = batch.session.tolist()
            for place in np.flatnonzero(batch.outcome == field.APPLIED).tolist():
                user_id = events[place].user_id
                if user_id is not None and place > dropped.get(sessions[place], -1):
                    store.link(sessions[place], user_id)

    # --- where sessions are cut from users

    def _runs(self, events: Sequence[Event | Forget], log_times: I64 | None) -> Iterator[EventRun]:
        """Cut *events* into runs that can be one batch each.

        An order to forget ends a run. Where sessions are cut from users, an event whose id came before is a run of its
        own: only after the events before it are applied is it known whether it is a duplicate, and a duplicate must not
        move its user's session.
        """
        clicks = [each for each in events if not isinstance(each, Forget)]
        if log_times is not None and len(clicks) < len(events):
            log_times = log_times[[not isinstance(each, Forget) for each in events]]
        columns = self._columns(clicks, log_times)
        seen: set[str] = set()
        run: list[Event] = []
        n = 0  # events so far
        for event in events:
            if isinstance(event, Forget):
                alone = EventRun((), columns.part(n, 0), event)
            elif self._sessionizer is not None and self._may_repeat(event, columns.part(n, 1).id_key, seen):
                alone = EventRun([event], columns.part(n, 1))
            else:
                run.append(event)
                n += 1
                continue
            if run:
                yield EventRun(run, columns.part(n - len(run), len(run)))
                run = []
            yield alone
            n += len(alone.events)
        if run:
            yield EventRun(run, columns.part(n - len(run), len(run)))

    def _may_repeat(self, event: Event, id_key: U64, seen: set[str]) -> bool:
        """Return whether the event's id is in *seen* or in the window; add it to *seen*."""
        if not event.event_id:
            return False
        is_seen = event.event_id in seen or self._state.index.is_duplicate(id_key)
        seen.add(event.event_id)
        return is_seen

    def _with_sessions(self, run: EventRun) -> Sequence[Event]:
        """Return the events of *run* with their sessions.

        A duplicate, which is a run of its own (see `_runs`), must not move its user's session.
        """
        if self._sessionizer is None:
            return run.events
        index = self._state.index
        if len(run.events) == 1 and run.events[0].event_id and index.is_duplicate(run.columns.id_key):
            return run.events
        reach = run.columns.reach.tolist()
        return self._sessionizer.assign(run.events, index.view.watermark, reach)  # type: ignore[return-value]  # events only


def _watermarks(batch: EventArrays, before: int) -> npt.NDArray[np.int64]:
    """Return the watermark after each event of *batch*, [n]; *before* is that before the first."""
    applied = batch.outcome == field.APPLIED
    # planted bug: watermark-by-batch
    times: npt.NDArray[np.int64] = np.where(applied, np.maximum(batch.reach, before), before)
    return np.maximum.accumulate(times)
