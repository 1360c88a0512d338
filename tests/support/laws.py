"""The laws' instruments: the formulas of every preset written out, and an engine beside its plain twin."""

from collections.abc import Callable, Iterable, Sequence
from fractions import Fraction
from typing import Final

from hypothesis import strategies as st

from stream_rec.core.engine import Engine, NextItemQuery
from stream_rec.core.events import Event, Forget, Recommendation
from stream_rec.core.index import exp, ln
from stream_rec.core.index.arrays import EVENT_COST, ITEM_COST, SESSION_COST, STORE_COST
from stream_rec.core.index.reference import ReferenceQuery, ReferenceStore, Scored
from stream_rec.core.limits import Limits
from stream_rec.core.model import PRESETS, Model, changed

DAY_MS: Final = 86_400_000


def log10(x: float) -> float:
    return ln(x) / 2.302585092994046


def stan_weight(i: int, length: int, distinct: int) -> float:  # one shape for all weights
    return exp((i - length) / 1.02)


Number = Fraction | float
Weight = Callable[[int, int, int], Number]
Match = Callable[[int], Number]

WEIGHTS: Final[dict[str, Weight]] = {
    "same": lambda _i, _length, _distinct: Fraction(1),
    "linear": lambda i, length, _distinct: Fraction(i, length),
    "distinct": lambda i, _length, distinct: Fraction(i, distinct),
    "quadratic": lambda i, length, _distinct: Fraction(i, length) ** 2,
    "log": lambda i, length, _distinct: 1.0 / log10(length - i + 1.7),
    "exp": stan_weight,
    "wsknn-linear": lambda i, length, _distinct: Fraction(i + 1, length),
    "wsknn-log": lambda i, length, _distinct: log10(2.7) / log10(length - i + 1.7),
}
DENOMINATORS: Final[dict[str, Callable[[int, int], int]]] = {
    "linear": lambda length, _distinct: length,
    "distinct": lambda _length, distinct: distinct,
    "quadratic": lambda length, _distinct: length * length,
    "wsknn-linear": lambda length, _distinct: length,
}
MATCHES: Final[dict[str, Match]] = {
    "none": lambda _step: Fraction(1),
    "vmis": lambda step: max(Fraction(0), 1 - Fraction(step, 10)),
    "div": lambda step: Fraction(1, step),
    "linear": lambda step: max(Fraction(0), 1 - Fraction(step - 1, 10)),
    "log": lambda step: 1.0 / log10(step + 1.7),
    "quadratic": lambda step: Fraction(1, step * step),
    "exp": lambda step: exp((1 - step) / 1.02),
    "wsknn-linear": lambda step: max(Fraction(0), 1 - Fraction(step, 10)) / Fraction(9, 10),
    "wsknn-log": lambda step: log10(2.7) / log10(step + 1.7),
}

RULES: Final[dict[str, Callable[[int, float], Number]]] = {
    "same": lambda _distance, _decay: Fraction(1),
    "div": lambda distance, _decay: Fraction(1, distance),
    "exp": lambda distance, decay: exp((1 - distance) / decay),
}

# The presets once more, by hand from the papers: (weight, normalise, age, match, place, idf, idf factor).
PAPERS: Final[dict[str, tuple[str, str, float | None, str, float | None, str, float]]] = {
    "sknn": ("same", "cosine", None, "none", None, "none", 1.0),
    "v-sknn": ("linear", "query", None, "div", None, "none", 1.0),
    "vmis-knn": ("distinct", "none", None, "vmis", None, "vmis", 1.0),
    "stan": ("exp", "cosine", 5.0, "none", 2.05, "none", 1.0),
    "vstan": ("exp", "cosine", 5.0, "exp", 2.05, "added", 5.0),
    "wsknn": ("wsknn-linear", "query", None, "wsknn-linear", None, "none", 1.0),
}


small_limits = st.builds(
    Limits,
    retention_ms=st.sampled_from([None, 30, 60]),
    allowed_lateness_ms=st.sampled_from([0, 5, 20]),
    max_sessions=st.none() | st.integers(1, 5),
    max_events=st.none() | st.integers(1, 12),
    max_bytes=st.none() | st.integers(STORE_COST + 500, STORE_COST + 4_000),
    max_session_events=st.integers(1, 6),
    dedupe_window_ms=st.none() | st.integers(0, 40),
    popular_half_life_ms=st.sampled_from([2, 10, 1000]),
)
"""Limits that logs of some dozen events run into."""

variants = st.builds(
    lambda name, **changes: changed(PRESETS[name], **changes),
    st.sampled_from(list(PRESETS)),
    m=st.integers(1, 6),
    k=st.integers(1, 4),
    n=st.integers(1, 8),
    last=st.integers(1, 12),
    weight=st.sampled_from(["same", "linear", "distinct", "quadratic", "log", "exp", "wsknn-linear", "wsknn-log"]),
    match=st.sampled_from(["none", "vmis", "div", "linear", "log", "quadratic", "exp", "wsknn-linear", "wsknn-log"]),
    normalise=st.sampled_from(["none", "query", "cosine"]),
    direction=st.sampled_from([0.0, 0.5, 1.0]),
    idf=st.sampled_from(["none", "vmis", "added"]),
    age_days=st.sampled_from([None, 5.0]),
    place_decay=st.sampled_from([None, 2.05]),
    places=st.none() | st.integers(0, 4),
    weight_decay=st.sampled_from([1.02, 3.0]),
    match_decay=st.sampled_from([1.02, 3.0]),
    rules=st.sampled_from([0.0, 0.0, 0.3, 1.0]),
    rules_m=st.integers(1, 4),
    rules_steps=st.integers(1, 3),
    rules_weight=st.sampled_from(["same", "div", "exp"]),
    repeats=st.sampled_from(["scored", "counted"]),
    seen=st.sampled_from(["keep", "drop-current", "drop-session"]),
    fallbacks=st.booleans(),
    require_type=st.sampled_from([None, None, "cart", ("cart", "never"), ("cart", "purchase"), "never"]),
    min_type_weight=st.sampled_from([0.0, 0.0, 1.2, 2.0]),
    sampling=st.sampled_from(["recent", "common-items", "random", "weighted-events"]),
    sampling_seed=st.integers(0, 3) | st.integers(0, (1 << 63) - 1),
    bonus_type=st.sampled_from([None, "purchase", ("cart", "purchase")]),
    bonus=st.sampled_from([0.0, 0.5, 3.0]),
    every_time=st.booleans(),
)
"""Points of the whole parameter space, with samples so small that their choice matters."""


def types_of(named: str | tuple[str, ...] | None) -> tuple[str, ...]:
    return (named,) if isinstance(named, str) else named or ()


def query_of(point: Model) -> ReferenceQuery:
    """Return the reference's form of a model."""

    def place(distance: int) -> Number:
        if point.places is not None and distance > point.places:
            return Fraction(0)
        return Fraction(1) if point.place_decay is None else exp(-distance / point.place_decay)

    def weight(i: int, length: int, _distinct: int) -> float:
        return exp((i - length) / point.weight_decay)

    def match(step: int) -> float:
        return exp((1 - step) / point.match_decay)

    def rule(distance: int) -> Number:
        if distance > point.rules_steps:
            return Fraction(0)
        return RULES[point.rules_weight](distance, point.rules_decay)

    return ReferenceQuery(
        m=point.m,
        k=point.k,
        n=point.n,
        last=point.last,
        weight=weight if point.weight == "exp" else WEIGHTS[point.weight],
        denominator=DENOMINATORS.get(point.weight, lambda _length, _distinct: 1),
        normalise=point.normalise,
        age_days=point.age_days,
        match=match if point.match == "exp" else MATCHES[point.match],
        place=place,
        by_place=point.place_decay is not None or point.places is not None or point.direction != 1.0,
        direction=point.direction,
        idf=point.idf,
        idf_factor=point.idf_factor,
        seen=point.seen,
        fallbacks=point.fallbacks,
        require_type=types_of(point.require_type),
        rules=point.rules,
        rules_m=point.rules_m,
        rule=rule,
        repeats=point.repeats,
        min_type_weight=point.min_type_weight,
        sampling=point.sampling,
        sampling_seed=point.sampling_seed,
        every_time=point.every_time,
        bonus_type=types_of(point.bonus_type),
        bonus=point.bonus,
    )


def small(preset: str, **changes: object) -> Model:
    """Return a preset with so small a sample and so few neighbours that their choice matters in small logs."""
    return changed(PRESETS[preset], **{"m": 4, "k": 2, "n": 3, "last": 3, **changes})


SAMPLED: Final = [
    small("sknn", n=8, m=2, sampling="common-items", every_time=True),
    small("default", n=8, m=2, sampling="random", sampling_seed=5),
    small("default", n=8, m=2, sampling="weighted-events", bonus_type="cart", bonus=0.5),
]
"""Every way of sampling but the usual one, which the presets have."""


def answers_of(engine: Engine) -> list[list[Scored]]:
    """Return the answers of every small preset and every sampling, for each session and for an unknown one."""
    points = [*(small(preset, n=8) for preset in PRESETS), *SAMPLED]
    names = [*sorted(engine.session_ids()), "-"]
    return [plain(engine.ask(point, session_id=name)) for point in points for name in names]


def plain(items: Sequence[Recommendation]) -> list[Scored]:
    """Return an engine's answer in the reference's form."""
    return [Scored(each.item_id, each.score, each.source) for each in items]


def cost_of(store: ReferenceStore) -> int:
    """Return the memory of the retained sessions at the costs that `max_bytes` counts."""
    items = {event.item for stored in store.sessions.values() for event in stored}
    return (
        STORE_COST
        + sum(SESSION_COST + len(name.encode()) for name in store.sessions)
        + sum(ITEM_COST + len(name.encode()) for name in items)
        + EVENT_COST * sum(map(len, store.sessions.values()))
    )


class Twins:
    """An engine and its plain twin, fed alike and compared."""

    def __init__(self, limits: Limits, deny: Sequence[str] = (), type_weights: dict[str, float] | None = None) -> None:
        self.engine = Engine(limits=limits, deny=deny, type_weights=type_weights)
        self.reference = ReferenceStore(limits, deny, type_weights, cost_of)

    def apply(self, events: Sequence[Event | Forget], log_times: Sequence[int | None] | None = None) -> None:
        """Feed both, the engine in one batch, and compare what became of each event."""
        outcomes = [str(reason or "applied") for reason in self.engine.apply(events, log_times=log_times).reasons]
        taken_at = [None] * len(events) if log_times is None else log_times
        assert outcomes == [self._apply_one(event, at) for event, at in zip(events, taken_at, strict=True)]

    def _apply_one(self, event: Event | Forget, log_time: int | None) -> str:
        if isinstance(event, Forget):
            self.reference.forget(event.session_id, event.user_id)
            return "applied"
        return self.reference.apply(event, log_time)

    def compare_state(self) -> None:
        """Assert the same sessions with the same events, the same watermark, and valid arrays."""
        self.engine._check()  # a structure's own check is for tests
        assert self.engine.watermark == self.reference.watermark
        assert set(self.engine.session_ids()) == set(self.reference.sessions)
        for name, stored in self.reference.sessions.items():
            kept = [(event.timestamp, event.item_id, event.type) for event in self.engine.session(name)]
            assert kept == [tuple(event) for event in stored]
        if self.reference.sessions:
            oldest = self.reference.sessions[self.reference.oldest_first()[0]][-1].time
            assert self.engine.watermark is not None
            assert self.engine.stats().horizon_ms == max(0, self.engine.watermark - oldest)

    def compare_answers(self, model: Model, names: Sequence[str], exclude: Sequence[str] = ()) -> None:
        """Assert the same answers, score for score, for each session, asked twice in a row."""
        query = query_of(model)
        for name in names:
            expected = self.reference.answer_session(name, query, exclude)
            for _ in range(2):
                assert plain(self.engine.ask(model, session_id=name, exclude=exclude)) == expected

    def compare_query(self, model: Model, items: Sequence[str], own: str | None = None) -> None:
        """Assert the same answer to a query of *items*."""
        expected = self.reference.answer(items, query_of(model), own)
        assert plain(self.engine.ask(model, session_id=own, items=items)) == expected

    def compare_many(self, model: Model, questions: Sequence[NextItemQuery], parts: int) -> None:
        """Assert that many queries at once, in parts of any order, get the answers that each gets alone."""
        expected = [plain(self.engine.ask(model, session_id=each.session_id, items=each.items)) for each in questions]

        def backwards(call: Callable[[int], None], numbers: Iterable[int]) -> list[None]:
            return list(map(call, reversed(list(numbers))))

        answers = self.engine.ask_many(model, questions, parallel_map=backwards, parts=parts)
        assert expected == list(map(plain, answers))
