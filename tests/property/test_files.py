"""Every line is in exactly one record, whatever the bytes and however they arrive."""

import contextlib
import csv
import io
import json

from hypothesis import example, given
from hypothesis import strategies as st

from stream_rec.core.events import DecodeRules, EventDecoder, FieldMap
from stream_rec.errors import SettingsError, TransportError
from stream_rec.transport.decode import decode_records
from stream_rec.transport.files.array import JsonSource
from stream_rec.transport.files.bytes import ByteStream
from stream_rec.transport.files.encoding import encoding_of
from stream_rec.transport.files.source import FileSource, LinesSource
from stream_rec.transport.files.table import TableSource
from stream_rec.transport.files.unpack import unpacker
from stream_rec.transport.records import Record

LIMIT = 50
BY_INDEX = DecodeRules(fields=FieldMap(session_id="0", item_id="1", timestamp="2"), max_record_bytes=LIMIT)


class Trickle(io.BytesIO):
    """Returns its bytes in pieces of *sizes*, repeated, as a pipe may."""

    def __init__(self, data: bytes, sizes: list[int]) -> None:
        super().__init__(data)
        self._sizes = sizes
        self._n = 0

    def read1(self, size: int | None = -1, /) -> bytes:
        """Return the next piece, whatever size is requested."""
        del size
        self._n += 1
        return super().read1(self._sizes[self._n % len(self._sizes)])


SIZES = st.lists(st.integers(1, 40), min_size=1, max_size=5)
TEXTUAL = st.lists(
    st.sampled_from([b'"', b",", b"\n", b"\r\n", b"\r", b"a", b" ", b"\xff", b"x" * 60, b" " * 60, b"\\"]),
    max_size=40,
).map(b"".join)


def is_plain(data: bytes) -> bool:
    """Whether the bytes are neither packed nor in another encoding."""
    try:
        return encoding_of(data) is None and unpacker("x", "events", data, lambda: b"", None) is None
    except SettingsError:  # a zip, but for what follows its first bytes
        return False


BYTES = st.one_of(st.binary(max_size=200), TEXTUAL).filter(is_plain)


def all_of(source: FileSource) -> list[Record]:
    return [record for batch in source.batches(7) for record in batch]


def whole_lines(data: bytes) -> list[tuple[int, bytes]]:
    lines = data.removeprefix(b"\xef\xbb\xbf").split(b"\n")
    stripped = [line.removesuffix(b"\r") for line in lines]
    return [(n, line) for n, line in enumerate(stripped, 1) if line and (not line.isspace() or len(line) > LIMIT)]


# A carriage return just where a long line is cut is not the end of that line.
@given(BYTES, SIZES)
@example(b"x" * LIMIT + b"\ry\n", [LIMIT + 1])
@example(b"x" * LIMIT + b"\ry\n", [LIMIT + 2])
@example(b"x" * LIMIT + b"\r\n", [LIMIT + 1])
@example(b"x" * LIMIT + b"z\ry\n", [LIMIT + 2])
def test_each_line_is_one_record(data: bytes, sizes: list[int]) -> None:
    """Lines come in order, with number and bytes; a long line with its beginning."""
    records = all_of(LinesSource(ByteStream(Trickle(data, sizes), "x"), LIMIT))
    lines = whole_lines(data)
    assert [(n, line[:LIMIT]) for n, line in lines] == [(r.offset, r.value) for r in records]
    assert [len(line) > LIMIT for _, line in lines] == [r.fault is not None for r in records]


@given(BYTES, SIZES)
def test_each_line_of_a_table_is_in_one_record(data: bytes, sizes: list[int]) -> None:
    """Quotes may join lines into one record, but none is lost and none is read twice."""
    records = all_of(TableSource(ByteStream(Trickle(data, sizes), "x"), BY_INDEX, ",", "events"))
    covered = [record.offset + i for record in records for i in range(record.value.count(b"\n") + 1)]
    assert sorted(set(covered)) == covered
    numbers = {n for n, _ in whole_lines(data)}
    assert numbers <= set(covered)
    decode_records(EventDecoder(BY_INDEX), records)


@given(BYTES, SIZES)
def test_a_table_does_not_depend_on_how_it_arrives(data: bytes, sizes: list[int]) -> None:
    """Records do not depend on how bytes arrive."""
    whole, trickled = (
        all_of(TableSource(ByteStream(stream, "x"), BY_INDEX, ",", "events"))
        for stream in (io.BytesIO(data), Trickle(data, sizes))
    )
    assert whole == trickled


CELLS = st.text(st.characters(codec="utf-8", exclude_characters="\0\x1f"), min_size=1, max_size=9)


@given(st.lists(st.tuples(CELLS, CELLS, CELLS), max_size=9), SIZES)
def test_quoted_cells_are_read_back(rows: list[tuple[str, str, str]], sizes: list[int]) -> None:
    """Cells that Python's csv module writes are read back."""
    text = io.StringIO()
    csv.writer(text, quoting=csv.QUOTE_ALL).writerows([("a", "b", "c"), *rows])
    rules = DecodeRules(fields=FieldMap(session_id="a", item_id="b", timestamp="c"))
    stream = ByteStream(Trickle(text.getvalue().encode(), sizes), "x")
    records = all_of(TableSource(stream, rules, ",", "events"))
    assert rows == [tuple((record.row or {}).values()) for record in records]


VALUES = st.recursive(
    st.none() | st.integers(-9, 9) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=5,
)


@given(st.lists(VALUES, max_size=9), SIZES, st.sampled_from([None, 1]))
def test_each_element_of_an_array_is_one_record(values: list[object], sizes: list[int], indent: int | None) -> None:
    """JSON is read whatever its layout, and however it arrives."""
    data = json.dumps(values, indent=indent).encode()
    records = all_of(JsonSource(ByteStream(Trickle(data, sizes), "x"), 10_000))
    assert values == [json.loads(record.value) for record in records]
    assert list(range(1, len(values) + 1)) == [record.offset for record in records]


@given(BYTES | st.binary().map(lambda data: b"[" + data), SIZES)
def test_no_bytes_crash_a_reader(data: bytes, sizes: list[int]) -> None:
    """Random bytes give records, or a StreamRecError."""
    for make in (
        lambda stream: JsonSource(stream, LIMIT),
        lambda stream: TableSource(stream, DecodeRules(), "\t", "events"),
    ):
        with contextlib.suppress(SettingsError, TransportError):
            decode_records(EventDecoder(), all_of(make(ByteStream(Trickle(data, sizes), "x"))))
