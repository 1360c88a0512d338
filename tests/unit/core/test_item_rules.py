"""Rules as a caller of the engine sees them: what is refused, what a request may change, and what is free."""

import itertools
from typing import Any

import msgspec
import pytest

from stream_rec.core.catalogue import Catalogue, CatalogueItem, holds
from stream_rec.core.engine import Engine
from stream_rec.core.events import ByNeighbours, Event, Request, RequestDecoder
from stream_rec.core.expressions import Expression
from stream_rec.core.index import AnswerArrays, Parameters, Policy, Queries
from stream_rec.core.model import Rules
from stream_rec.core.model.rules import MOST_SETS
from stream_rec.errors import DecodeError, SettingsError

CATALOGUE = Catalogue(
    CatalogueItem(f"i{j}", category="abc"[j % 3], price=float(j), available=j != 4) for j in range(12)
)


def engine(rules: Rules | None = None) -> Engine:
    made = Engine("vmis-knn", rules=rules)
    made.apply([Event(f"s{j // 3}", f"i{j * 5 % 12}", j) for j in range(60)])
    made.set_catalogue(CATALOGUE)
    return made


def ids(made: Engine, **asked: object) -> list[str]:
    (answer,) = made.answer([Request(session_id="s1", **asked)])  # type: ignore[arg-type]  # fields of a request
    return [each.item_id for each in answer.items]


def test_a_request_narrows_the_standing_rules() -> None:
    """Lists and filters of both hold; its own cap and category replace those of the settings."""
    made = engine(Rules(filter="price < 11", deny=frozenset({"i0"}), max_per_category=1, same_category=True))
    assert not {"i11", "i0", "i4"} & set(ids(made, filter="price >= 0", max_per_category=9))
    assert 1 == len(ids(made))
    assert len(ids(made, max_per_category=9)) > 1
    category = {CATALOGUE.get(name).category for name in ids(made, max_per_category=9)}  # type: ignore[union-attr]
    assert 1 == len(category)
    assert len(ids(made, same_category=False)) == 3


def test_a_boost_multiplies_the_score_before_items_are_ranked() -> None:
    """Those of the settings and of the request both; for fallbacks too."""
    made = engine(Rules(boosts={"price < 2": 2.0}))
    plain = {each.item_id: each.score for each in engine().answer([Request(session_id="s1")])[0].items}
    (answer,) = made.answer([Request(session_id="s1", boost={'category = "b"': 3.0})])
    for each in answer.items:
        item = CATALOGUE.get(each.item_id)
        assert item is not None
        assert item.price is not None
        factor = (2.0 if item.price < 2 else 1.0) * (3.0 if item.category == "b" else 1.0)
        assert each.score == plain[each.item_id] * factor


def test_invalid_rules_are_refused_by_name() -> None:
    """Invalid expressions, too many boosts, and rules that need a catalogue if there is none."""
    made = engine(Rules(boosts={f"price > {j}": 1.5 for j in range(10)}))
    with pytest.raises(SettingsError, match="filter: 'price <' is no expression: at character 8"):
        ids(made, filter="price <")
    with pytest.raises(SettingsError, match="boost: expected at most 15 with those of the settings, found 16"):
        ids(made, boost={f"price < {j}": 1.5 for j in range(6)})
    with pytest.raises(SettingsError, match="boosts: expected at most 15"):
        Engine(rules=Rules(boosts={f"price > {j}": 1.5 for j in range(16)}))
    with pytest.raises(SettingsError, match="boosts"):
        Engine(rules=Rules(boosts={"price > 3": 0.0}))
    for asked in ({"filter": "price > 3"}, {"same_category": True}, {"max_per_category": 2}, {"boost": {"a": 2.0}}):
        with pytest.raises(SettingsError, match=f"{next(iter(asked))}: there is no catalogue"):
            Engine().answer([msgspec.structs.replace(Request(session_id="s"), **asked)])


@pytest.mark.parametrize(
    ("record", "message"),
    [
        (b'{"session_id":"s","filter":"price <"}', "filter: at character 8: expected a value"),
        (b'{"session_id":"s","filter":""}', "filter"),
        (b'{"session_id":"s","boost":{"a b":2}}', "boost[0]: at character 3"),
        (b'{"session_id":"s","boost":{"a":0}}', "boost"),
        (b'{"session_id":"s","allow":[""]}', "allow[0]"),
        (b'{"session_id":"s","max_per_category":0}', "max_per_category"),
        (b'{"session_id":"s","same_category":1}', "same_category"),
    ],
)
def test_a_request_with_invalid_rules_is_refused_by_field(record: bytes, message: str) -> None:
    """The error says what was expected."""
    with pytest.raises(DecodeError) as caught:
        RequestDecoder().decode(record)
    assert message in caught.value.message


def test_a_request_brings_its_rules() -> None:
    """Ids may be whole numbers."""
    request = RequestDecoder().decode(
        b'{"session_id":"s","filter":"a","allow":[1,"b"],"same_category":false,"max_per_category":2,"boost":{"b":2}}'
    )
    assert Request(
        session_id="s", filter="a", allow=("1", "b"), same_category=False, max_per_category=2, boost={"b": 2.0}
    ) == request  # fmt: skip


def test_requests_with_equal_parameters_are_one_kernel_call(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each with rules of its own."""
    made = engine()
    calls = []
    real = made.index.ask_many

    def noted(stacked: Parameters, queries: Queries, policy: Policy, answers: AnswerArrays, *rest: Any) -> None:
        calls.append(len(queries.own))
        real(stacked, queries, policy, answers, *rest)

    monkeypatch.setattr(made.index, "ask_many", noted)
    requests = [
        Request(session_id=f"s{j}", filter=f"price < {j}", exclude=(f"i{j}",), boost={f"price = {j}": 2.0})
        for j in range(12)
    ]
    expected = [made.answer([request])[0] for request in requests]
    calls.clear()
    assert expected == made.answer(requests)
    assert [12] == calls
    mixed = [Request(session_id="s2", n=n) for n in (3, 5, 3, 5, 3)]
    calls.clear()
    assert [3, 5, 3, 5, 3] == [len(answer.items) for answer in made.answer(mixed)]
    assert [3, 2] == calls
    assert [] == made.answer([])


def test_changes_of_the_catalogue_hold_for_items_that_come_later() -> None:
    """For an item without events so far, and for one that was evicted and comes back."""
    made = engine()
    off = CATALOGUE.changed({"late": CatalogueItem("late", available=False)})
    made.set_catalogue(off)
    made.apply([Event("t", "late", 100), Event("u", "late", 101)])
    assert "late" not in ids(made)
    made.set_catalogue(off.changed({"late": CatalogueItem("late")}))
    assert "late" in ids(made)
    made.set_catalogue(off.changed({"late": CatalogueItem("late")}).changed({"late": None}))
    assert "late" in ids(made), "what is not in the catalogue may come"
    made.set_catalogue(Catalogue([CatalogueItem("late", available=False)]))
    assert "late" not in ids(made)


def test_rule_sets_are_cached(monkeypatch: pytest.MonkeyPatch) -> None:
    """Until the catalogue changes."""
    made = engine()
    compiled: list[str] = []
    real = holds

    def noted(expression: Expression, catalogue: Catalogue) -> object:
        compiled.append(str(expression))
        return real(expression, catalogue)

    monkeypatch.setattr("stream_rec.core.model.rules.holds", noted)
    for text in itertools.islice(itertools.cycle(["price < 3", "price < 4"]), 6):
        ids(made, filter=text)
    assert 2 == len(compiled)
    made.set_catalogue(CATALOGUE.changed({"new": CatalogueItem("new")}))
    ids(made, filter="price < 3")
    assert 3 == len(compiled)


def test_what_is_listed_later_is_not_among_the_newest_yet() -> None:
    """An item comes when the log has come to its time, whichever clock the machine has."""
    made = Engine("vmis-knn")
    made.set_catalogue(Catalogue([CatalogueItem("old", listed_at=1_000), CatalogueItem("next", listed_at=3_000)]))
    made.apply([Event("s", "x", 2_000)])
    assert ["old"] == [each.item_id for each in made.listed("newest", Request(n=5)).items]
    made.apply([Event("s", "y", 3_000)])
    assert ["next", "old"] == [each.item_id for each in made.listed("newest", Request(n=5)).items]


def test_trends_may_be_those_of_a_moment_ago() -> None:
    """The answer says as of when; rules are those of now, and nothing erased is told."""
    made, day = Engine(), 86_400_000
    made.set_catalogue(CATALOGUE)
    made.apply([Event("s", "i1", 0), Event("s", "i2", 1), Event("t", "i2", day)])

    def trends(offset: int, fresh: bool = False, **asked: object) -> tuple[set[str], int | None, dict[str, int]]:
        request = Request(**asked)  # type: ignore[arg-type]  # fields of a request
        answer = made.listed("trending", request, {"clicks-0": offset}, fresh=fresh)
        return {each.item_id for each in answer.items}, answer.as_of, answer.offsets

    first = ({"i2"}, day, {"clicks-0": 7})
    assert first == trends(7)
    made.apply([Event("u", "i3", day + 1)])
    assert first == trends(8)
    assert set() == trends(8, exclude=("i2",))[0]
    assert ({"i3"}, day + 1, {"clicks-0": 8}) == trends(8, fresh=True)
    made.set_catalogue(CATALOGUE.changed({"i3": CatalogueItem("i3", available=False)}))
    assert set() == trends(8)[0]
    made.set_catalogue(CATALOGUE)
    assert {"i3"} == trends(8)[0]
    made.forget(session_id="u")
    assert {"i2"} == trends(8)[0]
    made.apply([Event("u", "i5", day + 2)])
    assert {"i2"} == trends(9)[0]
    made.import_state(made.export_state())
    assert {"i5"} == trends(9)[0]


def test_a_batch_may_have_more_rule_sets_than_are_kept() -> None:
    """Each of its requests keeps its own until the batch is answered."""
    made = engine()
    asked = [Request(session_id="s1", filter=f"price > {j / 30}") for j in range(MOST_SETS + 20)]
    alone = [engine().answer([each])[0].items for each in (asked[0], asked[150], asked[-1])]
    answers = made.answer(asked)
    assert [answers[0].items, answers[150].items, answers[-1].items] == alone
    assert len(answers[0].items) > len(answers[150].items) > len(answers[-1].items)


def test_explained_requests_keep_the_rules_and_show_boosts() -> None:
    """Shares add up to the boosted score; also in a batch with requests that are not explained."""
    made = engine(Rules(boosts={"price < 2": 2.0}))
    asked = Request(session_id="s1", filter="price < 10", boost={"price > 3": 3.0})
    explained, plain = made.answer([msgspec.structs.replace(asked, explain=True), asked])
    assert [(each.item_id, each.score) for each in plain.items] == [
        (each.item_id, each.score) for each in explained.items
    ]
    assert {"neighbours", "popular"} <= {each.source for each in explained.items}
    for each in explained.items:
        item = CATALOGUE.get(each.item_id)
        assert item is not None
        assert item.price is not None
        boost = 2.0 if item.price < 2 else 3.0 if item.price > 3 else None
        assert boost == each.why.boost  # type: ignore[union-attr]  # all kinds have one
        if isinstance(each.why, ByNeighbours):
            assert each.score == pytest.approx(each.why.total, rel=1e-9)
