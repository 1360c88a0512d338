"""Public logs by name, and files read whole: each form, the fast way and the careful one, and what is wrong."""

import gzip
import typing
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pyarrow import parquet

from stream_rec.core.events import Event, Reason
from stream_rec.datasets.formats import FORMATS, MOVIELENS, open_named
from stream_rec.datasets.logs import movielens_100k, online_retail, serenade_toy
from stream_rec.datasets.streams.formats import STREAMS
from stream_rec.errors import DecodeError, SettingsError, TransportError
from stream_rec.settings import load, table
from stream_rec.settings.types import Format
from stream_rec.tables import reading
from stream_rec.tables.columns import Columns
from stream_rec.tables.reading import How, read_columns
from stream_rec.transport.files import FORMATS as FILE_FORMATS
from stream_rec.transport.files import FoundFile

MAY = 1_714_564_800_000  # 2024-05-01T12:00:00Z

RETAIL = """\
InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country
536365,85123a,WHITE HANGING HEART,6,2010-12-01 08:26:00,2.55,17850.0,United Kingdom
C53637,85123A,WHITE HANGING HEART,-6,2010-12-01 08:26:00,2.55,17850.0,United Kingdom
536365,71053,"LANTERN, WHITE",6,2010-12-01 08:27:00,3.39,,United Kingdom
"""
OTTO = """\
{"session":1,"events":[{"aid":59,"ts":1661724000278,"type":"clicks"},{"aid":60,"ts":1661724000300,"type":"orders"}]}
{"session":2,"events":[]}
"""
# For each public log: its file's name, what stands in it, and what that says.
PUBLISHED: dict[str, tuple[str, str, list[Event]]] = {
    "movielens-100k": (
        "u.data",
        "196\t242\t3\t881250949\n186\t302\t3\t891717742\n",
        [
            Event("196", "242", 881_250_949_000, "rating", None, "196"),
            Event("186", "302", 891_717_742_000, "rating", None, "186"),
        ],
    ),
    "movielens-1m": (
        "ratings.dat",
        "1::1193::5::978300760\n",
        [Event("1", "1193", 978_300_760_000, "rating", None, "1")],
    ),
    "movielens-25m": (
        "ratings.csv",
        "userId,movieId,rating,timestamp\n1,296,5.0,1147880044\n",
        [Event("1", "296", 1_147_880_044_000, "rating", None, "1")],
    ),
    "yoochoose-clicks": (
        "yoochoose-clicks.dat",
        "1,2014-04-07T10:51:09.277Z,214536502,0\n",
        [Event("1", "214536502", 1_396_867_869_277, "click")],
    ),
    "yoochoose-buys": (
        "yoochoose-buys.dat",
        "420374,2014-04-06T18:44:58.314Z,214537888,12462,1\n",
        [Event("420374", "214537888", 1_396_809_898_314, "purchase")],
    ),
    "retailrocket": (
        "events.csv",
        "timestamp,visitorid,event,itemid,transactionid\n1433221332117,257597,view,355908,\n",
        [Event("257597", "355908", 1_433_221_332_117, "view", None, "257597")],
    ),
    "diginetica": (
        "train-item-views.csv",
        "sessionId;userId;itemId;timeframe;eventdate\n1;NA;81766;526309;2016-05-09\n2;7;31331;1031018;2016-05-09\n",
        [Event("1", "81766", 1_462_752_526_309), Event("2", "31331", 1_462_753_031_018, "view", None, "7")],
    ),
    "otto": (
        "train.jsonl",
        OTTO,
        [Event("1", "59", 1_661_724_000_278, "clicks"), Event("1", "60", 1_661_724_000_300, "orders")],
    ),
    "online-retail": (
        "online_retail.csv",
        RETAIL,
        [
            Event("536365", "85123A", 1_291_191_960_000, "purchase", None, "17850"),
            Event("536365", "71053", 1_291_191_960_000, "purchase"),
        ],
    ),
    "session-rec": (
        "train.txt",
        "SessionId\tItemId\tTime\n3\t21\t1592337718.0\n",
        [Event("3", "21", 1_592_337_718_000)],
    ),
}


def listed(columns: Columns, n: int = 2) -> list[Event]:
    return [event for events in columns.events(n) for event in events]


def in_order(events: Sequence[Event]) -> list[Event]:
    return sorted(events, key=lambda event: event.timestamp)


@pytest.fixture(params=["fast", "careful"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Both ways to read a file give the same."""
    way: str = request.param
    if way == "careful":
        monkeypatch.setattr(reading, "_fast", lambda *_: None)
    return way


@pytest.mark.parametrize("name", PUBLISHED)
@pytest.mark.parametrize("packed", [False, True], ids=["plain", "gz"])
def test_a_public_log_is_read_by_its_name(name: str, packed: bool, tmp_path: Path, way: str) -> None:
    """The file, or the folder it is in; plain or in gzip."""
    file, text, events = PUBLISHED[name]
    path = tmp_path / (f"{file}.gz" if packed and name != "otto" else file)
    path.write_bytes(gzip.compress(text.encode()) if packed else text.encode())
    assert in_order(events) == listed(read_columns(path, How(format=name))), way
    assert in_order(events) == listed(read_columns(tmp_path, How(format=name))), way


def test_every_public_log_is_tried_here() -> None:
    """And can be named on the command line, as can every plain format."""
    assert list(FORMATS) == list(PUBLISHED)
    assert {"auto", MOVIELENS, *FILE_FORMATS, *FORMATS, *STREAMS} == set(typing.get_args(Format))


def test_the_reference_lists_every_public_log(tree: Path) -> None:
    """A row for each, with its files and fields."""
    page = tree / "docs/reference/logs.md"
    if not page.exists():
        pytest.skip("the docs are not part of what is tested here")
    text = page.read_text(encoding="utf-8")
    for name, each in FORMATS.items():
        (row,) = [line for line in text.splitlines() if line.startswith(f"| `{name}` |")]
        assert f"`{each.files[0]}`" in row
        assert each.type is None or f"`{each.type}`" in row


@pytest.mark.parametrize("name", ["movielens-100k", "movielens-1m", "movielens-25m"])
def test_the_first_line_shows_which_movielens(name: str, tmp_path: Path) -> None:
    """So `movielens` is enough."""
    file, text, events = PUBLISHED[name]
    (tmp_path / file).write_text(text)
    assert in_order(events) == listed(read_columns(tmp_path / file, How(format="movielens")))
    assert in_order(events) == listed(read_columns(tmp_path, How(format="movielens")))


def test_which_movielens_comes_through_a_pipe_must_be_said(tmp_path: Path) -> None:
    """As must the file where a folder holds none of the log's."""
    with pytest.raises(SettingsError, match="set movielens-100k, movielens-1m, movielens-25m"):
        read_columns("-", How(format="movielens"))
    with pytest.raises(SettingsError, match=r"has none of u\.data, u\.data\.gz: name the file"):
        read_columns(tmp_path, How(format="movielens-100k"))


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("movielens-100k", "1\t2\t3\t881250949\n1\t2\t3\n", r"u\.data:2: timestamp \(3\): expected, found nothing"),
        ("movielens-100k", "1\t2\t3\tsoon\n", r"u\.data:1: timestamp \(3\): expected seconds since 1970, found 'soon'"),
        ("movielens-1m", "1::2\n", r"ratings\.dat:1: timestamp \(3\): expected, found nothing"),
        (
            "yoochoose-clicks",
            "1,2014-04-07,,0\n",
            r"yoochoose-clicks\.dat:1: item_id \(2\): expected an id, found an em",
        ),
        (
            "retailrocket",
            "timestamp,visitorid,event,itemid\n1,2,view\n",
            r"events\.csv:2: item_id \(itemid\): expected",
        ),
        (
            "diginetica",
            "sessionId;userId;itemId;timeframe;eventdate\n1;NA;2;x;2016-05-09\n",
            r"train-item-views\.csv:2: timestamp \(eventdate, timeframe\): expected milliseconds since 1970, found 'x'",
        ),
        ("otto", '{"session":1,"events":[{"aid":5,"ts":1}]}\n', r"train\.jsonl:1: .*`type` - at `\$\.events\[0\]`"),
        ("otto", '{"session":1,"eve', r"train\.jsonl:1: .*truncated"),
        ("otto", '{"session":1,"events":[{"aid":"","ts":1,"type":"c"}]}\n', r"train\.jsonl:1: item_id \(aid\): exp"),
        (
            "online-retail",
            RETAIL.splitlines()[0] + "\n536365,85123A,HEART,six,2010-12-01 08:26,2.55,,UK\n",
            r"online_retail\.csv:2: Quantity: expected a number, found 'six'",
        ),
        ("session-rec", "SessionId\tItemId\tTime\n3\t21\t1592337718.0\n3\t2", r"train\.txt:3: timestamp \(Time\): exp"),
    ],
)
def test_errors_name_file_line_and_column(name: str, text: str, message: str, tmp_path: Path, way: str) -> None:
    """And what was expected there; a file that breaks off in a line ends like that too."""
    path = tmp_path / PUBLISHED[name][0]
    path.write_text(text)
    with pytest.raises(DecodeError, match=message):
        read_columns(path, How(format=name))
    assert way


def test_the_error_of_another_log_lists_its_columns(tmp_path: Path, way: str) -> None:
    """Those that are missing, and those that are there."""
    path = tmp_path / "ratings.csv"
    path.write_text("user,movie,at\n1,2,3\n")
    with pytest.raises(SettingsError, match=r"ratings\.csv has no column 'userId', but user, movie, at"):
        read_columns(path, How(format="movielens-25m"))
    assert way


def test_a_packed_file_that_breaks_off_is_an_error(tmp_path: Path, way: str) -> None:
    """With the byte and the last whole line; nothing of it is learned."""
    path = tmp_path / "u.data.gz"
    path.write_bytes(gzip.compress("".join(f"1\t{i}\t3\t{i}\n" for i in range(9_999)).encode())[:-900])
    with pytest.raises(TransportError, match=r"u\.data\.gz: the gzip file is cut off at byte .*line \d+ is the last"):
        read_columns(path, How(format="movielens-100k"))
    assert way


def test_lines_of_no_event_are_counted(tmp_path: Path) -> None:
    """Read by a run they are refused with a reason."""
    path = tmp_path / "online_retail.csv"
    path.write_text(RETAIL)
    assert {Reason.NOT_AN_EVENT: 1} == read_columns(path, How(format="online-retail")).left_out
    with closing(open_named("online-retail", str(path))) as source:
        ((_, cancelled, _),) = source.batches(10)
        assert (Reason.NOT_AN_EVENT, "cancelled") == cancelled.fault
        assert {("online_retail.csv", 0): 5} == source.next_offsets
        assert source.progress.bytes_read == source.progress.total_bytes


def test_a_line_of_many_events_is_gone_on_with_whole(tmp_path: Path) -> None:
    """Where a batch ended in its midst, the position is still the line's."""
    path = tmp_path / "train.jsonl"
    path.write_text(OTTO)
    with closing(open_named("otto", str(path))) as source:
        batches = source.batches(1)
        assert [1] == [record.offset for record in next(batches)]
        assert {("train.jsonl", 0): 1} == source.next_offsets
        assert [1] == [record.offset for record in next(batches)]
        assert {("train.jsonl", 0): 2} == source.next_offsets


# --- any file

A = '{"session_id":"s","item_id":"a","timestamp":5}'
B = '{"session_id":"s","item_id":"b","timestamp":6}'
NAMES = {"session_id": "who", "item_id": "what", "timestamp": "when"}
PLACES = {"session_id": 1, "item_id": 2, "timestamp": 3}


@pytest.mark.parametrize(
    ("name", "text", "how"),
    [
        ("a.csv", "session_id,item_id,timestamp,type\ns,a,5,\ns,b,6,cart\n", {}),
        ("a.csv", '\ufeffsession_id,item_id,timestamp\r\n"s","a",5\r\n\r\ns,b,6\r\n', {}),
        ("a.tsv", "item_id\tsession_id\ttimestamp\nb\ts\t6\na\ts\t5\n", {}),
        ("a.csv", "who;what;when\ns;a;0.005\ns;b;6e-3\n", {"delimiter": ";", "timestamp_unit": "s", "fields": NAMES}),
        ("a.csv", "who::what::when\ns::a::5\ns::b::6\n", {"delimiter": "::", "fields": NAMES}),
        ("a.dat", "x,s,a,5\nx,s,b,6\n", {"format": "csv", "fields": PLACES}),
        ("a.jsonl", f"{A}\n{B}", {}),
        ("a.json", f"[{A},{B}]", {}),
        ("a.csv", "session_id,item_id,timestamp\ns,a,1970-01-01T00:00:00.005Z\ns,b,1970-01-01 00:00:00.0064\n",
         {"timestamp_unit": "iso"}),
    ],
)  # fmt: skip
def test_any_file_is_read_alike_both_ways(name: str, text: str, how: dict[str, Any], tmp_path: Path, way: str) -> None:
    """Headers or none, other delimiters, byte order marks, quotes, decimals, ISO times."""
    path = tmp_path / name
    path.write_text(text, newline="")
    columns = read_columns(path, How.of(how))
    found = [(event.session_id, event.item_id, event.timestamp) for event in listed(columns)]
    assert [("s", "a", 5), ("s", "b", 6)] == found, way


def test_ids_stay_text(tmp_path: Path, way: str) -> None:
    """007 is not 7, and NA may be Namibia. What tools write for nothing is an id only if that is said."""
    path = tmp_path / "a.csv"
    path.write_text("session_id,item_id,timestamp\n007,NA,1\n007,null,2\n1e3,NaN,3\n")
    assert [("007", "NA"), ("007", "null"), ("1e3", "NaN")] == [
        (event.session_id, event.item_id) for event in listed(read_columns(path, How(lenient_ids=True)))
    ], way
    with pytest.raises(DecodeError, match=r"a\.csv:3: item_id: 'null' stands for nothing.*lenient_ids=True"):
        read_columns(path)


def test_parquet_is_read_whole(tmp_path: Path, way: str) -> None:
    """Only the columns that count; typed times too."""
    path = tmp_path / "a.parquet"
    times = pa.array([MAY * 1000 + 499, MAY * 1000 + 500], pa.timestamp("us"))
    parquet.write_table(
        pa.table({"session_id": [1, 1], "item_id": ["a", "b"], "timestamp": times, "more": [[1], [2]]}), path
    )
    assert [Event("1", "a", MAY), Event("1", "b", MAY + 1)] == listed(read_columns(path)), way


def test_types_that_are_not_let_in_are_counted(tmp_path: Path, way: str) -> None:
    """And left out."""
    path = tmp_path / "a.csv"
    path.write_text("session_id,item_id,timestamp,type\ns,a,1,view\ns,b,2,bot\ns,c,3,\n")
    columns = read_columns(path, How(types=frozenset({"view"})))
    assert ["a", "c"] == [event.item_id for event in listed(columns)], way
    assert {"unknown_type": 1} == columns.left_out


def test_an_order_to_forget_has_no_place_in_a_log_at_rest(tmp_path: Path) -> None:
    """It is said, not passed over."""
    path = tmp_path / "a.jsonl"
    path.write_text('{"type":"forget","session_id":"s"}\n')
    with pytest.raises(DecodeError, match=r"a\.jsonl:1: an order to forget"):
        read_columns(path)


cells = st.sampled_from(["", "a", "7", "007", "é", 'a"b', '"q"', " x ", "1.5", "-1", "99999999999999999999", "\t"])


@example(rows=[("a", "a", "7", 'a"b'), ("a", "a", "7", '"q"')], cut=True)
@example(rows=[("a", "a", "7", 'b"'), ("a", "a", "7", '"q"')], cut=True)
@given(st.lists(st.tuples(cells, cells, cells, cells), max_size=6), st.booleans())
def test_both_ways_agree_on_whatever_stands_in_a_file(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, ...]], cut: bool
) -> None:
    """The same events, or the same error."""
    path = tmp_path_factory.mktemp("any") / "a.csv"
    text = "session_id,item_id,timestamp,type\n" + "".join(",".join(row) + "\n" for row in rows)
    path.write_text(text[:-2] if cut else text, newline="")

    def outcome(columns: Any) -> object:
        try:
            found = columns()
        except (DecodeError, SettingsError, TransportError) as error:
            return type(error), str(error)
        return listed(found)

    plan = reading._file_to_read(FoundFile(str(path), "log", {}), How())
    careful = outcome(lambda: reading._careful(plan, lambda *_: None))
    assert careful == outcome(lambda: read_columns(path))


def test_a_long_read_reports_progress(tmp_path: Path, way: str) -> None:
    """In bytes of the file, up to all of them."""
    path = tmp_path / "u.data"
    path.write_text("".join(f"1\t{i}\t3\t{i}\n" for i in range(50_000)))
    reported: list[tuple[int, int | None]] = []
    read_columns(path, How(format="movielens-100k"), lambda done, total: reported.append((done, total)))
    size = path.stat().st_size
    assert (size, size) == reported[-1], way
    assert reported == sorted(reported)


# --- on the command line


def test_a_public_log_needs_no_other_setting() -> None:
    """Settings that the format has may not be given again."""
    flags = {"events": "u.data", "format": "movielens-100k"}
    assert "movielens-100k" == load(flags=flags).format
    for name, value in {"fields": ["item_id=1"], "timestamp_unit": "s", "timestamp_format": "%Y"}.items():
        with pytest.raises(SettingsError, match="the public log movielens-100k sets its own") as caught:
            load(flags={**flags, name: value})
        assert name == caught.value.key
    assert any(each.name == "format" for each in table())


@pytest.mark.slow
def test_readers_and_formats_agree_on_real_logs(data: Path) -> None:
    """By name, whole, in time order, as the readers of `logs` have them."""
    movies = listed(read_columns(data / "ml-100k", How(format="movielens")))
    assert 100_000 == len(movies)
    plain = [(event.session_id, event.item_id, event.timestamp, event.type) for event in movies]
    assert plain == [(e.session_id, e.item_id, e.timestamp, e.type) for e in movielens_100k(data / "ml-100k").events]
    clicks = listed(read_columns(data / "serenade-toy", How(format="session-rec")))
    assert serenade_toy(data / "serenade-toy").events == clicks


@pytest.mark.slow
def test_reader_and_format_agree_on_the_shop(data: Path) -> None:
    """And the lines that are no sale add up to all of the file."""
    columns = read_columns(data / "online-retail", How(format="online-retail"))
    plain = [(e.session_id, e.item_id, e.timestamp) for e in listed(columns, 10_000)]
    log = online_retail(data / "online-retail")
    assert [(e.session_id, e.item_id, e.timestamp) for e in log.events] == plain
    assert log.skipped.total() == columns.left_out[Reason.NOT_AN_EVENT]
