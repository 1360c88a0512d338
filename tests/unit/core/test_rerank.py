"""Learning an order: it starts as the model's own, learns what the model can't say, and gives way where it fails."""

import random

import numpy as np
import pytest

from stream_rec.core.engine import Engine
from stream_rec.core.events import Event
from stream_rec.core.index import Queries, field
from stream_rec.core.limits import Limits
from stream_rec.core.model import model as preset
from stream_rec.core.rerank import FORMS, CandidateModel, Fit, Learner, Reranker, space_for
from stream_rec.core.rerank.descent import start
from stream_rec.core.rerank.kernel import fields
from stream_rec.core.rerank.past import SPAN_MS, draw_questions

N_ITEMS = 40


def engine_of(sessions: list[list[str]]) -> Engine:
    """Return an engine that holds *sessions*, a minute apart, their events a second apart."""
    engine = Engine(preset("default", seen="keep"), limits=Limits(retention_ms=None))
    engine.apply(
        [
            Event(f"s{number}", item, 60_000 * number + 1_000 * place)
            for number, items in enumerate(sessions)
            for place, item in enumerate(items)
        ]
    )
    return engine


def fit(engine: Engine) -> Fit:
    """Learn from all that *engine* holds."""
    learner = Learner(engine.index)
    return learner.fit(engine.parameters(engine.model), int(engine.index.view.counter(field.WATERMARK)))


def returning(n: int) -> list[list[str]]:
    """Return sessions that go back to their first item after three others: rare for the model, a rule for a learner."""
    chance = random.Random(1)
    drawn = [[f"i{chance.randrange(N_ITEMS)}" for _ in range(4)] for _ in range(n)]
    return [[*each, each[0], f"i{chance.randrange(N_ITEMS)}"] for each in drawn]


def test_without_learning_the_order_is_the_models_own() -> None:
    """All forms start with the model's own order, of what the model brings."""
    engine = engine_of(returning(200))
    weights = start(np.full(fields.MOST_BACK, -7.0))
    for slot in range(0, 200, 17):
        items = engine.index.view.events_of(slot)[0].astype(np.int32)
        answers = space_for(len(FORMS), 5)
        queries = Queries(items, np.zeros(1, np.int64), np.array([items.size]), np.array([slot], np.int64))
        Reranker(engine.index).ask(CandidateModel.of(engine.parameters(engine.model)), weights, queries, answers)
        plain = answers.item[0, : answers.n[0]].tolist()
        assert plain
        assert answers.item[1, : len(plain)].tolist() == plain
        assert answers.item[2, : len(plain)].tolist() == plain


def test_it_learns_that_sessions_return() -> None:
    """What a model of neighbours can't express is learned, and judged to be ahead on questions not seen."""
    learned = fit(engine_of(returning(900)))
    assert learned.examples >= 3_000
    assert learned.mrr["hidden"] > learned.mrr["plain"] + 0.05
    assert learned.best() in {"linear", "hidden"}


def test_too_few_examples_play_nothing() -> None:
    """However far ahead it looks, a small log is answered in the model's own order."""
    learned = fit(engine_of(returning(300)))
    assert learned.examples < 3_000
    assert learned.mrr["hidden"] > learned.mrr["plain"]
    assert learned.best() == "plain"


def test_an_order_that_does_not_hold_gives_way() -> None:
    """Where sessions stop to return, the newest questions judge the learned order, and the model's own is played."""
    chance = random.Random(2)
    begins = chance.choices(range(N_ITEMS), k=220)
    onward = [[f"i{(first + place) % N_ITEMS}" for place in range(6)] for first in begins]
    learned = fit(engine_of([*returning(800), *onward]))
    assert learned.examples >= 3_000
    assert learned.mrr["hidden"] < learned.mrr["plain"]
    assert learned.best() == "plain"


def test_the_ordinals_of_items_change_nothing() -> None:
    """What an index has learned does not depend on the order in which it met items and sessions."""
    events = [event for name in ("even", "odd") for event in _halves()[name]]
    in_time, by_halves = (Engine(limits=Limits(retention_ms=None, allowed_lateness_ms=10**9)) for _ in range(2))
    sorted_by_time = sorted(events, key=lambda event: event.timestamp)
    in_time.apply(sorted_by_time)
    by_halves.apply(events)
    assert [in_time.items.find("i7")] != [by_halves.items.find("i7")]
    a, b = fit(in_time), fit(by_halves)
    assert (a.questions, a.examples, dict(a.mrr)) == (b.questions, b.examples, dict(b.mrr))
    assert [each.tobytes() for each in a.weights] == [each.tobytes() for each in b.weights]


def _halves() -> dict[str, list[Event]]:
    """Return the events of every other session: so many items that not all candidates become part of an example."""
    halves: dict[str, list[Event]] = {"even": [], "odd": []}
    chance = random.Random(4)
    for number in range(300):
        items = [f"i{chance.randrange(4 * N_ITEMS)}" for _ in range(6)]
        halves["odd" if number % 2 else "even"] += [
            Event(f"s{number}", item, 60_000 * number + 1_000 * place) for place, item in enumerate(items)
        ]
    return halves


def test_a_session_of_one_event_asks_nothing() -> None:
    """An index without questions gives weights that rank as the model does."""
    learned = fit(engine_of([["a"], ["b"]]))
    assert (learned.questions, learned.examples, learned.best()) == (0, 0, "plain")
    assert learned.weights.linear.tolist() == start(learned.weights.returns).linear.tolist()


@pytest.mark.parametrize("most", [10, 100])
def test_the_newest_questions_are_drawn(most: int) -> None:
    """With more questions than wanted, whole halves of the sessions are left out, never the newest first."""
    engine = engine_of(returning(400))
    learner = Learner(engine.index)
    learned = learner.fit(engine.parameters(engine.model), int(engine.index.view.counter(field.WATERMARK)), most)
    assert learned.questions == most


@pytest.mark.parametrize("most", [5, 60, 500])
def test_the_newest_questions_are_those_of_all_sessions(most: int) -> None:
    """Few sessions are read, and long ones that began early too: the questions are those of a look at all events."""
    chance, engine = random.Random(most), Engine(limits=Limits(retention_ms=None, allowed_lateness_ms=10**9))
    log = [
        Event(f"s{number}", f"i{chance.randrange(N_ITEMS)}", 80_000_000 * number + chance.randrange(9_000_000_000) * at)
        for number in range(200)
        for at in range(chance.randrange(1, 6))
    ]
    log.sort(key=lambda event: event.timestamp)
    engine.apply(log)
    boundary = log[-20].timestamp
    steps: dict[str, int] = {}
    asked = []
    for event in log:
        place = steps[event.session_id] = steps.get(event.session_id, -1) + 1
        if place and event.timestamp <= boundary:
            asked.append((event.timestamp, event.item_id))
    questions = draw_questions(engine.index.state, boundary, most)
    came = [engine.items.names[item] for item in questions.came.tolist()]
    expected = sorted(asked)[max(0, len(asked) - most) :]
    assert sorted(came) == sorted(item for _, item in expected)


@pytest.mark.parametrize("gap_ms", [10_000, 1_000_000, 20_000_000])
@pytest.mark.parametrize("most", [3, 40])
def test_the_share_of_sessions_is_the_first_that_spans_a_day(gap_ms: int, most: int) -> None:
    """Shares that are passed over without a look at their events are those that a look would have passed over."""
    engine = Engine(limits=Limits(retention_ms=None, allowed_lateness_ms=10**9))
    log = [Event(f"s{n}", f"i{n % N_ITEMS}", gap_ms * n + 1_000 * place) for n in range(600) for place in range(3)]
    engine.apply(log)
    boundary = log[-9].timestamp
    session = engine.index.state.session
    hashes = {f"s{n}": int(session["hash"][engine.sessions.ids.find(f"s{n}")]) for n in range(600)}
    expected: list[int] = []
    for halvings in range(16):
        steps = [e.timestamp for e in log if hashes[e.session_id] < 1 << (64 - halvings) and e.timestamp % gap_ms]
        newest = sorted(time for time in steps if time <= boundary)[-most:]
        if halvings and len(newest) < most:
            break
        expected = newest
        if newest[-1] - newest[0] >= SPAN_MS:
            break
    questions = draw_questions(engine.index.state, boundary, most)
    assert (questions.now + 1_000).tolist() == expected
