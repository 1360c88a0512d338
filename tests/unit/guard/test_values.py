"""What programs pass: whole numbers are ids, everything else that is not text is refused with what to do."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import numpy as np
import pandas as pd
import pytest

from stream_rec import (
    Catalogue,
    CatalogueItem,
    DecodeError,
    Engine,
    Event,
    Forget,
    Recommender,
    Request,
    Rules,
    SettingsError,
)
from stream_rec.core.engine import Engine as CoreEngine
from stream_rec.core.engine import NextItemQuery

VISITS = {1: (10, 20, 30), 2: (10, 20, 40), 3: (10, 20)}


def learned(number: Callable[[int], Any] = str, **how: Any) -> Engine:
    """An engine with the ids of VISITS, each made by *number*."""
    made = Engine("vmis-knn", **how)
    made.apply(
        [
            Event(number(visit), number(item), 1_000 * visit + at, user_id=number(visit + 100))
            for visit, items in VISITS.items()
            for at, item in enumerate(items)
        ]
    )
    return made


WHOLE = [int, np.int64, np.uint8]


@pytest.mark.parametrize("number", WHOLE)
def test_whole_numbers_are_ids_everywhere(number: Callable[[int], Any]) -> None:
    """In events and questions, requests, lists, forgetting, rules, the catalogue: as their text, plain or NumPy's."""
    texts, made = learned(), learned(number)
    three, ten, forty = number(3), number(10), number(40)
    assert texts.session("3") == made.session(three)
    assert texts.recommend("3") == made.recommend(three) != []
    assert texts.recommend(items=["20"]) == made.recommend(items=[number(20)]) != []
    assert texts.ask(texts.model, items=["10"], exclude=["40"]) == made.ask(made.model, items=[ten], exclude=[forty])
    query = NextItemQuery(three, [ten])
    asked = made.ask_many(made.model, [query], exclude=[forty])
    assert texts.ask_many(texts.model, [NextItemQuery("3", ["10"])], exclude=["40"]) == asked
    request = Request(session_id=three, items=(ten,), exclude=(forty,), allow=(number(30), forty))
    as_text = Request(session_id="3", items=("10",), exclude=("40",), allow=("30", "40"))
    assert texts.answer([as_text]) == made.answer([request])
    assert ["30"] == [each.item_id for each in made.answer([request])[0].items]
    catalogue = Catalogue([CatalogueItem(forty, available=False)])
    for each in (texts, made):
        each.set_catalogue(catalogue)
        assert "40" not in {item.item_id for item in each.recommend("3")}
    assert 1 == made.forget(session_id=number(1))
    assert 1 == made.forget(user_id=number(102))
    made.apply([Forget(session_id=three)])
    assert [] == made.session_ids()
    for denying in (learned(deny=[forty]), learned(rules=Rules(deny=frozenset({forty})))):
        assert "40" not in {item.item_id for item in denying.recommend("3")}
    assert {"30"} == {item.item_id for item in learned(rules=Rules(allow=frozenset({number(30)}))).recommend("3")}


@pytest.mark.parametrize("number", WHOLE)
def test_a_recommender_takes_them_too(number: Callable[[int], Any]) -> None:
    """Fitted from whole numbers, and asked by them, one or many."""
    sessions = {
        visit: (list(items), [1_000 * visit + at for at in range(len(items))]) for visit, items in VISITS.items()
    }
    shop = Recommender("vmis-knn", deny=[number(50)]).fit(sessions)
    assert ["10", "20"] == shop.session(number(3))
    assert shop.recommend("3", exclude=["40"]) == shop.recommend(number(3), exclude=[number(40)]) != []
    assert {"3": shop.recommend("3")} == shop.recommend_many([number(3)])
    assert {"7": shop.recommend("7", items=["20"])} == shop.recommend_many({number(7): [number(20)]})
    shop.add(Event(number(3), number(50), 9_000))
    assert ["10", "20", "50"] == shop.session("3")


def test_a_frame_is_no_list_of_ids() -> None:
    """Going over one gives the names of its columns."""
    frame = pd.DataFrame({"visit": ["3"]})
    with pytest.raises(SettingsError, match="found a DataFrame: pass one of its columns"):
        Recommender().recommend_many(frame)


def test_uuids_are_ids() -> None:
    """Learned and asked for as they are, as a frame may hold them."""
    visit, other, tent = UUID(int=1), UUID(int=2), UUID(int=3)
    shop = Recommender("vmis-knn").fit({visit: ([tent, "mat"], [1, 2]), other: ([tent], [3])})
    shop.add(Event(other, "rope", 4))  # type: ignore[arg-type]  # as a program without types passes it
    assert [str(tent), "rope"] == shop.session(other) == shop.session(str(other))
    assert shop.recommend(str(other), exclude=[str(tent)]) == shop.recommend(other, exclude=[tent]) != []
    assert {str(other): shop.recommend(str(other))} == shop.recommend_many([other])


REFUSED = [
    (True, "a truth value is no id"),
    (np.True_, "a truth value is no id"),
    (30.0, r"int\(...\) or str\(...\)"),
    (float("nan"), "nan: drop it"),
    (b"30", "decode"),
    (1j, "pass str"),
    (("30",), "found a tuple"),
]
ASKING: list[Callable[[Engine, Any], object]] = [
    lambda made, wrong: made.recommend(wrong),
    lambda made, wrong: made.recommend(items=["10", wrong]),
    lambda made, wrong: made.ask(made.model, session_id=wrong),
    lambda made, wrong: made.ask(made.model, items=[wrong]),
    lambda made, wrong: made.ask(made.model, items=["10"], exclude=["20", wrong]),
    lambda made, wrong: made.ask_many(made.model, [NextItemQuery(wrong)]),
    lambda made, wrong: made.ask_many(made.model, [NextItemQuery(None, [wrong])]),
    lambda made, wrong: made.answer([Request(session_id="3"), Request(session_id=wrong)]),
    lambda made, wrong: made.answer([Request(items=(wrong,))]),
    lambda made, wrong: made.answer([Request(session_id="3", exclude=(wrong,))]),
    lambda made, wrong: made.answer([Request(session_id="3", allow=(wrong,))]),
    lambda made, wrong: made.session(wrong),
    lambda made, wrong: made.forget(session_id=wrong),
    lambda made, wrong: made.forget(user_id=wrong),
    lambda made, wrong: made.set_catalogue(Catalogue([CatalogueItem("10"), CatalogueItem(wrong)])),
    lambda _, wrong: Engine(deny=["10", wrong]),
    lambda _, wrong: Recommender(deny=[wrong]),
    lambda _, wrong: Recommender().recommend(wrong),
    lambda _, wrong: Recommender().recommend_many(["10", wrong]),
    lambda _, wrong: Recommender().session(wrong),
]


@pytest.mark.parametrize(("wrong", "advice"), REFUSED, ids=str)
@pytest.mark.parametrize("act", ASKING)
def test_other_ids_are_refused_in_questions(act: Callable[[Engine, Any], object], wrong: Any, advice: str) -> None:
    """Floats, bytes, truth values and all else, with what to pass; nothing is answered or forgotten."""
    made = learned()
    before = made.stats()
    with pytest.raises(SettingsError, match=advice):
        act(made, wrong)
    assert before == made.stats()


@pytest.mark.parametrize(("wrong", "advice"), [*REFUSED, (None, "found None")], ids=str)
@pytest.mark.parametrize("field", ["session_id", "item_id", "type", "event_id", "user_id"])
def test_other_ids_are_refused_in_events(field: str, wrong: Any, advice: str) -> None:
    """The error names the event and the field, none of the batch is applied, and the engine stays whole."""
    made = learned()
    before = made.stats()
    values: dict[str, Any] = {"session_id": "3", "item_id": "50", "timestamp": 9_000, field: wrong}
    batch = [Event("3", "60", 8_000), Event(**values)]
    if wrong is None and field in {"event_id", "user_id"}:
        assert 2 == made.apply(batch).n_applied
        return
    for act in (made.apply, made.apply_and_answer):
        with pytest.raises(DecodeError, match=f"event 1, {field}: .*{advice}"):
            act(batch)
    assert before == made.stats()
    made._check()
    assert made.export_state().counts["events"] == before.n_events


@pytest.mark.parametrize(
    ("event", "what"),
    [
        (Event("", "50", 9_000), "session_id: expected an id, found an empty text"),
        (Event("3", "", 9_000), "item_id: expected an id, found an empty text"),
        (Event("3", "\ud800", 9_000), "item_id: character 0 is half a surrogate pair"),
        (Event("3", "x" * 70_000, 9_000), "item_id: has 70000 bytes"),
        (Event("3", "\u20ac" * 30_000, 9_000), "item_id: has 90000 bytes"),
        (Event("3", "50", 9_000.5), "timestamp: expected whole milliseconds"),  # type: ignore[arg-type]
        (Event("3", "50", "soon"), "timestamp: expected whole milliseconds"),  # type: ignore[arg-type]
        (Event("3", "50", 1.7e9), r"timestamp.*seconds.* pass int\(\.\.\. \* 1000\)"),  # type: ignore[arg-type]
        (Event("3", "50", datetime.now(UTC)), r"timestamp.* pass int\(time\.timestamp\(\) \* 1000\)"),  # type: ignore[arg-type]
        (("3", "50", 9_000), r"expected an Event or a Forget, found a tuple: pass Event\(\*\.\.\.\)"),
        (
            {"session_id": "3", "item_id": "50"},
            r"expected an Event or a Forget, found a dict: pass Event\(\*\*\.\.\.\)",
        ),
        (Forget(session_id=3.5), "session_id: .*int"),  # type: ignore[arg-type]
    ],
    ids=lambda each: each if isinstance(each, str) else "",
)
def test_what_no_table_can_store_is_refused(event: Any, what: str) -> None:
    """Alone, and in a batch behind events that are right."""
    made = learned()
    for place, batch in enumerate(([event], [Event("3", "50", 8_000), event])):
        with pytest.raises(DecodeError, match=f"event {place}[,:] {what}"):
            made.apply(batch)
    assert 8 == made.stats().n_events


def test_an_event_alone_is_no_list() -> None:
    """Neither is it a batch that happens to be empty."""
    with pytest.raises(DecodeError, match=r"pass \[Event"):
        learned().apply(Event("3", "50", 9_000))  # type: ignore[arg-type]
    assert 0 == learned().apply(iter(())).n_applied  # type: ignore[arg-type]
    assert 1 == learned().apply(iter([Event("3", "50", 9_000)])).n_applied  # type: ignore[arg-type]


@pytest.mark.parametrize("wrong", ["stove", 40, b"stove"])
@pytest.mark.parametrize(
    "act",
    [
        lambda made, wrong: made.recommend(items=wrong),
        lambda made, wrong: made.ask(made.model, items=["10"], exclude=wrong),
        lambda made, wrong: made.ask_many(made.model, [NextItemQuery(None, wrong)]),
        lambda made, wrong: made.ask_many(made.model, [], exclude=wrong),
        lambda made, wrong: made.answer([Request(session_id="3", items=wrong)]),
        lambda made, wrong: made.answer([Request(session_id="3", exclude=wrong)]),
        lambda made, wrong: made.answer([Request(session_id="3", allow=wrong)]),
        lambda _, wrong: Engine(deny=wrong),
        lambda _, wrong: Recommender(deny=wrong),
        lambda _, wrong: Recommender().recommend_many(wrong),
        lambda _, wrong: Recommender().recommend_many({"a": wrong}),
    ],
)
def test_a_bare_id_is_no_list_of_ids(act: Callable[[Engine, Any], object], wrong: Any) -> None:
    """Its letters would be the ids."""
    with pytest.raises(SettingsError, match=r"expected a list of ids, found .*: pass \["):
        act(learned(), wrong)


@pytest.mark.parametrize("rows", ["1020", ["10", "20"], ("10", [1, 2]), ([10, 20], "12")])
def test_texts_are_no_rows_of_a_session(rows: Any) -> None:
    """`fit({"a": ["10", "20"]})` would learn the items 1 and 0."""
    with pytest.raises(DecodeError, match=r"session 'a': expected \(items, times\).* found"):
        Recommender().fit({"a": rows})


@pytest.mark.parametrize("weight", [float("nan"), float("inf"), -1.0, True, "2", None])
def test_weights_are_finite_numbers_from_0_on(weight: Any) -> None:
    """Of event types and of single events."""
    with pytest.raises(SettingsError, match="type_weights: expected a finite weight"):
        Engine(type_weights={"view": weight})
    with pytest.raises(SettingsError, match="types: expected a finite weight"):
        Recommender(types={"view": 1.0, "cart": weight})
    with pytest.raises(DecodeError, match="expected a weight"):
        Recommender().fit({"a": (["10"], [1], ["view"], [weight])})


def test_the_inside_checks_nothing() -> None:
    """The service and `evaluate` use the core's engine, whose values a decoder has checked."""
    assert CoreEngine.apply is not Engine.apply
    inner = CoreEngine("vmis-knn")
    inner.apply([Event("3", "50", 9_000)])
    assert [] == inner.session(3)  # type: ignore[arg-type]  # unknown, and not looked at


def test_times_in_seconds_are_noticed() -> None:
    """By whatever method they are applied: the warning is about the caller's line."""
    for learn in (Engine().apply, Engine().apply_and_answer, Recommender().add):
        with pytest.warns(UserWarning, match="1700000000 looks like seconds: pass 1700000000000") as caught:
            learn([Event("a", "b", 1_700_000_000)])
        assert [__file__] == [each.filename for each in caught]
