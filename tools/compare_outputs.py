"""Compares the outputs of this tree and of another revision byte for byte, and exits with 1 if they differ.

    STREAM_REC_DATA=<folder of the logs> python tools/compare_outputs.py [--revision REV] [--quick] [--before DIR]

Both builds run side by side, each in its own tree, through the command line, HTTP and the public names, as users do.
So modules may move. `compared.py` separates the facts of each output from its wording. The revision's tree is a
worktree in a temporary folder, removed at the end. `--before DIR` keeps the revision's outputs; where DIR holds them
already, they are not made again.

Not compared: outputs that need a broker, and the screens of `demo`. online-retail is read whole with the default
preset, and its first 100,000 lines with the others. `--quick` cuts all logs; the kernels of both builds are still
compiled.
"""

import argparse
import gzip
import http.client
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from time import monotonic, sleep
from typing import Any, Final, NamedTuple

import compared

TREE: Final = Path(__file__).resolve().parents[1]
INSIDE: Final = Path(__file__).with_name("compare_inside.py")
REVISION: Final = "4a87400"
"""The last commit before the modules moved to their present places."""

SHORTENED: Final = 100_000
"""Events of online-retail for all presets but the default, which learns all of its half a million."""

QUICK: Final = 4_000
SERVED: Final = 2_000
SECONDS: Final = 900
"""A command that takes longer hangs."""


# --- builds


class Build:
    """A tree, and the commands that run in it."""

    def __init__(self, name: str, root: Path, python: str = sys.executable) -> None:
        self.name = name
        self.python = python
        scripts = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]["scripts"]
        module, _, function = scripts["stream-rec"].partition(":")
        start = f"import sys; from {module} import {function} as main; sys.argv[0] = 'stream-rec'; sys.exit(main())"
        self.program = (python, "-P", "-c", start)
        settings = [name for name in os.environ if name.startswith("STREAM_REC_")]
        self.environ = {name: value for name, value in os.environ.items() if name not in settings}
        self.environ |= {"PYTHONPATH": f"{root}{os.pathsep}{root / 'tools'}", "COLUMNS": "100", "LC_ALL": "C.UTF-8"}
        found = Path(self.inside(root, "where").strip())
        if found != root:
            sys.exit(f"{name}: expected the package of {root}, found that of {found}")

    def stream_rec(self, folder: Path, *argv: object, **environ: str) -> subprocess.CompletedProcess[str]:
        """Run one command in *folder*, to its end."""
        return subprocess.run(
            [*self.program, *map(str, argv)],
            cwd=folder,
            env=self.environ | environ,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )

    def inside(self, folder: Path, *argv: object) -> str:
        """Run one act of `compare_inside.py`; return what it prints."""
        command = [self.python, "-P", str(INSIDE), *map(str, argv)]
        done = subprocess.run(command, cwd=folder, env=self.environ, capture_output=True, text=True, check=False)
        if done.returncode:
            sys.exit(f"{self.name}: {' '.join(map(str, argv))} failed:\n{done.stderr}")
        return done.stdout


class Side:
    """One build's outputs: *out* takes them, a folder for each thing that is compared; *work* is scratch."""

    def __init__(self, build: Build, work: Path, out: Path, logs: Mapping[str, "Log"]) -> None:
        self.build = build
        self.logs = logs
        self.work = work
        self._out = out
        work.mkdir()
        for log in logs.values():
            (work / log.path.name).symlink_to(log.path)

    def run(self, *argv: object) -> subprocess.CompletedProcess[str]:
        """Run one command, which must succeed."""
        done = self.build.stream_rec(self.work, *argv)
        if done.returncode:
            sys.exit(f"{self.build.name}: stream-rec {' '.join(map(str, argv))} failed:\n{done.stderr}")
        return done

    def write(self, what: str, name: str, output: str) -> None:
        """Write an output that is in memory."""
        folder = self._out / what
        folder.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(output, encoding="utf-8")

    def move(self, what: str, name: str, made: str) -> None:
        """Move an output from the scratch folder, packed, since it may be large."""
        folder = self._out / what
        folder.mkdir(parents=True, exist_ok=True)
        source = self.work / made
        with source.open("rb") as raw, gzip.GzipFile(folder / f"{name}.gz", "wb", compresslevel=1, mtime=0) as packed:
            shutil.copyfileobj(raw, packed, 1 << 20)
        source.unlink()

    def folder(self, what: str) -> Path:
        """A folder of outputs that a build writes to itself."""
        folder = self._out / what
        folder.mkdir(parents=True, exist_ok=True)
        return folder


# --- logs


class Log(NamedTuple):
    """A log that both builds read."""

    path: Path
    format: str
    presets: Callable[[str], bool] = lambda _: True


def real_logs(data: Path, folder: Path, *, quick: bool) -> dict[str, Log]:
    """Write the three public logs into *folder*, in the order of time, so that events are not late."""
    most = QUICK if quick else None
    ratings = (data / "ml-100k" / "u.data").read_text().splitlines()
    visits = _unpacked(data / "serenade-toy" / "train.txt.gz")
    sales = _unpacked(data / "online-retail" / "online_retail.csv.gz")
    in_time = sorted(ratings, key=lambda row: int(row.split("\t")[3]))
    visited = sorted(visits[1:], key=lambda row: float(row.split("\t")[2]))
    files = {
        "u.data": in_time[:most],
        "late.data": ratings[:most],
        "train.txt": [visits[0], *visited[:most]],
        "test.txt": (data / "serenade-toy" / "test.txt").read_text().splitlines(),
        "served.txt": [visits[0], *visited[:SERVED]],
        "sales.csv": sales[: None if most is None else most + 1],
        "sales-short.csv": sales[: (most or SHORTENED) + 1],
    }
    for name, rows in files.items():
        (folder / name).write_text("\n".join(rows) + "\n", encoding="utf-8")

    def is_default(preset: str) -> bool:
        return preset == "default"

    return {
        "ml-100k": Log(folder / "u.data", "movielens-100k"),
        "ml-100k as it comes": Log(folder / "late.data", "movielens-100k", is_default),
        "serenade-toy": Log(folder / "train.txt", "session-rec"),
        "serenade-toy test": Log(folder / "test.txt", "session-rec", lambda _: False),
        "serenade-toy served": Log(folder / "served.txt", "session-rec", lambda _: False),
        "online-retail": Log(folder / "sales.csv", "online-retail", is_default),
        "online-retail, its beginning": Log(folder / "sales-short.csv", "online-retail", lambda p: not is_default(p)),
    }


def _unpacked(path: Path) -> list[str]:
    with gzip.open(path, "rt", encoding="utf-8") as file:
        return file.read().splitlines()


# --- the outputs of a build


def names(side: Side) -> None:
    """Public names, settings and metrics, as the build itself lists them; and the options of each command."""
    side.write("public names", "names.public", side.build.inside(side.work, "public"))
    side.write("settings", "page.settingspage", side.build.inside(side.work, "settings"))
    side.write("metrics reference", "page.metricspage", side.build.inside(side.work, "metrics"))
    for command in ("", "run", "check", "evaluate", "tune", "status", "warm-up", "demo", "simulate", "snapshot"):
        side.write("help", f"{command or 'stream-rec'}.help", side.run(*command.split(), "--help").stdout)


def runs(side: Side) -> None:
    """Each real log with each preset: answers, dead letters, summary."""
    for preset in side.build.inside(side.work, "presets").split():
        for name, log in side.logs.items():
            if log.presets(preset):
                one_run(side, f"run {name}, {preset}", log, "--preset", preset)


def one_run(side: Side, what: str, log: Log, *argv: object) -> None:
    """Run over one log; keep answers, dead letters and summary as *what*."""
    out = ("--recommendations", "answers.jsonl", "--dead-letters", "dead.jsonl", "--output-mode", "overwrite")
    done = side.run("run", "--events", log.path.name, "--format", log.format, *out, *argv)
    side.write(what, "summary.report", done.stderr)
    side.move(what, "answers.jsonl", "answers.jsonl")
    side.move(what, "dead_letters.deadletters", "dead.jsonl")


REQUESTS: Final = (
    *({"session_id": f"s{number}", "n": 5, "explain": True} for number in range(0, 60, 3)),
    *({"items": [f"i{number}"], "explain": True, "hide_sessions": True} for number in range(20)),
    *({"items": ["i1", "i2"], "preset": preset, "k": 20, "m": 50, "last": 2} for preset in ("sknn", "stan", "vstan")),
    {"items": ["i1"], "filter": "price < 30", "same_category": True, "max_per_category": 3},
    {"items": ["i1"], "boost": {"price < 50": 1.5}, "exclude": ["i3"], "seen": "keep", "fallbacks": False},
    {"items": ["i1"], "allow": ["i2", "i3", "i4"], "request_id": "r1"},
    {"items": ["i1"], "model": "short"},
    {"items": ["i1"], "filter": "price <"},
    {"items": ["i1"], "no_such": 1},
    {"session_id": "s1", "n": 0},
)
FAULTS: Final = (
    *("--sessions", 400, "--items", 200, "--users", 150, "--seed", 7, "--funnel", 0.2, "--out-of-order", 0.05),
    *("--late", 0.02, "--duplicates", 0.03, "--broken", 0.03),
)
ALL_AT_ONCE: Final = """\
events = "clicks.jsonl"
requests = "requests.jsonl"
catalogue = "catalogue.jsonl"
retention = "12h"
max_sessions = 300
deny = ["i5"]
filter = "price < 95"
max_per_category = 6
quality_windows = ["1h", "1d"]

[boosts]
"price > 80" = 0.5

[types]
view = 1
cart = 2
purchase = 5

[models.vstan]
preset = "vstan"
share = 0.3

[models.short]
last = 2
shadow = true
"""


def features(side: Side) -> None:
    """A simulated log with every fault, read with every feature at once; cut by users; checked; tuned."""
    what = "simulate with faults"
    side.run("simulate", *FAULTS, "--out", "clicks.jsonl", "--truth", "truth.jsonl")
    side.write(what, "truth.jsonl", (side.work / "truth.jsonl").read_text())
    side.write(what, "clicks.jsonl", (side.work / "clicks.jsonl").read_text(errors="backslashreplace"))
    items = [{"id": f"i{n}", "category": f"c{n % 7}", "price": n % 101, "available": n % 13 != 0} for n in range(200)]
    for name, rows in (("requests.jsonl", REQUESTS), ("catalogue.jsonl", items)):
        (side.work / name).write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    (side.work / "all.toml").write_text(ALL_AT_ONCE, encoding="utf-8")
    clicks = Log(side.work / "clicks.jsonl", "auto")
    one_run(side, "run with every feature", clicks, "--config", "all.toml")
    one_run(side, "run cut by users", clicks, "--session-gap", "30m", "--n", "5", "--preset", "wsknn")
    checked = side.run("check", "--events", "clicks.jsonl", "--max-future", "none")  # examples would show the time
    side.write("check", "check.report", checked.stdout)
    tuning = ("--trials", 3, "--most-questions", 200, "--threads", 1)
    side.run("tune", "--events", "fair.jsonl", "--out", "tuned.toml", *tuning)
    side.write("tune", "tuned.toml", (side.work / "tuned.toml").read_text())


def evaluations(side: Side) -> None:
    """Serenade's log asked event by event, and by its own hold-out with all presets."""
    train, test = side.logs["serenade-toy"], side.logs["serenade-toy test"]
    shared = ("--format", train.format, "--threads", 1, "--json", "figures.json")
    asked: dict[str, tuple[object, ...]] = {
        "prequential": ("--events", train.path.name, "--most-questions", 20_000),
        "hold-out": ("--train", train.path.name, "--test", test.path.name, "--compare", "all"),
    }
    for name, argv in asked.items():
        side.run("evaluate", *argv, *shared)
        side.write("evaluate serenade-toy", f"{name}.evaluation", (side.work / "figures.json").read_text())


MISUSES: Final[tuple[tuple[str, ...], ...]] = (
    (),
    ("nothing",),
    ("--version",),
    ("run",),
    ("run", "--no-such"),
    ("run", "--events", "missing.jsonl"),
    ("run", "--events", "clicks.jsonl", "--preset", "best"),
    ("run", "--events", "clicks.jsonl", "--m", "0"),
    ("run", "--events", "clicks.jsonl", "--retention", "soon"),
    ("run", "--events", "clicks.jsonl", "--recommendations", "full.jsonl"),
    ("run", "--events", "clicks.jsonl", "--config", "unknown.toml"),
    ("run", "--events", "clicks.jsonl", "--filter", "price <"),
    ("run", "--events", "kafka://"),
    ("run", "--events", "http", "--http", "0.0.0.0:0"),
    ("check", "--events", "missing.jsonl"),
    ("evaluate", "--events", "missing.jsonl"),
    ("evaluate", "--events", "clicks.jsonl", "--hold-out-share", "2"),
    ("tune", "--events", "clicks.jsonl"),
    ("status", "missing.json"),
    ("snapshot", "verify", "broken.srs"),
    ("snapshot", "inspect", "broken.srs"),
    ("snapshot", "list", "missing"),
    ("simulate", "--sessions", "-1"),
)


def misuses(side: Side) -> None:
    """Keep the output and the exit code of each wrong use."""
    for name, content in (("full.jsonl", "{}\n"), ("broken.srs", "no snapshot"), ("unknown.toml", "no_such = 1\n")):
        (side.work / name).write_text(content, encoding="utf-8")
    for number, argv in enumerate(MISUSES):
        _misused(side, f"{number:02}.command", argv, {})
    _misused(side, "environment.command", ("run", "--events", "clicks.jsonl"), {"STREAM_REC_K": "0"})


def _misused(side: Side, name: str, argv: Sequence[str], environ: dict[str, str]) -> None:
    done = side.build.stream_rec(side.work, *argv, **environ)
    result = {"argv": [*argv], "code": done.returncode}
    result |= {"stdout": done.stdout.splitlines(), "stderr": done.stderr.splitlines()}
    side.write("exit codes", name, json.dumps(result))


def snapshots(side: Side) -> None:
    """Snapshots of an engine and of a recommender: their bytes, the commands' outputs, and answers after a load."""
    folder = side.folder("snapshots")
    side.build.inside(folder, "save", folder, side.work / "fair.jsonl")
    side.write("snapshots", "answers.jsonl", side.build.inside(folder, "load", folder))
    for name in ("engine.srs", "recommender.srs"):
        header = side.build.stream_rec(folder, "snapshot", "inspect", "--json", name)
        valid = side.build.stream_rec(folder, "snapshot", "verify", name)
        side.write("snapshots", f"{name}.jsonl", f"{header.stdout}{header.returncode} {valid.returncode}")


def fair_log(side: Side) -> None:
    """A log without faults, for snapshots."""
    side.run("simulate", "--sessions", 500, "--items", 100, "--out", "fair.jsonl", "--truth", "truth.jsonl")


CALLS: Final[tuple[tuple[str, str, object], ...]] = (
    ("GET", "/livez", None),
    ("GET", "/readyz", None),
    ("GET", "/v1/sessions?limit=5", None),
    ("GET", "/v1/sessions/{session}", None),
    ("GET", "/v1/sessions/{session}/recommendations?n=5&explain=true&details=true", None),
    ("GET", "/v1/sessions/{session}/recommendations?n=0", None),
    ("GET", "/v1/sessions/no-such", None),
    ("GET", "/v1/items/{item}", None),
    ("GET", "/v1/items/{item}/similar", None),
    ("GET", "/v1/items?q=1", None),
    ("GET", "/v1/items/no-such", None),
    ("GET", "/no-such", None),
    ("POST", "/v1/recommendations", {"items": ["{item}"], "n": 3}),
    ("POST", "/v1/recommendations", {"requests": [{"session_id": "{session}", "k": 5}, {"items": ["{item}"]}]}),
    ("POST", "/v1/recommendations", {"items": ["{item}"], "no_such": 1}),
    ("POST", "/v1/events", [{"session_id": "new", "item_id": "{item}", "timestamp": 1591000000000}]),
    ("POST", "/v1/events", {"session_id": "new"}),
    ("POST", "/v1/events:recommend", {"event": {"session_id": "new", "item_id": "{item}", "timestamp": 1591000001000}}),
    ("DELETE", "/v1/sessions/new", None),
    ("GET", "/v1/sessions/new", None),
    ("GET", "/v1/stats", None),
)


def service(side: Side) -> None:
    """`run --http` over a little of Serenade's log: the document, answers, and metrics."""
    log = side.logs["serenade-toy served"]
    session, item, _ = log.path.read_text().splitlines()[-1].split("\t")
    with serving(side, "--events", log.path.name, "--format", log.format) as call:
        side.write("http: openapi.json", "document.openapi", json.dumps(call("GET", "/openapi.json")["body"]))
        replies = []
        for method, path, body in CALLS:
            asked = json.dumps([path, body]).replace("{session}", session).replace("{item}", item)
            replies.append(json.dumps(call(method, *json.loads(asked))))
        side.write("http: replies", "all.replies", "\n".join(replies))
        side.write("http: metrics", "metrics.metrics", str(call("GET", "/metrics")["body"]))


Call = Callable[..., dict[str, Any]]


@contextmanager
def serving(side: Side, *argv: object) -> Iterator[Call]:
    """A service in a process of its own, ready; entered with a function that calls it."""
    log = side.work / "service.txt"
    command = [*side.build.program, "run", "--http", "127.0.0.1:0", *map(str, argv)]
    with log.open("wb") as stderr:
        process = subprocess.Popen(
            command, cwd=side.work, env=side.build.environ, stderr=stderr, stdin=subprocess.DEVNULL
        )
    try:
        _await(process, log, lambda: re.search(r"http://127\.0\.0\.1:\d+", log.read_text()) is not None)
        found = re.search(r"http://127\.0\.0\.1:(\d+)", log.read_text())
        assert found is not None, "just seen"
        call = _caller(int(found[1]))
        _await(process, log, lambda: call("GET", "/readyz")["status"] == 200)
        yield call
    finally:
        process.terminate()
        code = process.wait(60)
    if code:
        sys.exit(f"{side.build.name}: the service ended with {code}:\n{log.read_text()}")


def _await(process: subprocess.Popen[bytes], log: Path, holds: Callable[[], bool]) -> None:
    until = monotonic() + SECONDS
    while not holds():
        if process.poll() is not None or monotonic() > until:
            sys.exit(f"the service is not there:\n{log.read_text()}")
        sleep(0.05)


def _caller(port: int) -> Call:
    def call(method: str, path: str, body: object = None) -> dict[str, Any]:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        connection.request(method, path, None if body is None else json.dumps(body))
        reply = connection.getresponse()
        read = reply.read().decode()
        kind = reply.headers.get("content-type", "")
        connection.close()
        parsed = json.loads(read) if kind.startswith("application/json") and read else read
        return {"asked": f"{method} {path}", "status": reply.status, "type": kind, "body": parsed}

    return call


def warm(side: Side) -> None:
    """Compile first: a later command that compiles would announce it in its output."""
    side.run("warm-up")


STAGES: Final = (warm, names, fair_log, features, misuses, snapshots, service, runs, evaluations)


def make(side: Side) -> None:
    """Make all outputs of one build."""
    for stage in STAGES:
        begun = monotonic()
        stage(side)
        print(f"  {side.build.name}: {stage.__name__}, {monotonic() - begun:.0f} s", file=sys.stderr, flush=True)


# --- comparing


class Row(NamedTuple):
    """One line of the table."""

    what: str
    verdict: str
    detail: str
    differences: list[str]


EQUAL, REWORDED, DIFFERENT = "equal", "reworded", "DIFFERENT"


def rows(before: Path, after: Path) -> Iterator[Row]:
    """Compare two folders of outputs, a row for each folder in them."""
    grouped: defaultdict[str, set[str]] = defaultdict(set)
    for root in (before, after):
        for path in root.rglob("*"):
            if path.is_file() and path.parent != root:
                grouped[path.parent.name].add(path.name)
    for what in sorted(grouped):
        verdicts, places, size = set(), [], 0
        for name in sorted(grouped[what]):
            old, new = before / what / name, after / what / name
            verdict, where = compare(old, new)
            verdicts.add(verdict)
            places += [] if where is None else [f"{name}: {where}"]
            size += new.stat().st_size if new.exists() else 0
        verdict = next(each for each in (DIFFERENT, REWORDED, EQUAL) if each in verdicts)
        yield Row(what, verdict, f"{len(grouped[what])} outputs, {size / 1e6:,.1f} MB", places)


def compare(old: Path, new: Path) -> tuple[str, str | None]:
    """Compare two outputs: the verdict, and where they differ first."""
    if not (old.exists() and new.exists()):
        return DIFFERENT, f"there is none {'before' if new.exists() else 'after'}"
    if compared.exact(old, new):
        return EQUAL, None
    read = compared.KINDS.get(new.name.removesuffix(".gz").rpartition(".")[2])
    if read is None:
        return DIFFERENT, "other bytes"
    seen = [read(compared.text(path)) for path in (old, new)]
    where = compared.difference(seen[0].facts, seen[1].facts)
    if where is not None:
        return DIFFERENT, str(where)
    where = compared.difference(seen[0].words, seen[1].words)
    return (EQUAL, None) if where is None else (REWORDED, f"wording, {where}")


def shown(table: Sequence[Row]) -> Iterator[str]:
    """Yield the table, and below it the differences."""
    width = max(len(row.what) for row in table)
    for row in table:
        yield f"{row.what:<{width}}  {row.verdict:<9}  {row.detail}"
    for row in table:
        for place in row.differences:
            yield f"\n{row.what}: {place}"


# --- the whole


def commit(root: Path, revision: str = "HEAD") -> str:
    """The full name of a commit."""
    command = ["git", "rev-parse", "--verify", f"{revision}^{{commit}}"]
    return subprocess.run(command, cwd=root, capture_output=True, text=True, check=True).stdout.strip()


@contextmanager
def worktree(revision: str, place: Path) -> Iterator[Path]:
    """The tree of *revision*, at *place*, while entered."""
    git = ("git", "-C", str(TREE), "worktree")
    subprocess.run([*git, "add", "--quiet", "--detach", str(place), revision], check=True)
    try:
        yield place
    finally:
        subprocess.run([*git, "remove", "--force", str(place)], check=True)


def outputs(given: argparse.Namespace, scratch: Path, kept: Path) -> Path:
    """Make the outputs of both builds, or of this tree alone where *kept* holds the others; return this tree's."""
    data = Path(os.environ["STREAM_REC_DATA"])
    (scratch / "logs").mkdir()
    logs = real_logs(data, scratch / "logs", quick=given.quick)
    after = Side(Build("after", TREE), scratch / "after-work", scratch / "after", logs)
    mark = kept / "made.json"
    wanted = {"commit": commit(TREE, given.revision), "quick": given.quick}
    if mark.exists():
        if json.loads(mark.read_text()) != wanted:
            sys.exit(f"{kept} holds {mark.read_text()}, and {json.dumps(wanted)} is wanted")
        make(after)
    else:
        if kept.exists() and any(kept.iterdir()):
            sys.exit(f"{kept} holds something else, or outputs that were not finished: empty it first")
        with worktree(given.revision, scratch / "tree") as root, ThreadPoolExecutor(2) as pool:
            before = Side(Build("before", root), scratch / "before-work", kept, logs)
            for done in [pool.submit(make, side) for side in (before, after)]:
                done.result()
        mark.write_text(json.dumps(wanted))
    after.write("snapshots", "loaded from before.jsonl", after.build.inside(after.work, "load", kept / "snapshots"))
    shutil.copyfile(kept / "snapshots" / "answers.jsonl", kept / "snapshots" / "loaded from before.jsonl")
    return scratch / "after"


def main() -> int:
    """Make, compare, print; 1 if anything differs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--revision", default=REVISION, help=f"what is compared with; {REVISION} if none is named")
    parser.add_argument("--quick", action="store_true", help="cut the logs")
    parser.add_argument("--words", action="store_true", help="exit with 1 for other wording too")
    parser.add_argument("--before", type=Path, help="keep the revision's outputs there, or take them from there")
    given = parser.parse_args()
    if "STREAM_REC_DATA" not in os.environ:
        sys.exit("STREAM_REC_DATA is not set: name the folder that holds ml-100k/, online-retail/ and serenade-toy/")
    begun = monotonic()
    with tempfile.TemporaryDirectory(prefix="stream-rec-compare-") as name:
        scratch = Path(name).resolve()
        kept = scratch / "before" if given.before is None else given.before.resolve()
        made = outputs(given, scratch, kept)
        table = list(rows(kept, made))
    print(f"before: {commit(TREE, given.revision)}\nafter:  {commit(TREE)} and what is changed in the tree\n")
    print("\n".join(shown(table)))
    verdicts = [row.verdict for row in table]
    counts = ", ".join(f"{verdicts.count(each)} {each.lower()}" for each in (EQUAL, REWORDED, DIFFERENT))
    print(f"\n{counts}; {monotonic() - begun:.0f} s")
    return int(DIFFERENT in verdicts or (given.words and REWORDED in verdicts))


if __name__ == "__main__":
    sys.exit(main())
