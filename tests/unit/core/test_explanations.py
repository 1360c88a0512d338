"""Explanations as a user sees them: what is listed, summed up and hidden, and their JSON."""

import msgspec
import numpy as np
import pytest

from stream_rec.core.engine import Engine
from stream_rec.core.events import (
    Answer,
    ByNeighbours,
    ByPopularity,
    ByTheLast,
    Event,
    OtherParts,
    Others,
    Recommendation,
    Request,
    RequestDecoder,
    Ruled,
    SharedOthers,
    encode_answer,
)
from stream_rec.core.limits import Limits
from stream_rec.core.model import EXPLAINED, PRESETS, AnsweredQuery, Explaining, Names, ScoredItem, changed, explain
from stream_rec.library import Recommender

LARGEST_RECORD = 1_000_000  # nearly what a Kafka topic takes by default
ONE_NEIGHBOUR = changed(PRESETS["vmis-knn"], k=1)


def engine_of(*sessions: str, model: object = "vmis-knn") -> Engine:
    """Return an engine with the sessions s0, s1, ..., each given by its items, one event a millisecond."""
    engine = Engine(model)  # type: ignore[arg-type]  # a preset or a model
    pairs = [(f"s{number}", item) for number, items in enumerate(sessions) for item in items.split()]
    engine.apply([Event(session, item, time) for time, (session, item) in enumerate(pairs)])
    return engine


def by_neighbours(item: Recommendation) -> ByNeighbours:
    assert isinstance(item.why, ByNeighbours)
    return item.why


def test_the_factors_of_a_score_by_hand() -> None:
    """Two sessions, one neighbour: shared, similarity, step, place and rarity as the formulas say."""
    engine = engine_of("tent stove rope", "tent stove", model=changed(ONE_NEIGHBOUR, place_decay=1.0, direction=0.5))
    (tent, rope) = sorted(engine.recommend("s1", explain=True), key=lambda item: item.item_id == "rope")
    why = by_neighbours(rope)
    (one,) = why.neighbours
    assert ("s0", 2, 1.5, 1, 0.9) == (one.session_id, one.age_ms, one.similarity, one.step, one.match)
    assert [("stove", 2, 1.0), ("tent", 1, 0.5)] == [(each.item_id, each.position, each.weight) for each in one.shared]
    assert (1, 1.0) == (one.distance, one.direction)
    assert pytest.approx(np.exp(-1.0)) == one.place
    assert pytest.approx(np.log(2.0)) == why.idf
    assert pytest.approx(1.5 * 0.9 * np.exp(-1.0) * np.log(2.0)) == one.share == why.total
    assert pytest.approx(why.total, rel=1e-9) == rope.score
    (before,) = by_neighbours(tent).neighbours
    assert (-1, 0.5) == (before.distance, before.direction)


def test_a_session_ahead_of_the_watermark_is_of_age_zero() -> None:
    """Its event is dated ahead of its log time, which alone moves the watermark."""
    engine = Engine(changed(ONE_NEIGHBOUR, age_days=1.0))
    engine.apply([Event("ahead", "tent", 1000), Event("ahead", "rope", 1000)], log_times=[400, 400])
    assert engine.watermark == 400
    (rope,) = engine.recommend(items=["tent"], explain=True)
    (one,) = by_neighbours(rope).neighbours
    assert (0, 1.0) == (one.age_ms, one.age)


def test_fallbacks_name_their_counts() -> None:
    """A follower names the item before it and how often; a popular item its count."""
    engine = engine_of("p x z", "x y", "q q", model=ONE_NEIGHBOUR)
    reasons = {each.item_id: each.why for each in engine.recommend(items=["x"], explain=True)}
    assert isinstance(reasons["y"], ByNeighbours)
    assert ByTheLast("x", 1) == reasons["z"]
    assert ByPopularity(2.0, 86_400_000) == reasons["q"]


def test_sequential_rules_have_their_share() -> None:
    """With the number of sessions with the rule; without neighbours rules are all there is."""
    engine = engine_of("x y", "x y", "x", model=changed(PRESETS["default"], rules=1.0))
    (item,) = engine.recommend("s2", explain=True)
    assert ByNeighbours(2.0, [], 1.0, rules=Ruled("x", 2, 2.0, 2.0)) == item.why


def test_what_is_not_listed_is_summed_up() -> None:
    """The largest shares and the newest items are listed, up to the limit of neighbours and shared items."""
    engine = engine_of("a b c", "a b c", "b c", "a b")
    point = changed(PRESETS["vmis-knn"], seen="drop-session")
    (whole,) = engine.ask(point, session_id="s3", how=Explaining(most=None))
    (brief,) = engine.ask(point, session_id="s3", how=Explaining(most=1))
    shares = [each.share for each in by_neighbours(whole).neighbours]
    assert sorted(shares, reverse=True) == shares
    assert [each.share for each in by_neighbours(brief).neighbours] == shares[:1]
    assert Others(2, sum(shares[1:])) == by_neighbours(brief).others
    assert SharedOthers(1, 0.5) == by_neighbours(brief).neighbours[0].shared_others
    first, second = by_neighbours(whole).parts
    assert ("b", "a") == (first.item_id, second.item_id)
    assert pytest.approx(shares[0] * 2 * (1 / 3)) == second.share, "of two neighbours: weights 1 and 0.5"
    assert [first] == by_neighbours(brief).parts
    assert OtherParts(1, second.share) == by_neighbours(brief).other_parts
    assert by_neighbours(whole).other_parts is None
    assert by_neighbours(whole).others is None
    assert by_neighbours(whole).neighbours[0].shared_others is None


def test_sessions_can_be_hidden() -> None:
    """The ids of other visitors' sessions are private; all else is listed."""
    engine = engine_of("a b", "a b", "a")
    shown, hidden = engine.answer(
        [Request(session_id="s2", explain=True), Request(session_id="s2", explain=True, hide_sessions=True)]
    )
    assert b'"session_id":"s0"' in encode_answer(shown)
    names = [each.session_id for item in hidden.items for each in by_neighbours(item).neighbours]
    assert names == [None, None]
    assert b"s0" not in encode_answer(hidden)
    assert b"s1" not in encode_answer(hidden)
    assert [each.share for each in by_neighbours(hidden.items[0]).neighbours] == [
        each.share for each in by_neighbours(shown.items[0]).neighbours
    ]


def test_an_answer_is_explained_only_on_request() -> None:
    """Not a byte of other answers changes, whatever was explained before; `hide_sessions` alone explains nothing."""
    engine = engine_of("a b", "a b", "a")
    before = encode_answer(engine.answer([Request(session_id="s2")])[0])
    engine.answer([Request(session_id="s2", explain=True)])
    after = engine.answer([Request(session_id="s2"), Request(session_id="s2", hide_sessions=True)])
    assert [before, before] == [encode_answer(answer) for answer in after]
    assert b"why" not in before


def test_an_explained_answer_is_json_that_reads_back() -> None:
    """`kind` distinguishes the kinds; a field that does not apply is left out."""
    engine = engine_of("p x z", "x y", "q q", model=changed(PRESETS["default"], k=1))
    (answer,) = engine.answer([Request(items=("x",), explain=True)])
    line = encode_answer(answer)
    assert answer == msgspec.json.decode(line, type=Answer)
    assert {"neighbours", "popular"} <= {each["why"]["kind"] for each in msgspec.json.decode(line)["items"]}
    assert b"boost" not in line


def test_a_request_asks_for_an_explanation_by_a_field() -> None:
    """Null and false mean no."""
    read = RequestDecoder().decode
    assert Request(session_id="s", explain=True) == read(b'{"session_id":"s","explain":true}')
    assert Request(session_id="s", hide_sessions=True) == read(b'{"session_id":"s","hide_sessions":true}')
    assert Request(session_id="s") == read(b'{"session_id":"s","explain":false,"hide_sessions":null}')


def test_a_boost_is_one_more_factor() -> None:
    """It multiplies each share as it multiplies the score; the count of a fallback excludes it."""
    engine = engine_of("p x z", "x y", "q q", model=ONE_NEIGHBOUR)
    plainly = engine.recommend(items=["x"], explain=True)
    number = {each.item_id: engine.items.find(each.item_id) or 0 for each in plainly}
    p = engine.parameters(engine.model)
    asked = AnsweredQuery(p, [engine.items.find("x") or 0], -1, dict.fromkeys(number.values(), 3.0))
    sources = {"neighbours": 0, "followed": 1, "popular": 2}
    scored = [ScoredItem(number[each.item_id], 3.0 * each.score, sources[each.source]) for each in plainly]
    names = Names(engine.items.names, engine.sessions.ids.names)
    explained = {
        each.item_id: why
        for each, why in zip(plainly, explain(engine.index.view, names, asked, scored, Explaining()), strict=True)
    }
    boosted, before = explained["y"], by_neighbours(plainly[0])
    assert isinstance(boosted, ByNeighbours)
    assert boosted.boost == 3.0
    assert pytest.approx(3.0 * before.total) == boosted.total
    assert pytest.approx(3.0 * before.neighbours[0].share) == boosted.neighbours[0].share
    assert ByTheLast("x", 1, boost=3.0) == explained["z"]
    assert ByPopularity(2.0, 86_400_000, boost=3.0) == explained["q"]


def test_a_long_explained_answer_fits_into_a_record() -> None:
    """Only the first items are explained, with few enough neighbours and shared items to stay below 1 MB."""
    limits = Limits(retention_ms=None, max_session_events=400)
    engine = Engine(changed(PRESETS["sknn"], last=200, n=200, seen="drop-session"), limits=limits)
    engine.apply(
        [Event(f"{s:040}", f"{i:040}", 1_000 * s + i) for s in range(30) for i in range(300 if s < 29 else 100)]
    )
    (answer,) = engine.answer([Request(session_id=f"{29:040}", explain=True)])
    assert len(answer.items) > EXPLAINED
    assert [EXPLAINED, 10, 10] == [
        sum(each.why is not None for each in answer.items),
        len(by_neighbours(answer.items[0]).neighbours),
        len(by_neighbours(answer.items[0]).neighbours[0].shared),
    ]
    assert 300_000 < len(encode_answer(answer)) < LARGEST_RECORD


def test_the_library_explains_by_a_flag_or_by_options() -> None:
    """In the same way as requests."""
    recommender = Recommender("sknn").fit({"s": (["a", "b"], [1, 2]), "t": (["a", "b"], [3, 4])})
    (item,) = recommender.recommend(items=["a"], explain=True)
    (brief,) = recommender.recommend(items=["a"], explain=Explaining(most=1))
    assert (2, 1) == (len(by_neighbours(item).neighbours), len(by_neighbours(brief).neighbours))
    assert item.score == pytest.approx(by_neighbours(item).total, rel=1e-9)
    (silent,) = recommender.recommend(items=["a"])
    assert silent.why is None
