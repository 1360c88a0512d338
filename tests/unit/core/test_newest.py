"""New items in answers: where they stand, why, and what counts them. `property/test_rules` has which they are."""

import copy

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rules_twin import changes

from stream_rec.core.catalogue import Catalogue, CatalogueItem, Newest
from stream_rec.core.engine import Engine, NextItemQuery
from stream_rec.core.engine.newest import reserved_places
from stream_rec.core.events import ByListing, Event, Recommendation, Request
from stream_rec.core.model import Model, Trial, model
from stream_rec.core.outcome import Observation
from stream_rec.core.quality import Quality
from stream_rec.core.shown import ShownRules

DAY = 86_400_000
NOW = 100 * DAY
SHARE = model(n=4, newest_share=0.25)
CATALOGUE = Catalogue(
    [
        CatalogueItem("tent", category="camping", listed_at=0),
        CatalogueItem("lamp", category="camping", listed_at=NOW - 9 * DAY),
        CatalogueItem("hammock", category="camping", listed_at=NOW - 3 * DAY),
        CatalogueItem("skis", category="winter", listed_at=NOW - DAY),
    ]
)
COUNTED = np.ones(1, np.uint8)
LOG = [
    Event(name, item, NOW + at) for at, (name, item) in enumerate([("ann", "tent"), ("ann", "stove"), ("b", "tent")])
]


def engine(point: Model = SHARE, shown: ShownRules | None = None) -> Engine:
    made = Engine(point, shown=shown)
    made.set_catalogue(CATALOGUE)
    made.apply(LOG)
    return made


def told(answer: list[Recommendation]) -> list[tuple[str, str]]:
    return [(each.item_id, each.source) for each in answer]


def test_places_are_a_share_of_any_first_ones() -> None:
    """So a longer answer begins as a shorter one does; decimals count as they are written."""
    assert (5, 15, 25) == reserved_places(30, 0.1)
    assert (10,) == reserved_places(10, 0.05)
    assert (1, 2, 3) == reserved_places(3, 1.0)
    assert () == reserved_places(4, 0.1)
    for share in (0.07, 0.15, 0.35, 0.6):
        assert reserved_places(200, share)[: len(reserved_places(77, share))] == reserved_places(77, share)


def test_why_says_when_an_item_was_listed_and_why_it_has_the_place() -> None:
    """In `explain` alone; the items are the same with it and without, in every form of the question."""
    made = engine(model(n=4, newest_share=0.25, newest_fallback="before-popular"))
    plain = made.recommend("b")
    assert [("stove", "neighbours"), ("hammock", "newest"), ("lamp", "newest"), ("skis", "newest")] == told(plain)
    explained = made.recommend("b", explain=True)
    assert told(plain) == told(explained)
    whys = [each.why for each in explained[1:]]
    assert ByListing(NOW - 3 * DAY, reserved=True, category="camping") == whys[0]
    assert ByListing(NOW - 9 * DAY, reserved=False, category="camping") == whys[1]
    assert ByListing(NOW - DAY, reserved=False) == whys[2]
    assert [plain] == made.ask_many(made.model, [NextItemQuery("b")])
    assert [plain] == [answer.items for answer in made.answer([Request(session_id="b")])]
    assert told(plain) == told(made.answer([Request(session_id="b", explain=True)])[0].items)


def test_lists_of_popular_items_have_no_new_ones() -> None:
    """And a request without fallbacks gets new items in their places alone."""
    made = engine(model(n=4, newest_share=0.5, newest_fallback="after-popular"))
    assert {"popular"} == {each.source for each in made.listed("popular", Request()).items}
    (answer,) = made.answer([Request(session_id="b", fallbacks=False)])
    assert [("hammock", "newest"), ("stove", "neighbours"), ("lamp", "newest")] == told(answer.items)


def test_a_catalogue_without_times_changes_no_answer() -> None:
    """Neither does none at all."""
    made, other = Engine(SHARE), Engine(model(n=4))
    for each in (made, other):
        each.apply(LOG)
    assert other.recommend("b") == made.recommend("b")
    for each in (made, other):
        each.set_catalogue(Catalogue([CatalogueItem("tent"), CatalogueItem("kayak")]))
    assert other.recommend("b") == made.recommend("b")


def test_answers_leave_the_state_as_it_was() -> None:
    """New items have no ordinal after the batch; and a copy that answered nothing goes on alike."""
    made = engine()
    silent = copy.deepcopy(made)
    more = [Event("b", "stove", NOW + 10), Event("c", "tent", NOW + 11), Event("c", "hammock", NOW + 12)]
    _, answers = made.apply_and_answer(more)
    silent.apply(more)
    assert [("lamp", "newest")] == [pair for pair in told(answers[2].items) if pair[1] == "newest"]  # type: ignore[union-attr]
    assert {"tent", "stove", "hammock"} == set(made.items.live()) == set(silent.items.live())
    for each in (made, silent):
        each._check()
    restored = Engine(SHARE)
    restored.import_state(made.export_state())
    restored.set_catalogue(CATALOGUE)
    assert silent.recommend("c") == made.recommend("c") == restored.recommend("c")


def test_what_was_ignored_makes_way_for_the_next_new_item() -> None:
    """In answers to requests and to events; a click on a new item that was shown counts for the source."""
    made = engine(shown=ShownRules(at_most=1))
    quality = Quality(made.split, n=4)
    (first,) = [name for name, source in told(made.recommend("b")) if source == "newest"]
    assert "hammock" == first
    seen = [
        Event("b", "hammock", NOW + 5, "shown:2:newest"),
        Event("b", "tent", NOW + 6),
        Event("b", "hammock", NOW + 7),
    ]
    for event in seen:
        _, (answer,) = made.apply_and_answer([event], observation=Observation(quality, COUNTED))
        if event is seen[1]:
            assert answer is not None
            assert ("lamp", "newest") in told(answer.items)
            assert "hammock" not in {name for name, _ in told(answer.items)}
    (window, *_) = quality.report(4).windows
    assert [(1, 1)] == [(each.shown, each.clicked) for each in window.shown if each.value == "newest"]


def test_live_quality_counts_a_click_on_a_new_item() -> None:
    """As a hit at its place, though no session held it when it was answered; trials have shares of their own."""
    trial = Trial(model=model(n=4, name="new", newest_share=0.25), shadow=True)
    made = Engine(model(n=4), trials=[trial])
    made.set_catalogue(CATALOGUE)
    quality = Quality(made.split, n=4)
    for event in [*LOG, Event("b", "hammock", NOW + 5)]:
        made.apply_and_answer([event], observation=Observation(quality, COUNTED))
    figures = {each.model: each.hr for each in quality.report(4).windows[0].models}
    assert {"default": 0.0, "new": 0.5} == figures  # of two: ann went on to the stove


@given(first=changes, second=changes, is_asked_first=st.booleans())
def test_the_order_goes_on_from_version_to_version(first: dict, second: dict, is_asked_first: bool) -> None:  # type: ignore[type-arg]
    """It is that of a catalogue made at once, of equal times by hash."""
    before = Catalogue().changed(first)
    if is_asked_first:
        assert before.newest
    after = before.changed(second)
    expected, found = Newest.of(enumerate(after._items)), after.newest
    assert all(np.array_equal(getattr(expected, name), getattr(found, name)) for name in Newest._fields)


@pytest.mark.parametrize("changed", [{"newest_share": 1.5}, {"newest_fallback": "instead"}, {"newest_within_ms": 0}])
def test_parameters_out_of_range_are_refused(changed: dict[str, object]) -> None:
    """With the name of the parameter."""
    with pytest.raises(Exception, match=next(iter(changed))):
        model(**changed)  # type: ignore[arg-type]
