"""Live quality is that of its plain twin, whatever happens, and an evaluator does not affect the engine."""

from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from stream_rec.core.engine import Engine
from stream_rec.core.events import Answer, Event, Forget, Recommendation, Request
from stream_rec.core.limits import Limits
from stream_rec.core.model import PRESETS, Trial, changed
from stream_rec.core.outcome import Observation
from stream_rec.core.quality import Quality
from stream_rec.core.quality.reference import Counted, ReferenceQuality

SESSIONS = [f"s{j}" for j in range(7)]
ITEMS = [f"i{j}" for j in range(7)]
LIMITS = Limits(retention_ms=60, allowed_lateness_ms=20, max_session_events=2, popular_half_life_ms=10)
WINDOWS_MS = (60, 150, 6000)
sessions = st.sampled_from(SESSIONS)
events = st.tuples(
    sessions,
    st.sampled_from(ITEMS),
    st.sampled_from([0, 0, 1, 2, 5, 40, 300, -1, -3, -30]),
    st.none() | st.sampled_from([f"e{j}" for j in range(9)]),
    st.booleans(),
    st.sampled_from([True, True, True, False]),
)
models = st.lists(
    st.tuples(
        st.sampled_from(["sknn", "stan", "v-sknn"]), st.sampled_from([0.0, 0.2, 0.3]), st.booleans(), st.integers(1, 9)
    ),
    max_size=3,
    unique_by=lambda each: each[0],
)


def trials_of(drawn: Sequence[tuple[str, float, bool, int]]) -> list[Trial]:
    return [
        Trial(model=changed(PRESETS[name], n=n), share=0.0 if shadow else share, shadow=shadow)
        for name, share, shadow, n in drawn
    ]


class LiveQuality(RuleBasedStateMachine):
    """Batches of events, forgetting, and answers to requests; another process answers some of the events."""

    @initialize(drawn=models, n=st.integers(1, 6), main=st.integers(1, 9), capacity=st.sampled_from([1, 2, 3, 50]))
    def start(self, drawn: list[tuple[str, float, bool, int]], n: int, main: int, capacity: int) -> None:
        model = changed(PRESETS["vmis-knn"], n=main)
        self.engine = Engine(model, limits=LIMITS, trials=trials_of(drawn))
        self.plain = Engine(model, limits=LIMITS)
        split = self.engine.split
        self.quality = Quality(split, n=n, windows_ms=WINDOWS_MS, capacity=capacity)
        self.twin = ReferenceQuality(len(split.models), split.n_served, n=n, windows_ms=WINDOWS_MS, capacity=capacity)
        self.now = 1_000

    @rule(many=st.lists(events, max_size=12), forgets=st.none() | sessions, answers=st.booleans())
    def a_batch(
        self, many: list[tuple[str, str, int, str | None, bool, bool]], forgets: str | None, answers: bool
    ) -> None:
        batch: list[Event | Forget] = []
        for session, item, step, event_id, *_ in many:
            self.now = max(0, self.now + step)
            batch.append(Event(session, item, self.now, event_id=event_id))
        wanted, counted = (np.array([each[place] for each in many], np.bool_) for place in (4, 5))
        if forgets is not None:
            batch.insert(len(batch) // 2, Forget(session_id=forgets))
            wanted, counted = (np.insert(each, len(batch) // 2, True) for each in (wanted, counted))
        observation = Observation(self.quality, counted.astype(np.uint8))
        if answers:
            self.engine.apply_and_answer(batch, None, wanted, observation)
        else:
            self.engine.apply(batch, observation)
        for event, is_wanted, is_counted in zip(batch, (wanted & answers).tolist(), counted.tolist(), strict=True):
            self.one(event, is_wanted=is_wanted, is_counted=is_counted)

    def one(self, event: Event | Forget, *, is_wanted: bool, is_counted: bool) -> None:
        if isinstance(event, Forget):
            self.plain.apply([event])
            self.twin.forget(str(event.session_id))
            return
        before = {each.item_id for each in self.plain.session(event.session_id)}
        if self.plain.apply([event]).n_applied == 0:
            return
        retained = [each.item_id for each in self.plain.session(event.session_id)]
        split = self.engine.split
        own = split.models.index(split.of(event.session_id))
        asked = [own, *range(split.n_served, len(split.models))] if is_wanted else []
        answers = {number: self.ask(event.session_id, number) for number in asked}
        # Older than all that a full session keeps, or the first of a session that started again.
        is_novel = event.item_id in retained and (event.item_id not in before or len(retained) == 1)
        self.twin.event(
            event.session_id, event.item_id, event.timestamp, answers, is_novel=is_novel, is_counted=is_counted
        )

    def ask(self, session: str, number: int) -> list[str]:
        model = self.engine.split.models[number]
        return [each.item_id for each in self.plain.ask(model, session_id=session)]

    @rule(session=sessions, number=st.integers(0, 3), items=st.lists(st.sampled_from(ITEMS), unique=True))
    def a_request_is_answered(self, session: str, number: int, items: list[str]) -> None:
        split = self.engine.split
        model = split.models[number % len(split.models)].name
        listed = [Recommendation(item, 1.0, "neighbours") for item in items]
        self.quality.on_answered([Answer(session, "r", listed, 0, {}, model)])
        self.twin.shown(session, number % len(split.models), items)

    @invariant()
    def the_twins_agree(self) -> None:
        if not hasattr(self, "quality"):
            return
        self.quality._check()
        for window, reported in enumerate(self.quality.report(len(ITEMS)).windows):
            expected = self.twin.report(window)
            assert [_figures(each) for each in expected] == [
                (each.answers, each.scored, each.novel_scored, each.hr, each.mrr, each.hr_novel, each.coverage)
                for each in reported.models
            ]

    @invariant()
    def the_engine_notices_nothing(self) -> None:
        """Laws 1 and 3: the state is that of an engine without an evaluator and with one model."""
        if hasattr(self, "quality"):
            assert visible_state(self.plain) == visible_state(self.engine)


def _figures(counted: Counted) -> tuple[Any, ...]:
    scored, novel = sum(counted.ranks), sum(counted.novel)
    hr = sum(counted.ranks[1:]) / scored if scored else None
    mrr = pytest.approx(sum(c / r for r, c in enumerate(counted.ranks) if r) / scored) if scored else None
    hr_novel = sum(counted.novel[1:]) / novel if novel else None
    return counted.answers, scored, novel, hr, mrr, hr_novel, counted.covered / len(ITEMS)


def visible_state(engine: Engine) -> list[object]:
    """Return all visible state of an engine."""
    names = sorted(engine.session_ids())
    answers = engine.answer([Request(session_id=name, model=engine.model.name) for name in SESSIONS])
    return [engine.watermark, engine.stats(), [engine.session(name) for name in names], answers]


def test_live_quality_is_what_its_plain_twin_says() -> None:
    """After every batch, in every window, for every model; and the engine has the state of one without evaluator."""
    profile = settings(max_examples=60, stateful_step_count=25, suppress_health_check=list(HealthCheck))
    run_state_machine_as_test(LiveQuality, settings=profile)


@pytest.mark.stress
def test_live_quality_for_long() -> None:
    """Live quality is that of its plain twin for minutes of random logs."""
    profile = settings(max_examples=5000, stateful_step_count=60, suppress_health_check=list(HealthCheck))
    run_state_machine_as_test(LiveQuality, settings=profile)


def test_a_day_of_items_does_not_fill_the_memory() -> None:
    """Items that no window holds any more are dropped: with a new item each millisecond, and windows of a second."""
    engine = Engine(limits=Limits(retention_ms=1_000))
    quality = Quality(engine.split, windows_ms=(1_000,), capacity=10)
    sizes = set()
    for begin in range(0, 100_000, 1_000):
        batch = [Event(f"s{j % 7}", f"i{j}", j) for j in range(begin, begin + 1_000)]
        engine.apply_and_answer(batch, observation=Observation(quality, np.ones(1_000, np.uint8)))
        sizes.add(quality._covered.item.size)
    quality._check()
    assert max(sizes) <= 1 << 16
    assert msgspec.json.decode(msgspec.json.encode(quality.report(1_000)))["n"] == 20
