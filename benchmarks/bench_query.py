"""How long an answer takes, how that grows with the log, and how long the rivals take."""

from functools import partial
from itertools import cycle
from typing import Any

import feed
import numpy as np
import rivals
from common import EVENTS_A_SESSION, Floats, Report, in_turn, latencies, percentiles, report

from stream_rec.core.engine import Engine
from stream_rec.core.model import PRESETS, changed, model

QUESTION = "how long does an answer take (vmis-knn, m 500, k 100, n 20, last 10)?"
TARGETS = {50: "<= 30", 90: "<= 50", 99: "<= 100"}


def kernel_and_growth(bench: Report, sizes: list[int], named: int, n_rounds: int, n: int) -> None:
    """The kernel at each size of one growing log."""
    log = feed.BareIndex(feed.log(sizes[-1]))
    asker = feed.Asker(log.index, model())
    empty = feed.Asker(log.index, model(fallbacks=False))
    rng = np.random.default_rng(2)
    p90 = {}
    asker(0)
    bench.part("In the kernel, called from Python for one live session at a time")
    for size in sizes:
        log.feed(size)
        asker.times(log.sessions(rng, n))
        rounds = [asker.times(log.sessions(rng, n)) for _ in range(n_rounds)]
        p90[size] = bench.figure(f"p90, call included, {size:,} events", percentiles(rounds, 90), "us")
        if size == named:
            nothing = np.median([np.median(empty.times([log.n_ordinals] * n)) for _ in range(n_rounds)])
            bench.figure("an empty call (clock, arguments; no answer)", float(nothing), "us")
            for percent, target in TARGETS.items():
                inside = [float(np.percentile(taken, percent) - nothing) for taken in rounds]
                bench.figure(f"p{percent} inside the kernel, {size:,} events", inside, "us", target)
    growth = p90[sizes[-1]] / p90[sizes[0]]
    bench.figure(f"p90 at {sizes[-1]:,} events, as a multiple of that at {sizes[0]:,}", growth, "x", "<= 2")


def through_the_engine(bench: Report, n_events: int, n_rounds: int, n: int) -> None:
    """Names in, names out; and each preset."""
    engine = Engine("vmis-knn", limits=feed.KEEP_ALL)
    clicks = feed.log(n_events)
    feed.fill(engine, clicks)
    rng = np.random.default_rng(3)
    kernel = {name: feed.Asker(engine.index, changed(each, fallbacks=True)) for name, each in PRESETS.items()}

    def sample() -> list[str]:
        chosen = clicks.session[rng.integers(0, len(clicks), n)]
        return [f"session-{session:09d}" for session in chosen.tolist()]

    def ordinals() -> list[int]:
        found = (engine.sessions.ids.find(name) for name in sample())
        return [ordinal for ordinal in found if ordinal is not None]

    asked: dict[str, Any] = {f"kernel {name}": partial(_times, each, ordinals) for name, each in kernel.items()}
    asked["Engine.recommend"] = lambda: latencies(engine.recommend, sample())
    in_turn(1, asked)
    taken = in_turn(n_rounds, asked)
    bench.part(f"Through Engine.recommend, {n_events:,} events; the same index asked in turn")
    for percent in TARGETS:
        bench.figure(f"p{percent} of Engine.recommend", percentiles(taken["Engine.recommend"], percent), "us")
    pairs = zip(taken["Engine.recommend"], taken["kernel vmis-knn"], strict=True)
    added = [float(np.median(whole) - np.median(part)) for whole, part in pairs]
    bench.figure("what the engine adds to the call of the kernel (p50)", added, "us", "<= 15")
    bench.part(f"Each preset: the kernel's call, {n_events:,} events")
    for name in PRESETS:
        for percent in (50, 90):
            bench.figure(f"{name} p{percent}", percentiles(taken[f"kernel {name}"], percent), "us")


def _times(asker: feed.Asker, ordinals: Any) -> Floats:  # noqa: ANN401  # a closure
    return asker.times(ordinals())


def against_wsknn(bench: Report, n_sessions: int, n_rounds: int, n: int) -> None:
    """The same questions, sessions by their events, to WSKNN and to the engine."""
    clicks = feed.log(n_sessions * EVENTS_A_SESSION)
    engine = Engine("wsknn", limits=feed.KEEP_ALL)
    feed.fill(engine, clicks)
    default = Engine("vmis-knn", limits=feed.KEEP_ALL)
    feed.fill(default, clicks)
    sessions = rivals.sessions_of(clicks)
    rival = rivals.wsknn()
    rival.fit(sessions, rivals.holders_of(sessions))
    rng = np.random.default_rng(4)
    asked = [clicks.session[rng.integers(0, len(clicks), n)].tolist() for _ in range(n_rounds)]
    questions = {name: cycle(asked) for name in ("wsknn 1.2.3", "ours, preset wsknn", "ours, vmis-knn")}

    def names(key: str) -> list[str]:
        return [f"session-{session:09d}" for session in next(questions[key])]

    taken = in_turn(
        n_rounds,
        {
            "wsknn 1.2.3": lambda: latencies(
                rival.recommend, [sessions[each] for each in next(questions["wsknn 1.2.3"])]
            ),
            "ours, preset wsknn": lambda: latencies(engine.recommend, names("ours, preset wsknn")),
            "ours, vmis-knn": lambda: latencies(default.recommend, names("ours, vmis-knn")),
        },
    )
    bench.part(f"Against WSKNN: {n_sessions:,} sessions, {len(clicks):,} events; names in, names out")
    _compare(bench, taken, "wsknn 1.2.3", "ours, preset wsknn", f"{n_sessions:,} sessions")


def against_the_reference(bench: Report, n_sessions: int, n_rounds: int, n: int) -> None:
    """The plain twin gives the same answers, from scratch each time."""
    clicks = feed.log(n_sessions * EVENTS_A_SESSION)
    engine = Engine("vmis-knn", limits=feed.KEEP_ALL)
    feed.fill(engine, clicks)
    store = rivals.reference(clicks)
    query = rivals.plain_query(engine.model)
    rng = np.random.default_rng(5)
    asked = clicks.session[rng.integers(0, len(clicks), n)].tolist()

    def answer_plainly(name: str) -> object:
        return store.answer_session(name, query)

    taken = in_turn(
        n_rounds,
        {
            "plain reference": lambda: latencies(answer_plainly, [f"s{s}" for s in asked]),
            "ours, vmis-knn": lambda: latencies(engine.recommend, [f"session-{s:09d}" for s in asked]),
        },
    )
    bench.part(f"Against the plain reference: {n_sessions:,} sessions, {len(clicks):,} events")
    _compare(bench, taken, "plain reference", "ours, vmis-knn", f"{n_sessions:,} sessions")


def _compare(bench: Report, taken: dict[str, list[Floats]], rival: str, ours: str, size: str) -> None:
    for name, rounds in taken.items():
        for percent in (50, 90):
            bench.figure(f"{name} p{percent}, {size}", percentiles(rounds, percent), "us")
    ratio = np.median(percentiles(taken[rival], 50)) / np.median(percentiles(taken[ours], 50))
    bench.figure(f"{rival} takes, as a multiple of {ours} (p50), {size}", float(ratio), "x")


def main() -> None:
    """Run the benchmark."""
    with report("query", QUESTION) as bench:
        if bench.small:
            kernel_and_growth(bench, [10_000, 50_000, 100_000], 50_000, 3, 300)
            through_the_engine(bench, 50_000, 3, 300)
            against_wsknn(bench, 2_000, 2, 20)
            against_the_reference(bench, 200, 2, 5)
        else:
            kernel_and_growth(bench, [100_000, 1_000_000, 5_000_000, 20_000_000], 5_000_000, 7, 5_000)
            through_the_engine(bench, 5_000_000, 7, 3_000)
            against_wsknn(bench, 20_000, 3, 100)
            against_wsknn(bench, 100_000, 3, 50)
            against_the_reference(bench, 2_000, 3, 10)


if __name__ == "__main__":
    main()
