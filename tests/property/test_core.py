"""Properties of whole logs: order, batches, interleaving, forgetting, memory, and lists too long for small examples."""

import itertools
import pickle
import tracemalloc
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from laws import Twins, answers_of, plain, query_of, small

from stream_rec.core.engine import Engine
from stream_rec.core.events import Event, Forget
from stream_rec.core.index import field
from stream_rec.core.index.reference import hash_of
from stream_rec.core.limits import Limits
from stream_rec.core.model import PRESETS, changed

SESSIONS = [f"s{j}" for j in range(6)]
ITEMS = [f"i{j}" for j in range(8)]
LIMITS = Limits(retention_ms=60, allowed_lateness_ms=20, max_session_events=5, popular_half_life_ms=10)

records = st.tuples(
    st.sampled_from(SESSIONS),
    st.sampled_from(ITEMS),
    st.sampled_from([0, 0, 1, 3, 9, 30, -2, -7]),
    st.none() | st.sampled_from([f"e{j}" for j in range(8)]),
    st.none() | st.sampled_from(["u0", "u1"]),
)


def log_of(drawn: Sequence[tuple[str, str, int, str | None, str | None]], start: int = 1_000) -> list[Event]:
    """Turn drawn steps of time into a log."""
    now, events = start, []
    for session, item, step, event_id, user in drawn:
        now = max(0, now + step)
        events.append(Event(session, item, now, event_id=event_id, user_id=user))
    return events


def everything(engine: Engine) -> list[object]:
    """Return all visible state of an engine: sessions, and the answers for them."""
    names = sorted(engine.session_ids())
    return [engine.watermark, [engine.session(name) for name in names], answers_of(engine)]


@given(st.lists(records, max_size=40), st.lists(st.integers(0, 40), max_size=5))
def test_a_batch_leaves_what_its_events_one_by_one_would(
    drawn: list[tuple[str, str, int, str | None, str | None]], cuts: list[int]
) -> None:
    """Law 1: neither state nor answers nor outcomes depend on how the log is cut into batches."""
    log = log_of(drawn)
    one_by_one, batched = Engine(limits=LIMITS), Engine(limits=LIMITS)
    singly = [one_by_one.apply_and_answer([event]) for event in log]
    edges = sorted({0, len(log), *(min(cut, len(log)) for cut in cuts)})
    together = [batched.apply_and_answer(log[a:b]) for a, b in itertools.pairwise(edges)]
    assert [r for a, _ in together for r in a.reasons] == [r for a, _ in singly for r in a.reasons]
    assert [a for _, answers in together for a in answers] == [a for _, answers in singly for a in answers]
    assert everything(batched) == everything(one_by_one)


@given(
    st.lists(st.lists(st.sampled_from(ITEMS[:4]), min_size=1, max_size=4), min_size=6, max_size=14),
    st.lists(st.sampled_from(ITEMS[:4]), min_size=1, max_size=4),
    st.integers(1, 8),
    st.sampled_from(["recent", "common-items", "random", "weighted-events"]),
    st.integers(0, 2),
)
def test_the_sample_is_that_of_the_plain_twin(
    sessions: list[list[str]], query: list[str], m: int, sampling: str, seed: int
) -> None:
    """Law 2: for more sessions than the sample, many with equal keys, for every sampling, and with repeats."""
    twins = Twins(Limits(retention_ms=None), type_weights={"cart": 2.0})
    twins.apply(
        [
            Event(f"s{number}", item, number, "cart" if (number + place) % 3 == 0 else "view")
            for number, items in enumerate(sessions)
            for place, item in enumerate(items)
        ]
    )
    point = changed(
        PRESETS["sknn"], m=m, k=14, n=8, sampling=sampling, sampling_seed=seed, seen="keep", fallbacks=False
    )
    twins.compare_query(point, query)
    twins.compare_query(changed(point, bonus_type="cart", bonus=0.6), query)
    twins.compare_query(changed(point, every_time=True), query)
    twins.compare_query(changed(point, every_time=True, place_decay=1.5, direction=0.5), query)


@given(st.lists(records, max_size=40), st.randoms(use_true_random=False))
def test_how_partitions_interleave_does_not_matter(
    drawn: list[tuple[str, str, int, str | None, str | None]],
    chance: "st.Random",  # type: ignore[name-defined]
) -> None:
    """Law 1: replicas that applied the same records, none too late, answer alike."""
    # Sessions keep to their partition; a lateness as long as the log is wide lets every order be in time.
    limits = Limits(retention_ms=2_000, allowed_lateness_ms=1_500, max_session_events=5, popular_half_life_ms=10)
    log = [event for event in log_of(drawn) if event.event_id is None]
    partitions = [[event for event in log if event.session_id in names] for names in ("s0 s1", "s2 s3", "s4 s5")]
    order = [number for number, part in enumerate(partitions) for _ in part]
    chance.shuffle(order)
    streams = [iter(part) for part in partitions]
    in_log_order, interleaved = Engine(limits=limits), Engine(limits=limits)
    in_log_order.apply(log)
    interleaved.apply([next(streams[number]) for number in order])
    assert everything(interleaved) == everything(in_log_order)


@given(st.integers(0, 120), st.integers(-20, 120), st.lists(st.sampled_from(ITEMS), min_size=3, max_size=3))
def test_a_retention_cuts_alike_in_every_interleaving(pause: int, ahead: int, items: list[str]) -> None:
    """Law 1: whether a paused session starts again does not depend on whether it was evicted meanwhile."""
    first, again = Event("s", items[0], 1_000), Event("s", items[1], 1_000 + pause)
    # Another partition's clock, which makes neither late: at most the allowed lateness before the one that comes last.
    clock = Event("clock", items[2], max(1_000, again.timestamp + min(ahead, 20)))
    clock_first, clock_last = Engine(limits=LIMITS), Engine(limits=LIMITS)
    assert clock_first.apply([first, clock, again]).n_applied == 3
    assert clock_last.apply([first, again, clock]).n_applied == 3
    assert everything(clock_first) == everything(clock_last)


@given(st.lists(records, max_size=30), st.sampled_from(SESSIONS), st.booleans())
def test_what_is_forgotten_was_never_there(
    drawn: list[tuple[str, str, int, str | None, str | None]], gone: str, by_user: bool
) -> None:
    """Law 7: after `forget`, and after a replay with it, the state is that of a log without the session."""
    # Another session holds the watermark, since forgetting does not turn it back.
    limits = Limits(retention_ms=None, allowed_lateness_ms=10_000, max_session_events=5, popular_half_life_ms=10)
    log = []
    for event in log_of(drawn):
        user = ("gone" if event.session_id == gone else "kept") if by_user else None
        name = event.event_id and f"{event.session_id}-{event.event_id}"
        log.append(Event(event.session_id, event.item_id, event.timestamp, event_id=name, user_id=user))
        log.append(Event("clock", "tick", event.timestamp))
    forgetting = Forget(user_id="gone") if by_user else Forget(session_id=gone)
    with_it, without, replayed = Engine(limits=limits), Engine(limits=limits), Engine(limits=limits)
    with_it.apply([*log, forgetting])
    without.apply([event for event in log if event.session_id != gone])
    replayed.apply([*log, forgetting, *log, forgetting])
    assert with_it.session(gone) == []
    assert everything(with_it) == everything(without)
    assert not replayed.session(gone)
    again = [event for event in log if event.session_id == gone]
    with_it.apply(again)
    assert bool(with_it.session(gone)) == bool(again), "its event ids are forgotten too"


@given(st.lists(records, max_size=30), st.sampled_from(list(PRESETS)), st.lists(st.sampled_from([*ITEMS, "x"])))
def test_asking_changes_nothing(
    drawn: list[tuple[str, str, int, str | None, str | None]], preset: str, query: list[str]
) -> None:
    """Law 3: no query, whatever its parameters, alters an array of the state that answers depend on."""
    engine = Engine(limits=LIMITS)
    engine.apply(log_of(drawn))
    before = [array.copy() for array in (engine.index.state.session, engine.index.state.postings)]
    seen, model = everything(engine), engine.model
    engine.ask(small(preset, last=9, n=9, m=1), items=query)
    engine.ask(small(preset, seen="drop-session"), session_id="s1", exclude=["i1"])
    assert everything(engine) == seen
    assert engine.model is model
    after = (engine.index.state.session, engine.index.state.postings)
    assert all((a == b).all() for a, b in zip(before, after, strict=True))


@given(st.lists(records, max_size=30), st.sampled_from(list(PRESETS)))
def test_a_session_is_never_its_own_neighbour(
    drawn: list[tuple[str, str, int, str | None, str | None]], preset: str
) -> None:
    """Law 3: for a session alone in the store, neighbours recommend nothing."""
    engine = Engine(limits=Limits(retention_ms=None))
    log = log_of(drawn)
    engine.apply([Event("alone", event.item_id, event.timestamp) for event in log])
    assert engine.ask(changed(PRESETS[preset], fallbacks=False, seen="keep"), session_id="alone") == []


@given(st.lists(records, max_size=30), st.integers(0, 30))
def test_a_pickled_engine_goes_on_as_the_original_would(
    drawn: list[tuple[str, str, int, str | None, str | None]], cut: int
) -> None:
    """A copy made in the middle of a log treats the rest alike, and shares no memory with the original."""
    log = log_of(drawn)
    original = Engine(limits=LIMITS)
    original.apply(log[:cut])
    before = everything(original)
    copy = pickle.loads(pickle.dumps(original))  # noqa: S301  # our own, made in this line
    applied = copy.apply_and_answer(log[cut:])
    assert everything(original) == before
    assert original.apply_and_answer(log[cut:])[1] == applied[1]
    assert everything(original) == everything(copy)


user_events = st.tuples(
    st.sampled_from(["u0", "u1"]),
    st.sampled_from(ITEMS),
    st.sampled_from([0, 1, 4, 12, 40, -2, -9]),
    st.none() | st.sampled_from([f"e{j}" for j in range(6)]),
)


@given(st.lists(user_events, max_size=40), st.lists(st.integers(0, 40), max_size=4))
def test_a_duplicate_does_not_move_its_users_session(
    drawn: list[tuple[str, str, int, str | None]], cuts: list[int]
) -> None:
    """With sessions cut from users, rejected events change no session, whatever the batches."""
    now, log = 1_000, []
    for user, item, step, event_id in drawn:
        now = max(0, now + step)
        log.append(Event("", item, now, event_id=event_id, user_id=user))
    engines = [Engine(limits=LIMITS, session_gap_ms=5) for _ in range(3)]
    reasons = [reason for event in log for reason in engines[0].apply([event]).reasons]
    edges = sorted({0, len(log), *(min(cut, len(log)) for cut in cuts)})
    for begin, end in itertools.pairwise(edges):
        engines[1].apply(log[begin:end])
    accepted = [event for event, reason in zip(log, reasons, strict=True) if reason is None]
    assert engines[2].apply(accepted).n_applied == len(accepted)
    assert everything(engines[1]) == everything(engines[0])
    assert everything(engines[2]) == everything(engines[0])


@pytest.mark.parametrize("preset", PRESETS)
def test_an_empty_engine_answers(preset: str) -> None:
    """An empty engine answers with an empty list."""
    engine = Engine(preset)
    assert engine.recommend("unknown") == []
    assert engine.recommend(items=["a", "b", "a"]) == []
    assert engine.stats().n_sessions == 0


def random_log(seed: int, events: int, sessions: int, items: int, tick: int) -> list[Event]:
    """Many events on few ticks, a tenth of them late, popular items first."""
    chance = np.random.default_rng(seed)
    times = np.cumsum(chance.random(events) < 0.05) * tick + 1_000_000
    times -= np.where(chance.random(events) < 0.1, chance.integers(0, 40, events) * tick // 4, 0)
    session = chance.integers(0, sessions, events)
    what = np.minimum(chance.zipf(1.3, events), items)
    return [Event(f"s{s}", f"i{i}", int(t)) for s, i, t in zip(session, what, times, strict=True)]


@pytest.mark.parametrize("seed", [3, pytest.param(1, marks=pytest.mark.slow), pytest.param(2, marks=pytest.mark.slow)])
def test_long_lists_with_ties_and_late_events(seed: int) -> None:
    """Law 2 for lists of thousands, full of dead postings, with coarse times."""
    twins = Twins(Limits(retention_ms=None, allowed_lateness_ms=10**9, max_session_events=8, max_sessions=1500))
    log = random_log(seed, 9_000, 2_500, 40, tick=1_000)
    models = [small(preset, m=60, k=20, n=10) for preset in PRESETS]
    for begin in range(0, len(log), 3_000):
        twins.apply(log[begin : begin + 3_000])
        twins.compare_state()
        for model in models:
            twins.compare_answers(model, [log[begin + 17 * j].session_id for j in range(4)])


@pytest.mark.parametrize("seed", [1, 2])
def test_popular_items_are_ranked_right_among_many(seed: int) -> None:
    """The order of the best items agrees with a count of all, while counts rise, fall and age."""
    limits = Limits(retention_ms=None, allowed_lateness_ms=10**9, max_sessions=400, popular_half_life_ms=40_000)
    twins = Twins(limits, deny=["i3", "i77"])
    chance = np.random.default_rng(seed)
    model = changed(PRESETS["vmis-knn"], n=40)
    query = query_of(model)
    for step in range(60):
        shift = step * 10
        events = [
            Event(f"s{chance.integers(0, 900)}", f"i{shift + chance.integers(0, 1200)}", 1_000_000 + step * 3_000)
            for _ in range(chance.integers(1, 60))
        ]
        twins.apply(events)
        assert plain(twins.engine.ask(model, session_id="-")) == twins.reference.answer_session("-", query)
        many = [f"i{shift + j}" for j in range(700)]
        expected = twins.reference.answer([], query, exclude=many)
        assert plain(twins.engine.ask(model, items=[], exclude=many)) == expected
    assert len(twins.engine.items) > field.TOP_SIZE, "there must be more items than the kept order holds"


@pytest.mark.parametrize("unit", [1, 10_000_000_000])
def test_the_kernel_goes_on_where_it_stopped_whatever_it_needs(unit: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Law 1: with almost empty arrays and lists it stops for every possible reason, and loses nothing."""
    limits = Limits(
        retention_ms=60 * unit,
        allowed_lateness_ms=40 * unit,
        max_sessions=12,
        max_session_events=3,
        popular_half_life_ms=10 * unit,
    )
    twins = Twins(limits)
    index = twins.engine.index
    state = index.state
    index.arrays.list_capacity = 2
    small_arrays = dict.fromkeys(("event_item", "event_time", "event_type", "postings", "seen"), 4)
    lists = dict.fromkeys(("front", "queued", "released", "emptied"), 8)
    shortened = {name: getattr(state, name)[:n].copy() for name, n in (small_arrays | lists).items()}
    index.arrays.state = state._replace(**shortened)
    needs = set()
    provide, set_front = index.provide, index.set_front

    def recorded_need(need: int, *others: Any) -> None:
        needs.add(need)
        provide(need, *others)

    def recorded_front(*front: Any) -> None:
        needs.add(field.MORE_FRONT)
        set_front(*front)

    monkeypatch.setattr(index, "provide", recorded_need)
    monkeypatch.setattr(index, "set_front", recorded_front)
    chance = np.random.default_rng(8)
    now = 0
    for _ in range(30):
        batch = []
        for _ in range(30):
            now = max(0, now + int(chance.choice([0, 0, 1, 4, -1, -5])) * unit)
            session, item, name = chance.integers(0, 30), chance.integers(0, 12), chance.integers(0, 300)
            batch.append(Event(f"s{session}", f"i{item}", now, event_id=f"e{name}"))
        twins.apply(batch)
        twins.compare_state()
        twins.compare_answers(small("vmis-knn"), [event.session_id for event in batch[:3]])
    assert needs == set(range(1, 7)), "each reason to stop must have occurred"


def test_an_ordinal_used_again_has_its_own_place_among_equal_times() -> None:
    """Law 2: a session with the ordinal of a forgotten one is evicted in its own turn, not in that of the other."""
    twins = Twins(Limits(retention_ms=None, allowed_lateness_ms=1_000, max_sessions=6))
    names = sorted((f"s{j}" for j in range(8)), key=hash_of)
    twins.apply([Event(name, "a", 100) for name in names[:7]])  # the oldest is evicted: the others stand in order
    twins.apply([Forget(session_id=names[1])])
    twins.apply([Event(names[7], "a", 100)])  # the newest, with the ordinal of the oldest
    for j in range(6):
        twins.apply([Event(f"n{j}", "b", 200)])
        twins.compare_state()


def test_memory_stays_within_its_budget() -> None:
    """Law 6: Python and the arrays take less than `max_bytes`, and the horizon is reported."""
    budget = 24_000_000
    limits = Limits(retention_ms=None, max_bytes=budget)
    chance = np.random.default_rng(5)
    Engine(limits=limits).apply([Event("warm", "up", 1)])
    tracemalloc.start()
    try:
        engine = Engine(limits=limits)
        empty = tracemalloc.get_traced_memory()[0]
        for batch in range(40):
            session = chance.integers(0, 10**9, 5_000)
            what = chance.integers(0, 60_000, 5_000)
            engine.apply(
                [
                    Event(f"session-{s}-of-a-visitor", f"item-{i}", batch * 5_000 + j)
                    for j, (s, i) in enumerate(zip(session, what, strict=True))
                ]
            )
            stats = engine.stats()
            assert stats.n_bytes <= budget
            assert tracemalloc.get_traced_memory()[0] - empty <= budget
    finally:
        tracemalloc.stop()
    assert stats.n_evicted > 0, "the budget must have been reached"
    assert stats.horizon_ms is not None
    assert 0 < stats.horizon_ms < 40 * 5_000
