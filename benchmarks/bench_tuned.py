"""The gain of tuning: serenade-toy learned from `train`, tuned on `valid`, and asked, once, on `test`.

Through the command line, as a user would do it; the folder of logs is what STREAM_REC_DATA names. Serenade's authors
tuned their VMIS-kNN on the same split. The test part is read by the last command only, when nothing is chosen any more.
"""

import os
import subprocess
import sys
from pathlib import Path
from time import perf_counter

import msgspec
from common import COMMAND, report, scratch_folder
from common import Report as BenchReport

from stream_rec.evaluate.report import ModelReport, Report
from stream_rec.evaluate.tune_report import TuneResult

QUESTION = "what is tuning worth on serenade-toy?"
TRIALS = 320
NAMES = ("--format", "tsv", "--field", "session_id=SessionId", "--field", "item_id=ItemId", "--field", "timestamp=Time")
SETTINGS = (*NAMES, "--timestamp-unit", "s", "--retention", "none", "--seen", "drop-current")
PUBLISHED = ("--preset", "vmis-knn", "--m", "1502", "--k", "288", "--last", "4", "--no-fallbacks")


def command(*argv: str) -> None:
    """Run one command to its end."""
    subprocess.run([*COMMAND, *argv], check=True, stdout=subprocess.DEVNULL)


def evaluated(folder: Path, *argv: str) -> Report:
    """Ask the test part."""
    out = folder / "report.json"
    command("evaluate", "--no-baselines", "--json", str(out), *argv)
    return msgspec.json.decode(out.read_bytes(), type=Report)


def main() -> None:
    """Run the benchmark."""
    with report("tuned", QUESTION) as bench, scratch_folder() as folder:
        if "STREAM_REC_DATA" not in os.environ:
            bench.note("STREAM_REC_DATA is not set: real logs are not part of the project, and nothing was kept.")
            sys.exit(0)
        logs = Path(os.environ["STREAM_REC_DATA"]) / "serenade-toy"
        train, valid, test = (str(logs / name) for name in ("train.txt.gz", "valid.txt", "test.txt"))
        file, kept = folder / "tuned.toml", folder / "tuned.json"
        trials = "16" if bench.small else str(TRIALS)
        started = perf_counter()
        split = ("--train", train, "--valid", valid, *SETTINGS)
        command("tune", *split, "--trials", trials, "--out", str(file), "--json", str(kept))
        taken = perf_counter() - started
        found = msgspec.json.decode(kept.read_bytes(), type=TuneResult)
        bench.part(f"tuned on valid.txt: {trials} sets of parameters, {found.questions:,} questions")
        bench.figure("MRR@20 on valid of the start, the preset default", found.start, "")
        bench.figure("MRR@20 on valid of the best set", found.best, "")
        bench.figure("tuning took", taken, "s")
        for name, value in found.parameters.items():
            bench.note(f"{name} = {value}")

        bench.part("asked on test.txt, once: drop-current")
        tuned = evaluated(folder, "--train", train, "--test", test, "--config", str(file), "--compare", "default").first
        bench.figure("questions", 931, "", "931")
        _print_figures(bench, "tuned", tuned, ">= .37")
        plain = evaluated(folder, "--train", train, "--test", test, *SETTINGS, "--compare", "all")
        assert plain.questions == 931
        for each in plain.models:
            _print_figures(bench, f"preset {each.name}", each, None)
        theirs = evaluated(folder, "--train", train, "--test", test, *SETTINGS, *PUBLISHED).first
        _print_figures(bench, "vmis-knn as Serenade tuned it (m 1502, k 288, last 4)", theirs, ".341 +- .001")


def _print_figures(bench: BenchReport, name: str, each: ModelReport, target: str | None) -> None:
    mrr = each.metrics["MRR@20"]
    bench.figure(f"{name}: test MRR@20", mrr.value or 0.0, "", target)
    bench.note(f"95 % interval {mrr.low:.4f} to {mrr.high:.4f}; HR@20 {each.metrics['HR@20'].value:.4f}")


if __name__ == "__main__":
    main()
