"""What `check` says of files of any make: the line to type, from what each writer has left in them."""

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
            found = {"visit": ["v0", "v1"], "skus": [list("abcd"), list("efgh")]} | {
                "times": [found["at"][:4], found["at"][4:]]
            }
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
