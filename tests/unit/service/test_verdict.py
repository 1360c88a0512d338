"""Whether a run that is done counts as a success."""

from collections import Counter

import pytest

from stream_rec.service.metrics.counters import Counters
from stream_rec.service.reporting.verdict import nothing_applied, over_limit


def counts(applied: int, **dead: int) -> Counters:
    return Counters(n_read=applied + sum(dead.values()), n_applied=applied, dead=Counter(dead))


@pytest.mark.parametrize(
    ("counted", "expected"),
    [
        (counts(1, late=9), None),
        (counts(0), "nothing was applied: the source of events is empty"),
        (counts(0, late=1), "nothing was applied: the only record was refused (late 1)"),
        (
            counts(0, late=1, not_json=2000),
            "nothing was applied: all 2,001 records were refused (not_json 2,000, late 1)",
        ),
    ],
)
def test_nothing_applied(counted: Counters, expected: str | None) -> None:
    """The reason names what was refused, the most frequent reason first."""
    assert expected == nothing_applied(counted)


@pytest.mark.parametrize(
    ("limit", "applied", "late", "is_over"),
    [
        (None, 0, 9, False),
        ("1", 9, 1, False),
        ("1", 9, 2, True),
        ("0", 9, 0, False),
        ("0%", 9, 1, True),
        ("10%", 9, 1, False),
        ("9.999999999%", 9, 1, True),
        ("33.3%", 667, 333, False),
        ("33.3%", 666, 334, True),
        ("1%", 0, 0, False),
    ],
)
def test_over_limit(limit: str | None, applied: int, late: int, is_over: bool) -> None:
    """A limit is a count or a share of what was read; exactly that much is within it."""
    assert is_over == (over_limit(counts(applied, late=late), limit) is not None)


def test_a_message_says_how_much_over() -> None:
    """It has the counts, the share and the limit."""
    message = "25 of 100 records were refused (25.00%): more than --max-refused 1% allows"
    assert message == over_limit(counts(75, late=25), "1%")


def test_duplicates_do_not_count() -> None:
    """An event that came twice is applied once: nothing of it is missing."""
    assert over_limit(Counters(n_read=2, n_applied=1, n_duplicates=1), "0") is None
