"""Is this tree as fast as another revision? Both builds live side by side and take turns every few milliseconds.

    python benchmarks/compare_bursts.py [--revision REV] [--bursts N] [--events N] [--small] [--out DIR]

`compare_builds.py` runs whole benchmarks in turn. On a noisy machine their rounds differ by half, which hides a few per
cent. Here each build holds the same log in a process of its own, and both do the same small piece of work, one after
the other, many times: what disturbs one piece disturbs its neighbour too. A figure is the median over all bursts of
the ratio of their processor times (after to before), with the quartiles of that ratio. The work goes through the public
names only, which are the same in both builds. The order of the two alternates.

The table is kept as results/compare_bursts.txt.
"""

import argparse
import datetime as dt
import json
import os
import platform
import random
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from time import process_time
from typing import Any, Final

QUESTION: Final = "is this tree as fast as another revision, burst by burst?"
REVISION: Final = "4a87400"
EVENTS: Final = 400_000
SESSIONS_SHARE: Final = 5  # events of a session on average
ITEMS: Final = 20_000
ASKED: Final = 300  # questions in a burst
APPLIED: Final = 8_192  # events in a burst
BATCH: Final = 1_024
BEGIN_MS: Final = 1_700_000_000_000
WARM: Final = 3  # bursts that are not counted
HEAD: Final = f"{'':<44}{'before':>10}{'after':>10} {'unit':<8}{'ratio':>7}{'25 %':>7}{'75 %':>7}"


# --- in the process of one build


def clicks(n: int, seed: int, begin_ms: int) -> list[Any]:
    """Return *n* events of the build at PYTHONPATH, 50 ms apart, some items far more common than others."""
    from stream_rec import Event  # noqa: PLC0415

    rng = random.Random(seed)  # a log, no secret
    n_sessions = max(1, n // SESSIONS_SHARE)
    items = [int(ITEMS * rng.random() ** 3) for _ in range(n)]
    return [
        Event(f"session-{seed}-{rng.randrange(n_sessions):07d}", f"item-{item:06d}", begin_ms + 50 * place)
        for place, item in enumerate(items)
    ]


def inner_engine() -> Any:  # noqa: ANN401  # of either build
    """Return the engine of the service, which trusts what it is given; in older builds it is the public one."""
    try:
        from stream_rec.core.engine import Engine  # noqa: PLC0415
    except ModuleNotFoundError:
        from stream_rec import Engine as Public  # noqa: PLC0415

        return Public
    return Engine


class Worker:
    """The state, and the pieces of work. Each returns its processor time in seconds, by question or event."""

    def __init__(self, n_events: int) -> None:
        from stream_rec import Engine, EventDecoder, Limits  # noqa: PLC0415

        log = clicks(n_events, 1, BEGIN_MS)
        self.sessions = [event.session_id for event in log]
        self.engines = {name: Engine(name, limits=Limits(retention_ms=None)) for name in ("vmis-knn", "default")}
        for engine in self.engines.values():
            for at in range(0, len(log), BATCH):
                engine.apply(log[at : at + BATCH])
        hour = Limits(retention_ms=3_600_000)
        self.live = {"public": Engine("vmis-knn", limits=hour), "core": inner_engine()("vmis-knn", limits=hour)}
        self.live_ms = dict.fromkeys(self.live, BEGIN_MS)
        self.decode_one = EventDecoder().decode
        self.works: dict[str, Callable[[int], float]] = {
            "Engine.recommend, vmis-knn": lambda number: self.ask("vmis-knn", number),
            "Engine.recommend, default": lambda number: self.ask("default", number),
            "Engine.apply, 1,024 at once, with eviction": lambda number: self.apply("public", number, answer=False),
            "Engine.apply_and_answer, the same": lambda number: self.apply("public", number, answer=True),
            "the service's engine: apply": lambda number: self.apply("core", number, answer=False),
            "the service's engine: apply_and_answer": lambda number: self.apply("core", number, answer=True),
            "EventDecoder.decode": self.decode,
        }

    def ask(self, name: str, number: int) -> float:
        """Ask for sessions of the log, one by one."""
        rng = random.Random(number)
        names = [self.sessions[rng.randrange(len(self.sessions))] for _ in range(ASKED)]
        recommend = self.engines[name].recommend
        begun = process_time()
        for each in names:
            recommend(each)
        return (process_time() - begun) / ASKED

    def apply(self, kind: str, number: int, *, answer: bool) -> float:
        """Apply new events, each followed by an answer if *answer*."""
        events = clicks(APPLIED // (4 if answer else 1), number, self.live_ms[kind])
        self.live_ms[kind] = events[-1].timestamp
        engine = self.live[kind]
        run = engine.apply_and_answer if answer else engine.apply
        begun = process_time()
        for at in range(0, len(events), BATCH):
            run(events[at : at + BATCH])
        return (process_time() - begun) / len(events)

    def decode(self, number: int) -> float:
        """Decode new records, one by one."""
        fields = ("session_id", "item_id", "timestamp")
        records = [
            json.dumps({name: getattr(event, name) for name in fields}).encode()
            for event in clicks(APPLIED, number, BEGIN_MS)
        ]
        decode_one = self.decode_one
        begun = process_time()
        for record in records:
            decode_one(record)
        return (process_time() - begun) / len(records)


def work(n_events: int) -> None:
    """Build the state, then do each burst that a line on standard input names; answer with its microseconds."""
    worker = Worker(n_events)
    print(json.dumps(list(worker.works)), flush=True)
    for line in sys.stdin:
        what, number = json.loads(line)
        print(worker.works[what](number) * 1e6, flush=True)


# --- in the process that compares


class Build:
    """A build's process."""

    def __init__(self, root: Path, n_events: int) -> None:
        command = [sys.executable, __file__, "--work", str(n_events)]
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": str(root)},
        )
        self.works: list[str] = json.loads(self._line())

    def _line(self) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise SystemExit(f"a build's process has ended with {self._process.wait()}")
        return line

    def burst(self, what: str, number: int) -> float:
        """Return the processor time of one piece of work, in microseconds."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps([what, number]) + "\n")
        self._process.stdin.flush()
        return float(self._line())

    def close(self) -> None:
        """End the process."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()


def lines(before: Build, after: Build, bursts: int) -> Iterator[str]:
    """Yield a line of the table for each kind of work."""
    yield HEAD
    for what in after.works:
        pairs: list[tuple[float, float]] = []
        for number in range(-WARM, bursts):
            seed = number + WARM + 10
            if number % 2:
                new, old = after.burst(what, seed), before.burst(what, seed)
            else:
                old, new = before.burst(what, seed), after.burst(what, seed)
            if number >= 0:
                pairs.append((old, new))
        ratios = [new / old for old, new in pairs]
        low, middle, high = statistics.quantiles(ratios, n=4)
        was, is_now = (statistics.median(column) for column in zip(*pairs, strict=True))
        yield f"{what:<44}{was:>10.2f}{is_now:>10.2f} {'us':<8}{middle:>7.3f}{low:>7.3f}{high:>7.3f}"


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--revision", default=REVISION)
    parser.add_argument("--bursts", type=int, default=100)
    parser.add_argument("--events", type=int, default=EVENTS)
    parser.add_argument("--small", action="store_true", help="seconds instead of minutes, to see that it runs")
    parser.add_argument("--out", type=Path, help="where the result goes instead of benchmarks/results")
    given = parser.parse_args()
    if given.work is not None:
        work(given.work)
        return
    from common import RESULTS, TREE, commit, machine, versions  # noqa: PLC0415  # the build's own process has none
    from compare_builds import worktree  # noqa: PLC0415

    n_events, bursts = (20_000, 6) if given.small else (given.events, given.bursts)
    head = [
        f"compare_bursts: {QUESTION}",
        f"{machine()}; Python {platform.python_version()}",
        ", ".join(f"{library} {version}" for library, version in versions().items()),
        f"before: {given.revision}; after: {commit()}; {dt.datetime.now(dt.UTC).isoformat(timespec='minutes')}",
        f"{n_events:,} events; {bursts} bursts of each; processor time; ratio: median of all bursts' ratios, quartiles",
        "",
    ]
    print("\n".join(head), flush=True)
    with worktree(given.revision) as root:
        before, after = Build(root, n_events), Build(TREE, n_events)
        table = []
        for line in lines(before, after, bursts):
            print(line, flush=True)
            table.append(line)
        before.close()
        after.close()
    folder = given.out or (None if given.small else RESULTS)
    if folder is None:
        print("(a small run is not kept)")
        return
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "compare_bursts.txt").write_text("\n".join([*head, *table]) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
