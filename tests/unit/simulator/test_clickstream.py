"""The simulated stream: reproducible to the byte, in time order, of the shape asked for."""

import hashlib
import os
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

import stream_rec
from stream_rec.errors import SettingsError
from stream_rec.simulator.clickstream import EVENT_TYPES, Clicks, Shape, blocks, columns, events

DAY_MS = 86_400_000

EVERYTHING = Shape(
    seed=3,
    sessions=3000,
    items=500,
    zipf=1.1,
    repeats=0.1,
    funnel=0.1,
    drift=0.05,
    lengths="log-normal",
    tick_ms=1000,
    duration_ms=5 * DAY_MS,
    day_rhythm=0.9,
    users=100,
)

PRINT_DIGEST = """
import hashlib
from stream_rec.simulator.delivery import Delivery, write_jsonl
from stream_rec.simulator.clickstream import Shape
digest = hashlib.sha256()
shape = Shape(seed=3, sessions=500, items=100, drift=0.1, funnel=0.1, users=9, day_rhythm=0.5)
write_jsonl(shape, digest.update, Delivery(out_of_order=.1, late=.1, duplicates=.1, broken=.1))
print(digest.hexdigest())
"""


def popularity(clicks: Clicks) -> NDArray[np.int64]:
    return np.sort(np.bincount(clicks.item))[::-1]


def exponent(clicks: Clicks, ranks: int = 100) -> float:
    """The slope of the log-log plot of popularity over rank, between rank 5 and *ranks*."""
    places = np.arange(5, ranks)
    counts = popularity(clicks)[places]
    return -float(np.polyfit(np.log(places + 1), np.log(counts), 1)[0])


def test_same_seed_same_bytes_in_any_process(tmp_path: Path) -> None:
    """Two processes with different hash seeds write the same bytes, faults included."""
    package = str(Path(stream_rec.__file__).parents[1])
    digests = {
        subprocess.run(
            [sys.executable, "-c", PRINT_DIGEST],
            env={**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": package},
            cwd=tmp_path,  # so that it is the package under test, be it a tree or a wheel
            capture_output=True,
            check=True,
            text=True,
        ).stdout
        for hash_seed in ("0", "1")
    }
    assert len(digests) == 1


def test_the_stream_is_pinned() -> None:
    """What a seed means never changes: benchmarks of two versions are about the same events."""
    digest = hashlib.sha256()
    for column in columns(EVERYTHING).columns():
        digest.update(column.astype("<i8").tobytes())
    assert digest.hexdigest().startswith("fe6c1aa35da9e19b")


def test_another_seed_is_another_stream() -> None:
    """The seed reaches starts, lengths and items."""
    one, other = columns(Shape(seed=1)), columns(Shape(seed=2))
    assert len(one) != len(other) or not np.array_equal(one.item, other.item)


@pytest.mark.parametrize("shape", [Shape(), EVERYTHING], ids=["plain", "everything"])
def test_time_order(shape: Shape) -> None:
    """In time order, those of one time in order of number; sessions keep their own."""
    clicks = columns(shape)
    key = np.stack([clicks.timestamp, clicks.number], axis=1).tolist()
    assert sorted(key) == key
    assert len(clicks) == len(set(clicks.number.tolist()))
    by_session = clicks.take(np.argsort(clicks.session, kind="stable"))
    assert by_session.number.tolist() == list(range(len(clicks)))


def test_blocks_hold_little_and_join_to_the_whole() -> None:
    """However the sessions are cut into blocks, no block reaches back behind the one before."""
    parts = list(blocks(EVERYTHING, block_sessions=100))
    assert len(parts) >= 30
    for before, after in pairwise(parts):
        assert before.timestamp[-1] < after.timestamp[0]
    n_sessions = len(np.unique(Clicks.joined(parts).session))
    assert EVERYTHING.sessions == n_sessions


def test_sessions_are_interleaved() -> None:
    """A session is not over when the next one starts."""
    session = columns(Shape(sessions=20_000)).session
    assert np.count_nonzero(np.diff(session) < 0) > len(session) / 4


@pytest.mark.parametrize("zipf", [0.0, 0.8, 1.2])
def test_zipf_exponent(zipf: float) -> None:
    """The exponent asked for is that of the stream."""
    shape = Shape(sessions=200_000, items=1000, zipf=zipf, structure=0, repeats=0)
    # Sorted counts of equally popular items fall a little by chance alone.
    assert exponent(columns(shape)) == pytest.approx(zipf, abs=0.03)


def test_structure_keeps_the_long_tail() -> None:
    """Following successors, which are popular items themselves, leaves popularity Zipf-like."""
    shape = Shape(sessions=100_000, items=1000, zipf=1.0, structure=0.7)
    assert exponent(columns(shape)) == pytest.approx(1.0, abs=0.25)


@pytest.mark.parametrize("lengths", ["geometric", "log-normal"])
@pytest.mark.parametrize("mean", [1.0, 5.0, 20.0])
def test_session_lengths(lengths: str, mean: float) -> None:
    """Every session has an event, and the mean is the one asked for."""
    shape = Shape(sessions=50_000, lengths=lengths, mean_length=mean)  # type: ignore[arg-type]
    n_events = np.bincount(columns(shape).session, minlength=shape.sessions)
    assert n_events.min() == 1
    assert n_events.mean() == pytest.approx(mean, rel=0.03)


def test_structure_decides_the_next_item() -> None:
    """With structure 1, only its successors follow an item, the first of them half the time."""
    shape = Shape(sessions=20_000, items=50, structure=1, repeats=0, successors=3)
    clicks = columns(shape)
    clicks = clicks.take(np.argsort(clicks.number))
    same = clicks.session[1:] == clicks.session[:-1]
    pairs = np.stack([clicks.item[:-1][same], clicks.item[1:][same]], axis=1)
    for item in range(shape.items):
        followers = pairs[pairs[:, 0] == item, 1]
        assert len(np.unique(followers)) <= 3
        assert item not in followers
        assert np.bincount(followers).max() >= 0.4 * len(followers)


def test_repeats() -> None:
    """With a million items and no structure, an item seen again was gone back to."""
    shape = Shape(sessions=20_000, items=1_000_000, zipf=0, structure=0, repeats=0.25)
    clicks = columns(shape)
    pairs = np.stack([clicks.session, clicks.item], axis=1)
    n_again = len(clicks) - len(np.unique(pairs, axis=0))
    n_not_first = len(clicks) - shape.sessions
    assert n_again / n_not_first == pytest.approx(0.25, abs=0.01)


def test_funnel() -> None:
    """A cart is of the item just viewed, a purchase of the item just put into the cart."""
    clicks = columns(Shape(sessions=5000, funnel=0.3, repeats=0))
    clicks = clicks.take(np.argsort(clicks.number))
    assert set(range(len(EVENT_TYPES))) == set(clicks.type.tolist())
    later = np.flatnonzero(clicks.type > 0)
    assert np.array_equal(clicks.type[later - 1] + 1, clicks.type[later])
    assert np.array_equal(clicks.item[later - 1], clicks.item[later])
    assert np.array_equal(clicks.session[later - 1], clicks.session[later])


def test_drift() -> None:
    """With drift, the first day's best sellers are not the last day's; without, they are."""

    def best(drift: float, day: int) -> set[int]:
        shape = Shape(sessions=50_000, items=500, structure=0, drift=drift, duration_ms=10 * DAY_MS)
        clicks = columns(shape)
        of_day = (clicks.timestamp - shape.start_ms) // DAY_MS == day
        return set(np.argsort(np.bincount(clicks.item[of_day]))[-20:].tolist())

    assert len(best(0.0, 0) & best(0.0, 9)) >= 17
    assert len(best(0.5, 0) & best(0.5, 9)) <= 5


def test_day_rhythm() -> None:
    """Sessions come at noon, not at midnight; without a rhythm, evenly."""

    def by_quarter(rhythm: float) -> NDArray[np.int64]:
        shape = Shape(sessions=40_000, mean_length=1, day_rhythm=rhythm, duration_ms=2 * DAY_MS)
        of_day = (columns(shape).timestamp - shape.start_ms) % DAY_MS
        return np.bincount(of_day // (DAY_MS // 4), minlength=4)

    even, swinging = by_quarter(0), by_quarter(1)
    assert even.tolist() == pytest.approx([10_000] * 4, rel=0.01)
    night = 10_000 * (1 - 2 / np.pi)
    assert swinging[0] == pytest.approx(night, rel=0.02)
    assert swinging[2] == pytest.approx(20_000 - night, rel=0.02)


def test_ticks_make_equal_times() -> None:
    """With whole seconds, times are multiples of a second and many are shared."""
    times = columns(Shape(sessions=20_000, tick_ms=1000)).timestamp
    assert not np.any(times % 1000)
    assert len(np.unique(times)) < 0.8 * len(times)


def test_events_are_the_columns() -> None:
    """As events, the stream has the ids that the JSON lines have."""
    shape = Shape(sessions=3, items=4, users=2, seed=9)
    clicks = columns(shape)
    first = next(events(shape))
    assert first.session_id == f"s{clicks.session[0]}"
    assert first.item_id == f"i{clicks.item[0]}"
    assert first.timestamp == clicks.timestamp[0]
    assert first.user_id == f"u{clicks.user[0]}"
    assert first.event_id == f"e{clicks.number[0]}"
    assert len(clicks) == len(list(events(shape)))


@pytest.mark.parametrize(
    "wrong",
    [
        {"sessions": 0},
        {"items": 0},
        {"zipf": -1.0},
        {"structure": 1.5},
        {"repeats": 0.6, "funnel": 0.6},
        {"mean_length": 0.5},
        {"lengths": "normal"},
        {"users": 1 << 24},
        {"seed": -1},
        {"duration_ms": 1 << 40},
    ],
    ids=str,
)
def test_impossible_values_are_refused_by_name(wrong: dict[str, object]) -> None:
    """The error names the field."""
    with pytest.raises(SettingsError) as caught:
        Shape(**wrong)  # type: ignore[arg-type]
    assert caught.value.key in wrong


def test_the_smallest_stream() -> None:
    """One session, one item."""
    assert set(columns(Shape(sessions=1, items=1)).item.tolist()) == {0}
