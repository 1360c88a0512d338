"""Against the package WSKNN 1.2.3: equal items and weights where its code does what it documents, and the differences.

Its own settings make both models. docs/explanation/wsknn.md says what is right where the two differ.
"""

import itertools
import random
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from wsknn.model.wsknn import WSKNN
from wsknn.preprocessing.structure.session import Sessions

from stream_rec.core.events import Recommendation
from stream_rec.core.model import wsknn_model
from stream_rec.datasets.logs import movielens_100k
from stream_rec.errors import SettingsError
from stream_rec.library import Recommender

MANY: Final = 10_000
WEIGHTINGS: Final = ("linear", "log", "quadratic")
RANKINGS: Final = ("linear", "inv", "log", "quadratic")
SAMPLINGS: Final = ("common_items", "recent", "random", "weighted_events")
ALL: Final[dict[str, Any]] = {"number_of_recommendations": MANY, "number_of_neighbors": MANY, "sample_size": MANY}
ROWS: Final = {"required_sampling_event_index": 2, "sampling_event_weights_index": 3}

Log = Mapping[int, Sequence[Sequence[Any]]]

events = st.tuples(
    st.integers(0, 12), st.integers(0, 50), st.sampled_from(["view", "buy"]), st.sampled_from([0.25, 0.5, 1.0, 4.0])
)
# Items, times, types and weights of each session; items repeat, and times are in order within a session.
logs = st.dictionaries(
    st.integers(100, 140),
    st.lists(events, min_size=1, max_size=8).map(
        lambda drawn: [list(row) for row in zip(*sorted(drawn, key=lambda event: event[1]), strict=True)]
    ),
    min_size=1,
    max_size=12,
)
queries = st.lists(st.integers(0, 14), min_size=1, max_size=14)


def theirs(log: Log, query: Sequence[int], **settings: Any) -> dict[str, float]:
    """Return the answer of WSKNN, without items of weight 0: see the page."""
    made = WSKNN(**{**ALL, **ROWS, **settings})
    made.fit(dict(log))
    answer = made.recommend([list(query), list(range(len(query)))])
    return {str(item): float(weight) for item, weight in answer or [] if weight > 0}


def ours(log: Log, query: Sequence[int], **settings: Any) -> dict[str, float]:
    made = Recommender(wsknn_model(**{**ALL, **settings})).fit(log)
    return weights(made.recommend(items=list(map(str, query))))


def weights(answer: Sequence[Recommendation]) -> dict[str, float]:
    return {each.item_id: each.score for each in answer}


def near(expected: Mapping[str, float]) -> Any:
    return pytest.approx(expected, rel=1e-9, abs=1e-9)


# --- the same


@given(logs, queries, st.sampled_from(WEIGHTINGS), st.sampled_from(RANKINGS), st.sampled_from(SAMPLINGS), st.booleans())
def test_all_items_and_weights_are_equal(
    log: Log, query: list[int], weighting: str, ranking: str, sampling: str, keeps: bool
) -> None:
    """If no sample is cut off, for all functions, with repeats in sessions and in the query."""
    settings = {
        "weighting_func": weighting,
        "ranking_strategy": ranking,
        "sampling_strategy": sampling,
        "return_events_from_session": keeps,
    }
    assert near(theirs(log, query, **settings)) == ours(log, query, **settings)


@given(logs, queries, st.sampled_from(["view", "buy", "never"]))
def test_a_required_event_is_required_by_both(log: Log, query: list[int], required: str) -> None:
    """Sessions without one are no neighbours."""
    assert near(theirs(log, query, required_sampling_event=required)) == ours(
        log, query, required_sampling_event=required
    )


@given(logs, queries, st.integers(1, 6))
def test_both_sample_the_heaviest_sessions(log: Log, query: list[int], size: int) -> None:
    """If no two sessions have the same mean weight of events."""
    means = [sum(rows[3]) / len(rows[3]) for rows in log.values()]
    assume(len(set(means)) == len(means))
    settings = {"sampling_strategy": "weighted_events", "sample_size": size}
    assert near(theirs(log, query, **settings)) == ours(log, query, **settings)


@given(logs, queries, st.integers(1, 6), st.sampled_from(WEIGHTINGS))
def test_both_choose_the_same_neighbours(log: Log, query: list[int], k: int, weighting: str) -> None:
    """If the k-th and the next are not equally similar: of equals we choose the newer, WSKNN any."""
    made = WSKNN(**{**ALL, "weighting_func": weighting})
    made.fit(dict(log))
    similar = [each[1] for each in made._nearest_neighbors([query, []])]
    assume(len(similar) <= k or similar[k - 1] - similar[k] > 1e-9)
    settings = {"number_of_neighbors": k, "weighting_func": weighting}
    assert near(theirs(log, query, **settings)) == ours(log, query, **settings)


@given(logs, queries, st.integers(1, 9))
def test_both_recommend_the_best(log: Log, query: list[int], n: int) -> None:
    """As many, with the same weights, the largest first."""
    expected = sorted(theirs(log, query).values(), reverse=True)[:n]
    found = ours(log, query, number_of_recommendations=n).values()
    assert pytest.approx(expected, rel=1e-9) == list(found)


def test_a_purchase_weighs_the_same(random_log: Log) -> None:
    """A weight added to each event of a session with a purchase is added to its mean."""
    bump = 2.5
    raised = {
        name: [*rows[:3], [weight + bump * ("buy" in rows[2]) for weight in rows[3]]]
        for name, rows in random_log.items()
    }
    assert near(theirs(raised, [1, 2, 3], sampling_strategy="weighted_events", sample_size=5)) == ours(
        random_log,
        [1, 2, 3],
        sampling_strategy="weighted_events",
        sample_size=5,
        purchase_event="buy",
        purchase_weight=bump,
    )


@pytest.fixture
def random_log() -> Log:
    """Sessions with distinct mean weights."""
    chance = random.Random(4)
    log: dict[int, Sequence[Sequence[Any]]] = {}
    for name in range(30):
        n = chance.randrange(2, 9)
        rows: list[list[Any]] = [
            [chance.randrange(12) for _ in range(n)],
            sorted(chance.randrange(1000) for _ in range(n)),
            [chance.choice(["view", "view", "buy"]) for _ in range(n)],
            [name / 64.0 + 0.5 for _ in range(n)],
        ]
        log[name] = rows
    return log


@pytest.mark.slow
def test_both_recommend_the_same_on_movielens(data: Path) -> None:
    """All functions, all neighbours, for four users, on the log of the tutorial."""
    log: dict[str, list[list[Any]]] = {}
    for event in movielens_100k(data / "ml-100k").events:
        rows = log.setdefault(event.session_id, [[], []])
        rows[0].append(event.item_id)
        rows[1].append(event.timestamp)
    asked = sorted(log, key=int)[::236]
    known = {name: rows for name, rows in log.items() if name not in asked}
    made = WSKNN(**ALL)
    made.fit(known)
    recommender = Recommender(wsknn_model(**ALL)).fit(known)
    for weighting, ranking in itertools.product(WEIGHTINGS, RANKINGS):
        settings = {"weighting_func": weighting, "ranking_strategy": ranking}
        made.set_model_params(**settings)
        point = wsknn_model(**{**ALL, **settings})
        answers = recommender.recommend_many(
            {name: log[name][0] for name in asked}, weight=point.weight, match=point.match
        )
        for name in asked:
            expected = {item: weight for item, weight in made.recommend(log[name]) if weight > 0}
            assert near(expected) == weights(answers[name]), (weighting, ranking, name)


# --- not the same: theirs first, then ours


def test_common_items_are_sampled_from_the_other_end() -> None:
    """WSKNN samples the sessions with the fewest items in common; its documentation, and we, those with the most."""
    log = {1: [["a", "b", "much"], [1, 2, 3]], 2: [["a", "little"], [4, 5]]}
    settings = {"sampling_strategy": "common_items", "sample_size": 1, "return_events_from_session": False}
    assert {"little"} == theirs(log, ["a", "b"], **settings).keys()  # type: ignore[arg-type, list-item]
    assert {"much"} == ours(log, ["a", "b"], **settings).keys()  # type: ignore[arg-type, list-item]


def test_recent_sessions_are_ordered_by_their_first_event() -> None:
    """WSKNN takes the session that began last, even without a later event; we the one with the newest last event."""
    log = {1: [["a", "still there"], [1, 99]], 2: [["a", "long gone"], [2, 3]]}
    settings = {"sampling_strategy": "recent", "sample_size": 1, "return_events_from_session": False}
    assert {"long gone"} == theirs(log, ["a"], **settings).keys()  # type: ignore[arg-type, list-item]
    assert {"still there"} == ours(log, ["a"], **settings).keys()  # type: ignore[arg-type, list-item]


def test_an_empty_answer_is_none() -> None:
    """WSKNN returns None, despite its types; we return an empty list."""
    log = {1: [["a", "b"], [1, 2]]}
    made = WSKNN()
    made.fit(log)
    assert made.recommend([["x"], [1]]) is None
    assert [] == Recommender(wsknn_model()).fit(log).recommend(items=["x"])


def test_settings_of_one_query_stay() -> None:
    """In WSKNN, the settings of one query change the model for all that follow; here they hold for that query alone."""
    log = {1: [["a", "b", "c", "d"], [1, 2, 3, 4]]}
    made = WSKNN(recommend_any=True)
    made.fit(log)
    assert 5 == len(made.recommend([["a"], [1]]))
    assert 2 == len(made.recommend([["a"], [1]], settings={"number_of_recommendations": 2}))
    assert 2 == len(made.recommend([["a"], [1]]))
    assert made.recommend_any is False, "and what was not named is put back to its default"
    recommender = Recommender(wsknn_model()).fit(log)
    assert 2 == len(recommender.recommend(items=["a"], n=2))
    assert 4 == len(recommender.recommend(items=["a"]))


def test_wsknn_fills_up_with_random_items() -> None:
    """The same one several times; we fill up with followers and popular items, each once."""
    log = {1: [["a", "b"], [1, 2]], 2: [["c", "b"], [3, 4]], 3: [["c", "d"], [5, 6]]}
    made = WSKNN(number_of_recommendations=20, recommend_any=True)
    made.fit(log)
    assert 20 == len(made.recommend([["x"], [1]]))
    recommender = Recommender(wsknn_model(number_of_recommendations=20, recommend_any=True)).fit(log)
    answer = recommender.recommend(items=["x"])
    assert ["a", "b", "c", "d"] == sorted(each.item_id for each in answer)
    assert answer == recommender.recommend(items=["x"])


def test_wsknn_recommends_items_of_weight_zero() -> None:
    """Under the linear ranking, neighbours ten steps back give nothing. WSKNN lists their items with 0; we do not."""
    log = {1: [["a", "b"], [1, 2]]}
    query = [*"axyzuvwpqr"]
    made = WSKNN()
    made.fit(log)
    assert [("a", 0.0), ("b", 0.0)] == made.recommend([query, [1] * 10])
    assert [] == Recommender(wsknn_model()).fit(log).recommend(items=query)


def test_a_session_is_its_own_neighbour() -> None:
    """In WSKNN a fitted session is its own most similar one. Here it is not, if the query names it."""
    log = {1: [["a", "b", "own"], [1, 2, 3]], 2: [["a", "other"], [4, 5]]}
    assert {"a", "b", "own", "other"} == theirs(log, ["a", "b"]).keys()  # type: ignore[arg-type, list-item]
    recommender = Recommender(wsknn_model()).fit(log)
    assert {"a", "other"} == weights(recommender.recommend("1", items=["a", "b"])).keys()
    assert {"a", "b", "own", "other"} == weights(recommender.recommend(items=["a", "b"])).keys()


def test_each_purchase_adds_its_weight_again() -> None:
    """WSKNN's parsers add it for each purchase of a session; its documentation, and we, once for the session."""
    parsed = Sessions("s", "i", "t", "a", {"view": 1.0})
    parsed.append({"s": 1, "i": "a", "t": 1, "a": "view"})
    parsed.update_weights_of_purchase_session(1, 2.0)
    parsed.update_weights_of_purchase_session(1, 2.0)
    assert [5.0] == parsed.session_items_actions_map[1][3]
    log = {1: [["a", "b", "b"], [1, 2, 3], ["view", "buy", "buy"]], 2: [["a", "c"], [4, 5], ["view", "view"]]}
    point = wsknn_model(sampling_strategy="weighted_events", sample_size=1, purchase_event="buy", purchase_weight=2.0)
    recommender = Recommender(point, types={"view": 4.5, "buy": 1.0}).fit(log)
    # (4.5 + 1 + 1) / 3 + 2 = 4.17 is less than 4.5; with 2 for each purchase it would be more.
    assert {"a", "c"} == weights(recommender.recommend(items=["a"])).keys()


def test_a_random_sample_of_wsknn_differs_each_time() -> None:
    """Ours depends on the seed alone."""
    log = {name: [["a", f"i{name}"], [name, name + 1]] for name in range(50)}
    settings: dict[str, Any] = {"sampling_strategy": "random", "sample_size": 3}
    made = WSKNN(**{**ALL, **settings})
    made.fit(log)
    assert 1 < len({frozenset(item for item, _ in made.recommend([["a"], [1]])) for _ in range(20)})
    recommender = Recommender(wsknn_model(**{**ALL, **settings})).fit(log)
    assert 1 == len({frozenset(weights(recommender.recommend(items=["a"]))) for _ in range(20)})
    assert 1 < len({frozenset(weights(recommender.recommend(items=["a"], sampling_seed=seed))) for seed in range(20)})


@pytest.mark.parametrize("key", ["sampling_strategy", "weighting_func", "ranking_strategy"])
def test_an_unknown_name_is_refused(key: str) -> None:
    """By the name of the parameter."""
    with pytest.raises(SettingsError) as caught:
        wsknn_model(**{key: "most"})  # type: ignore[arg-type]  # the slip is the point
    assert key == caught.value.key
