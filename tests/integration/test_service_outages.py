"""The broker stops, freezes, comes back, or starts late; a topic is deleted."""

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest
from confluent_kafka import Producer
from kafka_broker import Broker
from kafka_broker.plugin import MakeBroker
from running import running
from serving import serving
from shop import BOTH_IN_TIME, CLIENTS, CLOSE, LOG, THOROUGH, Shop, keyed, one_by_one, pairs
from topics import SECONDS, Sent, eventually, produce

from stream_rec.core.engine import Engine
from stream_rec.service.state import ServiceState
from stream_rec.service.timeouts import TIMEOUTS

QUICK = {("kafka-python", "freeze"), ("confluent", "kill")}
"""Of four forms of an outage, the two that `make test` has the time for."""
AWAY = [
    pytest.param(client, way, seconds, marks=pytest.mark.slow if seconds < 30 and (client, way) in QUICK else THOROUGH)
    for client in ("kafka-python", "confluent")
    for way in ("kill", "freeze")
    for seconds in (12, 30)
]
"""Twelve seconds exceed the timeouts of a client's requests, transactions and group membership."""


@pytest.fixture(scope="module")
def shared(own_broker_of_module: MakeBroker) -> Broker:
    """A broker that only this module's tests use, so they may stop and freeze it."""
    return own_broker_of_module()


@pytest.fixture
def broker_(shared: Broker) -> Iterator[Broker]:
    """The same, running before and after each test."""
    yield shared
    if not shared.alive():
        shared.start()


@pytest.fixture
def shop(broker_: Broker) -> Shop:
    return Shop(broker_)


@pytest.mark.parametrize(("client", "way", "seconds"), AWAY)
def test_a_broker_that_is_away_for_a_while(shop: Shop, broker_: Broker, client: str, way: str, seconds: int) -> None:
    """An outage amid work loses, doubles and reorders nothing, and the service goes on by itself."""
    with serving(shop.address, **shop.flags, kafka_client=client, batch_events="10") as service:
        service.ready()
        shop.produce(*keyed(LOG[:300]))
        eventually(lambda: service.kafka_service.counters.n_answers > 20, "the first answers")
        lose(broker_, way, seconds)
        shop.produce(*keyed(LOG[300:]))
        eventually(lambda: service.is_over.is_set() or shop.is_all_committed(), "all", 120)
    # Answers follow the topic's order, which the test's own producer makes.
    assert [each.value for each in keyed(LOG)] == [each.value for each in shop.log()]
    assert one_by_one(LOG, shop.clicks, Engine()) == pairs(shop.answers())


def lose(broker: Broker, way: str, seconds: float) -> None:
    """Take the broker away for so long."""
    if way == "kill":
        broker.kill()
        time.sleep(seconds)
        broker.start()
    else:
        broker.pause()
        time.sleep(seconds)
        broker.resume()
        broker.wait_until_ready()


@BOTH_IN_TIME
def test_a_broker_that_starts_later(shop: Shop, broker_: Broker, client: str) -> None:
    """The service waits for it, and says so."""
    shop.produce(*keyed(LOG))
    broker_.stop()
    with serving(shop.address, **shop.flags, kafka_client=client) as service:
        eventually(lambda: service.is_over.is_set() or service.kafka_service.state is ServiceState.WAITING, "it waits")
        time.sleep(2)
        broker_.start()
        eventually(lambda: service.is_over.is_set() or shop.is_all_committed(), "all")
    assert one_by_one(LOG, shop.clicks, Engine()) == pairs(shop.answers())


@pytest.mark.slow
@pytest.mark.parametrize(("client", "way"), sorted(QUICK))
def test_a_stop_while_the_broker_is_away(shop: Shop, broker_: Broker, tmp_path: Path, client: str, way: str) -> None:
    """The service still ends within ten seconds, and the next start does the remaining work."""
    with running(tmp_path, *shop.argv, "--kafka-client", client) as service:
        service.ready()
        shop.produce(*keyed(LOG[:100]))
        eventually(shop.is_all_committed, "the first")
        (broker_.kill if way == "kill" else broker_.pause)()
        begun = time.monotonic()
        assert service.stop() in {0, 1}
        took = time.monotonic() - begun
        assert took < 15, service.said()  # ten, and what a busy machine adds
        assert "Traceback" not in service.said()
    if way == "kill":
        broker_.start()
    else:
        broker_.resume()
        broker_.wait_until_ready()
    shop.produce(*keyed(LOG[100:]))
    shop.serve(kafka_client=client)
    assert one_by_one(LOG, shop.clicks, Engine()) == pairs(shop.answers())


@CLIENTS
def test_a_topic_that_is_deleted(shop: Shop, broker_: Broker, client: str) -> None:
    """The service waits for it, says so, and goes on with the topic that is made again."""
    shop.produce(*keyed(LOG[:50]))
    with serving(shop.address, **shop.flags, kafka_client=client) as service:
        eventually(lambda: service.is_over.is_set() or shop.is_all_committed(), "all")
        with broker_.admin() as admin:
            admin.delete_topics([shop.clicks])
        eventually(lambda: service.is_over.is_set() or service.kafka_service.problems.now, "a problem")
        (problem,) = service.kafka_service.problems.now
        assert ("topic", True) == (problem.kind, shop.clicks in problem.message)
        eventually(lambda: service.kafka_service.state is ServiceState.WAITING, "it waits")
        broker_.topic(shop.clicks, exact=True)
        shop.produce(*keyed(LOG[:20]))
        eventually(lambda: service.is_over.is_set() or len(shop.answers()) == 70, "the new ones")
        eventually(lambda: not service.kafka_service.problems.now, "no problem")


@CLIENTS
@pytest.mark.parametrize("instance", [None, "one"])
def test_a_topic_that_grows(shop: Shop, broker_: Broker, client: str, instance: str | None) -> None:
    """Events of added partitions are answered too, some seconds after they were added, from the first one on."""
    fresh = [msgspec.structs.replace(event, session_id=f"new-{event.session_id}", event_id=None) for event in CLOSE]
    asked = broker_.topic("asked")
    flags = {**shop.flags, "requests": asked, "begin": "latest", "kafka_client": client, "instance": instance or "none"}
    with serving(shop.address, **flags) as service:
        service.ready()
        eventually(lambda: service.owned or service.is_over.is_set(), "an assignment")
        shop.produce(*keyed(CLOSE))
        eventually(lambda: service.is_over.is_set() or shop.is_all_committed(), "the old ones")
        with broker_.admin() as admin:
            admin.create_partitions({shop.clicks: 3, asked: 2})
            eventually(
                lambda: (
                    [2, 3] == sorted(len(each["partitions"]) for each in admin.describe_topics([shop.clicks, asked]))
                ),
                "the added partitions",
            )
        begun = time.monotonic()
        shop.produce(*keyed(fresh))
        produce(shop.address, asked, [Sent(b'{"request_id": "r", "items": ["i1"]}', partition=1)])
        eventually(lambda: len(service.owned) == 5 or service.is_over.is_set(), "five partitions")
        took = time.monotonic() - begun
        eventually(
            lambda: service.is_over.is_set() or (shop.is_all_committed() and shop.is_all_committed(asked)), "all"
        )
        eventually(lambda: not sum(service.loop.lag.values()), "no lag")
    assert took < 25, "five seconds, and what a busy machine adds"
    assert len(CLOSE) + len(fresh) + 1 == len(shop.answers())


@CLIENTS
def test_a_topic_that_grows_while_a_static_member_restarts(shop: Shop, broker_: Broker, client: str) -> None:
    """The broker gives it the partitions of before, and shares out nothing by itself: the service sees to it."""
    asked = broker_.topic("asked")
    flags = {**shop.flags, "requests": asked, "begin": "latest", "kafka_client": client, "instance": "one"}
    quick = replace(TIMEOUTS, added_partitions_s=3.0)
    with serving(shop.address, **flags) as service:
        eventually(lambda: service.owned or service.is_over.is_set(), "an assignment")
    with broker_.admin() as admin:
        admin.create_partitions({shop.clicks: 3, asked: 2})
    with serving(shop.address, timeouts=quick, **flags) as service:
        eventually(lambda: service.owned or service.is_over.is_set(), "an assignment")
        shop.produce(*keyed(CLOSE))
        produce(shop.address, asked, [Sent(b'{"request_id": "r", "items": ["i1"]}', partition=1)])
        eventually(lambda: service.is_over.is_set() or len(service.owned) == 5, "five partitions")
        eventually(
            lambda: service.is_over.is_set() or (shop.is_all_committed() and shop.is_all_committed(asked)), "all"
        )
        eventually(lambda: not service.kafka_service.problems.now, "no problem")
    assert len(CLOSE) + 1 == len(shop.answers())


@CLIENTS
def test_a_topic_that_ends_with_an_aborted_transaction(shop: Shop, broker_: Broker, client: str) -> None:
    """Nothing of it can be read, so the lag returns to 0, and stays there."""
    shop.produce(*keyed(LOG[:20]))
    producer = Producer({"bootstrap.servers": shop.address, "transactional.id": shop.clicks})
    producer.init_transactions(SECONDS)
    producer.begin_transaction()
    for value, key, *_ in keyed(LOG[20:120]):
        producer.produce(shop.clicks, value, key)
    producer.flush(SECONDS)
    producer.abort_transaction(SECONDS)
    with serving(shop.address, **shop.flags, kafka_client=client) as service:
        service.ready()
        eventually(lambda: service.is_over.is_set() or service.kafka_service.counters.n_answers == 20, "the answers")
        eventually(lambda: service.is_over.is_set() or [0] == list(service.loop.lag.values()), "no lag")
        time.sleep(3)  # the lag is measured every two seconds
        assert [0] == list(service.loop.lag.values())
