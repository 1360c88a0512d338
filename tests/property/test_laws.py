"""Laws 2, 3, 4, 6 and 7: after every prefix of a random log the engine is what its plain twin says.

Times repeat and run backwards, sessions grow, overflow, expire and are forgotten, ids come twice; sessions, items and
limits are few and small, so that all of it happens in a short log.
"""

import msgspec
import pytest
from explained import compare_reasons
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from laws import Twins, small, small_limits, variants

from stream_rec.core.engine import NextItemQuery
from stream_rec.core.events import Event, Forget
from stream_rec.core.limits import Limits
from stream_rec.core.model import PRESETS, Model

SESSIONS = [f"s{j}" for j in range(6)]
ITEMS = [f"i{j}" for j in range(7)]
sessions = st.sampled_from(SESSIONS)
items = st.sampled_from(ITEMS)
users = st.sampled_from([None, "u0", "u0", "u1"])
event_ids = st.none() | st.sampled_from([f"e{j}" for j in range(12)])
types = st.sampled_from(["view", "view", "cart", "purchase"])
steps = st.sampled_from([0, 0, 1, 2, 5, 15, 40, -1, -3, -8, -30])
aheads = st.sampled_from([None, None, 0, 1, 4, 12, 60, -2])  # of an event before its log time; None: it has none
WEIGHTS = {"cart": 2.0, "purchase": 5.0}

queries = st.none() | st.lists(st.sampled_from([*ITEMS, "x", "y"]), max_size=14)
questions = st.builds(NextItemQuery, st.none() | sessions, queries)


def scaled(limits: Limits, unit: int) -> Limits:
    """Return *limits* with times counted in *unit* milliseconds."""
    return msgspec.structs.replace(
        limits,
        retention_ms=None if limits.retention_ms is None else limits.retention_ms * unit,
        allowed_lateness_ms=limits.lateness_ms * unit,
        dedupe_window_ms=None if limits.dedupe_window_ms is None else limits.dedupe_window_ms * unit,
        popular_half_life_ms=limits.popular_half_life_ms * unit,
    )


class Log(RuleBasedStateMachine):
    """A random log, and queries after every record of it."""

    UNIT = 1  # ms that the steps of time and the limits are counted in

    @initialize(limits=small_limits, deny=st.lists(items, max_size=2))
    def start(self, limits: Limits, deny: list[str]) -> None:
        self.twins = Twins(scaled(limits, self.UNIT), deny, WEIGHTS)
        self.now = 1_000
        self.applied: list[Event] = []

    def event(self, session: str, item: str, step: int, **others: str | None) -> Event:
        self.now = max(0, self.now + step * self.UNIT)
        return Event(session, item, self.now, **others)  # type: ignore[arg-type]  # of three optional texts

    def taken_at(self, event: Event, ahead: int | None) -> int | None:
        """Return when the log took *event*, whose clock is *ahead*."""
        return None if ahead is None else event.timestamp - ahead * self.UNIT

    @rule(session=sessions, item=items, step=steps, ahead=aheads, type=types, event_id=event_ids, user_id=users)
    def one_event(self, session: str, item: str, step: int, ahead: int | None, **others: str | None) -> None:
        event = self.event(session, item, step, **others)
        self.twins.apply([event], [self.taken_at(event, ahead)])
        self.applied.append(event)

    @rule(many=st.lists(st.tuples(sessions, items, steps, types, event_ids, users, aheads), max_size=20))
    def a_batch(self, many: list[tuple[str, str, int, str, str | None, str | None, int | None]]) -> None:
        events = [
            self.event(session, item, step, type=kind, event_id=event_id, user_id=user)
            for session, item, step, kind, event_id, user, _ in many
        ]
        self.twins.apply(events, [self.taken_at(event, each[-1]) for event, each in zip(events, many, strict=True)])
        self.applied += events

    @precondition(lambda self: self.applied)
    @rule(data=st.data())
    def an_event_again(self, data: st.DataObject) -> None:
        self.twins.apply([data.draw(st.sampled_from(self.applied))])

    @rule(session=sessions)
    def forget_a_session(self, session: str) -> None:
        self.twins.apply([Forget(session_id=session)])

    @rule(user=st.sampled_from(["u0", "u1"]))
    def forget_a_user(self, user: str) -> None:
        self.twins.apply([Forget(user_id=user)])

    @rule(point=variants, session=sessions, exclude=st.lists(items, max_size=2))
    def ask_a_session(self, point: Model, session: str, exclude: list[str]) -> None:
        self.twins.compare_answers(point, [session], exclude)

    @rule(point=variants, query=st.lists(st.sampled_from([*ITEMS, "x", "y"]), max_size=14), own=st.none() | sessions)
    def ask_for_items(self, point: Model, query: list[str], own: str | None) -> None:
        self.twins.compare_query(point, query, own)

    @rule(point=variants, own=st.none() | sessions, query=queries, exclude=st.lists(items, max_size=2))
    def explain(self, point: Model, own: str | None, query: list[str] | None, exclude: list[str]) -> None:
        compare_reasons(self.twins, point, own, query, exclude)

    @rule(point=variants, asked=st.lists(questions, max_size=6), parts=st.integers(1, 3))
    def ask_many(self, point: Model, asked: list[NextItemQuery], parts: int) -> None:
        self.twins.compare_many(point, asked, parts)

    @invariant()
    def the_twins_agree(self) -> None:
        self.twins.compare_state()
        for name in PRESETS:
            self.twins.compare_answers(small(name), SESSIONS)


class LogOfCenturies(Log):
    """A log with 116 days for each millisecond, so that the time frame of postings moves and gets coarser."""

    UNIT = 10_000_000_000  # 116 days: the 36 bits of a posting's time hold seven of them exactly


def run(machine: type[Log], examples: int, steps: int) -> None:
    """Run a state machine as a test."""
    profile = settings(max_examples=examples, stateful_step_count=steps, suppress_health_check=list(HealthCheck))
    run_state_machine_as_test(machine, settings=profile)


@pytest.mark.parametrize("machine", [Log, LogOfCenturies])
def test_after_every_prefix_the_engine_is_what_its_plain_twin_says(machine: type[Log]) -> None:
    """Laws 2, 3, 4, 6 and 7."""
    run(machine, examples=50, steps=25)


@pytest.mark.stress
@pytest.mark.parametrize("machine", [Log, LogOfCenturies])
def test_long_random_logs(machine: type[Log]) -> None:
    """The laws hold for minutes of random logs."""
    run(machine, examples=1000, steps=80)
