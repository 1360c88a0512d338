"""What all benchmarks share: the shape of the log, the machine and versions, and the writing of results.

A benchmark states figures, each with its unit and (if there is one) its target; they are printed as they come, and
kept as benchmarks/results/<name>.txt and .json with machine, versions and commit. Nothing here asserts a time.
"""

import argparse
import ctypes
import datetime as dt
import gc
import os
import platform
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path
from time import perf_counter, perf_counter_ns
from typing import Any, TypeVar

import measured_code
import msgspec
import numpy as np
import numpy.typing as npt

RESULTS = Path(__file__).parent / "results"
TREE = Path(__file__).parents[1]
LIBRARIES = (
    *("stream-rec", "numpy", "numba", "msgspec", "sortedcontainers", "xxhash", "wsknn", "optuna"),
    *("kafka-python", "confluent-kafka", "starlette", "uvicorn"),
)
BATCH = 8192
ITEMS = 100_000
EVENTS_A_SESSION = 5  # the mean of the shape, so that sizes can be given in events
HOST_MS = 30 * 86_400_000  # a million sessions start within this time

Argument = TypeVar("Argument")
Floats = npt.NDArray[np.float64]


# --- the machine and the build


def machine() -> str:
    """Return processor, cores, memory and system, without a name that would show the owner."""
    model = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        names = [line.partition(":")[2].strip() for line in cpuinfo.read_text().splitlines() if "model name" in line]
        model = names[0] if names else model
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return f"{model}, {os.cpu_count()} cores, {memory:.0f} GiB, {platform.system()} {platform.machine()}"


def commit() -> str:
    """The tree's commit, with `dirty` behind it if the tree has uncommitted changes."""
    try:
        head = _git("rev-parse", "--short", "HEAD")
        changed = _git("status", "--porcelain", "--", ".", ":(exclude)benchmarks/results")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return f"{head} dirty" if changed else head


def _git(*arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=TREE, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def versions() -> dict[str, str]:
    """Return the installed versions of the libraries that matter."""
    found = {}
    for name in LIBRARIES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def rss() -> int:
    """Resident memory of this process, in bytes (Linux)."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def trimmed_rss() -> int:
    """Return resident memory after freed memory was given back; otherwise later growth would hide in it."""
    gc.collect()
    libc = ctypes.CDLL(None)
    if hasattr(libc, "malloc_trim"):  # glibc
        libc.malloc_trim(0)
    return rss()


# --- results


class Figure(msgspec.Struct):
    """One number of a result: the median where there were several rounds."""

    what: str
    value: float
    unit: str
    target: str | None = None
    least: float | None = None
    most: float | None = None


class Result(msgspec.Struct):
    """A result, as the file holds it."""

    machine: str
    python: str
    versions: dict[str, str]
    commit: str
    date: str
    code: dict[str, str]
    """Room of the package -> hash of its code (`measured_code.py`): the figures depend on these."""
    figures: list[Figure]


class Report:
    """Collects figures, prints them, and writes them at the end."""

    def __init__(
        self, name: str, question: str, *, small: bool, out: Path | None = None, only: Sequence[str] = ()
    ) -> None:
        self.name = name
        self.small = small
        self.only = only
        """The parts that were asked for, of those that may be left out."""
        self._out = out
        self._figures: list[Figure] = []
        self._lines: list[str] = []
        self._result = Result(
            machine=machine(),
            python=platform.python_version(),
            versions=versions(),
            commit=commit(),
            date=dt.datetime.now(dt.UTC).isoformat(timespec="minutes"),
            code=measured_code.hashes(measured_code.every_room_of(name)),
            figures=self._figures,
        )
        self._say(f"{name}: {question}")
        self._say(f"{self._result.machine}; Python {self._result.python}")
        self._say(", ".join(f"{library} {version}" for library, version in self._result.versions.items()))
        self._say(f"commit {self._result.commit}, {self._result.date}{', small' if small else ''}")

    def part(self, title: str) -> None:
        """Begin a part of the result."""
        self._say("")
        self._say(title)

    def note(self, text: str) -> None:
        """Print a line of text."""
        self._say(f"  {text}")

    def figure(self, what: str, values: float | Iterable[float], unit: str, target: str | None = None) -> float:
        """State a figure of one or several rounds; return the value, which is the median."""
        rounds = [float(values)] if isinstance(values, float | int) else [float(value) for value in values]
        middle = statistics.median(rounds)
        least, most = (min(rounds), max(rounds)) if len(rounds) > 1 else (None, None)
        self._figures.append(Figure(what, middle, unit, target, least, most))
        spread = (
            f"   (min {show(min(rounds))}, max {show(max(rounds))}; {len(rounds)} rounds)" if len(rounds) > 1 else ""
        )
        bound = "" if target is None else f"   target {target}"
        self._say(f"  {what:<58}{show(middle):>12} {unit}{bound}{spread}")
        return middle

    def interval(
        self, what: str, value: float | None, least: float | None, most: float | None, target: str | None = None
    ) -> None:
        """Add a figure with its interval to the JSON only; a printed table shows it."""
        if value is not None:
            self._figures.append(Figure(what, value, "", target, least, most))

    def save(self) -> None:
        """Write the result, unless it is small and no folder was given for it."""
        folder = self._out or (None if self.small else RESULTS)
        if folder is None:
            print("  (a small run is not kept)")
            return
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{self.name}.txt").write_text("\n".join(self._lines) + "\n", encoding="utf-8")
        kept = msgspec.json.format(msgspec.json.encode(self._result), indent=1)
        (folder / f"{self.name}.json").write_bytes(kept + b"\n")

    def _say(self, line: str) -> None:
        self._lines.append(line)
        print(line, flush=True)


def show(value: float) -> str:
    """Return a number with as many digits as are readable."""
    if value == int(value) and abs(value) < 1e4:
        return str(int(value))
    if abs(value) >= 1e3:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}" if abs(value) >= 1 else f"{value:.4f}"


@contextmanager
def report(name: str, question: str, parts: Iterable[str] = ()) -> Iterator[Report]:
    """Read the command line, and write the result if no error occurred. *parts* are what may run alone."""
    parser = argparse.ArgumentParser(description=question)
    parser.add_argument("--small", action="store_true", help="seconds instead of minutes, to see that it runs")
    parser.add_argument("--out", type=Path, help="where the result goes instead of benchmarks/results")
    names = list(parts)
    if names:
        parser.add_argument(
            "--only", action="append", choices=names, help="this part; more may be named. All by default"
        )
    given = parser.parse_args()
    started = perf_counter()
    only = (given.only or names) if names else ()
    made = Report(name, question, small=given.small, out=given.out, only=only)
    yield made
    made.part(f"took {perf_counter() - started:.0f} s")
    made.save()


# --- measuring


def latencies(call: Callable[[Argument], object], arguments: Sequence[Argument]) -> Floats:
    """Time *call* for each of *arguments*, in microseconds."""
    taken = np.empty(len(arguments), np.int64)
    for place, argument in enumerate(arguments):
        started = perf_counter_ns()
        call(argument)
        taken[place] = perf_counter_ns() - started
    return taken / 1e3


def percentiles(rounds: Sequence[Floats], percent: int) -> list[float]:
    """That percentile of each round."""
    return [float(np.percentile(taken, percent)) for taken in rounds]


def seconds(call: Callable[[], object]) -> float:
    """Time one call."""
    started = perf_counter()
    call()
    return perf_counter() - started


def in_turn(n_rounds: int, rivals: Mapping[str, Callable[[], Any]]) -> dict[str, list[Any]]:
    """Let rivals take turns, each once a round, so that a disturbance of the machine affects all of them."""
    results: dict[str, list[Any]] = {name: [] for name in rivals}
    for _ in range(n_rounds):
        for name, rival in rivals.items():
            results[name].append(rival())
    return results


def alone(script: Path, *arguments: str) -> dict[str, float]:
    """Run *script* in a process of its own, and read the figures it prints as one line of JSON."""
    done = subprocess.run([sys.executable, str(script), *arguments], stdout=subprocess.PIPE, check=True)
    return msgspec.json.decode(done.stdout, type=dict[str, float])


COMMAND = (sys.executable, "-c", "import sys; from stream_rec.cli.main import main; sys.exit(main())")
"""`stream-rec`, in whichever environment this runs, installed or only on the path."""


@contextmanager
def scratch_folder() -> Iterator[Path]:
    """A folder for large files, gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="stream-rec-bench-") as name:
        yield Path(name)
