"""A service on real Kafka and a real schema registry; the records are written by confluent-kafka's own serialisers."""

from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import pytest
from apicurio import Apicurio
from confluent_kafka.schema_registry import Schema, SchemaReference, SchemaRegistryClient
from confluent_kafka.schema_registry.avro import AvroSerializer
from confluent_kafka.schema_registry.json_schema import JSONSerializer
from confluent_kafka.schema_registry.protobuf import ProtobufSerializer
from confluent_kafka.serialization import MessageField, SerializationContext
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass
from kafka_broker import Broker
from kafka_broker.base import BrokerMissing
from kafka_broker.plugin import go_without
from serving import serving
from shop import LOG, THOROUGH, Shop, one_by_one, pairs
from topics import Sent, eventually

from stream_rec.core.engine import Engine
from stream_rec.core.events import Event
from stream_rec.service.assembly.check import inspect
from stream_rec.service.problems import ProblemKind
from stream_rec.service.state import ServiceState
from stream_rec.settings import load

pytestmark = pytest.mark.slow

CLIENTS = ["kafka-python", pytest.param("confluent", marks=THOROUGH)]

Serialise = Callable[[dict[str, Any]], bytes]
OPTIONS: dict[str, Any] = {"subject.name.strategy.type": "TOPIC"}
FIELDS = [{"name": "session_id", "type": "string"}, {"name": "item_id", "type": "string"}]
CLICK = {
    "type": "record",
    "name": "Click",
    "namespace": "shop",
    "fields": [*FIELDS, {"name": "timestamp", "type": {"type": "long", "logicalType": "timestamp-millis"}}],
}


@pytest.fixture(scope="module")
def shared(broker: Broker, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Apicurio]:
    """A registry that this module's tests share, and may pause."""
    del broker  # without one there are no tests, so there is nothing to fetch
    try:
        made = Apicurio(tmp_path_factory.mktemp("registry"))
    except BrokerMissing as missing:
        go_without(str(missing))
    made.start()
    try:
        made.wait_until_ready()
        yield made
    finally:
        made.close()


@pytest.fixture
def registry(shared: Apicurio) -> Iterator[Apicurio]:
    """The same, which runs before and after each test."""
    yield shared
    shared.resume()


@pytest.fixture
def client(registry: Apicurio) -> Iterator[SchemaRegistryClient]:
    """A producer's client of the registry."""
    with SchemaRegistryClient({"url": registry.url, "timeout": 30}) as made:
        yield made


def avro(client: SchemaRegistryClient, topic: str, schema: Any = CLICK, field: str = MessageField.VALUE) -> Any:
    """Return a serialiser into *topic*."""
    text = schema if isinstance(schema, str | Schema) else msgspec.json.encode(schema).decode()
    serialise = AvroSerializer(client, text, conf=OPTIONS)
    return lambda value: serialise(value, SerializationContext(topic, field, []))


def json_schema(client: SchemaRegistryClient, topic: str) -> Serialise:
    schema = '{"title": "Click", "type": "object", "properties": {"session_id": {"type": "string"}}}'
    serialise = JSONSerializer(schema, client, conf=OPTIONS)
    return lambda value: serialise(value, SerializationContext(topic, MessageField.VALUE, []))


def message_class() -> Any:
    """Return the class of a click in Protobuf."""
    file = FileDescriptorProto(name="click.proto", package="shop", syntax="proto3")
    made = file.message_type.add(name="Click")
    for number, (name, kind) in enumerate((("session_id", 9), ("item_id", 9), ("timestamp", 3)), 1):
        made.field.add(name=name, number=number, type=kind, label=1)
    pool = DescriptorPool()
    pool.Add(file)
    return GetMessageClass(pool.FindMessageTypeByName("shop.Click"))


def protobuf(client: SchemaRegistryClient, topic: str) -> Serialise:
    message = message_class()
    serialise = ProtobufSerializer(message, client, conf=OPTIONS)
    return lambda value: serialise(message(**value), SerializationContext(topic, MessageField.VALUE, []))


def protobuf_as_text(client: SchemaRegistryClient, topic: str) -> Serialise:
    """As Java's serialiser registers it: the registry keeps the text."""
    text = (
        'syntax = "proto3"; package shop; message Click { string session_id=1; string item_id=2; int64 timestamp=3; }'
    )
    number = client.register_schema(f"{topic}-value", Schema(text, "PROTOBUF"))
    message = message_class()
    return lambda value: b"\0" + number.to_bytes(4, "big") + b"\0" + message(**value).SerializeToString()


def fields(event: Event) -> dict[str, Any]:
    return {"session_id": event.session_id, "item_id": event.item_id, "timestamp": event.timestamp}


BARE = [Event(each.session_id, each.item_id, each.timestamp) for each in LOG]


@pytest.mark.parametrize("kafka_client", CLIENTS)
def test_every_kind_of_schema_in_one_topic(
    broker: Broker, registry: Apicurio, client: SchemaRegistryClient, kafka_client: str
) -> None:
    """Avro with a reference, JSON Schema, Protobuf and bare JSON give the answers of the plain log."""
    shop = Shop(broker)
    one = f"{shop.clicks}-one"
    item = {"type": "record", "name": "Item", "namespace": "shop", "fields": [{"name": "id", "type": "string"}]}
    client.register_schema(f"{one}-item", Schema(msgspec.json.encode(item).decode(), "AVRO"))
    nested = {**CLICK, "fields": [*CLICK["fields"], {"name": "item", "type": "shop.Item"}]}
    reference = SchemaReference("shop.Item", f"{one}-item", 1)
    referring = avro(client, one, Schema(msgspec.json.encode(nested).decode(), "AVRO", [reference]))
    writers: list[Serialise] = [
        avro(client, f"{one}-plain"),
        lambda value: referring({**value, "item": {"id": value["item_id"]}}),
        json_schema(client, f"{one}-json"),
        protobuf(client, f"{one}-proto"),
        protobuf_as_text(client, f"{one}-text"),
        msgspec.json.encode,
    ]
    values = [writers[place % len(writers)](fields(event)) for place, event in enumerate(BARE)]
    shop.produce(*(Sent(value, event.session_id.encode()) for value, event in zip(values, BARE, strict=True)))
    shop.serve(registry=registry.url, kafka_client=kafka_client)
    assert one_by_one(BARE, shop.clicks, Engine()) == pairs(shop.answers())
    assert not shop.letters()


def test_a_key_in_avro_forgets_and_a_bad_record_ends_nothing(
    broker: Broker, registry: Apicurio, client: SchemaRegistryClient
) -> None:
    """A tombstone with such a key is an order to forget; what cannot be read is a dead letter with its bytes."""
    shop = Shop(broker)
    write = avro(client, shop.clicks)
    key = avro(client, shop.clicks, '"string"', MessageField.KEY)
    first, second = (write(fields(Event(session, "tent", LOG[0].timestamp))) for session in ("ann", "ben"))
    wild = first[:-6] + b"\xfe\xff\xff\xff\xff\xff\xff\xff\x7f"
    unknown = b"\0\x7f\xff\xff\xff" + first[5:]
    shop.produce(Sent(first, key("ann")), Sent(wild), Sent(unknown), Sent(None, key("ann")), Sent(second, key("ben")))
    with serving(shop.address, **shop.flags, registry=registry.url) as service:
        eventually(lambda: service.is_over.is_set() or shop.is_all_committed(), "all")
        counters = service.kafka_service.counters
        assert (1, 0) == (counters.n_forgets, counters.n_forgot_nothing)
        assert ["ben"] == service.loop.processor.engine.session_ids()
    letters = {letter.headers["stream-rec.reason"]: letter.value for letter in shop.letters()}
    assert {b"bad_time": wild, b"unknown_schema": unknown} == letters


def test_a_registry_that_is_away(broker: Broker, registry: Apicurio, client: SchemaRegistryClient) -> None:
    """The service waits for it at the start. Later, known schemas go on; records of others wait, and none is lost."""
    shop = Shop(broker)
    old = avro(client, f"{shop.clicks}-old")
    new = avro(client, f"{shop.clicks}-new", {**CLICK, "doc": "a schema of its own"})
    n = len(BARE) // 3
    values = [(old if place < 2 * n else new)(fields(event)) for place, event in enumerate(BARE)]
    records = [Sent(value, event.session_id.encode()) for value, event in zip(values, BARE, strict=True)]
    shop.produce(*records[:n])
    registry.pause()
    quick = ("timeout=0.5",)
    with serving(shop.address, **shop.flags, registry=registry.url, registry_config=quick) as service:
        problems = service.kafka_service.problems

        def says(text: str) -> bool:
            return any(each.kind is ProblemKind.REGISTRY and text in each.message for each in problems.now)

        eventually(lambda: service.is_over.is_set() or says("waiting for it"), "it waits for the registry")
        assert ServiceState.READY is not service.kafka_service.state
        registry.resume()
        eventually(lambda: service.is_over.is_set() or shop.is_all_committed(), "the first third")
        assert not problems.now
        registry.pause()
        shop.produce(*records[n : 2 * n])
        eventually(lambda: service.is_over.is_set() or shop.is_all_committed(), "known schemas go on")
        shop.produce(*records[2 * n :])
        eventually(lambda: service.is_over.is_set() or says(f"at offset {2 * n}"), "the others wait")
        assert service.kafka_service.is_ready
        registry.resume()
        eventually(lambda: service.is_over.is_set() or shop.is_all_committed(), "all")
        assert not problems.now
    assert one_by_one(BARE, shop.clicks, Engine()) == pairs(shop.answers())
    assert not shop.letters()


def test_check_of_a_topic_in_avro(broker: Broker, registry: Apicurio, client: SchemaRegistryClient) -> None:
    """Without the registry it names the setting; with it, it reads the topic."""
    shop = Shop(broker)
    write = avro(client, shop.clicks)
    shop.produce(*(Sent(write(fields(event))) for event in BARE[:20]))
    events = {"events": f"kafka://{shop.address}/{shop.clicks}"}
    said = "\n".join(inspect(load(flags=events)).lines)
    assert "needs_registry: 20" in said
    assert "--registry http://HOST:PORT" in said
    assert "csv" not in said
    assert "accepted       20" in "\n".join(inspect(load(flags={**events, "registry": registry.url})).lines)
