"""What `evaluate` says of a log whose figures say less than they seem to."""

import random
import re
from pathlib import Path

import pytest
from msgspec.structs import replace
from rich.console import Console

from stream_rec.errors import SettingsError
from stream_rec.evaluate.command import EvaluateOptions, evaluate
from stream_rec.evaluate.report import Report
from stream_rec.service.reporting import plain_lines
from stream_rec.settings import load

QUICK = EvaluateOptions(baselines=False, draws=10)


def report(path: Path, rows: list[tuple[str, str, int]], options: EvaluateOptions = QUICK, **flags: object) -> Report:
    path.write_text("session_id,item_id,timestamp\n" + "".join(f"{s},{i},{t}\n" for s, i, t in rows), encoding="utf-8")
    console = Console(record=True, width=200)
    found = evaluate(load(flags={"events": str(path), **flags}), options, console)
    shown = console.export_text()
    assert all(f"note: {note}" in shown for note in found.notes)
    return found


def rows(*, tied: bool = False) -> list[tuple[str, str, int]]:
    draw = random.Random(1)
    found = []
    for session in range(60):
        begin = 1_733_000_000_000 + session * 3_600_000
        items = sorted(f"i{n:02}" for n in draw.sample(range(30), 3))
        found += [(f"s{session}", item, begin + (0 if tied else n * 1000)) for n, item in enumerate(items)]
    return found


def test_a_plain_log_has_no_notes(tmp_path: Path) -> None:
    """Nothing is said where nothing is odd."""
    assert [] == report(tmp_path / "a.csv", rows()).notes


def test_rules_that_change_nothing_here(tmp_path: Path) -> None:
    """Those of a service that need its catalogue, or what it has shown, are named; also of a file that is compared."""
    (tmp_path / "other.toml").write_text('allow = ["i01"]\n')
    compared = replace(QUICK, compare=(str(tmp_path / "other.toml"),))
    found = report(tmp_path / "a.csv", rows(), compared, catalogue="none.csv", newest_share="0.2", n="5", deny=["i02"])
    no_rule = "nothing here: the answers have no rule but --deny, and no new items of a catalogue"
    own, other = found.notes
    assert own == f"--catalogue and --newest-share change {no_rule}"
    assert other == f"{tmp_path / 'other.toml'}: --allow changes {no_rule}"
    with pytest.raises(SettingsError, match=r"'vmisknn' is neither a preset .*; did you mean 'vmis-knn'"):
        report(tmp_path / "a.csv", rows(), replace(QUICK, compare=("vmisknn",)))


def test_a_log_that_was_written_three_times(tmp_path: Path) -> None:
    """Its repeats are said; the setting drops them, and the figures are those of the plain log."""
    plain = report(tmp_path / "a.csv", rows())
    repeated = [row for row in rows() for _ in range(3)]
    told = report(tmp_path / "a.csv", repeated)
    assert told.notes[0].startswith("360 events (66.7%) repeat another one exactly")
    assert plain.questions < told.questions
    dropped = report(tmp_path / "a.csv", repeated, drop_repeats=True)
    assert [] == dropped.notes
    assert {"duplicate": 360} == dropped.refused
    assert (plain.questions, plain.first.metrics) == (dropped.questions, dropped.first.metrics)


def test_ties_in_the_order_of_items(tmp_path: Path) -> None:
    """The order in which a table was sorted is no visit."""
    (note,) = report(tmp_path / "a.csv", rows(tied=True)).notes
    assert note == (
        "180 events (100.0%) have the time of another event of their session, and stand in the order of the ids of "
        "their items: the figures judge that order, not visits"
    )


@pytest.mark.parametrize(("time", "told"), [(1_000_000, "before all others"), (1_763_000_000_000, "after all others")])
def test_one_wild_time(tmp_path: Path, time: int, told: str) -> None:
    """Far from all others, before or after."""
    (note,) = report(tmp_path / "a.csv", [*rows(), ("x", "i1", time)]).notes
    assert note.startswith("1 event lies")
    assert told in note


def test_progress_without_a_terminal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Plain lines, with how far it is."""
    monkeypatch.setattr(plain_lines, "EVERY_S", 0.0)
    report(tmp_path / "a.csv", rows())
    lines = [line for line in capsys.readouterr().err.splitlines() if not line.startswith("compiling")]
    assert lines
    assert all(re.fullmatch(r"progress: \d+%, (learning|[\d,]+ questions, MRR 0\.\d{4})", line) for line in lines)
