"""A run that stays: files first, then HTTP; what is kept, and by which clock."""

import errno
import json
import os
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from disk import full_at
from web import SECONDS, embedded, eventually

from stream_rec.core.engine import Engine
from stream_rec.core.events import EventDecoder, Request
from stream_rec.errors import SettingsError, TransportError
from stream_rec.service.consuming.record_decoder import RecordDecoder
from stream_rec.service.processing.processor import AnswerPolicy, Processor
from stream_rec.service.requests.journal import Journal
from stream_rec.service.requests.request_queue import Completed, Query, RequestQueue
from stream_rec.service.running.batch_job import BatchJob
from stream_rec.service.running.log_clock import LogClock
from stream_rec.service.running.standalone import StandaloneService
from stream_rec.settings import load
from stream_rec.transport.memory.log import MemorySink, MemorySource
from stream_rec.transport.records import Record

DAY = 86_400_000


def log_of(path: Path, n: int, start: int) -> Path:
    path.write_text(
        "".join(
            json.dumps({"session_id": f"s{at % 5}", "item_id": f"i{at % 7}", "timestamp": start + at}) + "\n"
            for at in range(n)
        )
    )
    return path


def now() -> int:
    return int(time.time() * 1000)


def test_a_file_is_read_before_it_is_ready(tmp_path: Path) -> None:
    """All of it is in the state then; its position is in the answers."""
    log = log_of(tmp_path / "clicks.jsonl", 500, now() - 1000)
    with embedded(events=str(log)) as running:
        reply = running.client.get("/v1/sessions/s1/recommendations")
        assert {"clicks.jsonl-0": 500} == reply["offsets"]
        assert 500 == running.client.get("/v1/stats")["counts"]["applied"]


def test_answers_and_dead_letters_are_written_too(tmp_path: Path) -> None:
    """Where a place is named for them: of the file's events, and of those that came over HTTP."""
    log = log_of(tmp_path / "clicks.jsonl", 10, now() - 1000)
    out, dead = tmp_path / "recs.jsonl", tmp_path / "dead.jsonl"
    with embedded(events=str(log), recommendations=str(out), dead_letters=str(dead)) as running:
        running.client.post("/v1/events", {"session_id": "me", "item_id": "i1"})
        reply = running.client.post("/v1/events", {"session_id": "me", "item_id": "i1", "timestamp": 1_600_000_000_000})
        assert ["late"] == [each["code"] for each in reply["refused"]]
    assert [f"s{n % 5}" for n in range(10)] + ["me"] == [
        json.loads(line)["session_id"] for line in out.read_text().splitlines()
    ]
    (letter,) = map(json.loads, dead.read_text().splitlines())
    assert ("late", "http", 1) == (letter["reason"], letter["topic"], letter["offset"])


def test_without_a_place_answers_are_for_who_asks(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Nothing is written to standard output."""
    with embedded(events=str(log_of(tmp_path / "clicks.jsonl", 10, now()))):
        pass
    assert "" == capfd.readouterr().out


def test_requests_of_a_file_are_answered_after_it(tmp_path: Path) -> None:
    """As in a run that ends."""
    log = log_of(tmp_path / "clicks.jsonl", 10, now() - 1000)
    requests, out = tmp_path / "requests.jsonl", tmp_path / "recs.jsonl"
    requests.write_text('{"request_id": "r", "session_id": "s1"}\n')
    with embedded(events=str(log), requests=str(requests), answer="requests", recommendations=str(out)) as running:
        assert 10 == running.client.get("/v1/sessions/s1/recommendations")["offsets"]["clicks.jsonl-0"]
        eventually(lambda: out.exists() and out.read_text(), "answered")
    assert ["r"] == [json.loads(line)["request_id"] for line in out.read_text().splitlines()]


class Pipe(MemorySource):
    """One in which nothing waits before it is let go on."""

    def __init__(self, *values: bytes) -> None:
        super().__init__(values)
        self.go_on = threading.Event()

    def batches(self, max_records: int) -> Iterator[list[Record]]:
        while not self.go_on.wait(0.02):
            yield []
        yield from super().batches(max_records)


@contextmanager
def asked_through(pipe: MemorySource, request_queue: RequestQueue, sink: MemorySink) -> Iterator[threading.Event]:
    """A run over one event that is ready, and reads requests from *pipe*; setting the event stops it."""
    events = MemorySource([b'{"session_id": "s", "item_id": "i", "timestamp": 1}'])
    processor = Processor(Engine(), policy=AnswerPolicy(answers_events=False))
    job = BatchJob(processor, RecordDecoder(EventDecoder()), events, requests=pipe, recommendations=sink)
    run, stop = StandaloneService(job, request_queue), threading.Event()
    failures: list[BaseException] = []

    def go() -> None:
        try:
            run.run(stop.is_set)
        except TransportError as error:
            failures.append(error)

    thread = threading.Thread(target=go)
    thread.start()
    try:
        eventually(lambda: failures or run.is_ready, "ready")
        yield stop
        stop.set()
        thread.join(SECONDS)
        assert not thread.is_alive(), "the stop was not seen"
    finally:
        stop.set()
        if isinstance(pipe, Pipe):
            pipe.go_on.set()
        thread.join()
    if failures:
        raise failures[0]


def test_a_quiet_pipe_of_requests_does_not_delay_http() -> None:
    """While nothing comes through it who asks over HTTP is answered, and then what comes is answered too."""
    request_queue, sink, pipe = RequestQueue(), MemorySink(), Pipe(b'{"request_id": "r", "session_id": "s"}')
    done: list[Completed] = []
    with asked_through(pipe, request_queue, sink):
        request_queue.put(Query([Request(session_id="s")]), "asked", done.extend)
        eventually(lambda: done, "answered")
        assert not sink.values
        pipe.go_on.set()
        eventually(lambda: sink.values, "what came")
    assert ["asked"] == [each.token for each in done]
    assert ["r"] == [json.loads(value)["request_id"] for value in sink.values]


def test_a_pipe_of_requests_does_not_keep_it_from_a_stop() -> None:
    """However long nothing comes through it."""
    with asked_through(Pipe(), RequestQueue(), MemorySink()) as stop:
        stop.set()


def test_requests_that_break_off_end_it_behind_the_last() -> None:
    """All that could be read are answered; then it ends with the error."""
    values = [b'{"request_id": "%d", "session_id": "s"}' % n for n in range(300)]
    sink = MemorySink()
    with pytest.raises(TransportError), asked_through(MemorySource(values, fail_at=290), RequestQueue(), sink):
        eventually(lambda: len(sink.values) == 290, "all that could be read")
    assert [str(n) for n in range(290)] == [json.loads(value)["request_id"] for value in sink.values]


def test_a_journal_brings_them_back(tmp_path: Path) -> None:
    """What was acknowledged is there after a restart, forgetting included; durable is what it says."""
    journal = str(tmp_path / "journal.jsonl")
    with embedded(journal=journal) as running:
        assert running.client.post("/v1/events", [{"session_id": "a", "item_id": f"i{n}"} for n in range(3)])["durable"]
        running.client.post("/v1/events:recommend", {"event": {"session_id": "b", "item_id": "i1"}})
        running.client.post("/v1/events", {"session_id": "c", "item_id": "i1"})
        running.client("DELETE", "/v1/sessions/c")
        before = running.client.get("/v1/sessions/b/recommendations")
    with embedded(journal=journal) as running:
        after = running.client.get("/v1/sessions/b/recommendations")
        assert before == after
        assert 404 == running.client("GET", "/v1/sessions/c").status
        reply = running.client.post("/v1/events:recommend", {"event": {"session_id": "b", "item_id": "i2"}})
        assert 1 + before["offsets"]["http-0"] == reply["offsets"]["http-0"]


def test_a_journal_comes_behind_the_files(tmp_path: Path) -> None:
    """As it did when it was written: what it forgets is forgotten, files are not late for it, nor read as it is."""
    log = tmp_path / "clicks.jsonl"
    old = (now() - 3 * 86_400_000) // 1000
    rows = [{"sid": f"s{at % 5}", "item_id": f"i{at % 7}", "timestamp": old + at} for at in range(50)]
    log.write_text("".join(json.dumps(row) + "\n" for row in rows))
    flags: dict[str, Any] = {"events": str(log), "journal": str(tmp_path / "journal"), "timestamp_unit": "s"}
    flags |= {"fields": ["session_id=sid"], "recommendations": str(tmp_path / "recs.jsonl"), "output_mode": "overwrite"}
    with embedded(**flags) as running:
        assert 200 == running.client("DELETE", "/v1/sessions/s1").status
        running.client.post("/v1/events", {"session_id": "me", "item_id": "i1"})
    with embedded(**flags) as running:
        assert 404 == running.client("GET", "/v1/sessions/s1").status
        assert 1 == len(running.client.get("/v1/sessions/me")["events"])
        assert 10 == len(running.client.get("/v1/sessions/s2")["events"])
        assert {} == running.client.get("/v1/stats")["dead_letters"]
    assert 50 == len((tmp_path / "recs.jsonl").read_text().splitlines()), "none of the journal is answered again"


def test_a_journal_has_one_owner(tmp_path: Path) -> None:
    """Two would cut off each other's last lines."""
    with closing(Journal(tmp_path / "journal", "http")), pytest.raises(SettingsError, match="another process"):
        Journal(tmp_path / "journal", "http")


def test_a_journal_that_was_cut_off(tmp_path: Path) -> None:
    """A last line that is not whole was never acknowledged: it is removed, and the next one is whole again."""
    path = tmp_path / "journal.jsonl"
    path.write_bytes(b'{"a":1}\n{"b":2}\n{"c"')
    journal = Journal(path, "http")
    assert [b'{"a":1}', b'{"b":2}'] == [each.value for batch in journal.batches() for each in batch]
    journal.write([Record(b'{"d":4}', "http", 0, 2), Record(b'{"e":5}', "http", 0, 3, timestamp_ms=7)])
    journal.close()
    assert b'{"a":1}\n{"b":2}\n{"d":4}\n{"e":5,"log_time":7}\n' == path.read_bytes()
    again = Journal(path, "http")
    assert [None, None, None, 7] == [each.timestamp_ms for batch in again.batches() for each in batch]
    again.close()


def test_a_journal_that_cannot_be(tmp_path: Path) -> None:
    """It is refused at the start, by name; one that is no longer to be had ends the run."""
    with pytest.raises(SettingsError, match="journal"):
        Journal(tmp_path / "no" / "folder", "http")
    with pytest.raises(TransportError, match="journal"):
        _write_to(Path("/dev/full"))


def as_record(value: bytes) -> Record:
    return Record(value, "http", 0, 0)


def _write_to(path: Path) -> None:
    with closing(Journal(path, "http")) as journal:
        journal.write([as_record(b"x")])


def test_a_journal_on_a_disk_that_is_full_for_a_while(tmp_path: Path) -> None:
    """Nothing of a failed write stays, and it is written again as soon as there is room."""
    path = tmp_path / "journal.jsonl"
    with closing(Journal(path, "http")) as journal:
        journal.write([as_record(b"first")])
        with full_at(10):
            for _ in range(2):
                with pytest.raises(TransportError, match=r"cannot write the journal .*journal\.jsonl") as caught:
                    journal.write([as_record(b"second"), as_record(b"third")])
            assert caught.value.retriable
            assert not journal.try_again()
            assert b"first\n" == path.read_bytes()
        assert journal.try_again()
        journal.write([as_record(b"second")])
        assert 2 == journal.n_lines
    assert b"first\nsecond\n" == path.read_bytes()


def test_a_journal_that_is_read_only_for_a_while(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It prevents no start: its whole lines are read, and it is written once it can be."""
    path = tmp_path / "journal.jsonl"
    path.write_bytes(b"first\nsecond\nthi")
    opened, is_read_only = Journal._open, [True]

    def open_(journal: Journal) -> None:
        if is_read_only:
            raise OSError(errno.EROFS, "Read-only file system")
        opened(journal)

    monkeypatch.setattr(Journal, "_open", open_)
    with closing(Journal(path, "http")) as journal:
        assert "Read-only" in str(journal.trouble)
        assert [b"first", b"second"] == [each.value for batch in journal.batches() for each in batch]
        with pytest.raises(TransportError, match="Read-only"):
            journal.write([as_record(b"third")])
        is_read_only.clear()
        journal.write([as_record(b"third")])
        assert 3 == journal.n_lines
    assert b"first\nsecond\nthird\n" == path.read_bytes()


def test_a_journal_that_was_changed_while_it_could_not_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What another process has written is not in the state: nothing is appended to it."""
    path = tmp_path / "journal.jsonl"
    with monkeypatch.context() as patched:
        patched.setattr(Journal, "_open", _read_only)
        journal = Journal(path, "http")
        assert [] == list(journal.batches())
    path.write_bytes(b"of another\n")
    with closing(journal), pytest.raises(TransportError, match="changed by another program"):
        journal.write([as_record(b"x")])
    assert b"of another\n" == path.read_bytes()


def _read_only(_: Journal) -> None:
    raise OSError(errno.EROFS, "Read-only file system")


def test_a_full_journal_refuses_events_and_answers_on(tmp_path: Path) -> None:
    """503 with the reason, and nothing of the refused events in the state; it is said, and passes by itself."""
    path = tmp_path / "journal"
    with embedded(journal=str(path)) as running:
        assert running.client.post("/v1/events", {"session_id": "a", "item_id": "i1"})["durable"]
        with full_at(path.stat().st_size + 10):
            for _ in range(2):
                reply = running.client("POST", "/v1/events", {"session_id": "a", "item_id": "i2"})
                assert (503, "not_written") == (reply.status, reply.json["error"]["code"])
                assert "cannot write the journal" in reply.json["error"]["message"]
                assert "1" == reply.headers["retry-after"]
            assert 503 == running.client("DELETE", "/v1/sessions/a").status
            assert 1 == len(running.client.get("/v1/sessions/a")["events"])
            assert (200, "ready\nproblem: journal\n") == running.client("GET", "/readyz")[::3]
            assert ["journal"] == [each.kind for each in running.served.status().problems]
        eventually(lambda: not running.served.status().problems, "it is over")
        running.client.post("/v1/events", {"session_id": "a", "item_id": "i3"})
    assert 2 == len(path.read_bytes().splitlines())
    with embedded(journal=str(path)) as running:
        assert ["i1", "i3"] == [each["item_id"] for each in running.client.get("/v1/sessions/a")["events"]]


def test_a_full_file_of_answers_is_waited_for(tmp_path: Path) -> None:
    """Requests over HTTP are answered, events are refused, and then all answers are in the file, each once."""
    out = tmp_path / "recs.jsonl"
    log = log_of(tmp_path / "clicks.jsonl", 50, now() - 1000)
    with embedded(events=str(log), recommendations=str(out)) as running:
        eventually(lambda: len(out.read_bytes().splitlines()) == 50, "the answers to the file")
        with full_at(out.stat().st_size + 10):
            running.client.post("/v1/events", {"session_id": "a", "item_id": "i1"})
            eventually(lambda: running.served.status().problems, "a problem")
            assert ["files"] == [each.kind for each in running.served.status().problems]
            reply = running.client("POST", "/v1/events", {"session_id": "a", "item_id": "i2"})
            assert (503, "not_written") == (reply.status, reply.json["error"]["code"])
            assert "recs.jsonl: cannot be written" in reply.json["error"]["message"]
            assert 1 == len(running.client.get("/v1/sessions/a")["events"])
        eventually(lambda: not running.served.status().problems, "it is over")
        running.client.post("/v1/events", {"session_id": "b", "item_id": "i2"})
    sessions = [json.loads(line)["session_id"] for line in out.read_bytes().splitlines()]
    assert [*(f"s{n % 5}" for n in range(50)), "a", "b"] == sessions


def test_the_clock() -> None:
    """Without a time, events are of now; behind a log that has ended long ago, of its end and what has passed since."""
    wall = 100 * DAY
    clock = LogClock("auto", 30 * DAY, lambda: wall)
    clock.begin(99 * DAY)
    assert 100 * DAY == clock()
    clock.begin(50 * DAY)
    assert 50 * DAY == clock()
    wall += 5
    assert 50 * DAY + 5 == clock()
    clock = LogClock("wall", 30 * DAY, lambda: wall)
    clock.begin(50 * DAY)
    assert wall == clock()
    clock = LogClock("log", None, lambda: wall)
    clock.begin(50 * DAY)
    assert 50 * DAY == clock()


def test_the_first_click_does_not_end_an_old_log(tmp_path: Path) -> None:
    """A log of years ago is served as if it had just ended."""
    log = log_of(tmp_path / "clicks.jsonl", 100, 1_300_000_000_000)
    with embedded(events=str(log)) as running:
        reply = running.client.post("/v1/events:recommend", {"event": {"session_id": "me", "item_id": "i1"}})
        assert "neighbours" == reply["items"][0]["source"]
        assert 1_300_000_000_099 <= reply["as_of"] < 1_300_000_000_099 + 60_000


def test_a_pipe_is_followed_while_it_serves(tmp_path: Path) -> None:
    """It is ready when nothing waits in the pipe, and goes on with what comes."""
    pipe = tmp_path / "pipe.jsonl"
    os.mkfifo(pipe)
    line = '{{"session_id": "s", "item_id": "i{}", "timestamp": {}}}\n'
    go_on, over = threading.Event(), threading.Event()

    def write() -> None:
        with pipe.open("w") as out:
            out.write(line.format(1, now()))
            out.flush()
            go_on.wait(20)
            out.write(line.format(2, now()))
            out.flush()
            over.wait(20)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        with embedded(events=str(pipe)) as running:
            assert 1 == len(running.client.get("/v1/sessions/s")["events"])
            go_on.set()
            eventually(lambda: len(running.client.get("/v1/sessions/s")["events"]) == 2, "the second")
            over.set()
    finally:
        go_on.set()
        over.set()
        writer.join()


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ({"events": "http"}, "events: is 'http', but HTTP is off"),
        ({"events": "a.csv", "journal": "j"}, "journal: is for events over HTTP without Kafka"),
        ({"events": "kafka://b/t", "http": ":1", "journal": "j"}, "journal: is for events over HTTP without Kafka"),
        ({"events": "http", "http": "8000"}, "http: --http gives '8000'; expected HOST:PORT"),
    ],
)
def test_settings_that_do_not_go_together(flags: dict[str, str], message: str) -> None:
    """Each is named."""
    with pytest.raises(SettingsError) as caught:
        load(flags=flags)
    assert message in str(caught.value)
