"""Events over HTTP in the form of the log: its names, units, types and lines, as from a file or a topic."""

import gzip
import json
import time
from collections.abc import Iterator
from typing import Any

import pytest
from stream_examples import EXAMPLES, IDS
from web import Client, Running, embedded

from stream_rec.core.events import Event

NOW = int(time.time() * 1000)
ISO = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(NOW // 1000))
LINES = {"content-type": "application/x-ndjson"}
FIELDS = ("session_id=VisitId", "item_id=ProductId", "timestamp=When", "type=Action")


@pytest.fixture(scope="module")
def plain() -> Iterator[Running]:
    """A service whose settings say nothing of a log."""
    with embedded() as running:
        yield running


@pytest.fixture(scope="module")
def mapped() -> Iterator[Running]:
    """A service whose log has other names, and times in seconds."""
    with embedded(fields=FIELDS, timestamp_unit="s", types=("view=1", "cart=5")) as running:
        yield running


def events_of(client: Client, session_id: str) -> list[tuple[str, int, str]]:
    found = client.get(f"/v1/sessions/{session_id}")["events"]
    return [(each["item_id"], each["timestamp"], each["type"]) for each in found]


def lines(*records: Any) -> bytes:
    return b"".join(json.dumps(each).encode() + b"\n" for each in records)


class TestPlain:
    """Without a mapping the fields have the names of the API."""

    @pytest.fixture(autouse=True)
    def _client(self, plain: Running) -> None:
        self.client = plain.client

    def test_more_fields_are_passed_over(self) -> None:
        """As in a file or a topic: one event, one of many, and one that is answered at once."""
        event = {"session_id": "more", "item_id": "a", "timestamp": NOW, "price": 3, "tags": [{"x": None}]}
        assert {"accepted": 1, "durable": False, "offsets": {}, "refused": []} == self.client.post("/v1/events", event)
        known = {"session_id": "more", "item_id": "b", "timestamp": NOW + 1}
        assert 2 == self.client.post("/v1/events", [event | {"item_id": "c", "timestamp": NOW + 2}, known])["accepted"]
        answer = self.client.post("/v1/events:recommend", {"event": event | {"item_id": "d", "timestamp": NOW + 3}})
        assert "more" == answer["session_id"]
        assert ["a", "b", "c", "d"] == [item for item, _, _ in events_of(self.client, "more")]

    def test_a_time_with_a_fraction(self) -> None:
        """It is rounded to a millisecond, as in a topic."""
        body = b'{"session_id":"fraction","item_id":"a","timestamp":%d.5}' % NOW
        assert 1 == self.client.post("/v1/events", body)["accepted"]
        assert [("a", NOW + 1, "view")] == events_of(self.client, "fraction")

    @pytest.mark.parametrize("headers", [LINES, {}, {"content-type": "application/x-www-form-urlencoded"}])
    def test_lines(self, headers: dict[str, str]) -> None:
        """One event on each line; without the media type too, if the first line is JSON. Empty lines are none."""
        name = f"lines-{len(headers.get('content-type', ''))}"
        records = [{"session_id": name, "item_id": item, "timestamp": NOW + n} for n, item in enumerate("abc")]
        reply = self.client("POST", "/v1/events", lines(*records[:2]) + b"\r\n" + lines(records[2]), **headers)
        assert (202, 3) == (reply.status, reply.json["accepted"])
        assert ["a", "b", "c"] == [item for item, _, _ in events_of(self.client, name)]

    def test_a_line_that_cannot_be_read_is_refused_alone(self) -> None:
        """As a record of a topic is; the place in the call is the number of the line, from 0."""
        event = {"session_id": "odd", "item_id": "a", "timestamp": NOW}
        body = lines(event) + b"nonsense\n" + lines({"session": "odd"}, event | {"item_id": "b"})
        found = self.client("POST", "/v1/events", body, **LINES).json
        assert 2 == found["accepted"]
        assert [(1, "not_json"), (2, "missing_field")] == [(each["index"], each["code"]) for each in found["refused"]]
        assert ["a", "b"] == sorted(item for item, _, _ in events_of(self.client, "odd"))

    def test_a_table_is_no_json(self) -> None:
        """Lines that are not JSON fail the whole call."""
        reply = self.client("POST", "/v1/events", b"session_id,item_id\na,b\n")
        assert (400, "not_json") == (reply.status, reply.json["error"]["code"])

    def test_too_many_lines(self) -> None:
        """The limit of a call holds for lines too."""
        body = lines(*[{"session_id": "a", "item_id": "i"}] * 1001)
        assert 413 == self.client("POST", "/v1/events", body, **LINES).status

    def test_a_byte_order_mark(self) -> None:
        """It is passed over, of every body."""
        event = {"session_id": "bom", "item_id": "a", "timestamp": NOW}
        assert 1 == self.client.post("/v1/events", b"\xef\xbb\xbf" + lines(event))["accepted"]
        assert "bom" == self.client.post("/v1/recommendations", b'\xef\xbb\xbf{"session_id":"bom"}')["session_id"]

    @pytest.mark.parametrize("headers", [{"content-encoding": "gzip"}, {"content-encoding": "X-GZIP"}, {}])
    def test_gzip(self, headers: dict[str, str]) -> None:
        """Known by its header or its first bytes; several members are one body."""
        name = f"gzip-{headers.get('content-encoding', '')}"
        one, two = (lines({"session_id": name, "item_id": item, "timestamp": NOW}) for item in "ab")
        reply = self.client("POST", "/v1/events", gzip.compress(one) + gzip.compress(two), **headers)
        assert (202, 2) == (reply.status, reply.json["accepted"])

    @pytest.mark.parametrize(
        ("body", "encoding", "status", "code"),
        [
            (gzip.compress(b" " * (2 << 20)), "gzip", 413, "too_large"),
            (gzip.compress(b" " * (1 << 19)) * 3, "gzip", 413, "too_large"),
            (gzip.compress(b"{}")[:-9], "gzip", 400, "not_gzip"),
            (gzip.compress(b"{}") + b"{}", "gzip", 400, "not_gzip"),
            (b"{}", "gzip", 400, "not_gzip"),
            (b"{}", "br", 415, "unknown_encoding"),
        ],
        ids=["one", "members", "cut", "garbage", "plain", "br"],  # a gzip holds the time, and workers must agree
    )
    def test_bodies_that_cannot_be_unpacked(self, body: bytes, encoding: str, status: int, code: str) -> None:
        """The limit of a body holds for what it unpacks to: a small one could hold gigabytes."""
        reply = self.client("POST", "/v1/events", body, **{"content-encoding": encoding})
        assert (status, code) == (reply.status, reply.json["error"]["code"])

    def test_a_time_as_text_names_the_setting(self) -> None:
        """The refusal says which unit reads it."""
        event = {"session_id": "a", "item_id": "i", "timestamp": "2024-05-01T10:00:00Z"}
        error = self.client("POST", "/v1/events", event).json["error"]
        assert ("wrong_type", "timestamp") == (error["code"], error["field"])
        assert "set the unit to iso" in error["message"]


class TestMapped:
    """With a mapping, events have the names of the log, or those of the API."""

    @pytest.fixture(autouse=True)
    def _client(self, mapped: Running) -> None:
        self.client = mapped.client

    def test_a_record_of_the_log(self) -> None:
        """Names, unit, fraction and type are those of the log."""
        record = {"VisitId": "log", "ProductId": 7, "When": NOW // 1000, "Action": "cart", "Price": 3}
        later = b'{"VisitId":"log","ProductId":8,"When":%d.25}' % (NOW // 1000)
        assert 1 == self.client.post("/v1/events", record)["accepted"]
        assert 1 == self.client.post("/v1/events", later)["accepted"]
        seconds = NOW // 1000 * 1000
        assert [("7", seconds, "cart"), ("8", seconds + 250, "view")] == events_of(self.client, "log")

    def test_the_form_of_the_api(self) -> None:
        """It stays as it is without a mapping: its names, and milliseconds."""
        event = {"session_id": "api", "item_id": "a", "timestamp": NOW, "type": "cart"}
        assert 1 == self.client.post("/v1/events", event)["accepted"]
        assert [("a", NOW, "cart")] == events_of(self.client, "api")
        reply = self.client("POST", "/v1/events", [event, {"session_id": "api"}])
        assert (422, "[1].item_id") == (reply.status, reply.json["error"]["field"])

    def test_the_form_of_the_api_with_more_fields(self) -> None:
        """They are passed over here too: alone, among others, and where the event is answered at once."""
        event = {"session_id": "more", "item_id": "a", "timestamp": NOW, "Price": 3}
        assert 1 == self.client.post("/v1/events", event)["accepted"]
        assert 2 == self.client.post("/v1/events", [event | {"item_id": item} for item in "bc"])["accepted"]
        assert "more" == self.client.post("/v1/events:recommend", {"event": event | {"item_id": "d"}})["session_id"]
        assert ["a", "b", "c", "d"] == [item for item, _, _ in events_of(self.client, "more")]

    def test_both_forms_in_one_call(self) -> None:
        """Each event is read by itself, and the order stays."""
        api = {"session_id": "both", "item_id": "a", "timestamp": NOW}
        log = {"VisitId": "both", "ProductId": "b", "When": NOW / 1000 + 1}
        assert 3 == self.client.post("/v1/events", [log, api, log | {"ProductId": "c"}])["accepted"]
        assert ["a", "b", "c"] == [item for item, _, _ in events_of(self.client, "both")]

    def test_records_are_refused_alone(self) -> None:
        """With the reason that a dead letter would have, and the field by both of its names."""
        good = {"VisitId": "alone", "ProductId": "a", "When": NOW // 1000}
        bad = [{"VisitId": "alone", "When": 1}, good | {"Action": "buy"}, good | {"When": "soon"}, good | {"When": NOW}]
        found = self.client.post("/v1/events", [good, *bad])
        assert 1 == found["accepted"]
        codes = ["missing_field", "unknown_type", "bad_time", "bad_time"]
        assert list(enumerate(codes, 1)) == [(each["index"], each["code"]) for each in found["refused"]]
        assert found["refused"][0]["message"].startswith("item_id (ProductId): ")
        reply = self.client("POST", "/v1/events", bad[0])
        assert (422, "missing_field") == (reply.status, reply.json["error"]["code"])

    def test_an_event_that_is_answered_at_once(self) -> None:
        """It may have the form of the log too; the request beside it has that of the API."""
        event = {"VisitId": "now", "ProductId": "a", "When": NOW // 1000}
        assert "now" == self.client.post("/v1/events:recommend", {"event": event, "n": 1})["session_id"]
        reply = self.client("POST", "/v1/events:recommend", {"event": event | {"When": "x"}})
        assert (422, "bad_time", "event") == (reply.status, *(reply.json["error"][key] for key in ("code", "field")))

    def test_a_record_without_a_time(self) -> None:
        """It gets the time at which it came, as an event of the API does."""
        before = int(time.time() * 1000)
        assert 1 == self.client.post("/v1/events", {"VisitId": "untimed", "ProductId": "a"})["accepted"]
        ((_, at, _),) = events_of(self.client, "untimed")
        assert before <= at <= time.time() * 1000


def test_paths_and_several_events_in_a_record() -> None:
    """A path leads into objects and through arrays, as in a topic; each event of a record counts."""
    fields = ("session_id=user+visit", "item_id=products[].sku", "timestamp=at")
    with embedded(fields=fields, timestamp_unit="iso") as running:
        record = {"user": "u1", "visit": 7, "at": f"{ISO}Z", "products": [{"sku": "a"}, {"sku": "b"}, {"name": "c"}]}
        found = running.client.post("/v1/events", [record, {"session_id": "x", "item_id": "y"}])
        assert (3, [(0, "missing_field")]) == (found["accepted"], [(e["index"], e["code"]) for e in found["refused"]])
        assert ["a", "b"] == [item for item, _, _ in events_of(running.client, "u1+7")]
        many = record | {"products": [{"sku": 1}] * 1001}
        assert 413 == running.client("POST", "/v1/events", many).status
        error = running.client("POST", "/v1/events:recommend", {"event": record}).json["error"]
        assert "too_many" == error["code"]


@pytest.mark.parametrize(
    ("flags", "written"),
    [
        ({"timestamp_unit": "iso"}, f"{ISO}Z"),
        ({"timestamp_unit": "iso"}, f"{ISO}.000+00:00"),
        ({"timestamp_unit": "us"}, NOW // 1000 * 1_000_000),
        ({"timestamp_format": "%Y-%m-%dT%H:%M:%S"}, ISO),
    ],
    ids=["iso-z", "iso-offset", "us", "format"],
)
def test_units(flags: dict[str, str], written: str | int) -> None:
    """A time over HTTP is read as in the log; one in the API's milliseconds too."""
    with embedded(**flags) as running:
        event = {"session_id": "s", "item_id": "a", "timestamp": written}
        assert 1 == running.client.post("/v1/events", event)["accepted"]
        assert 1 == running.client.post("/v1/events", event | {"item_id": "b", "timestamp": NOW})["accepted"]
        whole = NOW // 1000 * 1000
        assert [("a", whole, "view"), ("b", NOW, "view")] == events_of(running.client, "s")


def test_the_calls_of_a_tracker() -> None:
    """By the name of the format: as from its topic or its file; what is no event is refused with the reason."""
    call = {
        "type": "track",
        "event": "Order Completed",
        "messageId": "m1",
        "anonymousId": "ann",
        "properties": {"products": [{"product_id": "tent"}, {"product_id": "stove"}]},
        "timestamp": ISO,
    }
    with embedded(format="segment") as running:
        client = running.client
        assert 2 == client.post("/v1/events", call)["accepted"]
        listed = client.post("/v1/events", [{**call, "event": "Product List Viewed"}, {**call, "anonymousId": "ben"}])
        assert [(0, "not_an_event")] == [(each["index"], each["code"]) for each in listed["refused"]]
        bought = [("tent", NOW // 1000 * 1000, "Order Completed"), ("stove", NOW // 1000 * 1000, "Order Completed")]
        assert sorted(bought) == sorted(events_of(client, "ann"))
        assert sorted(bought) == sorted(events_of(client, "ben"))


@pytest.mark.parametrize(("name", "value", "expected"), EXAMPLES, ids=IDS)
def test_records_of_each_kind_of_producer(name: str, value: Any, expected: list[Event]) -> None:
    """What its topic and its file say, a call says too: one record, or one on each line."""
    with embedded(format=name, retention_ms="3650d") as running:
        client = running.client
        first = client("POST", "/v1/events", value, **(LINES if isinstance(value, bytes) else {})).json
        assert len(expected) == first["accepted"], first
        found = events_of(client, expected[0].session_id)
        assert sorted((each.item_id, each.timestamp, each.type) for each in expected) == sorted(found)
        record = value if isinstance(value, bytes) else json.dumps(value).encode()
        again = client("POST", "/v1/events", record + b"\n" + record, **LINES).json
        assert (0 if expected[0].event_id else 2 * len(expected)) == again["accepted"]
