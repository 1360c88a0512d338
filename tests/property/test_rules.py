"""Law 2 for rules: under random rules, catalogues and changes of them, answers are those of the plain twin."""

import itertools
from unittest.mock import patch

import lists_twin
import msgspec
import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test
from laws import cost_of, plain, query_of, small, small_limits
from rules_twin import ITEMS, changes, requests, standing, terms_of

from stream_rec.core.catalogue import Catalogue, CatalogueItem
from stream_rec.core.engine import Engine
from stream_rec.core.events import Event, Request
from stream_rec.core.index import field
from stream_rec.core.index.reference import ReferenceStore
from stream_rec.core.limits import Limits
from stream_rec.core.model import PRESETS, Model, Rules, changed
from stream_rec.core.model import rules as compiled_rules
from stream_rec.errors import SettingsError

SESSIONS = [f"s{j}" for j in range(6)]
events = st.tuples(st.sampled_from(SESSIONS), st.sampled_from(ITEMS), st.sampled_from([0, 0, 1, 3, 9, 30, -2]))
POINTS = [small(preset, n=6) for preset in PRESETS]
POINTS += [
    small("default", n=6, newest_share=0.3, newest_within_ms=50, seen="drop-session"),
    small("sknn", n=7, newest_share=0.15, newest_fallback="before-popular"),
    small("default", n=5, newest_fallback="after-popular", seen="keep"),
    small("stan", n=4, newest_share=1.0, newest_fallback="before-popular", newest_within_ms=15),
]


class Ruled(RuleBasedStateMachine):
    """A random log, a changing catalogue, and queries of all kinds."""

    @initialize(limits=small_limits, rules=standing, point=st.sampled_from(POINTS), first=changes)
    def start(self, limits: Limits, rules: Rules, point: Model, first: dict[str, CatalogueItem | None]) -> None:
        self.standing = rules
        self.half_life = max(1, limits.popular_half_life_ms // 4)
        self.engine = Engine(point, limits=limits, rules=rules, trending_half_life_ms=self.half_life)
        self.reference = ReferenceStore(limits, cost=cost_of)
        self.catalogue = Catalogue()
        self.engine.set_catalogue(self.catalogue)
        self.known: dict[str, CatalogueItem] = {}
        self.now = 1_000
        self.change(first)

    @rule(many=st.lists(events, min_size=1, max_size=12))
    def log(self, many: list[tuple[str, str, int]]) -> None:
        batch = []
        for session, item, step in many:
            self.now = max(0, self.now + step)
            batch.append(Event(session, item, self.now))
        _, answers = self.engine.apply_and_answer(batch)
        for event, answer in zip(batch, answers, strict=True):
            applied = self.reference.apply(event) == "applied"
            assert applied == (answer is not None)
            if answer is not None:
                assert self.expected(Request(session_id=event.session_id)) == plain(answer.items)

    @rule(changes=changes)
    def change(self, changes: dict[str, CatalogueItem | None]) -> None:
        self.catalogue = self.catalogue.changed(changes)
        self.known |= {name: item for name, item in changes.items() if item is not None}
        for name in [name for name, item in changes.items() if item is None]:
            self.known.pop(name, None)
        self.engine.set_catalogue(self.catalogue)

    @rule(changes=changes, is_new_line=st.booleans())
    def replace(self, changes: dict[str, CatalogueItem | None], is_new_line: bool) -> None:
        self.known = {name: item for name, item in changes.items() if item is not None}
        items = list(self.known.values())
        self.catalogue = Catalogue(items) if is_new_line else self.catalogue.replaced(items)
        self.engine.set_catalogue(self.catalogue)

    @rule()
    def go_on_from_a_state(self) -> None:
        self.engine.import_state(self.engine.export_state())

    @rule(asked=st.lists(requests, min_size=1, max_size=8))
    def ask(self, asked: list[Request]) -> None:
        before = self.engine.index.state.item.copy()
        expected = [self.expected(request) for request in asked]
        for _ in range(2):
            assert expected == [plain(answer.items) for answer in self.engine.answer(asked)]
        dirty = ["dirty"]  # asking may put the popular items in order, which no answer shows
        kept = [name for name in before.dtype.names or () if name not in dirty]
        assert all((before[name] == self.engine.index.state.item[name]).all() for name in kept)
        self.engine._check()

    @rule(request=requests)
    def list_items(self, request: Request) -> None:
        point = self.engine._models.variant(msgspec.structs.replace(request, items=()))
        terms = terms_of(self.standing, self.known, request)
        scores = lists_twin.trends(self.reference, self.half_life)
        expected = lists_twin.listed(scores, "trending", point.n, request.exclude, terms)
        for _ in range(2):
            assert expected == plain(self.engine.listed("trending", request).items)
        if self.known and all(item.listed_at is None for item in self.known.values()):
            with pytest.raises(SettingsError, match="listed_at"):
                self.engine.listed("newest", request)
            return
        times = lists_twin.newest(self.known, self.reference.watermark)
        expected = lists_twin.listed(times, "newest", point.n, request.exclude, terms)
        assert expected == plain(self.engine.listed("newest", request).items)

    @rule(session=st.sampled_from(SESSIONS))
    def forget(self, session: str) -> None:
        self.engine.forget(session_id=session)
        self.reference.forget(session)

    def expected(self, request: Request) -> list[object]:
        point = self.engine._models.variant(request)
        terms = terms_of(self.standing, self.known, request)
        own, touched = request.session_id, request.items
        if touched is None:
            touched = tuple(event.item for event in self.reference.sessions.get(own or "-", []))
        answer = self.reference.answer(touched, query_of(point), own, request.exclude, terms)
        now = self.reference.watermark
        times = lists_twin.newest(self.known, now)
        return list(lists_twin.with_newest(answer, point, times, now, touched, request.exclude, terms))


def run(examples: int, steps: int) -> None:
    profile = settings(max_examples=examples, stateful_step_count=steps, suppress_health_check=list(HealthCheck))
    run_state_machine_as_test(Ruled, settings=profile)


def test_answers_under_rules_are_those_of_the_plain_twin() -> None:
    """Law 2: for events and for requests in batches, whatever changes in between; and asking changes nothing."""
    run(examples=60, steps=20)


def test_rule_sets_replace_each_other() -> None:
    """Law 2 for a batch with more rule sets than the cache holds."""
    with patch.object(compiled_rules, "MOST_SETS", 2), patch.object(compiled_rules, "LEAST_SETS", 2):
        run(examples=40, steps=15)


@pytest.mark.stress
def test_long_random_logs_under_rules() -> None:
    """Law 2 for rules holds for minutes of random logs."""
    run(examples=1500, steps=50)


@pytest.mark.parametrize("seed", [1, 2])
def test_popular_items_under_rules_are_right_among_many(seed: int) -> None:
    """Beyond the ordered popular items too: filters, selective or not, boosts, categories, lists, and a cap."""
    limits = Limits(retention_ms=None, popular_half_life_ms=1_000_000)
    chance = np.random.default_rng(seed)
    names = [f"i{j}" for j in range(900)]
    known = {
        name: CatalogueItem(
            name, category=f"c{chance.integers(0, 30)}", available=bool(chance.random() < 0.9), price=float(j)
        )
        for j, name in enumerate(names)
        if j % 10
    }
    rules = Rules(max_per_category=4)
    point = changed(PRESETS["vmis-knn"], n=30)
    engine, reference = Engine(point, limits=limits, rules=rules), ReferenceStore(limits)
    catalogue = Catalogue(known.values())
    engine.set_catalogue(catalogue)
    what = np.minimum(chance.zipf(1.1, 3_000) % 1_800, 899).tolist()
    log = [Event(f"s{chance.integers(0, 2_000)}", names[item], 1_000 + j) for j, item in enumerate(what)]
    engine.apply(log)
    for event in log:
        reference.apply(event)
    filters = [None, "price > 800", "price > 880", "not in_catalogue", "price > 100", 'category = "c3"', "price > 9999"]
    asked = [
        Request(items=items, filter=text, boost=boost, same_category=same, max_per_category=cap)
        for text, boost, same, cap, items in itertools.product(
            filters, [None, {"price > 850": 1000.0, "price < 20": 0.5}], [False, True], [1, 40], [(), ("i33",)]
        )
    ]
    asked += [Request(items=(), allow=tuple(names[700:760]), exclude=("i701",)), Request(items=(), allow=())]
    for request, answer in zip(asked, engine.answer(asked), strict=True):
        terms = terms_of(rules, known, request)
        expected = reference.answer(request.items or (), query_of(point), None, request.exclude, terms)
        assert expected == plain(answer.items), request
    assert len(engine.items) > field.TOP_SIZE, "there must be more items than the kept order holds"
