"""Explanations: the shares of an item add up to its score, and are those of the plain twin."""

import numpy as np
import pytest
from explained import ALL, close, compare_reasons
from hypothesis import given
from hypothesis import strategies as st
from laws import SAMPLED, Twins, small, variants

from stream_rec.core.engine import Engine
from stream_rec.core.events import ByNeighbours, Event
from stream_rec.core.limits import Limits
from stream_rec.core.model import PRESETS, Explaining, Model, changed

ITEMS = [f"i{j}" for j in range(7)]
POINTS = [*(small(name, n=8) for name in PRESETS), *SAMPLED]
log_sessions = st.lists(st.lists(st.sampled_from(ITEMS), min_size=1, max_size=6), min_size=1, max_size=9)
queries = st.none() | st.lists(st.sampled_from([*ITEMS, "x"]), max_size=8)


def log_of(sessions: list[list[str]]) -> list[Event]:
    """One session after the other, an hour between events, so that age counts."""
    pairs = [(f"s{number}", item) for number, items in enumerate(sessions) for item in items]
    return [Event(session, item, 3_600_000 * place) for place, (session, item) in enumerate(pairs)]


@given(log_sessions, queries, st.sampled_from(POINTS), st.sampled_from(["keep", "drop-current", "drop-session"]))
def test_the_shares_of_every_preset_add_up(
    sessions: list[list[str]], query: list[str] | None, point: Model, seen: str
) -> None:
    """To 1e-9, for sessions and for queries of their own; neighbours and factors are those of the plain twin."""
    twins = Twins(Limits(retention_ms=None), ["i3"])
    twins.apply(log_of(sessions))
    for name in ("s0", f"s{len(sessions) - 1}", "unknown"):
        compare_reasons(twins, changed(point, seen=seen), name, query, ["i5"])


@given(log_sessions, queries, variants)
def test_the_shares_of_any_model_add_up(sessions: list[list[str]], query: list[str] | None, point: Model) -> None:
    """Over the whole parameter space; test_laws covers late events, evictions and forgetting."""
    twins = Twins(Limits(retention_ms=None))
    twins.apply(log_of(sessions))
    compare_reasons(twins, point, "s0", query)


@pytest.mark.parametrize("preset", PRESETS)
def test_the_shares_of_long_logs_add_up(preset: str) -> None:
    """With the preset's own numbers of neighbours, thousands of sessions, and long lists with dead postings."""
    chance = np.random.default_rng(7)
    session, what = chance.integers(0, 1_200, 9_000), np.minimum(chance.zipf(1.3, 9_000), 300)
    log = [Event(f"s{s}", f"i{i}", 1_000 * time) for time, (s, i) in enumerate(zip(session, what, strict=True))]
    engine = Engine(PRESETS[preset], limits=Limits(retention_ms=None, max_sessions=900))
    engine.apply(log)
    n_listed = n_summed_up = 0
    for name in sorted(engine.session_ids())[:40]:
        plainly = engine.ask(engine.model, session_id=name)
        explained_items = engine.ask(engine.model, session_id=name, how=ALL)
        briefly = engine.ask(engine.model, session_id=name, how=Explaining())
        assert [(each.item_id, each.score, each.source) for each in plainly] == [
            (each.item_id, each.score, each.source) for each in explained_items
        ]
        for each in (*explained_items, *briefly):
            if isinstance(why := each.why, ByNeighbours):
                rules = why.rules.share if why.rules else 0.0
                others = why.others.share if why.others else 0.0
                other_parts = why.other_parts.share if why.other_parts else 0.0
                assert close(each.score) == sum(one.share for one in why.neighbours) + others + rules
                assert close(each.score) == sum(one.share for one in why.parts) + other_parts + rules
                n_listed += len(why.neighbours)
                n_summed_up += bool(why.others)
    assert n_listed > 1_000, "there was something to add up"
    assert n_summed_up > 100, "and much that is not listed"


@given(log_sessions, st.sampled_from(POINTS))
def test_explaining_changes_nothing(sessions: list[list[str]], point: Model) -> None:
    """Law 3: not one byte of the state, whether the answer comes from neighbours or not."""
    engine = Engine(limits=Limits(retention_ms=None))
    engine.apply(log_of(sessions))
    engine.ask(point, session_id="unknown")  # puts popular items in order, as any asking does
    before = [array.tobytes() for array in engine.index.state]
    engine.ask(point, session_id="s0", how=ALL)
    engine.ask(point, items=["i1", "x"], how=ALL)
    assert before == [array.tobytes() for array in engine.index.state]
