"""How many events a second go into the index: as numbers, as event objects, as JSON; and how fast the rivals are."""

from time import perf_counter

import feed
import rivals
from common import BATCH, EVENTS_A_SESSION, Report, in_turn, report

from stream_rec.core.engine import Engine
from stream_rec.core.events import Event, EventDecoder
from stream_rec.core.index.reference import ReferenceStore
from stream_rec.core.limits import Limits
from stream_rec.simulator.clickstream import Clicks

QUESTION = "how many events a second go in?"
LINE = b'{"session_id":"session-%09d","item_id":"item-%06d","timestamp":%d,"type":"view"}'


def lines_of(clicks: Clicks, begin: int, end: int) -> list[bytes]:
    """A stretch of the log as JSON lines."""
    part = clicks.take(slice(begin, end))
    rows = zip(part.session.tolist(), part.item.tolist(), part.timestamp.tolist(), strict=True)
    return [LINE % row for row in rows]


def numbers(clicks: Clicks) -> float:
    """Events a second from numbers, in the kernel."""
    log = feed.BareIndex(clicks)
    log.feed(BATCH)
    return (len(clicks) - BATCH) / log.feed(len(clicks))


def objects(clicks: Clicks) -> float:
    """Events a second from Event objects, through Engine.apply."""
    engine = Engine(limits=feed.KEEP_ALL)
    return len(clicks) / feed.fill(engine, clicks)


def json_bytes(clicks: Clicks) -> float:
    """Events a second from JSON bytes: decode and apply, as `run` does for each batch."""
    engine = Engine(limits=feed.KEEP_ALL)
    decode = EventDecoder().decode
    taken = 0.0
    for begin in range(0, len(clicks), BATCH):
        lines = lines_of(clicks, begin, begin + BATCH)
        started = perf_counter()
        engine.apply([decode(line) for line in lines])
        taken += perf_counter() - started
    return len(clicks) / taken


def decode_only(clicks: Clicks) -> float:
    """Events a second from JSON bytes to Event objects."""
    decode = EventDecoder().decode
    lines = lines_of(clicks, 0, min(len(clicks), 200_000))
    started = perf_counter()
    for line in lines:
        decode(line)
    return len(lines) / (perf_counter() - started)


def ours(bench: Report, n_events: int, n_rounds: int) -> None:
    """The three ways in, in turn, over the whole shape."""
    clicks = feed.log(n_events)
    feed.fill(Engine(limits=feed.KEEP_ALL), clicks.take(slice(0, BATCH)))  # loads the kernels
    taken = in_turn(
        n_rounds,
        {
            "kernel": lambda: numbers(clicks),
            "engine": lambda: objects(clicks),
            "decode": lambda: decode_only(clicks),
            "json": lambda: json_bytes(clicks),
        },
    )
    n_sessions = int(clicks.session.max()) + 1
    bench.part(f"Ours: {n_sessions:,} sessions, {len(clicks):,} events, batches of {BATCH}; nothing evicted")
    bench.figure("kernel, ids already numbers", taken["kernel"], "events/s", ">= 1,500,000")
    bench.figure("Engine.apply, from Event objects", taken["engine"], "events/s")
    bench.figure("decoding alone, JSON bytes to Event objects", taken["decode"], "events/s")
    bench.figure("JSON bytes to index", taken["json"], "events/s", ">= 400,000")


def evicting(bench: Report, n_events: int, n_rounds: int) -> None:
    """Steady state: each new session evicts one."""
    clicks = feed.log(n_events)
    limits = Limits(retention_ms=None, max_sessions=n_events // EVENTS_A_SESSION // 5)
    feed.fill(Engine(limits=limits), clicks.take(slice(0, len(clicks) // 2)))  # loads the kernels
    fed = in_turn(n_rounds, {"fed": lambda: len(clicks) / feed.fill(Engine(limits=limits), clicks)})["fed"]
    bench.part(f"Ours, evicting: as above, but only {limits.max_sessions:,} sessions kept of {n_events:,} events")
    bench.figure("Engine.apply, from Event objects, evicting", fed, "events/s")


def theirs(bench: Report, n_sessions: int, n_plain: int, n_rounds: int) -> None:
    """Fit WSKNN with the whole log; give the plain reference events one by one."""
    clicks = feed.log(n_sessions * EVENTS_A_SESSION)
    few = feed.log(n_plain * EVENTS_A_SESSION)
    taken = in_turn(
        n_rounds,
        {
            "wsknn": lambda: len(clicks) / rivals.seconds_to_fit(clicks),
            "ours": lambda: objects(clicks),
            "plain": lambda: len(few) / _seconds_plainly(few),
        },
    )
    bench.part(f"Rivals: WSKNN on {n_sessions:,} sessions (its fit is quadratic in an item's sessions), events/s")
    bench.figure(f"wsknn 1.2.3 fit, {n_sessions:,} sessions", taken["wsknn"], "events/s")
    bench.figure(f"ours, Engine.apply, {n_sessions:,} sessions", taken["ours"], "events/s")
    bench.figure(f"plain reference, {n_plain:,} sessions", taken["plain"], "events/s")


def _seconds_plainly(clicks: Clicks) -> float:
    store = ReferenceStore(feed.KEEP_ALL)
    events: list[Event] = feed.events_of(clicks, 0, len(clicks))
    started = perf_counter()
    for event in events:
        store.apply(event)
    return perf_counter() - started


def main() -> None:
    """Run the benchmark."""
    with report("ingest", QUESTION) as bench:
        if bench.small:
            ours(bench, 50_000, 2)
            evicting(bench, 50_000, 2)
            theirs(bench, 2_000, 200, 2)
        else:
            ours(bench, 5_000_000, 3)
            evicting(bench, 2_000_000, 3)
            theirs(bench, 20_000, 1_000, 2)


if __name__ == "__main__":
    main()
