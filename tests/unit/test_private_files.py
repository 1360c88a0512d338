"""What holds ids of visitors is readable by one user only, and no link of another user is followed."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
from web import embedded

from stream_rec import Engine, Event, private_files, snapshot
from stream_rec.errors import SettingsError, SnapshotError
from stream_rec.service.reporting.status import write_status
from stream_rec.service.requests.journal import Journal
from stream_rec.snapshot import claim, fingerprint, write


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture(autouse=True)
def permissive() -> Iterator[None]:
    """As in many containers: no mask takes a right away."""
    before = os.umask(0)
    yield
    os.umask(before)


def engine() -> Engine:
    made = Engine()
    made.apply([Event("anna", "tea", 1_000)])
    return made


def test_snapshots(tmp_path: Path) -> None:
    """Files, the lock, the name of the instance, and the folder; a folder that was there keeps its mode."""
    folder = tmp_path / "parent" / "snapshots"
    with claim(folder, "name"):
        path = write(folder, engine().export_state(), created_at=1, fingerprint=fingerprint(engine().limits))
        assert {0o600} == {mode(each) for each in folder.iterdir()}
        assert {"lock", "instance", path.name} == {each.name for each in folder.iterdir()}
    assert 0o700 == mode(folder)
    (tmp_path / "own").mkdir(mode=0o750)
    snapshot.save(engine(), tmp_path / "own" / "engine.srs")
    assert (0o750, 0o600) == (mode(tmp_path / "own"), mode(tmp_path / "own" / "engine.srs"))


def test_a_link_under_a_temporary_name_is_not_followed(tmp_path: Path) -> None:
    """Whoever may write to the folder could name any file of the service's user there, and have it overwritten."""
    victim = tmp_path / "victim"
    victim.write_text("mine")
    folder = tmp_path / "snapshots"
    folder.mkdir()
    for name in ("engine.part", "snapshot-000000000001.part", "instance.part", ".status.json.part"):
        (folder / name).symlink_to(victim)
    snapshot.save(engine(), folder / "engine.srs")
    with claim(folder, "name"):
        write(folder, engine().export_state(), created_at=1, fingerprint=fingerprint(engine().limits))
    with embedded() as running:
        write_status(folder / "status.json", running.served.status())
    assert "mine" == victim.read_text()
    assert not any(each.is_symlink() for each in folder.iterdir())


def test_a_leftover_that_cannot_be_removed_is_an_error(tmp_path: Path) -> None:
    """A folder in its place, for example."""
    (tmp_path / "engine.part").mkdir()
    with pytest.raises(SnapshotError, match="cannot be written"):
        snapshot.save(engine(), tmp_path / "engine.srs")


def test_the_journal_and_the_status(tmp_path: Path) -> None:
    """Each is private from its first byte on; a journal that was there keeps its mode."""
    status, journal = tmp_path / "status.json", tmp_path / "journal.jsonl"
    with embedded(journal=str(journal)) as running:
        running.client.post("/v1/events", {"session_id": "a", "item_id": "i"})
        for _ in range(2):
            write_status(status, running.served.status())
            assert {0o600} == {mode(status), mode(journal)}
    journal.chmod(0o640)
    Journal(journal, "http").close()
    assert 0o640 == mode(journal)
    with pytest.raises(SettingsError, match="cannot write"):
        Journal(tmp_path / "none" / "journal", "http")


def test_a_new_file_takes_the_place_of_what_was_there(tmp_path: Path) -> None:
    """A half-written one of a crash, with whatever mode it had."""
    path = tmp_path / "x.part"
    path.write_text("half")
    path.chmod(0o666)
    with private_files.created(path) as file:
        file.write(b"new")
    assert (b"new", 0o600) == (path.read_bytes(), mode(path))
