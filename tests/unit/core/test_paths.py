"""Paths: where the fields of an event lie, and records that make several events."""

from typing import Any

import msgspec
import pytest

from stream_rec.core.engine import Engine
from stream_rec.core.events import DecodeRules, Event, EventDecoder, EventEncoder, FieldMap, Forget
from stream_rec.errors import DecodeError
from stream_rec.service.consuming.record_decoder import RecordDecoder
from stream_rec.service.processing.processor import Processor
from stream_rec.transport.records import Record


def decoder(unit: str = "ms", **names: str) -> EventDecoder:
    return EventDecoder(DecodeRules(fields=FieldMap(**names), timestamp_unit=unit))


def read(record: dict[str, Any], beside: Record | None = None, **names: str) -> Event | Forget:
    """Read *record* as JSON, and as a row of Python values, which must agree."""
    full = {"session_id": "s", "item_id": "i", "timestamp": 7} | record
    reader = decoder(**names)
    event = reader.decode(msgspec.json.encode(full), None, beside)
    assert event == reader.decode_row(full, None, beside)
    return event


def read_all(record: object, unit: str = "ms", **names: str) -> list[Event | tuple[str, str]]:
    """Return the events of a record, or reason and message."""
    reader = decoder(unit, **names)
    found = reader.decode_all(msgspec.json.encode(record))
    return [(str(each.reason), each.message) if isinstance(each, DecodeError) else each for each in found]  # type: ignore[misc]  # no forget


@pytest.mark.parametrize(
    ("path", "record", "item"),
    [
        ("properties.product_id", {"properties": {"product_id": "tent"}}, "tent"),
        ("a.b.c", {"a": {"b": {"c": 7}}}, "7"),
        ("a.b", {"a": '{"b": "tent"}'}, "tent"),
        ("a.b.c", {"a": {"b": '{"c": "tent"}'}}, "tent"),
        ("a[b.c].d", {"a": {"b.c": {"d": "tent"}}}, "tent"),
        ("p[id]", {"p": [{"key": "x", "value": 1}, {"key": "id", "value": "tent"}]}, "tent"),
        ("p[id]", {"p": [{"key": "id", "value": {"string_value": None, "int_value": 7}}]}, "7"),
        ("p[id].int_value", {"p": [{"key": "id", "value": {"string_value": None, "int_value": 7}}]}, "7"),
        ("p[id].value.int_value", {"p": [{"key": "id", "value": {"int_value": 7}}]}, "7"),
        ("p[id]", {"p": [["id", "tent"]]}, "tent"),
        ("p[1].id", {"p": [{"id": "a"}, {"id": "tent"}]}, "tent"),
        ("p[1]", {"p": [{"key": "1", "value": "tent"}, {"id": "x"}]}, "tent"),
        ("a|b", {"b": "tent"}, "tent"),
        ("a|b", {"a": "", "b": "tent"}, "tent"),
        ("a.x|b.x", {"a": None, "b": {"x": "tent"}}, "tent"),
        ("a+b", {"a": "x", "b": 7}, "x+7"),
        ("a+b", {"a": "x+y", "b": "z"}, "x\\+y+z"),
        ("a.x+b.x", {"a": {"x": 1}, "b": {"x": 2}}, "1+2"),
        ("a.b", {"a.b": "tent", "a": {"b": "stove"}}, "tent"),
        ("a+b", {"a+b": "tent", "a": "x", "b": "y"}, "tent"),
        ("@timestamp", {"@timestamp": "tent"}, "tent"),
    ],
)
def test_a_path_leads_to_the_item(path: str, record: dict[str, Any], item: str) -> None:
    """Through objects, arrays and texts of JSON; a name that the record has literally goes first."""
    assert Event("s", item, 7) == read(record, item_id=path)


@pytest.mark.parametrize("path", ["a.b", "a[b]", "a+b", "a|b", "@key", "@header.x", "a[0].b"])
@pytest.mark.parametrize("record", [{}, {"a": None}, {"a": {}}, {"a": []}, {"a": 7, "b": None}])
def test_what_is_not_there_is_missing(path: str, record: dict[str, Any]) -> None:
    """The message names field and path."""
    if path == "a|b" and record.get("a") is not None:
        return
    with pytest.raises(DecodeError) as caught:
        read(record, user_id="u", item_id=path)
    assert "missing_field" == caught.value.reason
    assert f"item_id ({path}): expected, found nothing" == caught.value.message


@pytest.mark.parametrize("name", ["a.", ".a", "a[", "a]", "[", "a[]b", "a..b", "C++", "|", "+", "@", "@header.", "a[b"])
def test_what_is_no_path_is_a_name(name: str) -> None:
    """Columns may have any names."""
    assert Event("s", "tent", 7) == read({name: "tent"}, item_id=name)


def test_what_stands_beside_the_value() -> None:
    """The record's own time, whatever the unit; its key as it is or inside; its headers as text."""
    beside = Record(b"", "t", 0, 0, b'{"user": 5}', (("ce_time", b"2024-05-01T00:00:00Z"), ("ce_id", b"e7")), 1_000)
    names = {"session_id": "@key.user", "timestamp": "@timestamp", "event_id": "@header.ce_id"}
    expected = Event("5", "i", 1_000, event_id="e7")
    for unit in ("ms", "s", "us", "iso"):
        assert expected == decoder(unit, **names).decode(b'{"item_id": "i"}', None, beside)
    time = decoder("iso", session_id="@key", timestamp="@header.ce_time")
    plain = Record(b"", "t", 0, 0, b"anna", (("ce_time", b"2024-05-01T00:00:00Z"),))
    assert Event("anna", "i", 1_714_521_600_000) == time.decode(b'{"item_id": "i"}', None, plain)


def test_events_of_a_record_beside_each_other() -> None:
    """Each element makes an event, with what the record says of all of them."""
    names = {"session_id": "user+params[sid]", "item_id": "items[].id", "timestamp": "ts", "event_id": "message"}
    record = {
        "user": "u",
        "params": [{"key": "sid", "value": {"int_value": 7}}],
        "ts": 5,
        "message": "m",
        "items": [{"id": "a"}, {"id": None}, {"id": "c"}],
    }
    assert [
        Event("u+7", "a", 5, event_id="m+1"),
        ("missing_field", "item_id (items[].id): expected, found nothing"),
        Event("u+7", "c", 5, event_id="m+3"),
    ] == read_all(record, **names)


def test_events_inside_events() -> None:
    """An array in each element of an array: an event of each of the inner ones, with the fields of the outer."""
    names = {"session_id": "s", "item_id": "e[].p[].i", "timestamp": "e[].t"}
    record = {"s": "s", "e": [{"t": 1, "p": [{"i": "a"}, {"i": "b"}]}, {"t": 2, "p": []}, {"t": 3, "p": [{"i": "c"}]}]}
    assert [
        Event("s", "a", 1),
        Event("s", "b", 1),
        ("not_an_event", "e[].p[]: there is no element, and so no event"),
        Event("s", "c", 3),
    ] == read_all(record, **names)


def test_arrays_side_by_side() -> None:
    """A session a row: the first item belongs to the first time. Arrays of other lengths are refused."""
    names = {"item_id": "items[]", "timestamp": "times[]", "type": "kinds[]"}
    session = {"session_id": "s", "items": ["a", "b"], "times": [1, 2]}
    assert [Event("s", "a", 1), Event("s", "b", 2)] == read_all(session, **names)
    assert [Event("s", "a", 1, "buy"), Event("s", "b", 2)] == read_all({**session, "kinds": ["buy", None]}, **names)
    message = "expected arrays of the same length, but items[] has 2, times[] has 1 elements"
    assert [("not_a_row", message)] == read_all({**session, "times": [1]}, **names)
    assert [("wrong_type", "items[]: expected an array, found a text")] == read_all({**session, "items": "a"}, **names)


@pytest.mark.parametrize("record", [{"s": 1}, {"items": None}, {"items": []}])
def test_a_record_without_elements_is_no_event(record: dict[str, Any]) -> None:
    """It is not lost: it has a reason."""
    assert [("not_an_event", "items[]: there is no element, and so no event")] == read_all(record, item_id="items[]")


def test_an_array_at_the_top_holds_events() -> None:
    """Each of its elements is read as a record of its own; an empty one is no event."""
    good = {"session_id": "s", "item_id": "i", "timestamp": 7}
    assert [
        Event("s", "i", 7),
        ("wrong_type", "expected a JSON object, found a number"),
        ("missing_field", "item_id: expected, found nothing"),
        Event("s", "i", 7),
    ] == read_all([good, 5, {"session_id": "s", "timestamp": 7}, good])
    assert [("not_an_event", "an empty array: there is no element, and so no event")] == read_all([])


def test_there_are_not_too_many_events_in_a_record() -> None:
    """A record of a megabyte must not make half a million dead letters."""
    assert [("too_large", "expected at most 10000 events in a record, found more")] == read_all([1] * 10_001)
    many = {"session_id": "s", "timestamp": 7, "items": [1] * 10_001}
    message = "expected at most 10000 events in a record, found more"
    assert [("too_large", message)] == read_all(many, item_id="items[]")


def test_one_event_is_not_read_of_many() -> None:
    """`decode` has one result: a record of several needs `decode_all`."""
    reader = decoder(item_id="items[]")
    assert Event("s", "a", 7) == reader.decode(b'{"session_id": "s", "timestamp": 7, "items": ["a"]}')
    with pytest.raises(DecodeError, match="expected one event, found 2"):
        reader.decode(b'{"session_id": "s", "timestamp": 7, "items": ["a", "b"]}')


def test_a_tombstone_of_a_nested_key() -> None:
    """The session of a record that is deleted, from the fields of its key."""
    reader = decoder(session_id="user+nr")
    assert Forget("u+7") == reader.decode_tombstone(b'{"user": "u", "nr": 7}')
    assert Forget("u+7") == reader.decode_tombstone(b"u+7")
    assert Forget("a") == decoder(session_id="after.id|before.id").decode_tombstone(b'{"before": {"id": "a"}}')


@pytest.mark.parametrize(
    "names",
    [
        {"item_id": "properties.product_id", "timestamp": "properties.time"},
        {"session_id": "user+params[sid].int_value", "item_id": "items[].id"},
        {"timestamp": "@timestamp", "session_id": "@key"},
        {"type": "event", "item_id": "event.item"},
    ],
)
def test_what_is_written_is_read_again(names: dict[str, str]) -> None:
    """An event over HTTP goes into the topic, and comes back as it was."""
    rules = DecodeRules(fields=FieldMap(**names))
    event = Event("u+7", "tent", 1_733_000_000_000, "cart", user_id="u")
    value, _ = EventEncoder(rules).encode(event)
    assert [event] == EventDecoder(rules).decode_all(value)


def test_an_event_is_written_as_others_write_it() -> None:
    """Through objects, where the paths go through objects only, and none ends where another goes on."""
    rules = DecodeRules(fields=FieldMap(item_id="properties.product_id", timestamp="properties.time"))
    value, _ = EventEncoder(rules).encode(Event("s", "tent", 7))
    assert {"session_id": "s", "properties": {"product_id": "tent", "time": 7}} == msgspec.json.decode(value)
    both = DecodeRules(fields=FieldMap(item_id="event.item", type="event"))
    value, _ = EventEncoder(both).encode(Event("s", "tent", 7, "cart"))
    assert {"session_id": "s", "event.item": "tent", "event": "cart", "timestamp": 7} == msgspec.json.decode(value)


def test_dead_letters_name_the_event_of_a_record() -> None:
    """With the place of the record; the first of a record has its bytes, and together they add up."""
    value = b'[{"session_id":"s","item_id":"i","timestamp":9},{},{"session_id":"s","item_id":"j","timestamp":1},5]'
    records = [Record(value, "clicks", 0, 3, b"k"), Record(b"{", "clicks", 0, 4)]
    processor = Processor(Engine())
    processed = processor.process(RecordDecoder(EventDecoder())(records).batch(records))
    letters = [msgspec.json.decode(each.to_dead_letter()) for each in processed.rejected]
    assert [(3, 2, "missing_field"), (3, 4, "wrong_type"), (4, None, "not_json")] == [
        (letter["offset"], letter.get("element"), letter["reason"]) for letter in letters
    ]
    assert [value.decode(), None, "{"] == [letter.get("record") for letter in letters]
    assert (5, 2, 3) == (processor.counters.n_read, processor.counters.n_applied, processor.counters.n_dead_lettered)
    processor.counters.check()
