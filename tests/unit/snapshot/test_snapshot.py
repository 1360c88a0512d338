"""Snapshots: folders, refused files and the reasons, crashes at every step, one writer."""

import errno
import os
import pickle
import resource
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from stream_rec import Engine, Event, Limits, SettingsError, SnapshotError, private_files, snapshot
from stream_rec.core.engine_state import EngineSnapshot
from stream_rec.core.index.kernel import entries
from stream_rec.service.assembly.warm_up import warm_up
from stream_rec.snapshot.columns import VERSION

LIMITS = Limits(retention_ms=1_000_000, max_sessions=50)
RULES = snapshot.fingerprint(LIMITS)
TEA = [Event("anna", "tea", 1_000), Event("anna", "cup", 2_000), Event("ben", "tea", 3_000, user_id="b")]


class Crash(BaseException):
    """The process has died: nothing is cleaned up after it."""


@pytest.fixture
def engine() -> Engine:
    made = Engine(limits=LIMITS)
    made.apply(TEA)
    return made


def put(folder: Path, engine: Engine, **others: Any) -> Path:
    """Write the state of *engine*."""
    return snapshot.write(folder, engine.export_state(), **{"created_at": 7, "fingerprint": RULES, **others})


def sessions(found: snapshot.Snapshot | None) -> list[str]:
    """Return the sessions of a snapshot's engine."""
    assert found is not None
    engine = Engine(limits=LIMITS)
    engine.import_state(found.state)
    engine._check()
    return sorted(engine.session_ids())


def crash_at(crashing: str) -> Callable[[str], None]:
    """Return a hook that ends the process at one step."""

    def step(name: str) -> None:
        if name == crashing:
            raise Crash

    return step


# --- a folder


def test_the_newest_few_are_kept_and_names_only_grow(tmp_path: Path, engine: Engine) -> None:
    """A later snapshot has a later name, whatever the clock says, also after older ones are removed."""
    paths = [put(tmp_path, engine, created_at=10 - j, keep=2) for j in range(4)]
    assert sorted(paths) == paths
    assert paths[2:] == snapshot.snapshots_in(tmp_path)
    assert [paths[2]] == snapshot.purge_before(tmp_path, paths[3])
    assert paths[3:] == snapshot.snapshots_in(tmp_path)
    assert put(tmp_path, engine) > paths[3]


def test_the_header_describes_the_snapshot(tmp_path: Path, engine: Engine) -> None:
    """The header alone has the time, the offsets, the counts and the rules."""
    header = snapshot.read_header(put(tmp_path, engine, offsets={"clicks": {0: 5, 11: 0}}))
    assert {"clicks": {0: 5, 11: 0}} == header.offsets
    assert (7, 3_000, RULES) == (header.created_at, header.watermark, header.fingerprint)
    assert (2, 3, 2) == tuple(header.counts[name] for name in ("sessions", "events", "items"))
    assert header == snapshot.verify(snapshot.snapshots_in(tmp_path)[0])


def test_there_may_be_no_snapshot(tmp_path: Path) -> None:
    """Without a folder or a snapshot there is none to load: the log is read from its start."""
    assert snapshot.newest_valid(tmp_path / "none", RULES) is None
    assert [] == snapshot.snapshots_in(tmp_path / "none")


def test_an_empty_engine_has_a_snapshot(tmp_path: Path) -> None:
    """An empty engine round-trips."""
    path = put(tmp_path, Engine(limits=LIMITS))
    assert [] == sessions(snapshot.read(path, RULES))


def test_unusable_snapshots_are_skipped_with_a_warning(tmp_path: Path, engine: Engine) -> None:
    """Torn, foreign, of another version, of other settings: each is reported, and the newest usable one is taken."""
    good = put(tmp_path, engine, keep=9)
    torn, random, version = (put(tmp_path, engine, keep=9) for _ in range(3))
    put(tmp_path, engine, keep=9, fingerprint=snapshot.fingerprint(Limits(max_sessions=51)))
    torn.write_bytes(torn.read_bytes()[:-20])
    random.write_bytes(os.urandom(1_000))
    version.write_bytes(version.read_bytes()[:8] + b"\x09" + version.read_bytes()[9:])
    messages: list[str] = []
    found = snapshot.newest_valid(tmp_path, RULES, warn=messages.append)
    assert found is not None
    assert good == found.path
    for said, part in zip(
        messages, ["limits.max_sessions: 51, not 50", "format version 9", "not a snapshot", "torn"], strict=True
    ):
        assert said.startswith("skipped ")
        assert part in said
        assert "replay the log" in said


def test_a_snapshot_from_the_future_is_skipped(tmp_path: Path, engine: Engine) -> None:
    """A snapshot ahead of the committed offsets would skip records that still need answers."""
    older = put(tmp_path, engine, offsets={"t": {0: 5, 1: 2}})
    newer = put(tmp_path, engine, offsets={"t": {0: 6, 1: 2}})
    messages: list[str] = []

    def found(at_most: snapshot.OffsetsByTopic | None) -> Path | None:
        taken = snapshot.newest_valid(tmp_path, RULES, at_most, messages.append)
        return taken and taken.path

    assert newer == found(None)
    assert newer == found({"t": {0: 6, 1: 2, 2: 9}})
    assert [] == messages
    assert older == found({"t": {0: 5, 1: 9}})
    assert "t-0 at 6, not 5" in messages[0]
    assert found({"t": {0: 6}}) is None, "a partition that nothing is committed of stands at 0"


@pytest.mark.parametrize(
    ("theirs", "ours", "named"),
    [
        (
            {"limits": Limits(retention_ms=5_000)},
            {"limits": Limits(retention_ms=6_000)},
            "limits.retention_ms: 5000, not 6000",
        ),
        ({"session_gap_ms": 5}, {}, "session_gap_ms: 5, not None"),
        (
            {"decode": {"timestamp_unit": "s"}},
            {"decode": {"timestamp_unit": "ms"}},
            "decode.timestamp_unit: 's', not 'ms'",
        ),
        ({"decode": {"types": {"b", "a"}}}, {}, "decode.types: ['a', 'b'], not None"),
    ],
)
def test_differing_settings_are_named(
    tmp_path: Path, engine: Engine, theirs: dict[str, Any], ours: dict[str, Any], named: str
) -> None:
    """The error names both values, and what can be done."""
    made, wanted = (snapshot.fingerprint(**{"limits": LIMITS, **each}) for each in (theirs, ours))
    path = put(tmp_path, engine, fingerprint=made)
    snapshot.read(path, made)
    with pytest.raises(SnapshotError) as refused:
        snapshot.read(path, wanted)
    assert named in refused.value.message
    assert "set them as they were" in refused.value.message


def test_irrelevant_values_are_not_in_the_fingerprint() -> None:
    """An explicit default is the same rule; prices count only if memory is limited."""
    spelt = Limits(retention_ms=5_000, allowed_lateness_ms=2_500, dedupe_window_ms=2_500)
    assert snapshot.fingerprint(Limits(retention_ms=5_000)) == snapshot.fingerprint(spelt)
    assert snapshot.fingerprint(LIMITS)["prices"] is None
    assert snapshot.fingerprint(Limits(max_bytes=10**8))["prices"]["store"] > 0


# --- crashes and refusals


@pytest.mark.parametrize("step", snapshot.STEPS)
def test_a_crash_at_any_step_leaves_a_valid_snapshot(tmp_path: Path, engine: Engine, step: str) -> None:
    """The older snapshot stays until the new one is complete; the next write removes leftovers."""
    put(tmp_path, engine)
    engine.apply([Event("cleo", "tea", 4_000)])
    with pytest.raises(Crash):
        put(tmp_path, engine, step=crash_at(step))
    expected = ["anna", "ben", "cleo"] if step == "prune" else ["anna", "ben"]
    warnings: list[str] = []
    assert expected == sessions(snapshot.newest_valid(tmp_path, RULES, warn=warnings.append))
    assert [] == warnings
    last = put(tmp_path, engine, keep=1)
    assert [last] == list(tmp_path.iterdir())


def test_every_step_is_reported(tmp_path: Path, engine: Engine) -> None:
    """The steps come in order, each once."""
    messages: list[str] = []
    put(tmp_path, engine, step=messages.append)
    assert list(snapshot.STEPS) == messages


@pytest.mark.parametrize("step", snapshot.STEPS[:-1])
@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO])
def test_a_failed_write_leaves_nothing_behind(tmp_path: Path, engine: Engine, step: str, code: int) -> None:
    """On a full disk, at any step, the error names file, reason and next step, and the older snapshot is unchanged."""
    older = put(tmp_path, engine)
    content = older.read_bytes()

    def refuse(name: str) -> None:
        if name == step:
            raise OSError(code, os.strerror(code))

    with pytest.raises(SnapshotError, match=r"snapshot-000000000002\.srs: cannot be written") as refused:
        put(tmp_path, engine, step=refuse)
    assert os.strerror(code) in refused.value.message
    assert "free or repair the disk" in refused.value.message
    assert [older] == list(tmp_path.iterdir())
    assert content == older.read_bytes()


def test_a_limit_of_the_system_is_an_error_on_purpose(tmp_path: Path, engine: Engine) -> None:
    """The system itself refuses in the middle of a write."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (500, before[1]))
    try:
        with pytest.raises(SnapshotError, match=os.strerror(errno.EFBIG)):
            put(tmp_path, engine)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert [] == list(tmp_path.iterdir())


ALONE = ("/usr/bin/env", "unshare", "--map-root-user", "--mount", "sh", "-c")
FULL_DISK = """
import sys
from pathlib import Path
from stream_rec import Engine, Event, SnapshotError, snapshot

folder, engine = Path(sys.argv[1]), Engine()
engine.apply([Event("a", "i", 1)])
kept = snapshot.write(folder, engine.export_state(), created_at=0, fingerprint={})
engine.apply([Event(f"session {n}", "i", n) for n in range(10_000)])
try:
    snapshot.write(folder, engine.export_state(), created_at=0, fingerprint={})
except SnapshotError as error:
    print(error)
print([path.name for path in folder.iterdir()], snapshot.verify(kept).counts["sessions"])
"""


def test_a_disk_that_is_really_full(tmp_path: Path) -> None:
    """The disk is a file system of 64 KiB, in a namespace that ends with the test."""
    mounted = f'mount -t tmpfs -o size=64k none {tmp_path} && exec {sys.executable} -c "$1" {tmp_path}'
    try:
        subprocess.run([*ALONE, f"mount -t tmpfs none {tmp_path}"], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"this system does not allow mounting a file system to fill: {error}")
    done = subprocess.run([*ALONE, mounted, "sh", FULL_DISK], check=True, capture_output=True, text=True)
    message, left = done.stdout.splitlines()
    assert f"snapshot-000000000002.srs: cannot be written: {os.strerror(errno.ENOSPC)}" in message
    assert "['snapshot-000000000001.srs'] 1" == left


def test_an_unreadable_folder_is_an_error(tmp_path: Path) -> None:
    """A file in place of the folder is an error."""
    place = tmp_path / "file"
    place.touch()
    with pytest.raises(SnapshotError, match="cannot be listed"):
        snapshot.newest_valid(place, RULES)
    with pytest.raises(SnapshotError, match="cannot be read"):
        snapshot.read(tmp_path)


# --- what is refused


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "it is empty"),
        (b"\x89SRS", "it ends after 4 bytes"),
        (b"session_id,item_id,timestamp\n", "not a snapshot"),
        (b"\x89SRSNAP\n" + (VERSION + 1).to_bytes(4, "little") + bytes(60), f"format version {VERSION + 1}"),
        (b"\x89SRSNAP\n" + VERSION.to_bytes(4, "little") + bytes([255] * 4) + bytes(60), "within its header"),
        (b"\x89SRSNAP\n" + VERSION.to_bytes(4, "little") + bytes(60), "the checksum of its header differs"),
    ],
)
def test_the_error_of_another_file_says_what_is_wrong(tmp_path: Path, content: bytes, message: str) -> None:
    """A wrong file is refused before any of it is used."""
    path = tmp_path / "some.srs"
    path.write_bytes(content)
    for reader in (snapshot.read, snapshot.read_header, snapshot.verify):
        with pytest.raises(SnapshotError, match=message):
            reader(path)


def test_each_torn_column_is_named(tmp_path: Path, engine: Engine) -> None:
    """The error of a changed byte names its column, or the last checksum."""
    path = put(tmp_path, engine)
    whole, header = path.read_bytes(), snapshot.read_header(path)
    at = len(whole) - 16 - header.n_bytes
    for section in header.sections:
        if section.n_bytes:
            changed = bytearray(whole)
            changed[at] ^= 1
            path.write_bytes(changed)
            with pytest.raises(SnapshotError, match=f"torn: the checksum of {section.name} differs"):
                snapshot.read(path)
        at += section.n_bytes
    path.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    with pytest.raises(SnapshotError, match="the checksum at its end differs"):
        snapshot.read(path)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"sessions": np.array([0], np.int32)}, "different lengths"),
        ({"time": np.array([1, 2], np.int64)}, "different lengths"),
        ({"sessions": np.array([1, 0], np.int32)}, "do not ascend"),
        ({"sessions": np.array([0, 9], np.int32)}, "an ordinal has no name"),
        ({"sessions": np.array([-1, 0], np.int32)}, "do not ascend"),
        ({"items": np.array([1, 0], np.int32)}, "do not ascend"),
        ({"items": np.array([0], np.int32)}, "different lengths"),
        ({"n_events": np.array([3, 0], np.int32)}, "a session is empty"),
        ({"item": np.array([0, 1, 2], np.int32)}, "has no name"),
        ({"item": np.array([0, 1, -1], np.int32)}, "has no name"),
        ({"item": np.array([0, 0, 0], np.int32)}, "no session holds an item"),
        ({"type": np.array([0, 1, 0], np.uint8)}, "has no name"),
        ({"time": np.array([2, 1, 3], np.int64)}, "out of order"),
        ({"watermark": None}, "no time"),
    ],
)
def test_a_state_that_no_engine_leaves_is_refused(engine: Engine, changed: dict[str, Any], message: str) -> None:
    """Kernels trust their arrays, so wrong arrays are refused before; the engine stays unchanged."""
    state = engine.export_state()
    before = engine.recommend("ben")
    with pytest.raises(SnapshotError, match=message):
        engine.import_state(replace(state, retained=state.retained._replace(**changed)))
    assert before == engine.recommend("ben")
    engine._check()


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"session_names": ["anna", None]}, "names and ordinals"),
        ({"session_names": ["anna", "anna"]}, "two ordinals"),
        ({"item_names": ["tea", "cup", "pot"]}, "names and ordinals"),
        ({"type_names": [f"t{n}" for n in range(251)]}, "too many types"),
        ({"users": {7: "b"}}, "took part in no session"),
        (
            {"limits": Limits(retention_ms=1_000_000, max_sessions=50, max_session_events=1)},
            "max_session_events: 1, not 1000",
        ),
        ({"session_gap_ms": 9}, "session_gap_ms: 9, not None"),
    ],
)
def test_names_and_rules_that_do_not_fit_are_refused(engine: Engine, changed: dict[str, Any], message: str) -> None:
    """The error names what does not fit; the engine stays unchanged."""
    before = engine.recommend("ben")
    with pytest.raises(SnapshotError, match=message):
        engine.import_state(replace(engine.export_state(), **changed))
    assert before == engine.recommend("ben")
    engine._check()


def test_a_session_longer_than_the_limits_is_refused() -> None:
    """The kernel drops the oldest event only of a session with the maximum length."""
    limits = Limits(max_session_events=1)
    engine = Engine()
    engine.apply(TEA)
    with pytest.raises(SnapshotError, match="a session is too long"):
        Engine(limits=limits).import_state(replace(engine.export_state(), limits=limits))


# --- what is not of the state


def test_the_deny_list_is_that_of_the_loading_engine(engine: Engine) -> None:
    """The deny list does not affect the state."""
    other = Engine(limits=LIMITS, deny=["cup"])
    other.import_state(engine.export_state())
    assert "cup" in [each.item_id for each in engine.recommend("ben")]
    assert "cup" not in [each.item_id for each in other.recommend("ben")]


def test_a_used_engine_takes_another_state(engine: Engine) -> None:
    """Importing replaces everything, also parameters compiled for other event types."""
    other = Engine(limits=LIMITS, type_weights={"buy": 5.0}, session_gap_ms=None)
    other.apply([Event("x", "y", 9_000_000, "look"), Event("x", "z", 9_000_000, "buy", "e", "u")])
    other.recommend("x")
    other.import_state(engine.export_state())
    other._check()
    assert engine.stats() == other.stats()
    assert engine.recommend("ben") == other.recommend("ben")
    assert 0 == other.forget(user_id="u")


# --- many users


def test_a_session_of_very_many_users() -> None:
    """Many users of one session do not slow a log down, or break a pickle, a snapshot or forgetting."""
    engine, copy = Engine(), Engine()
    engine.apply([Event("null", "i", n, user_id=f"u{n}") for n in range(50_000)])
    copy.import_state(engine.export_state())
    again = pickle.loads(pickle.dumps(copy))  # noqa: S301  # our own, made in this line
    for each in (engine, copy, again):
        each._check()
        assert 1 == each.forget(user_id="u7")
        assert not each.sessions.has_users


def test_a_user_of_very_many_sessions() -> None:
    """One user may have all sessions, as in a shop without logins."""
    engine, copy = Engine(), Engine()
    engine.apply([Event(f"s{n}", "i", n, user_id="anonymous") for n in range(50_000)])
    copy.import_state(engine.export_state())
    copy._check()
    assert 50_000 == copy.forget(user_id="anonymous") == engine.forget(user_id="anonymous")


# --- one writer


def test_two_processes_do_not_share_a_folder(tmp_path: Path) -> None:
    """The error of the second says what to do; once the first has ended in any way, the folder is free."""
    code = "import sys; from stream_rec import snapshot; c = snapshot.claim(sys.argv[1], 'other'); print(c.instance)"

    def elsewhere() -> subprocess.CompletedProcess[str]:
        return subprocess.run([sys.executable, "-c", code, tmp_path], capture_output=True, text=True, check=False)

    with snapshot.claim(tmp_path, "first") as held:
        with pytest.raises(SettingsError, match="in use by another process") as refused:
            snapshot.claim(tmp_path, "second")
        assert "snapshots" == refused.value.key
        assert "its own folder" in refused.value.message
        assert "in use by another process" in elsewhere().stderr
    assert "first" == held.instance
    assert "first\n" == elsewhere().stdout, "the name stays with the folder"
    with snapshot.claim(tmp_path, "third") as again:
        assert "first" == again.instance


def test_the_name_of_an_instance_is_there_as_a_whole_or_not_at_all(tmp_path: Path) -> None:
    """An empty file, left by a crash, is not a name."""
    (tmp_path / "instance").touch()
    with snapshot.claim(tmp_path, "named") as held:
        assert "named" == held.instance


def test_a_folder_that_cannot_be_used_is_a_setting_to_fix(tmp_path: Path) -> None:
    """The error names the key and the system's reason."""
    (tmp_path / "file").touch()
    with pytest.raises(SettingsError, match="cannot be used"):
        snapshot.claim(tmp_path / "file" / "folder", "x")


@pytest.mark.parametrize("code", [errno.EROFS, errno.ENOSPC, errno.EIO])
def test_a_folder_that_cannot_be_used_for_a_while_is_no_wrong_setting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    """A full disk, or one that is read-only, may pass: the error is another one, and the claim works later."""
    with monkeypatch.context() as patched:
        patched.setattr(private_files, "appended", _failing(code))
        with pytest.raises(SnapshotError, match="cannot be written to"):
            snapshot.claim(tmp_path, "x")
    with snapshot.claim(tmp_path, "x"):
        pass


@pytest.mark.parametrize(("is_used", "expected"), [(True, SnapshotError), (False, SettingsError)])
def test_a_folder_of_another_user(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_used: bool, expected: type[Exception]
) -> None:
    """It is a wrong setting, but for a folder that could be written to before."""
    if is_used:
        snapshot.claim(tmp_path, "x").close()
    monkeypatch.setattr(private_files, "appended", _failing(errno.EACCES))
    with pytest.raises(expected):
        snapshot.claim(tmp_path, "x")


def _failing(code: int) -> Callable[..., None]:
    def fail(*_: object, **__: object) -> None:
        raise OSError(code, os.strerror(code))

    return fail


def test_a_folder_with_snapshots_is_claimed_and_pruned_alike(tmp_path: Path, engine: Engine) -> None:
    """Files of the claim are not snapshots, and stay."""
    with snapshot.claim(tmp_path, "x"):
        for _ in range(3):
            last = put(tmp_path, engine, keep=1)
    assert {"lock", "instance", last.name} == {path.name for path in tmp_path.iterdir()}


# --- the library's


def test_an_engine_is_saved_and_loaded(tmp_path: Path, engine: Engine) -> None:
    """It has its own limits and other arguments given; saving replaces the file atomically."""
    path = tmp_path / "engine.srs"
    snapshot.save(Engine(), path)
    snapshot.save(engine, path)
    loaded = snapshot.load(path, "stan", deny=["cup"])
    assert ("stan", engine.stats()) == (loaded.model.name, loaded.stats())
    assert [path] == list(tmp_path.iterdir())
    with pytest.raises(SnapshotError, match="max_sessions: 50, not None"):
        snapshot.load(path, limits=Limits())
    with pytest.raises(SnapshotError, match="cannot be read: No such file"):
        snapshot.load(tmp_path / "other.srs")


def test_kernels_of_a_service_are_warmed_up() -> None:
    """Otherwise the first snapshot would wait for a compiler while answers wait for it."""
    warm_up(answers_events=False, keeps_snapshots=True)
    needed = (entries.copy_sessions, entries.place_events, entries.place_postings)
    assert all(each._code is not None for each in needed)


def test_a_state_is_read_by_another_thread_only(engine: Engine) -> None:
    """The state shares no array with the engine."""
    state: EngineSnapshot = engine.export_state()
    for array in state.retained:
        if isinstance(array, np.ndarray):
            assert not any(np.shares_memory(array, other) for other in engine.index.state)
    assert state.session_names is not engine.sessions.ids.names
