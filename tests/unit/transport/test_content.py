"""What a file is: told by its bytes, whatever its name, and read back equal to what a real writer wrote."""

import bz2
import contextlib
import csv
import gc
import gzip
import io
import lzma
import random
import sys
import zipfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Unpack

import duckdb
import lz4.frame
import pandas as pd
import polars as pl
import pytest
import snappy
import zstandard

from stream_rec.core.events import DecodeRules, Event, EventDecoder, FieldMap, Reason
from stream_rec.errors import DecodeError, SettingsError, TransportError
from stream_rec.tables import reading
from stream_rec.tables.reading import HowToRead, read_log
from stream_rec.transport.decode import Decoded, decode_records
from stream_rec.transport.files import open_source
from stream_rec.transport.files.bytes import ByteStream
from stream_rec.transport.files.content import ending_of, format_of_content
from stream_rec.transport.records import Record

HEADER = "session_id,item_id,timestamp"
EVENTS = [Event("s1", "tent", 1000), Event("s1", "Käse, öl", 2000), Event("s2", "007", 3000)]
CSV = f'{HEADER}\ns1,tent,1000\ns1,"Käse, öl",2000\ns2,007,3000\n'
LINES = "".join(
    f'{{"session_id":"{each.session_id}","item_id":"{each.item_id}","timestamp":{each.timestamp}}}\n' for each in EVENTS
)


def decoded(path: Path, rules: DecodeRules | None = None, **options: object) -> list[Decoded]:
    with contextlib.closing(open_source(str(path), rules, **options)) as source:  # type: ignore[arg-type]
        return [each for records in source.batches(3) for each in decode_records(EventDecoder(rules), records).decoded]


def columns(path: Path, **how: Unpack[HowToRead]) -> list[Event]:
    return [each for events in read_log(str(path), **how).events() for each in events]


def written(folder: Path, data: bytes | str, name: str = "log") -> Path:
    path = folder / name
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    return path


def zipped(data: bytes, *names: str) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in names or ("clicks.csv", "__MACOSX/._clicks.csv"):
            archive.writestr(name, data)
    return buffer.getvalue()


def snappied(data: bytes) -> bytes:
    return bytes(snappy.StreamCompressor().compress(data))


PACKERS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "zstd": zstandard.compress,
    "LZ4": lz4.frame.compress,
    "bzip2": partial(bz2.compress, compresslevel=1),
    "xz": partial(lzma.compress, preset=0),
    "Snappy": snappied,
}


# ------------------------------------------------------------------------------------------ packed


@pytest.mark.parametrize("pack", [*PACKERS.values(), zipped], ids=[*PACKERS, "zip"])
def test_packed_under_any_name(tmp_path: Path, pack: Callable[[bytes], bytes]) -> None:
    """The first bytes say how a file is packed, for a run and for whole columns alike; one after another are one."""
    path = written(tmp_path, pack(CSV.encode()), "clicks.inter")
    assert EVENTS == decoded(path)
    assert EVENTS == columns(path)
    if pack is not zipped:
        half = CSV.encode()[:40], CSV.encode()[40:]
        assert EVENTS == decoded(written(tmp_path, pack(half[0]) + pack(half[1])))


@pytest.mark.parametrize("name", PACKERS)
def test_packed_and_cut_off(tmp_path: Path, name: str) -> None:
    """All whole lines before the end are read, and the error names the place and what unpacks the rest."""
    rows = random.Random(1)
    data = "".join(f"s{rows.randrange(10**9)},i{rows.randrange(10**9)},5\n" for _ in range(20_000))
    packed = PACKERS[name](f"{HEADER}\n{data}".encode())
    got: list[Record] = []
    path = written(tmp_path, packed[: len(packed) * 9 // 10])
    with (
        contextlib.closing(open_source(str(path))) as source,
        pytest.raises(TransportError, match=rf"the {name} file is cut off at byte \d+: .*-dc?`") as error,
    ):
        got.extend(record for records in source.batches(1000) for record in records)
    assert 5_000 < len(got) < 20_000
    assert f"(line {len(got) + 1} is the last that is whole)" in error.value.message


@pytest.mark.parametrize("name", ["LZ4", "zstd"])
def test_packed_and_the_codec_is_not_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """The error says what to install, and what else unpacks it. From Python 3.14 on, zstd is always there."""
    path = written(tmp_path, PACKERS[name](CSV.encode()))
    for library in ("lz4", "zstandard"):
        monkeypatch.setitem(sys.modules, library, None)
    if name == "zstd" and sys.version_info >= (3, 14):
        assert EVENTS == decoded(path)
        return
    with pytest.raises(SettingsError, match=rf"log is packed with {name}, .* `{name.lower()} -dc`") as error:
        decoded(path)
    assert "events" == error.value.key
    assert "is not installed: pip install 'stream-rec[codecs]'" in error.value.message


def test_zeros_do_not_fill_the_memory(tmp_path: Path) -> None:
    """A block of a packed file is bounded, though four bytes of it may stand for 128 KiB."""
    path = written(tmp_path, zstandard.compress(bytes(1 << 26)))
    with contextlib.closing(open_source(str(path), file_format="jsonl")) as source:
        blocks = list(iter(source.stream.read, b""))
    assert 1 << 26 == sum(map(len, blocks))
    assert max(map(len, blocks)) <= 1 << 25


def test_zstd_frames_without_data_are_passed_over(tmp_path: Path) -> None:
    """Parallel compressors begin with one."""
    frame = b"\x50\x2a\x4d\x18" + (4).to_bytes(4, "little") + b"1234"
    assert EVENTS == decoded(written(tmp_path, frame + zstandard.compress(CSV.encode())))


# ---------------------------------------------------------------------------------------- real writers


def duckdb_writes(options: str) -> Callable[[Path, pd.DataFrame], object]:
    def write(path: Path, frame: pd.DataFrame) -> None:
        connection = duckdb.connect()
        connection.register("log", frame)
        connection.execute(f"COPY log TO '{path}' ({options})")  # the folder of a test

    return write


def pandas_writes(path: Path, frame: pd.DataFrame) -> None:
    frame.to_csv(path, index=False, compression={"method": "zstd"})


WRITERS: dict[str, Callable[[Path, pd.DataFrame], object]] = {
    "pandas csv": lambda path, frame: frame.to_csv(path, index=False),
    "pandas ; and utf-16": lambda path, frame: frame.to_csv(path, index=False, sep=";", encoding="utf-16"),
    "pandas csv.zst": pandas_writes,
    "pandas csv.zip": lambda path, frame: frame.to_csv(path, index=False, compression="zip"),
    "pandas csv.xz": lambda path, frame: frame.to_csv(path, index=False, compression="xz"),
    "pandas jsonl": lambda path, frame: frame.to_json(path, orient="records", lines=True),
    "pandas json": lambda path, frame: frame.to_json(path, orient="records", indent=2),
    "pandas parquet": lambda path, frame: frame.to_parquet(path),
    "pandas excel's text": lambda path, frame: frame.to_csv(path, index=False, sep="\t", encoding="utf-16"),
    "duckdb csv": duckdb_writes("FORMAT csv"),
    "duckdb tsv.gz": duckdb_writes("FORMAT csv, DELIMITER '\t', COMPRESSION gzip"),
    "duckdb json": duckdb_writes("FORMAT json, ARRAY true"),
    "duckdb ndjson.zst": duckdb_writes("FORMAT json, COMPRESSION zstd"),
    "duckdb parquet": duckdb_writes("FORMAT parquet, PARQUET_VERSION v2, COMPRESSION brotli"),
    "polars csv |": lambda path, frame: pl.from_pandas(frame).write_csv(path, separator="|", include_bom=True),
    "polars ndjson": lambda path, frame: pl.from_pandas(frame).write_ndjson(path),
    "polars parquet": lambda path, frame: pl.from_pandas(frame).write_parquet(path, compression="lz4"),
}


@pytest.mark.parametrize("writer", WRITERS)
@pytest.mark.parametrize("name", ["log", "clicks.dat", "clicks.csv", "clicks.jsonl"])
def test_what_real_writers_write(tmp_path: Path, writer: str, name: str) -> None:
    """Read back equal, without a setting, whatever the name, as a run reads it and as whole columns."""
    rows = {
        "session_id": [each.session_id for each in EVENTS],
        "item_id": [each.item_id for each in EVENTS],
        "timestamp": [each.timestamp for each in EVENTS],
    }
    path = tmp_path / name
    WRITERS[writer](path, pd.DataFrame(rows))
    assert EVENTS == decoded(path)
    assert EVENTS == columns(path)


# ------------------------------------------------------------------------------------------- tables


@pytest.mark.parametrize("between", [",", ";", "\t", "|", "::"])
def test_delimiters(tmp_path: Path, between: str) -> None:
    """The header shows what separates its columns, though cells hold other delimiters."""
    rows = [["note", "session_id", "item_id", "timestamp"], ["1,5;x", "s1", "tent", "1000"]]
    text = "".join(between.join(f'"{cell}"' if "," in cell else cell for cell in row) + "\r\n" for row in rows)
    assert [Event("s1", "tent", 1000)] == decoded(written(tmp_path, text))
    assert [Event("s1", "tent", 1000)] == columns(written(tmp_path, text))


@pytest.mark.parametrize("between", [",", ";", "\t", "|", "::"])
def test_delimiters_without_a_header(tmp_path: Path, between: str) -> None:
    """What cuts most lines into as many columns as the fields need."""
    rules = DecodeRules(fields=FieldMap(session_id="0", item_id="2", timestamp="3"))
    text = "".join(between.join([f"s{n}", "1,5" if between == ";" else "x", "tent", "1000"]) + "\n" for n in range(3))
    assert [Event(f"s{n}", "tent", 1000) for n in range(3)] == decoded(written(tmp_path, text), rules)


def test_a_delimiter_of_ones_own(tmp_path: Path) -> None:
    """By itself, or by its name."""
    text = CSV.replace(",", " ").replace('"Käse  öl"', "x")
    for delimiter in (" ", "space"):
        assert 3 == len(decoded(written(tmp_path, text), delimiter=delimiter))


def test_spaces_behind_delimiters(tmp_path: Path) -> None:
    """Where the header has them, they belong to the delimiter; elsewhere an id keeps its spaces."""
    text = 'session_id, item_id, timestamp\ns1, tent, 1733000000000\ns1, "a, b", 1733000000000\n'
    assert ["tent", "a, b"] == [each.item_id for each in decoded(written(tmp_path, text)) if isinstance(each, Event)]
    spaced = written(tmp_path, "session_id,item_id ,timestamp\ns1, tent,1000\n")
    assert [Event("s1", " tent", 1000)] == decoded(spaced)


def test_the_header_of_recbole(tmp_path: Path) -> None:
    """Its names have types behind them."""
    text = "session_id:token\titem_id:token\ttimestamp:float\ns1\ttent\t1000\n"
    assert [Event("s1", "tent", 1000)] == decoded(written(tmp_path, text, "log.inter"))
    rules = DecodeRules(fields=FieldMap(session_id="session_id:token"))
    assert [Event("s1", "tent", 1000)] == decoded(written(tmp_path, text), rules)


# ---------------------------------------------------------------------------------------- encodings


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"])
@pytest.mark.parametrize("text", [CSV, LINES, CSV.replace(",", "\t").replace('"Käse\t öl"', "Käse, öl")])
def test_unicode_is_recognised(tmp_path: Path, encoding: str, text: str) -> None:
    """By its mark, and UTF-16 without one by the zeros between letters."""
    assert EVENTS == decoded(written(tmp_path, text.encode(encoding)))


def test_other_encodings_are_said(tmp_path: Path) -> None:
    """Without, a record that is not UTF-8 is refused, and no other."""
    path = written(tmp_path, CSV.encode("latin-1"))
    assert EVENTS == decoded(path, encoding="latin-1")
    assert EVENTS == columns(path, encoding="latin-1")
    first, second, third = decoded(path)
    assert [EVENTS[0], EVENTS[2]] == [first, third]
    assert isinstance(second, DecodeError)
    assert Reason.NOT_UTF8 == second.reason
    for name in ("utf-9", "zip", "idna", "punycode"):
        with pytest.raises(SettingsError, match=f"encoding: '{name}' is no encoding of text"):
            decoded(path, encoding=name)


@pytest.mark.parametrize("order", ["utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be"])
def test_wide_text_without_a_mark(tmp_path: Path, order: str) -> None:
    """Where its encoding is said, without its order; of UTF-16, the first letters show both."""
    path = written(tmp_path, CSV.encode(order))
    assert EVENTS == decoded(path, encoding=order[:6])
    assert EVENTS == columns(path, encoding=order[:6])


@pytest.mark.parametrize("end", ["\r\n", "\r\r\n"])
def test_line_ends(tmp_path: Path, end: str) -> None:
    """As Windows has them, and as programs there write them that make two of each; they are no part of a cell."""
    path = written(tmp_path, "session_id,timestamp,item_id\ns1,1000,a\ns1,2000,b\n".replace("\n", end))
    expected = [Event("s1", "a", 1000), Event("s1", "b", 2000)]
    assert expected == decoded(path) == columns(path)


def test_a_header_in_quotes_is_read_whole_columns_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As R writes all names, and pandas where it is asked to: record by record would take ten times as long."""
    path = tmp_path / "log.csv"
    pd.DataFrame(
        [{"session_id": each.session_id, "item_id": each.item_id, "timestamp": each.timestamp} for each in EVENTS]
    ).to_csv(path, index=False, quoting=csv.QUOTE_ALL)
    monkeypatch.setattr(reading, "_careful", None)
    assert EVENTS == columns(path)


@pytest.mark.parametrize(
    ("text", "error"),
    [
        (f'{HEADER}\ns1,"tent"x,1000\n', "a:2: text after the closing quote"),
        (f"{HEADER},type,type\ns1,tent,1000,view,cart\n", "two columns 'type'"),
        ("a,b,c\n", "no column 'session_id'"),
        (f"{HEADER},type\ns1,tent,1000,view\ns1,tent,2000,forget\n", "a:3: an order to forget"),
    ],
)
def test_the_library_refuses_what_a_run_refuses(tmp_path: Path, text: str, error: str) -> None:
    """Where PyArrow is more liberal, and an order to forget is no click."""
    path = written(tmp_path, text, "a")
    with pytest.raises((DecodeError, SettingsError), match=error):
        read_log(path)
    with pytest.raises((DecodeError, SettingsError), match=error):
        read_log(path, format="csv")


def test_an_order_to_forget_in_a_frame(tmp_path: Path) -> None:
    """It is refused by its row: a fit would learn what should be erased."""
    rows = {"session_id": ["a", "a"], "item_id": ["x", "x"], "timestamp": [1, 2], "type": ["view", "forget"]}
    with pytest.raises(DecodeError, match="row 1, column 'type': an order to forget"):
        read_log(pd.DataFrame(rows))
    pd.DataFrame(rows).to_parquet(tmp_path / "log.parquet")
    with pytest.raises(DecodeError, match="an order to forget"):
        read_log(tmp_path / "log.parquet")


def test_repeats_are_left_out_by_the_library(tmp_path: Path) -> None:
    """As by a run with the same setting; what differs in one thing stays."""
    path = written(tmp_path, f"{CSV}s1,tent,1000\ns1,tent,1001\n")
    log = read_log(path, drop_repeats=True)
    assert {*EVENTS, Event("s1", "tent", 1001)} == {each for events in log.events() for each in events}
    assert len(EVENTS) + 1 == len(log)
    assert {"duplicate": 1} == dict(log.left_out)


@pytest.mark.parametrize(
    ("encoding", "wrong"),
    [("windows-1252", b"\x81"), ("utf-16-le", b"\x00\xd8"), ("shift_jis", b"\xff"), ("utf-32-le", b"\xff\xff\xff\xff")],
)
def test_a_wrong_character_refuses_its_record_only(tmp_path: Path, encoding: str, wrong: bytes) -> None:
    """The lines around it are read, also of the same block."""
    text = LINES.replace("Käse, öl", "X")
    data = text.encode(encoding).replace("X".encode(encoding), wrong)
    first, second, third = decoded(written(tmp_path, data), encoding=encoding)
    assert [EVENTS[0], EVENTS[2]] == [first, third]
    assert isinstance(second, DecodeError)
    assert Reason.NOT_UTF8 == second.reason


# ------------------------------------------------------------------------------------ JSON, or a table


@pytest.mark.parametrize(
    ("text", "name", "expected"),
    [
        ('{"session_id":1}\n', "log.csv", "jsonl"),
        ('{"session_id":1', "log.csv", "csv"),
        ('{"session_id":1', "log", "jsonl"),
        ('[\n {"session_id":1}]', "log.txt", "json"),
        ('[{"session_id":1}]', "log", "json"),
        ('[{"session_id":1}]', "log.jsonl", "jsonl"),
        ('[{"session_id":1}]\n[{"session_id":2}]\n', "log", "jsonl"),
        (CSV, "log.jsonl", "csv"),
        ("broken\n" + LINES, "log.jsonl", "jsonl"),
        ("a,b\n1,2\n", "log", "csv"),
        ("a,b\n1,2\n", "log.tsv.gz", "tsv"),
        ("", "log.csv.zst", "csv"),
        ("", "log", "jsonl"),
        ("\0\0\0\0\1{}", "log.bin", "jsonl"),
        ("PAR1", "log.csv", "parquet"),
    ],
)
def test_the_format_is_told_by_content(text: str, name: str, expected: str) -> None:
    """An ending decides what the content leaves open: empty and broken files."""
    assert expected == format_of_content(text.encode(), ending_of(name), DecodeRules())


OTHER_KINDS: tuple[tuple[bytes, str], ...] = (
    (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 4023025\n", "Git LFS pointer.*`git lfs pull`"),
    (zipped(b"x", "[Content_Types].xml", "xl/workbook.xml"), "Excel workbook: save its sheet as CSV"),
    (zipped(b"x", "mimetype", "content.xml"), "office document"),
    (zipped(b"x", "a.csv", "b.csv"), r"a zip with 2 files \(a.csv, b.csv\): unpack it into a folder"),
    (zipped(b"x", ".hidden"), "a zip with no file"),
    (b"PK\x03\x04" + bytes(50), "cannot be unpacked"),
    (b"\n<!DOCTYPE html>\n<html><body>502</body></html>", "an HTML page"),
    (b"<?xml version='1.0'?>", "XML"),
    (b"Obj\x01\x04", "an Avro container"),
    (b"ORC\x01", "an ORC file"),
    (b"ARROW1\0\0", "an Arrow"),
    (b"SQLite format 3\0", "an SQLite database"),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an old Excel workbook"),
    (bytes(257) + b"ustar\0", "a tar archive"),
    (gzip.compress(bytes(257) + b"ustar\0"), "a tar archive"),
    (bytes(8) + b"DUCK", "a DuckDB database"),
)


@pytest.mark.parametrize(("data", "what"), OTHER_KINDS, ids=[str(number) for number in range(len(OTHER_KINDS))])
def test_what_is_no_log_says_what_it_is(tmp_path: Path, data: bytes, what: str) -> None:
    """With a next step, and at once, whatever the ending says."""
    with pytest.raises(SettingsError, match=f"events: .*pointer.jsonl is .*{what}"):
        decoded(written(tmp_path, data, "pointer.jsonl"))


@pytest.mark.parametrize("data", [zipped(CSV.encode()), b"PK\x03\x04" + bytes(50)], ids=["whole", "damaged"])
def test_a_zip_that_comes_through_a_pipe_leaves_nothing_open(data: bytes, recwarn: pytest.WarningsRecorder) -> None:
    """It is copied, since it is read from its end; the copy is closed with the stream, or by the error."""
    stream = ByteStream(io.BytesIO(data), "clicks.zip")
    with contextlib.suppress(SettingsError):
        assert stream.read().startswith(HEADER.encode())
    stream.close()
    del stream
    gc.collect()
    assert [] == [str(each.message) for each in recwarn]


def test_requests_are_json(tmp_path: Path) -> None:
    """A table of them is refused at once."""
    with pytest.raises(SettingsError, match=r"requests: expected JSON \(.jsonl, .json\), found csv"):
        open_source(str(written(tmp_path, CSV)), key="requests", tables=False)


def test_a_first_line_beyond_the_limit(tmp_path: Path) -> None:
    """It is not empty, but too long: the setting is named."""
    path = written(tmp_path, CSV, "log.csv")
    with pytest.raises(SettingsError, match="longer than 10 bytes \\(max_record_bytes\\)"):
        decoded(path, DecodeRules(max_record_bytes=10))


def test_an_empty_part_of_a_folder_is_passed_over(tmp_path: Path) -> None:
    """As by a run; a file of nothing alone is refused."""
    written(tmp_path, "", "a.csv")
    with pytest.raises(SettingsError, match=r"a\.csv"):
        read_log(tmp_path / "a.csv")
    written(tmp_path, CSV, "b.csv")
    assert EVENTS == columns(tmp_path)
