"""`stream-rec evaluate` as a process, on simulated logs."""

import csv
import html
import json
from pathlib import Path
from typing import Any

import pytest
from program import stream_rec

from stream_rec.core.model import PRESETS
from stream_rec.evaluate.candidates import BASELINES
from stream_rec.simulator.clickstream import Shape, events


@pytest.fixture(scope="module")
def clicks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A log of 300 sessions over ten days, as a CSV with other column names."""
    path = tmp_path_factory.mktemp("log") / "clicks.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["Visit", "Product", "When"])
        for event in events(Shape(seed=3, sessions=300, items=400, duration_ms=10 * 86_400_000)):
            writer.writerow([event.session_id, event.item_id, event.timestamp // 1000])
    return path


NAMES = ["--field", "session_id=Visit", "--field", "item_id=Product", "--field", "timestamp=When"]
SETTINGS = [*NAMES, "--timestamp-unit", "s", "--draws", "50"]


def evaluated(*argv: object) -> dict[str, Any]:
    """Run the command and read its JSON from standard output, which then holds nothing else."""
    done = stream_rec("evaluate", *argv, *SETTINGS, "--json", "-")
    assert b"questions in" in done.stderr
    report: dict[str, Any] = json.loads(done.stdout)
    return report


def test_it_measures_the_recommendations(clicks: Path, tmp_path: Path) -> None:
    """The output is a table with every baseline, a verdict, JSON, a plot and a page, which shows no password.

    The default preset beats popularity.
    """
    pytest.importorskip("matplotlib")
    plot, page = tmp_path / "plot.png", tmp_path / "page.html"
    outputs = ["--json", tmp_path / "r.json", "--plot", plot, "--html", page]
    password = ["--kafka", "sasl.password=secret"]
    done = stream_rec("evaluate", "--events", clicks, *SETTINGS, *outputs, *password)
    shown = done.stdout.decode()
    for name in ("default", *BASELINES):
        assert name in shown
    assert "default beats the best baseline" in shown or "cannot be distinguished" in shown or "is beaten" in shown
    assert plot.read_bytes().startswith(b"\x89PNG")
    said = html.unescape(page.read_text(encoding="utf-8"))
    assert f"stream-rec evaluate --html {page} --plot {plot}" in said.replace(f" --json {tmp_path / 'r.json'}", "", 1)
    assert "--field timestamp=When" in said
    assert "secret" not in said
    report = json.loads((tmp_path / "r.json").read_bytes())
    mrr = {each["name"]: each["metrics"]["MRR@20"]["value"] for each in report["models"]}
    assert mrr["default"] > mrr["popularity"] > 0


def test_the_same_command_gives_the_same_figures(clicks: Path) -> None:
    """One seed gives the same figures with any number of threads."""
    first, again = (
        evaluated("--events", clicks, "--hold-out-share", ".2", "--seed", 7, "--threads", n) for n in (1, 2)
    )
    for one, two in zip(first["models"], again["models"], strict=True):
        assert one["metrics"] == two["metrics"]


def test_it_asks_the_questions_that_a_run_answers(clicks: Path, tmp_path: Path) -> None:
    """`run` answers after each event; its answer to a session's previous event is the one that is scored.

    Where sessions come one by one, nothing is learned in between, and both must agree to the rank.
    """
    rows = list(csv.DictReader(clicks.read_text(encoding="utf-8").splitlines()))
    order = {session: place for place, session in enumerate(dict.fromkeys(row["Visit"] for row in rows))}
    rows.sort(key=lambda row: order[row["Visit"]])
    single = tmp_path / "single.csv"
    with single.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["Visit", "Product", "When"])
        writer.writerows([row["Visit"], row["Product"], 1_700_000_000 + place] for place, row in enumerate(rows))
    answers = tmp_path / "answers.jsonl"
    stream_rec("run", "--events", single, *NAMES, "--timestamp-unit", "s", "--recommendations", answers)
    reciprocal: list[float] = []
    before: dict[str, list[str]] = {}
    for row, line in zip(rows, answers.read_bytes().splitlines(), strict=True):
        if row["Visit"] in before:
            ranked = before[row["Visit"]]
            reciprocal.append(1 / (ranked.index(row["Product"]) + 1) if row["Product"] in ranked else 0.0)
        before[row["Visit"]] = [item["item_id"] for item in json.loads(line)["items"]]
    report = evaluated("--events", single)
    assert len(reciprocal) == report["questions"]
    found = report["models"][0]["metrics"]["MRR@20"]["value"]
    assert sum(reciprocal) / len(reciprocal) == pytest.approx(found)


def test_train_and_test_are_two_files(clicks: Path, tmp_path: Path) -> None:
    """Two files give the figures of one file that is cut there by time."""
    lines = clicks.read_text(encoding="utf-8").splitlines(keepends=True)
    rows = [line.split(",") for line in lines[1:]]
    cut = rows[len(rows) * 3 // 4][2].strip()
    begun: dict[str, int] = {}
    for row in rows:
        begun.setdefault(row[0], int(row[2]))
    train = [",".join(row) for row in rows if int(row[2]) < int(cut)]
    test = [",".join(row) for row in rows if begun[row[0]] >= int(cut)]
    (tmp_path / "train.csv").write_text(lines[0] + "".join(train), encoding="utf-8")
    (tmp_path / "test.csv").write_text(lines[0] + "".join(test), encoding="utf-8")
    files = evaluated("--train", tmp_path / "train.csv", "--test", tmp_path / "test.csv")
    from_one = evaluated("--events", clicks, "--hold-out-since", _iso(int(cut)))
    assert "hold-out" == files["mode"]
    assert files["questions"] == from_one["questions"] > 20
    assert files["models"][0]["metrics"] == from_one["models"][0]["metrics"]


def _iso(seconds: int) -> str:
    from datetime import UTC, datetime  # noqa: PLC0415  # one use

    return datetime.fromtimestamp(seconds, UTC).isoformat()


def test_live_and_window_are_compared(clicks: Path) -> None:
    """Both are asked the same questions, each under its name; learning at once is one of the models."""
    report = evaluated("--events", clicks, "--window", "2d", "--no-baselines")
    assert ["default live", "default window"] == [each["name"] for each in report["models"]]
    live = evaluated("--events", clicks, "--window", "2d", "--refresh", "live", "--no-baselines")
    window = evaluated("--events", clicks, "--window", "2d", "--refresh", "window", "--no-baselines")
    for one, place in ((live, 0), (window, 1)):
        assert one["models"][0]["metrics"]["MRR@20"] == report["models"][place]["metrics"]["MRR@20"]
        assert one["questions"] == report["questions"]


def test_models_are_compared(clicks: Path, tmp_path: Path) -> None:
    """The table has all presets, and a file of settings under its own name; a changed preset is marked."""
    (tmp_path / "mine.toml").write_text('preset = "stan"\nk = 7\nidf = "vmis"\nage_days = inf\n', encoding="utf-8")
    argv = ["--events", clicks, "--compare", "all", "--compare", tmp_path / "mine.toml", "--no-baselines", "--k", 5]
    report = evaluated(*argv)
    assert ["default*", *PRESETS, "mine"] == [each["name"] for each in report["models"]]
    mine = report["models"][-1]["parameters"]
    assert (7, "vmis", None) == (mine["k"], mine["idf"], mine["age_days"])
    assert "MRR@20" in report["models"][1]["behind"]


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--train", "a.csv"], "train: and test go together"),
        (["--plot", "x.gif"], "plot: 'x.gif' does not end in .png"),
        (["--cutoffs", "0,5"], "cutoffs: '0,5' is not a list of whole numbers"),
        (["--compare", "unknown"], "compare: 'unknown' is neither a preset"),
        (["--window", "1d", "--hold-out-days", "2"], "hold_out_days: and window split the log"),
        (["--preset", "vmis"], "preset: --preset gives 'vmis'"),
    ],
)
def test_wrong_usage_is_an_error(clicks: Path, argv: list[str], message: str) -> None:
    """The error names the option, with exit code 2 and without a report."""
    source = [] if "--train" in argv else ["--events", clicks]
    done = stream_rec("evaluate", *source, *argv, *SETTINGS, code=2)
    assert message in done.stderr.decode()
    assert not done.stdout


def test_an_unreadable_log_is_an_error(tmp_path: Path) -> None:
    """The command ends with exit code 1 and says where to look."""
    (tmp_path / "bad.jsonl").write_text("{}\n", encoding="utf-8")
    done = stream_rec("evaluate", "--events", tmp_path / "bad.jsonl", code=1)
    assert "no event could be read" in done.stderr.decode()
    assert "stream-rec check" in done.stderr.decode()


def test_a_tuned_file_is_evaluated_and_run(clicks: Path, tmp_path: Path) -> None:
    """From a log to a running service: evaluate and run need only the file that tune wrote."""
    pytest.importorskip("optuna")
    tuned = tmp_path / "tuned.toml"
    argv = ["--events", clicks, *NAMES, "--timestamp-unit", "s", "--retention", "5d"]
    done = stream_rec("tune", *argv, "--trials", 16, "--out", tuned, "--json", tmp_path / "t.json")
    assert f"written to {tuned}" in done.stdout.decode().replace("\n", "")
    found = json.loads((tmp_path / "t.json").read_bytes())
    stream_rec("evaluate", "--config", tuned, "--draws", 10, "--json", tmp_path / "r.json", "--no-baselines")
    report = json.loads((tmp_path / "r.json").read_bytes())
    if found["improved"]:
        assert found["parameters"]["k"] == report["models"][0]["parameters"]["k"]
    ran = stream_rec("run", "--config", tuned, "--recommendations", tmp_path / "recs.jsonl")
    assert f"answers        {report['events']:,}" in ran.stderr.decode()
