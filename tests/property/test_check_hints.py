"""Every hint of `check` that is followed works: from a log of any make, its lines lead to one that reads it all."""

import gzip
import io
import json
import shlex
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stream_rec.cli.main import main

MAY_14 = 1_715_688_000_000
MOST_STEPS = 4

TIMES: dict[str, Callable[[int], object]] = {
    "ms": lambda ms: ms,
    "s": lambda ms: ms // 1000,
    "us": lambda ms: ms * 1000,
    "fraction": lambda ms: ms / 1000,
    "iso": lambda ms: _moment(ms).isoformat().replace("+00:00", "Z"),
    "space": lambda ms: _moment(ms).strftime("%Y-%m-%d %H:%M:%S"),
    "day": lambda ms: _moment(ms).strftime("%d.%m.%Y %H:%M"),
    "compact": lambda ms: _moment(ms).strftime("%Y%m%d%H%M%S"),
    "compact-z": lambda ms: _moment(ms).strftime("%Y%m%dT%H%M%SZ"),
    "date": lambda ms: int(_moment(ms).strftime("%Y%m%d")),
    "excel": lambda ms: 25_569 + ms / 86_400_000,
    "mixed": lambda ms: ms if ms // 60_000 % 2 else _moment(ms).isoformat(),
    "us-day": lambda ms: _moment(ms).strftime("%m/%d/%Y %I:%M:%S %p"),
}
SESSIONS = ("session_id", "SessionId", "VisitId", "sid", "basket-id", "InvoiceNo")
ITEMS = ("item_id", "ItemId", "ProductId", "sku", "product", "StockCode", "article_id")
STAMPS = ("timestamp", "Time", "ts", "event_time", "created_at", "when")


def _moment(ms: int) -> datetime:
    return datetime.fromtimestamp(ms / 1000, UTC)


@st.composite
def logs(draw: st.DrawFn) -> tuple[str, bytes, int]:
    """A name, the content, and how many records are in it."""
    names = [draw(st.sampled_from(each)) for each in (SESSIONS, ITEMS, STAMPS)]
    time = TIMES[draw(st.sampled_from(sorted(TIMES)))]
    n = draw(st.integers(4, 12))
    rows: list[list[Any]] = [
        [
            f"s{place // 3}",
            draw(st.sampled_from([f"i{place}", place + 1])),
            time(MAY_14 + 60_000 * place),
        ]
        for place in range(n)
    ]
    if draw(st.booleans()):
        names.append("price")
        rows = [[*row, 4.5] for row in rows]
    order = draw(st.permutations(range(len(names)))) if draw(st.booleans()) else list(range(len(names)))
    form = draw(st.sampled_from(["jsonl", "json", "nested", "array", "parquet", "lists", ",", "\t", ";", "|"]))
    if form in {"parquet", "lists"}:
        columns = {names[at]: [row[at] for row in rows] for at in order}
        if form == "lists":
            columns = {name: ["s"] if name == names[0] else [cells] for name, cells in columns.items()}
        return "log.parquet", parquet(columns), n
    if form == "array":
        lines = [{names[0]: f"s{n}", "lines": [dict(zip(names[1:], row[1:], strict=True)) for row in rows]}]
        return "log.jsonl", json.dumps(lines[0]).encode() + b"\n", n
    if form == "nested":
        nested = [{"context": {names[0]: row[0]}, "properties": {names[1]: row[1]}, names[2]: row[2]} for row in rows]
        return "log.jsonl", "\n".join(map(json.dumps, nested)).encode() + b"\n", n
    if form in {"jsonl", "json"}:
        records = [{names[at]: row[at] for at in order} for row in rows]
        text = json.dumps(records) if form == "json" else "\n".join(map(json.dumps, records)) + "\n"
        return f"log.{form}", text.encode(), n
    has_header = draw(st.booleans())
    table = (
        [[str(row[at]) for at in order] for row in [names, *rows]]
        if has_header
        else [list(map(str, row)) for row in rows]
    )
    ending = draw(st.sampled_from(["csv", "txt", "tsv", "log", "jsonl"]))
    if has_header and draw(st.booleans()):  # columns that no field uses, without names of their own
        extra = draw(st.sampled_from(["", "note", "1st", "7"]))
        table = [[extra if not place else str(place), *row] for place, row in enumerate(table)]
        if extra == "note":
            table = [[*row, row[0]] for row in table]
    encoding = draw(st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]))
    content = ("\n".join(map(form.join, table)) + "\n").encode(encoding)
    return f"log.{ending}", gzip.compress(content) if draw(st.booleans()) else content, n


def parquet(columns: dict[str, list[Any]]) -> bytes:
    file = io.BytesIO()
    pq.write_table(pa.table({name: texts_or_numbers(cells) for name, cells in columns.items()}), file)
    return file.getvalue()


def texts_or_numbers(cells: list[Any]) -> list[Any]:
    """A column of Parquet has one type: ids that are numbers beside texts become texts."""
    if isinstance(cells[0], list):
        return [texts_or_numbers(each) for each in cells]
    return list(map(str, cells)) if len({type(each) for each in cells}) > 1 else cells


def checked(argv: list[str], capsys: pytest.CaptureFixture[str]) -> tuple[int, str | None]:
    """Run the command; return how many records it accepts, and the line to type that it shows."""
    code = main([*argv, "--json", "-"])
    out, err = capsys.readouterr()
    if not out:
        assert 2 == code
        return 0, err.partition("try: ")[2].strip() or None
    report = json.loads(out)
    assert code == (0 if report["accepted"] else 1)
    return report["accepted"], report["line"]


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(log=logs())
def test_followed_lines_lead_to_the_whole_log(
    log: tuple[str, bytes, int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Within a few steps no line is left, and every record is accepted."""
    name, content, n = log
    (tmp_path / name).write_bytes(content)
    argv = ["check", str(tmp_path / name)]
    for _ in range(MOST_STEPS):
        accepted, line = checked(argv, capsys)
        if line is None:
            break
        program, *argv = shlex.split(line)
        assert "stream-rec" == program
    assert (n, None) == (accepted, line), content
