"""`simulate`, `check` and `demo` as processes."""

import gzip
import json
import re
from pathlib import Path

import msgspec
import pytest
from program import stream_rec

from stream_rec.datasets.delivery import Delivery, write_jsonl
from stream_rec.datasets.options import OPTIONS
from stream_rec.datasets.simulate import Shape, events


def simulated(**shape: int) -> bytes:
    lines: list[bytes] = []
    write_jsonl(Shape(**shape), lines.append)  # type: ignore[arg-type]  # whole numbers only
    return b"".join(lines)


class TestSimulate:
    """A log from the command line."""

    def test_options_make_the_shape(self, tmp_path: Path) -> None:
        """The bytes are those of the library; the truth goes to standard error, or to a file."""
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

    def test_every_field_is_an_option(self) -> None:
        """With its default, in the units that people write."""
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
        """Exit code 2, and the option's own name."""
        assert stream_rec("simulate", *argv.split(), code=2).stderr.decode().startswith(message)


class TestCheck:
    """A report on a source, with hints."""

    def report(self, *argv: object, stdin: bytes = b"", code: int = 0) -> str:
        done = stream_rec("check", "--events", "-", *argv, stdin=stdin, code=code)
        return (done.stdout or done.stderr).decode()

    def test_a_clean_log(self) -> None:
        """Everything is accepted, the figures are there, and nothing is advised."""
        data = simulated(sessions=100)
        report = self.report(stdin=data)
        n = len(data.splitlines())
        assert f"accepted       {n:,} (100.00%)" in report
        assert "100 sessions" in report
        assert "hints" not in report

    def test_what_would_be_refused(self) -> None:
        """By reason, with up to three examples: place, message, and the bytes, made harmless."""
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
        """Times before 1973 are seconds, read as milliseconds."""
        lines = [{"session_id": e.session_id, "item_id": e.item_id, "timestamp": e.timestamp // 1000}
                 for e in events(Shape(sessions=20))]  # fmt: skip
        data = b"".join(msgspec.json.encode(line) + b"\n" for line in lines)
        assert "--timestamp-unit s" in self.report(stdin=data)
        assert "hints" not in self.report("--timestamp-unit", "s", stdin=data)

    @pytest.mark.parametrize(("written", "unit"), [(b'"2024-05-01T12:00:00Z"', "iso"), (b"1714564800000000", "us")])
    def test_other_times_are_recognised(self, written: bytes, unit: str) -> None:
        """ISO 8601 and microseconds, which no millisecond can be."""
        data = b'{"session_id":"s","item_id":"i","timestamp":%b}\n' % written
        assert f"--timestamp-unit {unit}" in self.report(stdin=data)

    def test_other_names_are_guessed(self, tmp_path: Path) -> None:
        """For JSON from the records, for a table from its header, which a run refuses at once."""
        data = b'{"SessionId":"s","ItemId":"i","Time":1714564800000}\n'
        flags = "--field session_id=SessionId --field item_id=ItemId --field timestamp=Time"
        assert f"try {flags}" in self.report(stdin=data)
        assert "hints" not in self.report(*flags.split(), stdin=data.replace(b"}", b"}") + data.replace(b'"i"', b'"j"'))
        path = tmp_path / "clicks.tsv"
        path.write_bytes(b"SessionId\tItemId\tTime\ns\ti\t1714564800000\n")
        refused = stream_rec("check", "--events", path, code=2)
        assert f"(perhaps {flags})" in refused.stderr.decode()

    def test_a_user_in_place_of_a_session(self) -> None:
        """Then sessions can be cut."""
        data = b'{"visitor":"v","item_id":"i","timestamp":1714564800000}\n'
        assert "--field user_id=visitor --session-gap 30m" in self.report(stdin=data)

    def test_lateness_that_would_do(self) -> None:
        """Measured on the log: with what is advised, nothing is late."""
        data = stream_rec("simulate", "--sessions", 500, "--late", 0.02, "--duration", "2d").stdout
        report = self.report(stdin=data)
        assert "  late: " in report
        advised = re.search(r"--allowed-lateness (\w+) would", report)
        assert advised is not None
        assert "  late: " not in self.report("--allowed-lateness", advised[1], stdin=data)

    def test_a_log_in_no_order(self) -> None:
        """Over more than the retention: what is advised lets all of it in."""
        lines = stream_rec("simulate", "--sessions", 50, "--duration", "60d").stdout.splitlines(keepends=True)
        data = b"".join(reversed(lines))
        report = self.report(stdin=data)
        flags = "--retention 60d --allowed-lateness 60d"
        assert f"sort the log by time, or let all in with {flags}" in report
        assert "refused        0" in self.report(*flags.split(), stdin=data)

    def test_nothing(self) -> None:
        """An empty source is said to be one."""
        assert "the source is empty" in self.report()


def test_demo_in_a_pipe() -> None:
    """`demo --fast` ends with what it learned and hit, in plain lines without control codes."""
    done = stream_rec("demo", "--fast")
    shown = done.stdout.decode()
    assert "HR@20" in shown
    assert "\x1b" not in shown + done.stderr.decode()
    assert "\r" not in shown
