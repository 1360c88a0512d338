"""The service's lives: what it waits for, what it recovers from, how it begins and ends."""

import logging
import threading
from collections.abc import Callable
from contextlib import ExitStack
from itertools import count
from pathlib import Path

import msgspec
import pytest
from crash import Bomb, Crash, make_processor, parts

from stream_rec.core.events import Answer
from stream_rec.errors import FencedError, SettingsError, TransportError
from stream_rec.service.committing.snapshots import Snapshots
from stream_rec.service.reporting.status import StatsTaker, read_status
from stream_rec.service.running.components import ServiceComponents
from stream_rec.service.running.consumer_loop import ConsumerLoop
from stream_rec.service.running.kafka_service import KafkaService
from stream_rec.service.running.reporter import Reporter
from stream_rec.service.running.threads import Threads
from stream_rec.snapshot import read, snapshots_in
from stream_rec.transport.broker import Partition, Writer
from stream_rec.transport.memory.broker import MemoryBroker

CLICKS = Partition("clicks", 0)


def clicks(n: int, session: str = "s{}", start: int = 0) -> list[bytes]:
    return [
        msgspec.json.encode({"session_id": session.format(at % 3), "item_id": f"i{at % 5}", "timestamp": 1_000 + at})
        for at in range(start, start + n)
    ]


def broker_with(values: list[bytes], partitions: int = 1) -> MemoryBroker:
    broker = MemoryBroker({"clicks": partitions, "recs": 1, "dead": 1}, before=Bomb())
    for value in values:
        broker.produce("clicks", value, b"k")
    return broker


def threaded(broker: MemoryBroker, **others: object) -> ServiceComponents:
    return parts(broker)._replace(pipeline=Threads, **others)  # type: ignore[arg-type]  # a test's own


def answers(broker: MemoryBroker) -> list[Answer]:
    return [msgspec.json.decode(record.value, type=Answer) for record in broker.visible("recs")]


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine that does other things too may need longer to end in good order than a service is given."""
    monkeypatch.setattr("stream_rec.service.running.consumer_loop._CLOSE_S", 60.0)


def run_until(
    live: KafkaService, done: Callable[[], bool], watch: Callable[[KafkaService], None] = lambda _: None
) -> None:
    """Run the service until *done*, or for two minutes."""
    over = threading.Event()
    timer = threading.Timer(120, over.set)
    timer.start()
    try:
        live.run(lambda: done() or over.is_set(), watch)
    finally:
        timer.cancel()
    assert not over.is_set(), "it took too long"


def until_answered(life: ConsumerLoop, broker: MemoryBroker, n: int) -> None:
    """Turn after turn, until there are *n* answers."""
    for _ in range(100 + n):
        if len(broker.visible("recs")) >= n:
            return
        life.assignment._next_poll = 0.0
        life.step(0.0)
    raise AssertionError(f"not {n} answers in time")


def there_at_the_third_try(broker: MemoryBroker) -> Callable[[ExitStack], ServiceComponents]:
    tries: list[int] = []

    def connect(_: ExitStack) -> ServiceComponents:
        tries.append(1)
        if len(tries) < 3:
            raise TransportError("nobody at host:9092", retriable=True)
        return threaded(broker)

    return connect


class TestRunning:
    """From the first record to the last."""

    def test_everything_is_answered_and_committed_when_it_is_told_to_stop(self) -> None:
        """By the threads, in order."""
        broker = broker_with(clicks(200))
        live = KafkaService(lambda _: threaded(broker))
        run_until(live, lambda: live.counts.n_read == 200)
        assert live.was_in_order
        assert list(range(200)) == [answer.offsets["clicks-0"] for answer in answers(broker)]
        assert {CLICKS: 200} == broker.groups["stream-rec"].committed
        assert [] == broker.groups["stream-rec"].members

    def test_a_broker_that_is_away_is_waited_for(self, caplog: pytest.LogCaptureFixture) -> None:
        """With one line for each try."""
        live = KafkaService(there_at_the_third_try(broker_with(clicks(3))))
        with caplog.at_level(logging.WARNING):
            run_until(live, lambda: live.counts.n_read == 3)
        assert 2 == caplog.text.count("nobody at host:9092; trying again in")

    def test_one_that_stays_away_is_told_with_what_it_may_be(
        self, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Once; a listener that speaks something else may not say so."""
        monkeypatch.setattr("stream_rec.service.running.kafka_service._HINT_AFTER_S", 0.0)
        live = KafkaService(there_at_the_third_try(broker_with(clicks(3))))
        with caplog.at_level(logging.WARNING):
            run_until(live, lambda: live.counts.n_read == 3)
        assert 1 == caplog.text.count("is kafka.security.protocol what")

    def test_the_log_tells_of_a_wait_only_where_there_was_one(
        self, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """And that it is ready when it is."""
        monkeypatch.setattr("stream_rec.service.running.reporter._LINE_EVERY_S", 1e9)
        broker = broker_with(clicks(3))
        live = KafkaService(lambda _: threaded(broker))
        reporter = Reporter(None, StatsTaker(), None)
        with caplog.at_level(logging.INFO):
            run_until(live, lambda: live.counts.n_read == 3, reporter)
        assert "waiting for the broker" not in caplog.text
        assert caplog.text.index("answering for clicks-0") < caplog.text.index("ready: ")

    def test_a_status_file_that_is_refused_later_ends_nothing(
        self, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        """Its folder is gone for a while: that is told once, and the file is written as soon as it can be."""
        folder = tmp_path / "run"
        folder.mkdir()
        broker = broker_with(clicks(3))
        live = KafkaService(lambda _: threaded(broker))
        a_second_later = map(float, count())
        reporter = Reporter(folder / "status.json", StatsTaker(), None, clock=a_second_later.__next__)
        turns: list[int] = []

        def done() -> bool:
            if live.counts.n_read == 3:
                turns.append(1)
                if len(turns) == 1:
                    folder.rename(tmp_path / "gone")
                elif len(turns) == 10:
                    folder.mkdir()
            return len(turns) > 20

        with caplog.at_level(logging.INFO):
            run_until(live, done, reporter)
        assert 1 == caplog.text.count("status_file: cannot write")
        assert 1 == caplog.text.count("the status file is written again")
        assert live.was_in_order
        assert "stopping" == read_status(folder / "status.json").state

    def test_a_status_file_that_cannot_be_is_a_wrong_setting(self, tmp_path: Path) -> None:
        """It shows at once, by name."""
        reporter = Reporter(tmp_path / "no" / "status.json", StatsTaker(), None)
        with pytest.raises(SettingsError, match="status_file"):
            KafkaService(lambda _: threaded(broker_with([]))).run(lambda: False, reporter)

    def test_who_watches_and_fails_keeps_nothing_from_its_end(self) -> None:
        """All is committed, and the seat given back, whatever is raised at the last look."""
        broker = broker_with(clicks(9))
        live = KafkaService(lambda _: threaded(broker))

        def watch(live: KafkaService) -> None:
            if live.state == "stopping":
                raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            run_until(live, lambda: live.counts.n_read == 9, watch)
        assert live.was_in_order
        assert 9 == len(answers(broker))
        assert [] == broker.groups["stream-rec"].members

    @pytest.mark.parametrize("error", [SettingsError("kafka.sasl.password", "wrong"), FencedError("two of a name")])
    def test_what_the_operator_must_mend_ends_it(self, error: Exception) -> None:
        """Nothing is tried again."""
        tries: list[int] = []

        def connect(_: ExitStack) -> ServiceComponents:
            tries.append(1)
            raise error

        with pytest.raises(type(error)):
            KafkaService(connect).run(lambda: False)
        assert [1] == tries

    @pytest.mark.parametrize("key", ["kafka.security.protocol", "kafka.ssl.ca.location", "kafka.sasl.password"])
    def test_settings_that_have_connected_it_are_not_wrong_later(
        self, caplog: pytest.LogCaptureFixture, key: str
    ) -> None:
        """A proxy that hangs up amid a handshake is waited for, wherever it shows, once there was a life."""
        broker = broker_with(clicks(9))
        refusal = SettingsError(key, "b1:9093 ends the handshake of TLS")
        failures: list[SettingsError] = []

        def connect(_: ExitStack) -> ServiceComponents:
            if len(failures) == 1:
                failures.append(refusal)
                raise refusal
            if failures:
                broker.produce("clicks", clicks(1, start=9)[0], b"k")
            return threaded(broker)

        def fail(_: KafkaService) -> None:
            if live.counts.n_read == 9 and not failures:
                failures.append(refusal)
                raise refusal

        live = KafkaService(connect)
        with caplog.at_level(logging.WARNING):
            run_until(live, lambda: len(answers(broker)) == 10, fail)
        assert 2 == caplog.text.count(f"{key}: b1:9093 ends the handshake of TLS; trying again in")

    @pytest.mark.parametrize("key", ["kafka.sasl.username", "recommendations"])
    def test_what_has_nothing_to_do_with_connecting_ends_it_later_too(self, key: str) -> None:
        """Rights that were taken away, or a topic."""
        broker = broker_with(clicks(3))
        failed: list[bool] = []

        def fail(live: KafkaService) -> None:
            if live.counts.n_read == 3 and not failed:
                failed.append(True)
                raise SettingsError(key, "not any more")

        with pytest.raises(SettingsError, match="not any more"):
            run_until(KafkaService(lambda _: threaded(broker)), lambda: False, fail)

    def test_a_seat_that_was_lost_is_taken_again(self, caplog: pytest.LogCaptureFixture) -> None:
        """Nothing is doubled, nothing is missing."""
        broker = broker_with(clicks(50))
        live = KafkaService(lambda _: threaded(broker))
        expelled: list[bool] = []

        def done() -> bool:
            if live.counts.n_read >= 50 and not expelled:
                expelled.append(True)
                broker.expire("stream-rec")
                for value in clicks(30, start=50):
                    broker.produce("clicks", value, b"k")
            return {CLICKS: 80} == broker.groups["stream-rec"].committed

        with caplog.at_level(logging.WARNING):
            run_until(live, done)
        assert list(range(80)) == [answer.offsets["clicks-0"] for answer in answers(broker)]
        assert "; recovering" in caplog.text

    def test_what_cannot_be_closed_hides_nothing(
        self, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A broker that goes away in the midst of a commit: the service waits for it, and does not end."""
        broker = broker_with(clicks(9))
        live = KafkaService(lambda _: threaded(broker))
        make = broker.writer

        def writer(transactional_id: str | None) -> Writer:
            made = make(transactional_id)
            close = made.close

            def fail() -> None:
                close()
                raise TransportError("it is committing")

            monkeypatch.setattr(made, "close", fail)
            return made

        lost: list[bool] = []

        def lose(_: KafkaService) -> None:
            if live.counts.n_read == 9 and not lost:
                lost.append(True)
                raise TransportError("nobody at host:9092", retriable=True)

        monkeypatch.setattr(broker, "writer", writer)
        with caplog.at_level(logging.WARNING), pytest.raises(TransportError, match="it is committing"):
            run_until(live, lambda: len(lost) == 1 and live.state == "ready" and len(answers(broker)) == 9, lose)
        assert "nobody at host:9092; trying again" in caplog.text

    def test_partitions_that_are_added_are_read_too(self) -> None:
        """The group shares them out anew, and nothing of them is missed."""
        broker = broker_with(clicks(20))
        live = KafkaService(lambda _: threaded(broker))
        added = Partition("clicks", 1)

        def done() -> bool:
            if live.counts.n_read >= 20 and added not in broker.logs:
                broker.logs[added] = []
                broker.produce("clicks", clicks(1, "new")[0], b"k", partition=1)
                broker.rebalance("stream-rec")
            return {CLICKS: 20, added: 1} == broker.groups["stream-rec"].committed

        run_until(live, done)
        assert 21 == len(answers(broker))
        assert {"clicks-0": 19, "clicks-1": 0} == answers(broker)[-1].offsets

    def test_one_that_retention_overtakes_goes_on_with_what_is_left(self, caplog: pytest.LogCaptureFixture) -> None:
        """In place; what was fetched before is answered, and what nobody will answer is told and counted."""
        broker = broker_with(clicks(30))
        life = ConsumerLoop(parts(broker), lambda: False)
        until_answered(life, broker, 6)
        broker.cut_off(CLICKS, 20)
        with caplog.at_level(logging.WARNING):
            until_answered(life, broker, 16)
        assert "14 records (offsets 6 to 19) were removed by the topic's retention before they were read" in caplog.text
        assert [*range(6), *range(20, 30)] == [answer.offsets["clicks-0"] for answer in answers(broker)]
        assert 14 == life.processor.counts.n_lost
        assert {CLICKS: 30} == broker.groups["stream-rec"].committed

    def test_one_that_is_overtaken_while_it_recovers_goes_on_too(self) -> None:
        """What it recovers from is cut off under its hands."""
        broker = broker_with(clicks(9000))
        broker.groups["stream-rec"].committed[CLICKS] = 8900
        life = ConsumerLoop(parts(broker), lambda: False, lambda: broker.cut_off(CLICKS, 8500))
        assert life.processor.counts.n_lost > 0
        until_answered(life, broker, 100)
        assert [*range(8900, 9000)] == [answer.offsets["clicks-0"] for answer in answers(broker)]

    def test_a_topic_that_was_made_anew_is_begun_with(self, caplog: pytest.LogCaptureFixture) -> None:
        """A state of another log is of no use: the service recovers, without an end."""
        broker = broker_with(clicks(20))
        live = KafkaService(lambda _: threaded(broker))

        def done() -> bool:
            if len(broker.visible("recs")) == 20 and len(broker.logs[CLICKS]) == 20:
                broker.logs[CLICKS] = []
                for value in clicks(5, "new"):
                    broker.produce("clicks", value, b"k")
            return {CLICKS: 5} == broker.groups["stream-rec"].committed

        with caplog.at_level(logging.WARNING):
            run_until(live, done)
        assert [*range(20), *range(5)] == [answer.offsets["clicks-0"] for answer in answers(broker)]
        assert "; recovering" in caplog.text
        assert "was made anew; going on from 0" in caplog.text
        assert ["new"] == live.life.processor.engine.session_ids() if live.life else []

    def test_a_failure_of_a_thread_ends_it(self) -> None:
        """A bug must not leave a service that only looks alive."""
        broker = broker_with(clicks(5))

        def broken(step: str) -> None:
            raise ZeroDivisionError(step)

        broker.inject(before=broken)
        with pytest.raises(ZeroDivisionError):
            run_until(KafkaService(lambda _: threaded(broker)), lambda: False)

    def test_positions_that_stay_undecided_are_mended(
        self, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A killed broker may lose how a transaction ended: a life that cannot begin for it aborts what was left."""
        broker = broker_with(clicks(3))
        undecided = [True]

        def settle(step: str) -> None:
            if step == "abort":
                undecided.clear()

        broker.inject(before=settle)
        monkeypatch.setattr(broker, "pending", lambda _, __: bool(undecided))
        live = KafkaService(lambda _: threaded(broker))
        with caplog.at_level(logging.WARNING):
            run_until(live, lambda: len(broker.visible("recs")) == 3)
        assert "the group's positions are undecided" in caplog.text
        assert 3 == len(answers(broker))


class TestBeginning:
    """Where a life begins to read, and to answer."""

    def test_a_new_group_may_begin_at_the_end(self) -> None:
        """What was there before is learned from, and not answered, by later lives neither."""
        broker = broker_with(clicks(20))
        first = ConsumerLoop(parts(broker)._replace(begin="latest"), lambda: False)
        for _ in range(3):
            first.assignment._next_poll = 0.0
            first.step(0.0)
        assert {CLICKS: 20} == broker.groups["stream-rec"].committed
        broker.produce("clicks", clicks(1, "new")[0], b"k")
        first.step(0.0)
        assert [20] == [answer.offsets["clicks-0"] for answer in answers(broker)]
        assert answers(broker)[0].items, "answered from what was learned"

    def test_what_retention_removed_is_told(self, caplog: pytest.LogCaptureFixture) -> None:
        """Unanswered records that are gone are no reason to stop, and no secret."""
        broker = broker_with(clicks(20))
        broker.groups["stream-rec"].committed[CLICKS] = 4
        broker.cut_off(CLICKS, 10)
        with caplog.at_level(logging.WARNING):
            ConsumerLoop(parts(broker), lambda: False)
        assert (
            "6 records (offsets 4 to 9) were removed by the topic's retention before they were answered" in caplog.text
        )

    def test_a_topic_made_anew_is_noticed(self, caplog: pytest.LogCaptureFixture) -> None:
        """Its positions begin anew too."""
        broker = broker_with(clicks(3))
        broker.groups["stream-rec"].committed[CLICKS] = 40
        with caplog.at_level(logging.WARNING):
            life = ConsumerLoop(parts(broker), lambda: False)
        assert "was made anew; going on from 0" in caplog.text
        assert {CLICKS: 0} == life.batch_reader.positions

    def test_no_topic_is_told_with_the_way_out(self) -> None:
        """And not waited for."""
        broker = MemoryBroker({"recs": 1})
        with pytest.raises(TransportError, match="--create-topics") as caught:
            ConsumerLoop(parts(broker), lambda: False)
        assert not caught.value.retriable


class TestSnapshots:
    """When they are written, and what is recovered from them."""

    @staticmethod
    def keeper(folder: Path, **others: object) -> Snapshots:
        given: dict[str, object] = {"every_s": 0.0, "keep": 2, "now_ms": lambda: 7, **others}
        return Snapshots(folder, {"of": "a test"}, **given)  # type: ignore[arg-type]  # a test's own

    def test_a_restart_reads_on_from_the_last_one(self, tmp_path: Path) -> None:
        """And says what it would have said."""
        broker = broker_with(clicks(40))
        for _ in range(2):
            keeper = self.keeper(tmp_path)
            live = KafkaService(lambda _: threaded(broker, snapshots=keeper, watcher=keeper))  # noqa: B023  # used in this turn
            goal = len(broker.logs[CLICKS])
            run_until(live, lambda: broker.groups["stream-rec"].committed.get(CLICKS) == goal)  # noqa: B023  # as above
            for value in clicks(10, start=goal):
                broker.produce("clicks", value, b"k")
        assert 0 == live.counts.n_followed, "nothing was read twice"
        without = broker_with(clicks(50))
        plain = KafkaService(lambda _: threaded(without))
        run_until(plain, lambda: without.groups["stream-rec"].committed.get(CLICKS) == 50)
        assert answers(without) == answers(broker)

    def test_a_snapshot_behind_what_retention_left_is_used_with_a_warning(
        self, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        """What is missing in between is told, with its number."""
        broker = broker_with(clicks(20))
        keeper = self.keeper(tmp_path)
        live = KafkaService(lambda _: threaded(broker, snapshots=keeper, watcher=keeper))
        run_until(live, lambda: broker.groups["stream-rec"].committed.get(CLICKS) == 20)
        for value in clicks(30, start=20):
            broker.produce("clicks", value, b"k")
        broker.groups["stream-rec"].committed[CLICKS] = 45
        broker.cut_off(CLICKS, 40)
        again = self.keeper(tmp_path)
        with caplog.at_level(logging.WARNING):
            life = ConsumerLoop(parts(broker, again), lambda: False)
        assert "20 records (offsets 20 to 39) after the snapshot were removed" in caplog.text
        assert {CLICKS: 45} == life.batch_reader.positions

    @pytest.mark.parametrize("order", [b'{"type":"forget","session_id":"s1"}', None])
    def test_what_is_forgotten_leaves_the_snapshots(self, order: bytes | None, tmp_path: Path) -> None:
        """Soon after the order a new one is written, and those that held it go, without another event."""
        broker = broker_with([])
        now = [100.0]
        keeper = self.keeper(tmp_path, every_s=1e9, clock=lambda: now[0], beside=False)
        keeper._due = 0.0
        life = ConsumerLoop(parts(broker, keeper), lambda: False)
        for value in clicks(3):
            broker.produce("clicks", value, b"s1")
        life.step(0.0)
        (held,) = snapshots_in(tmp_path)
        assert b"s1" in held.read_bytes()
        broker.produce("clicks", order, b"s1")
        life.assignment._next_poll = 0.0
        while life.step(0.0):
            pass
        now[0] += 6.0
        keeper.idle(life.processor.engine)
        (left,) = snapshots_in(tmp_path)
        assert left != held
        assert b"s1" not in left.read_bytes()
        assert "s1" not in read(left).state.session_names

    @pytest.mark.parametrize("at", ["open", "prune"])
    def test_what_is_forgotten_leaves_the_snapshots_of_one_that_was_killed(self, at: str, tmp_path: Path) -> None:
        """Before it had written the one without, or removed those that hold it: the next start does, on a quiet log."""
        broker = broker_with([])
        now = [100.0]
        fuse: list[str] = []

        def step(name: str) -> None:
            if name in fuse:
                raise Crash(name)

        def keep(**others: object) -> Snapshots:
            return self.keeper(tmp_path, every_s=1e9, clock=lambda: now[0], beside=False, **others)

        keeper = keep(step=step)
        keeper._due = 0.0
        life = ConsumerLoop(parts(broker, keeper), lambda: False)
        for value in (*clicks(3), b'{"type":"forget","session_id":"s1"}'):
            broker.produce("clicks", value, b"s1")
            life.assignment._next_poll = 0.0
            while life.step(0.0):
                pass
        (held,) = snapshots_in(tmp_path)
        assert {CLICKS: 4} == broker.groups["stream-rec"].committed
        fuse.append(at)
        now[0] += 6.0
        with pytest.raises(Crash):
            keeper.idle(life.processor.engine)
        assert held in snapshots_in(tmp_path)
        broker.expire("stream-rec")
        again = keep()
        life = ConsumerLoop(parts(broker, again), lambda: False)
        now[0] += 6.0
        again.idle(life.processor.engine)
        (left,) = snapshots_in(tmp_path)
        assert left != held
        assert b"s1" not in left.read_bytes()

    def test_one_is_written_only_when_its_positions_are_committed(self, tmp_path: Path) -> None:
        """One that is ahead of the group could not be gone on from."""
        broker = broker_with(clicks(3))
        keeper = self.keeper(tmp_path)
        keeper.committed = lambda: {CLICKS: committed[0]}
        committed = [0]
        processor = make_processor()
        keeper.after(processor.engine, {CLICKS: 3}, forgot=False)
        assert keeper._writer is not None
        keeper._writer.join(0.2)
        assert [] == snapshots_in(tmp_path)
        committed[0] = 3
        keeper._writer.join(10)
        assert 1 == len(snapshots_in(tmp_path))
        del broker

    def test_one_thread_writes_them_all(self, tmp_path: Path) -> None:
        """Beside the engine's; a new one for each would make the process grow, by what each needs."""
        writers: set[int] = set()
        keeper = self.keeper(tmp_path, step=lambda _: writers.add(threading.get_ident()))
        keeper.committed = dict
        processor = make_processor()
        for at in range(4):
            keeper.after(processor.engine, {CLICKS: at}, forgot=False)
            assert keeper._writer is not None
            keeper._writer.join(60)
        assert 2 == len(snapshots_in(tmp_path))
        assert 1 == len(writers - {threading.get_ident()}) == len(writers)

    @pytest.mark.parametrize("at", ["sync", "prune"])
    def test_whatever_fails_the_next_one_is_written(
        self, at: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        """Memory that has run out, a file that somebody removes: told, counted, and what was to be purged still is."""
        failing: list[str] = []

        def step(name: str) -> None:
            if name in failing:
                failing.clear()
                if name == "sync":
                    raise MemoryError
                snapshots_in(tmp_path)[-1].unlink()

        keeper = self.keeper(tmp_path, step=step)
        processor = make_processor()
        for offset in (1, 2, 3):
            failing += [at] if offset == 2 else []
            keeper.after(processor.engine, {CLICKS: offset}, forgot=offset == 2)
            assert keeper._writer is not None
            keeper._writer.join(10)
        assert (1, 2) == (keeper.failed.count, keeper.written.count)
        assert caplog.text.count("snapshot failed, and is tried again") == 1
        (left,) = snapshots_in(tmp_path)
        assert {"clicks": {0: 3}} == read(left).header.offsets

    def test_none_is_written_beside_another(self, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
        """A life that ends while one is being written leaves no last one, and the other gets no name any more."""
        is_writing, go_on = threading.Event(), threading.Event()

        def step(name: str) -> None:
            if name == "sync":
                is_writing.set()
                go_on.wait(2)

        keeper = self.keeper(tmp_path, step=step)
        processor = make_processor()
        keeper.after(processor.engine, {CLICKS: 1}, forgot=False)
        assert is_writing.wait(10)
        writer = keeper._writer
        assert writer is not None
        keeper.after(processor.engine, {CLICKS: 2}, forgot=False)
        keeper.close(processor.engine, 0.05)
        assert "no last one is written" in caplog.text
        go_on.set()
        assert writer.join(10)
        assert [] == list(tmp_path.glob("snapshot-*"))
        keeper.after(processor.engine, {CLICKS: 3}, forgot=False)
        keeper.close(processor.engine, 10)
        (left,) = snapshots_in(tmp_path)
        assert {"clicks": {0: 3}} == read(left).header.offsets

    def test_none_outlives_the_life_that_it_is_of(self, tmp_path: Path) -> None:
        """One that waits for its positions to be committed must not take the next life's word for it."""
        keeper = self.keeper(tmp_path)
        keeper.committed = lambda: {CLICKS: 0}
        keeper.after(make_processor().engine, {CLICKS: 3}, forgot=True)
        writer = keeper._writer
        assert writer is not None
        keeper.close(None, 0.05)
        keeper.committed = dict
        writer.join(10)
        assert [] == snapshots_in(tmp_path)
        assert keeper._forgot, "the next one purges what this one had to"

    def test_a_disk_that_is_full_ends_nothing(self, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
        """It is told, and tried again later; the answers go on."""
        broker = broker_with(clicks(6))

        def full(step: str) -> None:
            if step == "sync":
                raise OSError(28, "No space left on device")

        keeper = self.keeper(tmp_path, step=full)
        live = KafkaService(lambda _: threaded(broker, snapshots=keeper, watcher=keeper))
        with caplog.at_level(logging.ERROR):
            run_until(live, lambda: broker.groups["stream-rec"].committed.get(CLICKS) == 6)
        assert 6 == len(answers(broker))
        assert "No space left on device" in caplog.text
        assert [] == snapshots_in(tmp_path)
