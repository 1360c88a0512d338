"""A look at the times alone never calls a file ordered that is not."""

import contextlib
import datetime as dt
import gzip
import sys
from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import parquet

from stream_rec.core.events import DecodeRules, FieldMap
from stream_rec.transport.files import form_of_file, open_file, scan, span_in_order


@pytest.fixture(autouse=True)
def _small_files_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scan, "LEAST_BYTES", 0)


def span(path: Path, rules: DecodeRules | None = None) -> object:
    rules = rules or DecodeRules()
    with contextlib.closing(open_file(str(path), "events")) as stream:
        found = span_in_order(stream, form_of_file(str(path), rules), rules)
        assert stream.peek() == path.read_bytes()[:4096] or found is None or path.suffix == ".parquet"
    return found


def csv(folder: Path, *times: object, header: str = "session_id;item_id;timestamp") -> Path:
    path = folder / "a.csv"
    path.write_text((header + "\n" if header else "") + "".join(f"s;i;{time}\n" for time in times), encoding="utf-8")
    return path


def jsonl(folder: Path, *times: object) -> Path:
    path = folder / "a.jsonl"
    lines = (f'{{"session_id":"s","x":[{{}}],"item_id":1,"timestamp":{time}}}\n' for time in times)
    path.write_text("".join(lines), encoding="utf-8")
    return path


@pytest.mark.parametrize("write", [csv, jsonl])
def test_order(tmp_path: Path, write: object) -> None:
    """Equal times are in order; anything but whole numbers is left to those who read records."""
    assert callable(write)
    assert (5, 9) == span(write(tmp_path, 5, 5, 7, 9))
    for times in ((5, 9, 7), (5, "null", 7), (5, "", 7), (5, '"x"', 9), (5, 6.5, 9), (), (5, "2024-05-01", 9)):
        assert span(write(tmp_path, *times)) is None
    assert (5, 9) == span(write(tmp_path, 5, 9), DecodeRules(timestamp_unit="s"))
    for rules in (
        DecodeRules(timestamp_unit="iso"),
        DecodeRules(timestamp_format="%d.%m.%Y"),
        DecodeRules(fields=FieldMap(item_id="a.b")),
        DecodeRules(fields=FieldMap(timestamp="time")),
    ):
        assert span(write(tmp_path, 5, 9), rules) is None


def test_tables_without_a_header(tmp_path: Path) -> None:
    """The column is counted."""
    rules = DecodeRules(fields=FieldMap(session_id="0", item_id="1", timestamp="2"))
    assert (5, 9) == span(csv(tmp_path, 5, 9, header=""), rules)
    assert span(csv(tmp_path, 9, 5, header=""), rules) is None


def test_many_pieces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The last time of a piece is compared with the first of the next."""
    monkeypatch.setattr(scan, "_BLOCK_BYTES", 200)
    assert (0, 99) == span(csv(tmp_path, *range(100)))
    for place in range(1, 100, 7):
        times = [*range(100)]
        times[place] = place - 2
        assert span(csv(tmp_path, *times)) is None


def test_parquet(tmp_path: Path) -> None:
    """Times of its own, and whole numbers."""
    path = tmp_path / "a.parquet"
    time = dt.datetime(2024, 5, 1, tzinfo=dt.UTC)
    for column, ordered in (
        ([1, 2, 2], True),
        ([1, 3, 2], False),
        ([1, None, 2], False),
        ([time, time, time + dt.timedelta(1)], True),
        ([time, time - dt.timedelta(1)], False),
        (["1", "2"], False),
        ([1.0, 2.0], False),
    ):
        parquet.write_table(pa.table({"timestamp": column}), path)
        assert ordered == (span(path) is not None)


def test_what_is_not_looked_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Packed and recoded files, small ones, and all where PyArrow is not installed."""
    path = csv(tmp_path, 5, 9)
    text = path.read_bytes()
    for data in (gzip.compress(text), text.decode().encode("utf-16")):
        path.write_bytes(data)
        assert span(path) is None
    path.write_bytes(text)
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "pyarrow", None)
        assert span(path) is None
    monkeypatch.setattr(scan, "LEAST_BYTES", 1 << 20)
    assert span(path) is None
