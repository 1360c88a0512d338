"""Times and ids as real producers write them."""

import math
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from uuid import UUID

import msgspec
import pyarrow as pa
import pytest
from pyarrow import parquet

from stream_rec import read_log
from stream_rec.core.events import DecodeRules, Event, EventDecoder, EventEncoder, FieldMap, Forget, time_reader
from stream_rec.core.events.values import identifier
from stream_rec.errors import DecodeError, SettingsError
from stream_rec.tables.frames import columns_of_frame
from stream_rec.transport.decode import decode_records
from stream_rec.transport.files import open_source

AT = 1_714_557_600_123
"""2024-05-01 10:00:00.123 UTC."""
DAY = 1_714_557_600_000


def said(record: dict[str, object], rules: DecodeRules | None = None) -> Event | Forget:
    """Read *record* as JSON and as a row, which must agree."""
    full = {"session_id": "s", "item_id": "i", "timestamp": DAY} | record
    decoder = EventDecoder(rules)
    event = decoder.decode(msgspec.json.encode(full))
    assert event == decoder.decode_row(full)
    return event


def time_of(value: object, unit: str, zone: str | None = None) -> int:
    event = said({"timestamp": value}, DecodeRules(timestamp_unit=unit, time_zone=zone))
    assert isinstance(event, Event)
    return event.timestamp


@pytest.mark.parametrize(
    "text",
    [
        "2024-05-01T10:00:00.123Z",
        "2024-05-01 10:00:00.123",
        "2024-05-01 10:00:00,123",
        "2024-05-01T10:00:00.1230000Z",
        "2024-05-01T10:00:00.123000000Z",
        "2024-05-01T10:00:00.123456789Z",
        "2024-05-01T10:00:00.123Z[UTC]",
        "2024-05-01T12:00:00.123+02:00[Europe/Berlin]",
        "2024-05-01T10:00:00.123000+0000",
        "2024-05-01 10:00:00.123 UTC",
        "2024-05-01 10:00:00.123+00",
        "2024-05-01 10:00:00.123456789 +0000 UTC",
        "2024-05-01 12:00:00.123 +0200 CEST",
        "2024-05-01 15:30:00.123 +0530 +0530",
        "2024-05-01 10:00:00.123 +0000 UTC m=+0.000012",
        "2024-05-01t10:00:00.123z",
    ],
)
@pytest.mark.parametrize("unit", ["iso", "auto"])
def test_each_time_has_a_form_of_its_own(text: str, unit: str) -> None:
    """Java, Go, DuckDB, ClickHouse, pandas, Polars, Spark and BigQuery: in one column, too."""
    assert AT == time_of(text, unit)


@pytest.mark.parametrize(
    "text",
    ["2024-05-01T10:00:00[UTC]", "2024-05-01 10:00 m=+1", "2024-05-01T10:00:00Z[", "01.05.2024 10:00", "2024-05-01Z"],
)
def test_what_is_no_time_is_refused(text: str) -> None:
    """A zone in brackets without an offset, and forms that need a format."""
    with pytest.raises(DecodeError, match="expected ISO 8601"):
        time_of(text, "iso")


@pytest.mark.parametrize("number", [1_714_557_600, 1_714_557_600_000, 1_714_557_600_000_000, 1_714_557_600_000_000_000])
def test_auto_judges_each_number_by_its_size(number: int) -> None:
    """Seconds, ms, us and ns, whatever was read before: so a replay judges alike."""
    assert DAY == time_of(number, "auto")
    assert DAY == time_of(str(number), "auto")
    assert DAY == time_of(f"{number}.0", "auto")


@pytest.mark.parametrize("number", [0, 99_999_999, -5, 10**20, 20240501])
def test_auto_refuses_what_it_cannot_tell(number: int) -> None:
    """Numbers before March 1973 in seconds may be days, or a date without dashes."""
    with pytest.raises(DecodeError) as caught:
        EventDecoder(DecodeRules(timestamp_unit="auto")).decode_row(
            {"session_id": "s", "item_id": "i", "timestamp": number}
        )
    assert "bad_time" == caught.value.reason
    assert "set the unit" in caught.value.message


@pytest.mark.parametrize(
    ("unit", "below", "at"),
    [
        ("s", 99_999_999, 100_000_000),
        ("ms", 10**11 - 1, 10**11),
        ("us", 10**14 - 1, 10**14),
        ("ns", 10**17 - 1, 10**17),
    ],
)
def test_the_ranges_of_auto_meet(unit: str, below: int, at: int) -> None:
    """Each unit begins in March 1973, where the one before it has come to the year 5138."""
    read = time_reader("auto")
    assert time_reader(unit)(at) == read(at) == 100_000_000_000
    if unit != "s":
        assert read(below) > read(at)


def test_nanoseconds() -> None:
    """As numbers and text, rounded to the millisecond."""
    assert [AT, AT + 1] == [time_of(n, "ns") for n in (1_714_557_600_123_499_999, "1714557600123500000")]
    with pytest.raises(DecodeError, match="set the unit to ns"):
        time_of(1_714_557_600_123_000_000_0, "us")


@pytest.mark.parametrize("value", ["45413.416666666664", 45413.416666666664, "45413,4166666667", "2024-05-01 10:00"])
def test_excel_counts_days(value: object) -> None:
    """Since 30 December 1899; a decimal comma, and times that were left as text."""
    assert DAY == time_of(value, "excel")
    assert DAY - 2 * 3_600_000 == time_of(value, "excel", "Europe/Berlin")


def test_naive_times_are_in_the_zone_that_is_said() -> None:
    """In summer and winter; a time with an offset, and a number, have no need of it."""
    berlin = [("2024-05-01 12:00:00", DAY), ("2024-05-01T10:00:00Z", DAY), ("2024-01-01 01:00", 1_704_067_200_000)]
    for text, expected in berlin:
        assert expected == time_of(text, "iso", "Europe/Berlin")
    assert DAY == time_of(DAY, "ms", "Europe/Berlin")
    naive = datetime(2024, 5, 1, 12)  # noqa: DTZ001 (as a table has it)
    assert DAY == time_reader("ms", None, "Europe/Berlin")(naive)
    assert DAY == time_reader("ms", "%d.%m.%Y %H:%M", "Europe/Berlin")("01.05.2024 12:00")
    rules = DecodeRules(timestamp_format="%d.%m.%Y %H:%M", time_zone="Europe/Berlin")
    assert b"01.05.2024 12:00" in EventEncoder(rules).encode(Event("s", "i", DAY))[0]


def test_clocks_that_are_set() -> None:
    """Of an hour that comes twice the first is taken; in one that is skipped, clocks are as before."""
    read = time_reader("iso", None, "Europe/Berlin")
    assert datetime(2024, 10, 27, 0, 30, tzinfo=UTC).timestamp() * 1000 == read("2024-10-27 02:30")
    assert datetime(2024, 3, 31, 1, 30, tzinfo=UTC).timestamp() * 1000 == read("2024-03-31 02:30")


@pytest.mark.parametrize("name", ["Europe/Nowhere", "", "../etc", "Europe"])
def test_an_unknown_zone_is_a_wrong_setting(name: str) -> None:
    """The message says what a zone is."""
    with pytest.raises(SettingsError, match="Europe/Berlin"):
        EventDecoder(DecodeRules(time_zone=name))


@pytest.mark.parametrize("unit", ["ns", "auto", "excel", "iso"])
def test_what_is_written_is_read_again(unit: str) -> None:
    """In every unit, with a zone."""
    rules = DecodeRules(timestamp_unit=unit, time_zone="Asia/Kolkata")
    assert Event("s", "i", AT) == EventDecoder(rules).decode(EventEncoder(rules).encode(Event("s", "i", AT))[0])


NULLS = ["\\N", "NULL", "NaN", "None", "null", "undefined", "ᴺᵁᴸᴸ"]


@pytest.mark.parametrize("text", NULLS)
@pytest.mark.parametrize("field", ["session_id", "item_id"])
def test_texts_for_nothing_are_no_ids(text: str, field: str) -> None:
    """They have a reason of their own, also where many records are read at once; a setting accepts them."""
    record = {"session_id": "s", "item_id": "i", "timestamp": DAY, field: text}
    value = msgspec.json.encode(record)
    decoder = EventDecoder()
    for is_row in (False, True):
        with pytest.raises(DecodeError) as caught:
            _ = decoder.decode_row(record) if is_row else decoder.decode(value)
        assert "null_id" == caught.value.reason
        assert caught.value.message.startswith(f"{field}: ")
        assert "--lenient-ids" in caught.value.message
    good = b'{"session_id":"s","item_id":"i","timestamp":1}'
    assert 1 == len(decoder.decode_plain([good, value, good]))
    lenient = EventDecoder(DecodeRules(lenient_ids=True))
    assert text == getattr(lenient.decode(value), field)
    assert 3 == len(lenient.decode_plain([good, value, good]))


@pytest.mark.parametrize("text", NULLS)
def test_optional_fields_with_a_text_for_nothing_are_absent(text: str) -> None:
    """A user, an event id or a type that is none: the event has none, however it is read."""
    record: dict[str, object] = {"user_id": text, "event_id": text, "type": text}
    assert Event("s", "i", DAY) == said(record)
    value = msgspec.json.encode({"session_id": "s", "item_id": "i", "timestamp": DAY, **record})
    assert [] == EventDecoder().decode_plain([value])
    rules = DecodeRules(session_from_user=True)
    with pytest.raises(DecodeError, match=r"user_id: .* stands for nothing"):
        said({"user_id": text}, rules)


@pytest.mark.parametrize("text", ["nullable", "NULL ", "none", "nan", "N", "Undefined"])
def test_other_texts_are_ids(text: str) -> None:
    """Only the exact texts that tools write stand for nothing."""
    assert Event(text, text, DAY) == said({"session_id": text, "item_id": text})


@pytest.mark.parametrize("text", ["123.0", "9007199254740992.0", "4.50365E+15", "1E+15", "1,5E+10", "-7.0"])
@pytest.mark.parametrize("field", ["session_id", "item_id", "user_id"])
def test_ids_that_a_table_has_as_floats_are_refused(text: str, field: str) -> None:
    """Pandas writes a column with gaps so, and Excel long numbers: the message says what to do."""
    row = {"session_id": "s", "item_id": "i", "timestamp": DAY, field: text}
    with pytest.raises(DecodeError) as caught:
        EventDecoder().decode_row(row)
    assert "wrong_type" == caught.value.reason
    assert "--lenient-ids" in caught.value.message
    assert text == getattr(EventDecoder(DecodeRules(lenient_ids=True)).decode_row(row), field)
    with pytest.raises(DecodeError, match="--lenient-ids"):
        columns_of_frame(pa.table({name: [value] for name, value in row.items()}))


@pytest.mark.parametrize("text", ["1.5", "v1.0", "1.0.0", "1E5", "12E34", "a+b", "7.00"])
def test_ids_that_look_a_little_like_floats_are_ids(text: str) -> None:
    """Versions and article numbers."""
    assert Event("s", text, DAY) == said({"item_id": text})


def test_deletions_of_a_log_of_changes() -> None:
    """A type of one's own is an order to forget; its id lies where the deleted row is."""
    fields = FieldMap(
        session_id="after.session_id|before.session_id",
        item_id="after.item_id",
        timestamp="after.timestamp",
        type="op",
    )
    decoder = EventDecoder(DecodeRules(fields=fields, forget_types=frozenset({"d"})))
    row = {"session_id": "s", "item_id": "i", "timestamp": DAY}
    assert Event("s", "i", DAY, "c") == decoder.decode(
        msgspec.json.encode({"before": None, "after": row, "op": "c", "ts_ms": 1})
    )
    deleted = msgspec.json.encode({"before": row, "after": None, "op": "d", "ts_ms": 1})
    assert Forget("s") == decoder.decode(deleted)
    plain = EventDecoder(DecodeRules(forget_types=frozenset({"d"})))
    assert Forget("s") == plain.decode(b'{"type":"d","session_id":"s"}')
    assert [] == plain.decode_plain([b'{"type":"d","session_id":"s","item_id":"i","timestamp":1}'])


def outcomes(path: Path, rules: DecodeRules | None = None) -> list[object]:
    """Return the events of a file, or the reasons."""
    source = open_source(str(path), rules)
    try:
        records = [record for batch in source.batches(100) for record in batch]
    finally:
        source.close()
    decoded = decode_records(EventDecoder(rules), records).decoded
    return [str(each.reason) if isinstance(each, DecodeError) else each for each in decoded]


def test_parquet_as_others_write_it(tmp_path: Path) -> None:
    """UUIDs, text without its annotation, dictionaries, UUIDs as bytes, days, and times in ns."""
    uuid = UUID("6ba7b810-9dad-11d1-80b4-00c04fd430c8")
    table = pa.table(
        {
            "session_id": pa.array([uuid.bytes], pa.uuid()),
            "item_id": pa.array([b"tent"], pa.binary()),
            "timestamp": pa.array([DAY * 1_000_000 + 1], pa.timestamp("ns")),
            "type": pa.array(["cart"]).dictionary_encode(),
            "user_id": pa.array([uuid.bytes], pa.binary(16)),
        }
    )
    path = tmp_path / "log.parquet"
    parquet.write_table(table, path)
    assert [Event(str(uuid), "tent", DAY, "cart", None, str(uuid))] == outcomes(path)
    (events,) = columns_of_frame(table).events()
    assert [Event(str(uuid), "tent", DAY, "cart", None, str(uuid))] == events


def test_parquet_with_structs_and_lists(tmp_path: Path) -> None:
    """Paths lead through them, with the times inside of any unit; a map is an array of keys and values."""
    item = pa.struct([("id", pa.string()), ("at", pa.timestamp("ns"))])
    table = pa.table(
        {
            "visit": pa.array([{"id": 7}]),
            "items": pa.array(
                [[{"id": "a", "at": DAY * 1_000_000}, {"id": "b", "at": AT * 1_000_000}]], pa.list_(item)
            ),
            "tags": pa.array([[("user", "u")]], pa.map_(pa.string(), pa.string())),
        }
    )
    path = tmp_path / "log.parquet"
    parquet.write_table(table, path)
    names = FieldMap(session_id="visit.id", item_id="items[].id", timestamp="items[].at", user_id="tags[user]")
    rules = DecodeRules(fields=names)
    expected = [Event("7", "a", DAY, user_id="u"), Event("7", "b", AT, user_id="u")]
    assert expected == outcomes(path, rules)
    (events,) = columns_of_frame(table, rules).events()
    assert expected == events


def test_a_session_a_row(tmp_path: Path) -> None:
    """Where the item is a list, each makes an event, and lists beside it are gone through with it."""
    rows = {"session_id": [1], "item_id": [["x", "y"]], "timestamp": [[DAY, AT]]}
    path = tmp_path / "log.parquet"
    parquet.write_table(pa.table(rows), path)
    expected = [Event("1", "x", DAY), Event("1", "y", AT)]
    assert expected == outcomes(path)
    (events,) = columns_of_frame(pa.table(rows)).events()
    assert expected == events
    assert ["x", "y"] == read_log(str(path)).items.names
    lines = tmp_path / "log.jsonl"
    lines.write_bytes(b'{"session_id":1,"item_id":["x","y"],"timestamp":%d,"event_id":"m"}\n' % DAY)
    assert [Event("1", "x", DAY, event_id="m+1"), Event("1", "y", DAY, event_id="m+2")] == outcomes(lines)
    lines.write_bytes(
        b'{"session_id":1,"item_id":["x"],"timestamp":[1,2]}\n{"session_id":1,"item_id":[],"timestamp":1}\n'
    )
    assert ["not_a_row", "not_an_event"] == outcomes(lines)


def test_tabs_are_escaped_as_databases_do(tmp_path: Path) -> None:
    """ClickHouse, PostgreSQL and MySQL put a backslash before what would end a cell, and before N for nothing."""
    path = tmp_path / "log.tsv"
    path.write_bytes(b"session_id\titem_id\ttimestamp\tuser_id\ns\\\\1\tit\\'s\\ta\\\\N\t5\t\\N\ns\t\\N\t6\tu\n")
    assert [Event("s\\1", "it's\ta\\N", 5), "null_id"] == outcomes(path)
    path.write_bytes(b"session_id\titem_id\ttimestamp\tuser_id\ns\\\\1\tit\\'s\\ta\\\\N\t5\t\\N\n")
    assert ["it's\ta\\N"] == read_log(str(path)).items.names


@pytest.mark.parametrize(
    ("value", "is_whole"),
    [(7.0, True), (Decimal("7.00"), True), (7.5, False), (math.nan, False), (Decimal("NaN"), False), (1e300, False)],
)
def test_a_number_with_a_fraction_is_no_id(value: object, is_whole: bool) -> None:
    """Where the fraction is 0, the message says what has happened to it."""
    with pytest.raises(DecodeError, match="expected text or a whole number") as caught:
        identifier("item_id", value, 100)
    assert is_whole == ("Int64" in str(caught.value))
    with pytest.raises(DecodeError, match="expected text"):  # and in no time
        identifier("item_id", Decimal("1E+999999"), 100)
