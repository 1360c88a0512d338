"""The whole job through the command line: JSONL in, one answer for each event, JSONL out."""

import subprocess
from pathlib import Path
from time import perf_counter

import feed
from common import COMMAND, Report, in_turn, report, scratch_folder

from stream_rec.simulator.delivery import write_jsonl

QUESTION = "how fast is the whole job, from a JSONL file to a JSONL file?"


def run(source: Path, *options: str) -> float:
    """Seconds of one `stream-rec run`, process and all."""
    started = perf_counter()
    arguments = [*COMMAND, "run", "--events", str(source), "--preset", "vmis-knn", "--retention", "none", *options]
    done = subprocess.run(arguments, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, check=False)
    assert done.returncode == 0, done.stderr.decode()
    return perf_counter() - started


def whole_job(bench: Report, n_events: int, n_rounds: int) -> None:
    """With answers and without, in turn; and a job of one event, to know what starting takes."""
    with scratch_folder() as folder:
        source, one, out = folder / "clicks.jsonl", folder / "one.jsonl", folder / "recommendations.jsonl"
        with source.open("wb") as file:
            n_lines = write_jsonl(feed.shape(n_events), file.write).lines
        with source.open("rb") as lines:
            one.write_bytes(lines.readline())
        sizes: list[int] = []

        def answering() -> float:
            taken = run(source, "--recommendations", str(out))
            with out.open("rb") as answers:
                assert sum(1 for _ in answers) == n_lines, "one answer for each event"
            sizes.append(out.stat().st_size)
            out.unlink()
            return taken

        def starting() -> float:
            return run(one, "--answer", "none")

        rivals = {
            "start": starting,
            "answers": answering,
            "silent": lambda: run(source, "--answer", "none"),
        }
        starting()
        taken = in_turn(n_rounds, rivals)
        size = source.stat().st_size
    bench.part(f"{n_lines:,} events, {size / 2**20:.0f} MiB in, {sizes[0] / 2**20:.0f} MiB out, nothing evicted")
    bench.figure("start and end, a job of one event", taken["start"], "s")
    bench.figure(
        "one answer for each event, process and all",
        [n_lines / each for each in taken["answers"]],
        "answers/s",
        ">= 18,000",
    )
    bench.figure("--answer none, process and all", [n_lines / each for each in taken["silent"]], "events/s")
    start = min(taken["start"])
    bench.figure(
        "one answer for each event, start taken off", [n_lines / (t - start) for t in taken["answers"]], "answers/s"
    )
    bench.figure("--answer none, start taken off", [n_lines / (t - start) for t in taken["silent"]], "events/s")


def main() -> None:
    """Run the benchmark."""
    with report("run", QUESTION) as bench:
        if bench.small:
            whole_job(bench, 20_000, 2)
        else:
            whole_job(bench, 400_000, 3)


if __name__ == "__main__":
    main()
