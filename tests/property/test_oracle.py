"""Laws 2 and 7 by a third opinion: what the documents say, computed exactly, is what the engine answers.

The oracle shares no code with the kernels and their plain twin, and no arithmetic: it knows fractions and 60 digits.
Logs have coarse times, growing sessions, doubled, late and forgotten events, clocks that are
ahead, and run into every limit.
"""

from collections.abc import Sequence

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from laws import SAMPLED, small, small_limits, variants
from oracle import Oracle, Ranked, cut_sessions

from stream_rec.core.engine import Engine
from stream_rec.core.events import Event, Forget
from stream_rec.core.limits import Limits
from stream_rec.core.model import PRESETS, Model
from stream_rec.core.sessionizer import Sessionizer

SESSIONS = [f"s{j}" for j in range(7)]
ITEMS = [f"i{j}" for j in range(8)]
WEIGHTS = {"cart": 0.3, "purchase": 0.1, "view": 0.7}
HOUR_MS = 3_600_000

entries = st.tuples(
    st.sampled_from(SESSIONS),
    st.sampled_from(ITEMS),
    st.sampled_from([0, 0, 0, 0, 1, 1, 2, 5, 15, 40, -1, -3, -8, -30]),
    st.sampled_from(["view", "view", "cart", "purchase"]),
    st.none() | st.sampled_from([f"e{j}" for j in range(12)]),
    st.sampled_from([None, "u0", "u1"]),
    st.sampled_from([None, None, 0, 1, 4, 12, 60, -2]),
)
orders = st.builds(Forget, session_id=st.sampled_from(SESSIONS)) | st.builds(Forget, user_id=st.just("u0"))
logs = st.lists(st.one_of(entries, entries, entries, entries, entries, entries, orders), min_size=1, max_size=45)
queries = st.none() | st.lists(st.sampled_from([*ITEMS, "x"]), max_size=14)
units = st.sampled_from([1, 1000, HOUR_MS, 10_000_000_000])
wide_limits = st.just(Limits(retention_ms=100_000, allowed_lateness_ms=20, popular_half_life_ms=7))
limits_of_logs = wide_limits | small_limits


def scaled(limits: Limits, unit: int) -> Limits:
    """Return *limits* with times counted in *unit* milliseconds."""
    times = ("retention_ms", "allowed_lateness_ms", "dedupe_window_ms", "popular_half_life_ms")
    values = {name: getattr(limits, name) for name in times}
    return msgspec.structs.replace(limits, **{name: each * unit for name, each in values.items() if each is not None})


Entry = tuple[str, str, int, str, str | None, str | None, int | None] | Forget
"""Session, item, step of time, type, event id, user of an event, and how far ahead of the log it is; or an order."""

Taken = tuple[Event | Forget, int | None]
"""A record, and when the log took it."""


def records(log: Sequence[Entry], unit: int) -> list[Taken]:
    """Return the records of a log whose times are given as steps."""
    made: list[Taken] = []
    now = 1_000 * unit
    for each in log:
        if isinstance(each, Forget):
            made.append((each, None))
            continue
        session, item, step, kind, event_id, user, ahead = each
        now = max(0, now + step * unit)
        log_time = None if ahead is None else now - ahead * unit
        made.append((Event(session, item, now, kind, event_id, user), log_time))
    return made


def assert_alike(engine: Engine, oracle: Oracle, model: Model, session: str | None, items: list[str] | None) -> None:
    """Assert the same items in the same order from the same sources, with scores that differ by their rounding only."""
    expected = oracle.answer(model, session, items)
    answer = engine.ask(model, session_id=session, items=items)
    got = [Ranked(each.item_id, each.score, each.source) for each in answer]
    assert [(each.item, each.source) for each in expected] == [(each.item, each.source) for each in got]
    assert [pytest.approx(each.score, rel=1e-9) for each in expected] == [each.score for each in got]


def check(log: list[Taken], limits: Limits, deny: list[str], points: list[Model], items: list[str] | None) -> None:
    """Feed both, compare what became of each record, and compare answers on the way and at the end."""
    engine = Engine(limits=limits, deny=deny, type_weights=WEIGHTS)
    oracle = Oracle(limits, deny, WEIGHTS)
    for number, (record, log_time) in enumerate(log):
        outcome = engine.apply([record], log_times=[log_time]).reasons[0]
        assert oracle.take(record, log_time) == str(outcome or "applied")
        assert oracle.watermark == engine.watermark
        if number % 7 == 6 or number == len(log) - 1:
            assert set(oracle.sessions) == set(engine.session_ids())
            for name, held in oracle.sessions.items():
                kept = [(each.timestamp, each.item_id, each.type) for each in engine.session(name)]
                assert [tuple(each) for each in held] == kept
            for point in points:
                assert_alike(engine, oracle, point, None, items)
                for name in (*list(oracle.sessions)[:4], "-"):
                    assert_alike(engine, oracle, point, name, None)


EXAMPLES = settings(max_examples=60, suppress_health_check=list(HealthCheck), deadline=None)


@pytest.mark.parametrize("preset", PRESETS)
@EXAMPLES
@given(log=logs, limits=limits_of_logs, unit=units, deny=st.lists(st.sampled_from(ITEMS), max_size=2), items=queries)
def test_presets(
    preset: str, log: list[Entry], limits: Limits, unit: int, deny: list[str], items: list[str] | None
) -> None:
    """Each preset, with so small a sample and so few neighbours that ties decide."""
    points = [small(preset, n=8, last=6), small(preset, n=8, k=1, last=8, seen="keep")]
    check(records(log, unit), scaled(limits, unit), deny, points, items)


@EXAMPLES
@given(log=logs, limits=limits_of_logs, unit=units, point=variants, items=queries)
def test_settings(log: list[Entry], limits: Limits, unit: int, point: Model, items: list[str] | None) -> None:
    """Any point of the parameter space, and every way of sampling."""
    check(records(log, unit), scaled(limits, unit), [], [point, *SAMPLED], items)


@EXAMPLES
@given(log=logs, gap=st.sampled_from([0, 1, 4, 20]), lateness=st.sampled_from([0, 5, 20]))
def test_session_gaps(log: list[Entry], gap: int, lateness: int) -> None:
    """Sessions cut from users."""
    of_users = [
        record if isinstance(record, Forget) else msgspec.structs.replace(record, user_id=record.session_id)
        for record, _ in records(log, 1)
    ]
    limits = Limits(retention_ms=60, allowed_lateness_ms=lateness)
    cut = cut_sessions(of_users, gap, lateness)
    assert cut == Sessionizer(gap, lateness).assign(of_users)
    check([(each, None) for each in cut], limits, [], [small("default", n=8), small("vmis-knn", n=8)], None)
