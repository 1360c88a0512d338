"""`stream-rec snapshot`: what people and programs are told, and the exit codes."""

import json
from pathlib import Path

import pytest

from stream_rec import Engine, Event, snapshot
from stream_rec.cli.main import main


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two snapshots, a day apart, the second of another moment of the log."""
    engine = Engine()
    for day in range(2):
        now = 1_714_564_800_000 + day * 86_400_000
        engine.apply([Event(f"s{day}{n}", "tea", now, user_id="u") for n in range(3)])
        rules = snapshot.fingerprint(engine.limits, decode={"timestamp_unit": "ms"})
        offsets = {"clicks": {0: 1_000 + day, 1: 7}}
        snapshot.write(tmp_path, engine.export_state(), created_at=now, fingerprint=rules, offsets=offsets)
    return tmp_path


def told(capsys: pytest.CaptureFixture[str], *argv: str | Path) -> tuple[int, str]:
    """Return exit code and output of a command."""
    code = main(["snapshot", *map(str, argv)])
    return code, capsys.readouterr().out


def test_a_folder_is_listed_oldest_first(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One line each, figures below their heads."""
    code, out = told(capsys, "list", folder)
    head, first, second = out.splitlines()
    assert 0 == code
    assert [
        "snapshot",
        "taken",
        "(UTC)",
        "sessions",
        "events",
        "MiB",
        "sum",
        "of",
        "offsets",
        "stream-rec",
    ] == head.split()
    assert ["snapshot-000000000001.srs", "2024-05-01", "12:00:00", "3", "3", "0.0", "1,007"] == first.split()[:7]
    assert ["snapshot-000000000002.srs", "2024-05-02", "12:00:00", "6", "6", "0.0", "1,008"] == second.split()[:7]
    assert len(head) == len(first) == len(second)


def test_programs_get_json(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The same facts, from all three commands."""
    first, second = snapshot.snapshots_in(folder)
    for command in ("list", "verify"):
        listed = json.loads(told(capsys, command, folder, "--json")[1])
        assert [str(first), str(second)] == [each["path"] for each in listed]
        assert {"clicks": {"0": 1001, "1": 7}} == listed[1]["offsets"]
        assert [True, True] == [each["valid"] for each in listed]
    inspected = json.loads(told(capsys, "inspect", second, "--json")[1])
    assert "ms" == inspected["fingerprint"]["decode"]["timestamp_unit"]
    assert (6, str(second)) == (inspected["counts"]["sessions_with_users"], inspected["path"])


def test_one_is_inspected(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """When, how far in the log, how much of what, under which settings."""
    code, out = told(capsys, "inspect", snapshot.snapshots_in(folder)[1])
    facts = dict(line.strip().split("  ", 1) for line in out.splitlines())
    facts = {name: value.strip() for name, value in facts.items()}
    assert 0 == code
    assert "2024-05-02 12:00:00" == facts["taken (UTC)"] == facts["newest event (UTC)"]
    assert ("6", "1,001", "7") == (facts["events"], facts["goes on from clicks-0"], facts["goes on from clicks-1"])
    assert ("2592000000", '"ms"') == (facts["limits.retention_ms"], facts["decode.timestamp_unit"])


def test_what_is_torn_is_named(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """By `verify`, and by `list` where the header itself is torn; both exit with 1."""
    first, second = snapshot.snapshots_in(folder)
    assert (0, f"{first}: valid\n{second}: valid\n") == told(capsys, "verify", folder)
    content = first.read_bytes()
    first.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    code, out = told(capsys, "verify", folder)
    assert 1 == code
    assert f"{first}: torn: the checksum at its end differs; remove it" in out
    assert f"{second}: valid" in out
    assert 1 == told(capsys, "verify", first)[0]
    assert 0 == told(capsys, "verify", second)[0]
    assert 0 == told(capsys, "list", folder)[0], "its header is whole"
    first.write_bytes(content[:40])
    code, out = told(capsys, "list", folder)
    assert 1 == code
    assert f"\n{first}: torn: it ends within its header" in out
    assert {"path": str(first), "valid": False} == {
        key: value
        for key, value in json.loads(told(capsys, "verify", folder, "--json")[1])[0].items()
        if key in {"path", "valid"}
    }


def test_one_that_cannot_be_read_is_one_line(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """And the exit code of what is no misuse."""
    path = folder / "other.srs"
    path.write_text("clicks", encoding="utf-8")
    assert main(["snapshot", "inspect", str(path)]) == 1
    assert f"stream-rec: {path}: no snapshot" in capsys.readouterr().err


def test_a_folder_without_snapshots_is_no_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A missing one is misuse."""
    for command in ("list", "verify"):
        assert (0, f"no snapshots in {tmp_path}\n") == told(capsys, command, tmp_path)
        assert 2 == main(["snapshot", command, str(tmp_path / "none")])


def test_a_time_that_no_calendar_holds_is_told_in_ms(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """And one that was not given as none."""
    engine = Engine()
    engine.apply([Event("a", "i", 1 << 60)])
    snapshot.save(engine, tmp_path / "engine.srs")
    out = told(capsys, "inspect", tmp_path / "engine.srs")[1]
    assert f"{1 << 60} ms" in out
    assert "taken (UTC)" in out
