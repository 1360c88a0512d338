"""Decoding under random input: only DecodeError is raised, and both ways of reading agree."""

import json

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from stream_rec.core.events import (
    NULL_TEXTS,
    SURELY_SECONDS,
    DecodeRules,
    Event,
    EventDecoder,
    FieldMap,
    Forget,
    RequestDecoder,
)
from stream_rec.errors import DecodeError
from stream_rec.transport.decode import decode_records
from stream_rec.transport.records import AS_RECORDS, Record, Records

DECODERS = [
    EventDecoder(),
    EventDecoder(DecodeRules(timestamp_unit="s", types=frozenset({"a"}), max_future_ms=5)),
    EventDecoder(DecodeRules(timestamp_unit="us", session_from_user=True)),
    EventDecoder(DecodeRules(timestamp_unit="iso", fields=FieldMap(item_id="timestamp"))),
    EventDecoder(DecodeRules(timestamp_format="%Y-%m-%d %H:%M:%S.%f", max_id_chars=3)),
]

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(0, 10**13)
    | st.floats()
    | st.text(max_size=6)
    | st.sampled_from(["forget", "view", "a", "2020-06-16T20:01:58Z", "2020-06-16 20:01:58.5"])
    | st.decimals(allow_nan=False, allow_infinity=False).map(str)
    | st.datetimes().map(str)
)
VALUES = SCALARS | st.lists(SCALARS, max_size=2) | st.dictionaries(st.text(), SCALARS, max_size=2)
RECORDS = st.fixed_dictionaries(
    {},
    optional=dict.fromkeys(("session_id", "item_id", "timestamp", "type", "event_id", "user_id", "x"), VALUES),
)
IDS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20)


def outcome_of(decoded: Event | Forget | DecodeError) -> object:
    return (decoded.reason, decoded.message) if isinstance(decoded, DecodeError) else decoded


def outcome(decoder: EventDecoder, data: bytes, *, slow: bool) -> object:
    try:
        return decoder._diagnose(data, 5) if slow else decoder.decode(data, 5)
    except DecodeError as error:
        return error.reason, error.message


BYTES = st.binary() | RECORDS.map(lambda record: json.dumps(record).encode("utf-8", "surrogatepass"))
# Rare among the others: values that a decoder reads as plain, and near misses.
PLAIN = st.builds(
    lambda n, kind, more: f'{{"session_id":"s{n}","item_id":"i","timestamp":{n}{kind}{more}}}'.encode(),
    st.integers(0, 9),
    st.sampled_from(["", ',"type":"view"', ',"type":"a"', ',"type":"forget"', ',"type":null', ',"type":""']),
    st.sampled_from(
        ["", ',"user_id":"u"', ',"user_id":""', ',"event_id":7', ',"x":[1]', ',"x":"' + "x" * 600 + '"', "}"]
    ),
)
MANY_DECODERS = [*DECODERS, EventDecoder(DecodeRules(max_future_ms=1, max_record_bytes=300, types=frozenset({"view"})))]


LOG_TIMES = st.none() | st.integers(-1, 9) | st.just(2 * SURELY_SECONDS)


@given(st.lists(st.tuples(PLAIN | BYTES | st.none(), LOG_TIMES), max_size=8))
def test_many_at_once_are_what_each_is_alone(values: list[tuple[bytes | None, int | None]]) -> None:
    """A value has the same outcome beside any others, whenever the log took each; None is a tombstone."""
    records = [
        Record(value or b"", "t", 0, place, key=b"k", tombstone=value is None, timestamp_ms=log_ms)
        for place, (value, log_ms) in enumerate(values)
    ]
    for decoder in MANY_DECODERS:
        for log_times in (None, Records.of(records).log_times):
            alone = [outcome_of(each) for each in decode_records(decoder, records, log_times).decoded]
            together = decode_records(decoder, Records(records, AS_RECORDS), log_times).decoded
            assert alone == [outcome_of(each) for each in together]


def test_plain_events_are_read_at_once() -> None:
    """The fast way reads all plain events before the first other one; else it would gain nothing."""
    good = b'{"session_id":"s","item_id":"i","timestamp":1}'
    for odd in (None, b"", b"9" * 5000, good.replace(b"1", b"-1"), good.replace(b'"s"', b"5")):
        assert [Event("s", "i", 1)] * 2 == EventDecoder().decode_plain([good, good, odd, good])
    assert [Event("s", "i", 1)] == EventDecoder().decode_plain([good])


@given(BYTES)
@example(b'{"session_id":"\\udc00","item_id":"\\u0000","timestamp":1}')
@example(b"[" * 5000)
@example(b'{"session_id":' * 5000)
@example(b"9" * 5000)
def test_any_bytes_give_an_event_or_a_reason(data: bytes) -> None:
    """The decoder raises no other error, and its fast way and its slow way agree."""
    for decoder in DECODERS:
        fast = outcome(decoder, data, slow=False)
        assert fast == outcome(decoder, data, slow=True)
        if isinstance(fast, Event | Forget):
            msgspec.json.encode(fast)
        else:
            assert isinstance(fast, tuple)


@given(st.dictionaries(st.sampled_from(["session_id", "item_id", "timestamp", "type"]), VALUES))
def test_any_row_gives_an_event_or_a_reason(row: dict[str, object]) -> None:
    """Rows come from readers that promise nothing about their cells."""
    for decoder in DECODERS:
        try:
            msgspec.json.encode(decoder.decode_row(row, 5))
        except DecodeError as error:
            error.message.encode()


@given(st.binary() | RECORDS.map(lambda record: json.dumps(record).encode()))
def test_any_bytes_give_a_request_or_a_reason(data: bytes) -> None:
    """Requests may have any bytes, since they come over the network."""
    try:
        request = RequestDecoder().decode(data)
    except DecodeError as error:
        error.message.encode()
    else:
        msgspec.json.encode(request)


@given(st.builds(Event, IDS, IDS, st.integers(0, 253_402_300_799_999)))
def test_an_event_written_as_json_is_read_back(event: Event) -> None:
    """Event -> JSON -> event changes nothing, not even NUL bytes. Texts that stand for nothing need a setting."""
    data = msgspec.json.encode(event)
    if event.type != "forget":
        assert event == EventDecoder(DecodeRules(lenient_ids=True)).decode(data)
        if NULL_TEXTS.isdisjoint({event.session_id, event.item_id}):
            assert event == EventDecoder().decode(data)


@given(st.integers(0, 253_402_300_799_999))
def test_milliseconds_survive_every_unit(millis: int) -> None:
    """A time of whole milliseconds is read exactly, in whatever unit it was written."""
    seconds, rest = divmod(millis, 1000)
    written = {"ms": str(millis), "s": f"{seconds}.{rest:03}", "us": str(millis * 1000)}
    for unit, text in written.items():
        decoder = EventDecoder(DecodeRules(timestamp_unit=unit))
        for value in (text, f'"{text}"'):
            data = b'{"session_id":"s","item_id":"i","timestamp":%s}' % value.encode()
            assert Event("s", "i", millis) == decoder.decode(data)


@pytest.mark.parametrize("decoder", DECODERS)
def test_a_refusal_leaves_nothing_behind(decoder: EventDecoder) -> None:
    """The same bytes have the same outcome before and after a rejected record."""
    data = b'{"session_id":"s","item_id":"i","timestamp":1,"user_id":"u"}'
    before = outcome(decoder, data, slow=False)
    outcome(decoder, b"\xff", slow=False)
    assert before == outcome(decoder, data, slow=False)
