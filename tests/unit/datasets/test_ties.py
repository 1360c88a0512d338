"""Events that share their time: counted in any pieces; repeats are dropped, and nothing else is."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_rec.core.events import Event
from stream_rec.datasets.ties import TieCounter, Ties, wild_times, without_repeats

DAY = 86_400_000


def count(events: list[Event], *cuts: int) -> Ties:
    counter = TieCounter()
    for start, end in zip([0, *cuts], [*cuts, len(events)], strict=True):
        counter.add_all(events[start:end])
    return counter.ties()


EVENTS = st.lists(
    st.builds(Event, st.sampled_from("st"), st.sampled_from("ijk"), st.integers(0, 3), st.sampled_from("vc")),
    max_size=12,
).map(lambda events: sorted(events, key=lambda event: event.timestamp))


@given(EVENTS, st.data())
def test_ties_as_counted_by_hand(events: list[Event], data: st.DataObject) -> None:
    """Whatever the pieces in which events come."""
    cut = data.draw(st.integers(0, len(events)))
    ties = count(events, cut)
    distinct = set(events)
    same = [sum((a.session_id, a.timestamp) == (b.session_id, b.timestamp) for b in distinct) for a in distinct]
    assert len(events) == ties.n_events
    assert sum(n > 1 for n in same) == ties.n_tied
    assert len(events) - len(set(events)) == ties.n_repeats
    kept = without_repeats(events)
    assert list(dict.fromkeys(events)) == kept
    assert 0 == count(kept).n_repeats


@pytest.mark.parametrize(("is_sorted", "share"), [(True, 1.0), (False, 0.0)])
def test_rows_that_are_sorted_by_item(is_sorted: bool, share: float) -> None:
    """Tied events in the order of their items show how the log was written."""
    draw = random.Random(7)
    events = []
    for session in range(50):
        items = draw.sample(range(100), 4)
        events += [Event(str(session), f"i{n:02}", session) for n in (sorted(items) if is_sorted else items)]
    ties = count(events)
    assert (200, 200, 150) == (ties.n_events, ties.n_tied, ties.n_follow)
    assert is_sorted == ties.is_by_item
    assert 1.0 == ties.share_tied
    assert share == (ties.n_by_item == ties.n_follow)


def test_visitors_without_sessions_yet() -> None:
    """Their users stand for them."""
    events = [Event("", "i", 5, user_id="a"), Event("", "j", 5, user_id="b"), Event("", "k", 5, user_id="a")]
    assert (2, 1) == count(events)[1:4:2]


def test_wild_times() -> None:
    """A few events far before or after all others; many are no wrong clocks, and of few events none is."""
    usual = [1000 * DAY + n * DAY for n in range(40)]
    assert wild_times(usual) is None
    assert (1, 1000 * DAY, 0, False) == wild_times([0, *usual])
    assert (2, 100 * DAY, 1139 * DAY, True) == wild_times([*usual, 1139 * DAY, 1140 * DAY])
    assert wild_times([*usual, *(9999 * DAY + n for n in range(4))]) is None
    assert wild_times([0, *usual[:20]]) is None
    years = [n * 30 * DAY for n in range(60)]
    assert wild_times([*years, years[-1] + 100 * DAY]) is None
    assert wild_times([*years, years[-1] + 400 * DAY]) is not None
