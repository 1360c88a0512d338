"""Log time: a wrong clock moves the watermark no further than the log, live, after a restart, and over HTTP."""

import json
from pathlib import Path
from time import time

import pytest
from clicks import broker_with
from crash import parts
from web import Running, embedded, eventually

from stream_rec.core.engine import Engine
from stream_rec.core.events import DecodeRules, EventDecoder
from stream_rec.core.limits import Limits
from stream_rec.service.committing.destinations import HEADERS
from stream_rec.service.consuming.record_decoder import RecordDecoder
from stream_rec.service.metrics.counters import Counters
from stream_rec.service.metrics.service_metrics import ServiceMetrics
from stream_rec.service.processing.processor import Processor
from stream_rec.service.running.consumer_loop import ConsumerLoop
from stream_rec.transport.memory.broker import MemoryBroker
from stream_rec.transport.records import Record

MINUTE = 60_000
HOUR = 60 * MINUTE
NOW = 1_700_000_000_000  # an hour of 2023: by a clock at reading, none of these events is of the future
LIMITS = Limits(retention_ms=12 * HOUR, allowed_lateness_ms=HOUR)
RULES = DecodeRules(max_future_ms=5 * MINUTE)


def make_processor(counters: Counters, metrics: ServiceMetrics) -> Processor:
    return Processor(Engine(limits=LIMITS), counters=counters, metrics=metrics)


def service_on(broker: MemoryBroker, name: str = "one") -> ConsumerLoop:
    """Return a service that has read all, with an empty state at its start."""
    decode = RecordDecoder(EventDecoder(RULES), has_log_times=True)
    loop = ConsumerLoop(parts(broker, name=name, make_processor=make_processor, decode=decode), lambda: False)
    idle = 0
    while idle < 4:
        idle = 0 if loop.step(0.0) else idle + 1
    return loop


def click(session: str, item: str, timestamp: int) -> bytes:
    return json.dumps({"session_id": session, "item_id": item, "timestamp": timestamp}).encode()


def watermark(running: Running) -> int:
    """Return it, once the figures of the service hold an event."""

    def retained() -> dict[str, int]:
        found: dict[str, int] | None = running.client.get("/v1/stats")["retained"]
        return found if found and found["events"] else {}

    eventually(retained, "counted")
    return retained()["watermark"]


def reasons(broker: MemoryBroker) -> list[str]:
    return [dict(record.headers)[f"{HEADERS}reason"].decode() for record in broker.visible("dead")]


@pytest.mark.parametrize("ahead", [4 * MINUTE, 23 * HOUR])
def test_a_wrong_clock_makes_no_other_click_late(ahead: int) -> None:
    """Nor does it evict a session: it is of the future, or stays ahead of the watermark by itself."""
    broker = broker_with([])
    for n in range(200):
        broker.produce("clicks", click(f"before{n}", "a", NOW + n), b"k", timestamp_ms=NOW + n)
    broker.produce("clicks", click("wrong", "b", NOW + 200 + ahead), b"k", timestamp_ms=NOW + 200)
    for n in range(200):
        broker.produce("clicks", click(f"after{n}", "c", NOW + 201 + n), b"k", timestamp_ms=NOW + 201 + n)
    loop = service_on(broker)
    engine = loop.processor.engine
    assert ([] if ahead < HOUR else ["future"]) == reasons(broker)
    assert NOW + 400 == engine.watermark
    assert 400 + (ahead < HOUR) == len(engine.session_ids())


def test_the_future_is_judged_by_the_log() -> None:
    """Whenever it is read: a restart leaves out what was left out before, and has the same watermark."""
    broker = broker_with([])
    for n, ahead in enumerate([0, 10 * MINUTE, 0, 5 * MINUTE, 5 * MINUTE + 1, 0]):
        broker.produce("clicks", click(f"s{n}", "a", NOW + n + ahead), b"k", timestamp_ms=NOW + n)
    first = service_on(broker)
    assert ["future", "future"] == reasons(broker)
    expected = (sorted(first.processor.engine.session_ids()), first.processor.engine.watermark)
    assert (["s0", "s2", "s3", "s5"], NOW + 5) == expected
    again = service_on(broker, "two").processor.engine
    assert expected == (sorted(again.session_ids()), again.watermark)


def test_a_record_without_a_time_moves_the_watermark_to_its_own() -> None:
    """Kafka's -1: there is nothing to judge it by."""
    broker = broker_with([])
    broker.produce("clicks", click("s", "a", NOW), b"k", timestamp_ms=-1)
    assert NOW == service_on(broker).processor.engine.watermark
    assert [] == reasons(broker)


def test_seconds_in_a_topic_are_refused() -> None:
    """Else one event with the right unit would evict all of them."""
    broker = broker_with([])
    broker.produce("clicks", click("s", "a", NOW // 1000), b"k", timestamp_ms=NOW)
    engine = service_on(broker).processor.engine
    assert (["bad_time"], None) == (reasons(broker), engine.watermark)


def test_an_event_over_http_is_taken_when_it_arrives(tmp_path: Path) -> None:
    """Its arrival is in the journal, so that a replay has the same watermark; seconds are refused."""
    journal = tmp_path / "journal.jsonl"
    for life in range(2):
        with embedded(journal=str(journal)) as running:
            if life == 0:
                begun = int(time() * 1000)
                ahead = begun + 4 * MINUTE
                running.client.post("/v1/events", {"session_id": "s", "item_id": "a", "timestamp": ahead})
                reply = running.client("POST", "/v1/events", {"session_id": "t", "item_id": "a", "timestamp": 17})
                assert (422, "bad_time") == (reply.status, reply.json["error"]["code"])
                moved_to = watermark(running)
                assert begun <= moved_to < begun + MINUTE
            assert moved_to == watermark(running)
            assert ahead == running.client.get("/v1/sessions/s")["events"][0]["timestamp"]


def test_records_of_a_file_have_no_log_time() -> None:
    """Only what lies a day beyond the clock at reading is of the future: a file may be in a local time."""
    decode = RecordDecoder(EventDecoder(RULES), read_at_ms=lambda: NOW)
    day = 24 * HOUR
    times = [5, NOW // 1000, NOW + 14 * HOUR, NOW + day + 5 * MINUTE, NOW + day + 5 * MINUTE + 1]
    read = decode([Record(click("s", "i", at), "f.jsonl", 0, n) for n, at in enumerate(times)])
    assert read.log_times is None
    assert ["Event"] * 4 + ["DecodeError"] == [type(each).__name__ for each in read.decoded]
    unlimited = RecordDecoder(EventDecoder(), read_at_ms=lambda: NOW)
    assert "Event" == type(unlimited([Record(click("s", "i", NOW * 3), "f", 0, 1)]).decoded[0]).__name__
