"""`stream-rec run` as a process: forms of input, rejected records, outputs, and exits."""

import csv
import gzip
import io
import json
import os
import re
import select
import signal
import subprocess
from collections import Counter
from pathlib import Path
from typing import Any

import msgspec
import pytest
from program import PROGRAM, SECONDS, first_number, stream_rec, summary

from stream_rec.core.engine import Engine
from stream_rec.core.events import Answer, DeadLetter, Event, Request, encode_answer
from stream_rec.simulator.clickstream import Shape, events

POISON = (
    "simulate --sessions 1500 --items 200 --out-of-order .05 --late .03 --duplicates .04 --broken .06 "
    "--too-large 2KiB --day-rhythm .5 --seed 3"
)
SHAPE = Shape(sessions=200, items=60, structure=0.8, users=40, seed=5)


@pytest.fixture(scope="module")
def log() -> list[Event]:
    """A small stream, in time order."""
    return list(events(SHAPE))


def jsonl(log: list[Event]) -> bytes:
    return b"".join(msgspec.json.encode(event) + b"\n" for event in log)


def table(log: list[Event], delimiter: str, header: list[str]) -> bytes:
    out = io.StringIO(newline="")
    writer = csv.writer(out, delimiter=delimiter, lineterminator="\n")
    writer.writerow(header)
    writer.writerows([e.session_id, e.item_id, e.timestamp, e.type] for e in log)
    return out.getvalue().encode()


def one_by_one(log: list[Event], topic: str = "clicks.jsonl") -> bytes:
    """Return an engine's answers, asked by hand after each event with the number of its line."""
    engine = Engine()
    lines = []
    for number, event in enumerate(log, 1):
        engine.apply([event])
        (answer,) = engine.answer([Request(session_id=event.session_id)], {f"{topic}-0": number})
        lines.append(encode_answer(answer) + b"\n")
    return b"".join(lines)


def answers(path: Path) -> list[Answer]:
    return [msgspec.json.decode(line, type=Answer) for line in path.read_bytes().splitlines()]


def without_offsets(every: list[Answer]) -> list[tuple[str | None, Any, int | None]]:
    """Return answers without their offset, which depends on how the log is written."""
    return [(answer.session_id, answer.items, answer.as_of) for answer in every]


class TestAnswers:
    """The answers to a log."""

    def test_one_for_each_event_as_the_engine_gives_it(self, log: list[Event], tmp_path: Path) -> None:
        """Batches, files and JSON change nothing: the bytes are those of asking the engine event by event."""
        source, out = tmp_path / "clicks.jsonl", tmp_path / "recs.jsonl"
        source.write_bytes(jsonl(log))
        done = stream_rec("run", "--events", source, "--recommendations", out)
        assert one_by_one(log) == out.read_bytes()
        assert b"" == done.stdout
        figures = summary(done.stderr)
        assert (
            len(log)
            == first_number(figures["read"])
            == first_number(figures["applied"])
            == first_number(figures["answers"])
        )
        assert "0" == figures["dead-lettered"]

    @pytest.mark.parametrize(
        ("name", "packed", "argv"),
        [
            ("clicks.jsonl.gz", True, ""),
            ("clicks.csv", False, ""),
            ("clicks.tsv.gz", True, "--field session_id=SessionId --field item_id=ItemId --field timestamp=Time"),
            ("u.data", False, "--format tsv --field session_id=0 --field item_id=1 --field timestamp=2 --field type=3"),
        ],
    )
    def test_every_form_gives_the_same_answers(
        self, name: str, packed: bool, argv: str, log: list[Event], tmp_path: Path
    ) -> None:
        """A packed log, a table, other names and no header: each gives the same answers."""
        header = ["session_id", "item_id", "timestamp", "type"]
        data = {
            "clicks.jsonl.gz": jsonl(log),
            "clicks.csv": table(log, ",", header),
            "clicks.tsv.gz": table(log, "\t", ["SessionId", "ItemId", "Time", "type"]),
            "u.data": table(log, "\t", header).split(b"\n", 1)[1],
        }[name]
        source, out = tmp_path / name, tmp_path / "recs.jsonl"
        source.write_bytes(gzip.compress(data) if packed else data)
        stream_rec("run", "--events", source, "--recommendations", out, *argv.split())
        expected = [msgspec.json.decode(line, type=Answer) for line in one_by_one(log).splitlines()]
        assert without_offsets(expected) == without_offsets(answers(out))

    def test_through_a_pipe(self, log: list[Event]) -> None:
        """A run from standard input to standard output keeps its summary apart from the answers."""
        done = stream_rec("run", "--events", "-", stdin=jsonl(log))
        assert one_by_one(log, "stdin") == done.stdout
        assert b"\x1b" not in done.stderr

    def test_a_table_through_a_pipe(self, log: list[Event]) -> None:
        """A pipe has no file name, so `--format` names the format."""
        done = stream_rec(
            "run",
            "--events",
            "-",
            "--format",
            "csv",
            stdin=table(log, ",", ["session_id", "item_id", "timestamp", "type"]),
        )
        assert len(log) == len(done.stdout.splitlines())

    @pytest.mark.parametrize("order", [[], ["--in-order"]])
    def test_same_log_same_bytes(self, log: list[Event], tmp_path: Path, order: list[str]) -> None:
        """Neither the hash seed of the process nor the size of batches shows in what is written (law 1)."""
        source = tmp_path / "clicks.jsonl"
        lines = jsonl(log).splitlines(keepends=True)
        lines[50:50] = [b'{"type":"forget","session_id":"s3"}\n', b"broken\n", b'{"session_id":1}\n']
        # Apart enough to be late, in the same batch or in another.
        lines += [lines[0], b'{"session_id":"s","item_id":"i1","timestamp":1}\n', *lines[60:90]]
        source.write_bytes(b"".join(lines))
        written = []
        for seed, batch in (("0", "1"), ("1", "7"), ("2", "100000")):
            out, dead = tmp_path / f"recs{seed}", tmp_path / f"dead{seed}"
            stream_rec(
                "run", "--events", source, "--recommendations", out, "--dead-letters", dead, "--batch-events", batch,
                *order, env={"PYTHONHASHSEED": seed},
            )  # fmt: skip
            written.append((out.read_bytes(), dead.read_bytes()))
        assert written[0][0]
        assert written[0][1]
        assert written[0] == written[1] == written[2]

    def test_requests_are_answered_from_the_whole_log(self, log: list[Event], tmp_path: Path) -> None:
        """Each good request is answered after the events; a bad one is dead-lettered, and the run goes on."""
        source, asked, dead = tmp_path / "clicks.jsonl", tmp_path / "asked.jsonl", tmp_path / "dead.jsonl"
        source.write_bytes(jsonl(log))
        asked.write_bytes(
            b'{"request_id":"a","session_id":"s199"}\n'
            b'{"request_id":"b","items":["i1","i2"],"n":3,"explain":true}\n'
            b'{"request_id":"c","session_id":"s199","preset":"no-such"}\n'
            b'{"request_id":"d"}\n'
        )
        done = stream_rec(
            "run", "--events", source, "--answer", "requests", "--requests", asked, "--dead-letters", dead
        )  # fmt: skip
        engine = Engine()
        engine.apply(log)
        requests = [Request("a", "s199"), Request("b", items=("i1", "i2"), n=3, explain=True)]
        expected = engine.answer(requests, {"clicks.jsonl-0": len(log)})
        assert [encode_answer(answer) for answer in expected] == done.stdout.splitlines()
        assert [False, True] == [b'"why"' in line for line in done.stdout.splitlines()]
        letters = [msgspec.json.decode(line, type=DeadLetter) for line in dead.read_bytes().splitlines()]
        assert [("wrong_type", 3), ("missing_field", 4)] == [(each.reason, each.offset) for each in letters]
        assert "4 read, 2 dead-lettered (missing_field 1, wrong_type 1)" == summary(done.stderr)["requests"]

    def test_sessions_cut_from_users(self, log: list[Event]) -> None:
        """With a gap, `session_id` is not needed, and the answers carry the session that was cut."""
        lines = [{"user_id": e.user_id, "item_id": e.item_id, "timestamp": e.timestamp} for e in log]
        data = b"".join(msgspec.json.encode(line) + b"\n" for line in lines)
        done = stream_rec("run", "--events", "-", "--session-gap", "30m", stdin=data)
        sessions = [json.loads(line)["session_id"] for line in done.stdout.splitlines()]
        assert len(log) == len(sessions)
        assert all(str(session).startswith(f"{e.user_id}@") for session, e in zip(sessions, log, strict=True))

    def test_denied_items_are_never_recommended(self, log: list[Event], tmp_path: Path) -> None:
        """Denied items of the flag and of the file are in no answer."""
        popular = [item for item, _ in Counter(event.item_id for event in log).most_common(3)]
        denied = tmp_path / "denied.txt"
        denied.write_text("\n".join(popular[1:]) + "\n\n", encoding="utf-8")
        done = stream_rec("run", "--events", "-", "--deny", popular[0], "--deny-file", denied, stdin=jsonl(log))
        named = {item["item_id"] for line in done.stdout.splitlines() for item in json.loads(line)["items"]}
        assert named
        assert named.isdisjoint(popular)

    def test_answer_none_writes_no_answer(self, log: list[Event]) -> None:
        """`--answer none` feeds the index only."""
        done = stream_rec("run", "--events", "-", "--answer", "none", stdin=jsonl(log))
        assert b"" == done.stdout
        assert "0" == summary(done.stderr)["answers"]


class TestOrder:
    """A file at rest is taken in order of time."""

    @pytest.fixture
    def shuffled(self, tmp_path: Path, log: list[Event]) -> Path:
        """The log session by session, as many public logs lie, in three files."""
        by_session = sorted(log, key=lambda event: event.session_id)
        third = len(by_session) // 3 + 1
        (tmp_path / "log").mkdir()
        for n in range(3):
            (tmp_path / f"log/part-{n}.dat").write_bytes(jsonl(by_session[n * third : (n + 1) * third]))
        return tmp_path / "log"

    def test_nothing_is_late(self, tmp_path: Path, log: list[Event], shuffled: Path) -> None:
        """Answers are those of the sorted log, but for the places; `--in-order` rejects what comes too late."""
        whole = tmp_path / "clicks.jsonl"
        whole.write_bytes(jsonl(sorted(log, key=lambda event: (event.timestamp, event.session_id))))
        stream_rec("run", "--events", whole, "--recommendations", tmp_path / "a.jsonl")
        done = stream_rec("run", "--events", shuffled, "--recommendations", tmp_path / "b.jsonl")
        assert f"applied        {len(log):,}" in done.stderr.decode()
        expected, found = answers(tmp_path / "a.jsonl"), answers(tmp_path / "b.jsonl")
        for each in (*expected, *found):
            each.offsets.clear()
        assert expected == found
        parts = [arg for part in sorted(shuffled.iterdir()) for arg in ("--events", part)]
        again = stream_rec("run", *parts, "--recommendations", "-")
        assert (tmp_path / "b.jsonl").read_bytes() == again.stdout
        late = stream_rec("run", "--events", shuffled, "--in-order", "--answer", "none").stderr.decode()
        assert re.search(r"dead-lettered  [\d,]+ \(late", late)

    @pytest.mark.parametrize("order", [[], ["--in-order"]])
    def test_repeats_are_dropped_on_request(self, tmp_path: Path, log: list[Event], order: list[str]) -> None:
        """They count as duplicates, and the answers are those of the log without them."""
        log = sorted(set(log), key=lambda event: event.timestamp)
        (tmp_path / "clicks.jsonl").write_bytes(jsonl([event for event in log for _ in range(2)]))
        options = ("--events", tmp_path / "clicks.jsonl", "--drop-repeats", "--recommendations", "-", *order)
        done = stream_rec("run", *options)
        assert f"duplicates     {len(log):,}\n" in done.stderr.decode()
        (tmp_path / "clicks.jsonl").write_bytes(jsonl(log))
        plain = stream_rec("run", "--events", tmp_path / "clicks.jsonl", "--recommendations", "-")

        def without_places(lines: bytes) -> list[bytes]:
            return [re.sub(rb'"offsets":\{[^}]*\},', b"", line) for line in lines.splitlines()]

        assert without_places(plain.stdout) == without_places(done.stdout)


class TestNothingIsLost:
    """Law 4, as the operator sees it."""

    def test_a_poisoned_log(self, tmp_path: Path) -> None:
        """The summary counts what the simulator put in; dead letters hold the original bytes and their place."""
        source, truth_file, dead = tmp_path / "clicks.jsonl", tmp_path / "truth.json", tmp_path / "dead.jsonl"
        stream_rec(*POISON.split(), "--out", source, "--truth", truth_file)
        done = stream_rec(
            "run", "--events", source, "--recommendations", "/dev/null", "--dead-letters", dead,
            "--max-record-bytes", "2KiB", "--in-order",
        )  # fmt: skip
        truth = json.loads(truth_file.read_text(encoding="utf-8"))
        figures = summary(done.stderr)
        assert truth["lines"] == first_number(figures["read"])
        assert truth["applied"] == first_number(figures["applied"]) == first_number(figures["answers"])
        assert truth["duplicates"] == first_number(figures["duplicates"]) > 0
        reasons = {**truth["broken"], "late": truth["late"]}
        assert len(reasons) == 10
        assert all(reasons.values())
        shown = ", ".join(f"{reason} {n:,}" for reason, n in sorted(reasons.items()))
        assert f"{sum(reasons.values()):,} ({shown})" == figures["dead-lettered"]

        letters = [msgspec.json.decode(line, type=DeadLetter) for line in dead.read_bytes().splitlines()]
        reasons["duplicate"] = truth["duplicates"]
        assert reasons == Counter(letter.reason for letter in letters)
        assert sorted(letter.offset for letter in letters) == [letter.offset for letter in letters]
        lines = source.read_bytes().split(b"\n")
        for letter in letters:
            line = lines[letter.offset - 1]
            assert letter.original == (line[:2048] if letter.reason == "too_large" else line)
            assert letter.message
            assert (letter.topic, letter.partition) == ("clicks.jsonl", 0)

    def test_an_order_to_forget(self, log: list[Event]) -> None:
        """An order to forget counts as applied, gets no answer, and removes the session."""
        data = jsonl(log) + b'{"type":"forget","session_id":"s199"}\n'
        done = stream_rec("run", "--events", "-", stdin=data)
        figures = summary(done.stderr)
        assert f"{len(log) + 1:,}, 1 forgets among them" == figures["applied"]
        assert len(log) == len(done.stdout.splitlines())
        assert figures["retained"].startswith("199 sessions")

    def test_a_file_that_breaks_off(self, log: list[Event], tmp_path: Path) -> None:
        """Records before the break are answered and counted; the exit code is 1, and the message names the place."""
        source, out = tmp_path / "clicks.jsonl.gz", tmp_path / "recs.jsonl"
        packed = gzip.compress(jsonl(log))
        source.write_bytes(packed[: len(packed) // 2])
        done = stream_rec("run", "--events", source, "--recommendations", out, code=1)
        n = len(answers(out))
        assert 0 < n < len(log)
        assert n == first_number(summary(done.stderr)["answers"])
        assert b"is cut off at byte" in done.stderr.splitlines()[-1]

    def test_an_existing_file_is_not_overwritten(self, tmp_path: Path) -> None:
        """A run overwrites a file only with the flag that allows it."""
        out = tmp_path / "recs.jsonl"
        out.write_bytes(b"precious\n")
        line = b'{"session_id":"s","item_id":"i","timestamp":1}\n'
        argv = ["run", "--events", "-", "--recommendations", out]
        done = stream_rec(*argv, stdin=line, code=2)
        assert b"--output-mode" in done.stderr
        assert b"precious\n" == out.read_bytes()
        stream_rec(*argv, "--output-mode", "append", stdin=line)
        assert out.read_bytes().startswith(b"precious\n{")
        stream_rec(*argv, "--output-mode", "overwrite", stdin=line)
        assert out.read_bytes().startswith(b'{"session_id":"s"')


class TestExitCodes:
    """Whether a script may go on after a run, or after a check."""

    @pytest.mark.parametrize("name", ["run", "check"])
    def test_nothing_applied(self, name: str, tmp_path: Path) -> None:
        """A log of which nothing could be applied ends with exit code 1, and the last line says why."""
        path = tmp_path / "clicks.jsonl"
        path.write_bytes(b'{"session_id":"s","sku":"i","timestamp":1714564800000}\n' * 3)
        done = stream_rec(name, "--events", path, code=1)
        message = "stream-rec: nothing was applied: all 3 records were refused (missing_field 3)"
        assert message == done.stderr.decode().splitlines()[-1]
        path.write_bytes(b"")
        done = stream_rec(name, "--events", path, code=1)
        assert done.stderr.endswith(b"nothing was applied: the source of events is empty\n")

    @pytest.mark.parametrize("name", ["run", "check"])
    def test_more_refused_than_the_limit_allows(self, name: str, log: list[Event], tmp_path: Path) -> None:
        """All is done, and then the exit code is 3; at the limit it is 0."""
        path = tmp_path / "clicks.jsonl"
        path.write_bytes(jsonl(log[:99]) + b"{}\n")
        answers = tmp_path / "answers.jsonl"
        argv = [name, "--events", path, *(["--recommendations", answers] if name == "run" else [])]
        stream_rec(*argv, "--max-refused", "1%")
        answers.unlink(missing_ok=True)
        done = stream_rec(*argv, "--max-refused", "0.5%", code=3)
        message = "stream-rec: 1 of 100 records were refused (1.00%): more than --max-refused 0.5% allows"
        assert message == done.stderr.decode().splitlines()[-1]
        assert name == "check" or len(answers.read_bytes().splitlines()) == len(log[:99])


class TestOpenPipe:
    """A pipe that stays open."""

    @pytest.fixture
    def open_run(self) -> Any:
        process = subprocess.Popen(
            [PROGRAM, "run", "--events", "-"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        yield process
        process.kill()
        process.communicate()

    @pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
    def test_an_answer_comes_at_once_and_a_signal_ends_it(
        self, number: signal.Signals, open_run: "subprocess.Popen[bytes]"
    ) -> None:
        """An answer waits neither for a full batch nor for the end; Ctrl-C ends with the summary and exit code 0."""
        assert open_run.stdin is not None
        assert open_run.stdout is not None
        for i in range(1, 4):
            open_run.stdin.write(b'{"session_id":"s","item_id":"i%d","timestamp":%d}\n' % (i, i))
            open_run.stdin.flush()
            readable, _, _ = select.select([open_run.stdout], [], [], SECONDS)
            assert readable
            assert {"stdin-0": i} == json.loads(open_run.stdout.readline())["offsets"]
        open_run.send_signal(number)
        assert 0 == open_run.wait(SECONDS)
        rest, stderr = open_run.communicate()
        assert b"" == rest
        assert "3 records (stopped before the end)" == summary(stderr)["read"]

    def test_ctrl_c_amid_a_long_file(self, tmp_path: Path) -> None:
        """The records that were read are answered, every line is whole, and the summary agrees with the file."""
        source, out = tmp_path / "clicks.jsonl", tmp_path / "recs.jsonl"
        stream_rec("simulate", "--sessions", 200_000, "--out", source)
        process = subprocess.Popen(
            [PROGRAM, "run", "--events", source, "--recommendations", out], stderr=subprocess.PIPE
        )
        while process.poll() is None and not (out.exists() and out.stat().st_size):
            os.sched_yield()
        process.send_signal(signal.SIGINT)
        _, stderr = process.communicate(timeout=SECONDS)
        assert 0 == process.returncode, stderr
        figures = summary(stderr)
        assert "stopped before the end" in figures["read"]
        assert out.read_bytes().endswith(b"\n")
        n = len(answers(out))
        assert 0 < n == first_number(figures["answers"]) == first_number(figures["read"])


class TestMisuse:
    """Errors name wrong settings before a record is read."""

    @pytest.mark.parametrize(
        ("argv", "named"),
        [
            ("--events - --retention 5", "stream-rec: retention: --retention gives '5'"),
            ("--events no-such-file.jsonl", "stream-rec: events: cannot read 'no-such-file.jsonl': No such file"),
            ("--events - --encoding utf-9", "stream-rec: encoding: 'utf-9' is no encoding of text that Python knows"),
            ("--events - --deny-file no-such-file", "stream-rec: deny_file: cannot read 'no-such-file'"),
            ("--events - --recommendations no/such/folder.jsonl", "stream-rec: recommendations: cannot write"),
            ("--events - --requests no-such-file.jsonl", "stream-rec: requests: cannot read"),
            ("--events - --preset nearest", "stream-rec: preset: --preset gives 'nearest'"),
            ("--events kafka://broker:9092", "stream-rec: events: 'kafka://broker:9092' names no topic"),
        ],
    )
    def test_exit_code_2_names_the_key(self, argv: str, named: str) -> None:
        """The error is one line without traceback, and standard output stays empty."""
        done = stream_rec("run", *argv.split(), code=2)
        assert done.stderr.decode().startswith(named)
        assert 1 == len(done.stderr.splitlines())
        assert b"" == done.stdout

    def test_a_table_without_the_columns(self) -> None:
        """The message names the existing columns, and the flag that maps them."""
        done = stream_rec("run", "--events", "-", "--format", "csv", stdin=b"SessionId,ItemId,Time\n1,2,3\n", code=2)
        assert b"has no column 'session_id', but SessionId, ItemId, Time" in done.stderr
        assert b"--field" in done.stderr

    @pytest.mark.parametrize(
        ("form", "between"), [("csv", ";"), ("csv", "|"), ("csv", "\t"), ("csv", ","), ("tsv", "::"), ("tsv", ",")]
    )
    def test_a_table_with_other_delimiters(self, form: str, between: str) -> None:
        """Its first line shows its delimiter; the error of a wrong --delimiter names that, not a missing column."""
        data = between.join(["session_id", "item_id", "timestamp"]) + "\n" + between.join("123") + "\n"
        options = ("--events", "-", "--format", form, "--answer", "none")
        done = stream_rec("run", *options, stdin=data.encode())
        assert b"applied        1\n" in done.stderr
        done = stream_rec("run", *options, "--delimiter", "#", stdin=data.encode(), code=2)
        assert f"delimiter: stdin has {between!r} between its columns, where '#'" in done.stderr.decode()
