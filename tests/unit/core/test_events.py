"""Decoding: which event comes of which record, and which reason of which fault."""

import base64
from datetime import UTC, datetime

import msgspec
import pytest

from stream_rec.core.events import (
    NO_LOG_TIME,
    SURELY_SECONDS,
    Answer,
    DeadLetter,
    DecodeRules,
    Event,
    EventDecoder,
    FieldMap,
    Forget,
    Reason,
    Recommendation,
    Request,
    RequestDecoder,
    encode_answer,
    encode_dead_letter,
)
from stream_rec.errors import DecodeError, SettingsError

NOW = 1_733_000_000_000
RULES = DecodeRules(types=frozenset({"view", "cart"}), max_future_ms=60_000, max_id_chars=40, max_record_bytes=5000)


def reason_of(data: bytes, rules: DecodeRules = RULES) -> str:
    with pytest.raises(DecodeError) as caught:
        EventDecoder(rules).decode(data, NOW)
    return caught.value.reason


def record(**fields: object) -> bytes:
    return msgspec.json.encode({"session_id": "s", "item_id": "i", "timestamp": NOW} | fields)


def time_of(value: object, unit: str = "ms", time_format: str | None = None) -> int:
    """Read a time through JSON and through a row, which must agree."""
    rules = DecodeRules(timestamp_unit=unit, timestamp_format=time_format)
    raw = value if isinstance(value, bytes) else msgspec.json.encode(value)
    event = EventDecoder(rules).decode(b'{"session_id":"s","item_id":"i","timestamp":%s}' % raw)
    assert isinstance(event, Event)
    row = {"session_id": "s", "item_id": "i", "timestamp": raw.decode().strip('"')}
    assert event == EventDecoder(rules).decode_row(row)
    return event.timestamp


def time_reason(value: object, unit: str = "ms", time_format: str | None = None) -> str:
    with pytest.raises(DecodeError) as caught:
        time_of(value, unit, time_format)
    return caught.value.reason


def test_a_full_record_is_read_whole() -> None:
    """Every field is read, and unknown keys are ignored."""
    data = record(type="cart", event_id="e1", user_id="u1", colour="red", deep={"a": [1]})
    assert Event("s", "i", NOW, "cart", "e1", "u1") == EventDecoder(RULES).decode(data, NOW)


def test_optional_fields_may_be_absent_null_or_empty() -> None:
    """All three mean: no value."""
    bare = EventDecoder().decode(record())
    assert Event("s", "i", NOW, "view", None, None) == bare
    assert bare == EventDecoder().decode(record(type=None, event_id=None, user_id=None))
    assert bare == EventDecoder().decode(record(type="", event_id="", user_id=""))


def test_whole_numbers_are_ids_by_their_decimal_text() -> None:
    """Many logs number their items; 0 is a valid id, as is one beyond 64 bits."""
    event = EventDecoder().decode(record(session_id=-5, item_id=0, event_id=0, user_id=7, type=3))
    assert Event("-5", "0", NOW, "3", "0", "7") == event
    big = EventDecoder().decode(b'{"session_id":%d,"item_id":1,"timestamp":5}' % 2**70)
    assert Event(str(2**70), "1", 5) == big


REFUSED = {
    Reason.NOT_UTF8: [b"\xff\xfe", b'{"session_id":"\xff","item_id":"i","timestamp":1}'],
    Reason.NOT_JSON: [
        b"",
        b"{",
        b"hello",
        b"{'session_id': 1}",
        record() + b"x",
        b'{"session_id":"\\ud800","item_id":"i","timestamp":1}',
        b'{"session_id":"s","item_id":"i","timestamp":1,"x":' + b"[" * 4000,
    ],
    Reason.MISSING_FIELD: [
        b"{}",
        b'{"session_id":"s","timestamp":1}',
        record(session_id=None),
        record(item_id=None),
        record(timestamp=None),
        record(timestamp=""),
        b'{"type":"forget"}',
    ],
    Reason.WRONG_TYPE: [
        b"[]",
        b"1",
        b'"text"',
        b"null",
        record(item_id=1.5),
        record(item_id=1.0),
        record(item_id=True),
        record(item_id=["i"]),
        record(session_id={}),
        record(timestamp=False),
        record(timestamp=[]),
        record(event_id=[]),
        record(user_id=0.5),
        record(type=[]),
    ],
    Reason.EMPTY_ID: [record(session_id=""), record(item_id="")],
    Reason.NULL_ID: [record(session_id="null"), record(item_id="undefined")],
    Reason.NEGATIVE_TIME: [record(timestamp=-1), record(timestamp="-1"), record(timestamp=-0.5)],
    Reason.BAD_TIME: [
        record(timestamp="noon"),
        record(timestamp="1_000"),
        record(timestamp="١٢٣"),
        record(timestamp=253_402_300_800_000),
        record(timestamp=2**63),
        record(timestamp=1e300),
        b'{"session_id":"s","item_id":"i","timestamp":1e99999999999999999999}',
    ],
    Reason.FUTURE: [record(timestamp=NOW + 60_001)],
    Reason.TOO_LARGE: [
        record(x="y" * 5000),
        record(session_id="s" * 41),
        record(item_id=10**41),
        record(type="t" * 41),
        b'{"session_id":"s","item_id":"i","timestamp":1733000000000,"event_id":%s}' % (b"9" * 2000),
    ],
    Reason.UNKNOWN_TYPE: [record(type="hover"), b'{"type":"page","timestamp":1}'],
}


@pytest.mark.parametrize(("reason", "data"), [(reason, data) for reason, cases in REFUSED.items() for data in cases])
def test_each_fault_has_its_reason(reason: Reason, data: bytes) -> None:
    """An invalid record is rejected under exactly this code."""
    assert reason == reason_of(data)


def test_every_reason_is_tested() -> None:
    """The engine, requests, tables of text, public logs and schema registries give the others."""
    elsewhere = {Reason.LATE, Reason.DUPLICATE, Reason.UNKNOWN_FIELD, Reason.NOT_A_ROW, Reason.NOT_AN_EVENT}
    by_schemas = {Reason.NEEDS_REGISTRY, Reason.UNKNOWN_SCHEMA, Reason.NOT_OF_SCHEMA}
    assert set(Reason) == REFUSED.keys() | elsewhere | by_schemas


def test_rows_are_refused_for_the_same_reasons() -> None:
    """A fault in a row of a table has the same code as in JSON."""
    good = {"session_id": "s", "item_id": "i", "timestamp": "5"}
    cases: dict[Reason, dict[str, object]] = {
        Reason.MISSING_FIELD: {"item_id": None},
        Reason.EMPTY_ID: {"session_id": ""},
        Reason.WRONG_TYPE: {"item_id": 1.5},
        Reason.BAD_TIME: {"timestamp": "x"},
        Reason.NEGATIVE_TIME: {"timestamp": "-1"},
        Reason.FUTURE: {"timestamp": str(NOW * 2)},
        Reason.TOO_LARGE: {"item_id": "i" * 41},
        Reason.UNKNOWN_TYPE: {"type": "hover"},
        Reason.NOT_UTF8: {"item_id": "\ud800"},
    }
    for reason, change in cases.items():
        with pytest.raises(DecodeError) as caught:
            EventDecoder(RULES).decode_row(good | change, NOW)
        assert reason == caught.value.reason


def test_a_message_names_the_field_by_both_names() -> None:
    """The operator sees our name, the log's name, what was expected and what was found."""
    decoder = EventDecoder(DecodeRules(fields=FieldMap(item_id="sku")))
    with pytest.raises(DecodeError, match=r"item_id \(sku\): expected .*found the number 1.5"):
        decoder.decode(b'{"session_id":"s","sku":1.5,"timestamp":1}')


def test_the_limit_of_the_future_is_the_log_time() -> None:
    """A time at the limit is not beyond it, and without a log time no time is in the future."""
    decoder = EventDecoder(RULES)
    assert Event("s", "i", NOW + 60_000) == decoder.decode(record(timestamp=NOW + 60_000), NOW)
    assert Event("s", "i", NOW * 2) == decoder.decode(record(timestamp=NOW * 2))


def test_seconds_that_are_read_as_milliseconds() -> None:
    """A log of today cannot have taken an event of 1970: its reason names the other unit, and one of 1973 passes."""
    units = {"ms": (NOW // 1000, "set the unit to s"), "us": (NOW, "set the unit to ms")}
    for unit, (time, hint) in units.items():
        decoder = EventDecoder(DecodeRules(timestamp_unit=unit, max_future_ms=60_000))
        for log_times in (NOW, NO_LOG_TIME, None):
            if log_times == NOW:
                with pytest.raises(DecodeError, match=hint) as caught:
                    decoder.decode(record(timestamp=time), log_times)
                assert Reason.BAD_TIME == caught.value.reason
            else:
                assert isinstance(decoder.decode(record(timestamp=time), log_times), Event)
    early = record(timestamp=SURELY_SECONDS)
    assert isinstance(EventDecoder(DecodeRules(max_future_ms=60_000)).decode(early, NOW), Event)
    assert isinstance(EventDecoder().decode(record(timestamp=1), NOW), Event), "nothing is compared with its log time"
    in_words = EventDecoder(DecodeRules(timestamp_unit="iso", max_future_ms=60_000))
    assert isinstance(in_words.decode(record(timestamp="1970-01-21T01:23:20Z"), NOW), Event), "no unit can be wrong"


def test_fields_are_found_under_the_logs_names() -> None:
    """For JSON and for rows; the names that are replaced have no meaning any more."""
    fields = FieldMap.parse(["session_id=SessionId", "item_id=ItemId", "timestamp=Time", "type=a=b"])
    decoder = EventDecoder(DecodeRules(fields=fields))
    data = b'{"SessionId":"s","ItemId":"i","Time":5,"a=b":"cart","session_id":"other"}'
    assert Event("s", "i", 5, "cart") == decoder.decode(data)
    row = {"SessionId": "s", "ItemId": "i", "Time": "5", "type": "other"}
    assert Event("s", "i", 5) == decoder.decode_row(row)


def test_one_key_may_feed_two_fields() -> None:
    """For example if every user has one session."""
    decoder = EventDecoder(DecodeRules(fields=FieldMap(session_id="who", user_id="who")))
    data = b'{"who":7,"item_id":"i","timestamp":5}'
    assert Event("7", "i", 5, user_id="7") == decoder.decode(data)


@pytest.mark.parametrize("pair", ["session_id", "session_id=", "visit=x", "=x"])
def test_a_wrong_mapping_is_a_wrong_setting(pair: str) -> None:
    """It stops the start, and the error names what was given."""
    with pytest.raises(SettingsError, match="found"):
        FieldMap.parse([pair])


def test_sessions_from_users_need_a_user_and_read_no_session() -> None:
    """The session is left empty, to be cut later."""
    decoder = EventDecoder(DecodeRules(session_from_user=True))
    data = b'{"user_id":"u","session_id":[],"item_id":"i","timestamp":5}'
    assert Event("", "i", 5, user_id="u") == decoder.decode(data)
    row = {"user_id": "u", "session_id": "x", "item_id": "i", "timestamp": 5}
    assert Event("", "i", 5, user_id="u") == decoder.decode_row(row)
    assert Reason.MISSING_FIELD == reason_of(b'{"session_id":"s","item_id":"i","timestamp":5}', decoder.rules)
    assert Reason.EMPTY_ID == reason_of(b'{"user_id":"","item_id":"i","timestamp":5}', decoder.rules)
    assert ("user_id", "item_id", "timestamp") == decoder.rules.required()


def test_forgetting_is_an_event_type_of_its_own() -> None:
    """It needs a session or a user, and is accepted whatever types are."""
    decoder = EventDecoder(RULES)
    assert Forget(session_id="s") == decoder.decode(b'{"type":"forget","session_id":"s"}')
    assert Forget(user_id="7") == decoder.decode(b'{"type":"forget","user_id":7}')
    assert Forget("s", "u") == decoder.decode(record(type="forget", user_id="u"))
    row = {"type": "forget", "session_id": "", "user_id": "u", "item_id": "", "timestamp": ""}
    assert Forget(user_id="u") == decoder.decode_row(row)


@pytest.mark.parametrize(
    ("unit", "written", "millis"),
    [
        ("ms", 0, 0),
        ("ms", "1592337718000", 1_592_337_718_000),
        ("ms", 1592337718000.0, 1_592_337_718_000),
        ("ms", 253_402_300_799_999, 253_402_300_799_999),
        ("ms", "2.5", 3),
        ("ms", "2.4999999999999999999999999999", 2),
        ("s", 1_592_337_718, 1_592_337_718_000),
        ("s", "1592337718.0", 1_592_337_718_000),
        ("s", "1592337718.", 1_592_337_718_000),
        ("s", b"1592337718.123", 1_592_337_718_123),
        ("s", b"1592337718.0004999", 1_592_337_718_000),
        ("s", b"1592337718.0005", 1_592_337_718_001),
        ("s", b"1.592337718123E9", 1_592_337_718_123),
        ("s", " 12 ", 12_000),
        ("s", "0e999", 0),
        ("us", 1_592_337_718_000_499, 1_592_337_718_000),
        ("us", 1_592_337_718_000_500, 1_592_337_718_001),
        ("us", "1592337718000500", 1_592_337_718_001),
        ("iso", "2020-06-16T20:01:58Z", 1_592_337_718_000),
        ("iso", "2020-06-16 20:01:58", 1_592_337_718_000),
        ("iso", "2020-06-16 20:01:58 UTC", 1_592_337_718_000),
        ("iso", "2020-06-16T22:01:58.123+02:00", 1_592_337_718_123),
        ("iso", "2020-06-16T22:01:58,1235+0200", 1_592_337_718_124),
        ("iso", "2020-06-16T20:01:58.123499999Z", 1_592_337_718_123),
        ("iso", "2020-06-16T20:01Z", 1_592_337_660_000),
        ("iso", "2020-06-16", 1_592_265_600_000),
        ("iso", "9999-12-31T23:59:59.999Z", 253_402_300_799_999),
        ("iso", "1970-01-01T00:00:00+00", 0),
    ],
)
def test_times_are_read_exactly(unit: str, written: object, millis: int) -> None:
    """To the millisecond, halves up, without floats."""
    assert millis == time_of(written, unit)


@pytest.mark.parametrize("millis", [1, 999, 1_592_337_718_001, 1_592_337_718_123, 253_402_300_799_999])
def test_a_float_of_seconds_gives_back_its_millisecond(millis: int) -> None:
    """A time that was divided by 1000 is read back exactly."""
    assert millis == time_of(millis / 1000, "s")
    row = {"session_id": "s", "item_id": "i", "timestamp": millis / 1000}
    event = EventDecoder(DecodeRules(timestamp_unit="s")).decode_row(row)
    assert Event("s", "i", millis) == event


@pytest.mark.parametrize(
    ("unit", "written", "reason"),
    [
        ("s", "253402300800", Reason.BAD_TIME),
        ("s", "253402300799.9995", Reason.BAD_TIME),
        ("s", "2020-06-16", Reason.BAD_TIME),
        ("s", "-0.001", Reason.NEGATIVE_TIME),
        ("s", "1e999", Reason.BAD_TIME),
        ("s", "nan", Reason.BAD_TIME),
        ("us", 253_402_300_800_000_000, Reason.BAD_TIME),
        ("iso", "2020-02-30T00:00:00Z", Reason.BAD_TIME),
        ("iso", "20200616T200158Z", Reason.BAD_TIME),
        ("iso", "2020-W25-2", Reason.BAD_TIME),
        ("iso", "2020-06-16T24:00:00Z", Reason.BAD_TIME),  # which Python 3.14 reads
        ("auto", "2020-06-16 24:00", Reason.BAD_TIME),
        ("iso", "2020-06-16T23:59:60Z", Reason.BAD_TIME),
        ("iso", "1969-12-31T23:59:59.999Z", Reason.NEGATIVE_TIME),
        ("iso", "9999-12-31T23:59:59-01:00", Reason.BAD_TIME),
        ("iso", "0001-01-01T00:00:00+14:00", Reason.NEGATIVE_TIME),
        ("iso", 5, Reason.WRONG_TYPE),
    ],
)
def test_invalid_times_are_refused(unit: str, written: object, reason: Reason) -> None:
    """Out of range, negative and unreadable are three reasons."""
    rules = DecodeRules(timestamp_unit=unit)
    assert reason == reason_of(record(timestamp=written), rules)


def test_a_unit_too_coarse_is_hinted_at() -> None:
    """Milliseconds read as seconds are beyond the year 9999, and the message says which unit to try."""
    with pytest.raises(DecodeError, match="set the unit to ms"):
        EventDecoder(DecodeRules(timestamp_unit="s")).decode(record())


def test_a_format_may_be_set() -> None:
    """As in strptime, in English, UTC if it has no offset."""
    assert 1_592_337_718_000 == time_of("16/Jun/2020:22:01:58 +0200", "ms", "%d/%b/%Y:%H:%M:%S %z")
    assert 1_592_337_718_000 == time_of("16.06.2020 20:01:58", "ms", "%d.%m.%Y %H:%M:%S")
    assert Reason.BAD_TIME == time_reason("16.06.2020", "ms", "%d.%m.%Y %H:%M:%S")
    assert Reason.NEGATIVE_TIME == time_reason("16.06.1969", "ms", "%d.%m.%Y")


@pytest.mark.parametrize("bad", ["%c", "%x", "%Y %Z", "plain", "%Y %", "%d.%m", "%d.%m %%Y"])
def test_formats_that_depend_on_the_machine_are_refused(bad: str) -> None:
    """With the locale or the local time zone the same log would leave other states; without a year none is right."""
    with pytest.raises(SettingsError, match="timestamp_format"):
        EventDecoder(DecodeRules(timestamp_format=bad))


def test_an_unknown_unit_is_a_wrong_setting() -> None:
    """It stops the start."""
    with pytest.raises(SettingsError, match="min"):
        EventDecoder(DecodeRules(timestamp_unit="min"))


@pytest.mark.parametrize("unit", ["ms", "s", "us", "ns", "iso", "excel", "auto"])
def test_a_datetime_is_a_time_in_every_unit(unit: str) -> None:
    """A typed column of a table has its own unit."""
    moment = datetime(2020, 6, 16, 20, 1, 58, 500, tzinfo=UTC)
    for value in (moment, moment.replace(tzinfo=None)):
        row = {"session_id": "s", "item_id": "i", "timestamp": value}
        event = EventDecoder(DecodeRules(timestamp_unit=unit)).decode_row(row)
        assert Event("s", "i", 1_592_337_718_001) == event


def test_a_request_is_read_whole() -> None:
    """Every parameter is read; ids may be numbers, as in events."""
    data = (
        b'{"request_id":1,"session_id":"s","items":["a",2],"n":5,"exclude":["x"],"m":500,"k":100,'
        b'"last":4,"seen":"keep","preset":"stan","fallbacks":false}'
    )
    assert Request(
        "1", "s", ("a", "2"), 5, ("x",), 500, 100, 4, "keep", "stan", fallbacks=False
    ) == RequestDecoder().decode(data)
    assert Request(session_id="s") == RequestDecoder().decode(b'{"session_id":"s"}')
    assert Request(items=()) == RequestDecoder().decode(b'{"items":[]}')


@pytest.mark.parametrize(
    ("reason", "data"),
    [
        (Reason.NOT_UTF8, b'{"session_id":"\xff"}'),
        (Reason.NOT_JSON, b"{"),
        (Reason.WRONG_TYPE, b"[]"),
        (Reason.WRONG_TYPE, b'{"session_id":1.5}'),
        (Reason.WRONG_TYPE, b'{"session_id":"s","n":0}'),
        (Reason.WRONG_TYPE, b'{"session_id":"s","seen":"maybe"}'),
        (Reason.MISSING_FIELD, b"{}"),
        (Reason.EMPTY_ID, b'{"session_id":""}'),
        (Reason.EMPTY_ID, b'{"items":["a",""]}'),
        (Reason.TOO_LARGE, b'{"session_id":"%s"}' % (b"s" * 600)),
        (Reason.TOO_LARGE, b'{"session_id":"s","exclude":["%s"]}' % (b"s" * 2_000_000)),
        (Reason.UNKNOWN_FIELD, b'{"session_id":"s","count":5}'),
    ],
)
def test_a_bad_request_is_refused_with_its_reason(reason: Reason, data: bytes) -> None:
    """With the codes of events, and one more: an unknown field."""
    with pytest.raises(DecodeError) as caught:
        RequestDecoder().decode(data)
    assert reason == caught.value.reason


def test_an_unknown_field_of_a_request_is_named() -> None:
    """With the list of known ones."""
    with pytest.raises(DecodeError, match=r"'count' is not a field.*there are request_id"):
        RequestDecoder().decode(b'{"session_id":"s","count":5}')


def test_an_answer_is_one_line_of_json() -> None:
    """In the form that the documentation shows; offsets always in the same order."""
    answer = Answer(
        "s1",
        None,
        [Recommendation("i3", 1.25, "neighbours")],
        1_733_000_000_000,
        {"clicks-1": 7, "clicks-0": 123},
        "vmis-knn",
    )
    expected = (
        b'{"session_id":"s1","request_id":null,'
        b'"items":[{"item_id":"i3","score":1.25,"source":"neighbours"}],'
        b'"as_of":1733000000000,"offsets":{"clicks-0":123,"clicks-1":7},"model":"vmis-knn"}'
    )
    assert expected == encode_answer(answer)


def test_a_tombstone_forgets_the_session_of_its_key() -> None:
    """Or the user, if sessions are cut from users."""
    assert Forget(session_id="s1") == EventDecoder().decode_tombstone(b"s1")
    assert Forget(user_id="u1") == EventDecoder(DecodeRules(session_from_user=True)).decode_tombstone(b"u1")


@pytest.mark.parametrize(
    ("reason", "key"),
    [
        (Reason.MISSING_FIELD, None),
        (Reason.MISSING_FIELD, b""),
        (Reason.NOT_UTF8, b"\xff"),
        (Reason.TOO_LARGE, b"s" * 600),
    ],
)
def test_a_tombstone_without_a_key_is_refused(reason: Reason, key: bytes | None) -> None:
    """It is an invalid record like others."""
    with pytest.raises(DecodeError) as caught:
        EventDecoder().decode_tombstone(key)
    assert reason == caught.value.reason


@pytest.mark.parametrize("original", [b"", b"plain", "žluťoučký".encode(), b"\xff\x00", b'{"a":1}'])
def test_a_dead_letter_keeps_the_original_bytes(original: bytes) -> None:
    """As text if they are text, else in base64."""
    line = encode_dead_letter(Reason.NOT_JSON, "why", original, "clicks.jsonl", 0, 17)
    letter = msgspec.json.decode(line, type=DeadLetter)
    assert original == letter.original
    assert ("not_json", "why", "clicks.jsonl", 0, 17) == (
        letter.reason,
        letter.message,
        letter.topic,
        letter.partition,
        letter.offset,
    )
    if original == b"\xff\x00":
        assert base64.b64encode(original).decode() == msgspec.json.decode(line)["record_base64"]


def test_what_was_shown_is_accepted_whatever_types_are_listed() -> None:
    """With what its type says behind a colon; a type that only begins with the same letters is not."""
    decoder = EventDecoder(DecodeRules(types=frozenset({"view"}), shown_type="shown"))
    for kind in ("shown", "shown:3:popular"):
        event = {"session_id": "s", "item_id": "i", "timestamp": 1_700_000_000_000, "type": kind}
        assert Event("s", "i", 1_700_000_000_000, kind) == decoder.decode(msgspec.json.encode(event))
        assert kind == decoder.decode_row({**event, "timestamp": "1700000000000"}).type  # type: ignore[union-attr]
        with pytest.raises(DecodeError) as caught:
            decoder.decode(msgspec.json.encode({**event, "type": "shownish"}))
        assert Reason.UNKNOWN_TYPE == caught.value.reason
