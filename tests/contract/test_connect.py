"""Records that Kafka Connect's own converter has written, through a real broker, with both clients."""

import base64
import subprocess
from functools import cache
from pathlib import Path

import pytest
from kafka_broker import Broker, jars
from kafka_broker.base import BrokerMissing
from topics import Sent, produce

from stream_rec.core.events import Event, Forget
from stream_rec.service.assembly.inputs import build_record_decoder, open_events
from stream_rec.settings import load

PROGRAM = Path(__file__).parents[1] / "support" / "ConnectClicks.java"
EVENTS = [
    Event(f"s{n // 4}", str(n), 1_714_557_600_000 + n * 1000, "cart" if n % 2 else "view", None) for n in range(8)
]


@cache
def converted(*, schemas: bool) -> list[Sent]:
    """Eight clicks in two sessions, then a deletion of each: one whose null has a schema, and one without."""
    try:
        java, folder = jars.java(), jars.fetched()
    except BrokerMissing as missing:
        pytest.skip(f"Kafka Connect's converter: {missing}")
    if (
        "jdk.compiler"
        not in subprocess.run([java, "--list-modules"], capture_output=True, text=True, check=True).stdout
    ):
        pytest.skip("Kafka Connect's converter is called by a program that a JDK compiles; this java is a JRE")
    command = [java, "-cp", f"{folder}/*", str(PROGRAM), str(schemas).lower()]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert 0 == done.returncode, done.stderr
    pairs = [line.split() for line in done.stdout.splitlines()]
    return [Sent(None if value == "-" else base64.b64decode(value), base64.b64decode(key)) for key, value in pairs]


@pytest.mark.parametrize("client", ["kafka-python", "confluent"])
@pytest.mark.parametrize("schemas", [True, False], ids=["with-schemas", "without"])
def test_clicks_and_deletions(broker: Broker, client: str, schemas: bool) -> None:
    """Times are dates to Connect, items numbers; a deletion forgets the session of its key, in each of its forms."""
    records = converted(schemas=schemas)
    topic = broker.topic("clicks")
    produce(broker.address, topic, records)
    flags = {"events": f"kafka://{broker.address}/{topic}", "kafka_client": client}
    settings = load(flags={**flags, "format": "connect"} if schemas else flags)
    source, decode = open_events(settings), build_record_decoder(settings)
    try:
        decoded = [each for batch in source.batches(100) for each in decode(batch).decoded]
    finally:
        source.close()
    assert EVENTS == decoded[:8]
    assert [Forget("s0"), Forget("s1")] == decoded[8:]
