"""Simulated logs with faults: what was put in is what the truth says, and what a decoder finds."""

import json
from collections import Counter

import pytest

from stream_rec.core.events import DecodeRules, Event, EventDecoder
from stream_rec.errors import DecodeError, SettingsError
from stream_rec.simulator.clickstream import Shape, columns, events
from stream_rec.simulator.delivery import KINDS, Delivery, DeliveryTruth, write_jsonl

SHAPE = Shape(seed=5, sessions=4000, items=300, users=50)
NOW_MS = 1_800_000_000_000
LATENESS_MS = 1_800_000
FAULTY = Delivery(
    out_of_order=0.05,
    late=0.03,
    lateness_ms=LATENESS_MS,
    duplicates=0.04,
    broken=0.02,
    too_large_bytes=2000,
)


def log(shape: Shape, delivery: Delivery | None = None, **cut: int) -> tuple[list[bytes], DeliveryTruth]:
    pieces: list[bytes] = []
    truth = write_jsonl(shape, pieces.append, delivery, **cut)
    assert all(piece.endswith(b"\n") for piece in pieces)
    return b"".join(pieces).split(b"\n")[:-1], truth


def judged(lines: list[bytes], lateness_ms: int, max_bytes: int) -> tuple[list[Event], Counter[str]]:
    """A reader of the log as plain as can be: what it applies, and why it refuses the rest."""
    rules = DecodeRules(max_record_bytes=max_bytes, max_future_ms=86_400_000)
    decoder = EventDecoder(rules)
    applied: list[Event] = []
    refused: Counter[str] = Counter()
    watermark = 0
    known = set()
    for line in lines:
        try:
            event = decoder.decode(line, NOW_MS)
        except DecodeError as error:
            refused[error.reason] += 1
            continue
        assert isinstance(event, Event)
        if event.event_id in known:
            refused["duplicate"] += 1
        elif event.timestamp < watermark - lateness_ms:
            refused["late"] += 1
        else:
            watermark = max(watermark, event.timestamp)
            applied.append(event)
            if event.event_id is not None:
                known.add(event.event_id)
    return applied, refused


def test_without_faults_the_lines_are_the_stream() -> None:
    """The decoder reads back the very events, in order."""
    lines, truth = log(SHAPE, Delivery(event_ids=True))
    applied, refused = judged(lines, LATENESS_MS, 1 << 20)
    assert list(events(SHAPE)) == applied
    assert not refused
    assert truth.lines == truth.applied == len(lines)


def test_only_requested_faults_are_written() -> None:
    """No users, no user ids; no duplicates, no event ids."""
    lines, _ = log(Shape(sessions=5))
    assert {"session_id", "item_id", "timestamp", "type"} == set(json.loads(lines[0]))


def test_a_reader_finds_what_was_written() -> None:
    """Every count of the truth, for each reason, is what a decoder and the lateness rule give."""
    lines, truth = log(SHAPE, FAULTY)
    applied, refused = judged(lines, LATENESS_MS, FAULTY.too_large_bytes)
    expected = Counter(truth.broken)
    expected["late"], expected["duplicate"] = truth.late, truth.duplicates
    assert expected == refused
    assert truth.applied == len(applied)
    assert truth.lines == len(lines)
    assert truth.last_timestamp == max(event.timestamp for event in applied)


def test_each_kind_is_refused_for_its_reason() -> None:
    """Hundreds of records of each kind, and no reason but theirs."""
    for kind in KINDS:
        delivery = Delivery(broken=1, kinds=(kind,), too_large_bytes=500)
        lines, truth = log(Shape(sessions=60), delivery)
        _, refused = judged(lines, LATENESS_MS, 500)
        assert {kind: truth.applied} == dict(refused)


def test_fractions() -> None:
    """The shares asked for are those of the log; nearly all that is held back for long is late."""
    n_events = len(columns(SHAPE))
    _, truth = log(SHAPE, FAULTY)
    assert truth.duplicates / n_events == pytest.approx(0.04 * 0.97, rel=0.1)
    assert truth.broken.total() / truth.lines == pytest.approx(0.02, rel=0.15)
    assert truth.late / n_events == pytest.approx(0.03, rel=0.1)
    assert truth.out_of_order / n_events == pytest.approx(0.05, rel=0.1)
    assert set(KINDS) == set(truth.broken)


def test_the_way_changes_no_event() -> None:
    """Late, doubled or not: the same events are on their way."""
    lines, _ = log(SHAPE, FAULTY)
    applied, _ = judged(lines, 1 << 50, FAULTY.too_large_bytes)
    number = sorted(int(str(event.event_id)[1:]) for event in applied)
    assert list(range(len(columns(SHAPE)))) == number


def test_cutting_into_blocks_keeps_the_counts() -> None:
    """Events on their way from one block to a later one are neither lost nor miscounted."""
    lines, truth = log(SHAPE, FAULTY, block_sessions=200, lines_at_once=64)
    applied, refused = judged(lines, LATENESS_MS, FAULTY.too_large_bytes)
    assert truth.applied == len(applied)
    assert truth.late == refused["late"]
    assert truth.duplicates == refused["duplicate"]
    assert truth.broken.total() == refused.total() - truth.late - truth.duplicates


def test_truth_as_json() -> None:
    """The summary is one JSON object whose parts add up."""
    _, truth = log(SHAPE, FAULTY)
    read = json.loads(truth.to_json())
    assert read["lines"] == (read["applied"] + read["late"] + read["duplicates"] + sum(read["broken"].values()))


@pytest.mark.parametrize(
    "wrong",
    [
        {"late": 1.1},
        {"out_of_order": 0.6, "late": 0.6},
        {"lateness_ms": 0},
        {"kinds": ("late",)},
        {"kinds": ()},
    ],
    ids=str,
)
def test_impossible_values_are_refused_by_name(wrong: dict[str, object]) -> None:
    """The error names the field."""
    with pytest.raises(SettingsError) as caught:
        Delivery(**wrong)  # type: ignore[arg-type]
    assert caught.value.key in wrong
