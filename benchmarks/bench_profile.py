"""Where the time of an answer and of an event goes.

Kernels have no seams to hang a clock on, so stages are measured by asking for less: without neighbours to score,
without a sample to gather, without items to rank. Differences are of medians, and a stage left out may make another
faster, so they are estimates.
"""

from functools import partial
from time import perf_counter

import feed
import numpy as np
from common import BATCH, Floats, Report, in_turn, latencies, percentiles, report

from stream_rec.core.engine import Engine
from stream_rec.core.events import Event, EventDecoder, Request, encode_answer
from stream_rec.core.limits import HOUR_MS, Limits
from stream_rec.core.model import model

QUESTION = "where does the time go?"
LONGEST = 1000
SHORT = "a retention of an hour, 720 sessions at a time"

FULL = model(fallbacks=False)
TURNED = {
    "all of it (m 500, k 100, n 20, last 10, no fallbacks)": FULL,
    "n 1: nothing to rank": model(n=1, fallbacks=False),
    "k 1: next to nothing to score": model(k=1, fallbacks=False),
    "m 1: next to nothing to gather, to choose from or to score": model(m=1, k=1, n=1, fallbacks=False),
    "idf none: no logarithm for each scored item": model(idf="none", fallbacks=False),
    "k 500: nothing to choose, five times the scores": model(k=500, fallbacks=False),
    "last 1: one list, nothing to merge": model(last=1, fallbacks=False),
    "fallbacks on (the default)": model(),
    "m 1500, k 500": model(m=1500, k=500),
    "m 5000": model(m=5000),
    "m 50000": model(m=50_000),
    "n 100": model(n=100),
    "n 1000": model(n=1000),
    "last 100": model(last=100),
}


def of_an_answer(bench: Report, n_events: int, n_rounds: int, n: int) -> None:
    """Stages of a query, and what larger parameters do to it."""
    log = feed.BareIndex(feed.log(n_events))
    log.feed(n_events)
    rng = np.random.default_rng(6)
    askers = {name: feed.Asker(log.index, point) for name, point in TURNED.items()}
    rivals = {name: partial(_sampled, asker, log, rng, n) for name, asker in askers.items()}
    in_turn(1, rivals)
    taken = in_turn(n_rounds, rivals)
    middle = {name: float(np.median(percentiles(rounds, 50))) for name, rounds in taken.items()}
    bench.part(f"An answer, {n_events:,} events: p50 and p99 of the call")
    for name in TURNED:
        bench.figure(f"{name}: p50", percentiles(taken[name], 50), "us")
        bench.figure(f"{name}: p99", percentiles(taken[name], 99), "us")
    names = list(TURNED)
    bench.part("So, of the median answer, about")
    whole, rank, score, floor = (middle[name] for name in names[:4])
    bench.figure("ranking (without n)", whole - rank, "us")
    bench.figure("fetching and scoring neighbours, and ranking (without k)", whole - score, "us")
    bench.figure("gathering and choosing the sample (what k 1 leaves above m 1)", score - floor, "us")
    bench.figure("the call, the query, one candidate (m 1)", floor, "us")


def _sampled(asker: feed.Asker, log: feed.BareIndex, rng: np.random.Generator, n: int) -> Floats:
    return asker.times(log.sessions(rng, n))


def of_hard_shapes(bench: Report, n_events: int, n_rounds: int, n: int) -> None:
    """Logs unlike the shape of the targets: their cost for an event and for an answer."""
    rng = np.random.default_rng(8)
    bench.part(f"Hard shapes, {n_events:,} events each: the engine's events/s, and p50 and p99 of Engine.recommend")
    for name, events in _hard(n_events, rng).items():
        asked = [event.session_id for event in events]
        retention_ms = HOUR_MS if name == SHORT else None
        fed, rounds = [], []
        for _ in range(n_rounds):
            engine = Engine("vmis-knn", limits=Limits(retention_ms=retention_ms, max_session_events=LONGEST))
            fed.append(len(events) / feed.fill_events(engine, events))
            sample = [asked[place] for place in rng.integers(0, len(asked), n).tolist()]
            rounds.append(latencies(engine.recommend, sample))
        bench.figure(f"{name}: Engine.apply", fed, "events/s")
        bench.figure(f"{name}: recommend p50", percentiles(rounds, 50), "us")
        bench.figure(f"{name}: recommend p99", percentiles(rounds, 99), "us")


def _hard(n: int, rng: np.random.Generator) -> dict[str, list[Event]]:
    items = np.minimum(rng.zipf(1.2, n), 20_000)

    def log(session: list[int], gap_ms: int, item: list[int]) -> list[Event]:
        return [Event(f"s{s}", f"i{i}", place * gap_ms) for place, (s, i) in enumerate(zip(session, item, strict=True))]

    place = np.arange(n)
    few = rng.integers(0, max(1, n // 500), n).tolist()
    many = rng.integers(0, n // 5, n).tolist()
    return {
        "as usual (sessions of 5 at once all over the log)": log(many, 1000, items.tolist()),
        "all events at one time": log(many, 0, items.tolist()),
        "long sessions (500 events each, interleaved)": log(few, 1000, items.tolist()),
        "long sessions of different items": log(few, 1000, rng.integers(0, 20_000, n).tolist()),
        "one session without end": log([0] * n, 1000, items.tolist()),
        "one item for all": log(many, 1000, [1] * n),
        "ten items for all": log(many, 1000, (place % 10).tolist()),
        "each event another item": log(many, 1000, place.tolist()),
        SHORT: log((place // 5).tolist(), 1000, items.tolist()),
    }


def of_an_event(bench: Report, n_events: int, n_rounds: int) -> None:
    """Stages of an event's way from bytes to an answer's bytes."""
    clicks = feed.log(n_events)
    engine = Engine("vmis-knn", limits=feed.KEEP_ALL)
    decode = EventDecoder().decode
    template = b'{"session_id":"session-%09d","item_id":"item-%06d","timestamp":%d,"type":"view"}'
    taken: dict[str, list[float]] = {"decode": [], "rest": [], "answer": [], "encode": []}
    half = len(clicks) // 2 // BATCH * BATCH
    feed.fill(engine, clicks.take(slice(0, half)))
    for begin in range(half, min(len(clicks), half + 4 * n_rounds * BATCH), BATCH):
        part = clicks.take(slice(begin, begin + BATCH))
        rows = zip(part.session.tolist(), part.item.tolist(), part.timestamp.tolist(), strict=True)
        lines = [template % row for row in rows]
        at = [perf_counter()]
        events = [decode(line) for line in lines]
        at.append(perf_counter())
        engine.apply(events)
        at.append(perf_counter())
        asked = events[:1024]
        answers = engine.answer([Request(session_id=event.session_id) for event in asked])
        at.append(perf_counter())
        for answer in answers:
            encode_answer(answer)
        at.append(perf_counter())
        spans = np.diff(at) * 1e6
        taken["decode"].append(spans[0] / len(lines))
        taken["rest"].append(spans[1] / len(lines))
        taken["answer"].append(spans[2] / len(asked))
        taken["encode"].append(spans[3] / len(asked))
    bare = feed.BareIndex(clicks)
    bare.feed(half)
    kernel = bare.feed(len(clicks)) / (len(clicks) - half) * 1e6
    bench.part(f"An event, after {half:,} others")
    bench.figure("decode its JSON", taken["decode"], "us")
    bench.figure("Engine.apply: ids to numbers, kernel, new names filed", taken["rest"], "us")
    bench.figure("of which in the kernel", kernel, "us")
    bench.figure("Engine.answer for its session (20 items, named)", taken["answer"], "us")
    bench.figure("encode the answer as JSON", taken["encode"], "us")


def main() -> None:
    """Run the benchmark."""
    with report("profile", QUESTION) as bench:
        if bench.small:
            of_an_answer(bench, 50_000, 2, 200)
            of_an_event(bench, 100_000, 1)
            of_hard_shapes(bench, 5_000, 1, 100)
        else:
            of_an_answer(bench, 5_000_000, 3, 2_000)
            of_an_event(bench, 2_000_000, 5)
            of_hard_shapes(bench, 100_000, 2, 500)


if __name__ == "__main__":
    main()
