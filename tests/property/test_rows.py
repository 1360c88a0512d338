"""Rows of a table read many at a time are what they are one by one."""

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_rec.core.events import DecodeRules, Event, EventDecoder, FieldMap
from stream_rec.core.events.rows import PlainRows
from stream_rec.transport.decode import decode_records
from stream_rec.transport.files import open_source
from stream_rec.transport.files.table import TableSource
from stream_rec.transport.records import Record

ODD_IDS = ["", "NULL", "\\N", "12.0", "4.5E+15", "a+b", "é", "x" * 600, "007", "٣", "a.0"]
ODD_TIMES = [
    "",
    "٣",
    "1700000000000.5",
    "-3",
    "1e12",
    "²",
    "2024-05-01",
    "NULL",
    "9" * 30,
    "9" * 5000,
    "253402300800000",
    " 7",
]

plain_ids = st.sampled_from(["a", "b7", "17", "c-4"])
plain_times = st.integers(10**9, 10**13).map(str)
kinds = st.sampled_from(["view", "cart", "", "forget", "NULL", "del", None])


PLAIN: st.SearchStrategy[dict[str, Any]] = st.fixed_dictionaries(
    {"session_id": plain_ids, "sku": plain_ids, "timestamp": plain_times},
    optional={"type": kinds, "event_id": plain_ids, "user_id": plain_ids},
)
ODD_VALUES: dict[str, list[Any]] = {
    **{name: [*ODD_IDS, None, 3, -3, True, 1.5, []] for name in ("session_id", "sku", "user_id", "event_id")},
    "timestamp": [*ODD_TIMES, None, 5, -5, True, 1.5, datetime(2024, 5, 1, tzinfo=UTC)],
    "type": ["view", "cart", "", "forget", "NULL", "del", "wish", 7, None, "x" * 600],
}
ONE_ODD = [{name: value} for name, values in ODD_VALUES.items() for value in values]
WITH_ONE_ODD = st.tuples(PLAIN, st.sampled_from(ONE_ODD)).map(lambda both: both[0] | both[1])
RULES = [
    DecodeRules(fields=FieldMap(item_id="sku")),
    DecodeRules(fields=FieldMap(item_id="sku"), timestamp_unit="s", lenient_ids=True),
    DecodeRules(fields=FieldMap(item_id="sku"), timestamp_unit="auto", types=frozenset({"view", "cart"})),
    DecodeRules(fields=FieldMap(item_id="sku"), timestamp_unit="ns", forget_types=frozenset({"del"})),
    DecodeRules(fields=FieldMap(item_id="sku"), session_from_user=True, max_id_chars=20),
]


@pytest.mark.parametrize("rules", RULES, ids=["ms", "s-lenient", "auto-types", "ns-forget", "user"])
@given(rows=st.one_of(st.lists(PLAIN, min_size=1), st.lists(WITH_ONE_ODD, min_size=1, max_size=3)))
def test_rows_together_are_rows_one_by_one(rules: DecodeRules, rows: list[dict[str, Any]]) -> None:
    """Every error, every order to forget and every event."""
    compare(rules, rows)


@pytest.mark.parametrize("rules", RULES, ids=["ms", "s-lenient", "auto-types", "ns-forget", "user"])
def test_each_odd_value_is_what_it_is_alone(rules: DecodeRules) -> None:
    """In each field, among plain rows."""
    plain = {
        "session_id": "a",
        "sku": "17",
        "timestamp": "1700000000000",
        "user_id": "u",
        "type": "view",
        "event_id": "e",
    }
    for odd in ONE_ODD:
        compare(rules, [plain, plain | odd])


def compare(rules: DecodeRules, rows: list[dict[str, Any]]) -> None:
    """Read *rows* together, and each beside a record that is no row, which is not read together with it."""
    decoder = EventDecoder(rules)
    records = [Record(b"", "log.csv", 0, number, row=row) for number, row in enumerate(rows)]
    alone = [each for record in records for each in decode_records(decoder, [record, Record(b"", "", 0, 0)]).decoded]
    one_by_one = alone[::2]
    together = decode_records(decoder, records).decoded
    assert list(map(repr, one_by_one)) == list(map(repr, together))
    fast = PlainRows(rules, decoder._time).read(rows)
    assert fast is None or fast == one_by_one


def test_plain_rows_are_read_together() -> None:
    """Or nothing would be gained."""
    rows = [{"session_id": "a", "item_id": f"i-{n}", "timestamp": "1700000000000", "type": ""} for n in range(3)]
    expected = [Event("a", f"i-{n}", 1_700_000_000_000) for n in range(3)]
    assert expected == EventDecoder().decode_plain_rows(rows)


cells = st.text(st.sampled_from('ab17,;"\\ \r\t.'), max_size=4)


NUMBERED = DecodeRules(fields=FieldMap(session_id="0", item_id="1", timestamp="2"))


@pytest.mark.parametrize("delimiter", [",", "\t", " "])
@pytest.mark.parametrize("rules", [DecodeRules(), NUMBERED], ids=["header", "no-header"])
@given(
    lines=st.lists(
        st.one_of(st.lists(cells, max_size=4), st.sampled_from([["a", "b", "1"], ["", "", ""]])), max_size=8
    ),
    ends=st.sampled_from(["\n", "\r\n"]),
)
def test_lines_together_are_lines_one_by_one(
    rules: DecodeRules, delimiter: str, lines: list[list[str]], ends: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Blank lines, quotes, lines too short or too long: the same records, with the same numbers."""
    path = tmp_path_factory.getbasetemp() / "lines.csv"
    rows = [["session_id", "item_id", "timestamp"], ["a", "b", "1"], *lines]
    path.write_bytes(ends.join(map(delimiter.join, rows)).encode())

    def read() -> list[Record]:
        source = open_source(str(path), rules, file_format="csv", delimiter=delimiter)
        try:
            return [record for batch in source.batches(3) for record in batch]
        finally:
            source.close()

    together = read()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TableSource, "_plain_rows", lambda *_: None)
        assert read() == together
