"""Results on real logs: sizes, rates, memory, and how often the next item was among the 20 recommended.

Reads the logs from the folder that STREAM_REC_DATA names, and says so where it is not set. Each log is replayed in a
process of its own. Live questions: before an event is applied, its session is asked which item comes next; nothing is
split off. What is scored is the answer that `run` publishes after each event, when the session's next one comes.
"""

import gc
import os
import sys
from collections.abc import Callable
from pathlib import Path
from time import perf_counter

import feed
import msgspec
from common import BATCH, Report, alone, report, rss, trimmed_rss

from stream_rec.core.engine import Engine
from stream_rec.core.events import Event
from stream_rec.core.model import PRESETS, Model, model
from stream_rec.datasets.logs import Log, movielens_100k, online_retail, serenade_toy

QUESTION = "what comes out on real logs?"
LOGS: dict[str, Callable[[Path], Log]] = {
    "ml-100k": lambda folder: movielens_100k(folder / "ml-100k"),
    "serenade-toy": lambda folder: serenade_toy(folder / "serenade-toy"),
    "online-retail": lambda folder: online_retail(folder / "online-retail"),
}
MEASURED = "vmis-knn"  # the published one: its figures can be compared with others
COMPARED = 150_000  # so many events, at most, are replayed once for each preset


class Score:
    """How often, and how high, the next item was among those recommended."""

    def __init__(self) -> None:
        self.n = 0
        self.hits = 0
        self.reciprocal = 0.0

    def add(self, recommended: list[str], item_id: str) -> None:
        """Count one question whose answer turned out to be *item_id*."""
        self.n += 1
        if item_id in recommended:
            self.hits += 1
            self.reciprocal += 1 / (recommended.index(item_id) + 1)

    def figures(self, prefix: str = "") -> dict[str, float]:
        """HR@20, MRR@20 and n."""
        return {
            f"{prefix}HR@20": self.hits / max(1, self.n),
            f"{prefix}MRR@20": self.reciprocal / max(1, self.n),
            f"{prefix}n": self.n,
        }


def live(events: list[Event], preset: str, prefix: str = "") -> dict[str, float]:
    """Score each published answer by its session's next event, and measure their rate."""
    engine = Engine(preset, limits=feed.KEEP_ALL)
    engine.recommend(items=["nothing"])
    score = Score()
    published: dict[str, list[str]] = {}
    taken = 0.0
    for begin in range(0, len(events), BATCH):
        part = events[begin : begin + BATCH]
        started = perf_counter()
        _, answers = engine.apply_and_answer(part)
        taken += perf_counter() - started
        for event, answer in zip(part, answers, strict=True):
            before = published.get(event.session_id)
            if before is not None:
                score.add(before, event.item_id)
            published[event.session_id] = [] if answer is None else [each.item_id for each in answer.items]
    return {**score.figures(f"{prefix}{preset} "), f"{prefix}{preset} answers/s": len(events) / taken}


def sizes(log: Log) -> dict[str, float]:
    """Return the log's sizes, its rate of ingestion, and its memory."""
    events = log.events
    feed.fill_events(Engine(limits=feed.KEEP_ALL), events[:10])  # loads the kernels
    before = trimmed_rss()
    engine = Engine(limits=feed.KEEP_ALL)
    rates = [len(events) / feed.fill_events(engine, events)]
    gc.collect()
    grown = rss() - before
    stats = engine.stats()
    rates += [len(events) / feed.fill_events(Engine(limits=feed.KEEP_ALL), events) for _ in range(4)]
    return {
        "events": len(events),
        "events held (the last 1,000 of a session)": stats.n_events,
        "sessions": stats.n_sessions,
        "items": stats.n_items,
        "lines that are no events": log.skipped.total(),
        "events/s": sorted(rates)[2],
        "MiB": grown / 2**20,
        "bytes": grown / stats.n_events,
    }


def replay(name: str, n_events: int) -> dict[str, float]:
    """Return all figures of one log, of at most its first *n_events*."""
    log = LOGS[name](Path(os.environ["STREAM_REC_DATA"]))
    del log.events[n_events:]
    found = sizes(log) | live(log.events, MEASURED, "all of it, ")
    for preset in PRESETS:
        found |= live(log.events[:COMPARED], preset)
    return found


def held_out(point: Model) -> dict[str, float]:
    """Serenade's split: train replayed, and each test session asked item by item, itself never learned."""
    folder = Path(os.environ["STREAM_REC_DATA"]) / "serenade-toy"
    engine = Engine(limits=feed.KEEP_ALL)
    engine.apply(serenade_toy(folder, "train").events)
    sessions: dict[str, list[str]] = {}
    for event in serenade_toy(folder, "test").events:
        sessions.setdefault(event.session_id, []).append(event.item_id)
    score = Score()
    for items in sessions.values():
        for place in range(1, len(items)):
            score.add([each.item_id for each in engine.ask(point, items=items[:place])], items[place])
    return score.figures()


def print_figures(bench: Report, name: str, n_events: int) -> None:
    """Print one log's figures."""
    found = alone(Path(__file__), "replay", name, str(n_events))
    bench.part(f"{name}, all of it, live (retention none; otherwise as `run` does by default)")
    for what in (
        "events",
        "events held (the last 1,000 of a session)",
        "sessions",
        "items",
        "lines that are no events",
    ):
        bench.figure(f"{name}: {what}", found[what], "")
    bench.figure(f"{name}: Engine.apply", found["events/s"], "events/s")
    bench.figure(f"{name}: memory (RSS growth)", found["MiB"], "MiB")
    bench.figure(f"{name}: memory a retained event", found["bytes"], "bytes")
    _print_scores(bench, name, f"all of it, {MEASURED}", found)
    bench.part(f"{name}, each preset, {min(COMPARED, found['events']):,.0f} events, live")
    for preset in PRESETS:
        _print_scores(bench, name, preset, found)


def _print_scores(bench: Report, name: str, preset: str, found: dict[str, float]) -> None:
    bench.figure(f"{name}: {preset} HR@20", found[f"{preset} HR@20"], "")
    bench.figure(f"{name}: {preset} MRR@20", found[f"{preset} MRR@20"], "")
    bench.figure(f"{name}: {preset} questions", found[f"{preset} n"], "")
    bench.figure(f"{name}: {preset} apply and answer", found[f"{preset} answers/s"], "answers/s")


def main() -> None:
    """Run the benchmark."""
    with report("real_data", QUESTION) as bench:
        if "STREAM_REC_DATA" not in os.environ:
            bench.note("STREAM_REC_DATA is not set: real logs are not part of the project, and nothing was kept.")
            sys.exit(0)
        for name in LOGS:
            print_figures(bench, name, 5_000 if bench.small else 10**9)
        point = model(m=1502, k=288, last=4, seen="drop-current", fallbacks=False)
        found = held_out(point)
        bench.part("serenade-toy, hold-out: vmis-knn m 1502, k 288, last 4, drop-current, no fallbacks")
        bench.figure("hold-out MRR@20", found["MRR@20"], "", ".341 +- .001")
        bench.figure("hold-out HR@20", found["HR@20"], "")
        bench.figure("hold-out questions", found["n"], "", "931")


if __name__ == "__main__":
    if sys.argv[1:2] == ["replay"]:
        print(msgspec.json.encode(replay(sys.argv[2], int(sys.argv[3]))).decode())
    else:
        main()
