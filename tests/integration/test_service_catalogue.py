"""A catalogue in a topic, beside a service on a real broker: its changes hold for the next answers."""

import json
import time

import msgspec
import pytest
from kafka_broker import Broker
from serving import serving
from shop import CLIENTS, LOG, Shop, keyed
from topics import Sent, eventually, produce

from stream_rec.core.events import Answer


@pytest.fixture
def shop(broker: Broker) -> Shop:
    return Shop(broker)


@CLIENTS
def test_an_unavailable_item_is_in_no_answer_a_second_later(shop: Shop, broker: Broker, client: str) -> None:
    """A tombstone removes the item from the catalogue, so that it may be recommended again."""
    items = broker.topic("items", partitions=2)
    names = sorted({event.item_id for event in LOG})
    gone = LOG[0].item_id
    produce(shop.address, items, [item(name) for name in names])
    half = len(LOG) // 2

    def answered(n: int) -> list[set[str]]:
        eventually(lambda: len(shop.answers()) >= n, "answered")
        found = [msgspec.json.decode(got.value or b"", type=Answer) for got in shop.answers()]
        return [{each.item_id for each in answer.items} for answer in found]

    catalogue = f"kafka://{shop.address}/{items}"
    with serving(
        shop.address, **shop.flags, kafka_client=client, catalogue=catalogue, filter="in_catalogue", n="100"
    ) as service:
        service.ready()
        shop.produce(*keyed(LOG[:half]))
        assert any(gone in each for each in answered(half))
        produce(shop.address, items, [item(gone, available=False)])
        time.sleep(1)
        shop.produce(*keyed(LOG[half:-10]))
        assert not any(gone in each for each in answered(len(LOG) - 10)[half:])
        produce(shop.address, items, [item(gone), Sent(None, names[-1].encode())])
        time.sleep(1)
        shop.produce(*keyed(LOG[-10:]))
        last = answered(len(LOG))[-10:]
        assert any(gone in each for each in last)
        assert not any(names[-1] in each for each in last)


def item(name: str, **fields: object) -> Sent:
    return Sent(json.dumps({"title": name.upper(), **fields}).encode(), name.encode())
