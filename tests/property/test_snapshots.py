"""State out of an engine, into a file, and into another engine: which then goes on exactly as the first does.

Logs are those of the laws: late and doubled events, sessions that grow, overflow, expire and are forgotten, users, and
limits of every kind.
"""

import tempfile
from collections.abc import Callable, Sequence
from itertools import islice
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from laws import answers_of, small_limits

from stream_rec import snapshot
from stream_rec.core.engine import Engine
from stream_rec.core.engine_state import EngineSnapshot
from stream_rec.core.events import Answer, Event, Forget
from stream_rec.core.limits import Limits
from stream_rec.core.outcome import Stats
from stream_rec.errors import SnapshotError

SESSIONS = [f"s{j}" for j in range(6)]
ITEMS = [f"i{j}" for j in range(7)]
USERS = ["u0", "u1", "ü2"]
PROFILE = settings(max_examples=60, suppress_health_check=list(HealthCheck))

events = st.tuples(
    st.sampled_from(SESSIONS),
    st.sampled_from(ITEMS),
    st.sampled_from([0, 0, 1, 2, 5, 15, 40, -1, -3, -8, -30]),
    st.sampled_from(["view", "view", "cart"]),
    st.none() | st.sampled_from([f"e{j}" for j in range(12)]),
    st.sampled_from(USERS),
    st.booleans(),
)
forgets = st.builds(Forget, session_id=st.sampled_from([*SESSIONS, "u0@1000"])) | st.builds(
    Forget, user_id=st.sampled_from(USERS)
)
Drawn = tuple[str, str, int, str, str | None, str, bool] | Forget
records = st.one_of(events, events, events, events, events, forgets)
logs = st.lists(records, max_size=10) | st.lists(records, min_size=20, max_size=45)
cuts = st.floats(0, 1)
gaps = st.sampled_from([0, 5, 100])  # 0: sessions are not cut from users


def log_of(drawn: Sequence[Drawn], *, users_only: bool, unit: int = 1) -> list[Event | Forget]:
    """Turn drawn steps of time into a log."""
    now, log = 1_000 * unit, list[Event | Forget]()
    for each in drawn:
        if isinstance(each, Forget):
            log.append(each)
            continue
        session, item, step, kind, event_id, user, has_user = each
        now = max(0, now + step * unit)
        user_id = user if users_only or has_user else None
        log.append(Event("" if users_only else session, item, now, kind, event_id, user_id))
    return log


def cut_at(log: list[Event | Forget], cut: float) -> tuple[list[Event | Forget], list[Event | Forget]]:
    """Cut a log in two."""
    place = round(cut * len(log))
    return log[:place], log[place:]


def seen_of(engine: Engine) -> tuple[list[object], Stats]:
    """Return all that is visible of an engine: sessions, their answers, and its counts."""
    engine._check()
    names = sorted(engine.session_ids())
    return [engine.watermark, [engine.session(name) for name in names], answers_of(engine)], engine.stats()


def went_on(engine: Engine, log: Sequence[Event | Forget]) -> tuple[list[object], list[Answer | None]]:
    """Apply the rest of a log in two batches; return outcomes and answers."""
    parts = [engine.apply_and_answer(log[:3]), engine.apply_and_answer(log[3:])]
    return [reason for applied, _ in parts for reason in applied.reasons], [a for _, answers in parts for a in answers]


def through_a_file(state: EngineSnapshot) -> EngineSnapshot:
    """Write a state, and read it."""
    with tempfile.TemporaryDirectory() as folder:
        path = snapshot.write(Path(folder), state, created_at=1, fingerprint={}, offsets={"t": {0: 3}})
        found = snapshot.read(path, {})
        assert {"t": {0: 3}} == found.header.offsets
        assert state.counts == found.header.counts == found.state.counts
        return found.state


@PROFILE
@given(
    small_limits,
    logs,
    cuts,
    st.lists(st.sampled_from(ITEMS), max_size=2),
    gaps,
    st.booleans(),
    st.sampled_from([1, 1, 10_000_000_000]),
)
def test_a_loaded_engine_goes_on_as_the_original_would(
    limits: Limits, drawn: list[Drawn], cut: float, deny: list[str], gap_steps: int, in_memory: bool, unit: int
) -> None:
    """After any prefix of a log, the loaded engine is the same and stays the same: answers, outcomes, evictions."""
    log = log_of(drawn, users_only=gap_steps > 0, unit=unit)
    gap = gap_steps * unit if gap_steps else None
    original, copy = (Engine(limits=limits, deny=deny, session_gap_ms=gap) for _ in range(2))
    first, rest = cut_at(log, cut)
    rest = [*first[-4:], *rest]  # some come twice, as after a restart
    original.apply(first)
    before = seen_of(original)
    state = original.export_state()
    copy.import_state(state if in_memory else through_a_file(state))
    assert before == seen_of(copy)
    assert before == seen_of(original), "taking the state out changes nothing"
    assert went_on(original, rest) == went_on(copy, rest)
    assert seen_of(original) == seen_of(copy)


@PROFILE
@given(small_limits, logs, cuts, gaps)
def test_an_exported_state_does_not_change(limits: Limits, drawn: list[Drawn], cut: float, gap_steps: int) -> None:
    """The file has the state at the time of export, whatever the engine does later."""
    log = log_of(drawn, users_only=gap_steps > 0)
    engine = Engine(limits=limits, session_gap_ms=gap_steps or None)
    first, rest = cut_at(log, cut)
    engine.apply(first)
    state = engine.export_state()
    at_once = bytes_of(state)
    later = iter(rest)

    def go_on() -> None:
        engine.apply(list(islice(later, 1)))

    assert at_once == bytes_of(state, go_on)
    engine.apply(list(later))
    engine.forget(user_id="u0")
    assert at_once == bytes_of(state)


def bytes_of(state: EngineSnapshot, rest: Callable[[], None] = lambda: None) -> bytes:
    """Return the file of *state*; *rest* is called between pieces of work."""
    with tempfile.TemporaryDirectory() as folder:
        return snapshot.write(Path(folder), state, created_at=1, fingerprint={}, yield_cpu=rest).read_bytes()


@PROFILE
@given(small_limits, logs, cuts, st.sampled_from(SESSIONS))
def test_many_engines_from_one_state_share_nothing(limits: Limits, drawn: list[Drawn], cut: float, gone: str) -> None:
    """Engines that share a file do not affect each other."""
    log = log_of(drawn, users_only=False)
    original, first, second = (Engine(limits=limits) for _ in range(3))
    begin, rest = cut_at(log, cut)
    original.apply(begin)
    state = original.export_state()
    first.import_state(state)
    went_on(first, rest)
    first.forget(session_id=gone)
    second.import_state(state)
    assert seen_of(original) == seen_of(second)


@PROFILE
@given(logs, cuts, st.data())
def test_a_torn_file_is_never_loaded(drawn: list[Drawn], cut: float, data: st.DataObject) -> None:
    """A file that is cut, lengthened or changed in any byte is refused by reading, verifying or both."""
    engine = Engine()
    engine.apply(cut_at(log_of(drawn, users_only=False), cut)[0])
    with tempfile.TemporaryDirectory() as folder:
        path = snapshot.write(Path(folder), engine.export_state(), created_at=1, fingerprint={})
        whole = path.read_bytes()
        for _ in range(20):
            path.write_bytes(data.draw(torn(whole)))
            for reader in (snapshot.read, snapshot.verify):
                with pytest.raises(SnapshotError, match=path.name):
                    reader(path)


def torn(whole: bytes) -> st.SearchStrategy[bytes]:
    """Return bytes similar to *whole*, but different."""

    def flipped(places: list[tuple[int, int]]) -> bytes:
        content = bytearray(whole)
        for place, change in places:
            content[place] ^= change
        return bytes(content)

    places = st.tuples(st.integers(0, len(whole) - 1), st.integers(1, 255))
    return st.one_of(
        st.integers(0, len(whole) - 1).map(lambda length: whole[:length]),
        st.binary(min_size=1, max_size=9).map(lambda more: whole + more),
        st.lists(places, min_size=1, max_size=3, unique_by=lambda each: each[0]).map(flipped),
    )


@PROFILE
@given(logs, st.sampled_from(USERS), st.booleans())
def test_forgotten_sessions_are_in_no_file(drawn: list[Drawn], user: str, users_only: bool) -> None:
    """Law 7: a snapshot after a forget equals, byte for byte, that of a log without the session."""
    limits = Limits(retention_ms=None, allowed_lateness_ms=10_000, popular_half_life_ms=10)
    log: list[Event | Forget] = []
    for place, each in enumerate(log_of(drawn, users_only=True)):
        if isinstance(each, Event):
            # A user's own sessions, items and ids; and others that keep the clock.
            name, clock = f"secret-{each.user_id}-", f"clock-{place}"
            own_session = "" if users_only else name
            log += [
                Event(own_session, f"{name}{each.item_id}", each.timestamp, "view", f"{name}{place}", name),
                Event(clock, each.item_id, each.timestamp, "view", None, clock),
            ]
    gone = f"secret-{user}-"
    gap = 5 if users_only else None
    forgetful, ignorant = Engine(limits=limits, session_gap_ms=gap), Engine(limits=limits, session_gap_ms=gap)
    forgetful.apply([*log, Forget(user_id=gone)])
    ignorant.apply([each for each in log if isinstance(each, Event) and each.user_id != gone])
    state = forgetful.export_state()
    content = bytes_of(state)
    assert gone.encode() not in content
    loaded = Engine(limits=limits, session_gap_ms=gap)
    loaded.import_state(state)
    assert seen_of(ignorant) == seen_of(loaded)
    assert bytes_of(ignorant.export_state()) == content
