"""HTTP over the service on a real broker: acknowledged events are in the topic, also when the service is killed."""

import re
import threading
import time
from pathlib import Path

import msgspec
import pytest
from kafka_broker import Broker
from running import Running, running
from shop import CLIENTS, LOG, Shop, keyed
from topics import committed, eventually
from web import Client

from stream_rec.core.events import Event


@pytest.fixture
def shop(broker: Broker) -> Shop:
    return Shop(broker)


def client_of(service: Running) -> Client:
    """A client of a service that serves at a port of its choice."""
    service.says("serving HTTP at")
    (port,) = re.findall(r"serving HTTP at http://127\.0\.0\.1:(\d+)/", service.said())[-1:]
    return Client(int(port))


def in_topic(shop: Shop) -> list[Event]:
    """The events that are in the topic."""
    return [msgspec.json.decode(record.value or b"", type=Event) for record in committed(shop.address, shop.clicks)]


@CLIENTS
def test_events_go_through_the_topic(shop: Shop, client: str, tmp_path: Path) -> None:
    """Acknowledged events are in the topic where the receipt says, and answers to callers include them."""
    argv = [*shop.argv, "--http", "127.0.0.1:0", "--kafka-client", client]
    shop.produce(*keyed(LOG))
    with running(tmp_path, *argv) as service:
        service.ready()
        call = client_of(service)
        eventually(lambda: call("GET", "/readyz").status == 200, "ready")
        now = max(event.timestamp for event in LOG) + 1000
        events = [{"session_id": "me", "item_id": LOG[0].item_id, "timestamp": now + n} for n in range(3)]
        receipt = call.post("/v1/events", events)
        assert receipt["durable"]
        assert 3 == len([each for each in in_topic(shop) if each.session_id == "me"])
        event = {"session_id": "me", "item_id": LOG[1].item_id, "timestamp": now + 10}
        answer = call.post("/v1/events:recommend", {"event": event})
        assert now + 10 == answer["as_of"]
        assert 4 == len(call.get("/v1/sessions/me")["events"])
        receipt = call("DELETE", "/v1/sessions/me").json
        assert receipt["durable"]
        eventually(lambda: call("GET", "/v1/sessions/me").status == 404, "forgotten")
        eventually(shop.is_all_committed, "all answered")
        assert len(LOG) + 4 == len(shop.answers())
        assert 0 == service.stop()


@pytest.mark.slow
def test_what_was_acknowledged_survives_a_kill(shop: Shop, tmp_path: Path) -> None:
    """SIGKILL while events come over HTTP, three times: acknowledged events are in the topic, and answered once."""
    argv = [*shop.argv, "--http", "127.0.0.1:0", "--snapshots", tmp_path / "snapshots", "--kafka-client", "confluent"]
    acknowledged: list[str] = []
    begin = int(time.time() * 1000)
    with running(tmp_path, *argv) as service:
        for run in range(3):
            if run:
                service.start()
            call = client_of(service)
            eventually(lambda call=call: call("GET", "/readyz").status == 200, "ready")  # type: ignore[misc]
            ends = threading.Timer(1.0, service.kill)
            ends.start()
            try:
                for n in range(100_000):
                    name = f"e{run}-{n}"
                    event = {"session_id": f"s{n % 7}", "item_id": f"i{n % 5}", "timestamp": begin, "event_id": name}
                    if call("POST", "/v1/events", event).status == 202:
                        acknowledged.append(name)
            except OSError:
                pass  # it is gone
            ends.join()
        service.start()
        eventually(shop.is_all_committed, "all answered")
        assert 0 == service.stop()
    there = [event.event_id for event in in_topic(shop)]
    assert len(acknowledged) > 30
    assert set(acknowledged) <= set(there)
    assert len(set(there)) == len(shop.answers())
