"""The learned order of a running engine: a function of the log, that forgetting, restarts and batches leave intact."""

import random
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from stream_rec.core.engine import Engine, EngineSnapshot, Pace
from stream_rec.core.events import Answer, ByWeights, Event, Forget, Request
from stream_rec.core.limits import Limits
from stream_rec.core.model import Rules, Trial, model
from stream_rec.errors import SettingsError
from stream_rec.snapshot import file

PACE = Pace(questions=40, descent_ms=5_000, fewest_events=300, share=2, fewest_examples=100, most_examples=400)
N_ITEMS = 40
LIMITS = Limits(allowed_lateness_ms=60_000, retention_ms=40 * 3_600_000)


def clicks(n: int, seed: int = 1) -> list[Event]:
    """Return sessions, one a minute, that go back to their first item after three others: a rule for a learner."""
    chance, found = random.Random(seed), []
    for number in range(n):
        drawn = [f"i{chance.randrange(N_ITEMS)}" for _ in range(4)]
        items = [*drawn, drawn[0], f"i{chance.randrange(N_ITEMS)}"]
        found += [Event(f"s{seed}-{number}", item, 60_000 * number + 5_000 * at) for at, item in enumerate(items)]
    return found


def learning(rerank: str = "auto", **others: object) -> Engine:
    return Engine(model(rerank=rerank), limits=LIMITS, pace=PACE, **others)  # type: ignore[arg-type]  # by name


def answers_of(engine: Engine, events: Sequence[Event | Forget], at_once: int) -> list[Answer | None]:
    found: list[Answer | None] = []
    for begin in range(0, len(events), at_once):
        found += engine.apply_and_answer(events[begin : begin + at_once])[1]
    return found


LOG = clicks(180)


@pytest.fixture(scope="module")
def answered() -> list[Answer | None]:
    """The answers to the log, event by event."""
    return answers_of(learning(), LOG, 1)


def test_a_learned_order_is_played_once_it_is_ahead(answered: list[Answer | None]) -> None:
    """Answers name their weights, which are of a boundary before them, and bring back what visitors come back to."""
    names = [None if answer is None else answer.weights for answer in answered]
    assert names[:300] == [None] * 300, "nothing was learned from so few"
    first = next(place for place, name in enumerate(names) if name is not None)
    assert all(names[first:])
    assert len(set(names[first:])) > 1, "learned again"
    for event, name in zip(LOG, names, strict=True):
        if name is not None:
            form, _, boundary = name.partition("@")
            assert form in {"linear", "hidden"}
            assert int(boundary) < event.timestamp - 60_000
    found = [place for place in range(first, len(LOG)) if LOG[place].session_id == LOG[place - 3].session_id]
    third = [place for place in found if LOG[place].timestamp % 60_000 == 15_000]
    back = [LOG[place + 1].item_id == answered[place].items[0].item_id for place in third[:-1]]  # type: ignore[union-attr]
    assert sum(back) / len(back) > 0.5, "the first item comes back, which the model does not know"


@pytest.mark.parametrize("at_once", [7, 400])
def test_batches_change_nothing(answered: list[Answer | None], at_once: int) -> None:
    """Law 1: the same weights are played at the same event, however the log is cut into batches."""
    assert answers_of(learning(), LOG, at_once) == answered


@pytest.mark.parametrize("cut", [500, 520, 640, 700])
def test_a_restart_changes_nothing(answered: list[Answer | None], cut: int, tmp_path: Path) -> None:
    """Law 5: a state that was taken anywhere, also within a fit, goes on as the engine would have."""
    engine, restarted = learning(), learning()
    engine.apply_and_answer(LOG[:cut])
    file.replace(tmp_path / "it.snapshot", engine.export_state(), file.About(None, {}, {}))
    restarted.import_state(file.read(tmp_path / "it.snapshot").state)
    assert answers_of(restarted, LOG[cut:], 50) == answered[cut:]


def test_weights_of_other_parameters_are_not_taken_over() -> None:
    """A state goes on under another model, which learns its own weights."""
    engine, other = learning(), Engine(model(k=7, rerank="auto"), limits=LIMITS, pace=PACE)
    answers_of(engine, LOG[:700], 100)
    assert engine.learned_orders()[0].playing is not None
    other.import_state(engine.export_state())
    assert other.learned_orders()[0].playing is None
    answers_of(other, LOG[700:], 100)
    assert other.learned_orders()[0].questions > 0


def test_what_runs_beside_changes_nothing(answered: list[Answer | None]) -> None:
    """A descent may be done at once, or when its end is waited for."""

    def at_once(work: object) -> object:
        work()  # type: ignore[operator]
        return lambda: None

    assert answers_of(learning(beside=at_once), LOG, 100) == answered


def test_forgetting_leaves_no_weights() -> None:
    """Law 7: weights that may hold a forgotten session are dropped; the next are those of a log without it."""
    gone, end = LOG[6 * 30].session_id, len(LOG) * 5 // 6
    forgetting, without = learning(), learning()
    answers_of(forgetting, LOG[:end], 100)
    assert forgetting.recommend(LOG[end - 1].session_id)
    assert forgetting.learned_orders()[0].playing is not None
    forgetting.forget(session_id=gone)
    assert forgetting.learned_orders()[0].playing is None
    assert forgetting.answer([Request(session_id=LOG[end - 1].session_id)])[0].weights is None
    # The other never had it, and learned nothing so far.
    late = learning("linear")
    late.apply([event for event in LOG[:end] if event.session_id != gone])
    without.import_state(state_without_weights(late))
    assert answers_of(forgetting, LOG[end:], 100) == answers_of(without, LOG[end:], 100)
    assert forgetting.learned_orders()[0].playing is not None, "learned again"


def state_without_weights(engine: Engine) -> EngineSnapshot:
    return replace(engine.export_state(), learned=None)


def test_the_models_own_order_comes_back_where_learning_fails() -> None:
    """Guard: sessions stop to return; within 900 events of that, no learned order is played."""
    engine, chance = learning(), random.Random(2)
    answers_of(engine, LOG, 200)
    assert engine.learned_orders()[0].playing is not None
    begins = chance.choices(range(N_ITEMS), k=150)
    onward = [
        Event(f"o{number}", f"i{(first + at) % N_ITEMS}", 60_000 * (400 + number) + 5_000 * at)
        for number, first in enumerate(begins)
        for at in range(6)
    ]
    answers = answers_of(engine, onward, 200)
    played = [answer is not None and answer.weights is not None for answer in answers]
    assert played[0]
    assert False in played
    assert played.index(False) < 900


def test_rules_and_requests_hold() -> None:
    """A denied item never comes back; a request may ask for the model's own order; parameters that differ have none."""
    engine = learning(deny=("i1",), rules=Rules())
    engine.apply(LOG)
    session = LOG[-1].session_id
    (learned, plain, other, few) = engine.answer(
        [
            Request(session_id=session),
            Request(session_id=session, rerank="off"),
            Request(session_id=session, m=7),
            Request(session_id=session, n=3),
        ]
    )
    assert learned.weights is not None
    assert plain.weights is other.weights is None
    own = Engine(model(), limits=LIMITS, deny=("i1",))
    own.apply(LOG)
    assert plain.items == own.recommend(session)
    assert few.items == learned.items[:3]
    assert len(learned.items) == 20
    for answer in (learned, plain):
        assert "i1" not in {each.item_id for each in answer.items}
    assert learned.items != plain.items
    excluded = learned.items[0].item_id
    (again,) = engine.answer([Request(session_id=session, exclude=(excluded,), n=19)])
    assert [each.item_id for each in again.items] == [each.item_id for each in learned.items[1:]]


@pytest.mark.parametrize("form", ["linear", "hidden"])
def test_the_features_add_up(form: str) -> None:
    """What the features add, and the typical score, is the score."""
    engine = learning(form)
    engine.apply(LOG)
    items = engine.recommend(LOG[-1].session_id, explain=True)
    assert items
    typical = set()
    for each in items:
        why = each.why
        assert isinstance(why, ByWeights)
        assert why.total == each.score
        assert why.typical + sum(feature.share for feature in why.features) == pytest.approx(why.total, abs=1e-9)
        assert why.weights.startswith(form)
        typical.add(round(why.typical, 4))
    assert len(typical) == 1, "the mean of the candidates is the same for all"


def test_a_shadow_may_have_the_other_order() -> None:
    """Models beside each other: with and without a learned order, in one batch."""
    trial = Trial(model=model(name="plain", rerank="none"), share=0.5)
    engine = learning(trials=[trial])
    answers = [answer for answer in answers_of(engine, LOG, 90)[-100:] if answer is not None]
    named = {(answer.model, answer.weights is None) for answer in answers}
    assert named == {("plain", True), ("default", False)}


def test_a_mistaken_order_is_refused() -> None:
    """The parameter is named."""
    with pytest.raises(SettingsError, match="rerank"):
        model(rerank="best")  # type: ignore[arg-type]  # that is the mistake
