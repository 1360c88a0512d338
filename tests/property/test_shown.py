"""What was shown, under random logs: the plain twin's counts and answers, however the log is cut and saved."""

import itertools
import random
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from laws import plain, query_of, small
from shown_twin import ShownTwin

from stream_rec import snapshot
from stream_rec.core.engine import Engine
from stream_rec.core.events import Event, Forget, Request
from stream_rec.core.index.reference import Terms
from stream_rec.core.limits import Limits
from stream_rec.core.outcome import OUTCOMES, SHOWN, AppliedBatch, Observation
from stream_rec.core.shown import Seen, ShownRules
from stream_rec.errors import SnapshotError

LIMITS = Limits(retention_ms=60, allowed_lateness_ms=10, max_session_events=5, popular_half_life_ms=40)
RULES = ShownRules(at_most=2, window_ms=35)
MODEL = small("vmis-knn", n=6)
TYPES = ["view", "view", "shown", "shown:1", "shown:2:popular", "shown::neighbours", "shown:1:popular!", "shown:1:2:3"]
SESSIONS = [f"s{n}" for n in range(5)]
ITEMS = [f"i{n}" for n in range(7)]


def a_log(seed: int, n: int = 150) -> list[Event | Forget]:
    """Clicks and shown events, some late, some repeated, and a few orders to forget."""
    rng = random.Random(seed)
    now = 1_000
    log: list[Event | Forget] = []
    for _ in range(n):
        now += rng.choice([0, 0, 1, 1, 2, 9 if rng.random() < 0.2 else 1])
        if rng.random() < 0.02:
            session = rng.choice(SESSIONS)
            log.append(Forget(session_id=session) if rng.random() < 0.5 else Forget(user_id=f"u{session[1:]}"))
            continue
        session = rng.choice(SESSIONS)
        time = now - rng.choice([0, 0, 0, 0, 4, 11, 30])
        event_id = rng.choice([None, None, None, f"e{rng.randrange(12)}"])
        user_id = rng.choice([None, f"u{session[1:]}"])
        log.append(Event(session, rng.choice(ITEMS), time, rng.choice(TYPES), event_id, user_id))
    return log


def cut(log: list[Event | Forget], seed: int) -> list[list[Event | Forget]]:
    rng = random.Random(seed)
    places = sorted({0, len(log), *(rng.randrange(len(log)) for _ in range(12))})
    return [log[begin:end] for begin, end in itertools.pairwise(places)]


def an_engine(shown: ShownRules | None = RULES) -> Engine:
    return Engine(MODEL, limits=LIMITS, shown=shown)


def without(ignored: set[str]) -> Terms:
    return Terms(allowed=lambda name: name not in ignored)


def name_of(outcome: int) -> str:
    reason = OUTCOMES[outcome]
    return "shown" if outcome == SHOWN else "applied" if reason is None else str(reason)


@pytest.mark.parametrize("seed", range(6))
def test_what_was_shown_is_as_the_plain_twin_says(seed: int, tmp_path: Path) -> None:
    """Laws 1, 2 and 7: outcomes, counts, each answer; for events one by one, in batches, with answers and without."""
    log, twin = a_log(seed), ShownTwin(RULES, LIMITS)
    single, batched, quiet = an_engine(), an_engine(), an_engine()
    answers, outcomes = [], []
    for event in log:
        outcome = twin.apply(event)
        applied, (answer,) = single.apply_and_answer([event])
        answers.append(answer)
        outcomes += applied.outcomes.tolist()
        if isinstance(event, Forget):
            continue
        assert outcome == name_of(int(applied.outcomes[0])), event
        session = event.session_id
        expected = twin.clicks.answer_session(session, query_of(MODEL), (), without(twin.ignored(session)))
        if outcome == "applied":
            assert answer is not None
            assert expected == plain(answer.items)
        else:
            assert answer is None
        assert twin.counts(session) == single.shown(session)
        (asked,) = single.answer([Request(session_id=session)])
        assert expected == plain(asked.items)
        single._check()
    found, found_outcomes, quiet_outcomes = [], [], []
    for part in cut(log, seed):
        quiet_outcomes += quiet.apply(part).outcomes.tolist()  # whole: answers cut a batch into smaller ones
        applied, answered = batched.apply_and_answer(part)
        found += answered
        found_outcomes += applied.outcomes.tolist()
        state = batched.export_state()
        snapshot.save(batched, tmp_path / "s.srs")
        batched = snapshot.load(tmp_path / "s.srs", MODEL)
        batched._check()
        assert state.shown == batched.export_state().shown
    assert outcomes == found_outcomes == quiet_outcomes
    assert answers == found
    assert single.export_state().shown == batched.export_state().shown == quiet.export_state().shown


@pytest.mark.parametrize("seed", range(3))
def test_what_is_shown_changes_no_click(seed: int) -> None:
    """The state of the clicks, and answers without the rule, are those of the log without shown events."""
    log = a_log(seed)
    clicks = [event for event in log if isinstance(event, Forget) or not event.type.startswith("shown")]
    with_shown, without = an_engine(ShownRules(window_ms=35)), an_engine(None)
    for part in cut(log, seed):
        with_shown.apply(part)
    without.apply(clicks)
    assert with_shown.stats() == without.stats()
    assert [with_shown.session(name) for name in SESSIONS] == [without.session(name) for name in SESSIONS]
    asked = [Request(session_id=name) for name in SESSIONS]
    assert [each.items for each in with_shown.answer(asked)] == [each.items for each in without.answer(asked)]


def test_the_bound_is_kept_and_the_oldest_leave() -> None:
    """Law 6: sessions that were shown nothing for longest leave, and their items come back."""
    rules = ShownRules(at_most=1, max_items=10)
    engine = Engine(MODEL, limits=Limits(), shown=rules)
    engine.apply([Event(f"s{n}", f"i{j}", 1_000 * n + j, "shown") for n in range(9) for j in range(3)])
    engine._check()
    assert [name for name in (f"s{n}" for n in range(9)) if engine.shown(name)] == ["s7", "s8"]
    engine.apply([Event("long", f"i{j}", 10_000 + j, "shown") for j in range(300)])
    assert 200 == len(engine.shown("long"))
    assert "i99" not in engine.shown("long")
    engine._check()


def test_a_snapshot_without_shown_items_loads_where_none_are_counted(tmp_path: Path) -> None:
    """A file is as it was before there were shown events; with them, both sides must agree on the rules."""
    plain_engine = an_engine(None)
    plain_engine.apply([Event("a", "x", 1), Event("a", "y", 2)])
    snapshot.save(plain_engine, tmp_path / "plain.srs")
    header = snapshot.read(tmp_path / "plain.srs").header
    assert not [section.name for section in header.sections if section.name.startswith("shown")]
    assert "shown" not in header.fingerprint
    assert plain_engine.stats() == snapshot.load(tmp_path / "plain.srs", MODEL).stats()
    with pytest.raises(SnapshotError, match="shown"):
        an_engine().import_state(plain_engine.export_state())


def test_a_click_counts_once_for_the_place_where_its_item_was_shown_last() -> None:
    """By event time, whatever came last; a click before the first showing, or long after the last, is none of it."""
    clicked: list[Seen] = []

    class Taker:
        def on_applied(self, applied: AppliedBatch) -> None: ...
        def on_forgotten(self, sessions: Sequence[int]) -> None: ...
        def on_seen(self, seen: Sequence[Seen], watermark: int) -> None:
            assert watermark >= 108 or not any(each.is_click for each in seen)
            clicked.extend(each for each in seen if each.is_click)

    engine = an_engine(ShownRules(window_ms=35))
    log = [
        Event("a", "x", 105, "shown:3:popular"),
        Event("a", "x", 103, "shown:1:neighbours"),  # late, but not too late
        Event("a", "y", 104, "shown:2"),
        Event("a", "y", 102),
        Event("a", "x", 108),
        Event("a", "x", 109),
        Event("b", "z", 110, "shown:1"),
        Event("b", "z", 136),
    ]
    for event in log:
        engine.apply([event], Observation(Taker(), np.ones(1, np.uint8)))
    assert [Seen("a", 3, "popular", is_click=True)] == clicked
    assert {"y": 1} == engine.shown("a")
