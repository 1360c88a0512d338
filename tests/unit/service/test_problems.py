"""What is wrong and may pass: when it is logged, and what is shown of it."""

import logging

import pytest

from stream_rec.service.problems import OpenProblem, ProblemKind, Problems


def test_a_problem_is_logged_when_it_begins_changes_and_ends(caplog: pytest.LogCaptureFixture) -> None:
    """Once each, however often it is noted; it began when it was first noted."""
    now = [1_000]
    problems = Problems(lambda: now[0])
    with caplog.at_level(logging.INFO):
        for message in ("full", "full", "read-only"):
            problems.begin(ProblemKind.JOURNAL, message)
            now[0] += 1_000
        assert [OpenProblem(ProblemKind.JOURNAL, "read-only", 1_000)] == problems.now
        problems.end(ProblemKind.JOURNAL)
        problems.end(ProblemKind.JOURNAL)
    assert ["journal: full", "journal: read-only", "journal: resolved after 3 s"] == caplog.messages
    assert [] == problems.now


def test_the_oldest_problem_comes_first() -> None:
    """Of several kinds; the service is blocked while one of them blocks it."""
    now = [2]
    problems = Problems(lambda: now[0])
    problems.begin(ProblemKind.TOPIC, "gone")
    now[0] = 1
    problems.begin(ProblemKind.PARTITIONS, "added", blocks=True)
    assert [ProblemKind.PARTITIONS, ProblemKind.TOPIC] == [each.kind for each in problems.now]
    assert problems.blocks
    problems.end(ProblemKind.PARTITIONS)
    assert not problems.blocks
