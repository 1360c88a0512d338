"""No cell of a table is cut, whatever the width."""

import io

import msgspec
import pytest
from rich.console import Console

from stream_rec.evaluate.output import report_console
from stream_rec.evaluate.report import Difference, Estimate, ModelReport, Report
from stream_rec.evaluate.search import TrialResult
from stream_rec.evaluate.tables import print_report
from stream_rec.evaluate.tune_report import TuneResult, result_table
from stream_rec.evaluate.whole_table import WholeTable

NAMES = [f"{name}@20" for name in ("MRR", "HR", "NDCG", "novel MRR", "precision", "recall", "MAP")]


def model(number: int) -> ModelReport:
    return ModelReport(
        name=f"wsknn-quadratic-{number} window",
        is_baseline=number > 1,
        parameters={},
        metrics={name: Estimate(0.1234 + number, 0.1, 0.2) for name in NAMES},
        behind={name: Difference(0.5678, -0.1, 0.9) for name in NAMES} if number else {},
        coverage={"coverage@20": 0.123},
        popularity={"popularity@20": 0.456},
        length=20.0,
        micros={"p50": 500.0, "p90": 1004.0, "p99": 100_456.0},
        micros_counts=[],
        hr_by_k=[],
        over_time=[],
    )


REPORT = Report(
    version="1", mode="live", questions=1_234_567, sessions=9, events=9, items=9, refused={}, cutoffs=[20], seed=0,
    draws=1, seconds=1.0, stretch_begins=[], micros_edges=[], models=[model(number) for number in range(4)],
    notes=["a note that is far longer than eighty columns are, since it says what is odd about the log and what of it"],
)  # fmt: skip

PARAMETERS = {f"a_parameter_with_a_long_name_{number}": 1234.0 + number for number in range(8)}
TUNED = TuneResult(
    metric="MRR@20",
    questions=1000,
    start=0.1,
    best=0.2,
    parameters=PARAMETERS,
    improved=False,
    tried=[
        TrialResult(number=n, value=0.1, parameters=PARAMETERS, questions=1000, finished=True) for n in range(104, 108)
    ],
    influence=dict.fromkeys(PARAMETERS, 0.12),
    test=None,
)


def printed(thing: object, width: int) -> str:
    console = Console(file=io.StringIO(), width=width, force_terminal=True, color_system=None)
    if isinstance(thing, Report):
        print_report(thing, console)
    else:
        console.print(thing, crop=False)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


@pytest.mark.parametrize("width", [20, 40, 80, 200])
def test_tables_of_evaluate_and_tune_are_whole(width: int) -> None:
    """At each width every figure is there, the `?` of what is not sure too, and no line is wider than it must be."""
    shown = printed(REPORT, width)
    assert "…" not in shown
    for figure in ("100456", "1004", "+0.5678 ?", "3.1234", "0.456", "novel MRR", "behind", "p99"):
        assert figure in shown
    tuned = printed(result_table(TUNED, "out.toml"), width)
    assert "…" not in tuned
    for cell in ("set 104", "set 107", "influence", "1.24e+03", *PARAMETERS):
        assert cell in tuned
    if width >= 40:
        widest = max(len(line.rstrip()) for line in [*shown.splitlines(), *tuned.splitlines()])
        assert widest <= max(width, 45)


def test_a_wide_table_goes_on_below() -> None:
    """With its first column again, at least one other beside it, and one heading."""
    table = WholeTable("title", ["model", "a", "b", "c"])
    table.add_row("first", "1111", "2222", "3333")
    lines = [line.rstrip() for line in printed(table, 17).splitlines() if line.strip(" ─")]
    assert ["title", "model     a     b", "first  1111  2222", "model     c", "first  3333"] == lines


def test_without_a_terminal_lines_are_as_long_as_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    """One table of each kind, and each note on one line: for a pipe, a file, a log of CI."""
    print_report(REPORT, report_console(None))
    shown = capsys.readouterr().out
    assert "…" not in shown
    assert 2 == shown.count("\nmodel ")
    assert f"note: {REPORT.notes[0]}\n" in shown
    assert all(
        line == line.rstrip() or "model" in line or "wsknn" in line or "─" in line for line in shown.splitlines()
    )


def test_one_of_a_kind_is_written_as_one() -> None:
    """1 question in 1 session, and not 1 questions in 1 sessions."""
    few = msgspec.structs.replace(REPORT, questions=1, sessions=1, events=2, items=1, refused={"late": 1})
    assert "live: 1 question in 1 session, of 2 events and 1 item; 1 record left out" in printed(few, 200)
