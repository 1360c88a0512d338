"""Which record moved the watermark, and the warning where it is ahead of the machine's clock."""

import logging

import numpy as np
import pytest

from stream_rec.core.engine import Engine
from stream_rec.core.events import Event
from stream_rec.service.batches import Batch
from stream_rec.service.metrics.leap import Leap
from stream_rec.service.processing.processor import AnswerPolicy, Processor
from stream_rec.transport.records import Record

HOUR = 3_600_000
NOW = 1_700_000_000_000
DAY = 24 * HOUR


def processor(**policy: object) -> Processor:
    return Processor(Engine(), policy=AnswerPolicy(clock_ms=lambda: NOW, **policy))  # type: ignore[arg-type]


def leap_of(made: Processor) -> Leap | None:
    return made.largest_leap


def batch(times: list[int], log_times: list[int] | None = None, first: int = 0) -> Batch:
    """Events of these times at these log times, from this offset on."""
    records = [Record(b"{}", "clicks", 1, first + place) for place in range(len(times))]
    events = [Event(f"s{place}", "i", time) for place, time in enumerate(times)]
    return Batch(records, events, log_times=None if log_times is None else np.array(log_times, np.int64))


def test_the_largest_leap_is_found() -> None:
    """Within a batch and between batches, also in the first one; a step within the lateness is none."""
    made = processor()
    made.process(batch([NOW - 9 * DAY, NOW - 9 * DAY + HOUR]))
    assert leap_of(made) is None
    made.process(batch([NOW - 8 * DAY, NOW - 3 * DAY, NOW - 3 * DAY + 5], first=10))
    assert Leap("clicks-1:11", NOW - 8 * DAY, NOW - 3 * DAY) == leap_of(made)
    made.process(batch([NOW - 2 * DAY], first=20))
    largest = leap_of(made)
    assert str(largest).startswith("clicks-1:11 moved it by 5d, to 2023-11-11T22:13:20")
    first = processor()
    first.process(batch([NOW - 9 * DAY, NOW - DAY]))
    assert Leap("clicks-1:1", NOW - 9 * DAY, NOW - DAY) == leap_of(first)


def test_a_rejected_event_moves_nothing() -> None:
    """Nor does the part of an event's time that is ahead of its log time."""
    made = processor()
    made.process(batch([NOW]))
    made.process(batch([NOW - 5 * DAY, NOW + 2 * HOUR], [NOW, NOW + 5], first=1))
    assert leap_of(made) is None
    assert NOW + HOUR == made.engine.watermark, "no event stays further ahead than the lateness"


def test_a_watermark_ahead_of_the_clock_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    """With the record that moved it there; not for each batch, and not where clocks differ by seconds."""
    made = processor()
    with caplog.at_level(logging.WARNING):
        made.process(batch([NOW, NOW + 30_000], [NOW, NOW + 30_000]))
        assert not caplog.messages
        made.process(batch([NOW + HOUR, NOW + 7 * HOUR, NOW + 2], [NOW + HOUR, NOW + 7 * HOUR, NOW + 2], first=4))
        made.process(batch([NOW + 8 * HOUR], [NOW + 8 * HOUR], first=9))
    (message,) = caplog.messages
    assert "7h ahead of this machine's clock: clicks-1:5 moved it" in message
