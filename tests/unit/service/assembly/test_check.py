"""What `check` says of a log: hints that name the record, and that work when they are followed."""

import json
import shlex
from collections.abc import Iterable
from pathlib import Path

import pytest

from stream_rec.cli.check import check
from stream_rec.errors import SettingsError
from stream_rec.service.assembly.check import CheckReport, inspect
from stream_rec.settings import load, table

MAY_2014 = 1_400_000_000_000
JUNE_2025 = 1_750_000_000_000


def report(path: Path, **flags: object) -> str:
    return "\n".join(inspect(load(flags={"events": str(path), **flags})).lines)


def write(path: Path, times: list[int]) -> Path:
    lines = (
        json.dumps({"session_id": f"s{n // 4}", "item_id": f"i{n % 7}", "timestamp": at}) for n, at in enumerate(times)
    )
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.mark.parametrize("n_wrong", [1, 3])
def test_a_wild_time_is_named(tmp_path: Path, n_wrong: int) -> None:
    """One event of 2025 in a log of 2014: its line, and not a lateness of eleven years."""
    times = [MAY_2014 + 60_000 * n for n in range(300)]
    for n in range(n_wrong):
        times[100 + n] = JUNE_2025 + n
    said = report(write(tmp_path / "log.jsonl", times))
    assert ("log.jsonl:101 (2025-06-15" if n_wrong == 1 else "the first is log.jsonl:101, 2025-06-15") in said
    assert "--retention" not in said
    assert "--allowed-lateness" not in said
    del times[100 : 100 + n_wrong]
    assert "hints" not in report(write(tmp_path / "mended.jsonl", times))


def test_a_log_that_is_only_out_of_order_has_no_wild_time(tmp_path: Path) -> None:
    """Its hint is about lateness, where it is read in its own order."""
    times = [MAY_2014 + 60_000 * (n ^ 255) for n in range(512)]
    said = report(write(tmp_path / "log.jsonl", times), in_order=True)
    assert "after all others" not in said
    assert "--allowed-lateness" in said


def clicks(tmp_path: Path, rows: Iterable[tuple[str, str, int]], name: str = "log.csv", header: str = "") -> Path:
    path = tmp_path / name
    lines = [header or "session_id,item_id,timestamp", *(",".join(map(str, row)) for row in rows)]
    path.write_text("\n".join(lines) + "\n")
    return path


def found(path: Path, **flags: object) -> CheckReport:
    return inspect(load(flags={"events": str(path), **flags})).report


def follow(report: CheckReport) -> CheckReport:
    """Check again with the line to type."""
    assert report.line is not None
    _, _, *argv = shlex.split(report.line)
    context = check.make_context("check", argv)
    names = {setting.name for setting in table()}
    flags = {name: value for name, value in context.params.items() if name in names}
    return inspect(load(flags=flags | {"events": context.params["paths"][0]})).report


def test_sessions_that_look_like_visitors(tmp_path: Path) -> None:
    """They pause for days; with the line, visits are cut, and nothing more is said."""
    rows = [(f"v{n}", f"i{k}", MAY_2014 + n * 1000 + k * 30 * 3_600_000) for k in range(4) for n in range(30)]
    report = found(clicks(tmp_path, rows))
    assert "100% of the sessions pause for more than a day" in report.hints[0]
    again = follow(report)
    assert (120, 120) == (again.accepted, again.figures and again.figures.sessions)
    assert not any("pause" in hint for hint in again.hints)


@pytest.mark.parametrize("user", ["user_id", "visitor"])
def test_session_ids_that_are_unique_for_a_user_only(tmp_path: Path, user: str) -> None:
    """The line joins both fields, whether the user is mapped or not."""
    rows = [(f"{n % 2},u{n // 4}", f"i{n % 5}", MAY_2014 + n * 1000) for n in range(80)]
    report = found(clicks(tmp_path, rows, header=f"session_id,{user},item_id,timestamp"))
    assert "belong to several users" in report.hints[0]
    again = follow(report)
    assert 40 == (again.figures and again.figures.sessions)
    assert not any("several users" in hint for hint in again.hints)


def test_one_session_that_is_far_longer_than_all_others(tmp_path: Path) -> None:
    """It is named, with its length and the next."""
    rows = [("bot" if n % 2 else f"s{n}", f"i{n % 9}", MAY_2014 + n * 1000) for n in range(600)]
    (hint,) = (hint for hint in found(clicks(tmp_path, rows)).hints if "crawler" in hint)
    assert "the session 'bot' has 300 events, and the next longest 1" in hint


def test_some_sessions_that_are_far_longer_than_all_others(tmp_path: Path) -> None:
    """Two crawlers as long as each other do not hide each other."""
    rows = [(f"bot{n % 3}" if n % 3 else f"s{n}", f"i{n % 9}", MAY_2014 + n * 1000) for n in range(900)]
    (hint,) = (hint for hint in found(clicks(tmp_path, rows)).hints if "crawler" in hint)
    assert "the session 'bot1' has 300 events (1 more like it), and the next longest 1" in hint


def test_german_names(tmp_path: Path) -> None:
    """The line names the columns of a German export, and cuts visits from its customers."""
    rows = [(f"k{n % 20}", f"i{n % 5}", MAY_2014 + n * 1000) for n in range(80)]
    with pytest.raises(SettingsError) as caught:
        found(clicks(tmp_path, rows, header="Kundennummer,Artikelnummer,Zeitpunkt"))
    line = "--field item_id=Artikelnummer --field timestamp=Zeitpunkt --field user_id=Kundennummer --session-gap 30m"
    assert line in str(caught.value)


def test_impressions_are_no_clicks(tmp_path: Path) -> None:
    """The line lets in the other types only."""
    kinds = ["impression", "click", "impression", "cart"]
    rows = [(f"s{n // 8}", f"i{n % 9}", MAY_2014 + n * 1000, kinds[n % 4]) for n in range(80)]
    report = found(clicks(tmp_path, rows, header="session_id,item_id,timestamp,type"))  # type: ignore[arg-type]
    assert "impression 40" in report.hints[0]
    again = follow(report)
    assert (40, {"unknown_type": 40}, []) == (again.accepted, again.refused, again.hints)


def test_what_was_shown_is_known(tmp_path: Path) -> None:
    """Events of the type that says what was shown are not taken for clicks, and no session gap is suggested beside."""
    rows = [("ann", "tent", MAY_2014, "click", "ann"), ("ben", "pan", MAY_2014 + 9, "shown:2", "ben")]
    file = clicks(tmp_path, rows, header="session_id,item_id,timestamp,type,user_id")  # type: ignore[arg-type]
    hints = " ".join(found(file, shown="shown").hints)
    assert "counts as a click" not in hints
    assert "session-gap" not in hints


def test_days_and_months_that_cannot_be_told_apart(tmp_path: Path) -> None:
    """Both formats are named, before and after one is chosen; a day above 12 decides it."""
    rows = [("s", f"i{n}", f"0{n + 1}/05/2024 10:00") for n in range(3)]
    report = found(clicks(tmp_path, rows))  # type: ignore[arg-type]
    assert "%m/%d/%Y %H:%M" in report.hints[0]
    again = follow(report)
    assert (3, None) == (again.accepted, again.line)
    assert "the day or the month" in again.hints[0]
    sure = found(clicks(tmp_path, [*rows, ("s", "i9", "05/25/2024 10:00")]))  # type: ignore[list-item]
    assert sure.line is not None
    assert "'%m/%d/%Y %H:%M'" in sure.line
    assert "the day or the month" not in sure.hints[0]


def test_what_is_lacking_is_said_with_the_names_that_are_there(tmp_path: Path) -> None:
    """No line is made up where nothing looks like an item."""
    path = tmp_path / "log.jsonl"
    path.write_text(json.dumps({"session_id": "s", "thing": "i", "timestamp": MAY_2014}) + "\n")
    report = found(path)
    assert report.line is None
    assert "nothing looks like item_id: name it with --field item_id=NAME. There is: " in report.hints[0]
    assert "thing" in report.hints[0]


@pytest.mark.parametrize("magic", [b"\x1f\x8b", b"\x28\xb5\x2f\xfd", b"\x00\x00\x00\x00\x07"])
def test_packed_or_framed_records_are_no_tables(tmp_path: Path, magic: bytes) -> None:
    """Neither a table nor another encoding is advised."""
    path = tmp_path / "log.jsonl"
    path.write_bytes(b'{"a":1}\n' + b"\n".join(magic + b"\x9f\xe2abc%d" % n for n in range(9)))
    said = "\n".join(found(path).hints)
    assert "packed" in said or "registry" in said
    assert "csv" not in said
    assert "iconv" not in said


def framed(tmp_path: Path, *values: bytes) -> Path:
    """A file of records behind the five bytes of a schema registry."""
    path = tmp_path / "framed.jsonl"
    path.write_bytes(b"\n".join(b"\0\0\0\0\7" + value for value in values))
    return path


def test_framed_avro_needs_the_registry(tmp_path: Path) -> None:
    """The hint names the setting, and never a table or another encoding."""
    said = report(framed(tmp_path, *(b"\x04s%d\x04i1\x80\x80\xa0\xf6\xf4g" % n for n in range(9))))
    assert "needs_registry: 9" in said
    assert "--registry http://HOST:PORT" in said
    assert "csv" not in said
    assert "iconv" not in said


def test_framed_json_is_read_and_its_names_are_guessed(tmp_path: Path) -> None:
    """As if the five bytes were not there."""
    said = report(
        framed(tmp_path, *(b'{"session_id": "s", "item_id": "i%d", "timestamp": 1733000000000}' % n for n in range(9)))
    )
    assert "accepted       9" in said
    said = report(framed(tmp_path, b'{"session_id": "s", "ItemId": "i", "timestamp": 1733000000000}'))
    assert "--field item_id=ItemId" in said


def test_a_time_is_known_by_its_values(tmp_path: Path) -> None:
    """Where its name says nothing, if no other field could be one."""
    rows = [{"visit": "v", "sku": f"i{n}", "at": f"2024-05-01T10:00:{n:02}Z"} for n in range(9)]
    path = tmp_path / "log.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert 9 == follow(found(path)).accepted
    path.write_text("".join(json.dumps(row | {"born": "2001-01-01"}) + "\n" for row in rows))
    assert "nothing looks like timestamp" in found(path).hints[0]


def test_the_unit_that_auto_finds_is_said(tmp_path: Path) -> None:
    """As well as several units, for each time is judged by itself."""
    rows = [("v", f"i{n}", MAY_2014 // 1000 + n) for n in range(9)]
    assert "auto reads the first times as s:" in found(clicks(tmp_path, rows), timestamp_unit="auto").hints[0]
    rows += [("w", f"i{n}", MAY_2014 + n) for n in range(3)]
    report = found(clicks(tmp_path, rows), timestamp_unit="auto")
    assert "several units (9 as s, 3 as ms)" in report.hints[0]
    assert 12 == report.accepted


def test_exact_repeats(tmp_path: Path) -> None:
    """They are counted, and the line leaves them out."""
    rows = [(f"s{n // 8}", f"i{n % 9}", MAY_2014 + n * 1000) for n in range(40)]
    report = found(clicks(tmp_path, [*rows, *rows[:10]]))
    assert "10 events (20.0%) repeat another one exactly" in report.hints[0]
    again = follow(report)
    assert (40, {"duplicate": 10}, []) == (again.accepted, again.refused, again.hints)


def test_one_time_in_each_session(tmp_path: Path) -> None:
    """Where the log's order decides, and is that of the items, the report says so."""
    rows = [(f"s{n // 8}", f"i{n % 8}", MAY_2014 + n // 8 * 1000) for n in range(80)]
    (hint,) = found(clicks(tmp_path, rows)).hints
    assert "80 events (100.0%) have the time of another event of their session" in hint
    assert "the ids of their items" in hint


@pytest.mark.parametrize(("end", "is_said"), [("", True), ("Z", False), ("+02:00", False)])
def test_times_without_an_offset_are_said_to_be_read_as_utc(tmp_path: Path, end: str, *, is_said: bool) -> None:
    """Until a zone is named."""
    rows = [(f"s{n // 3}", f"i{n % 5}", f"2024-05-01T10:{n:02d}:00{end}") for n in range(30)]
    path = clicks(tmp_path, rows)  # type: ignore[arg-type]
    assert is_said == ("are read as UTC: local ones need" in report(path, timestamp_unit="iso"))
    assert "read as UTC" not in report(path, timestamp_unit="iso", time_zone="Europe/Berlin")
