"""Snapshots of a running service: when they are written, and how a recovery uses them."""

import logging
import threading
from pathlib import Path
from threading import Semaphore

import pytest
from clicks import CLICKS, answers, broker_with, clicks, run_until, threaded
from crash import Crash, make_processor, parts

from stream_rec.errors import SnapshotError
from stream_rec.service.committing.snapshots import Snapshots
from stream_rec.service.problems import Problems
from stream_rec.service.running.consumer_loop import ConsumerLoop
from stream_rec.service.running.kafka_service import KafkaService
from stream_rec.snapshot import read, snapshots_in
from stream_rec.transport.broker import Partition


class TestSnapshots:
    """When they are written, and what a recovery makes of them."""

    @staticmethod
    def snapshots(folder: Path, **others: object) -> Snapshots:
        given: dict[str, object] = {"every_s": 0.0, "keep": 2, "now_ms": lambda: 7, **others}
        return Snapshots(folder, {"of": "a test"}, **given)  # type: ignore[arg-type]  # a test's own

    def test_a_restart_reads_on_from_the_last_one(self, tmp_path: Path) -> None:
        """Its answers are those of a service that was not restarted."""
        broker = broker_with(clicks(40))
        for _ in range(2):
            keeper = self.snapshots(tmp_path)
            service = KafkaService(lambda _: threaded(broker, snapshots=keeper, listener=keeper))  # noqa: B023  # used in this turn
            goal = len(broker.logs[CLICKS])
            run_until(service, lambda: broker.groups["stream-rec"].committed.get(CLICKS) == goal)  # noqa: B023  # as above
            for value in clicks(10, start=goal):
                broker.produce("clicks", value, b"k")
        assert 0 == service.counters.n_followed, "nothing was read twice"
        without = broker_with(clicks(50))
        plain = KafkaService(lambda _: threaded(without))
        run_until(plain, lambda: without.groups["stream-rec"].committed.get(CLICKS) == 50)
        assert answers(without) == answers(broker)

    def test_a_snapshot_behind_what_retention_left_is_used_with_a_warning(
        self, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        """The log says how many records are missing in between."""
        broker = broker_with(clicks(20))
        keeper = self.snapshots(tmp_path)
        service = KafkaService(lambda _: threaded(broker, snapshots=keeper, listener=keeper))
        run_until(service, lambda: broker.groups["stream-rec"].committed.get(CLICKS) == 20)
        for value in clicks(30, start=20):
            broker.produce("clicks", value, b"k")
        broker.groups["stream-rec"].committed[CLICKS] = 45
        broker.cut_off(CLICKS, 40)
        again = self.snapshots(tmp_path)
        with caplog.at_level(logging.WARNING):
            loop = ConsumerLoop(parts(broker, again), lambda: False)
        assert "20 records (offsets 20 to 39) after the snapshot were removed" in caplog.text
        assert {CLICKS: 45} == loop.batch_reader.offsets

    @pytest.mark.parametrize("order", [b'{"type":"forget","session_id":"s1"}', None])
    def test_a_forgotten_session_leaves_the_snapshots(self, order: bytes | None, tmp_path: Path) -> None:
        """Soon after the order a new one is written, and those that held it are removed, without another event."""
        broker = broker_with([])
        now = [100.0]
        keeper = self.snapshots(tmp_path, every_s=1e9, clock=lambda: now[0], beside=False)
        now[0] += 1e9
        loop = ConsumerLoop(parts(broker, keeper), lambda: False)
        for value in clicks(3):
            broker.produce("clicks", value, b"s1")
        loop.step(0.0)
        (held,) = snapshots_in(tmp_path)
        assert b"s1" in held.read_bytes()
        broker.produce("clicks", order, b"s1")
        while loop.step(0.0):
            pass
        now[0] += 6.0
        keeper.idle(loop.processor.engine)
        (left,) = snapshots_in(tmp_path)
        assert left != held
        assert b"s1" not in left.read_bytes()
        assert "s1" not in read(left).state.session_names

    @pytest.mark.parametrize("at", ["open", "prune"])
    def test_a_forgotten_session_leaves_the_snapshots_of_a_killed_service(self, at: str, tmp_path: Path) -> None:
        """Killed before it wrote the one without it, or removed the others: the next start does, on a quiet log."""
        broker = broker_with([])
        now = [100.0]
        fuse: list[str] = []

        def step(name: str) -> None:
            if name in fuse:
                raise Crash(name)

        def keep(**others: object) -> Snapshots:
            return self.snapshots(tmp_path, every_s=1e9, clock=lambda: now[0], beside=False, **others)

        keeper = keep(step=step)
        now[0] += 1e9
        loop = ConsumerLoop(parts(broker, keeper), lambda: False)
        for value in (*clicks(3), b'{"type":"forget","session_id":"s1"}'):
            broker.produce("clicks", value, b"s1")
            while loop.step(0.0):
                pass
        (held,) = snapshots_in(tmp_path)
        assert {CLICKS: 4} == broker.groups["stream-rec"].committed
        fuse.append(at)
        now[0] += 6.0
        with pytest.raises(Crash):
            keeper.idle(loop.processor.engine)
        assert held in snapshots_in(tmp_path)
        broker.expire("stream-rec")
        again = keep()
        loop = ConsumerLoop(parts(broker, again), lambda: False)
        now[0] += 6.0
        again.idle(loop.processor.engine)
        (left,) = snapshots_in(tmp_path)
        assert left != held
        assert b"s1" not in left.read_bytes()

    def test_one_is_written_only_when_its_offsets_are_committed(self, tmp_path: Path) -> None:
        """A recovery could not use one that is ahead of the group."""
        keeper = self.snapshots(tmp_path)
        committed, asked = {CLICKS: 0}, Semaphore(0)

        def group_offsets() -> dict[Partition, int]:
            asked.release()
            return committed

        keeper.begin({}, forgot=False, committed=group_offsets)
        keeper.after(make_processor().engine, {CLICKS: 3}, forgot=False)
        for _ in range(3):
            assert asked.acquire(timeout=10)
        assert [] == snapshots_in(tmp_path)
        committed[CLICKS] = 3
        assert keeper.join(10)
        assert 1 == len(snapshots_in(tmp_path))

    def test_one_thread_writes_them_all(self, tmp_path: Path) -> None:
        """Beside the engine's. A new thread for each would make the process grow by what each needs."""
        writers: set[int] = set()
        keeper = self.snapshots(tmp_path, step=lambda _: writers.add(threading.get_ident()))
        processor = make_processor()
        for at in range(4):
            keeper.after(processor.engine, {CLICKS: at}, forgot=False)
            assert keeper.join(60)
        assert 2 == len(snapshots_in(tmp_path))
        assert 1 == len(writers - {threading.get_ident()}) == len(writers)

    @pytest.mark.parametrize("at", ["sync", "prune"])
    def test_after_a_failure_the_next_one_is_written(
        self, at: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        """No memory is left, or a file is removed: that is logged and counted, and what was to be purged still is."""
        failing: list[str] = []

        def step(name: str) -> None:
            if name in failing:
                failing.clear()
                if name == "sync":
                    raise MemoryError
                snapshots_in(tmp_path)[-1].unlink()

        keeper = self.snapshots(tmp_path, step=step)
        processor = make_processor()
        for offset in (1, 2, 3):
            failing += [at] if offset == 2 else []
            keeper.after(processor.engine, {CLICKS: offset}, forgot=offset == 2)
            assert keeper.join(10)
        assert (1, 2) == (keeper.failed.count, keeper.written.count)
        assert caplog.text.count("snapshot failed, and is tried again") == 1
        (left,) = snapshots_in(tmp_path)
        assert {"clicks": {0: 3}} == read(left).header.offsets

    def test_none_is_written_beside_another(self, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
        """A stop while one is being written writes no last one, and the other gets no name any more."""
        is_writing, go_on = threading.Event(), threading.Event()

        def step(name: str) -> None:
            if name == "sync":
                is_writing.set()
                go_on.wait(2)

        keeper = self.snapshots(tmp_path, step=step)
        processor = make_processor()
        keeper.after(processor.engine, {CLICKS: 1}, forgot=False)
        assert is_writing.wait(10)
        keeper.after(processor.engine, {CLICKS: 2}, forgot=False)
        keeper.close(processor.engine, 0.05)
        assert "no last one is written" in caplog.text
        go_on.set()
        assert keeper.join(10)
        assert [] == list(tmp_path.glob("snapshot-*"))
        keeper.after(processor.engine, {CLICKS: 3}, forgot=False)
        keeper.close(processor.engine, 10)
        (left,) = snapshots_in(tmp_path)
        assert {"clicks": {0: 3}} == read(left).header.offsets

    def test_none_is_written_after_its_consumer_loop_has_ended(self, tmp_path: Path) -> None:
        """One that waits for its offsets must not go by those of the next consumer loop."""
        keeper = self.snapshots(tmp_path)
        keeper.begin({}, forgot=False, committed=lambda: {CLICKS: 0})
        keeper.after(make_processor().engine, {CLICKS: 3}, forgot=True)
        keeper.close(None, 0.05)
        keeper.begin({CLICKS: 3}, forgot=False, committed=dict)
        assert keeper.join(10)
        assert [] == snapshots_in(tmp_path)
        assert keeper.must_purge, "the next one purges what this one had to"

    def test_a_disk_that_is_full_ends_nothing(self, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
        """It is logged, and tried again later; the answers go on."""
        broker = broker_with(clicks(6))

        def full(step: str) -> None:
            if step == "sync":
                raise OSError(28, "No space left on device")

        keeper = self.snapshots(tmp_path, step=full)
        service = KafkaService(lambda _: threaded(broker, snapshots=keeper, listener=keeper))
        with caplog.at_level(logging.ERROR):
            run_until(service, lambda: broker.groups["stream-rec"].committed.get(CLICKS) == 6)
        assert 6 == len(answers(broker))
        assert "No space left on device" in caplog.text
        assert [] == snapshots_in(tmp_path)


class TestFolder:
    """A folder that cannot be written or read for a while ends nothing."""

    def test_a_folder_that_is_claimed_later(self, tmp_path: Path) -> None:
        """No snapshot is written until then; it is said, and passes by itself."""
        refusals = [SnapshotError("read-only")] * 2
        problems, seen = Problems(), []

        def claim() -> None:
            seen.append([each.message for each in problems.now])
            if refusals:
                raise refusals.pop()

        keeper = TestSnapshots.snapshots(tmp_path, claim=claim, problems=problems, beside=False)
        broker = broker_with(clicks(40))
        loop = ConsumerLoop(parts(broker, keeper), lambda: False)
        for _ in range(5):
            loop.step(0.0)
        assert [[], ["read-only"], ["read-only"]] == seen[:3]
        assert [] == problems.now
        assert 2 == keeper.failed.count
        assert snapshots_in(tmp_path)

    def test_a_folder_that_cannot_be_listed(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """The service recovers from the log alone, and says so."""

        def fail(*_: object) -> None:
            raise SnapshotError("cannot be listed")

        monkeypatch.setattr("stream_rec.service.committing.snapshots.newest_valid", fail)
        problems = Problems()
        assert TestSnapshots.snapshots(tmp_path, problems=problems).find({CLICKS: 5}) is None
        assert ["cannot be listed; recovering without one"] == [each.message for each in problems.now]
