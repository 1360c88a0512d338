"""The last hour of figures: what is kept, for how long, and in how much memory."""

from typing import Any

import msgspec
import pytest

from stream_rec.core.quality import ModelQuality, QualityReport, WindowQuality
from stream_rec.web.history import POINTS, STEP_S, HistoryKeeper
from stream_rec.web.stats import Rates, Retained, Stats

FIRST_MS = 1_700_000_000_000
STAGES = ("mailbox", "apply", "answer", "commit", "end_to_end", "http")


def figures(at_ms: int, *, events_per_s: float = 1.0, **others: Any) -> Stats:
    """The figures at a time, with live quality of one model over three windows."""
    quality = ModelQuality(
        model="default", shadow=False, answers=9, scored=8, hr=0.123456789, hr_low=None, hr_high=None, mrr=None,
        mrr_low=None, mrr_high=None, novel_scored=0, hr_novel=None, hr_novel_low=None, hr_novel_high=None,
        coverage=None,
    )  # fmt: skip
    known: dict[str, Any] = {
        "lag": {"clicks-0": 3, "clicks-1": 4},
        "retained": Retained(1, 2, 3, 64_000_000, None, 0, FIRST_MS, 86_400_000),
        "latency_ms": {stage: {"p50": 1.5, "p90": 2.0, "p99": 9.25} for stage in STAGES},
        "quality": QualityReport(20, [WindowQuality(each, [quality]) for each in (300.0, 3600.0, 2_592_000.0)]),
    }
    rates = Rates(events_per_s, 2.0, 3.0)
    rest: dict[str, Any] = {"version": "0", "uptime_s": 1.0, "pid": 7, "durable": False, "owned": [], "generation": 0}
    return Stats("ready", at_ms, counts={}, rates=rates, dead_letters={}, **rest | known | others)


def test_an_hour_is_kept_in_fixed_memory() -> None:
    """The newest 720 points, oldest first, in the 127 kB that the docs say, however long the service runs."""
    keeper = HistoryKeeper()
    for at in range(2 * POINTS + 100):
        keeper.take(figures(FIRST_MS + 5000 * at, events_per_s=float(at)), 5.0 * at)
        assert 22 * 8 * POINTS == keeper.n_bytes == 126_720
    assert 3600 == POINTS * STEP_S
    history = keeper.since()
    newest = range(POINTS + 100, 2 * POINTS + 100)
    assert [FIRST_MS + 5000 * at for at in newest] == history.at_ms
    assert [float(at) for at in newest] == history.series["rates.events_per_s"]
    assert [7.0] * POINTS == history.series["lag"]
    assert {POINTS} == set(map(len, history.series.values()))
    assert [0.12346] * 2 == history.series["quality.2592000.default.hr"][:2], "five digits are enough to draw"
    assert keeper.since(2 * POINTS + 99).at_ms == history.at_ms[-1:]
    assert [] == keeper.since(keeper.n_taken).at_ms


def test_what_is_unknown_is_null() -> None:
    """Before a figure is first known, and while it is not: a chart has a gap there, and no zero."""
    keeper = HistoryKeeper()
    keeper.take(figures(FIRST_MS, retained=None, lag={}, latency_ms={}, quality=None), 0.0)
    keeper.take(figures(FIRST_MS + 5000), 5.0)
    keeper.take(figures(FIRST_MS + 10_000, lag={}), 10.0)
    found = msgspec.json.decode(keeper.encoded())
    assert [None, 7.0, None] == found["series"]["lag"]
    assert [None, 9.25, 9.25] == found["series"]["latency_ms.http.p99"]
    assert [2.0, 2.0, 2.0] == found["series"]["rates.answers_per_s"]
    assert [None, 0.12346, 0.12346] == found["series"]["quality.300.default.hr"]


@pytest.mark.parametrize("back_ms", [0, 3_600_000])
def test_a_clock_set_back_begins_anew(back_ms: int) -> None:
    """Times always rise, so that no chart runs backwards."""
    keeper = HistoryKeeper()
    for at in range(3):
        keeper.take(figures(FIRST_MS + 5000 * at), 5.0 * at)
    keeper.take(figures(FIRST_MS + 10_000 - back_ms), 15.0)
    keeper.take(figures(FIRST_MS + 15_000 - back_ms), 20.0)
    assert [FIRST_MS + 10_000 - back_ms, FIRST_MS + 15_000 - back_ms] == keeper.since().at_ms == keeper.since(3).at_ms


def test_a_point_is_due_every_five_seconds() -> None:
    """Of ticks that are a second apart and a little late, each fifth takes a point."""
    keeper, taken = HistoryKeeper(), []
    for tick in range(1, 13):
        if keeper.is_due(now := 1.007 * tick):
            keeper.take(figures(FIRST_MS + int(1000 * now)), now)
            taken.append(tick)
    assert [1, 6, 11] == taken
