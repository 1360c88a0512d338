"""The service on a broker: what it waits for, what it recovers from, how it begins and ends."""

import errno
import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from itertools import count
from pathlib import Path
from types import SimpleNamespace
from typing import Any, BinaryIO

import pytest
from clicks import CLICKS, answers, broker_with, clicks, run_until, threaded, until_answered
from crash import AT_ONCE, Bomb, parts

from stream_rec import private_files
from stream_rec.errors import FencedError, MissingTopicError, SettingsError, TransportError
from stream_rec.service.commit_note import CommitNote
from stream_rec.service.problems import ProblemKind, Problems
from stream_rec.service.reporting.status import StatsTaker, Status, read_status
from stream_rec.service.running.components import ServiceComponents
from stream_rec.service.running.consumer_loop import ConsumerLoop
from stream_rec.service.running.kafka_service import KafkaService
from stream_rec.service.running.reporter import Reporter
from stream_rec.service.state import ServiceState
from stream_rec.service.timeouts import Timeouts
from stream_rec.transport.broker import Partition, ProducerRecord, TopicSpec, Writer
from stream_rec.transport.memory.broker import MemoryBroker


def reachable_at_the_third_try(broker: MemoryBroker) -> Callable[[ExitStack], ServiceComponents]:
    tries: list[int] = []

    def connect(_: ExitStack) -> ServiceComponents:
        tries.append(1)
        if len(tries) < 3:
            raise TransportError("no broker at host:9092", retriable=True)
        return threaded(broker)

    return connect


@contextmanager
def stepping(loop: ConsumerLoop) -> Iterator[None]:
    """Have the *loop* take part in its group meanwhile, on a thread of its own."""
    over = threading.Event()

    def steps() -> None:
        while not over.wait(0.001):
            loop.step(0.0)

    thread = threading.Thread(target=steps, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


class TestRunning:
    """From the first record to the last."""

    def test_a_stop_answers_and_commits_everything(self) -> None:
        """All that was read, in order."""
        broker = broker_with(clicks(200))
        service = KafkaService(lambda _: threaded(broker))
        run_until(service, lambda: service.counters.n_read == 200)
        assert service.was_in_order
        assert list(range(200)) == [answer.offsets["clicks-0"] for answer in answers(broker)]
        assert {CLICKS: 200} == broker.groups["stream-rec"].committed
        assert [] == broker.groups["stream-rec"].members

    def test_a_broker_that_is_away_is_waited_for(self, caplog: pytest.LogCaptureFixture) -> None:
        """The log has a line for each try."""
        service = KafkaService(
            reachable_at_the_third_try(broker_with(clicks(3))), timeouts=Timeouts(retry_first_wait_s=0.0)
        )
        with caplog.at_level(logging.WARNING):
            run_until(service, lambda: service.counters.n_read == 3)
        assert 2 == caplog.text.count("no broker at host:9092; trying again in")

    def test_a_broker_that_stays_away_is_logged_with_a_hint(self, caplog: pytest.LogCaptureFixture) -> None:
        """Once; a listener that speaks another protocol may not say so."""
        hinting = Timeouts(hint_after_s=0.0, retry_first_wait_s=0.0)
        service = KafkaService(reachable_at_the_third_try(broker_with(clicks(3))), timeouts=hinting)
        with caplog.at_level(logging.WARNING):
            run_until(service, lambda: service.counters.n_read == 3)
        assert 1 == caplog.text.count("is kafka.security.protocol what")

    def test_the_log_shows_a_wait_only_where_there_was_one(self, caplog: pytest.LogCaptureFixture) -> None:
        """And when the service is ready."""
        broker = broker_with(clicks(3))
        service = KafkaService(lambda _: threaded(broker))
        reporter = Reporter(None, StatsTaker(), None, timeouts=Timeouts(log_every_s=1e9))
        with caplog.at_level(logging.INFO):
            run_until(service, lambda: service.counters.n_read == 3, reporter)
        assert "waiting for the broker" not in caplog.text
        assert caplog.text.index("answering for clicks-0") < caplog.text.index("ready: ")

    def test_a_status_file_that_cannot_be_written_later_ends_nothing(
        self, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        """Its folder is gone for a while: that is logged once, and the file is written as soon as it can be."""
        folder = tmp_path / "run"
        folder.mkdir()
        broker = broker_with(clicks(3))
        service = KafkaService(lambda _: threaded(broker))
        a_second_later = map(float, count())
        reporter = Reporter(folder / "status.json", StatsTaker(), None, clock=a_second_later.__next__)
        turns: list[int] = []

        def done() -> bool:
            if service.counters.n_read == 3:
                turns.append(1)
                if len(turns) == 1:
                    folder.rename(tmp_path / "gone")
                elif len(turns) == 10:
                    folder.mkdir()
            return len(turns) > 20

        with caplog.at_level(logging.INFO):
            run_until(service, done, reporter)
        assert 1 == caplog.text.count("status_file: cannot write")
        assert 1 == caplog.text.count("the status file is written again")
        assert service.was_in_order
        assert "stopping" == read_status(folder / "status.json").state

    def test_a_status_file_on_a_full_disk_prevents_no_start(
        self, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        """It is written as soon as it can be."""
        broker = broker_with(clicks(3))
        service = KafkaService(lambda _: threaded(broker))
        reporter = Reporter(tmp_path / "status.json", StatsTaker(), None, clock=map(float, count()).__next__)
        create, n_failed = private_files.created, [0]

        def created(path: Path) -> BinaryIO:
            if n_failed[0] < 3:
                n_failed[0] += 1
                raise OSError(errno.ENOSPC, "No space left on device")
            return create(path)

        monkeypatch.setattr(private_files, "created", created)
        with caplog.at_level(logging.INFO):
            run_until(service, lambda: service.counters.n_read == 3 and n_failed[0] == 3, reporter)
        assert 1 == caplog.text.count("No space left on device")
        assert "stopping" == read_status(tmp_path / "status.json").state

    def test_a_status_file_that_can_never_be_written_is_a_wrong_setting(self, tmp_path: Path) -> None:
        """The start fails, and names the setting."""
        reporter = Reporter(tmp_path / "no" / "status.json", StatsTaker(), None)
        with pytest.raises(SettingsError, match="status_file"):
            KafkaService(lambda _: threaded(broker_with([]))).run(lambda: False, reporter)

    def test_shutdown_completes_when_a_listener_raises(self) -> None:
        """All is committed and the group is left, whatever the callback raises during the stop."""
        broker = broker_with(clicks(9))
        service = KafkaService(lambda _: threaded(broker))

        def on_tick(service: KafkaService) -> None:
            if service.state is ServiceState.STOPPING:
                raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            run_until(service, lambda: service.counters.n_read == 9, on_tick)
        assert service.was_in_order
        assert 9 == len(answers(broker))
        assert [] == broker.groups["stream-rec"].members

    @pytest.mark.parametrize("error", [SettingsError("kafka.sasl.password", "wrong"), FencedError("two of a name")])
    def test_an_error_that_the_operator_must_fix_ends_it(self, error: Exception) -> None:
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
        """After the first connection, a proxy that hangs up amid a handshake is waited for, wherever it shows."""
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
            if service.counters.n_read == 9 and not failures:
                failures.append(refusal)
                raise refusal

        service = KafkaService(connect)
        with caplog.at_level(logging.WARNING):
            run_until(service, lambda: len(answers(broker)) == 10, fail)
        assert 2 == caplog.text.count(f"{key}: b1:9093 ends the handshake of TLS; trying again in")

    @pytest.mark.parametrize("key", ["kafka.sasl.username", "recommendations"])
    def test_a_setting_that_is_not_about_connecting_ends_it_later_too(self, key: str) -> None:
        """Rights that were taken away, or a topic."""
        broker = broker_with(clicks(3))
        failed: list[bool] = []

        def fail(service: KafkaService) -> None:
            if service.counters.n_read == 3 and not failed:
                failed.append(True)
                raise SettingsError(key, "not any more")

        with pytest.raises(SettingsError, match="not any more"):
            run_until(KafkaService(lambda _: threaded(broker)), lambda: False, fail)

    def test_lost_partitions_lead_to_a_recovery(self, caplog: pytest.LogCaptureFixture) -> None:
        """Nothing is doubled, nothing is missing."""
        broker = broker_with(clicks(50))
        service = KafkaService(lambda _: threaded(broker))
        expelled: list[bool] = []

        def done() -> bool:
            if service.counters.n_read >= 50 and not expelled:
                expelled.append(True)
                broker.expire("stream-rec")
                for value in clicks(30, start=50):
                    broker.produce("clicks", value, b"k")
            return {CLICKS: 80} == broker.groups["stream-rec"].committed

        with caplog.at_level(logging.WARNING):
            run_until(service, done)
        assert list(range(80)) == [answer.offsets["clicks-0"] for answer in answers(broker)]
        assert "; recovering" in caplog.text

    def test_a_failure_to_close_does_not_hide_the_first_failure(
        self, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A broker goes away in the midst of a commit: the service waits for it, and does not end."""
        broker = broker_with(clicks(9))
        service = KafkaService(lambda _: threaded(broker))
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
            if service.counters.n_read == 9 and not lost:
                lost.append(True)
                raise TransportError("no broker at host:9092", retriable=True)

        monkeypatch.setattr(broker, "writer", writer)
        with caplog.at_level(logging.WARNING), pytest.raises(TransportError, match="it is committing"):
            run_until(service, lambda: len(lost) == 1 and service.is_ready and len(answers(broker)) == 9, lose)
        assert "no broker at host:9092; trying again" in caplog.text

    def test_partitions_that_are_added_are_read_too(self) -> None:
        """The group assigns them, and no record of them is missed."""
        broker = broker_with(clicks(20))
        service = KafkaService(lambda _: threaded(broker))
        added = Partition("clicks", 1)

        def done() -> bool:
            if service.counters.n_read >= 20 and added not in broker.logs:
                broker.logs[added] = []
                broker.produce("clicks", clicks(1, "new")[0], b"k", partition=1)
                broker.rebalance("stream-rec")
            return {CLICKS: 20, added: 1} == broker.groups["stream-rec"].committed

        run_until(service, done)
        assert 21 == len(answers(broker))
        assert {"clicks-0": 19, "clicks-1": 0} == answers(broker)[-1].offsets

    def test_lag_returns_to_zero_behind_aborted_records(self) -> None:
        """What readers of committed records never see is not waited for; what they will see is."""
        broker = broker_with(clicks(5))
        loop = ConsumerLoop(parts(broker, timeouts=replace(AT_ONCE, positions_every_s=0.0)), lambda: False)
        until_answered(loop, broker, 5)
        writer = broker.writer("a producer")
        writer.begin()
        writer.send([ProducerRecord("clicks", value, b"k") for value in clicks(20, start=5)])
        writer.abort()
        loop.step(0.0)
        loop.measure_lag()
        assert {CLICKS: 0} == loop.lag
        broker.produce("clicks", clicks(1, start=25)[0], b"k")
        loop.measure_lag()
        assert {CLICKS: 1} == loop.lag

    @pytest.mark.parametrize(("patience_s", "is_ready"), [(60.0, True), (-1.0, False)])
    def test_partitions_that_the_group_has_not_assigned_are_lag(self, patience_s: float, is_ready: bool) -> None:
        """Their records count from the first one on; where the group takes too long, the service is not ready."""
        broker = broker_with(clicks(5))
        times = replace(AT_ONCE, added_partitions_s=patience_s, bounds_every_s=0.0, follow_every_s=0.01)
        service = KafkaService(lambda _: threaded(broker, timeouts=times), timeouts=times)
        added = Partition("clicks", 1)
        found: list[Status] = []

        def done() -> bool:
            status = Reporter(None, StatsTaker(), None).status(service)
            if service.counters.n_answers == 5 and added not in broker.logs:
                broker.logs[added] = []
                broker.produce("clicks", clicks(1, "new")[0], b"k", partition=1)
            if "clicks-1" in status.lag and status.problems and not found:
                found.append(status)
                broker.rebalance("stream-rec")
            return {CLICKS: 5, added: 1} == broker.groups["stream-rec"].committed and not service.problems.now

        run_until(service, done)
        (status,) = found
        assert (ServiceState.READY, is_ready) == (status.state, status.is_ready)
        assert 1 == status.lag["clicks-1"]
        assert ["partitions"] == [each.kind for each in status.problems]
        assert "clicks-1 added" in status.problems[0].message

    def test_a_partition_that_no_process_answers_for_is_a_problem(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """As after partitions were added while a static member was restarted: it gets its old ones, and no more."""
        broker = broker_with([], partitions=2)
        times = replace(AT_ONCE, added_partitions_s=-1.0)
        problems = Problems()
        loop = ConsumerLoop(
            parts(broker, note=CommitNote.of("1", {}), timeouts=times), lambda: False, problems=problems
        )
        monkeypatch.setattr(type(loop.member), "owned", property(lambda _: frozenset({CLICKS})))
        loop.step(0.0)
        loop.measure_lag()
        assert [] == problems.now, "nothing waits there"
        broker.produce("clicks", clicks(1)[0], b"k", partition=1)
        generation = broker.groups["stream-rec"].generation
        with stepping(loop):
            loop.measure_lag()
        assert generation + 2 == broker.groups["stream-rec"].generation, "a member has joined, and left"
        (problem,) = problems.now
        assert (ProblemKind.PARTITIONS, True) == (problem.kind, problem.blocks)
        assert "has answered any record of clicks-1" in problem.message
        broker.groups["stream-rec"].commit({Partition("clicks", 1): 1}, CommitNote.of("1", {}).text)
        loop.measure_lag()
        assert [] == problems.now
        loop.close(in_order=False)

    def test_a_replica_with_other_settings_is_a_problem_of_both(self) -> None:
        """Until the one that is left has taken over, also where no record has come since."""
        broker = broker_with([], partitions=2)
        notes = [CommitNote.of("1", {"m": 500, "n": 20}), CommitNote.of("1", {"m": 500, "n": 21})]
        problems = [Problems(), Problems()]
        one, two = (
            ConsumerLoop(parts(broker, name=note.text, note=note), lambda: False, problems=of)
            for note, of in zip(notes, problems, strict=True)
        )
        for number in (0, 1):
            broker.produce("clicks", clicks(1, f"s{number}")[0], b"k", partition=number)
        for _ in range(9):
            for loop in (one, two):
                loop.step(0.0)
                loop.measure_lag()
        for of in problems:
            (problem,) = of.now
            assert (ProblemKind.SETTINGS, False) == (problem.kind, problem.blocks)
            assert "answered with other settings: n:" in problem.message
        two.close(in_order=True)
        for _ in range(9):
            one.step(0.0)
            one.measure_lag()
        assert [] == problems[0].now
        assert {notes[0].text} == set(broker.groups["stream-rec"].notes.values())
        one.close(in_order=True)

    def test_an_added_partition_is_answered_wholly(self) -> None:
        """With `begin = latest` too, which is about what was there before the group."""
        broker = broker_with(clicks(20))
        service = KafkaService(lambda _: threaded(broker, begin="latest"))
        added = Partition("clicks", 1)

        def done() -> bool:
            if broker.groups["stream-rec"].committed and added not in broker.logs:
                broker.logs[added] = []
                for value in clicks(3, "new"):
                    broker.produce("clicks", value, b"k", partition=1)
                broker.rebalance("stream-rec")
            return {CLICKS: 20, added: 3} == broker.groups["stream-rec"].committed

        run_until(service, done)
        assert [0, 1, 2] == [answer.offsets["clicks-1"] for answer in answers(broker)]

    def test_records_that_retention_removes_are_skipped(self, caplog: pytest.LogCaptureFixture) -> None:
        """Without a recovery. What was fetched before is answered; what is gone is logged and counted."""
        broker = broker_with(clicks(30))
        loop = ConsumerLoop(parts(broker), lambda: False)
        until_answered(loop, broker, 6)
        broker.cut_off(CLICKS, 20)
        with caplog.at_level(logging.WARNING):
            until_answered(loop, broker, 16)
        assert "14 records (offsets 6 to 19) were removed by the topic's retention before they were read" in caplog.text
        assert [*range(6), *range(20, 30)] == [answer.offsets["clicks-0"] for answer in answers(broker)]
        assert 14 == loop.processor.counters.n_lost
        assert {CLICKS: 30} == broker.groups["stream-rec"].committed

    def test_records_that_retention_removes_during_a_recovery_are_skipped(self) -> None:
        """The recovery goes on with the records that are left."""
        broker = broker_with(clicks(9000))
        broker.groups["stream-rec"].committed[CLICKS] = 8900
        loop = ConsumerLoop(parts(broker), lambda: False, lambda: broker.cut_off(CLICKS, 8500))
        assert loop.processor.counters.n_lost > 0
        until_answered(loop, broker, 100)
        assert [*range(8900, 9000)] == [answer.offsets["clicks-0"] for answer in answers(broker)]

    def test_a_topic_that_was_made_again_is_recovered_from(self, caplog: pytest.LogCaptureFixture) -> None:
        """A state of another log is of no use: the service recovers, and does not end."""
        broker = broker_with(clicks(20))
        service = KafkaService(lambda _: threaded(broker))

        def done() -> bool:
            if len(broker.visible("recs")) == 20 and len(broker.logs[CLICKS]) == 20:
                broker.logs[CLICKS] = []
                for value in clicks(5, "new"):
                    broker.produce("clicks", value, b"k")
            return {CLICKS: 5} == broker.groups["stream-rec"].committed

        with caplog.at_level(logging.WARNING):
            run_until(service, done)
        assert [*range(20), *range(5)] == [answer.offsets["clicks-0"] for answer in answers(broker)]
        assert "; recovering" in caplog.text
        assert "was made again. Going on from 0" in caplog.text
        assert ["new"] == service.loop.processor.engine.session_ids() if service.loop else []

    def test_a_topic_that_is_missing_for_a_moment_is_waited_for(self, caplog: pytest.LogCaptureFixture) -> None:
        """At the start and later: it is a problem meanwhile, and the service goes on with the topic that comes."""
        broker = MemoryBroker({"recs": 1, "dead": 1}, before=Bomb())
        service = KafkaService(lambda _: threaded(broker), timeouts=Timeouts(retry_first_wait_s=0.0))
        reports = Reporter(None, StatsTaker(), None)
        missing: list[Status] = []

        def on_tick(_: KafkaService) -> None:
            status = reports.status(service)
            if status.problems and len(missing) < 2:
                missing.append(status)
                broker.create_topics([TopicSpec("clicks")])
                for value in clicks(5, f"run{len(missing)}-{{}}"):
                    broker.produce("clicks", value, b"k")
            elif len(missing) == 1 and broker.groups["stream-rec"].committed == {CLICKS: 5} and service.is_ready:
                del broker.logs[CLICKS]
                broker.groups["stream-rec"].committed.clear()

        def done() -> bool:
            return len(answers(broker)) == 10 and not service.problems.now

        with caplog.at_level(logging.INFO):
            run_until(service, done, on_tick)
        assert [(ServiceState.WAITING, ["topic"])] * 2 == [
            (status.state, [each.kind for each in status.problems]) for status in missing
        ]
        assert 2 == caplog.text.count("topic: resolved")

    def test_a_failure_of_a_thread_ends_the_service(self) -> None:
        """A bug must not leave a service that only looks alive."""
        broker = broker_with(clicks(5))

        def broken(step: str) -> None:
            raise ZeroDivisionError(step)

        broker.inject(before=broken)
        with pytest.raises(ZeroDivisionError):
            run_until(KafkaService(lambda _: threaded(broker)), lambda: False)

    def test_a_dangling_transaction_is_aborted(
        self, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A killed broker may leave one open, which blocks the committed offsets: the next try to recover aborts it."""
        broker = broker_with(clicks(3))
        blocked = [True]

        def settle(step: str) -> None:
            if step == "abort":
                blocked.clear()

        broker.inject(before=settle)
        monkeypatch.setattr(broker, "pending", lambda _, __: bool(blocked))
        service = KafkaService(lambda _: threaded(broker))
        with caplog.at_level(logging.WARNING):
            run_until(service, lambda: len(broker.visible("recs")) == 3)
        assert "committed offsets were blocked by a transaction" in caplog.text
        assert 3 == len(answers(broker))


class TestBeginning:
    """Where a consumer loop begins to read, and to answer."""

    def test_a_new_group_may_begin_at_the_end(self) -> None:
        """What was there before is learned from, and never answered, not after a restart either."""
        broker = broker_with(clicks(20))
        first = ConsumerLoop(parts(broker, begin="latest"), lambda: False)
        for _ in range(3):
            first.step(0.0)
        assert {CLICKS: 20} == broker.groups["stream-rec"].committed
        broker.produce("clicks", clicks(1, "new")[0], b"k")
        first.step(0.0)
        assert [20] == [answer.offsets["clicks-0"] for answer in answers(broker)]
        assert answers(broker)[0].items, "answered from what was learned"

    def test_records_that_retention_removed_are_logged(self, caplog: pytest.LogCaptureFixture) -> None:
        """The service goes on without them."""
        broker = broker_with(clicks(20))
        broker.groups["stream-rec"].committed[CLICKS] = 4
        broker.cut_off(CLICKS, 10)
        with caplog.at_level(logging.WARNING):
            ConsumerLoop(parts(broker), lambda: False)
        assert (
            "6 records (offsets 4 to 9) were removed by the topic's retention before they were answered" in caplog.text
        )

    def test_a_topic_that_was_made_again_is_noticed(self, caplog: pytest.LogCaptureFixture) -> None:
        """Its offsets begin again too."""
        broker = broker_with(clicks(3))
        broker.groups["stream-rec"].committed[CLICKS] = 40
        with caplog.at_level(logging.WARNING):
            loop = ConsumerLoop(parts(broker), lambda: False)
        assert "was made again. Going on from 0" in caplog.text
        assert {CLICKS: 0} == loop.batch_reader.offsets

    def test_a_missing_topic_is_reported_with_what_to_do(self, caplog: pytest.LogCaptureFixture) -> None:
        """And is one to wait for: no transaction is taken for the cause."""
        broker = MemoryBroker({"recs": 1})
        with pytest.raises(MissingTopicError, match="--create-topics"):
            ConsumerLoop(parts(broker), lambda: False)
        assert "transaction" not in caplog.text


def test_following_goes_on_after_a_bug(caplog: pytest.LogCaptureFixture) -> None:
    """An unforeseen error is logged whole; without this thread, no other replica would be followed any more."""
    over = threading.Event()
    calls: list[int] = []

    def follow_others() -> None:
        calls.append(1)
        if len(calls) == 1:
            raise ValueError("a client's note is no text")
        over.set()

    loop: Any = SimpleNamespace(assignment=SimpleNamespace(follow_others=follow_others), measure_lag=lambda: None)
    KafkaService(lambda _: threaded(broker_with([])))._follow(loop, over)
    assert 2 == len(calls)
    assert "following others failed" in caplog.text
    assert "a client's note is no text" in caplog.text
