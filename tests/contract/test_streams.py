"""Records of live streams through a real broker, with both clients: what `check` and a run read of its topic."""

import json
from typing import Any

import pytest
from kafka_broker import Broker
from stream_examples import CLOUD, DATA, EXAMPLES, IDS, T
from topics import Sent, produce

from stream_rec.core.events import Event
from stream_rec.service.assembly.check import inspect
from stream_rec.service.assembly.inputs import build_record_decoder, open_events
from stream_rec.settings import Settings, load

CLIENTS = pytest.mark.parametrize("client", ["kafka-python", "confluent"])


def events_in(settings: Settings) -> list[Event]:
    source, decode = open_events(settings), build_record_decoder(settings)
    try:
        decoded = [each for records in source.batches(100) for each in decode(records).decoded]
    finally:
        source.close()
    assert all(type(each) is Event for each in decoded), decoded
    return [each for each in decoded if isinstance(each, Event)]


@CLIENTS
@pytest.mark.parametrize(("name", "value", "expected"), EXAMPLES, ids=IDS)
def test_a_topic_of_such_records(broker: Broker, client: str, name: str, value: Any, expected: list[Event]) -> None:
    """A run reads them by the name of the format alone; `check` guesses the name, and accepts them."""
    topic = broker.topic("clicks")
    data = value if isinstance(value, bytes) else json.dumps(value).encode()
    produce(broker.address, topic, [Sent(data, b"key")])
    flags = {"events": f"kafka://{broker.address}/{topic}", "kafka_client": client}
    assert expected == events_in(load(flags={**flags, "format": name}))
    report = inspect(load(flags={**flags, "format": name})).report
    assert (len(expected), {}) == (report.accepted, report.refused)
    if name != "snowplow" or not isinstance(value, bytes):
        assert f"--format {name}" in (inspect(load(flags=flags)).report.line or "")


@CLIENTS
def test_cloudevents_in_headers(broker: Broker, client: str) -> None:
    """Binary mode: all but the data stands in the headers of the record."""
    topic = broker.topic("clicks")
    headers = tuple((f"ce_{name}", str(value).encode()) for name, value in CLOUD.items())
    produce(broker.address, topic, [Sent(json.dumps(DATA).encode(), None, headers)])
    flags = {"events": f"kafka://{broker.address}/{topic}", "kafka_client": client, "format": "cloudevents"}
    assert [Event("ann", "tent", T, "click", "e1")] == events_in(load(flags=flags))
