"""Figures of a log, against logs small enough to count by hand."""

from stream_rec.core.events import Event
from stream_rec.datasets.statistics import LogStatistics, Summary
from stream_rec.simulator.clickstream import Shape, columns, events


def summary(*log: Event) -> Summary:
    statistics = LogStatistics()
    statistics.add_all(log)
    return statistics.summary()


def test_an_empty_log() -> None:
    """Nothing is counted, and nothing divides by zero."""
    empty = summary()
    assert (0, 0, 0) == (empty.events, empty.sessions, empty.items)
    assert empty.first_timestamp is None
    assert empty.session_length_max == 0


def test_a_small_log() -> None:
    """Counts, lengths, repeats, types and users of six events."""
    found = summary(
        Event("s", "a", 100, user_id="u"),
        Event("t", "a", 200, user_id="u"),
        Event("s", "b", 300, "cart"),
        Event("s", "a", 250),
        Event("s", "a", 400, user_id="v"),
        Event("r", "c", 350, "cart"),
    )
    assert (6, 3, 3, 2) == (found.events, found.sessions, found.items, found.users)
    assert [("view", 4), ("cart", 2)] == list(found.types.items())
    assert (100, 400) == (found.first_timestamp, found.last_timestamp)
    assert (1, 4, 4, 4) == (
        found.session_length_p50,
        found.session_length_p90,
        found.session_length_p99,
        found.session_length_max,
    )
    assert found.session_length_mean == 2
    assert found.head_share == 4 / 6
    assert found.repeats_share == 2 / 6
    assert (2 / 6, 50, 50) == (
        found.out_of_order_share,
        found.lateness_ms_p99,
        found.lateness_ms_max,
    )


def test_asking_in_between_changes_nothing() -> None:
    """A summary may be taken at any time."""
    log = list(events(Shape(sessions=50, items=20)))
    asked = LogStatistics()
    for event in log:
        asked.add(event)
        asked.summary()
    assert summary(*log) == asked.summary()


def test_a_simulated_log() -> None:
    """The head of a Zipf log is heavy, and its mean length the one asked for."""
    shape = Shape(sessions=2000, items=1000, zipf=1.2)
    found = summary(*events(shape))
    assert len(columns(shape)) == found.events
    assert 4.5 < found.session_length_mean < 5.5
    assert 0.3 < found.head_share < 0.8
    assert found.out_of_order_share == 0
