"""`stream-rec snapshot`: its output for people and for programs, and its exit codes."""

import json
from pathlib import Path

import pytest

from stream_rec import Engine, Event, snapshot
from stream_rec.cli.main import main


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder of two snapshots, a day apart, at different offsets."""
    engine = Engine()
    for day in range(2):
        now = 1_714_564_800_000 + day * 86_400_000
        engine.apply([Event(f"s{day}{n}", "tea", now, user_id="u") for n in range(3)])
        rules = snapshot.fingerprint(engine.limits, decode={"timestamp_unit": "ms"})
        offsets = {"clicks": {0: 1_000 + day, 1: 7}}
        snapshot.write(tmp_path, engine.export_state(), created_at=now, fingerprint=rules, offsets=offsets)
    return tmp_path


def output_of(capsys: pytest.CaptureFixture[str], *argv: str | Path) -> tuple[int, str]:
    """Return exit code and output of a command."""
    code = main(["snapshot", *map(str, argv)])
    return code, capsys.readouterr().out


def test_a_folder_is_listed_oldest_first(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Each snapshot has a line, its figures below their headings."""
    code, out = output_of(capsys, "list", folder)
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


def test_all_commands_print_json(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """All three commands give the same facts as JSON."""
    first, second = snapshot.snapshots_in(folder)
    for command in ("list", "verify"):
        listed = json.loads(output_of(capsys, command, folder, "--json")[1])
        assert [str(first), str(second)] == [each["path"] for each in listed]
        assert {"clicks": {"0": 1001, "1": 7}} == listed[1]["offsets"]
        assert [True, True] == [each["valid"] for each in listed]
    inspected = json.loads(output_of(capsys, "inspect", second, "--json")[1])
    assert "ms" == inspected["fingerprint"]["decode"]["timestamp_unit"]
    assert (6, str(second)) == (inspected["counts"]["sessions_with_users"], inspected["path"])


def test_inspect_shows_the_header(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`inspect` shows the time, the offsets, the counts and the settings."""
    code, out = output_of(capsys, "inspect", snapshot.snapshots_in(folder)[1])
    facts = dict(line.strip().split("  ", 1) for line in out.splitlines())
    facts = {name: value.strip() for name, value in facts.items()}
    assert 0 == code
    assert "2024-05-02 12:00:00" == facts["taken (UTC)"] == facts["newest event (UTC)"]
    assert ("6", "1,001", "7") == (facts["events"], facts["next offset of clicks-0"], facts["next offset of clicks-1"])
    assert ("2592000000", '"ms"') == (facts["limits.retention_ms"], facts["decode.timestamp_unit"])


def test_torn_snapshots_are_named(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`verify` names a torn snapshot, and so does `list` if its header is torn; both exit with 1."""
    first, second = snapshot.snapshots_in(folder)
    assert (0, f"{first}: valid\n{second}: valid\n") == output_of(capsys, "verify", folder)
    content = first.read_bytes()
    first.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    code, out = output_of(capsys, "verify", folder)
    assert 1 == code
    assert f"{first}: torn: the checksum at its end differs; remove it" in out
    assert f"{second}: valid" in out
    assert 1 == output_of(capsys, "verify", first)[0]
    assert 0 == output_of(capsys, "verify", second)[0]
    assert 0 == output_of(capsys, "list", folder)[0], "its header is whole"
    first.write_bytes(content[:40])
    code, out = output_of(capsys, "list", folder)
    assert 1 == code
    assert f"\n{first}: torn: it ends within its header" in out
    assert {"path": str(first), "valid": False} == {
        key: value
        for key, value in json.loads(output_of(capsys, "verify", folder, "--json")[1])[0].items()
        if key in {"path", "valid"}
    }


def test_an_unreadable_snapshot_is_a_one_line_error(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The exit code is 1: the file is wrong, not the usage."""
    path = folder / "other.srs"
    path.write_text("clicks", encoding="utf-8")
    assert main(["snapshot", "inspect", str(path)]) == 1
    assert f"stream-rec: {path}: not a snapshot" in capsys.readouterr().err


def test_a_folder_without_snapshots_is_no_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A missing folder is wrong usage."""
    for command in ("list", "verify"):
        assert (0, f"no snapshots in {tmp_path}\n") == output_of(capsys, command, tmp_path)
        assert 2 == main(["snapshot", command, str(tmp_path / "none")])


def test_a_time_that_no_calendar_holds_is_shown_in_ms(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A time that was not given is shown as a dash."""
    engine = Engine()
    engine.apply([Event("a", "i", 1 << 60)])
    snapshot.save(engine, tmp_path / "engine.srs")
    out = output_of(capsys, "inspect", tmp_path / "engine.srs")[1]
    assert f"{1 << 60} ms" in out
    assert "taken (UTC)" in out
