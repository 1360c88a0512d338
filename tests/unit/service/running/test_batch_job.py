"""The worker, the loop and what they tell, without processes: on sources and sinks in memory."""

import io
import os
import re
import signal

import msgspec
import pytest
from numba.core.caching import NullCache
from rich.console import Console

from stream_rec.cli.progress import ProgressLine, ReadingLine
from stream_rec.cli.progress_text import plain_job_progress, plain_reading_progress
from stream_rec.core.compiled import Entry
from stream_rec.core.engine import Engine
from stream_rec.core.events import Answer, DeadLetter, EventDecoder, encode_answer
from stream_rec.core.index.kernel import entries
from stream_rec.core.limits import Limits
from stream_rec.core.rerank.kernel import entries as rerank_entries
from stream_rec.errors import TransportError
from stream_rec.service.assembly import warm_up
from stream_rec.service.consuming.record_decoder import RecordDecoder
from stream_rec.service.metrics.counters import Counters
from stream_rec.service.metrics.format import show_duration, show_size, show_time
from stream_rec.service.processing.processor import AnswerPolicy, Processor
from stream_rec.service.reporting.plain_lines import PlainLines
from stream_rec.service.running.batch_job import BatchJob
from stream_rec.service.running.signals import Interrupt
from stream_rec.transport.memory.log import MemorySink, MemorySource
from stream_rec.transport.records import Progress


def line(session: str, item: str, time: int, **more: str) -> bytes:
    return msgspec.json.encode({"session_id": session, "item_id": item, "timestamp": time, **more})


LOG = [
    line("s", "a", 10_000, event_id="1"),
    b"not JSON",
    line("t", "a", 11_000, event_id="2"),
    line("s", "b", 12_000, event_id="3"),
    line("t", "c", 1000, event_id="4"),
    line("s", "b", 12_000, event_id="3"),
    b'{"type":"forget","session_id":"s"}',
    line("u", "a", 13_000, event_id="5"),
    line("u", "c", 13_500),
]


def job(
    source: MemorySource,
    *,
    batch: int = 4,
    answers: MemorySink | None = None,
    dead: MemorySink | None = None,
    answers_events: bool = True,
) -> BatchJob:
    engine = Engine(limits=Limits(allowed_lateness_ms=5000))
    processor = Processor(engine, policy=AnswerPolicy(answers_events=answers_events))
    return BatchJob(
        processor, RecordDecoder(EventDecoder()), source, recommendations=answers, dead_letters=dead, batch_events=batch
    )


def ran(values: list[bytes], batch: int, partitions: int = 1) -> tuple[list[bytes], list[bytes], Counters]:
    answers, dead = MemorySink(), MemorySink()
    run = job(MemorySource(values, partitions=partitions), batch=batch, answers=answers, dead=dead)
    run.run()
    run.close()
    return answers.values, dead.values, run.counters


def decoded(values: list[bytes]) -> list[Answer]:
    return [msgspec.json.decode(value, type=Answer) for value in values]


class TestWorker:
    """What it says of a log."""

    def test_every_record_is_accounted_for(self) -> None:
        """Applied, dead-lettered or a duplicate; orders to forget are applied, and get no answer."""
        answers, dead, counts = ran(LOG, 100)
        assert (9, 6, 1, 1, 5) == (
            counts.n_read, counts.n_applied, counts.n_forgets, counts.n_duplicates, len(answers)
        )  # fmt: skip
        assert {"not_json": 1, "late": 1} == counts.dead
        letters = [msgspec.json.decode(value, type=DeadLetter) for value in dead]
        assert [("not_json", 1), ("late", 4), ("duplicate", 5)] == [(each.reason, each.offset) for each in letters]
        assert [LOG[1], LOG[4], LOG[5]] == [each.original for each in letters]
        assert "1000 is 11s behind the watermark; the allowed lateness is 5s" in letters[1].message
        counts.check()

    @pytest.mark.parametrize("partitions", [1, 3])
    def test_batches_do_not_show(self, partitions: int) -> None:
        """Answers and dead letters are the same bytes, whatever the batches were."""
        at_once = ran(LOG, 100, partitions)[:2]
        for batch in (1, 2, 5):
            assert at_once == ran(LOG, batch, partitions)[:2]

    def test_an_answer_tells_the_position_of_each_partition(self) -> None:
        """That of its own event, and the last one seen of the others, bad records included."""
        answers, _, _ = ran(LOG, 100, partitions=2)
        positions = [answer.offsets for answer in decoded(answers)]
        assert {"memory-0": 0} == positions[0]
        assert {"memory-0": 1, "memory-1": 0} == positions[1]
        assert {"memory-0": 4, "memory-1": 3} == positions[-1]

    def test_positions_without_answers(self) -> None:
        """Where no event is answered, the last position of each partition is still known, for requests."""
        run = job(MemorySource(LOG, partitions=2), answers_events=False)
        run.run()
        assert {"memory-0": 4, "memory-1": 3} == run.processor.offsets

    def test_a_lost_record_is_a_bug(self) -> None:
        """Counters that do not add up end the run loudly."""
        with pytest.raises(AssertionError, match="2 records read, but 1 accounted for"):
            Counters(n_read=2, n_applied=1).check()


class TestJob:
    """The loop."""

    def test_what_was_taken_is_written_when_the_source_fails(self) -> None:
        """Answers of all that came before the failure are there, and counted."""
        answers = MemorySink()
        run = job(MemorySource(LOG, fail_at=4), answers=answers)
        with pytest.raises(TransportError):
            run.run()
        assert 3 == len(answers.values) == run.counters.n_answers
        assert 4 == run.counters.n_read

    def test_stopping_finishes_the_batch(self) -> None:
        """Between two batches it stops; what was read is answered and written."""
        answers = MemorySink()
        run = job(MemorySource(LOG), batch=3, answers=answers)
        run.run(stop=lambda: run.counters.n_read >= 3)
        assert 3 == run.counters.n_read
        assert 2 == len(answers.values)
        assert "3 records (stopped before the end)" in run.summary()[0]

    def test_an_idle_source_flushes(self) -> None:
        """When nothing is waiting, all that was processed has been written."""
        answers = MemorySink()
        seen: list[int] = []
        run = job(MemorySource(LOG), batch=100, answers=answers)
        run.run(on_progress=lambda _: seen.append(len(answers.values)))
        assert [0, 5] == seen

    def test_keys_are_sessions(self) -> None:
        """A record of the output topic is keyed by its session."""
        answers = MemorySink()
        job(MemorySource(LOG), answers=answers).run()
        assert [b"s", b"t", b"s", b"u", b"u"] == answers.keys

    def test_closing_closes_everything(self) -> None:
        """Twice does no harm."""
        source, answers, dead = MemorySource([]), MemorySink(), MemorySink()
        run = job(source, answers=answers, dead=dead)
        run.close()
        run.close()
        assert source.closed
        assert answers.closed
        assert dead.closed

    def test_answers_are_those_of_the_engine(self) -> None:
        """Encoded as an answer of the library is."""
        answers, _, _ = ran(LOG, 2)
        assert answers == [encode_answer(answer) for answer in decoded(answers)]


class TestInterrupt:
    """Signals."""

    @pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
    def test_the_first_asks_and_the_second_insists(self, number: signal.Signals) -> None:
        """Afterwards the handlers are what they were."""
        before = signal.getsignal(number)
        with Interrupt() as interrupt:
            asked = [interrupt.asked]
            os.kill(os.getpid(), number)
            asked.append(interrupt.asked)
            assert [False, True] == asked
            with pytest.raises(KeyboardInterrupt):
                os.kill(os.getpid(), number)
        assert before is signal.getsignal(number)


class TestTelling:
    """What people read."""

    def test_progress_on_a_terminal(self) -> None:
        """Rates, sessions and horizon, on a line of 80 columns."""
        out = io.StringIO()
        run = job(MemorySource(LOG), answers=MemorySink())
        with ProgressLine(Console(file=out, force_terminal=True, width=80)) as watch:
            run.run(on_progress=watch)
        assert re.search(r"4 events \d+/s, answers \d+/s, 2 sessions, 1s ", out.getvalue())

    def test_no_progress_in_a_pipe(self) -> None:
        """Not a byte."""
        out = io.StringIO()
        run = job(MemorySource(LOG), answers=MemorySink())
        with ProgressLine(Console(file=out)) as watch:
            run.run(on_progress=watch)
        assert "" == out.getvalue()

    def test_plain_lines_without_a_terminal(self, capsys: pytest.CaptureFixture[str]) -> None:
        """A line each ten seconds, whole and without control characters; none in a run that is shorter."""
        now = [0.0]
        run = job(MemorySource(LOG), answers=MemorySink())
        watch = plain_job_progress(PlainLines(lambda: now[0]))
        read = plain_reading_progress(PlainLines(lambda: now[0]))
        run.run(on_progress=watch)
        read(Progress(50, 100))
        assert "" == capsys.readouterr().err
        now[0] = 10.0
        for _ in range(3):
            watch(run)
            read(Progress(5_000, 20_000))
        first, second = capsys.readouterr().err.splitlines()
        assert re.fullmatch(r"progress: (\d+%, )?9 events \d+/s, answers \d+/s, 2 sessions, 2s 500ms", first)
        assert "progress: 25%, 5.0k bytes read" == second

    def test_how_far_a_check_is(self) -> None:
        """A bar while it reads, and nothing in a pipe."""
        for is_terminal, expected in ((True, "reading"), (False, "")):
            out = io.StringIO()
            with ReadingLine(Console(file=out, force_terminal=is_terminal, width=80)) as watch:
                watch(Progress(50, 100))
            assert expected in out.getvalue()
            assert is_terminal == ("50%" in out.getvalue())

    def test_the_summary_of_a_run(self) -> None:
        """What adds up, what is held, and when it is."""
        run = job(MemorySource(LOG), answers=MemorySink())
        run.run()
        lines = "\n".join(run.summary())
        assert "read           9 records\napplied        6, 1 forgets among them\n" in lines
        assert "dead-lettered  2 (late 1, not_json 1)\nduplicates     1\nanswers        5\n" in lines
        assert "watermark      1970-01-01T00:00:13.500Z\nhorizon        2s 500ms\n" in lines

    def test_a_run_that_did_not_go_well(self) -> None:
        """Most was refused, or seconds were read as milliseconds: the summary ends with what to do."""
        run = job(MemorySource([b"{"] * 2 + [LOG[0]]), answers=MemorySink())
        run.run()
        lines = "\n".join(run.summary())
        assert "hint           most records were refused: `stream-rec check` " in lines
        assert "hint           the newest event is of 1970: times in seconds need --timestamp-unit s" in lines
        run = job(MemorySource([b'{"session_id":"s","item_id":"i","timestamp":1714564800000}']), answers=MemorySink())
        run.run()
        assert "hint" not in "\n".join(run.summary())

    def test_figures(self) -> None:
        """As people write them."""
        assert ("3d 4h", "1d", "1h 1m", "59s 999ms", "0ms") == tuple(
            map(show_duration, (273_600_000, 86_400_000, 3_661_000, 59_999, 0))
        )
        assert ("512 bytes", "1.5 KiB", "3.0 MiB", "2.00 GiB") == tuple(map(show_size, (512, 1536, 3 << 20, 2 << 30)))
        assert show_time(1_700_000_000_123) == "2023-11-14T22:13:20.123Z"

    def test_a_cold_cache_is_noticed(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """After a warm-up there is something in it; without a folder for it every start is cold."""
        warm_up.warm_up(answers_requests=True)
        assert not warm_up.is_cold()
        assert warm_up.can_keep()
        monkeypatch.setattr(entries.apply.dispatcher, "_cache", NullCache())
        assert warm_up.is_cold()
        assert not warm_up.can_keep()


def test_refused_requests_are_dead_letters_too() -> None:
    """Counted with those of events, duplicates among them."""
    counts = Counters(n_duplicates=1)
    counts.dead["late"] += 2
    counts.dead_requests["not_json"] += 4
    assert 7 == counts.n_dead_lettered


def test_a_warm_up_leaves_nothing_to_be_compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    """It calls every kernel that Python calls; those of the evaluation are called by the other."""
    called: set[str] = set()
    call = Entry.__call__

    def noted(kernel: Entry[..., object], *args: object) -> object:
        called.add(kernel.dispatcher.__name__)
        return call(kernel, *args)

    monkeypatch.setattr(Entry, "__call__", noted)
    warm_up.warm_up_all()
    warm_up.warm_up_evaluation()
    assert set() == set(entries.__all__) - called
    called.clear()
    warm_up.warm_up(learns=True)
    assert set() == set(rerank_entries.__all__) - called
