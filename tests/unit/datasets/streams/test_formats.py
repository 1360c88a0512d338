"""Records as well-known producers document them, from a topic, from a file and over a registry's frame alike."""

import base64
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from stream_examples import ACTION, CLICK, CLOUD, DATA, EXAMPLES, GA4, IDS, SEGMENT, SNOWPLOW, UBI, T, line

from stream_rec.core.events import DecodeRules, Event, EventDecoder, EventEncoder, FieldMap, Forget, Reason
from stream_rec.datasets.streams.formats import STREAMS, StreamAdapter, guess_stream
from stream_rec.errors import DecodeError
from stream_rec.service.assembly.batch_job import build_batch_job
from stream_rec.service.assembly.check import inspect
from stream_rec.settings import load
from stream_rec.transport.decode import Decoded, decode_records
from stream_rec.transport.records import Record


def record(value: Any, **given: Any) -> Record:
    data = value if isinstance(value, bytes) else json.dumps(value).encode()
    return Record(data, "clicks", 0, 0, **given)


def read(name: str, *records: Record, rules: DecodeRules | None = None) -> list[Decoded]:
    """Decode *records* of the format *name*."""
    rules = STREAMS[name].rules(rules or DecodeRules())
    return list(decode_records(EventDecoder(rules), StreamAdapter(STREAMS[name], rules)(records)).decoded)


def why(found: Sequence[Decoded]) -> list[tuple[str, str]]:
    return [(each.reason, each.message) for each in found if isinstance(each, DecodeError)]


@pytest.mark.parametrize(("name", "value", "events"), EXAMPLES, ids=IDS)
def test_a_record_of_the_documented_shape(name: str, value: Any, events: list[Event]) -> None:
    """Read from a topic, also behind a registry's frame where it is JSON."""
    assert events == read(name, record(value))
    if not isinstance(value, bytes):
        assert events == read(name, record(b"\0\0\0\0\7" + json.dumps(value).encode()))
        assert events == read(name, Record(b"", "clicks", 0, 0, row=value))


@pytest.mark.parametrize(("name", "value", "events"), EXAMPLES, ids=IDS)
def test_a_file_of_such_records(tmp_path: Path, name: str, value: Any, events: list[Event]) -> None:
    """`run` and `check` read it by the name of the format alone, and `check` guesses that name."""
    data = value if isinstance(value, bytes) else json.dumps(value).encode()
    log = tmp_path / ("log.tsv" if isinstance(value, bytes) else "log.jsonl")
    log.write_bytes(data + b"\n")
    job = build_batch_job(load(flags={"events": str(log), "format": name, "recommendations": str(tmp_path / "out")}))
    job.run()
    job.close()
    assert len(events) == job.processor.counters.n_applied
    said = "\n".join(inspect(load(flags={"events": str(log), "format": name})).lines)
    assert f"accepted       {len(events)}" in said
    if log.suffix == ".jsonl":
        assert f"--format {name}" in "\n".join(inspect(load(flags={"events": str(log)})).lines)
    assert name == guess_stream([record(value)])


SEEN = {
    **SEGMENT,
    "event": "Product List Viewed",
    "properties": {"list_id": "l1", "products": [{"product_id": "tent", "position": 2}, {"sku": "pan"}, {"name": "?"}]},
}
IMPRESSION = {**UBI, "action_name": "impression"}


@pytest.mark.parametrize(
    ("name", "value", "events"),
    [
        ("segment", SEEN, [("tent", "seen:2", "m1+1"), ("pan", "seen", "m1+2")]),
        ("rudderstack", SEEN, [("tent", "seen:2", "m1+1"), ("pan", "seen", "m1+2")]),
        ("ubi", IMPRESSION, [("tent", "seen:3", None)]),
        (
            "ubi",
            {**IMPRESSION, "event_attributes": {"object": {"object_id": "pan"}, "position": {"ordinal": {"index": 4}}}},
            [("pan", "seen:4", None)],
        ),
        ("ubi", {**IMPRESSION, "event_attributes": {"object": {"object_id": "pan"}}}, [("pan", "seen", None)]),
    ],
)
def test_what_was_shown(name: str, value: Any, events: list[tuple[str, str, str | None]]) -> None:
    """Counts with `shown`, whatever types are accepted; without it the record is refused, and says how it would count.

    A place that is none is left out: a list counts from 1.
    """
    rules = DecodeRules(shown_type="seen", types=frozenset({"view"}))
    found = read(name, record(value), rules=rules)
    assert events == [(each.item_id, each.type, each.event_id) for each in found if type(each) is Event]
    assert len(events) == len(found)
    ((reason, message),) = why(read(name, record(value)))
    assert Reason.NOT_AN_EVENT == reason
    assert message.endswith("what a visitor was only shown; `--shown shown` counts it")
    own = msgspec.structs.replace(rules, fields=FieldMap(type="kind"))
    assert [Reason.NOT_AN_EVENT] == [reason for reason, _ in why(read(name, record(value), rules=own))]


@pytest.mark.parametrize("place", [0, -1, 1001, "1.5", "two", True, None, [3], 10**9])
def test_places_out_of_range_are_left_out(place: object) -> None:
    """The item was shown all the same."""
    shown = {**SEEN, "properties": {"products": [{"product_id": "tent", "position": place}]}}
    (event,) = read("segment", record(shown), rules=DecodeRules(shown_type="seen"))
    assert isinstance(event, Event)
    assert "seen" == event.type
    promoted = {**SEEN, "event": "Promotion Viewed"}
    ((_, message),) = why(read("segment", record(promoted), rules=DecodeRules(shown_type="seen")))
    assert message == "'promotion viewed': what a visitor was only shown"


def test_the_reference_lists_every_format(tree: Path) -> None:
    """A row and a section for each; and each has an example here."""
    page = tree / "docs/reference/streams.md"
    if not page.exists():
        pytest.skip("the docs are not part of what is tested here")
    text = page.read_text(encoding="utf-8")
    for name in STREAMS:
        assert f"| [`{name}`](#{name}) |" in text
        assert f"\n## {name}\n" in text
    assert STREAMS.keys() == {name for name, _, _ in EXAMPLES}


def test_the_export_of_ga4_as_parquet(tmp_path: Path) -> None:
    """Structs and lists are read as the objects and arrays that JSON has."""
    log = tmp_path / "events.parquet"
    row = {**GA4, "event_timestamp": T * 1000}
    pq.write_table(pa.Table.from_pylist([row, {**row, "event_name": "view_item_list"}]), log)
    said = "\n".join(inspect(load(flags={"events": str(log), "format": "ga4"})).lines)
    assert "accepted       2" in said
    assert "not_an_event: 1" in said


def test_change_data_in_a_file(tmp_path: Path) -> None:
    """Its name is guessed, and with it all of it is read."""
    log = tmp_path / "changes.jsonl"
    lines = [{"before": None, "after": {**CLICK, "session_id": f"s{n}"}, "op": "c", "ts_ms": T} for n in range(9)]
    log.write_text(
        "".join(f"{json.dumps(each)}\n" for each in [*lines, {**lines[0], "op": "d", "before": lines[0]["after"]}])
    )
    assert "--format debezium" in "\n".join(inspect(load(flags={"events": str(log)})).lines)
    said = "\n".join(inspect(load(flags={"events": str(log), "format": "debezium"})).lines)
    assert "accepted       10" in said
    assert "1 of them orders to forget" in said


def test_what_is_no_event_says_so() -> None:
    """Other calls, lists that were shown, things that were taken back, and records about no item."""
    changes: list[dict[str, Any]] = [
        {"type": "page"}, {"event": "Product List Viewed"}, {"event": "Product Removed"}, {"properties": {}},
    ]  # fmt: skip
    found = [
        *read("segment", *(record({**SEGMENT, **change}) for change in changes)),
        *read("ga4", record({**GA4, "event_name": "view_item_list"}), record({**GA4, "items": []})),
        *read("ubi", record({**UBI, "action_name": "impression"}), record({**UBI, "event_attributes": {}})),
        *read("snowplow", record(line(described={**ACTION, "data": {"type": "list_view"}})), record(line(()))),
        *read("snowplow", record(b"\t" * 200)),
        *read("cloudevents", record(DATA)),
        *read("debezium", record({"before": None, "after": None, "op": "t"})),
    ]  # fmt: skip
    assert [Reason.NOT_AN_EVENT] * 13 == [reason for reason, _ in why(found)]


def test_what_is_broken_says_so() -> None:
    """With the reasons of JSON, and what was expected where."""
    found = read("segment", record(b"{"), record(b"[1]"), record(b'"\xff"'))
    assert [Reason.NOT_JSON, Reason.WRONG_TYPE, Reason.NOT_UTF8] == [reason for reason, _ in why(found)]
    ((reason, message),) = why(read("cloudevents", record({**CLOUD, "data": 7})))
    assert (Reason.WRONG_TYPE, True) == (reason, message.startswith("data: "))
    ((reason, message),) = why(read("segment", record({**SEGMENT, "anonymousId": None})))
    assert (Reason.MISSING_FIELD, True) == (reason, "session_id (anonymousId|userId)" in message)


def test_cloudevents_of_each_mode() -> None:
    """Structured with data as JSON in a text or in base64, and binary with attributes in headers."""
    text = json.dumps(DATA)
    coded = base64.b64encode(text.encode()).decode()
    binary = tuple((f"ce_{name}", str(value).encode()) for name, value in CLOUD.items())
    found = read(
        "cloudevents",
        record({**CLOUD, "data": text}),
        record({**CLOUD, "data_base64": coded}),
        record(DATA, headers=binary),
    )
    assert [Event("ann", "tent", T, "click", "e1")] * 3 == found


def test_fields_of_your_own_go_before() -> None:
    """An envelope's fields are yours, with your unit of time; a tracker's item may be another field than a product."""
    rules = DecodeRules(fields=FieldMap(session_id="visit", timestamp="at"), timestamp_unit="s")
    data = {"visit": "ann", "item_id": "tent", "at": 1_733_000_000}
    assert [Event("ann", "tent", 1_733_000_000_000, "click", "e1")] == read(
        "cloudevents", record({**CLOUD, "data": data}), rules=rules
    )
    change = {"before": None, "after": data, "op": "u"}
    assert [Event("ann", "tent", 1_733_000_000_000)] == read("debezium", record(change), rules=rules)
    article = {**SEGMENT, "event": "Article Read", "properties": {"article": "a1"}}
    by_article = DecodeRules(fields=FieldMap(item_id="properties.article"))
    assert [Event("ann", "a1", T, "Article Read", "m1", "ann")] == read("segment", record(article), rules=by_article)


def test_a_deletion_in_change_data_forgets() -> None:
    """In an envelope, in Connect's around it, and made flat; the tombstone behind it is none of its own."""
    gone = {"before": CLICK, "after": None, "op": "d"}
    found = read(
        "debezium",
        record(gone),
        record({"schema": {}, "payload": gone}),
        record({**CLICK, "__deleted": "true"}),
        Record(b"", "clicks", 0, 0, key=b'{"id": 7}', tombstone=True),
    )
    assert [Forget("ann")] * 3 == found[:3]
    assert [Reason.NOT_AN_EVENT] == [reason for reason, _ in why(found)]
    ((reason, _),) = why(read("debezium", record({**gone, "before": {"id": 7}})))
    assert Reason.MISSING_FIELD == reason


@pytest.mark.parametrize("name", STREAMS)
def test_an_event_over_http_in_the_same_topic(name: str) -> None:
    """The service writes it into the topic with the rules of the format, and reads it back; orders to forget too."""
    rules = STREAMS[name].rules(DecodeRules())
    event = Event("ann", "tent", T, "cart", "e1", "u1")
    encoder = EventEncoder(rules)
    seen, forget = read(name, *(record(encoder.encode(each)[0]) for each in (event, Forget("ann"))))
    assert isinstance(seen, Event)
    numbered = seen.event_id in {"e1", "e1+1"}  # where a record may hold several, each has a number
    assert (event, True) == (msgspec.structs.replace(seen, event_id="e1"), numbered)
    assert Forget("ann") == forget


def test_an_empty_envelope_forgets_the_key() -> None:
    """As a tombstone does, which Connect writes in its place where the schema is optional."""
    empty = {"schema": None, "payload": None}
    found = read("connect", record(empty, key=b"ann"), Record(b"", "clicks", 0, 0, key=b"ben", tombstone=True))
    assert [Forget("ann"), Forget("ben")] == found


def test_snowplow_of_older_shops() -> None:
    """Items of transactions, the cart's own event, and a page as the item."""
    bought = line((), None, event="transaction_item", event_name="transaction_item", ti_sku="tent")
    added = {"schema": "iglu:com.snowplowanalytics.snowplow/add_to_cart/jsonschema/1-0-0", "data": {"sku": "tent"}}
    found = read("snowplow", record(bought), record(line((), added, event_name="add_to_cart")))
    assert ["transaction_item", "add_to_cart"] == [each.type for each in found if isinstance(each, Event)]
    rules = DecodeRules(fields=FieldMap(item_id="page_urlpath"))
    page = {**SNOWPLOW, "event": "page_view", "event_name": "page_view", "page_urlpath": "/tent"}
    page = {name: value for name, value in page.items() if "_1" not in name}
    (seen,) = read("snowplow", record(page), rules=rules)
    assert isinstance(seen, Event)
    assert "/tent" == seen.item_id


def test_a_guess_needs_most_of_the_records() -> None:
    """Plain events are no format, and a few odd records change nothing."""
    plain = [record(msgspec.json.encode(Event("ann", "tent", T)))] * 5
    assert guess_stream(plain) is None
    assert guess_stream([]) is None
    assert "segment" == guess_stream([record(SEGMENT)] * 3 + plain[:2])
