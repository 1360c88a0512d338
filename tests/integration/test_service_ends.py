"""How a service ends, on request or by a crash, and how the next one goes on from there."""

import contextlib
import subprocess
import time
from pathlib import Path

import msgspec
import pytest
from kafka_broker import Broker
from running import running
from serving import serving
from shop import LOG, Shop, keyed, one_by_one, pairs
from topics import Sent, committed_offsets, delete_before, eventually

from stream_rec.core.engine import Engine
from stream_rec.simulator.clickstream import Shape, events
from stream_rec.snapshot import read_header, snapshots_in

STOP_S = 10
SLACK_S = 5  # for a busy machine
MORE = list(events(Shape(sessions=900, items=90, structure=0.8, users=200, seed=6)))
LATER = [msgspec.structs.replace(event, event_id=None, timestamp=MORE[-1].timestamp + 1) for event in LOG]


@pytest.fixture
def shop(broker: Broker) -> Shop:
    return Shop(broker)


def test_a_stop_in_good_order(shop: Shop, tmp_path: Path) -> None:
    """SIGTERM amid work: the service answers and commits what it read, writes a snapshot, and leaves the group.

    The next one takes over at once, not after the session timeout, reads only new records, and goes on as if
    nothing had happened.
    """
    folder = tmp_path / "snapshots"
    argv = [*shop.argv, "--snapshots", folder, "--batch-events", 50, "--kafka", "consumer.session.timeout.ms=45000"]
    with running(tmp_path, *argv) as service:
        service.ready()
        shop.produce(*keyed(MORE))
        eventually(lambda: committed_offsets(shop.address, shop.clicks, shop.group).get(0, 0) > 0, "the first answers")
        begun = time.monotonic()
        assert 0 == service.stop(), service.said()
        assert time.monotonic() - begun < STOP_S + SLACK_S
    (reached,) = committed_offsets(shop.address, shop.clicks, shop.group).values()
    assert reached == len(shop.answers())
    newest = snapshots_in(folder)[-1]
    assert {shop.clicks: {0: reached}} == read_header(newest).offsets

    shop.produce(*keyed(LATER))
    begun = time.monotonic()
    with serving(shop.address, **shop.flags, snapshots=str(folder)) as next_one:
        next_one.ready()
        assert time.monotonic() - begun < 30
        eventually(shop.is_all_committed, "all")
        assert 0 == next_one.kafka_service.counters.n_followed
    assert one_by_one([*MORE, *LATER], shop.clicks, Engine()) == pairs(shop.answers())


def test_a_crash_leaves_no_trace(shop: Shop, tmp_path: Path) -> None:
    """SIGKILL amid work, and another start: answers, their order and their bytes are those of a run without a crash."""
    argv = [*shop.argv, "--snapshots", tmp_path / "snapshots", "--snapshot-every", "1s", "--batch-events", 20]
    with running(tmp_path, *argv) as service:
        service.ready()
        shop.produce(*keyed(MORE[:1500]))
        eventually(lambda: committed_offsets(shop.address, shop.clicks, shop.group).get(0, 0) > 300, "some answers")
        service.kill()
        shop.produce(*keyed(MORE[1500:2000]))
        service.start()
        eventually(shop.is_all_committed, "all")
        assert 0 == service.stop()
    assert one_by_one(MORE[:2000], shop.clicks, Engine()) == pairs(shop.answers())


def test_answers_through_a_pipe(shop: Shop, tmp_path: Path) -> None:
    """Answers go to standard output, at least once; the summary goes to standard error."""
    argv = shop.argv
    argv[3] = "-"
    shop.produce(*keyed(LOG), Sent(b"broken"))
    with running(tmp_path, *argv) as service:
        eventually(shop.is_all_committed, "all")
        assert 0 == service.stop()
        assert f"read           {len(LOG) + 1:,} records" in service.said()
        assert "dead-lettered  1 (not_json 1)" in service.said()
        assert "at least once" in service.said()
    assert [value for value, _ in one_by_one(LOG, shop.clicks, Engine())] == service.out.read_bytes().splitlines()


class TestSnapshots:
    """A start from the snapshots in the folder."""

    @pytest.fixture
    def left(self, shop: Shop, tmp_path: Path) -> Path:
        """A folder with two snapshots, of a service that ended in good order twice."""
        folder = tmp_path / "snapshots"
        for part in (LOG[:100], LOG[100:200]):
            shop.produce(*keyed(part))
            shop.serve(snapshots=str(folder))
        assert 2 == len(snapshots_in(folder))
        return folder

    def test_a_torn_one_is_skipped(self, shop: Shop, left: Path, caplog: pytest.LogCaptureFixture) -> None:
        """The service logs a warning, and recovers from the older snapshot, which takes a little longer."""
        torn = snapshots_in(left)[-1]
        torn.write_bytes(torn.read_bytes()[:-100])
        shop.produce(*keyed(LOG[200:]))
        shop.serve(snapshots=str(left))
        assert f"skipped {torn}" in caplog.text
        assert one_by_one(LOG, shop.clicks, Engine()) == pairs(shop.answers())

    def test_one_that_retention_has_cut_off(
        self, shop: Shop, left: Path, broker: Broker, caplog: pytest.LogCaptureFixture
    ) -> None:
        """The log says what retention removed, of state and answers, and the service answers the remaining records."""
        shop.produce(*keyed(LOG[200:300]))
        delete_before(broker, shop.clicks, 250)
        shop.serve(snapshots=str(left))
        lost = "50 records (offsets 200 to 249)"
        assert f"{lost} were removed by the topic's retention before they were answered" in caplog.text
        assert f"{lost} after the snapshot were removed by the topic's retention" in caplog.text
        engine = Engine()
        expected = one_by_one(LOG[:200], shop.clicks, engine) + one_by_one(LOG[250:300], shop.clicks, engine, 250)
        assert expected == pairs(shop.answers())

    def test_a_full_disk(self, shop: Shop, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
        """The failed snapshot is logged; answers go on, the older one stays valid, and a later one succeeds."""
        folder = tmp_path / "small"
        folder.mkdir()
        mount = ["/bin/mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(folder)]
        if subprocess.run(mount, capture_output=True, check=False).returncode:
            pytest.skip("a small disk can be had by root only, where mounting is allowed")
        try:
            shop.produce(*keyed(LOG[:100]))
            shop.serve(snapshots=str(folder))
            (whole,) = snapshots_in(folder)
            filler = folder / "filler"
            fill(filler)
            shop.produce(*keyed(LOG[100:200]))
            with serving(shop.address, **shop.flags, snapshots=str(folder), snapshot_every_ms="1s"):
                eventually(shop.is_all_committed, "answers although the disk is full")
                eventually(lambda: "snapshot failed" in caplog.text, "that it failed is said")
                assert "No space left on device" in caplog.text
                assert [whole] == snapshots_in(folder)
                filler.unlink()
                eventually(lambda: len(snapshots_in(folder)) > 1, "another snapshot, with the room for it")
            assert one_by_one(LOG[:200], shop.clicks, Engine()) == pairs(shop.answers())
        finally:
            subprocess.run(["/bin/umount", str(folder)], check=True)


def fill(path: Path) -> None:
    """Leave no room on the disk of *path*."""
    with contextlib.suppress(OSError), path.open("wb", buffering=0) as file:
        while True:
            file.write(bytes(4096))
