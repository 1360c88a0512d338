"""Several files as one log: folders, patterns, partitions; each file once, each record with a place of its own."""

import contextlib
import os
from pathlib import Path

import polars as pl
import pyarrow as pa
import pytest
from pyarrow import dataset

from stream_rec import Recommender
from stream_rec.core.events import DecodeRules, Event, EventDecoder, FieldMap
from stream_rec.errors import SettingsError
from stream_rec.tables.reading import read_log
from stream_rec.transport.decode import Decoded, decode_records
from stream_rec.transport.files import FilesSource, find_files, open_source
from stream_rec.transport.records import Record


def write(path: Path, *sessions: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = "".join(f"{session},i,{n}\n" for n, session in enumerate(sessions))
    path.write_text(f"session_id,item_id,timestamp\n{rows}", encoding="utf-8")
    return path


def names(*specs: object) -> list[str]:
    return [file.name for file in find_files([str(spec) for spec in specs])]


def read(source: FilesSource, rules: DecodeRules) -> tuple[list[Record], list[Decoded]]:
    with contextlib.closing(source):
        records = [record for batch in source.batches(2) for record in batch]
    return records, decode_records(EventDecoder(rules), records).decoded


def opened(rules: DecodeRules, *specs: object) -> FilesSource:
    files = find_files([str(spec) for spec in specs])
    return FilesSource(files, lambda file: open_source(file.path, rules, topic=file.name), rules)


def test_a_folder_is_its_data_files(tmp_path: Path) -> None:
    """By name, numbers as numbers, without what Spark and Hadoop leave beside; folders in it, too."""
    for name in ("part-10.csv", "part-9.csv", "_SUCCESS", ".part-9.csv.crc", "_temporary/x.csv", "old/part-1.csv"):
        write(tmp_path / name, "s")
    assert ["old/part-1.csv", "part-9.csv", "part-10.csv"] == names(tmp_path)
    assert ["part-9.csv", "part-10.csv"] == names(tmp_path / "part-*.csv")
    assert ["part-1.csv", "part-9.csv", "part-10.csv"] == sorted(names(tmp_path / "**/part-*"), key=len)
    write(tmp_path / "a[1].csv", "s")
    assert ["a[1].csv"] == names(tmp_path / "a[1].csv")


def test_what_cannot_be_found(tmp_path: Path) -> None:
    """The error says what was looked for."""
    (tmp_path / "empty").mkdir()
    (tmp_path / "delta/_delta_log").mkdir(parents=True)
    write(tmp_path / "a.csv", "s")
    for specs, message in (
        ([tmp_path / "*.parquet"], "no file is called"),
        ([tmp_path / "empty"], "holds no file"),
        ([tmp_path / "delta"], "a Delta Lake table"),
        ([tmp_path / "a.csv", tmp_path], "named twice"),
    ):
        with pytest.raises(SettingsError, match=f"events: .*{message}"):
            names(*specs)


def test_files_that_are_called_alike(tmp_path: Path) -> None:
    """Offsets name so much of their folders as they differ by, whatever the machine's own folders."""
    for day in ("1", "2"):
        write(tmp_path / f"day={day}/part-0.csv", "s")
    assert ["day=1/part-0.csv", "day=2/part-0.csv"] == names(tmp_path)
    assert ["day=1/part-0.csv", "day=2/part-0.csv"] == names(tmp_path / "*/part-0.csv")
    assert ["day=2/part-0.csv", "day=1/part-0.csv"] == names(*(tmp_path / f"day={n}/part-0.csv" for n in (2, 1)))


def test_one_after_the_other(tmp_path: Path) -> None:
    """Records have their own file's name and number; progress counts all files."""
    first, second = write(tmp_path / "a.csv", "s1", "s2", "s3"), write(tmp_path / "b.csv", "s4")
    source = opened(DecodeRules(), tmp_path)
    assert source.is_at_rest
    records, decoded = read(source, DecodeRules())
    assert [("a.csv", 2), ("a.csv", 3), ("a.csv", 4), ("b.csv", 2)] == [(each.topic, each.offset) for each in records]
    assert ["s1", "s2", "s3", "s4"] == [each.session_id for each in decoded if isinstance(each, Event)]
    assert {("a.csv", 0): 5, ("b.csv", 0): 3} == source.next_offsets
    size = first.stat().st_size + second.stat().st_size
    assert (size, size) == source.progress
    assert {"a.csv", "b.csv"} == source.topics


def test_a_pipe_among_them_is_not_at_rest(tmp_path: Path) -> None:
    """Its end may be far away, so nothing can be put in order."""
    write(tmp_path / "a.csv", "s")
    os.mkfifo(tmp_path / "b.csv")
    source = FilesSource(
        find_files([str(tmp_path / "a.csv"), str(tmp_path / "b.csv")]),
        lambda file: open_source(file.path),
        DecodeRules(),
    )
    assert not source.is_at_rest
    source.close()


@pytest.mark.parametrize("form", ["parquet", "csv"])
def test_partitions_of_pyarrow(tmp_path: Path, form: str) -> None:
    """The folders' names have the values of a column; an event gets it where a field names it."""
    rows = {
        "session_id": ["a", "b", "c"],
        "item_id": ["i", "j", "k"],
        "timestamp": [1, 2, 3],
        "kind": ["view", "add to/cart", None],
    }
    by_kind = dataset.partitioning(pa.schema([("kind", pa.string())]), flavor="hive")
    dataset.write_dataset(pa.table(rows), tmp_path, format=form, partitioning=by_kind)
    rules = DecodeRules(fields=FieldMap(type="kind"))
    _, decoded = read(opened(rules, tmp_path), rules)
    expected = {Event("a", "i", 1), Event("b", "j", 2, "add to/cart"), Event("c", "k", 3)}
    assert expected == set(decoded)
    records, _ = read(opened(DecodeRules(), tmp_path), DecodeRules())
    assert all(record.row is not None and "kind" not in record.row for record in records)


def test_partitions_of_json_lines(tmp_path: Path) -> None:
    """A record's own value comes before that of its folder; what is no object stays refused."""
    path = tmp_path / "user=anna/a.jsonl"
    path.parent.mkdir()
    frame = pl.DataFrame({"session_id": ["s", "s"], "item_id": ["i", "j"], "timestamp": [1, 2]})
    frame.write_ndjson(path)
    path.write_text(
        path.read_text() + '{"session_id":"t","item_id":"k","timestamp":3,"user":"ben"}\nbad\n[]\n', encoding="utf-8"
    )
    rules = DecodeRules(fields=FieldMap(user_id="user"))
    _, (first, second, third, *bad) = read(opened(rules, path), rules)
    assert [Event("s", "i", 1, user_id="anna"), Event("s", "j", 2, user_id="anna")] == [first, second]
    assert Event("t", "k", 3, user_id="ben") == third
    assert [str, str] == [type(each.reason.value) for each in bad]  # type: ignore[union-attr]


def test_whole_columns_of_a_folder(tmp_path: Path) -> None:
    """The library reads folders and patterns, too, and puts events in order of time."""
    write(tmp_path / "a.csv", "s2", "s2")
    write(tmp_path / "b.csv", "s1", "s2", "s1")
    for spec in (tmp_path, tmp_path / "*.csv"):
        log = read_log(str(spec))
        assert [0, 0, 1, 1, 2] == [each.timestamp for events in log.events() for each in events]
    assert 2 == len(Recommender().fit(tmp_path).session_ids())
