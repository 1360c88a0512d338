"""Is this tree as fast as another revision? Each build's own benchmarks, in turn, in processes of their own.

    python benchmarks/compare_builds.py [NAME ...] [--revision REV] [--rounds N] [--small] [--out DIR]

Both builds take turns (before, after, before, ...): a disturbance affects both. A small run of each comes
first and compiles its kernels. The revision's tree is a worktree in a temporary folder, removed at the end. The table
is kept as results/compare_builds.txt, as text only: ratios of two builds are no figures of this one, and
tools/figures.py reads the others. What the scripts themselves write is thrown away.
"""

import argparse
import datetime as dt
import os
import platform
import statistics
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import Final, NamedTuple

import msgspec
from common import RESULTS, TREE, Result, commit, machine, show, versions

QUESTION: Final = "is this tree as fast as another revision?"
REVISION: Final = "4a87400"
"""The last commit before the modules moved to their present places."""

NAMES: Final = ("query", "run", "ingest")
WHAT: Final = 84
"""Characters of the longest name of a figure."""

HEAD: Final = f"{'':<{WHAT}}{'before':>12}{'after':>12} {'unit':<10}{'ratio':>7}{'least':>7}{'most':>7}"

Figures = dict[tuple[str, str], float]
"""Name and unit of a figure -> its value. The name of a repeated figure has a number behind it."""


class Compared(NamedTuple):
    """A figure of both builds."""

    what: str
    unit: str
    before: float
    after: float
    ratio: float | None
    """Of the medians, after to before; None where that is no number."""
    least: float | None
    """Of the ratios of single rounds."""
    most: float | None


@contextmanager
def worktree(revision: str) -> Iterator[Path]:
    """A tree of *revision* while entered."""
    git = ("git", "-C", str(TREE), "worktree")
    with tempfile.TemporaryDirectory(prefix="stream-rec-bench-") as folder:
        root = Path(folder).resolve() / "tree"
        subprocess.run([*git, "add", "--quiet", "--detach", str(root), revision], check=True)
        try:
            yield root
        finally:
            subprocess.run([*git, "remove", "--force", str(root)], check=True)


def measure(root: Path, name: str, *, small: bool) -> Result:
    """Run the benchmark *name* of the build at *root*; return what it keeps."""
    script = root / "benchmarks" / f"bench_{name}.py"
    environ = {**os.environ, "PYTHONPATH": str(root)}
    with tempfile.TemporaryDirectory(prefix="stream-rec-bench-") as out:
        command = [sys.executable, str(script), "--out", out, *(["--small"] if small else [])]
        subprocess.run(command, cwd=root, env=environ, stdout=subprocess.DEVNULL, check=True)
        (kept,) = Path(out).glob("*.json")
        return msgspec.json.decode(kept.read_bytes(), type=Result)


def figures(kept: Result) -> Figures:
    """Return the measured values by name and unit."""
    found: Figures = {}
    seen: Counter[str] = Counter()
    for figure in kept.figures:
        seen[figure.what] += 1
        number = seen[figure.what]
        found[figure.what if number == 1 else f"{figure.what} ({number})", figure.unit] = figure.value
    return found


def compared(before: Sequence[Figures], after: Sequence[Figures]) -> Iterator[Compared]:
    """Compare what all rounds of both builds have."""
    for key in before[0]:
        if not all(key in each for each in (*before, *after)):
            continue
        old, new = [each[key] for each in before], [each[key] for each in after]
        rounds = [_ratio(*pair) for pair in zip(old, new, strict=True)]
        sure = [ratio for ratio in rounds if ratio is not None]
        was, is_now = statistics.median(old), statistics.median(new)
        yield Compared(*key, was, is_now, _ratio(was, is_now), min(sure, default=None), max(sure, default=None))


def only_one_has(before: Mapping[tuple[str, str], float], after: Mapping[tuple[str, str], float]) -> list[str]:
    """Return the figures that only one build states, so that they cannot be compared."""
    gone = [f"only before: {what}" for what, unit in before if (what, unit) not in after]
    return gone + [f"only after: {what}" for what, unit in after if (what, unit) not in before]


def _ratio(before: float, after: float) -> float | None:
    return after / before if before else None


def line(each: Compared) -> str:
    """One line of the table."""
    ratios = ("-" if ratio is None else f"{ratio:.3f}" for ratio in (each.ratio, each.least, each.most))
    shown = "".join(f"{ratio:>7}" for ratio in ratios)
    return f"{each.what:<{WHAT}}{show(each.before):>12}{show(each.after):>12} {each.unit:<10}{shown}"


def conditions(revision: str, rounds: int) -> Iterator[str]:
    """Yield machine, versions and commits, as other results give them."""
    yield f"compare_builds: {QUESTION}"
    yield f"{machine()}; Python {platform.python_version()}"
    yield ", ".join(f"{library} {version}" for library, version in versions().items())
    yield f"before: {revision}; after: {commit()}; {dt.datetime.now(dt.UTC).isoformat(timespec='minutes')}"
    yield f"rounds: {rounds}; ratio: after to before, of the medians; least and most: of single rounds"


def compare(root: Path, name: str, rounds: int, *, small: bool) -> Iterator[str]:
    """Let both builds take turns at one benchmark, and yield the lines of its table."""
    for build in (root, TREE):
        measure(build, name, small=True)
    kept: dict[Path, list[Result]] = {root: [], TREE: []}
    for number in range(rounds):
        for build, results in kept.items():
            results.append(measure(build, name, small=small))
        print(f"  {name}: round {number + 1} of {rounds}", file=sys.stderr, flush=True)
    before, after = ([figures(each) for each in results] for results in kept.values())
    yield ""
    yield f"{name}, commit {kept[root][0].commit} (before) and {kept[TREE][0].commit} (after)"
    yield HEAD
    yield from map(line, compared(before, after))
    yield from only_one_has(before[0], after[0])


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", default=NAMES, help="of benchmarks, as in bench_NAME.py")
    parser.add_argument("--revision", default=REVISION, help=f"what is compared with; {REVISION} if none is named")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--small", action="store_true", help="seconds instead of minutes, to see that it runs")
    parser.add_argument("--out", type=Path, help="where the result goes instead of benchmarks/results")
    given = parser.parse_args()
    lines = []
    with worktree(given.revision) as root:
        tables = (compare(root, name, given.rounds, small=given.small) for name in given.names)
        for each in chain(conditions(given.revision, given.rounds), *tables):
            print(each, flush=True)
            lines.append(each)
    folder = given.out or (None if given.small else RESULTS)
    if folder is None:
        print("(a small run is not kept)")
        return
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "compare_builds.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
