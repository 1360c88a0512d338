"""Learned re-ranking: features against their plain twin, and weights that depend on the retained sessions alone."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from laws import Twins, query_of

from stream_rec.core.engine import Engine
from stream_rec.core.events import Event, Forget
from stream_rec.core.index import Queries, field
from stream_rec.core.index.reference import ReferenceStore
from stream_rec.core.limits import Limits
from stream_rec.core.model import PRESETS, Model, changed
from stream_rec.core.rerank import FORMS, CandidateModel, Learner, Reranker, space_for
from stream_rec.core.rerank.descent import start
from stream_rec.core.rerank.kernel import fields
from stream_rec.core.rerank.kernel.fields import Weights
from stream_rec.core.rerank.past import draw_questions
from stream_rec.core.rerank.reference import AsOf, candidates
from stream_rec.core.rerank.reranker import NO_ANSWERS, new_examples

SESSIONS = [f"s{j}" for j in range(6)]
ITEMS = [f"i{j}" for j in range(7)]
HOUR_MS = 3_600_000
LIMITS = Limits(retention_ms=900 * HOUR_MS, allowed_lateness_ms=40 * HOUR_MS, max_session_events=8)

records = st.lists(
    st.tuples(
        st.sampled_from(SESSIONS),
        st.sampled_from(ITEMS),
        st.sampled_from([0, 1_000, 90_000, HOUR_MS, 30 * HOUR_MS, -2_000]),
    ),
    max_size=40,
)
models = st.builds(
    lambda name, seen: changed(PRESETS[name], seen=seen, n=fields.REACH * 2),
    st.sampled_from(["default", "vmis-knn", "stan"]),
    st.sampled_from(["keep", "drop-current", "drop-session"]),
)


def log_of(drawn: Sequence[tuple[str, str, int]]) -> list[Event]:
    now, events = 1_600_000_000_000, []
    for session, item, step in drawn:
        now += step
        events.append(Event(session, item, now))
    return events


def wide(model: Model) -> Model:
    """Return the model as candidates are taken from it."""
    return changed(model, n=128, fallbacks=False)


@given(records, models)
def test_past_questions_have_the_features_of_the_plain_twin(drawn: Any, model: Model) -> None:
    """Law 2: a question that is put back sees what had ended by then, and popularity of today."""
    twins = Twins(LIMITS)
    twins.apply(log_of(drawn))
    engine, store = twins.engine, twins.reference
    boundary = int(engine.index.view.counter(field.WATERMARK))
    questions = draw_questions(engine.index.state, boundary, 1_000)
    past = [(event.time, name, place) for name in store.sessions for place, event in _later(store, name)]
    assert len(questions) == len(past)
    weights = start(-np.arange(1.0, fields.MOST_BACK + 1.0))
    examples = new_examples(len(questions))
    candidates_of = CandidateModel.of(engine.parameters(model))
    Reranker(engine.index).ask_again(candidates_of, weights, questions, NO_ANSWERS, examples)
    queries, names, items = questions.queries, engine.sessions.ids.names, engine.items.names
    for e in range(len(questions)):
        own = str(names[queries.own[e]])
        asked = [str(items[item]) for item in queries.item[queries.begin[e] : queries.end[e]]]
        stored = store.sessions[own]
        assert asked == [event.item for event in stored[: len(asked)]]
        came = str(items[questions.came[e]])
        assert came == stored[len(asked)].item
        as_of = AsOf(store, stored[len(asked) - 1].time)
        expected = candidates(as_of, asked, query_of(wide(model)), own, weights.returns.tolist())
        assert examples.n[e] == (len(expected) if came in expected else 0)
        if came in expected:
            found = examples.x[e, : examples.n[e]].tolist()
            assert found[0] == expected[came]
            assert sorted(found) == sorted(expected.values())


def _later(store: ReferenceStore, name: str) -> list[tuple[int, Any]]:
    return list(enumerate(store.sessions[name]))[1:]


@given(records, models, st.integers(0, 1 << 32))
def test_live_answers_are_in_the_order_of_the_plain_twin(drawn: Any, model: Model, seed: int) -> None:
    """Law 2: live questions see all sessions; each form gives the scores that its formula gives."""
    twins = Twins(LIMITS)
    twins.apply(log_of(drawn))
    engine, store = twins.engine, twins.reference
    weights = _random_weights(seed)
    reranker = Reranker(engine.index)
    # What was put back before must not keep later questions in the past.
    past = draw_questions(engine.index.state, int(engine.index.view.counter(field.WATERMARK)), 2)
    of_model = CandidateModel.of(engine.parameters(changed(model, fallbacks=False)))
    reranker.ask_again(of_model, weights, past, NO_ANSWERS, new_examples(len(past)))
    for name in store.sessions:
        asked = [event.item for event in store.sessions[name]]
        slot = engine.sessions.ids.find(name)
        assert slot is not None
        ordinals = np.array([engine.items.find(item) for item in asked], np.int32)
        queries = Queries(ordinals, np.zeros(1, np.int64), np.array([len(asked)]), np.array([slot], np.int64))
        answers = space_for(len(FORMS), model.n)
        for _ in range(2):
            reranker.ask(of_model, weights, queries, answers)
        expected = candidates(store, asked, query_of(wide(model)), name, weights.returns.tolist())
        for w, form in enumerate(FORMS):
            got = [str(engine.items.names[item]) for item in answers.item[w, : answers.n[w]].tolist()]
            if form == "plain":
                plain = store.answer_session(name, query_of(changed(model, fallbacks=False)))
                assert got == [each.item for each in plain]
                continue
            values = {item: _value(weights, w, np.array(x, np.int16)) for item, x in expected.items()}
            listed = list(expected)
            best = sorted(values, key=lambda item: (-values[item], listed.index(item)))
            assert got == best[: model.n]


def _random_weights(seed: int) -> Weights:
    chance = np.random.default_rng(seed)
    weights = start(chance.normal(-3.0, 1.0, fields.MOST_BACK))
    for array in (weights.linear, weights.hidden, weights.bias, weights.out):
        array[:] += chance.normal(0.0, 0.4, array.shape).astype(np.float32)
    return weights


def _value(weights: Weights, w: int, x: Any) -> float:
    """Return the score in the written order, in 32 bits, in whole grains."""
    scaled = [np.float32(value) * np.float32(1.0 / fields.SCALE) for value in x]
    value = np.float32(0.0)
    for weight, each in zip(weights.linear[w], scaled, strict=True):
        value = np.float32(value + np.float32(weight * each))
    if weights.form[w] == fields.WITH_HIDDEN:
        z = weights.bias[w].copy()
        for row, each in zip(weights.hidden[w], scaled, strict=True):
            z = (z + (row * each).astype(np.float32)).astype(np.float32)
        for out, unit in zip(weights.out[w], z, strict=True):
            value = np.float32(value + np.float32(out * (unit * np.float32(0.05) if unit < 0 else unit)))
    return float(np.floor(float(value) * (1 << 20) + 0.5))


@given(records, st.sampled_from(SESSIONS), models)
def test_weights_are_those_of_the_retained_sessions(drawn: Any, gone: str, model: Model) -> None:
    """Laws 1, 5 and 7: forgetting leaves nothing in the next weights, and neither does a restart or another order."""
    log = log_of(drawn)
    log.append(Event("clock", ITEMS[0], (log[-1].timestamp if log else 0) + 40 * HOUR_MS))
    forgetting, without = Engine(limits=LIMITS), Engine(limits=LIMITS)
    forgetting.apply([*log, Forget(session_id=gone)])
    without.apply([event for event in log if event.session_id != gone])
    restarted = Engine(limits=LIMITS)
    restarted.import_state(without.export_state())
    expected = _fit(without, model)
    assert _fit(forgetting, model) == expected
    assert _fit(restarted, model) == expected


def _fit(engine: Engine, model: Model) -> list[Any]:
    learner = Learner(engine.index)
    fit = learner.fit(engine.parameters(model), int(engine.index.view.counter(field.WATERMARK)))
    return [fit.questions, fit.examples, dict(fit.mrr), *(each.tobytes() for each in fit.weights)]


@given(records, models)
def test_the_questions_before_a_boundary_do_not_depend_on_what_came_later(drawn: Any, model: Model) -> None:
    """Law 1: events after the boundary add no question."""
    log = log_of(drawn)
    half = len(log) // 2
    if half == 0:
        return
    boundary = max(event.timestamp for event in log[:half])
    # Nothing leaves: what is retained is all that came.
    limits = Limits(retention_ms=None, allowed_lateness_ms=40 * HOUR_MS)
    early, late = Engine(limits=limits), Engine(limits=limits)
    early.apply([event for event in log if event.timestamp <= boundary])
    late.apply(log)
    asked = [_named(each, boundary) for each in (early, late)]
    assert asked[0] == asked[1]


def _named(engine: Engine, boundary: int) -> list[tuple[str, int, str]]:
    questions = draw_questions(engine.index.state, boundary, 1_000)
    own = [str(engine.sessions.ids.names[slot]) for slot in questions.queries.own]
    came = [str(engine.items.names[item]) for item in questions.came]
    return list(zip(own, questions.now.tolist(), came, strict=True))
