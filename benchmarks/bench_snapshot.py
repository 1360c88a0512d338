"""The cost of a snapshot: how long it stops the engine, takes to write and to load, and what it adds to answers.

The engine's thread copies the state out, which is the pause; another thread writes it, while answers go on. They are
timed one event at a time, applied and answered, as a live log is. Loading is in a process of its own, from a file that
the system still has in memory: how fast the disk is would be another question.
"""

import gc
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from time import perf_counter

import feed
import msgspec
import numpy as np
from common import Floats, Report, alone, latencies, report, rss, scratch_folder, seconds, trimmed_rss

from stream_rec import snapshot
from stream_rec.core.engine import Engine, EngineSnapshot
from stream_rec.core.events import Event

QUESTION = "how long does a snapshot stop the engine, and how long does it take to come back from one?"
ROUNDS = 5
FINGERPRINT = snapshot.fingerprint(feed.KEEP_ALL)
REST_S = 0.0002


def warm_up() -> None:
    """Compile or load the timed code."""
    engine = Engine(limits=feed.KEEP_ALL)
    engine.apply_and_answer([Event("s", "i", 0)])
    engine.import_state(engine.export_state())


class Load:
    """Live answers: events of the log's sessions, one after the other, each applied and answered."""

    def __init__(self, engine: Engine, n_sessions: int) -> None:
        self._engine = engine
        rng = np.random.default_rng(3)
        self._sessions = rng.integers(0, n_sessions, 1_000_000).tolist()
        self._items = (rng.zipf(1.2, 1_000_000) % 50_000).tolist()
        self._at = 0
        self._now = engine.watermark or 0

    def one(self, _: object = None) -> None:
        """Apply one event, and answer it."""
        n = self._at = (self._at + 1) % len(self._sessions)
        event = Event(f"session-{self._sessions[n]:09d}", f"item-{self._items[n]:06d}", self._now)
        self._engine.apply_and_answer([event])

    def for_a_while(self, n: int) -> Floats:
        """Microseconds of each of *n* answers."""
        return latencies(self.one, range(n))

    def while_running(self, thread: threading.Thread) -> Floats:
        """Microseconds of each answer until *thread* ends."""
        parts = []
        thread.start()
        while thread.is_alive():
            parts.append(self.for_a_while(50))
        return np.concatenate(parts)


def pause(bench: Report, engine: Engine) -> EngineSnapshot:
    """Time the copy; return the last."""
    taken = []
    for _ in range(ROUNDS):
        gc.collect()
        started = perf_counter()
        state = engine.export_state()
        taken.append((perf_counter() - started) * 1e3)
        held = state
    bench.figure("the engine stops for (export_state)", taken, "ms", "<= 200")
    del held
    return state


def writing(bench: Report, state: EngineSnapshot, folder: Path) -> Path:
    """Time the writing, alone on the machine."""
    path = folder
    taken = []
    for _ in range(ROUNDS):
        started = perf_counter()
        path = snapshot.write(folder, state, created_at=0, fingerprint=FINGERPRINT, keep=1)
        taken.append(perf_counter() - started)
    bench.figure("to write and sync the file", taken, "s")
    n_bytes = path.stat().st_size
    bench.figure("size of the file", n_bytes / 2**20, "MiB")
    bench.figure("size of the file, a retained event", n_bytes / state.counts["events"], "bytes")
    return path


def beside(bench: Report, what: str, load: Load, folder: Path, rest: Callable[[], None]) -> None:
    """Answer while nothing else goes on, then while a snapshot is written; three times, in turn."""
    during, before = [], []
    for _ in range(3):
        before.append(load.for_a_while(20_000))
        state = load._engine.export_state()  # noqa: SLF001  # this script's own
        thread = threading.Thread(
            target=lambda state=state: snapshot.write(
                folder, state, created_at=0, fingerprint=FINGERPRINT, keep=1, yield_cpu=rest
            )
        )
        started = perf_counter()
        during.append(load.while_running(thread))
        bench.note(f"{what}: written in {perf_counter() - started:.2f} s, beside {during[-1].size:,} answers")
    for percent in (50, 99, 99.9):
        for when, rounds in (("before", before), ("while it is written", during)):
            values = [float(np.percentile(each, percent)) for each in rounds]
            bench.figure(f"event in, answer out, p{percent}, {when}, {what}", values, "us")
    bench.figure(f"the longest, while it is written, {what}", [float(each.max()) / 1e3 for each in during], "ms")


def load_alone(path: Path) -> dict[str, float]:
    """Read and import a snapshot."""
    warm_up()
    before = trimmed_rss()
    started = perf_counter()
    found = snapshot.read(path, FINGERPRINT)
    read = perf_counter()
    engine = Engine(limits=feed.KEEP_ALL)
    engine.import_state(found.state)
    done = perf_counter()
    peak = rss() - before
    del found
    return {
        "read": read - started,
        "import": done - read,
        "all": done - started,
        "peak": float(peak),
        "rss": float(trimmed_rss() - before),
        "events": float(engine.stats().n_events),
    }


def recovery(bench: Report, path: Path, n_events: int) -> None:
    """Load in fresh processes."""
    rounds = [alone(Path(__file__), "load", str(path)) for _ in range(ROUNDS)]
    assert all(each["events"] == n_events for each in rounds)
    bench.figure("to read and verify it", [each["read"] for each in rounds], "s")
    bench.figure("to build the engine from it", [each["import"] for each in rounds], "s")
    bench.figure("recovery in all", [each["all"] for each in rounds], "s", "<= 3")
    bench.figure("memory at its peak", [each["peak"] / 2**20 for each in rounds], "MiB")
    bench.figure("memory of the loaded engine", [each["rss"] / 2**20 for each in rounds], "MiB")


def main() -> None:
    """Run the benchmark."""
    with report("snapshot", QUESTION) as bench, scratch_folder() as folder:
        warm_up()
        n_events = 100_000 if bench.small else 5_000_000
        engine = Engine(limits=feed.KEEP_ALL)
        clicks = feed.log(n_events)
        replayed = feed.fill(engine, clicks)
        stats = engine.stats()
        bench.part(f"{stats.n_events:,} events in {stats.n_sessions:,} sessions, {stats.n_items:,} items")
        state = pause(bench, engine)
        path = writing(bench, state, folder)
        bench.figure("to verify it (read, compare checksums)", seconds(lambda: snapshot.verify(path)), "s")
        bench.part("Recovery")
        recovery(bench, path, stats.n_events)
        bench.figure("the alternative: to apply the log's events again, decoded", replayed, "s")
        del state
        bench.part("Answers beside it")
        load = Load(engine, stats.n_sessions)
        beside(bench, "as it is", load, folder, lambda: None)
        beside(bench, f"rest {REST_S * 1e3} ms", load, folder, lambda: time.sleep(REST_S))


if __name__ == "__main__":
    if sys.argv[1:2] == ["load"]:
        print(msgspec.json.encode(load_alone(Path(sys.argv[2]))).decode())
    else:
        main()
