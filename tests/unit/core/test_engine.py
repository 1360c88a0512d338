"""The engine as a library: what its methods do and refuse, by small examples."""

from collections.abc import Callable
from math import exp
from typing import Any

import msgspec
import numpy as np
import pytest

from stream_rec.core.engine import COMMON_TYPES, MOST_TYPES, MOST_VARIANTS, Engine, NextItemQuery
from stream_rec.core.events import Event, Forget, Reason, Request
from stream_rec.core.limits import Limits
from stream_rec.core.model import PRESETS, changed, model
from stream_rec.errors import SettingsError

TEA = [
    Event("anna", "tea", 1_000),
    Event("anna", "cup", 2_000),
    Event("ben", "tea", 3_000),
    Event("ben", "milk", 4_000),
    Event("ben", "cup", 5_000),
    Event("cleo", "tea", 6_000),
]


@pytest.fixture
def shop() -> Engine:
    engine = Engine()
    assert engine.apply(TEA).n_applied == len(TEA)
    return engine


def names(engine: Engine, session: str, **others: object) -> list[str]:
    (answer,) = engine.answer([Request(session_id=session, **others)])  # type: ignore[arg-type]
    return [each.item_id for each in answer.items]


def test_an_event_counts_for_the_next_query(shop: Engine) -> None:
    """The first query after an event uses it."""
    assert "pot" not in names(shop, "cleo")
    shop.apply([Event("ben", "pot", 7_000)])
    assert "pot" in names(shop, "cleo")


def test_queries_asked_at_once_see_their_own_items_only(shop: Engine) -> None:
    """Law 3: an answer is that of the query alone, whatever is asked before it in the same call."""
    queries = [NextItemQuery(None, [item]) for item in ("milk", "tea", "cup")]
    alone = [shop.ask(shop.model, items=each.items) for each in queries]
    assert shop.ask_many(shop.model, queries) == alone


def test_each_item_names_its_source(shop: Engine) -> None:
    """Neighbours come first, then followers of the last item, then popular items."""
    assert {each.source for each in shop.recommend("cleo")} == {"neighbours"}
    assert {each.source for each in shop.recommend("unknown")} == {"popular"}
    last = shop.recommend(items=["milk"], n=3)
    assert [each.source for each in last][:2] == ["neighbours", "neighbours"]


def test_followers_and_popular_items_fill_a_short_answer() -> None:
    """With one neighbour: its items, then items that followed the last one elsewhere, then popular items."""
    engine = Engine(changed(PRESETS["vmis-knn"], k=1))
    log = [("old", "p"), ("old", "x"), ("old", "z"), ("new", "x"), ("new", "y"), ("far", "q")]
    engine.apply([Event(session, item, time) for time, (session, item) in enumerate(log)])
    answer = engine.recommend(items=["x"])
    assert [(each.item_id, each.source) for each in answer[:2]] == [("y", "neighbours"), ("z", "followed")]
    assert {(each.item_id, each.source) for each in answer[2:]} == {("p", "popular"), ("q", "popular")}


def test_seen_items_may_be_kept_or_dropped(shop: Engine) -> None:
    """All of them, all but the current one, or none."""
    assert "cup" in names(shop, "ben", seen="keep")
    assert "cup" not in names(shop, "ben", seen="drop-current")
    assert {"tea", "milk", "cup"}.isdisjoint(names(shop, "ben", seen="drop-session"))


def test_denied_items_are_never_recommended() -> None:
    """From no source; sessions still count as sharing them."""
    engine = Engine(deny=["cup"])
    engine.apply(TEA)
    assert "cup" not in names(engine, "cleo")
    assert "cup" not in names(engine, "unknown")
    assert "milk" in names(engine, "anna"), "ben is a neighbour by tea and cup"


def test_a_request_brings_its_own_parameters(shop: Engine) -> None:
    """They hold for this request only."""
    assert len(names(shop, "cleo", n=1)) == 1
    assert names(shop, "cleo", exclude=("cup",)).count("cup") == 0
    assert names(shop, "unknown", fallbacks=False) == []
    (answer,) = shop.answer([Request(request_id="r", session_id="cleo", preset="stan")], {"clicks-0": 9})
    assert (answer.model, answer.request_id, answer.offsets) == ("stan", "r", {"clicks-0": 9})
    assert len(names(shop, "cleo")) > 1


@pytest.mark.parametrize(("key", "value"), [("m", 0), ("k", -1), ("n", 0), ("last", 0), ("seen", "never")])
def test_parameters_out_of_range_are_refused_by_name(key: str, value: Any) -> None:
    """The error names the parameter that must change."""
    with pytest.raises(SettingsError) as refused:
        model("vmis-knn", **{key: value})
    assert refused.value.key == key


def test_an_unknown_name_is_refused_with_the_known_ones() -> None:
    """Of presets and of parameters."""
    with pytest.raises(SettingsError, match="none of default, sknn"):
        Engine("vmis")
    with pytest.raises(SettingsError, match="no parameter"):
        model("sknn", neighbours=3)  # type: ignore[call-arg]  # the wrong name is the point


def test_an_answer_states_the_watermark_right_after_its_event() -> None:
    """Not that at the end of the batch; a late event gets no answer."""
    engine = Engine(limits=Limits(allowed_lateness_ms=10, retention_ms=1_000))
    events = [Event("a", "x", 100), Event("b", "y", 200), Event("a", "z", 195), Event("c", "x", 100)]
    applied, answers = engine.apply_and_answer(events)
    assert applied.reasons == [None, None, None, Reason.LATE]
    assert [answer and answer.as_of for answer in answers] == [100, 200, 200, None]


def test_forgetting_a_user_erases_all_sessions_of_the_user() -> None:
    """Shared ones too; a session that started again has only its new users."""
    engine = Engine(limits=Limits(retention_ms=100, allowed_lateness_ms=0))
    engine.apply([Event("s", "a", 1, user_id="u"), Event("t", "a", 2, user_id="v"), Event("s", "b", 3, user_id="v")])
    engine.apply([Event("r", "a", 3, user_id="u")])
    assert engine.forget(user_id="u") == 2
    assert engine.session("s") == engine.session("r") == []
    assert [event.item_id for event in engine.session("t")] == ["a"]
    engine.apply([Event("t", "c", 103, user_id="w")])
    assert [event.item_id for event in engine.session("t")] == ["c"], "started again after the retention"
    assert engine.forget(user_id="v") == 0
    assert engine.forget(user_id="w") == 1
    assert engine.forget(session_id="never seen") == 0


def test_forgetting_in_the_log_counts_as_applied() -> None:
    """A batch may hold events and orders to forget, in order."""
    engine = Engine()
    applied, answers = engine.apply_and_answer([TEA[0], Forget(session_id="anna"), TEA[1]])
    assert applied.reasons == [None, None, None]
    assert [answer is not None for answer in answers] == [True, False, True]
    assert [event.item_id for event in engine.session("anna")] == ["cup"]


def test_sessions_are_cut_from_users_by_an_idle_gap() -> None:
    """For a log that has users but no sessions."""
    engine = Engine(session_gap_ms=1_000)
    times = [0, 900, 1_900, 3_500]
    engine.apply([Event("", f"i{time}", time, user_id="u") for time in times])
    assert sorted(engine.session_ids()) == ["u@0", "u@3500"]


def test_an_event_that_cannot_be_stored_moves_no_users_session() -> None:
    """Its time must not become the watermark of the sessionizer."""
    engine = Engine(session_gap_ms=1_000)
    engine.apply([Event("", "a", 1_000, user_id="u")])
    with pytest.raises(OverflowError):
        engine.apply([Event("", "b", 1 << 70, user_id="u")])
    engine.apply([Event("", "c", 1_500, user_id="u")])
    assert engine.session_ids() == ["u@1000"]


def test_event_types_are_a_closed_set() -> None:
    """An event of a type beyond those that a byte can number is rejected, not miscounted."""
    engine = Engine()
    n_others = MOST_TYPES - len(COMMON_TYPES)
    events = [Event("s", "i", time, f"type-{time}") for time in range(n_others + 2)]
    reasons = engine.apply(events).reasons
    assert reasons == [None] * n_others + [Reason.UNKNOWN_TYPE] * 2
    engine._check()


@pytest.mark.parametrize(
    "bad",
    [
        Event("s\ud800", "i", 1),
        Event("s", "i" * 70_000, 1),
        Event("s", "i", 1 << 70),
        Event("s", "i", 1.5),  # type: ignore[arg-type]  # the point of it
        Event("s", 7, 1),  # type: ignore[arg-type]  # the point of it
    ],
)
def test_an_event_that_cannot_be_stored_changes_nothing(shop: Engine, bad: Event) -> None:
    """No decoder lets it through; a program that makes its own events gets an error and can go on."""
    before = shop.recommend("cleo")
    with pytest.raises((ValueError, TypeError, OverflowError, AttributeError)):
        shop.apply([Event("new", "thing", 7_000), bad])
    shop._check()
    assert shop.recommend("cleo") == before
    assert shop.session("new") == []
    assert shop.apply([Event("new", "thing", 7_000)]).n_applied == 1


def test_a_request_for_a_preset_keeps_the_engines_numbers() -> None:
    """A preset is its formulas: sample, neighbours, length and fallbacks stay those of the engine."""
    engine = Engine(changed(PRESETS["vmis-knn"], fallbacks=False, n=1))
    engine.apply(TEA)
    assert names(engine, "unknown", preset="stan") == []
    assert len(names(engine, "cleo", preset="stan")) == 1


def test_the_cache_of_parameter_sets_is_bounded() -> None:
    """Tuning asks with thousands of them."""
    engine = Engine()
    engine.apply(TEA)
    for m in range(1, MOST_VARIANTS + 10):
        engine.ask(changed(engine.model, m=m), session_id="cleo")
        engine.answer([Request(session_id="cleo", m=m)])
    assert len(engine._models._compiled) <= MOST_VARIANTS
    assert len(engine._models._variants) <= MOST_VARIANTS


@pytest.mark.parametrize(
    ("make", "key"),
    [
        (lambda: Engine(limits=Limits(max_sessions=0)), "max_sessions"),
        (lambda: Engine(msgspec.structs.replace(PRESETS["sknn"], k=0)), "k"),
        (lambda: Engine().ask(msgspec.structs.replace(PRESETS["sknn"], last=0), items=["a"]), "last"),
    ],
)
def test_values_out_of_range_are_refused_wherever_they_come_from(make: Callable[[], object], key: str) -> None:
    """A Struct checks nothing when it is made; the engine checks before use."""
    with pytest.raises(SettingsError) as refused:
        make()
    assert refused.value.key == key


def test_a_short_retention_shortens_the_lateness() -> None:
    """Unless a lateness is set."""
    assert Limits(retention_ms=60_000).lateness_ms == 30_000
    assert Limits(retention_ms=None).lateness_ms == 3_600_000


def test_a_lateness_beyond_the_retention_is_refused() -> None:
    """An event could join a session that has left."""
    with pytest.raises(SettingsError, match="retention"):
        Limits(retention_ms=10, allowed_lateness_ms=11)


def test_forgetting_reaches_the_event_ids_of_an_evicted_session() -> None:
    """Its events are gone already; its event ids must not reject events of a later session of that name."""
    engine = Engine(limits=Limits(retention_ms=None, max_sessions=1))
    engine.apply([Event("anna", "tea", 1_000, event_id="e1"), Event("ben", "cup", 2_000)])
    assert engine.apply([Event("anna", "tea", 3_000, event_id="e1")]).reasons == [Reason.DUPLICATE]
    engine.forget(session_id="anna")
    assert engine.apply([Event("anna", "tea", 3_000, event_id="e1")]).reasons == [None]


def test_an_empty_event_id_counts_as_none_in_every_batch() -> None:
    """As in decoding: a batch must leave the same state as its events one by one."""
    batch = [
        Event("anna", "tea", 1, event_id=""),
        Event("ben", "cup", 2, event_id="e"),
        Event("ben", "tea", 3, event_id=""),
    ]
    assert Engine().apply(batch).reasons == [None, None, None]


@pytest.mark.parametrize("time", [-(2**62), 2**62, 2**63 - 1])
def test_a_time_too_far_away_is_refused(time: int) -> None:
    """Differences of such times overflow 64 bits, and the kernel would never end."""
    engine = Engine()
    with pytest.raises(OverflowError, match="1970"):
        engine.apply([Event("anna", "tea", 2**60), Event("ben", "tea", time)])
    assert engine.stats().n_sessions == len(engine.sessions.ids) == 0
    assert engine.apply([Event("anna", "tea", -(2**60)), Event("ben", "tea", 2**60)]).n_applied == 2
    engine._check()


def sampled(engine: Engine, query: str, **changes: Any) -> set[str]:
    """Return the sample of one, or of as many as *changes* say, by the items that only the sampled sessions hold."""
    given: dict[str, Any] = {"m": 1, "n": 50, "seen": "drop-session", "fallbacks": False, **changes}
    point = model("wsknn", **given)
    return {each.item_id for each in engine.ask(point, items=query.split())}


@pytest.fixture
def shelves() -> Engine:
    """Each session has an item of its own name; later ones are newer."""
    engine = Engine(type_weights={"cart": 3.0, "purchase": 2.0})
    log = [("many", "tea cup pot"), ("cart", "tea"), ("bought", "tea"), ("new", "tea")]
    kinds = {"cart": "cart", "bought": "purchase"}
    engine.apply(
        [
            Event(name, item, time * 1_000 + place, kinds.get(name, "view"))
            for time, (name, items) in enumerate(log)
            for place, item in enumerate([*items.split(), name])
        ]
    )
    return engine


def test_the_sample_is_the_newest_the_most_alike_or_the_heaviest(shelves: Engine) -> None:
    """As `sampling` says."""
    assert {"new"} == sampled(shelves, "tea cup pot")
    assert {"many"} == sampled(shelves, "tea cup pot", sampling="common-items")
    assert {"cart"} == sampled(shelves, "tea cup pot", sampling="weighted-events")


def test_a_purchase_makes_its_session_heavier(shelves: Engine) -> None:
    """By the bonus, once, whatever its events weigh."""
    heavier = {"sampling": "weighted-events", "bonus_type": "purchase"}
    assert {"cart"} == sampled(shelves, "tea", **heavier, bonus=0.9)
    assert {"bought"} == sampled(shelves, "tea", **heavier, bonus=1.1)


def test_of_equal_sessions_the_newer_is_sampled(shelves: Engine) -> None:
    """All share one item with the query."""
    assert {"new"} == sampled(shelves, "tea", sampling="common-items")


def test_a_random_sample_is_drawn_by_the_seed_alone() -> None:
    """In whatever order sessions came; other seeds draw other samples, and each session is drawn by some."""
    events = [Event(f"s{i}", item, i) for i in range(20) for item in ("tea", f"i{i}")]
    forth, back = Engine(), Engine()
    forth.apply(events)
    back.apply(events[::-1])
    drawn = [sampled(forth, "tea", m=5, k=5, sampling="random", sampling_seed=seed) for seed in range(40)]
    assert drawn == [sampled(back, "tea", m=5, k=5, sampling="random", sampling_seed=seed) for seed in range(40)]
    assert {5} == {len(each) for each in drawn}
    assert 30 < len(set(map(frozenset, drawn)))
    assert {f"i{i}" for i in range(20)} == set().union(*drawn)


def test_one_of_several_types_may_be_required(shelves: Engine) -> None:
    """A session with an event of any of them passes."""
    assert {"bought"} == sampled(shelves, "tea", require_type=("purchase", "never"))
    assert {"bought", "cart"} == sampled(shelves, "tea", m=9, require_type=("purchase", "cart"))
    assert set() == sampled(shelves, "tea", require_type="never")


def test_items_that_a_neighbour_repeats_count_once_or_every_time() -> None:
    """As the model says; by place, each of its places counts."""
    engine = Engine()
    engine.apply([Event("s", item, time) for time, item in enumerate(["tea", "cup", "pot", "cup"])])

    def score(**changes: Any) -> float:
        (cup,) = engine.ask(model("wsknn", fallbacks=False, n=1, **changes), items=["tea"])
        assert "cup" == cup.item_id
        return cup.score

    once = engine.ask(model("wsknn", every_time=False), items=["tea"])[0].score
    assert 2 * once == score()
    assert exp(-1 / 2.0) + exp(-3 / 2.0) == pytest.approx(score(place_decay=2.0) / once)


def test_log_times_are_whole_numbers() -> None:
    """As many as events; a column of another type is refused before anything is applied."""
    events = [Event("s", "a", 1_000), Event("s", "b", 2_000)]
    for log_times, error in (([1_000, 1.5], TypeError), (np.array([1.0, 2.0]), TypeError), ([1_000], ValueError)):
        engine = Engine()
        with pytest.raises(error):
            engine.apply(events, log_times=log_times)  # type: ignore[arg-type]  # what a checker would find
        assert engine.watermark is None
    for good in ([1_000, 1_500], [1_000, None], np.array([1_000, 1_500], np.int32)):
        assert 2 == Engine().apply(events, log_times=good).n_applied  # type: ignore[arg-type]  # of 32 bits, the last
