"""The memory of a retained event, everything included; and whether memory stays flat under a limit.

Each size is measured in a process of its own, as growth of the resident set over a process that has the log and the
code in memory. Memory that the allocator holds back from the system counts as the engine's.
"""

import gc
import sys
from pathlib import Path

import feed
import msgspec
from common import BATCH, EVENTS_A_SESSION, Report, alone, report, rss, trimmed_rss

from stream_rec.core.engine import Engine
from stream_rec.core.limits import Limits

QUESTION = "what does a retained event cost, and does memory stay flat under a limit?"
TURNOVERS = 6


def grow(n_events: int, limits: Limits) -> dict[str, float]:
    """Feed a log; return the resident set's growth at each sixth of it (a turnover under a limit) and at its end."""
    clicks = feed.log(n_events)  # there before and after, so not counted
    # The first loading of code and the first batch of events take memory that is not the engine's.
    feed.fill(Engine(limits=limits), clicks.take(slice(0, 2 * BATCH)))
    before = trimmed_rss()
    engine = Engine(limits=limits)
    figures: dict[str, float] = {}
    peak, n_fed, mark = 0, 0, 1
    for events in feed.batches(clicks):
        engine.apply(events)
        n_fed += len(events)
        peak = max(peak, rss() - before)
        if n_fed >= mark * len(clicks) // TURNOVERS:
            figures[f"at {mark}"] = float(rss() - before)
            mark += 1
    del events
    gc.collect()
    stats = engine.stats()
    figures["peak"] = float(peak)
    figures["growth"] = float(rss() - before)
    figures["events"] = float(stats.n_events)
    figures["sessions"] = float(stats.n_sessions)
    figures["priced"] = float(stats.n_bytes)
    figures["arrays"] = float(sum(array.nbytes for array in engine.index.state))
    return figures


def retained(bench: Report, n_events: int) -> None:
    """Nothing evicted."""
    found = alone(Path(__file__), "grow", str(n_events), "none", "0")
    bench.part(f"Nothing evicted: {found['sessions']:,.0f} sessions, {found['events']:,.0f} events")
    n = found["events"]
    bench.figure(f"RSS growth a retained event, {n_events:,} events", found["growth"] / n, "bytes", "<= 100")
    bench.figure(f"by the prices of max_bytes, {n_events:,} events", found["priced"] / n, "bytes")
    bench.figure(
        f"RSS growth as a share of the prices, {n_events:,} events", found["growth"] / found["priced"], "", "<= 1"
    )
    bench.figure(f"arrays as allocated (unused room included), {n_events:,} events", found["arrays"] / n, "bytes")
    bench.figure(f"RSS growth in all, {n_events:,} events", found["growth"] / 2**20, "MiB")


def steady(bench: Report, n_events: int) -> None:
    """As many sessions as a sixth of the log; all of them are replaced five times."""
    n_sessions = n_events // EVENTS_A_SESSION // TURNOVERS
    found = alone(Path(__file__), "grow", str(n_events), "max_sessions", str(n_sessions))
    bench.part(f"At most {n_sessions:,} sessions, replaced five times over ({n_events:,} events)")
    for mark in range(1, TURNOVERS + 1):
        bench.figure(f"RSS growth after {mark} times {n_sessions:,} sessions", found[f"at {mark}"] / 2**20, "MiB")
    bench.figure("the last, as a multiple of the second", found[f"at {TURNOVERS}"] / found["at 2"], "x", "flat: <= 1.1")
    bench.figure("RSS growth a retained event, in steady state", found["growth"] / found["events"], "bytes")
    bench.figure("by the prices of max_bytes, in steady state", found["priced"] / found["events"], "bytes")


def budget(bench: Report, n_events: int, n_bytes: int) -> None:
    """A limit in bytes is counted by prices: measure the resident set that it leads to."""
    found = alone(Path(__file__), "grow", str(n_events), "max_bytes", str(n_bytes))
    mib = n_bytes / 2**20
    bench.part(f"At most {mib:.0f} MiB by the prices, {n_events:,} events; {found['events']:,.0f} events retained")
    bench.figure(f"peak RSS growth under max_bytes = {mib:.0f} MiB", found["peak"] / 2**20, "MiB", f"<= {mib:.0f}")
    bench.figure(
        f"RSS growth at the end under max_bytes = {mib:.0f} MiB", found["growth"] / 2**20, "MiB", f"<= {mib:.0f}"
    )


def main() -> None:
    """Run the benchmark."""
    with report("memory", QUESTION) as bench:
        sizes = [50_000, 100_000] if bench.small else [1_000_000, 5_000_000, 20_000_000]
        for n_events in sizes:
            retained(bench, n_events)
        steady(bench, 120_000 if bench.small else 3_000_000)
        for n_bytes in (16 << 20,) if bench.small else (64 << 20, 256 << 20):
            budget(bench, 200_000 if bench.small else 3_000_000, n_bytes)


def limits_of(name: str, value: int) -> Limits:
    """The one limit that is named, or none."""
    match name:
        case "max_sessions":
            return Limits(retention_ms=None, max_sessions=value)
        case "max_bytes":
            return Limits(retention_ms=None, max_bytes=value)
    return Limits(retention_ms=None)


if __name__ == "__main__":
    if sys.argv[1:2] == ["grow"]:
        found = grow(int(sys.argv[2]), limits_of(sys.argv[3], int(sys.argv[4])))
        print(msgspec.json.encode(found).decode())
    else:
        main()
