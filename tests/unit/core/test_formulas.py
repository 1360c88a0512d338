"""What the reference says of popularity, followers and repeats, where a visitor would notice another reading."""

from typing import Any, Final

import pytest

from stream_rec.core.engine import Engine
from stream_rec.core.events import Event, Forget
from stream_rec.core.limits import DAY_MS, Limits
from stream_rec.core.model import model

MIDNIGHT: Final = 19_000 * DAY_MS
NEVER_LATE: Final = Limits(retention_ms=None, allowed_lateness_ms=60 * DAY_MS)


def popularity(engine: Engine) -> dict[str, float]:
    return {each.item_id: each.score for each in engine.ask(model("vmis-knn", n=50), items=[])}


@pytest.mark.parametrize("at", [MIDNIGHT, MIDNIGHT + DAY_MS // 2, MIDNIGHT + 12_345_678])
def test_popularity_has_no_jump(at: int) -> None:
    """An event a millisecond old counts nearly as a new one at any time of day; none counts more for being older."""
    engine = Engine(limits=NEVER_LATE)
    ages = [0, 1, 1000, 60_000, DAY_MS // 4, DAY_MS // 2, DAY_MS - 1, DAY_MS, 3 * DAY_MS + 7, 20 * DAY_MS]
    engine.apply([Event(f"s{age}", f"i{age}", at - age) for age in ages])
    scores = popularity(engine)
    for age in ages:
        assert scores[f"i{age}"] == pytest.approx(0.5 ** (age / DAY_MS), rel=1e-3)
    assert sorted(scores.values(), reverse=True) == [scores[f"i{age}"] for age in ages]
    assert (scores["i0"], scores[f"i{DAY_MS}"]) == (1.0, 0.5)


def test_popularity_after_eviction_and_forgetting_is_that_of_a_log_without() -> None:
    """What leaves takes exactly its weight with it, through many half-lives."""
    limits = Limits(retention_ms=500, allowed_lateness_ms=0, popular_half_life_ms=7)
    engine, without = Engine(limits=limits), Engine(limits=limits)
    kept = [Event(f"k{time}", f"i{time % 5}", time) for time in range(0, 3000, 3)]
    gone = [Event(f"g{time}", f"i{time % 3}", time) for time in range(1, 2990, 3)]
    both: list[Event] = sorted([*kept, *gone], key=lambda event: event.timestamp)
    engine.apply(both)
    engine.apply([Forget(session_id=event.session_id) for event in gone])
    without.apply(kept)
    assert popularity(engine) == popularity(without)


def test_an_item_never_follows_itself() -> None:
    """A page that is loaded again is no rule and no follower, also where the item may be recommended."""
    engine = Engine(limits=NEVER_LATE)
    engine.apply([Event("s", item, time) for time, item in enumerate(["a", "a", "a", "b"])])
    only_rules = model("default", rules=1.0, rules_steps=3, seen="keep", repeats="scored", n=5)
    for each in engine.ask(only_rules, items=["a"]):
        assert each.item_id == "b" or each.source == "popular"


def test_a_log_without_repeats_recommends_no_item_of_the_session() -> None:
    """Also where no other item has a score: then the fallbacks answer."""
    engine = Engine(limits=NEVER_LATE)
    engine.apply([Event("s", "a", 1), Event("t", "b", 2), Event("u", "a", 3)])
    answer = engine.ask(model("sknn", repeats="counted", seen="keep", n=5), items=["a"])
    assert [(each.item_id, each.source) for each in answer] == [("a", "popular"), ("b", "popular")]


def test_with_repeats_but_nothing_to_share_with_own_items_keep_their_scores() -> None:
    """The log repeats items, and the only neighbour has no other item."""
    engine = Engine(limits=NEVER_LATE)
    engine.apply([Event("s", "a", 1), Event("s", "a", 2), Event("t", "b", 3)])
    (first, *_) = engine.ask(model("sknn", repeats="counted", seen="keep", n=5), items=["a"])
    assert (first.item_id, first.source, first.score) == ("a", "neighbours", 1.0)


@pytest.mark.parametrize("idf", ["none", "vmis", "added"])
def test_repeats_get_their_share_of_the_scores_as_answered(idf: Any) -> None:
    """With rarity in them: of 9 events that are not the first of their session, 3 repeat, so a third of the scores."""
    engine = Engine(limits=NEVER_LATE)
    log = "s a, s a, s b, s c, t a, t b, t b, t d, u e, u f, u f, u a, v g"
    events = [each.split() for each in log.split(", ")]
    engine.apply([Event(session, item, time) for time, (session, item) in enumerate(events)])
    answer = engine.ask(
        model("vmis-knn", repeats="counted", idf=idf, seen="keep", fallbacks=False, n=50), items=["a", "b"]
    )
    own = sum(each.score for each in answer if each.item_id in {"a", "b"})
    assert own / sum(each.score for each in answer) == pytest.approx(3 / 9, rel=1e-9)
