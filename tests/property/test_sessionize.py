"""Cutting sessions by idleness, against a version that keeps everything and purges nothing."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_rec.core.events import Event, Forget
from stream_rec.core.sessionizer import OpenSpans, Sessionizer

GAP, LATENESS = 10, 25

EVENTS = st.lists(
    st.builds(
        lambda user, time: Event("", "i", time, user_id=user),
        st.sampled_from(["a", "b", "a@5"]),
        st.integers(0, 150) | st.integers(0, 5000),
    )
    | st.builds(Forget, user_id=st.sampled_from(["a", "b"]))
    | st.builds(Forget, session_id=st.sampled_from(["a@5", "a@20", "a@5@5", "b@7", "s"])),
    max_size=60,
)


def sessions(events: list[Event | Forget], *, gap: int = GAP, lateness: int = LATENESS) -> list[str]:
    """Cut sessions by the documented rule, in O(n²)."""
    spans: list[tuple[str, list[int]]] = []  # user, [first, last, opened]
    watermark = -(10**9)
    ids = []
    for event in events:
        if isinstance(event, Forget):
            spans = [
                (user, span)
                for user, span in spans
                if user != event.user_id and f"{user}@{span[2]}" != event.session_id
            ]
            ids.append("")
            continue
        t, user = event.timestamp, str(event.user_id)
        if t < watermark - lateness:
            ids.append(f"{user}@{t}")
            continue
        watermark = max(watermark, t)
        near = [s for u, s in spans if u == user and s[0] - gap <= t <= s[1] + gap]
        if near:
            span = max(near, key=lambda s: s[1:])
            span[:2] = [min(span[0], t), max(span[1], t)]
        else:
            span = [t, t, t]
            spans.append((user, span))
        ids.append(f"{user}@{span[2]}")
    return ids


def everything(cutter: Sessionizer) -> tuple[int | None, dict[str, list[tuple[int, int, int]]]]:
    """Return the state that later sessions depend on."""
    state = cutter.export_state()
    return state.watermark, dict(state.rows())


def ids_of(events: list[Event | Forget]) -> list[str]:
    return [e.session_id if isinstance(e, Event) else "" for e in events]


@given(EVENTS)
def test_sessions_are_cut_as_the_rule_says(events: list[Event | Forget]) -> None:
    """The sessions are those of the rule, so purging does not show."""
    assert sessions(events) == ids_of(Sessionizer(GAP, LATENESS).assign(events))


@given(EVENTS, st.integers(0, 60))
def test_a_batch_is_its_events_one_by_one(events: list[Event | Forget], cut: int) -> None:
    """Nor does it matter where the state was exported and imported, while the first went on."""
    whole, first, second = (Sessionizer(GAP, LATENESS) for _ in range(3))
    expected = whole.assign(events)
    out: list[Event | Forget] = []
    for event in events[:cut]:
        out += first.assign([event])
        first._check()
    state = first.export_state()
    assert ids_of(expected)[cut:] == ids_of(first.assign(events[cut:]))
    second.import_state(OpenSpans.of(state.watermark, state.rows()))
    out += second.assign(events[cut:])
    second._check()
    assert expected == out
    assert everything(whole) == everything(second) == everything(first)


@given(EVENTS, st.integers(0, 60))
def test_a_forgotten_user_was_never_there(events: list[Event | Forget], cut: int) -> None:
    """After forgetting, state and sessions are those of a log without the user's earlier events."""
    forgetful, ignorant = Sessionizer(GAP, LATENESS), Sessionizer(GAP, LATENESS)
    for event in events[:cut]:
        now = forgetful.watermark
        forgetful.assign([event])
        if event.user_id != "a":
            ignorant.assign([event], now)
    forgetful.forget("a")
    now = forgetful.watermark
    assert ids_of(forgetful.assign(events[cut:])) == ids_of(ignorant.assign(events[cut:], now))
    assert everything(forgetful) == everything(ignorant)
    forgetful._check()


def test_memory_holds_active_users_only() -> None:
    """Ten thousand users with one event each leave only those of the last window."""
    cutter = Sessionizer(gap_ms=1000, lateness_ms=1000)
    for t in range(0, 100_000, 10):
        cutter.assign([Event("", "i", t, user_id=f"u{t}")])
    cutter._check()
    assert len(cutter) <= 2250 // 10 + 1


def test_late_events_get_an_id_and_leave_no_span() -> None:
    """The engine rejects them later; if they opened spans, rejected events would shape sessions."""
    cutter = Sessionizer(GAP, LATENESS)
    cutter.assign([Event("", "i", 1000, user_id="a")])
    before = everything(cutter)
    assert [Event("a@974", "i", 974, user_id="a")] == cutter.assign([Event("", "i", 974, user_id="a")])
    assert before == everything(cutter)


def test_the_callers_watermark_counts() -> None:
    """Other partitions may have advanced event time."""
    cutter = Sessionizer(GAP, LATENESS)
    cutter.assign([Event("", "i", 100, user_id="a")], watermark=200)
    assert (200, {}) == everything(cutter)


def test_a_user_is_needed() -> None:
    """The decoder ensures it; a caller of the library gets an error."""
    with pytest.raises(ValueError, match="without a user"):
        Sessionizer(GAP, LATENESS).assign([Event("", "i", 1)])


def test_an_exported_state_does_not_change() -> None:
    """Sessions that go on, widen, open, are forgotten or purged leave it as it was."""
    cutter = Sessionizer(GAP, LATENESS)
    cutter.assign([Event("", "i", t, user_id=user) for t, user in [(100, "a"), (101, "b"), (102, "c"), (103, "d")]])
    state = cutter.export_state()
    before = dict(state.rows())
    cutter.assign([Event("", "i", 105, user_id="a"), Event("", "i", 95, user_id="b"), Event("", "i", 120, user_id="a")])
    cutter.forget_session("c@102")
    cutter.forget("d")
    cutter.assign([Event("", "i", 500, user_id="e")])
    cutter._check()
    assert {user: [(t, t, t)] for t, user in [(100, "a"), (101, "b"), (102, "c"), (103, "d")]} == before
    assert before == dict(state.rows())
