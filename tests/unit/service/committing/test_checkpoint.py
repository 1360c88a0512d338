"""A commit's steps: in which order, what is tried again, and what ends it."""

from collections.abc import Callable

import pytest

from stream_rec.core.events import Answer
from stream_rec.errors import AssignmentLostError, FencedError, TransportError, UnwrittenError
from stream_rec.service.batches import Batch, BatchResult, Membership, ProcessedBatch, ReadBatch, RejectedRecord
from stream_rec.service.committing.checkpoint import Backoff, Checkpoint
from stream_rec.service.committing.destinations import GROUP_HEADER, HEADERS, OutputDestinations
from stream_rec.service.problems import Problems
from stream_rec.transport.broker import Member, Partition
from stream_rec.transport.memory.broker import MemoryBroker
from stream_rec.transport.memory.log import MemorySink
from stream_rec.transport.records import Record

CLICKS = Partition("clicks", 0)
AT_ONCE = Backoff(pause=lambda _: None)
DESTINATIONS = OutputDestinations(answers_topic="recs", dead_letters_topic="dead")


class Steps:
    """Notes the steps of a broker in memory, and raises the failures that a test gives for a step."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self.failures: dict[str, list[Exception]] = {}

    def __call__(self, step: str) -> None:
        self.names.append(step)
        if self.failures.get(step):
            raise self.failures[step].pop(0)


def broker_and_member(steps: Callable[[str], None]) -> tuple[MemoryBroker, Member]:
    broker = MemoryBroker({"clicks": 1, "recs": 1, "dead": 1}, before=steps, max_record_bytes=600)
    member = broker.member("stream-rec", ["clicks"], lambda *_: None)
    member.join()
    member.poll()
    return broker, member


def result(member: Member, n: int = 1, rejected: tuple[RejectedRecord, ...] = ()) -> BatchResult:
    answers = [Answer("s1", None, [], 5, {"clicks-0": at}, "vmis-knn") for at in range(n)]
    offsets = {CLICKS: n + len(rejected)}
    membership = Membership(member.generation, member.group_metadata)
    return BatchResult(ReadBatch(Batch((), ()), offsets, offsets, membership), ProcessedBatch(answers, rejected))


def rejected(value: bytes = b"{", headers: tuple[tuple[str, bytes], ...] = ()) -> RejectedRecord:
    return RejectedRecord(Record(value, "clicks", 0, 7, b"k", headers), "not_json", "why")


class TestExactlyOnce:
    """One transaction."""

    def test_answers_and_offsets_are_seen_together(self) -> None:
        """Begin, send, offsets, commit; nothing shows before the last."""
        steps = Steps()
        broker, member = broker_and_member(steps)
        checkpoint = Checkpoint(DESTINATIONS, member, broker.writer("one"), exactly_once=True)
        checkpoint.commit([result(member, 2), result(member, 3)])
        assert ["begin", *["send"] * 5, "offsets", "commit"] == steps.names
        assert 5 == len(broker.visible("recs"))
        assert {CLICKS: 3} == member.committed([CLICKS]) == checkpoint.committed

    @pytest.mark.parametrize("step", ["begin", "send", "offsets", "commit"])
    def test_after_a_step_that_fails_for_now_all_are_done_again(self, step: str) -> None:
        """With the same records; what was sent before is aborted."""
        steps = Steps()
        steps.failures[step] = [TransportError("away", retriable=True)] * 2
        broker, member = broker_and_member(steps)
        waits: list[float] = []
        observed: list[tuple[int, float]] = []
        retries: list[int] = []
        checkpoint = Checkpoint(
            DESTINATIONS,
            member,
            broker.writer("one"),
            exactly_once=True,
            backoff=Backoff(pause=waits.append),
            on_committed=lambda results, begun, ended: observed.append((len(results), ended - begun)),
            on_retry=lambda: retries.append(1),
        )
        checkpoint.commit([result(member, 3)])
        assert [1, 1] == retries
        ((n_results, seconds),) = observed  # once, when it is done
        assert n_results == 1
        assert seconds >= 0
        assert 3 == len(broker.visible("recs"))
        assert {CLICKS: 3} == member.committed([CLICKS])
        assert 2 == len(waits)
        assert sorted(waits) == waits

    def test_a_failed_transaction_is_aborted_once_more_before_the_next(self) -> None:
        """Aborted once more wherever it may have written: a broker that was killed may have left it without a mark."""
        steps = Steps()
        steps.failures["offsets"] = [TransportError("away", retriable=True)]
        broker, member = broker_and_member(steps)
        recs = Partition("recs", 0)
        checkpoint = Checkpoint(
            DESTINATIONS,
            member,
            broker.writer("one"),
            exactly_once=True,
            written=lambda: [recs],
            backoff=AT_ONCE,
        )
        checkpoint.commit([result(member, 1)])
        first, clear, again = (
            ["begin", "send", "offsets", "abort"],
            ["begin", "offsets", "abort"],
            ["begin", "send"],
        )
        assert [*first, *clear, *again, "offsets", "commit"] == steps.names
        assert 3 == len(broker.logs[recs]), "the failed answer, the record that aborts it, and the answer"
        assert 1 == len(broker.visible("recs"))

    def test_giving_up_ends_the_tries(self) -> None:
        """So that a service can stop while its broker is away."""
        steps = Steps()
        steps.failures["commit"] = [TransportError("away", retriable=True)] * 9
        broker, member = broker_and_member(steps)
        checkpoint = Checkpoint(DESTINATIONS, member, broker.writer("one"), exactly_once=True, backoff=AT_ONCE)
        with pytest.raises(TransportError):
            checkpoint.commit([result(member)], lambda: steps.names.count("commit") == 3)
        assert [] == broker.visible("recs")
        assert {} == checkpoint.committed

    @pytest.mark.parametrize("error", [FencedError("another"), AssignmentLostError("gone"), TransportError("no")])
    def test_an_error_that_waiting_does_not_help_is_raised_at_once(self, error: TransportError) -> None:
        """And nothing is seen of it."""
        steps = Steps()
        steps.failures["commit"] = [error]
        broker, member = broker_and_member(steps)
        with pytest.raises(type(error)):
            Checkpoint(DESTINATIONS, member, broker.writer("one"), exactly_once=True).commit([result(member)])
        assert 1 == steps.names.count("commit")
        broker.end_open_transactions()
        assert [] == broker.visible("recs")

    def test_a_batch_of_an_older_generation_is_not_committed(self) -> None:
        """Partitions that were revoked and assigned again may have had another owner in between."""
        broker, member = broker_and_member(Steps())
        stale = BatchResult.of_offsets({CLICKS: 1}, Membership(member.generation - 1, member.group_metadata))
        with pytest.raises(AssignmentLostError):
            Checkpoint(DESTINATIONS, member, broker.writer("one"), exactly_once=True).commit([stale])
        assert {} == member.committed([CLICKS])

    def test_nothing_to_commit_is_no_transaction(self) -> None:
        """A quiet topic costs nothing."""
        steps = Steps()
        broker, member = broker_and_member(steps)
        Checkpoint(DESTINATIONS, member, broker.writer("one"), exactly_once=True).commit(
            [BatchResult.of_offsets({}, Membership(member.generation, member.group_metadata))]
        )
        assert [] == steps.names


class TestAtLeastOnce:
    """Answers first, offsets when they have arrived."""

    def test_offsets_are_committed_after_the_answers(self) -> None:
        """A crash in between repeats answers, and loses none."""
        steps = Steps()
        broker, member = broker_and_member(steps)
        Checkpoint(DESTINATIONS, member, broker.writer(None), exactly_once=False).commit([result(member, 2)])
        assert ["send", "send", "flush", "commit offsets"] == steps.names

    def test_lines_for_files_arrive_before_offsets_are_committed(self) -> None:
        """A file that cannot be written to keeps its records uncommitted."""
        _, member = broker_and_member(Steps())
        answers, dead = MemorySink(fail_at=2), MemorySink()
        places = OutputDestinations(answers_file=answers, dead_letters_file=dead)
        checkpoint = Checkpoint(places, member, None, exactly_once=False)
        checkpoint.commit([result(member, 2, (rejected(),))])
        assert (2, 1) == (len(answers.values), len(dead.values))
        with pytest.raises(TransportError):
            checkpoint.commit([result(member, 3)], lambda: True)
        assert {CLICKS: 3} == member.committed([CLICKS])


class TestDeadLetters:
    """Records that were refused, as records of a topic."""

    def test_it_is_the_record_with_headers_that_tell_why(self) -> None:
        """Value, key and headers as they came; before the answers of its batch."""
        broker, member = broker_and_member(Steps())
        checkpoint = Checkpoint(DESTINATIONS, member, broker.writer("one"), exactly_once=True)
        checkpoint.commit([result(member, 1, (rejected(b"{", (("trace", b"\xff"),)),))])
        (letter,) = broker.visible("dead")
        own = {"reason": b"not_json", "message": b"why", "topic": b"clicks", "partition": b"0", "offset": b"7"}
        assert (b"{", b"k") == (letter.value, letter.key)
        assert {"trace": b"\xff", **{HEADERS + name: value for name, value in own.items()}} == dict(letter.headers)

    def test_one_that_its_headers_make_too_large_goes_without_its_value(self) -> None:
        """The original still stands where the headers say; all else of the commit goes on."""
        broker, member = broker_and_member(Steps())
        checkpoint = Checkpoint(DESTINATIONS, member, broker.writer("one"), exactly_once=True)
        checkpoint.commit([result(member, 2, (rejected(b"x" * 590), rejected(b"y")))])
        large, small = broker.visible("dead")
        assert (b"", b"y") == (large.value, small.value)
        assert b"590" == dict(large.headers)[f"{HEADERS}value-bytes-left-out"]
        assert b"7" == dict(large.headers)[f"{HEADERS}offset"]
        assert 2 == len(broker.visible("recs"))

    def test_one_that_is_too_large_without_its_value_is_the_operators_matter(self) -> None:
        """Nothing more can be left out: to try the same again would have no end."""
        steps: list[str] = []

        def step(name: str) -> None:
            steps.append(name)
            assert steps.count("begin") < 9

        broker, member = broker_and_member(step)
        broker.max_record_bytes = 20
        checkpoint = Checkpoint(DESTINATIONS, member, broker.writer("one"), exactly_once=True)
        with pytest.raises(TransportError, match=r"max\.message\.bytes") as caught:
            checkpoint.commit([result(member, 0, (rejected(),))])
        assert not caught.value.retriable
        assert 2 == steps.count("begin")

    def test_one_without_a_value_goes_without_the_headers_that_it_came_with(self) -> None:
        """They stand where the others say, too."""
        broker, member = broker_and_member(Steps())
        checkpoint = Checkpoint(DESTINATIONS, member, broker.writer("one"), exactly_once=True)
        checkpoint.commit([result(member, 0, (rejected(b"", (("trace", b"x" * 700),)),))])
        (letter,) = broker.visible("dead")
        assert "trace" not in dict(letter.headers)
        assert b"0" == dict(letter.headers)[f"{HEADERS}value-bytes-left-out"]

    @pytest.mark.parametrize("destinations", [DESTINATIONS, DESTINATIONS._replace(group="shop")])
    def test_an_answer_that_is_too_large_is_the_operators_matter(self, destinations: OutputDestinations) -> None:
        """It cannot be cut, so the service stops, and says which settings help."""
        broker, member = broker_and_member(Steps())
        broker.max_record_bytes = 20
        with pytest.raises(TransportError, match="--n"):
            Checkpoint(destinations, member, broker.writer("one"), exactly_once=True).commit([result(member)])


class TestRetries:
    """Commits that fail for a while."""

    def test_a_failure_that_lasts_is_a_problem_until_a_commit(self) -> None:
        """A single one is not: the wait before the next try must have become the longest."""
        steps = Steps()
        steps.failures["begin"] = [TransportError("away", retriable=True)] * 4
        broker, member = broker_and_member(steps)
        problems = Problems()
        seen: list[list[str]] = []
        backoff = Backoff(1.0, 4.0, lambda _: seen.append([each.kind for each in problems.now]))
        checkpoint = Checkpoint(
            DESTINATIONS, member, broker.writer("one"), exactly_once=True, backoff=backoff, problems=problems
        )
        checkpoint.commit([result(member)])
        assert [[], [], ["commits"], ["commits"]] == seen
        assert [] == problems.now


class TestNotes:
    """What is said beside answers and offsets."""

    @pytest.mark.parametrize("exactly_once", [True, False])
    def test_an_answer_names_its_group_and_a_commit_has_a_note(self, exactly_once: bool) -> None:
        """A header of each answer, and the note beside each offset, with and without a transaction."""
        broker, member = broker_and_member(Steps())
        writer = broker.writer("one" if exactly_once else None)
        destinations = DESTINATIONS._replace(group="shop")
        checkpoint = Checkpoint(destinations, member, writer, exactly_once=exactly_once, note="a note")
        checkpoint.commit([result(member, 2, (rejected(),))])
        assert [((GROUP_HEADER, b"shop"),)] * 2 == [record.headers for record in broker.visible("recs")]
        assert GROUP_HEADER not in dict(broker.visible("dead")[0].headers)
        assert {CLICKS: "a note"} == broker.commit_notes("stream-rec", [CLICKS, Partition("clicks", 1)])


class TestFiles:
    """Files of answers and dead letters, on a disk that is full for a while."""

    @pytest.mark.parametrize("full", ["answers", "dead letters"])
    def test_a_full_disk_is_waited_for(self, full: str) -> None:
        """Each line is written once, dead letters first, and offsets are committed after that."""
        _, member = broker_and_member(Steps())
        answers = MemorySink(fail_at=0 if full == "answers" else None)
        dead = MemorySink(fail_at=0 if full == "dead letters" else None)
        problems = Problems()
        seen: list[object] = []

        def pause(_: float) -> None:
            kinds = [each.kind for each in problems.now]
            seen.append((kinds, len(answers.values), member.committed([CLICKS])))

        checkpoint = Checkpoint(
            OutputDestinations(answers_file=answers, dead_letters_file=dead),
            member,
            None,
            exactly_once=False,
            backoff=Backoff(pause=pause),
            problems=problems,
        )
        checkpoint.commit([result(member, 2, (rejected(),))])
        assert [(["files"], 0, {})] == seen
        assert (2, 1) == (len(answers.values), len(dead.values))
        assert {CLICKS: 3} == member.committed([CLICKS])
        assert [] == problems.now

    def test_a_stop_does_not_wait_for_the_disk(self) -> None:
        """What is not written is not committed: the next start answers it."""
        _, member = broker_and_member(Steps())
        destinations = OutputDestinations(answers_file=MemorySink(fail_at=0))
        checkpoint = Checkpoint(destinations, member, None, exactly_once=False, backoff=AT_ONCE)
        with pytest.raises(UnwrittenError):
            checkpoint.commit([result(member)], lambda: True)
        assert {} == member.committed([CLICKS])
