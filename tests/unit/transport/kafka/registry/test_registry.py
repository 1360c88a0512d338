"""Records opened with a registry: Avro, Protobuf and JSON, references, evolution, keys, outages, and what is bad."""

import base64
import io
import ssl
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec
import pytest
from certificates import certificate
from fastavro import parse_schema, schemaless_writer
from google.protobuf import timestamp_pb2
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass
from registry_double import RegistryDouble, registry_double

from stream_rec.core.events import Event, EventDecoder, Forget, Reason
from stream_rec.errors import DecodeError, RegistryUnavailableError, SettingsError
from stream_rec.transport.decode import Decoded, decode_records
from stream_rec.transport.frames import KEY_HEADER, VALUE_HEADER
from stream_rec.transport.kafka.registry.config import read_registry_config
from stream_rec.transport.kafka.registry.registry import SchemaRegistry
from stream_rec.transport.records import Record

NOW = 1_733_000_000_000
CLICK = {
    "type": "record",
    "name": "Click",
    "namespace": "shop",
    "fields": [{"name": "session_id", "type": "string"}, {"name": "item_id", "type": "string"}],
}
TIMED = {**CLICK, "fields": [*CLICK["fields"], {"name": "timestamp", "type": "long"}]}
GUID = "01234567-89ab-cdef-0123-456789abcdef"


@pytest.fixture
def double() -> Iterator[RegistryDouble]:
    with registry_double() as made:
        yield made


def opener(double: RegistryDouble, **given: Any) -> SchemaRegistry:
    config = read_registry_config(double.url, given.pop("config", {}), given.pop("environ", {}))
    return SchemaRegistry(config, max_record_bytes=1 << 20, **given)


def avro(schema: dict[str, Any], value: Any) -> bytes:
    stream = io.BytesIO()
    schemaless_writer(stream, parse_schema(schema), value)
    return stream.getvalue()


def framed(number: int, data: bytes, offset: int = 0, **given: Any) -> Record:
    return Record(b"\0" + number.to_bytes(4, "big") + data, "clicks", 0, offset, **given)


def click(number: int = 1, schema: dict[str, Any] = TIMED, offset: int = 0, **more: Any) -> Record:
    value = {"session_id": "ann", "item_id": "tent", "timestamp": NOW, **more}
    return framed(number, avro(schema, value), offset)


def read(registry: SchemaRegistry, *records: Record) -> list[Decoded]:
    return decode_records(EventDecoder(), registry.opened(records)).decoded


def refused(found: Decoded) -> tuple[str, str]:
    assert isinstance(found, DecodeError)
    return found.reason, found.message


def test_avro_is_read_and_its_schema_asked_for_once(double: RegistryDouble) -> None:
    """Any number of records costs one question, also of a registry that is away afterwards."""
    double.add(1, TIMED)
    registry = opener(double)
    assert [Event("ann", "tent", NOW)] * 3 == read(registry, *(click(offset=at) for at in range(3)))
    double.is_away = True
    assert [Event("ann", "tent", NOW)] == read(registry, click())
    assert ["/schemas/ids/1"] == double.asked


def test_each_record_is_read_with_its_own_schema(double: RegistryDouble) -> None:
    """A producer that adds a field, and one that has not yet, are both understood; bare JSON beside them too."""
    wider = {**TIMED, "fields": [{"name": "type", "type": ["null", "string"], "default": None}, *TIMED["fields"]]}
    double.add(1, TIMED)
    double.add(2, wider)
    bare = Record(msgspec.json.encode(Event("ben", "tent", NOW)), "clicks", 0, 2)
    found = read(opener(double), click(1), click(2, wider, type="cart"), bare)
    assert [Event("ann", "tent", NOW), Event("ann", "tent", NOW, "cart"), Event("ben", "tent", NOW)] == found


def test_logical_types_say_their_unit(double: RegistryDouble) -> None:
    """A time in microseconds is one, whatever the setting; a UUID is its text; a nested record stays one."""
    schema = {
        **CLICK,
        "fields": [
            {"name": "session_id", "type": {"type": "string", "logicalType": "uuid"}},
            {"name": "item_id", "type": {"type": "enum", "name": "Item", "symbols": ["tent", "stove"]}},
            {"name": "timestamp", "type": {"type": "long", "logicalType": "timestamp-micros"}},
        ],
    }
    double.add(1, schema)
    visit = UUID("0123456789abcdef0123456789abcdef")
    value = {"session_id": visit, "item_id": "stove", "timestamp": NOW * 1000}
    assert [Event(str(visit), "stove", NOW)] == read(opener(double), framed(1, avro(schema, value)))


def test_what_json_cannot_say_stays_as_it_is(double: RegistryDouble) -> None:
    """Bytes, fractions and decimals are handed on as values."""
    schema = {**CLICK, "fields": [{"name": "raw", "type": "bytes"}, {"name": "price", "type": ["null", "double"]}]}
    double.add(1, schema)
    (opened,) = opener(double).opened([framed(1, avro(schema, {"raw": b"\xff", "price": 0.1}))])
    assert {"raw": b"\xff", "price": 0.1} == opened.row


def test_a_time_beyond_the_calendar_is_one_bad_record(double: RegistryDouble) -> None:
    """The records around it are read."""
    schema = {
        **CLICK,
        "fields": [
            *CLICK["fields"],
            {"name": "timestamp", "type": {"type": "long", "logicalType": "timestamp-millis"}},
        ],
    }
    double.add(1, schema)
    good, wild, other = read(opener(double), *(click(1, schema, timestamp=at) for at in (NOW, 1 << 61, NOW)))
    assert [Event("ann", "tent", NOW)] * 2 == [good, other]
    reason, message = refused(wild)
    assert Reason.BAD_TIME == reason
    assert "beyond the calendar" in message


def test_references_are_followed(double: RegistryDouble) -> None:
    """Also those of a referenced schema, and one that two of them share."""
    ids = {"type": "record", "name": "Ids", "namespace": "shop", "fields": [{"name": "session_id", "type": "string"}]}
    item = {
        "type": "record", "name": "Item", "namespace": "shop",
        "fields": [{"name": "id", "type": "string"}, {"name": "of", "type": "shop.Ids"}],
    }  # fmt: skip
    top = {
        "type": "record", "name": "Top", "namespace": "shop",
        "fields": [{"name": "ids", "type": "shop.Ids"}, {"name": "item", "type": "shop.Item"}],
    }  # fmt: skip
    to_ids = {"name": "shop.Ids", "subject": "ids", "version": 1}
    double.add_version("ids", 1, ids)
    double.add_version("item", 1, item, references=[to_ids])
    double.add(1, top, references=[to_ids, {"name": "shop.Item", "subject": "item", "version": 1}])
    data = b"\x06ann\x08tent\x06ann"
    (opened,) = opener(double).opened([framed(1, data)])
    said = {"ids": {"session_id": "ann"}, "item": {"id": "tent", "of": {"session_id": "ann"}}}
    assert said == msgspec.json.decode(opened.value)
    assert 1 == double.asked.count("/subjects/ids/versions/1")


def test_a_guid_in_the_header_is_asked_for(double: RegistryDouble) -> None:
    """The value then begins at its first byte; the header of an id, and a GUID in front, are read as well."""
    double.add(1, TIMED, guid=GUID)
    data = click().value[5:]
    guid = b"\x01" + UUID(GUID).bytes
    by_guid = Record(data, "clicks", 0, 0, headers=((VALUE_HEADER, guid),))
    by_id = Record(data, "clicks", 0, 1, headers=((VALUE_HEADER, b"\0\0\0\0\1"),))
    in_front = Record(guid + data, "clicks", 0, 2)
    assert [Event("ann", "tent", NOW)] * 3 == read(opener(double), by_guid, by_id, in_front)
    assert [f"/schemas/guids/{GUID}", "/schemas/ids/1"] == double.asked


def test_json_schema_is_read_as_json(double: RegistryDouble) -> None:
    """With the reasons of JSON where it is none."""
    double.add(1, {"type": "object"}, "JSON")
    event = Event("ann", "tent", NOW)
    good, bad = read(opener(double), framed(1, msgspec.json.encode(event)), framed(1, b'{"session_id": '))
    assert event == good
    assert Reason.NOT_JSON == refused(bad)[0]


def messages() -> tuple[str, Any]:
    """Return the descriptor of a file, in base64, and the class of its second message."""
    file = FileDescriptorProto(name="click.proto", package="shop", syntax="proto3")
    file.dependency.append("google/protobuf/timestamp.proto")
    file.message_type.add(name="Other")
    made = file.message_type.add(name="Click")
    made.field.add(name="session_id", number=1, type=9, label=1)
    made.field.add(name="item_id", number=2, type=3, label=1)
    made.field.add(name="timestamp", number=3, type=11, label=1, type_name=".google.protobuf.Timestamp")
    made.field.add(name="tags", number=4, type=9, label=3)
    made.field.add(name="kind", number=5, type=14, label=1, type_name=".shop.Kind")
    kind = file.enum_type.add(name="Kind")
    kind.value.add(name="VIEW", number=0)
    kind.value.add(name="CART", number=1)
    pool = DescriptorPool()
    pool.AddSerializedFile(timestamp_pb2.DESCRIPTOR.serialized_pb)
    pool.Add(file)
    text = base64.b64encode(file.SerializeToString()).decode()
    return text, GetMessageClass(pool.FindMessageTypeByName("shop.Click"))


def test_protobuf_is_read_by_its_descriptor(double: RegistryDouble) -> None:
    """The indexes in front name the message; an int64 is a number, a Timestamp a time, an enum its name."""
    text, made = messages()
    double.add(1, text, "PROTOBUF")
    message = made(session_id="ann", item_id=1 << 60, tags=["a", "b"], kind=1)
    message.timestamp.FromMilliseconds(NOW)
    record = framed(1, b"\x02\x02" + message.SerializeToString())
    (opened,) = opener(double).opened([record])
    assert {"session_id", "item_id", "timestamp", "tags", "kind"} == (opened.row or {}).keys()
    assert ["a", "b"] == (opened.row or {})["tags"]
    assert "CART" == (opened.row or {})["kind"]
    assert [Event("ann", str(1 << 60), NOW)] == decode_records(EventDecoder(), opener(double).opened([record])).decoded


def test_protobuf_as_text(double: RegistryDouble) -> None:
    """As registries give it that keep what Java has registered; with a file that it refers to. Other text is none."""
    ids = 'syntax = "proto3"; package shop; message Ids { string session_id = 1; int64 item_id = 2; }'
    text = """
        syntax = "proto3";
        package shop;
        import "shop/ids.proto";
        import "google/protobuf/timestamp.proto";
        message Click { Ids ids = 1; google.protobuf.Timestamp at = 2; }
    """
    double.add_version("ids", 1, ids)
    double.add(1, text, "PROTOBUF", references=[{"name": "shop/ids.proto", "subject": "ids", "version": 1}])
    double.add(2, "message {", "PROTOBUF")
    message = b"\x0a\x07\x0a\x03ann\x10\x07" + b"\x12\x06\x08\xc0\xf6\xad\xba\x06"
    good, bad = opener(double).opened([framed(1, b"\0" + message), framed(2, b"\0")])
    assert {"session_id": "ann", "item_id": 7} == (good.row or {})["ids"]
    assert datetime.fromtimestamp(NOW / 1000, UTC) == (good.row or {})["at"]
    assert bad.fault is not None
    assert Reason.NOT_OF_SCHEMA == bad.fault[0]


def test_a_message_of_protobuf_that_is_none_is_one_bad_record(double: RegistryDouble) -> None:
    """As is one that names a message which its file does not have, and a time beyond the calendar."""
    text, made = messages()
    double.add(1, text, "PROTOBUF")
    wild = made(session_id="ann", item_id=1)
    wild.timestamp.seconds = 1 << 60
    found = read(
        opener(double),
        framed(1, b"\x02\x02\xff\xff\xff"),
        framed(1, b"\x02\x08"),
        framed(1, b"\x02"),
        framed(1, b"\x02\x02" + wild.SerializeToString()),
    )
    assert [Reason.NOT_OF_SCHEMA] * 3 + [Reason.BAD_TIME] == [refused(each)[0] for each in found]


def test_keys_are_opened_for_orders_to_forget(double: RegistryDouble) -> None:
    """A text, and a record with the id among its fields; by a header too."""
    key = {"type": "record", "name": "Key", "fields": [{"name": "session_id", "type": "string"}]}
    double.add(1, "string")
    double.add(2, key)
    front = b"\0\0\0\0"
    found = read(
        opener(double),
        Record(b"", "clicks", 0, 0, key=front + b"\1\x06ann", tombstone=True),
        Record(b"", "clicks", 0, 1, key=front + b"\2\x06ben", tombstone=True),
        Record(b"", "clicks", 0, 2, key=b"\x06eve", headers=((KEY_HEADER, front + b"\2"),), tombstone=True),
        Record(b"", "clicks", 0, 3, key=b"fay", tombstone=True),
    )
    assert [Forget("ann"), Forget("ben"), Forget("eve"), Forget("fay")] == found


def test_an_unknown_id_is_one_bad_record(double: RegistryDouble) -> None:
    """It has a reason of its own, is not asked for again at once, and counts as known once it is."""
    double.add(1, TIMED)
    now = 0.0
    registry = opener(double, clock=lambda: now)
    good, unknown, again = read(registry, click(1), click(7), click(7))
    assert Event("ann", "tent", NOW) == good
    for each in (unknown, again):
        assert Reason.UNKNOWN_SCHEMA == refused(each)[0]
        assert "schema 7" in refused(each)[1]
    assert 1 == double.asked.count("/schemas/ids/7")
    double.add(7, TIMED)
    now = 61.0
    assert [Event("ann", "tent", NOW)] == read(registry, click(7))


def test_bytes_of_another_schema_are_one_bad_record(double: RegistryDouble) -> None:
    """Also a schema that is none, which is not read again, and a value without fields."""
    double.add(1, TIMED)
    double.add(2, '{"type": "nonsense"}')
    double.add(3, "string")
    found = read(opener(double), framed(1, b"\xff"), click(2), framed(3, b"\x06ann"), click(1))
    assert [Reason.NOT_OF_SCHEMA, Reason.NOT_OF_SCHEMA, Reason.WRONG_TYPE] == [refused(each)[0] for each in found[:3]]
    assert Event("ann", "tent", NOW) == found[3]


def test_a_registry_that_is_away_is_no_fault_of_the_record(double: RegistryDouble) -> None:
    """The error names the place of the first record that waits. The registry is not asked at every call."""
    double.add(1, TIMED)
    double.add(2, TIMED)
    now = 0.0
    registry = opener(double, clock=lambda: now)
    read(registry, click(1))
    double.is_away = True
    for _ in range(3):
        with pytest.raises(RegistryUnavailableError) as caught:
            registry.opened([click(1), click(2), click(1)])
        assert 1 == caught.value.place
        assert double.url in caught.value.message
    assert 1 == double.asked.count("/schemas/ids/2")
    double.is_away = False
    now = 1.0
    assert 2 == len(read(registry, click(2), click(1)))


def test_credentials_reach_the_registry_and_no_message(double: RegistryDouble) -> None:
    """By password or by token; wrong ones are an error of the settings that does not repeat them."""
    double.add(1, TIMED)
    double.login = "shop:very-secret"
    basic = {"basic.auth.user.info": "env:LOGIN"}
    opener(double, config=basic, environ={"LOGIN": "shop:very-secret"}).check()
    with pytest.raises(SettingsError) as caught:
        opener(double, config=basic, environ={"LOGIN": "shop:other-secret"}).check()
    assert "registry_config" == caught.value.key
    assert "other-secret" not in caught.value.message
    double.token = "tok-123"  # noqa: S105 (made up)
    token = {"bearer.auth.token": "env:TOKEN"}
    registry = opener(double, config=token, environ={"TOKEN": "tok-123"})
    registry.check()
    assert [Event("ann", "tent", NOW)] == read(registry, click(1))


def test_a_ca_of_its_own_and_mutual_tls(tmp_path: Path) -> None:
    """With the CA and a certificate of the client it answers; another CA is an error of that setting."""
    (ca, ca_key), (own, own_key) = certificate(tmp_path, "registry"), certificate(tmp_path, "shop")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(ca, ca_key, "of-the-key")
    context.load_verify_locations(own)
    context.verify_mode = ssl.CERT_REQUIRED
    settings = {
        "ssl.ca.location": str(ca),
        "ssl.certificate.location": str(own),
        "ssl.key.location": str(own_key),
        "ssl.key.password": "env:KEY",
    }
    environ = {"KEY": "of-the-key"}
    with registry_double(context) as double:
        double.add(1, TIMED)
        registry = opener(double, config=settings, environ=environ)
        registry.check()
        assert [Event("ann", "tent", NOW)] == read(registry, click())
        with pytest.raises(SettingsError) as other_ca:
            opener(double, config={"ssl.ca.location": str(own)}).check()
        with pytest.raises(SettingsError) as no_file:
            opener(double, config={"ssl.ca.location": str(tmp_path / "none.pem")}).check()
    assert "registry_config.ssl.ca.location" == other_ca.value.key
    assert "registry_config" == no_file.value.key


def test_what_is_not_a_registry_is_told_apart(double: RegistryDouble) -> None:
    """A wrong path is an error of the address; a registry that is away is waited for."""
    with pytest.raises(SettingsError) as wrong:
        SchemaRegistry(read_registry_config(double.url + "/api", {}), max_record_bytes=1).check()
    assert "registry" == wrong.value.key
    double.is_away = True
    with pytest.raises(RegistryUnavailableError):
        opener(double).check()
    with pytest.raises(RegistryUnavailableError):
        SchemaRegistry(read_registry_config("http://127.0.0.1:1", {}), max_record_bytes=1).check()
