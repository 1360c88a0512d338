"""What `check` says of files of any make: the line to type, from what each writer has left in them."""

import json
import shlex
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from stream_rec.cli.check import check
from stream_rec.errors import SettingsError
from stream_rec.service.assembly.check import CheckReport, inspect
from stream_rec.settings import load, table

MAY_2024 = 1_714_557_600_000


def checked(argv: list[str]) -> CheckReport:
    context = check.make_context("check", list(argv))
    names = {setting.name for setting in table()}
    flags = {name: value for name, value in context.params.items() if name in names and value is not None}
    first, *more = context.params["paths"]
    return inspect(load(flags=flags | {"events": first} | ({"more_events": tuple(more)} if more else {}))).report


def line_for(*argv: object) -> str:
    """Return the first line to type for a source, whether opening it fails or not."""
    try:
        line = checked(list(map(str, argv))).line
    except SettingsError as error:
        line = error.message.partition("try: ")[2]
    assert line
    return line


def followed(line: str) -> CheckReport:
    return checked(shlex.split(line)[2:])


def columns(**names: str) -> dict[str, list[Any]]:
    """Eight clicks under *names* of columns."""
    values: dict[str, list[Any]] = {
        "session": [f"v{n // 4}" for n in range(8)],
        "item": [f"i{n % 5}" for n in range(8)],
        "time": [MAY_2024 + 60_000 * n for n in range(8)],
    }
    return {name: values[which] for which, name in names.items()}


# --- Parquet

GA4 = {
    "event_name": "view_item",
    "user_pseudo_id": "u1",
    "event_params": [{"key": "ga_session_id", "value": {"int_value": 7}}],
    "items": [{"item_id": "i1"}],
}


@pytest.mark.parametrize("flags", [(), ("--format", "parquet")])
@pytest.mark.parametrize("kind", ["flat", "nested", "lists", "ga4", "folder"])
def test_parquet_with_other_names_gets_a_line(tmp_path: Path, kind: str, flags: tuple[str, ...]) -> None:
    """Though it cannot be opened with the names as they are."""
    path = tmp_path / ("log" if kind == "folder" else "log.parquet")
    found = columns(session="visit", item="sku", time="at")
    match kind:
        case "nested":
            inner = [{"sku": item} for item in found.pop("sku")]
            found["what"] = inner
        case "lists":
            times = [found["at"][:4], found["at"][4:]]
            found = {"visit": ["v0", "v1"], "skus": [list("abcd"), list("efgh")], "times": times}
        case "ga4":
            found = {"event_timestamp": [each * 1000 for each in found["at"]]} | {
                name: [value] * 8 for name, value in GA4.items()
            }
        case "folder":
            path.mkdir()
            pq.write_table(pa.table(found).slice(0, 0), path / "part-0.parquet")
            path = path / "part-1.parquet"
    pq.write_table(pa.table(found), path)
    line = line_for(path.parent if kind == "folder" else path, *flags)
    assert ("--format ga4" in line) == (kind == "ga4")
    assert 8 == followed(line).accepted


# --- names of columns

HEADERS = {
    "index": ",visit,sku,at",
    "quoted index": '"","visit","sku","at"',
    "trailing": "visit,sku,at,",
    "twice": "note,visit,sku,at,note",
    "digit": "1st,visit,sku,at",
    "number": "2024,visit,sku,at",
    "minus": "-,visit,sku,at",
}


@pytest.mark.parametrize("kind", HEADERS)
def test_a_header_is_told_by_its_names_as_a_whole(tmp_path: Path, kind: str) -> None:
    """Names that no field uses may be empty, repeated, or begin with a digit: the line says names, not places."""
    header = HEADERS[kind]
    n_before, n_after = header.split("visit")[0].count(","), header.count(",", header.index("at") + 2)
    rows = ([*[str(n)] * n_before, f"v{n // 4}", str(1000 + n), str(MAY_2024 + n), *["x"] * n_after] for n in range(8))
    lines = [header, *map(",".join, rows)]
    path = tmp_path / "log.csv"
    path.write_text("\n".join(lines) + "\n")
    line = line_for(path)
    assert "--field session_id=visit --field item_id=sku --field timestamp=at" in line
    assert 8 == followed(line).accepted


def test_a_delimiter_at_the_end_of_the_header_only(tmp_path: Path) -> None:
    """The names are those of the columns that are there."""
    path = tmp_path / "log.csv"
    path.write_text("visit,sku,at,\n" + "".join(f"v{n // 4},i{n},{MAY_2024 + n}\n" for n in range(8)))
    assert 8 == followed(line_for(path)).accepted


@pytest.mark.parametrize("first", ["v0,i9", "v0,1000", "v0,NULL"])
def test_a_first_row_of_values_is_no_header(tmp_path: Path, first: str) -> None:
    """A time over times, or numbers over numbers: columns are counted."""
    path = tmp_path / "log.csv"
    path.write_text(f"{first},{MAY_2024}\n" + "".join(f"v{n // 4},{1000 + n},{MAY_2024 + n}\n" for n in range(8)))
    assert "--field session_id=0 --field item_id=1 --field timestamp=2" in line_for(path)


@pytest.mark.parametrize("quote", ["", '"'])
def test_a_cell_that_is_longer_than_csv_takes(tmp_path: Path, quote: str) -> None:
    """Is left out of the sample, and the line still reads all other rows."""
    path = tmp_path / "log.csv"
    rows = (f"v{n // 4},i{n},{MAY_2024 + n},x\n" for n in range(8))
    path.write_text("visit,sku,at,note\n" + f"v9,i9,{MAY_2024},{quote}{'x' * 200_000}{quote}\n" + "".join(rows))
    assert 9 == followed(line_for(path)).accepted


# --- records around fields of your own


def enveloped(kind: str, row: dict[str, object], n: int) -> dict[str, object]:
    schema = {"type": "struct", "name": "clicks", "fields": []}
    change: dict[str, object] = {
        "before": None,
        "after": row,
        "op": "c",
        "ts_ms": MAY_2024,
        "source": {"table": "clicks"},
    }
    match kind:
        case "debezium":
            return change
        case "debezium in connect":
            return {"schema": schema, "payload": change}
        case "connect":
            return {"schema": schema, "payload": row}
    return {"specversion": "1.0", "id": f"e{n}", "source": "/shop", "type": "click", "data": row}


@pytest.mark.parametrize("flags", [True, False])
@pytest.mark.parametrize("kind", ["debezium", "debezium in connect", "connect", "cloudevents"])
def test_records_around_your_own_fields(tmp_path: Path, kind: str, flags: bool) -> None:
    """One line has the format and the names inside, whether the format was given or not."""
    rows = ({"visit": f"v{n // 4}", "sku": f"i{n}", "created_at": (MAY_2024 + n) * 1000} for n in range(8))
    path = tmp_path / "log.jsonl"
    path.write_text("".join(json.dumps(enveloped(kind, row, n)) + "\n" for n, row in enumerate(rows)))
    name = kind.partition(" ")[0]
    line = line_for(path, *(["--format", name] if flags else []))
    fields = "--field session_id=visit --field item_id=sku --field timestamp=created_at"
    assert line.endswith(f"--format {name} {fields} --timestamp-unit us")
    assert 8 == followed(line).accepted


def test_cloudevents_whose_time_and_item_are_attributes(tmp_path: Path) -> None:
    """They are not named where the format knows them."""
    path = tmp_path / "log.jsonl"
    event = {"specversion": "1.0", "source": "/shop", "type": "click", "time": "2024-05-01T10:00:00Z"}
    events = (event | {"id": f"e{n}", "subject": f"i{n}", "data": {"visit": f"v{n // 4}"}} for n in range(8))
    path.write_text("".join(json.dumps(each) + "\n" for each in events))
    line = line_for(path)
    assert line.endswith("--format cloudevents --field session_id=visit --field item_id=ce_subject")
    assert 8 == followed(line).accepted


def test_what_is_lacking_inside(tmp_path: Path) -> None:
    """The format is said with the names that stand in it."""
    path = tmp_path / "log.jsonl"
    row = {"visit": "v", "thing": "i", "ts": MAY_2024}
    path.write_text("".join(json.dumps(enveloped("connect", row, n)) + "\n" for n in range(8)))
    (hint,) = checked([str(path)]).hints
    assert "--format connect --field item_id=NAME. There is: visit, thing, ts" in hint


# --- times

TIMES: dict[str, tuple[list[Any], str]] = {
    "excel": ([f"4541{n}.4166" for n in range(8)], "--timestamp-unit excel"),
    "excel, decimal comma": ([f"4541{n},4166" for n in range(8)], "--timestamp-unit excel"),
    "excel, whole days": ([f"4541{n}" for n in range(8)], "--timestamp-unit excel"),
    "excel, numbers": ([45410.5 + n for n in range(8)], "--timestamp-unit excel"),
    "dates": ([f"2024050{n + 1}" for n in range(8)], "--timestamp-format %Y%m%d"),
    "dates, numbers": ([20240501 + n for n in range(8)], "--timestamp-format %Y%m%d"),
    "seconds": ([f"2024050310000{n}" for n in range(8)], "--timestamp-format %Y%m%d%H%M%S"),
    "seconds, numbers": ([20240503100000 + n for n in range(8)], "--timestamp-format %Y%m%d%H%M%S"),
    "minutes": ([f"20240503100{n}" for n in range(8)], "--timestamp-format %Y%m%d%H%M"),
    "with T": ([f"20240503T10000{n}Z" for n in range(8)], "--timestamp-format %Y%m%dT%H%M%S%z"),
    "ms and iso": ([MAY_2024, "2024-05-01T10:00:00Z"] * 4, "--timestamp-unit auto"),
    "s and ms": ([MAY_2024 // 1000, MAY_2024 + 1] * 4, "--timestamp-unit auto"),
    "ms, later s": (
        [MAY_2024 + n for n in range(5)] + [MAY_2024 // 1000 + n for n in range(3)],
        "--timestamp-unit auto",
    ),
}


@pytest.mark.parametrize("names", ["session_id,item_id,timestamp", "visit,sku,when"])
@pytest.mark.parametrize("kind", TIMES)
def test_times_are_told_by_their_values(tmp_path: Path, kind: str, names: str) -> None:
    """Days of Excel, dates without anything between their parts, several units: never seconds of 1970."""
    times, flags = TIMES[kind]
    path = tmp_path / "log.jsonl"
    rows = (dict(zip(names.split(","), [f"v{n // 4}", f"i{n}", at], strict=True)) for n, at in enumerate(times))
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    line = line_for(path)
    assert line.replace("'", "").endswith(flags)
    again = followed(line)
    assert (8, None) == (again.accepted, again.line)
    assert again.figures is not None
    assert 1_714_000_000_000 < (again.figures.first_timestamp or 0) < 1_715_800_000_000


def test_numbers_of_items_are_no_days_of_excel(tmp_path: Path) -> None:
    """Nor is a column of a few seconds."""
    path = tmp_path / "log.csv"
    path.write_text("".join(f"v{n // 4},{MAY_2024 + n},{45_400 + n}\n" for n in range(8)))
    assert "--field session_id=0 --field item_id=2 --field timestamp=1" in line_for(path)
    path.write_text("session_id,item_id,timestamp\n" + "".join(f"v{n // 4},i{n},{n * 9_000}\n" for n in range(8)))
    assert "excel" not in line_for(path)


# --- several files


def folder(tmp_path: Path, **files: str) -> Path:
    path = tmp_path / "log"
    for name, text in files.items():
        place = path / name.replace("__", "/").replace("_dot_", ".").replace("_is_", "=")
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text)
    return path


TWO = f"v1,a,{MAY_2024}\nv1,b,{MAY_2024 + 1}\n"
FIELDS = ("--field", "session_id=visit", "--field", "item_id=sku", "--field", "timestamp=when")


def test_a_table_beside_json_lines(tmp_path: Path) -> None:
    """The line names no format, which differs."""
    json_line = json.dumps({"visit": "v2", "sku": "a", "when": MAY_2024}) + "\n"
    path = folder(tmp_path, a_dot_csv="visit,sku,when\n" + TWO, b_dot_jsonl=json_line)
    line = line_for(path)
    assert "--format" not in line
    assert 3 == followed(line).accepted


@pytest.mark.parametrize("flags", [(), FIELDS])
def test_files_whose_columns_differ(tmp_path: Path, flags: tuple[str, ...]) -> None:
    """The file that differs is named with its columns, and no line that was typed already."""
    path = folder(tmp_path, a_dot_csv="visit,sku,when\n" + TWO, b_dot_csv="session,sku,when\n" + TWO)
    with pytest.raises(SettingsError, match=r"b\.csv has no column 'visit', but session, sku, when") as caught:
        checked([str(path), *flags])
    assert "try:" not in str(caught.value)


@pytest.mark.parametrize("name", ["0", "m", "z"])
def test_an_empty_part_file_is_passed_over(tmp_path: Path, name: str, caplog: pytest.LogCaptureFixture) -> None:
    """Wherever it stands; the log says so. A folder of nothing else is refused as before."""
    path = folder(tmp_path, b_dot_csv="visit,sku,when\n" + TWO, x_dot_csv="visit,sku,when\n" + TWO)
    (path / f"{name}.csv").touch()
    with caplog.at_level("INFO"):
        assert 4 == followed(line_for(path)).accepted
    assert f"passed over 1 empty files: {name}.csv" in caplog.text


PARTITIONS = {
    "session": (f"visit_is_v{n}__a_dot_csv" for n in range(2)),
    "time": (f"day_is_2024-05-0{n + 1}__a_dot_csv" for n in range(2)),
    "type": (f"kind_is_{name}__a_dot_csv" for name in ("cart", "view")),
    "event": (f"event_is_{name}__a_dot_csv" for name in ("cart", "view")),
}


@pytest.mark.parametrize("kind", PARTITIONS)
def test_columns_in_the_names_of_folders(tmp_path: Path, kind: str) -> None:
    """They take part in the line, and in what is said of a file's columns."""
    lacking = {"session": "visit", "time": "when"}.get(kind)
    names = [name for name in ("visit", "sku", "when") if name != lacking]
    rows = [{"visit": "v1", "sku": f"i{n}", "when": str(MAY_2024 + n)} for n in range(3)]
    lines = [names, *([row[name] for name in names] for row in rows)]
    text = "\n".join(map(",".join, lines)) + "\n"
    path = folder(tmp_path, **dict.fromkeys(PARTITIONS[kind], text))
    with pytest.raises(SettingsError) as caught:
        checked([str(path)])
    column = {"session": "visit", "time": "day", "type": "kind", "event": "event"}[kind]
    assert f"and {column}, which its folders say" in caught.value.message
    report = followed(line_for(path))
    assert 6 == report.accepted
    assert report.figures is not None
    if kind in {"type", "event"}:
        assert {"cart": 3, "view": 3} == dict(report.figures.types)


# --- other layouts

ROWS = [{"visit": f"v{n // 4}", "sku": f"i{n}", "when": MAY_2024 + n} for n in range(8)]
LAYOUTS = {
    "indented": ("\n".join(json.dumps(row, indent=2) for row in ROWS), "records span several lines", "jq -c ."),
    "wrapped": (json.dumps({"count": 8, "data": ROWS}, indent=1), "one object spans several lines", "jq -c '.data[]'"),
    "long": (json.dumps({"data": ROWS * 200}, indent=1), "one object spans several lines", "jq -c '.data[]'"),
    "commas": (",\n".join(map(json.dumps, ROWS)) + ",\n", "each line ends in a comma", "sed 's/,$//'"),
}


@pytest.mark.parametrize("kind", LAYOUTS)
def test_json_over_several_lines(tmp_path: Path, kind: str) -> None:
    """It is said, with the command that writes a record on each line; nothing about delimiters."""
    text, what, how = LAYOUTS[kind]
    path = tmp_path / "log.jsonl"
    path.write_text(text)
    (hint,) = checked([str(path)]).hints
    assert what in hint
    assert f"`{how}`" in hint


@pytest.mark.parametrize("indent", [None, 4])
@pytest.mark.parametrize("orient", ["columns", "index", "split", "table"])
def test_tables_of_pandas_in_one_object(tmp_path: Path, orient: str, indent: int | None) -> None:
    """They are named, with the way to write records."""
    pandas = pytest.importorskip("pandas")
    path = tmp_path / "log.json"
    pandas.DataFrame(ROWS).to_json(path, orient=orient, indent=indent)
    (hint,) = checked([str(path)]).hints
    assert "whole table" in hint
    assert "to_json(..., orient='records', lines=True)" in hint


@pytest.mark.parametrize("delimiter", ["^", " "])
@pytest.mark.parametrize("names", [["session_id", "item_id", "timestamp"], ["visit", "sku", "when"]])
def test_rare_delimiters(tmp_path: Path, names: list[str], delimiter: str) -> None:
    """The line says them."""
    path = tmp_path / "log.csv"
    lines = [names, *(list(map(str, row.values())) for row in ROWS)]
    path.write_text("\n".join(map(delimiter.join, lines)) + "\n")
    line = line_for(path)
    assert f"--delimiter '{delimiter}'" in line
    assert 8 == followed(line).accepted


@pytest.mark.parametrize("said", ["sep=;", '"sep=;"', "SEP=;\r", "\ufeffsep=;"])
def test_a_first_line_that_says_the_delimiter(tmp_path: Path, said: str) -> None:
    """Excel's: it is no row and no header, with names, with other names, and without a header."""
    path = tmp_path / "log.csv"
    lines = [";".join(map(str, row.values())) for row in ROWS]
    path.write_text("\n".join([said, "session_id;item_id;timestamp", *lines]) + "\n")
    report = checked([str(path)])
    assert (8, {}, None) == (report.accepted, report.refused, report.line)
    path.write_text("\n".join([said, "visit;sku;when", *lines]) + "\n")
    assert 8 == followed(line_for(path)).accepted
    path.write_text("\n".join([said, *lines]) + "\n")
    assert 8 == followed(line_for(path)).accepted


@pytest.mark.parametrize("names", ["session_id,item_id,timestamp", "visit,sku,when"])
def test_ids_that_pandas_has_made_floats(tmp_path: Path, names: str) -> None:
    """Since one of them is lacking: the line accepts the others."""
    path = tmp_path / "log.csv"
    items = [*(f"{1000 + n}.0" for n in range(7)), ""]
    rows = (f"{row['visit']},{item},{row['when']}\n" for row, item in zip(ROWS, items, strict=True))
    path.write_text(f"{names}\n" + "".join(rows))
    line = line_for(path)
    assert "--lenient-ids" in line
    assert 7 == followed(line).accepted
