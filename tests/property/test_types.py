"""Event types are few, and are given back when no retained event has them: by the log alone, in batches of any size."""

import itertools
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_rec import Event, Limits
from stream_rec.core.engine import COMMON_TYPES, MOST_TYPES, TYPES_STEP_MS, Engine, encoding
from stream_rec.core.events import Reason
from stream_rec.core.model import changed, model

LIMITS = Limits(retention_ms=2 * TYPES_STEP_MS, allowed_lateness_ms=TYPES_STEP_MS, max_sessions=6, max_session_events=4)
FEW = len(COMMON_TYPES) + 4
MODEL = changed(model("vmis-knn"), n=4)

drawn_events = st.lists(
    st.tuples(
        st.sampled_from([f"s{n}" for n in range(12)]),
        st.sampled_from("abcd"),
        st.sampled_from([0, 1, TYPES_STEP_MS // 2, TYPES_STEP_MS, -TYPES_STEP_MS // 2, -3 * TYPES_STEP_MS]),
        st.sampled_from([*(f"t{n}" for n in range(12)), "view", "cart"]),
        st.none() | st.sampled_from(["e1", "e2"]),
    ),
    max_size=60,
)
cuts = st.lists(st.integers(0, 60), max_size=6)


@pytest.fixture(scope="module", autouse=True)
def few_types() -> Iterator[None]:
    """Room for four types besides the common ones."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(encoding, "MOST_TYPES", FEW)
        yield


def log_of(drawn: list[tuple[str, str, int, str, str | None]], *, by_user: bool = False) -> list[Event]:
    now, log = 10 * TYPES_STEP_MS, []
    for session, item, step, kind, event_id in drawn:
        now = max(0, now + step)
        log.append(Event("" if by_user else session, item, now, kind, event_id, session if by_user else None))
    return log


def everything(engine: Engine) -> Any:
    engine._check()
    sessions = {each: engine.session(each) for each in sorted(engine.session_ids())}
    types = sorted(engine.types.live())
    return sessions, types, engine.stats(), [engine.recommend(each) for each in sessions]


@pytest.mark.parametrize("gap_ms", [None, TYPES_STEP_MS // 4])
@given(drawn=drawn_events, cut=cuts)
def test_batches_do_not_matter(gap_ms: int | None, drawn: list[Any], cut: list[int]) -> None:
    """Outcomes, types and answers are those of events one by one; also over a snapshot at each cut."""
    log = log_of(drawn, by_user=gap_ms is not None)
    engines = [Engine(MODEL, limits=LIMITS, type_weights={"t3": 2.0}, session_gap_ms=gap_ms) for _ in range(3)]
    one_by_one = [reason for event in log for reason in engines[0].apply([event]).reasons]
    edges = sorted({0, len(log), *(min(each, len(log)) for each in cut)})
    for place in (1, 2):
        reasons: list[Reason | None] = []
        for begin, end in itertools.pairwise(edges):
            applied, _ = engines[place].apply_and_answer(log[begin:end])
            reasons += applied.reasons
            if place == 2:
                state = engines[place].export_state()
                engines[place] = Engine(MODEL, limits=LIMITS, type_weights={"t3": 2.0}, session_gap_ms=gap_ms)
                engines[place].import_state(state)
        assert one_by_one == reasons
        assert everything(engines[0]) == everything(engines[place])
    assert not {Reason.UNKNOWN_TYPE} & {
        reason for event, reason in zip(log, one_by_one, strict=True) if event.type in {"view", "cart", "t3"}
    }, "there is room for the common types and those that weigh something"


def test_types_come_back() -> None:
    """Types of a sender who sends very many of them keep others out only while their events are retained."""
    engine = Engine(limits=LIMITS)
    start = 100 * TYPES_STEP_MS
    flood = engine.apply([Event("evil", "i", start + n, f"evil-{n}") for n in range(300)])
    assert FEW - len(COMMON_TYPES) == flood.n_applied

    def reasons(session: str, time: int) -> list[Reason | None]:
        return engine.apply([Event(session, "i", time, kind) for kind in ("purchase", "wish")]).reasons

    assert [None, Reason.UNKNOWN_TYPE] == reasons("a", start + 1_000)
    assert [None, Reason.UNKNOWN_TYPE] == reasons("b", start + TYPES_STEP_MS), "they are retained"
    assert [None, None] == reasons("c", start + 4 * TYPES_STEP_MS), "given back between the two"
    assert {"purchase", "wish"} == set(engine.types.live())
    engine._check()


def test_a_snapshot_keeps_what_was_given_back(tmp_path: Any) -> None:
    """A file has a place for each ordinal, those of no type included."""
    from stream_rec import snapshot  # noqa: PLC0415  # here only

    engine = Engine(limits=LIMITS)
    start = 100 * TYPES_STEP_MS
    engine.apply([Event("evil", "i", start + n, f"evil-{n}") for n in range(9)])
    engine.apply([Event("a", "i", start + 4 * TYPES_STEP_MS, "cart"), Event("a", "j", start + 4 * TYPES_STEP_MS, "")])
    assert {"cart", ""} == set(engine.types.live())
    snapshot.save(engine, tmp_path / "engine.srs")
    assert 2 == snapshot.read_header(tmp_path / "engine.srs").counts["types"]
    loaded = snapshot.load(tmp_path / "engine.srs")
    assert everything(engine) == everything(loaded)
    assert loaded.apply([Event("b", "i", start + 4 * TYPES_STEP_MS, f"new-{n}") for n in range(3)]).n_applied == 3


def test_the_limit_itself() -> None:
    """The kernels number types with a byte, and keep the highest numbers for themselves."""
    assert 250 == MOST_TYPES
