"""Compares what this tree puts out on several Pythons, byte for byte, and exits with 1 if they differ.

    [STREAM_REC_DATA=<folder of the logs>] python tools/compare_pythons.py PYTHON PYTHON ... [--events N]

Each PYTHON is an interpreter, or a script that starts one, which has what `locks/dev.txt` names. All of them run this
tree. They run one after another, each in a folder of its own. The first one is the measure of the others.

Compared: answers, dead letters and summaries of `run` with each preset; figures of `evaluate`, but for times; a log of
`simulate` with faults, `run` over it with every feature, `check` and `tune`; bytes of snapshots, and answers of what
they hold. The log is the beginning of the bundled sample; with STREAM_REC_DATA also that of each public log.
"""

import argparse
import hashlib
import json
import os
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from time import monotonic
from typing import Final, NamedTuple

import compare_outputs
import compared
from compare_outputs import TREE, Build, Log, Side

SAMPLE: Final = "bundled sample"
EVENTS: Final = 40_000
"""Of the bundled sample: enough for evictions, and half a minute for all presets."""

DIGITS: Final = 12
"""Of each digest, as shown."""


# --- the outputs of one Python


def evaluations(side: Side) -> None:
    """Ask the bundled sample event by event, and by a hold-out with all presets."""
    asked: dict[str, tuple[object, ...]] = {
        "prequential": ("--most-questions", 2_000),
        "hold-out": ("--hold-out-share", 0.1, "--most-questions", 1_000, "--compare", "all"),
    }
    for name, argv in asked.items():
        figures = ("--threads", 1, "--json", "figures.json")
        side.run("evaluate", "--events", side.logs[SAMPLE].path.name, *argv, *figures)
        side.write("evaluate", f"{name}.evaluation", (side.work / "figures.json").read_text())


STAGES: Final = (
    compare_outputs.warm,
    compare_outputs.fair_log,
    compare_outputs.features,
    compare_outputs.snapshots,
    compare_outputs.runs,
    evaluations,
)


def logs(build: Build, folder: Path, events: int) -> dict[str, Log]:
    """Write the logs that all Pythons read into *folder*."""
    build.inside(folder, "sample", folder / "sample.jsonl", events)
    data = os.environ.get("STREAM_REC_DATA")
    public = compare_outputs.real_logs(Path(data), folder, quick=True) if data else {}
    return {SAMPLE: Log(folder / "sample.jsonl", "auto")} | public


# --- comparing


class Python(NamedTuple):
    """An interpreter, and what it has put out."""

    versions: Mapping[str, str]
    outputs: Mapping[str, Mapping[str, str]]
    """For each thing that was made, a digest of each of its files."""

    def digest(self, what: str) -> str:
        """One digest of all files of *what*."""
        return hashlib.sha256(json.dumps(self.outputs.get(what), sort_keys=True).encode()).hexdigest()[:DIGITS]


def digests(made: Path) -> dict[str, dict[str, str]]:
    """Return a digest of each output below *made*: of facts and words where times are left out, else of its bytes."""
    found: dict[str, dict[str, str]] = {}
    for path in sorted(made.glob("*/*")):
        kind = path.name.removesuffix(".gz").rpartition(".")[2]
        read = compared.KINDS.get(kind)
        content = path.read_bytes() if read is None else "\n".join(map("\n".join, read(compared.text(path)))).encode()
        found.setdefault(path.parent.name, {})[path.name] = hashlib.sha256(content).hexdigest()
    return found


def table(pythons: Sequence[Python]) -> Iterator[str]:
    """Yield the versions, then a line for each thing that was made: the first one's digest, and who differs."""
    first, *others = pythons
    things = sorted({what for each in pythons for what in each.outputs})
    width = max(map(len, (*things, *first.versions)))
    columns = [max(DIGITS, *map(len, each.versions.values())) for each in pythons]

    def line(name: str, cells: Sequence[str]) -> str:
        return "  ".join([f"{name:<{width}}", *map(str.ljust, cells, columns)]).rstrip()

    for name in first.versions:
        yield line(name, [each.versions[name] for each in pythons])
    yield ""
    for what in things:
        same = first.digest(what)
        cells = ["equal" if each.digest(what) == same else f"{each.digest(what)}" for each in others]
        yield line(what, [same, *cells])
    for what, name, python in different(pythons):
        yield f"\nDIFFERENT: {what}, {name}, on Python {python}"


def different(pythons: Sequence[Python]) -> Iterator[tuple[str, str, str]]:
    """Yield each file that is not as the first Python's: what it is of, its name, and the other Python."""
    first, *others = pythons
    for other in others:
        for what in sorted({*first.outputs, *other.outputs}):
            mine, its = first.outputs.get(what, {}), other.outputs.get(what, {})
            for name in sorted({*mine, *its}):
                if mine.get(name) != its.get(name):
                    yield what, name, other.versions["Python"]


# --- the whole


def made(pythons: Sequence[str], events: int, scratch: Path, kept: Path) -> Iterator[Python]:
    """Let each of *pythons* make all outputs."""
    (scratch / "logs").mkdir()
    shared: dict[str, Log] = {}
    for number, python in enumerate(pythons):
        build = Build(python, TREE, python)
        shared = shared or logs(build, scratch / "logs", events)
        out = kept / str(number)
        side = Side(build, scratch / f"work-{number}", out, shared)
        for stage in STAGES:
            begun = monotonic()
            stage(side)
            print(f"  {python}: {stage.__name__}, {monotonic() - begun:.0f} s", file=sys.stderr, flush=True)
        yield Python(json.loads(build.inside(scratch, "versions")), digests(out))


def main() -> int:
    """Make, compare, print; 1 if anything differs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pythons", nargs="+", metavar="PYTHON", help="an interpreter; the first is compared with")
    parser.add_argument("--events", type=int, default=EVENTS, help=f"of the bundled sample; {EVENTS:,} if not named")
    parser.add_argument("--keep", type=Path, help="leave the outputs there, a numbered folder for each Python")
    given = parser.parse_args()
    begun = monotonic()
    with tempfile.TemporaryDirectory(prefix="stream-rec-pythons-") as name:
        scratch = Path(name).resolve()
        kept = scratch / "out" if given.keep is None else given.keep.resolve()
        found = list(made(given.pythons, given.events, scratch, kept))
    print(f"commit: {compare_outputs.commit(TREE)} and what is changed in the tree\n")
    print("\n".join(table(found)))
    n_different = len({what for what, _, _ in different(found)})
    n_things = len({what for each in found for what in each.outputs})
    print(f"\n{n_things - n_different} equal, {n_different} different; {monotonic() - begun:.0f} s")
    return int(n_different > 0)


if __name__ == "__main__":
    sys.exit(main())
