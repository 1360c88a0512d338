"""`simulate`, `check` and `demo` as processes."""

import gzip
import json
import re
from pathlib import Path

import msgspec
import pytest
from program import stream_rec, summary

from stream_rec.simulator.clickstream import Shape, events
from stream_rec.simulator.delivery import Delivery, write_jsonl
from stream_rec.simulator.options import OPTIONS


def simulated(**shape: int) -> bytes:
    lines: list[bytes] = []
    write_jsonl(Shape(**shape), lines.append)  # type: ignore[arg-type]  # whole numbers only
    return b"".join(lines)


class TestSimulate:
    """The command writes a simulated log."""

    def test_options_make_the_shape(self, tmp_path: Path) -> None:
        """The command writes the bytes that the library writes; the truth goes to standard error, or to a file."""
        argv = ["simulate", "--sessions", 50, "--seed", 9, "--mean-length", "3", "--late", ".1", "--lateness", "10m"]
        done = stream_rec(*argv)
        lines: list[bytes] = []
        shape = Shape(sessions=50, seed=9, mean_length=3)
        truth = write_jsonl(shape, lines.append, Delivery(late=0.1, lateness_ms=600_000))
        assert b"".join(lines) == done.stdout
        assert truth.as_dict() == json.loads(done.stderr)
        quiet = stream_rec(*argv, "--truth", tmp_path / "truth.json", "--out", tmp_path / "log.jsonl.gz")
        assert (b"", b"") == (quiet.stdout, quiet.stderr)
        assert truth.as_dict() == json.loads((tmp_path / "truth.json").read_bytes())
        assert b"".join(lines) == gzip.decompress((tmp_path / "log.jsonl.gz").read_bytes())

    def test_an_existing_file_is_not_overwritten(self, tmp_path: Path) -> None:
        """The file stays, and the error names no option that the simulator lacks."""
        path = tmp_path / "log.jsonl"
        path.write_bytes(b"mine\n")
        refused = stream_rec("simulate", "--out", path, code=2).stderr.decode()
        assert "exists, and would be overwritten" in refused
        assert "--output-mode" not in refused
        assert b"mine\n" == path.read_bytes()

    def test_every_field_is_an_option(self) -> None:
        """Each option has its default, in the units that people write."""
        shown = stream_rec("simulate", "--help").stdout.decode()
        for option in OPTIONS:
            assert option.flag in shown
        assert "[default: 20s]" in shown
        assert "2023-11-15" in shown

    @pytest.mark.parametrize(
        ("argv", "message"),
        [
            ("--think 5", "stream-rec: think: --think gives '5'; expected a duration"),
            ("--late 2", "stream-rec: late: must be a share"),
            ("--sessions many", "stream-rec: sessions: --sessions gives 'many'; expected a whole number"),
            ("--duration 0", "stream-rec: duration: must be at least 1"),
            ("--start yesterday", "stream-rec: start: --start gives 'yesterday'; expected a time such as"),
        ],
    )
    def test_misuse(self, argv: str, message: str) -> None:
        """A wrong option ends the command with exit code 2 and the option's name."""
        assert stream_rec("simulate", *argv.split(), code=2).stderr.decode().startswith(message)


class TestCheck:
    """The command reports on a source, with hints."""

    def report(self, *argv: object, stdin: bytes = b"", code: int | None = None) -> str:
        """Return what the command says; a *code* of None is 1 where nothing is accepted, else 0."""
        done = stream_rec("check", "-", *argv, stdin=stdin, code=code)
        if code is None:
            assert (1 if b"accepted       0" in done.stdout else 0) == done.returncode
        return (done.stdout or done.stderr).decode()

    def test_a_clean_log(self) -> None:
        """Every record is accepted, the report has its figures, and it gives no advice."""
        data = simulated(sessions=100)
        report = self.report(stdin=data)
        n = len(data.splitlines())
        assert f"accepted       {n:,} (100.00%)" in report
        assert "100 sessions" in report
        assert "hints" not in report

    def test_rejected_records_are_listed(self) -> None:
        """They are listed by reason, with up to three examples: place, message, and the bytes, made harmless."""
        bad = [b'{"session_id":"s","timestamp":1}\n'] * 5 + [b"\x1b[31m\xff\n"]
        report = self.report(stdin=simulated(sessions=5, mean_length=1) + b"".join(bad))
        assert "refused        6" in report
        assert "  missing_field: 5" in report
        assert "    stdin:6: item_id: expected, found nothing\n" in report
        assert "    stdin:8: item_id: expected, found nothing\n" in report
        assert "stdin:9" not in report
        assert "\\x1b[31m" in report
        assert "\x1b" not in report

    def test_seconds_are_recognised(self) -> None:
        """Times before 1973 are taken for seconds that were read as milliseconds."""
        lines = [{"session_id": e.session_id, "item_id": e.item_id, "timestamp": e.timestamp // 1000}
                 for e in events(Shape(sessions=20))]  # fmt: skip
        data = b"".join(msgspec.json.encode(line) + b"\n" for line in lines)
        assert "--timestamp-unit s" in self.report(stdin=data)
        assert "hints" not in self.report("--timestamp-unit", "s", stdin=data)

    @pytest.mark.parametrize(("written", "unit"), [(b'"2024-05-01T12:00:00Z"', "iso"), (b"1714564800000000", "us")])
    def test_other_times_are_recognised(self, written: bytes, unit: str) -> None:
        """The report recognises ISO 8601, and microseconds, which are too large for milliseconds."""
        data = b'{"session_id":"s","item_id":"i","timestamp":%b}\n' % written
        assert f"--timestamp-unit {unit}" in self.report(stdin=data)

    def test_other_names_are_guessed(self, tmp_path: Path) -> None:
        """Names in JSON are guessed from the records, those of a table from its header, which a run refuses at once."""
        data = b'{"SessionId":"s","ItemId":"i","Time":1714564800000}\n'
        flags = "--field session_id=SessionId --field item_id=ItemId --field timestamp=Time"
        assert f"stream-rec check - {flags}\n" in self.report(stdin=data)
        assert "hints" not in self.report(*flags.split(), stdin=data.replace(b"}", b"}") + data.replace(b'"i"', b'"j"'))
        path = tmp_path / "clicks.tsv"
        path.write_bytes(b"SessionId\tItemId\tTime\ns\ti\t1714564800000\n")
        refused = stream_rec("check", "--events", path, code=2)
        assert f"try: stream-rec check {path} {flags}\n" in refused.stderr.decode()

    def test_a_user_in_place_of_a_session(self) -> None:
        """Records with a user and no session get the advice to cut sessions from users."""
        data = b'{"visitor":"v","item_id":"i","timestamp":1714564800000}\n'
        assert "--field user_id=visitor --session-gap 30m" in self.report(stdin=data)

    def test_a_sufficient_lateness_is_advised(self) -> None:
        """The advised lateness is measured on the log: with it, no event is late."""
        data = stream_rec("simulate", "--sessions", 500, "--late", 0.02, "--duration", "2d").stdout
        report = self.report(stdin=data)
        assert "  late: " in report
        advised = re.search(r"--allowed-lateness (\w+) would", report)
        assert advised is not None
        assert "  late: " not in self.report("--allowed-lateness", advised[1], stdin=data)

    @pytest.mark.parametrize("days", [25, 60])
    def test_an_unordered_log(self, days: int) -> None:
        """With the suggested settings every event is accepted, and lateness alone restarts no session."""
        argv = ("simulate", "--sessions", 50, "--think", "2h", "--duration", f"{days}d")
        lines = sorted(stream_rec(*argv).stdout.splitlines(keepends=True), reverse=True)
        data = b"".join(lines)  # by session, last to first
        report = self.report(stdin=data)
        advised = re.search(r"sort the log by time, or let all in with (.*)", report)
        assert advised is not None
        report = self.report(*advised[1].split(), stdin=data)
        assert "refused        0" in report
        assert "hints" not in report
        assert f"held at end    50 sessions, {len(lines)} events" in report

    def test_a_lateness_that_cuts_sessions(self) -> None:
        """A lateness as long as the retention restarts sessions at each event, and rejects none: a warning says so."""
        data = simulated(sessions=20)
        report = self.report("--retention", "10d", "--allowed-lateness", "10d", stdin=data)
        assert "a session starts again after a pause of 0ms" in report
        assert "hints" not in self.report("--retention", "20d", "--allowed-lateness", "10d", stdin=data)

    def test_lateness_is_not_reported_before_the_unit_is_right(self) -> None:
        """Which events are late, and by how much, depends on the unit of time."""
        lines = [{"session_id": e.session_id, "item_id": e.item_id, "timestamp": e.timestamp // 1000}
                 for e in events(Shape(sessions=50, duration_ms=200 * 86_400_000))]  # fmt: skip
        report = self.report(stdin=b"".join(msgspec.json.encode(line) + b"\n" for line in reversed(lines)))
        assert "  late: " in report
        assert "--timestamp-unit s" in report
        assert "--allowed-lateness" not in report

    def test_a_mapped_field_that_no_event_has(self) -> None:
        """A misspelt name of an optional field rejects no record, so only the report can show it."""
        line = b'{"session_id":"s","item_id":"i","timestamp":1714564800000,"who":"u","what":"cart"}\n'
        data = line + line.replace(b'"i"', b'"j"')
        report = self.report("--field", "user_id=hwo", "--field", "type=hwat", stdin=data)
        assert "no event has a user: is 'hwo' the right name?" in report
        assert "every event is a view: is 'hwat' the right name of the type?" in report
        report = self.report("--field", "user_id=who", "--field", "type=what", stdin=data)
        assert "right name" not in report

    @pytest.mark.parametrize("row", [b"s1,i1,1714564800000\n", b"7,8,1714564800000\n"])
    def test_a_table_in_a_pipe(self, row: bytes) -> None:
        """Its rows are read as JSON lines and rejected, also where they begin like numbers."""
        assert "--format csv" in self.report(stdin=row * 3)

    def test_latin_1(self) -> None:
        """The report names the encoding and a remedy; bytes that are not text are shown as bytes."""
        line = '{"session_id":"s","item_id":"Gr\xfc\xdfe","timestamp":1714564800000}\n'
        report = self.report(stdin=line.encode("latin-1"))
        assert '"Gr\\xfc\\xdfe"' in report
        assert "stream-rec check - --encoding windows-1252" in report
        assert "accepted       1 " in self.report("--encoding", "windows-1252", stdin=line.encode("latin-1"))

    def test_examples_are_shown_as_text(self) -> None:
        """A terminal that has the letters shows them; on any other the command still succeeds."""
        line = '{"session_id":"s","item_id":"Gr\xfc\xdfe \u20ac \u202e"}\n'.encode()
        assert 'Gr\xfc\xdfe \u20ac \\u202e"' in self.report(stdin=line)
        done = stream_rec("check", "--events", "-", stdin=line, env={"PYTHONIOENCODING": "latin-1"}, code=1)
        assert b'Gr\xfc\xdfe \\u20ac \\u202e"' in done.stdout

    def test_times_in_an_unknown_format(self) -> None:
        """Times that are neither numbers nor ISO 8601 need a format of their own; no unit helps."""
        line = b'{"session_id":"s","item_id":"i","timestamp":"01.05.2024 10:00"}\n'
        assert "--timestamp-format '%d.%m.%Y %H:%M'" in self.report(stdin=line)
        read = self.report("--timestamp-format", "%d.%m.%Y %H:%M", stdin=line)
        assert "2024-05-01T10:00:00" in read
        assert "timestamp" not in read

    def test_an_invalid_time_format(self) -> None:
        """The error names its key, before a record is read."""
        refused = stream_rec("check", "--events", "-", "--timestamp-format", "%d.%Q", code=2)
        assert "timestamp_format" in refused.stderr.decode()

    def test_an_empty_source(self) -> None:
        """The report says that the source is empty."""
        assert "the source is empty" in self.report()


@pytest.mark.slow
def test_demo_in_a_pipe() -> None:
    """`demo --fast` ends with what it learned and hit, in plain lines without control codes."""
    done = stream_rec("demo", "--fast")
    shown = done.stdout.decode()
    assert "HR@20" in shown
    assert "\x1b" not in shown + done.stderr.decode()
    assert "\r" not in shown


def test_a_public_log_is_checked_and_run_by_its_name(tmp_path: Path) -> None:
    """The folder and the name of the log are enough; settings that the format already fixes are refused."""
    lines = ["7\t50\t5\t881250949", "8\t50\t4\t881250950", "8\t51\t4\t881250951", "7\t52\t5"]
    (tmp_path / "u.data").write_text("\n".join(lines))
    report = stream_rec("check", "--events", tmp_path, "--format", "movielens").stdout.decode()
    assert "accepted       3 (75.00%)" in report
    assert "u.data:4: timestamp (3): expected, found nothing" in report
    assert "types          rating 3" in report
    source = ["--events", tmp_path / "u.data", "--format", "movielens-100k"]
    done = stream_rec("run", *source, "--recommendations", "-", "--event-type", "rating=2")
    assert "3" == summary(done.stderr)["applied"]
    refused = stream_rec("run", *source, "--field", "item_id=1", code=2)
    assert refused.stderr.startswith(b"stream-rec: fields: is given, but the public log movielens-100k sets its own")
