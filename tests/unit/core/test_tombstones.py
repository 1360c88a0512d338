"""A tombstone forgets the session of its key, in whichever form a producer's serializer has written the key."""

import json
import re

import pytest

from stream_rec import Engine, Event
from stream_rec.core.events import DecodeRules, EventDecoder, FieldMap, Forget, Reason, is_empty_envelope
from stream_rec.errors import DecodeError
from stream_rec.service.batches import Batch
from stream_rec.service.processing.processor import Processor
from stream_rec.transport.decode import decode_records
from stream_rec.transport.records import Record

SCHEMA = {"type": "string", "optional": False}
FRAME = b"\x00\x00\x00\x00\x2a"


def key_of(record: object) -> bytes:
    return json.dumps(record).encode()


KEYS = {
    "text": b"anna",
    "JSON": b'"anna"',
    "an object": key_of({"session_id": "anna"}),
    "an object with more": key_of({"shop": 3, "session_id": "anna", "user_id": None}),
    "Connect": key_of({"schema": SCHEMA, "payload": "anna"}),
    "Connect, without a schema": key_of({"payload": "anna"}),
    "Connect, a struct": key_of({"schema": {"type": "struct"}, "payload": {"session_id": "anna"}}),
    "framed text": FRAME + b"anna",
    "framed JSON": FRAME + b'"anna"',
    "a framed object": FRAME + key_of({"session_id": "anna"}),
    "framed Avro": FRAME + b"\x08anna",
}


@pytest.mark.parametrize("form", KEYS)
def test_a_key_in_any_form(form: str) -> None:
    """Each names the session."""
    assert Forget("anna") == EventDecoder().decode_tombstone(KEYS[form])


@pytest.mark.parametrize(
    ("key", "session_id"),
    [
        (b"42", "42"),
        (key_of({"session_id": 42}), "42"),
        (FRAME + b"42", "42"),
        (b'"', '"'),
        (b"{anna}", "{anna}"),
        (b'"anna', '"anna'),
        (b"[1]", "[1]"),
        (b"true", "true"),
        (b"\x00\x00\x00", "\x00\x00\x00"),
        (key_of({"schema": SCHEMA, "payload": '"anna"'}), '"anna"'),
        (FRAME + b"\x0aann\xc3\xa4", "annä"),
        (FRAME + b"\x86\x02" + b"a" * 131, "a" * 131),
    ],
)
def test_texts_that_only_look_like_another_form(key: bytes, session_id: str) -> None:
    """What is no JSON, no envelope and no frame is the id itself."""
    assert Forget(session_id) == EventDecoder().decode_tombstone(key)


@pytest.mark.parametrize(
    ("key", "reason"),
    [
        (None, Reason.MISSING_FIELD),
        (b"", Reason.MISSING_FIELD),
        (key_of({"id": "anna"}), Reason.MISSING_FIELD),
        (key_of({"schema": SCHEMA, "payload": None}), Reason.MISSING_FIELD),
        (key_of({"session_id": ["anna"]}), Reason.WRONG_TYPE),
        (key_of({"session_id": 1.5}), Reason.WRONG_TYPE),
        (key_of({"session_id": ""}), Reason.EMPTY_ID),
        (b'""', Reason.EMPTY_ID),
        (b'"' + b"a" * 600 + b'"', Reason.TOO_LARGE),
        (b"\xff", Reason.NOT_UTF8),
        (FRAME + b"\xff", Reason.NOT_UTF8),
        (FRAME + b"\x04\xff\xff", Reason.NOT_UTF8),
        (b'{"payload":' * 50 + b"1" + b"}" * 50, Reason.MISSING_FIELD),
        (b'{"payload":' * 50_000, Reason.TOO_LARGE),
    ],
)
def test_a_key_that_names_nobody_is_a_dead_letter(key: bytes | None, reason: Reason) -> None:
    """And not an order that erases nothing."""
    with pytest.raises(DecodeError) as caught:
        EventDecoder().decode_tombstone(key)
    assert reason == caught.value.reason


def test_fields_are_those_of_the_log() -> None:
    """By the log's name or our own; where sessions are cut from users, the key names the user."""
    decoder = EventDecoder(DecodeRules(fields=FieldMap(session_id="SessionId")))
    for name in ("SessionId", "session_id"):
        assert Forget("anna") == decoder.decode_tombstone(key_of({name: "anna"}))
    by_user = EventDecoder(DecodeRules(session_from_user=True))
    assert Forget(user_id="u") == by_user.decode_tombstone(key_of({"session_id": "anna", "user_id": "u"}))


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (b"null", True),
        (key_of({"schema": None, "payload": None}), True),
        (key_of({"schema": SCHEMA, "payload": None}), True),
        (FRAME + b"null", True),
        (key_of({"payload": None}), True),
        (key_of({"schema": SCHEMA, "payload": "x"}), False),
        (key_of({"payload": None, "session_id": "a"}), False),
        (b'{"payload":', False),
        (b"", False),
        (b'"payload"', False),
    ],
)
def test_a_value_that_says_that_there_is_none(value: bytes, expected: bool) -> None:  # a row of a table
    """`null`, or Connect's envelope around it."""
    assert expected == is_empty_envelope(value)
    decoded = decode_records(EventDecoder(), [Record(value, "clicks", 0, 0, b'"anna"')]).decoded
    assert (decoded == [Forget("anna")]) == expected


def test_orders_that_forget_nothing_are_counted_apart(caplog: pytest.LogCaptureFixture) -> None:
    """With the place of the latest in the log, and without the name. Callers cannot flood the log with them."""
    processor = Processor(Engine())
    records = [
        Record(b"", "clicks", 0, 0, b"anna"),
        Record(b"", "clicks", 0, 1, b'"anna"', tombstone=True),
        Record(b"", "clicks", 0, 2, b"anna", tombstone=True),
        Record(b"", "clicks", 0, 3, b"secret", tombstone=True),
    ]
    decoded = [Event("anna", "tea", 1_000), *decode_records(EventDecoder(), records[1:]).decoded]
    with caplog.at_level("INFO"):
        processor.process(Batch(records, decoded))
    assert (3, 2, 4) == (
        processor.counters.n_forgets,
        processor.counters.n_forgot_nothing,
        processor.counters.n_applied,
    )
    processor.counters.check()
    assert "orders to forget that erased no session: 2 so far, the latest at clicks-0, offset 3" in caplog.text
    assert "secret" not in caplog.text
    for offset in range(4, 30):
        in_vain = [Record(b"", "clicks", 0, offset, b"anna", tombstone=True)]
        with caplog.at_level("INFO"):
            processor.process(Batch(in_vain, decode_records(EventDecoder(), in_vain).decoded))
    assert ["2 so far", "10 so far"] == re.findall(r"\d+ so far", caplog.text)
