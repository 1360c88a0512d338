"""The cost of the laboratory: a whole log evaluated, sixteen sets of parameters in one pass; and WSKNN beside it.

Reads real logs from the folder that STREAM_REC_DATA names.
"""

import os
import pty
import resource
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from time import perf_counter, process_time

import numpy as np
from common import COMMAND, Floats, latencies, percentiles, report, scratch_folder, seconds
from common import Report as BenchReport

from stream_rec.core.engine import Engine
from stream_rec.core.events import Event
from stream_rec.core.limits import Limits
from stream_rec.core.model import PRESETS, Model, changed
from stream_rec.datasets.logs import movielens_100k, online_retail
from stream_rec.evaluate.asking import AfterStretch, ask_all
from stream_rec.evaluate.candidates import candidate
from stream_rec.evaluate.kernel.scoring import AnswerScores
from stream_rec.evaluate.plan import Plan, in_parts, prequential
from stream_rec.evaluate.search import RUNGS

QUESTION = "what does the laboratory cost?"
KEEP_ALL = Limits(retention_ms=None)
SETS = 16
SHARED = 40_000  # events that one and sixteen sets are asked over
ROUNDS = 3
HELD_OUT = 10  # one user in so many is asked, and not learned


def logs() -> Path:
    """The folder of real logs."""
    return Path(os.environ["STREAM_REC_DATA"])


def whole_log(bench: BenchReport, folder: Path) -> None:
    """`evaluate` as a process on a terminal, from the published CSV, bar and plot included."""
    names = ("session_id=InvoiceNo", "item_id=StockCode", "timestamp=InvoiceDate")
    fields = [word for name in names for word in ("--field", name)]
    argv = ["evaluate", "--events", str(logs() / "online-retail" / "online_retail.csv.gz"), *fields]
    argv += ["--timestamp-unit", "iso", "--retention", "none", "--no-baselines", "--plot", str(folder / "plot.png")]
    if bench.small:
        argv += ["--most-questions", "1000"]
    _on_terminal(["evaluate", "--help"])  # the files of the program are warm
    taken, worked = [], []
    for _ in range(1 if bench.small else ROUNDS):
        before = _work_of_children()
        taken.append(seconds(lambda: _on_terminal(argv)))
        worked.append(_work_of_children() - before)
    bench.part("online-retail, all lines, one model (`default`), intervals, progress bar and plot included")
    bench.figure("stream-rec evaluate, process and all", taken, "s", "<= 60")
    # Other processes may run on the same machine; the processor time of this one depends less on them.
    bench.figure("stream-rec evaluate, processor time of all its threads", worked, "s")


def _work_of_children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _on_terminal(argv: Sequence[str]) -> None:
    """Run a command whose standard error is a terminal, so that it draws its bar."""
    ours, theirs = pty.openpty()
    reader = threading.Thread(target=_drain, args=(ours,), daemon=True)
    reader.start()
    subprocess.run([*COMMAND, *argv], check=True, stdout=subprocess.DEVNULL, stderr=theirs)
    os.close(theirs)
    reader.join(timeout=5)
    os.close(ours)


def _drain(terminal: int) -> None:
    try:
        while os.read(terminal, 1 << 16):
            pass
    except OSError:  # the other end is closed
        return


def _sets() -> list[Model]:
    """Sixteen points such as tuning proposes: no two alike in sample, neighbours, length or mixture."""
    rng = np.random.default_rng(1)
    base = PRESETS["default"]
    return [
        changed(
            base,
            name=f"set {number}",
            m=int(rng.integers(200, 1000)),
            k=int(rng.integers(50, 200)),
            last=int(rng.integers(3, 20)),
            rules=float(rng.random()),
            rules_m=int(rng.integers(100, 600)),
            weight_decay=float(rng.uniform(1, 5)),
            idf=str(rng.choice(["none", "added"])),
        )
        for number in range(SETS)
    ]


def _halving(plan: Plan) -> AfterStretch:
    """Drop the worse half after an eighth, a quarter and a half of the questions, as tuning does."""
    alive = list(range(SETS))

    def after_stretch(scores: AnswerScores, done: int) -> list[int]:
        n_asked = int(np.searchsorted(plan.rows, done))
        ranks = scores.rank[:, :n_asked].astype(float)
        gains = np.divide(1.0, ranks, out=np.zeros_like(ranks), where=ranks > 0).mean(axis=1)
        alive.sort(key=lambda place: -gains[place])
        del alive[max(1, len(alive) // 2) :]
        return alive

    return after_stretch


def _asked(plan: Plan, sets: Sequence[Model], after_stretch: AfterStretch | None = None) -> tuple[float, float]:
    """Ask *sets* over one pass; return wall and processor time."""
    started, worked = perf_counter(), process_time()
    ask_all(plan, [candidate(each) for each in sets], _engine, cutoffs=(20,), times=False, after_stretch=after_stretch)
    return perf_counter() - started, process_time() - worked


def many_sets(bench: BenchReport) -> None:
    """One set and sixteen, over the same pass, with and without dropping on the way. In turn."""
    events = online_retail(logs() / "online-retail").events[: 3000 if bench.small else SHARED]
    sets = _sets()
    plan = in_parts(prequential(events), RUNGS)
    _asked(plan, sets[:1])  # loads the kernels
    taken: dict[str, list[tuple[float, float]]] = {}
    for number in range(1 if bench.small else ROUNDS):
        # The one set is another each round, so that sixteen are not compared with a cheap one.
        taken.setdefault("one set", []).append(_asked(plan, [sets[5 * number]]))
        taken.setdefault(f"{SETS} sets, as tuning asks them", []).append(_asked(plan, sets, _halving(plan)))
        taken.setdefault(f"{SETS} sets, none dropped", []).append(_asked(plan, sets))
    bench.part(f"online-retail, {len(events):,} events, {SETS} sets in one pass")
    for what, rounds in taken.items():
        bench.figure(what, [wall for wall, _ in rounds], "s")
    for what in list(taken)[1:]:
        walls, works = (
            [many[kind] / one[kind] for one, many in zip(taken["one set"], taken[what], strict=True)] for kind in (0, 1)
        )
        bench.figure(f"{what}: wall time, as a multiple of one", walls, "x", "< 8")
        bench.figure(f"{what}: processor time, as a multiple of one", works, "x")


def _engine() -> Engine:
    return Engine(limits=KEEP_ALL)


def against_wsknn(bench: BenchReport) -> None:
    """Users held out, asked after half of their events: by WSKNN, and by our preset of its formulas."""
    import rivals  # noqa: PLC0415  # an extra

    events = movielens_100k(logs() / "ml-100k").events
    users = sorted({event.session_id for event in events})
    held = set(users[::HELD_OUT])
    train = [event for event in events if event.session_id not in held]
    questions = _halves([event for event in events if event.session_id in held])
    questions = questions[: 5 if bench.small else None]
    engine = Engine("wsknn", limits=KEEP_ALL)
    engine.apply(train)
    rival = rivals.wsknn()
    rival.fit(_grouped(train))
    theirs: list[Floats] = []
    ours: list[Floats] = []
    for _ in range(1 if bench.small else ROUNDS):
        theirs.append(latencies(rival.recommend, [[items, times] for items, times in questions]))
        ours.append(latencies(lambda each: engine.recommend(items=each[0]), questions))
    bench.part(f"MovieLens 100k: {len(users) - len(held)} users learned, {len(questions)} others asked at their half")
    bench.figure("wsknn 1.2.3, p50", percentiles(theirs, 50), "us")
    bench.figure("ours, preset wsknn, p50", percentiles(ours, 50), "us")
    ratios = [float(np.median(a) / np.median(b)) for a, b in zip(theirs, ours, strict=True)]
    bench.figure("wsknn 1.2.3 takes, as a multiple of ours (p50), MovieLens 100k", ratios, "x", ">= 100")


def _halves(events: Sequence[Event]) -> list[tuple[list[str], list[int]]]:
    """The first half of each session: items and times."""
    return [(items[: len(items) // 2], times[: len(times) // 2]) for items, times in _grouped(events).values()]


def _grouped(events: Sequence[Event]) -> dict[str, list[list]]:  # type: ignore[type-arg]  # as the rival takes it
    sessions: dict[str, list[list]] = {}  # type: ignore[type-arg]
    for event in events:
        items, times = sessions.setdefault(event.session_id, [[], []])
        items.append(event.item_id)
        times.append(event.timestamp)
    return sessions


def main() -> None:
    """Run the benchmark."""
    with report("lab", QUESTION) as bench, scratch_folder() as folder:
        if "STREAM_REC_DATA" not in os.environ:
            bench.note("STREAM_REC_DATA is not set: real logs are not part of the project, and nothing was kept.")
            sys.exit(0)
        many_sets(bench)
        against_wsknn(bench)
        whole_log(bench, folder)


if __name__ == "__main__":
    main()
