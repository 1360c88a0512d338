"""Files and pipes: every line is a record, in its place, with its bytes; what fails says where."""

import contextlib
import datetime as dt
import errno
import gzip
import io
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from disk import full_at

from stream_rec.core.events import DecodeRules, Event, EventDecoder, FieldMap, Reason
from stream_rec.errors import DecodeError, SettingsError, TransportError
from stream_rec.transport.decode import decode_records
from stream_rec.transport.files import FileSink, open_sink, open_source
from stream_rec.transport.files.bytes import open_bytes
from stream_rec.transport.records import Record, Source

NAMED = FieldMap(session_id="SessionId", item_id="ItemId", timestamp="Time")
GOOD = b'{"session_id":"s","item_id":"i","timestamp":5}'


@contextlib.contextmanager
def source(path: Path, rules: DecodeRules | None = None, **options: object) -> Iterator[Source]:
    opened = open_source(str(path), rules, **options)  # type: ignore[arg-type]
    with contextlib.closing(opened):
        yield opened


def read(
    path: Path,
    rules: DecodeRules | None = None,
    *,
    file_format: str | None = None,
    start: int = 1,
) -> list[Record]:
    with source(path, rules, file_format=file_format, start=start) as opened:
        batches = list(opened.batches(3))
        assert all(0 < len(batch) <= 3 for batch in batches)
        records = [record for batch in batches for record in batch]
        if records:
            assert {(path.name, 0): records[-1].offset + 1} == opened.next_offsets
        return records


def outcomes(
    path: Path, rules: DecodeRules | None = None, *, file_format: str | None = None
) -> list[tuple[int, object, bytes]]:
    """(number, event or reason, original bytes) of each record."""
    records = read(path, rules, file_format=file_format)
    decoded = decode_records(EventDecoder(rules), records).decoded
    return [
        (r.offset, d.reason if isinstance(d, DecodeError) else d, r.value)
        for r, d in zip(records, decoded, strict=True)
    ]


def take(opened: Source, got: list[Record]) -> None:
    for batch in opened.batches(100):
        got += batch


def written(tmp_path: Path, name: str, data: bytes) -> Path:
    path = tmp_path / name
    path.write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
    return path


@pytest.mark.parametrize("name", ["a.jsonl", "a.ndjson", "a.jsonl.gz", "a.json", "A.JSONL"])
def test_json_lines(tmp_path: Path, name: str) -> None:
    """Blank lines are passed over, but counted; bad ones keep their bytes; the last needs no LF."""
    data = GOOD + b"\n\n  \r\n\xff\x00\r\n{broken\n" + GOOD
    assert [
        (1, Event("s", "i", 5), GOOD),
        (4, Reason.NOT_UTF8, b"\xff\x00"),
        (5, Reason.NOT_JSON, b"{broken"),
        (6, Event("s", "i", 5), GOOD),
    ] == outcomes(written(tmp_path, name, data))


@pytest.mark.parametrize(("name", "tab"), [("a.csv", b","), ("a.tsv", b"\t"), ("a.csv.gz", b",")])
def test_tables(tmp_path: Path, name: str, tab: bytes) -> None:
    """Columns by name; quotes may contain anything; a row's bytes are its original lines."""
    rows = [
        b"\xef\xbb\xbfSessionId,ItemId,Time,Note",
        b"s,i,5,plain\r",
        b"",
        b's,"a,""b""\r',
        b'c",5,x\r',
        b's,5" disk,5,x',
        b"s,\xff,5,x",
        b"s,i",
        b"s,i,5,x,more",
        b's,"i"x,5,x',
        b",i,5,",
        b's,"never closed,5,x',
        b"s,i,5",
    ]
    expected = [
        (2, Event("s", "i", 5), b"s,i,5,plain"),
        (4, Event("s", 'a,"b"\r\nc', 5), b's,"a,""b""\r\nc",5,x'),
        (6, Event("s", '5" disk', 5), b's,5" disk,5,x'),
        (7, Reason.NOT_UTF8, b"s,\xff,5,x"),
        (8, Reason.MISSING_FIELD, b"s,i"),
        (9, Reason.NOT_A_ROW, b"s,i,5,x,more"),
        (10, Reason.NOT_A_ROW, b's,"i"x,5,x'),
        (11, Reason.EMPTY_ID, b",i,5,"),
        (12, Reason.NOT_A_ROW, b's,"never closed,5,x'),
        (13, Event("s", "i", 5), b"s,i,5"),
    ]

    def tabbed(value: object) -> object:
        if isinstance(value, bytes):
            return value.replace(b",", tab)
        if isinstance(value, Event):
            return Event("s", value.item_id.replace(",", tab.decode()), 5)
        return value

    path = written(tmp_path, name, b"\n".join(rows).replace(b",", tab))
    assert [tuple(map(tabbed, row)) for row in expected] == outcomes(path, DecodeRules(fields=NAMED))


def test_columns_by_index_need_no_header(tmp_path: Path) -> None:
    """With whole numbers for the required fields, the first line is a record."""
    fields = FieldMap(user_id="0", item_id="1", timestamp="3")
    rules = DecodeRules(fields=fields, session_from_user=True, timestamp_unit="s")
    path = written(tmp_path, "u.data", b"196\t242\t3\t881250949\n186\t302\n")
    assert [
        (1, Event("", "242", 881_250_949_000, user_id="196"), b"196\t242\t3\t881250949"),
        (2, Reason.MISSING_FIELD, b"186\t302"),
    ] == outcomes(path, rules, file_format="tsv")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"a,b,c\n1,2,3\n", "no column 'SessionId', but a, b, c"),
        (b"SessionId,ItemId,Time,Time\n", "two columns 'Time'"),
        (b"", "does not name its columns"),
        (b"\xff\n", "does not name its columns"),
        (b'"a\n', "does not name its columns"),
    ],
)
def test_a_wrong_header_stops_the_start(tmp_path: Path, data: bytes, message: str) -> None:
    """Every record would be refused; the error names the columns of the file."""
    with pytest.raises(SettingsError, match=message):
        read(written(tmp_path, "a.csv", data), DecodeRules(fields=NAMED))


def test_two_stray_quotes_do_not_swallow_the_lines_between(tmp_path: Path) -> None:
    """A quote that opens a cell may meet another one lines later; those lines are still rows."""
    data = b'session_id,item_id,timestamp\ns,"x,1\ns,i,2\ns,i,3\ns,",y,4\ns,i,5\n'
    found = outcomes(written(tmp_path, "a.csv", data))
    assert [
        (2, Reason.NOT_A_ROW, b's,"x,1'),
        (3, Event("s", "i", 2), b"s,i,2"),
        (4, Event("s", "i", 3), b"s,i,3"),
        (5, Reason.NOT_A_ROW, b's,",y,4'),
        (6, Event("s", "i", 5), b"s,i,5"),
    ] == found


@pytest.mark.parametrize("name", ["a.jsonl", "a.csv"])
def test_a_long_line_is_cut_and_refused(tmp_path: Path, name: str) -> None:
    """It keeps its beginning, it is one record, and the lines after it are read."""
    rules = DecodeRules(max_record_bytes=100)
    head = b"session_id,item_id,timestamp\n" if name == "a.csv" else b""
    first = len(head.splitlines()) + 1
    good = b"s,i,5" if name == "a.csv" else GOOD
    data = head + b"x" * 1_000_000 + b"\r\n" + good + b"\n" + b"y" * 101 + b"\n" + b"z" * 100
    long, fine, longer, exact = outcomes(written(tmp_path, name, data), rules)
    assert (first, Reason.TOO_LARGE, b"x" * 100) == long
    assert (first + 1, Event("s", "i", 5), good) == fine
    assert (first + 2, Reason.TOO_LARGE, b"y" * 100) == longer
    assert exact[1] != Reason.TOO_LARGE
    assert b"z" * 100 == exact[2]


def test_a_json_array(tmp_path: Path) -> None:
    """Elements of any shape, each with its bytes; a bad element spoils no other."""
    odd = b'{"session_id":"s]","item_id":"\\"},{","timestamp":5,"x":[{"y":[1,"]"]}]}'
    data = b"\xef\xbb\xbf\n [\n" + GOOD + b",\n  " + odd + b" , ,7,{bad},\xff," + GOOD + b"\n]\n"
    assert [
        (1, Event("s", "i", 5), GOOD),
        (2, Event("s]", '"},{', 5), odd),
        (3, Reason.NOT_JSON, b""),
        (4, Reason.WRONG_TYPE, b"7"),
        (5, Reason.NOT_JSON, b"{bad}"),
        (6, Reason.NOT_UTF8, b"\xff"),
        (7, Event("s", "i", 5), GOOD),
    ] == outcomes(written(tmp_path, "a.json", data))
    assert [] == outcomes(written(tmp_path, "b.json", b" [ ] "))
    assert [(1, Reason.NOT_JSON, b"x")] == outcomes(written(tmp_path, "c.json", b"[]\nx\n"))
    assert [] == outcomes(written(tmp_path, "d.json", b""))


def test_a_json_array_that_is_not_closed(tmp_path: Path) -> None:
    """Half an element is no record: the file is cut off, and that is an error, not an end."""
    with source(written(tmp_path, "a.json", b"[" + GOOD + b"," + GOOD[:9])) as opened:
        batches = opened.batches(10)
        assert [GOOD] == [record.value for record in next(batches)]
        with pytest.raises(TransportError, match=r"a\.json.*not closed after element 1"):
            next(batches)


def test_a_long_element_is_cut_and_refused(tmp_path: Path) -> None:
    """As a long line is."""
    data = b'[{"x":"' + b"y" * 2_000_000 + b'"},' + GOOD + b"]"
    rules = DecodeRules(max_record_bytes=100)
    long, fine = outcomes(written(tmp_path, "a.json", data), rules)
    assert (1, Reason.TOO_LARGE, (b'{"x":"' + b"y" * 100)[:100]) == long
    assert (2, Event("s", "i", 5), GOOD) == fine


@pytest.mark.parametrize("keep", [0.5, 0.9])
def test_a_gzip_that_breaks_off(tmp_path: Path, keep: float) -> None:
    """The whole lines are returned; then each call raises an error with file, byte and line."""
    lines = b"".join(b'{"n":%d,"x":"%s"}\n' % (i, os.urandom(8).hex().encode()) for i in range(9000))
    packed = gzip.compress(lines)
    path = tmp_path / "a.jsonl.gz"
    path.write_bytes(packed[: int(len(packed) * keep)])
    got: list[Record] = []
    with source(path) as opened:
        with pytest.raises(TransportError, match=r"a\.jsonl\.gz.*cut off at byte \d+.*line \d+"):
            take(opened, got)
        with pytest.raises(TransportError):
            next(opened.batches(100))
    assert lines.splitlines()[: len(got)] == [record.value for record in got]
    assert len(got) > 9000 * (keep - 0.1)


def test_a_damaged_gzip(tmp_path: Path) -> None:
    """A flipped byte is found, and the lines before it are returned."""
    lines = b"".join(b'{"n":%d,"x":"%s"}\n' % (i, os.urandom(8).hex().encode()) for i in range(9000))
    packed = bytearray(gzip.compress(lines))
    packed[-6] ^= 1
    path = tmp_path / "a.jsonl.gz"
    path.write_bytes(packed)
    got: list[Record] = []
    with source(path) as opened, pytest.raises(TransportError, match="damaged"):
        take(opened, got)
    assert lines.splitlines() == [record.value for record in got]


def test_gzip_in_parts_under_any_name(tmp_path: Path) -> None:
    """Concatenated members, as log rotation makes them, padded with zeros, without the ending."""
    path = tmp_path / "a.jsonl"
    path.write_bytes(gzip.compress(b"1\n2") + gzip.compress(b"3\n") + b"\0" * 1000)
    assert [b"1", b"23"] == [record.value for record in read(path)]


def test_a_file_may_be_resumed(tmp_path: Path) -> None:
    """From a position on, the same records with the same numbers."""
    path = written(tmp_path, "a.jsonl", b"".join(b"%d\n" % i for i in range(20)))
    assert read(path)[12:] == read(path, start=13)


def test_progress_ends_at_the_end(tmp_path: Path) -> None:
    """In bytes as they are stored."""
    path = written(tmp_path, "a.jsonl.gz", GOOD * 10)
    with source(path) as opened:
        assert (0, path.stat().st_size) == opened.progress
        list(opened.batches(1))
        assert (path.stat().st_size, path.stat().st_size) == opened.progress


@pytest.mark.parametrize(
    ("spec", "options", "message"),
    [
        ("missing.jsonl", {}, "cannot read"),
        (".", {"file_format": "csv"}, "cannot read"),
        ("a.csv", {"file_format": "xml"}, "format: expected one of csv"),
        ("kafka://h/t", {}, "expected a path"),
    ],
)
def test_what_cannot_be_opened(spec: str, options: dict[str, object], message: str) -> None:
    """A SettingsError, at once, with the key of the setting."""
    with pytest.raises(SettingsError, match=message):
        open_source(spec, **options)  # type: ignore[arg-type]


# ------------------------------------------------------------------------------------------ Parquet


def parquet(path: Path, columns: dict[str, object]) -> Path:
    pa = pytest.importorskip("pyarrow")
    from pyarrow import parquet as pq  # noqa: PLC0415 (an extra)

    pq.write_table(pa.table(columns), path)
    return path


def test_parquet(tmp_path: Path) -> None:
    """Numbered rows; typed times in any unit; the bytes of a row are its JSON."""
    pa = pytest.importorskip("pyarrow")
    time = dt.datetime(2020, 6, 16, 20, 1, 58, 500_000, tzinfo=dt.UTC)
    for unit in ("s", "ms", "us", "ns"):
        times = pa.array([time, None, time], pa.timestamp("ms", tz="UTC")).cast(
            pa.timestamp(unit, tz="UTC"), safe=False
        )
        columns = {
            "session_id": ["s", "s", None],
            "item_id": [7, 8, 9],
            "timestamp": times,
            "x": 3 * [0],
        }
        ok, no_time, no_session = outcomes(parquet(tmp_path / "a.parquet", columns))
        assert (1, Event("s", "7", 1_592_337_718_000 + 500 * (unit != "s"))) == ok[:2]
        assert (2, Reason.MISSING_FIELD) == no_time[:2]
        assert b'{"session_id":"s","item_id":8,"timestamp":null}' == no_time[2]
        assert (3, Reason.MISSING_FIELD) == no_session[:2]


def test_parquet_in_gzip_and_out_of_range(tmp_path: Path) -> None:
    """Packed twice is read too; a time that no calendar has is a bad record, not a crash."""
    pa = pytest.importorskip("pyarrow")
    times = pa.array([2**62, 5_000_000], pa.timestamp("us"))
    columns = {"session_id": ["s", "s"], "item_id": ["i", "j"], "timestamp": times}
    path = parquet(tmp_path / "a.parquet", columns)
    packed = written(tmp_path, "a.parquet.gz", path.read_bytes())
    for each in (path, packed):
        far, near = outcomes(each)
        assert (1, Reason.BAD_TIME) == far[:2]
        assert (2, Event("s", "j", 5000)) == near[:2]


def test_parquet_that_is_none(tmp_path: Path) -> None:
    """A SettingsError at once, as for missing columns."""
    pytest.importorskip("pyarrow")
    with pytest.raises(SettingsError, match="not a Parquet file"):
        read(written(tmp_path, "a.parquet", b"PAR1 not really"))
    with pytest.raises(SettingsError, match="no column 'session_id', but a"):
        read(parquet(tmp_path / "b.parquet", {"a": [1]}))


def test_parquet_without_pyarrow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The message says what to install."""
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(SettingsError, match=r"pip install 'stream-rec\[parquet\]'"):
        read(written(tmp_path, "a.parquet", b"PAR1"))


# -------------------------------------------------------------------------------- standard streams


class StdinPipe(io.TextIOWrapper):
    """A text stream over the reading end of a pipe, as sys.stdin is."""


def test_a_line_from_a_pipe_is_there_as_soon_as_it_is_written(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Batches do not wait to fill; an empty one means that no record is waiting."""
    reader, writer = os.pipe()
    with open(reader, "rb") as raw, StdinPipe(raw) as stdin:  # noqa: PTH123 (a descriptor)
        monkeypatch.setattr(sys, "stdin", stdin)
        batches = open_source("-").batches(100)
        assert [] == next(batches)
        os.write(writer, b"1\n2\nhal")
        assert [b"1", b"2"] == [r.value for batch in (next(batches), next(batches)) for r in batch]
        assert [] == next(batches)

        def finish() -> None:
            os.write(writer, b"f\n")
            os.close(writer)

        threading.Timer(0.05, finish).start()
        rest = [record for batch in batches for record in batch]
        assert [(b"half", 3, "stdin")] == [(r.value, r.offset, r.topic) for r in rest]


def test_standard_input_without_a_file_underneath(monkeypatch: pytest.MonkeyPatch) -> None:
    """A caller may have put anything in its place."""
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"1\n2\n")))
    assert [[b"1", b"2"]] == [[r.value for r in batch] for batch in open_source("-").batches(9)]


def test_a_closed_pipe_is_an_error_of_the_transport() -> None:
    """`stream-rec ... | head` ends with our error, and with nothing from the interpreter."""
    program = (
        "import sys; from stream_rec.transport.files import open_sink\n"
        "from stream_rec.errors import TransportError\n"
        "sink = open_sink('-')\n"
        "try:\n"
        "    for _ in range(1000):\n"
        "        sink.write([b'x' * 10_000]); sink.flush()\n"
        "except TransportError as error:\n"
        "    sys.exit(f'raised: {error}')\n"
    )
    child = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert child.stdout is not None
    child.stdout.close()
    assert child.stderr is not None
    assert b"raised: stdout: its reader has closed the pipe\n" == child.stderr.read()
    child.stderr.close()
    assert 1 == child.wait()


# -------------------------------------------------------------------------------------------- sinks


def write(path: Path, *lines: bytes, mode: str = "new") -> None:
    with contextlib.closing(open_sink(str(path), mode=mode)) as sink:  # type: ignore[arg-type]
        sink.write(lines)


def test_a_sink_shows_whole_lines_once_flushed(tmp_path: Path) -> None:
    """Before, nothing; after, all of it; packed ones can be unpacked up to there."""
    for name in ("a.jsonl", "a.jsonl.gz"):
        path = tmp_path / name
        sink = open_sink(str(path))
        sink.write([b"1", b"2"], [b"key", None])
        assert 0 == path.stat().st_size
        sink.flush()
        with source(path) as opened:
            assert [b"1", b"2"] == [record.value for record in next(opened.batches(9))]
        sink.write([b"3"])
        sink.close()
        sink.close()
        assert [b"1", b"2", b"3"] == [record.value for record in read(path)]
        assert 3 == sink.n_lines


def test_an_existing_file_is_overwritten_on_request_only(tmp_path: Path) -> None:
    """It is refused, extended or replaced, and when replaced, not before there is something new."""
    path = written(tmp_path, "a.jsonl", b"old\n")
    with pytest.raises(SettingsError, match=r"recommendations: .*exists"):
        open_sink(str(path))
    write(path, b"new", mode="append")
    assert b"old\nnew\n" == path.read_bytes()
    sink = open_sink(str(path), mode="overwrite")
    assert b"old\nnew\n" == path.read_bytes()
    sink.write([b"x"])
    sink.close()
    assert b"x\n" == path.read_bytes()
    write(path, mode="overwrite")
    assert b"" == path.read_bytes()
    write(path, b"again")
    assert b"again\n" == path.read_bytes()


def test_appending_ends_a_line_that_was_cut_short(tmp_path: Path) -> None:
    """So that a crash harms one line, not two."""
    path = written(tmp_path, "a.jsonl", b"whole\nhal")
    write(path, b"new", mode="append")
    assert b"whole\nhal\nnew\n" == path.read_bytes()


def test_packed_output_is_the_same_every_time(tmp_path: Path) -> None:
    """No time of day in it; appending makes another member."""
    write(tmp_path / "a.jsonl.gz", b"1")
    write(tmp_path / "b.jsonl.gz", b"1")
    assert (tmp_path / "a.jsonl.gz").read_bytes() == (tmp_path / "b.jsonl.gz").read_bytes()
    write(tmp_path / "a.jsonl.gz", b"2", mode="append")
    assert b"1\n2\n" == gzip.decompress((tmp_path / "a.jsonl.gz").read_bytes())


@pytest.mark.parametrize("name", ["a.csv", "a.parquet.gz", "no/such/folder/a.jsonl", "kafka://h/t"])
def test_sinks_that_cannot_be_opened(tmp_path: Path, name: str) -> None:
    """A SettingsError, at once, with the key of the setting."""
    spec = name if "://" in name else str(tmp_path / name)
    with pytest.raises(SettingsError, match="dead_letters: "):
        open_sink(spec, key="dead_letters")


def test_a_disk_that_is_full_at_the_start_is_no_wrong_setting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The process ends with 1, and its supervisor starts it again."""

    def fail(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "touch", fail)
    with pytest.raises(TransportError, match=r"dead_letters: cannot write .*a\.jsonl.*No space left"):
        open_sink(str(tmp_path / "a.jsonl"), key="dead_letters")


def test_a_full_disk_is_an_error_of_the_transport(tmp_path: Path) -> None:
    """With the file's name, each time: the line is still to be written; and close still closes."""
    sink = open_sink("/dev/full") if Path("/dev/full").exists() else None
    if sink is None:
        pytest.skip("no /dev/full on this system")
    sink.write([b"x"])
    for put_out in (sink.flush, sink.close):
        with pytest.raises(TransportError, match="/dev/full: cannot be written") as caught:
            put_out()
        assert caught.value.retriable
    sink.close()


@pytest.mark.parametrize("name", ["a.jsonl", "a.jsonl.gz"])
def test_a_disk_that_is_full_for_a_while(tmp_path: Path, name: str) -> None:
    """What was accepted is written later, each byte once, also behind a line of which a part was written."""
    lines = [b"%d" % number * 50 for number in range(1000, 1100)]
    sink = open_sink(str(tmp_path / name))
    with full_at(100):
        sink.write(lines[:60])
        with pytest.raises(TransportError, match=name):
            sink.flush()
        sink.write(lines[60:80])
        with pytest.raises(TransportError, match=name):
            sink.flush()
    sink.flush()
    sink.write(lines[80:])
    sink.close()
    data = (tmp_path / name).read_bytes()
    assert lines == (gzip.decompress(data) if name.endswith(".gz") else data).splitlines()


def test_standard_output_is_not_closed(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    """Lines arrive, and the process can still print afterwards."""
    sink: FileSink = open_sink("-")
    sink.write([b"1"])
    sink.close()
    print("after", flush=True)  # noqa: T201 (the point of the test)
    assert b"1\nafter\n" == capfdbinary.readouterr().out


def test_a_topic_without_its_scheme() -> None:
    """A path that looks like a broker and a topic leads to the address that was meant; another one does not."""
    with pytest.raises(SettingsError, match=r"a topic is written kafka://broker:9092/clicks$"):
        open_bytes("broker:9092/clicks", "events")
    with pytest.raises(SettingsError, match=r"No such file or directory$"):
        open_bytes("clicks/no-such.jsonl", "events")
