"""How good each preset is, beside baselines, on three real logs and the simulator, prequential and held out.

Whole logs are learned, in the order of events; asked are at most MOST questions of each, those of sessions drawn by a
seed. Intervals over sessions; and how far each model is behind the preset `default` on the same questions. Reads real
logs from the folder that STREAM_REC_DATA names.
"""

import os
import sys
from collections.abc import Callable
from pathlib import Path

from common import Report as BenchReport
from common import report

from stream_rec.core.engine import Engine
from stream_rec.core.events import Event
from stream_rec.core.limits import Limits
from stream_rec.core.model import PRESETS
from stream_rec.datasets.logs import movielens_100k, online_retail, serenade_toy
from stream_rec.evaluate.asking import ask_all
from stream_rec.evaluate.candidates import baselines, candidate
from stream_rec.evaluate.plan import Plan, hold_out_since, prequential, thinned
from stream_rec.evaluate.report import ModelReport, Report, report_of
from stream_rec.simulator.clickstream import Shape
from stream_rec.simulator.clickstream import events as simulated

QUESTION = "how good is each preset, beside baselines?"
CUTOFFS = (5, 10, 20)
MOST = 30_000  # questions a log: twelve candidates answer each, some of them from whole lists
HELD_OUT = 0.8  # of the log's events: sessions that begin later are asked
LOGS: dict[str, Callable[[Path], list[Event]]] = {
    "serenade-toy": lambda folder: serenade_toy(folder / "serenade-toy").events,
    "simulator": lambda _: list(simulated(Shape(seed=4, sessions=20_000))),
    "ml-100k": lambda folder: movielens_100k(folder / "ml-100k").events,
    "online-retail": lambda folder: online_retail(folder / "online-retail").events,
}


def evaluated(plan: Plan) -> Report:
    """Evaluate all presets unchanged, and all baselines, without eviction."""
    listed = [*map(candidate, PRESETS.values()), *baselines(PRESETS["default"])]
    limits = Limits(retention_ms=None)
    asked = thinned(plan, MOST, seed=0)
    return report_of(ask_all(asked, listed, lambda: Engine(limits=limits), cutoffs=CUTOFFS))


def print_tables(bench: BenchReport, name: str, found: Report) -> None:
    """Print two tables: the next item, and the next item where it is new to its session."""
    bench.part(f"{name}, {found.mode}: {found.questions:,} questions, {found.sessions:,} sessions")
    for kind in ("", "novel "):
        heads = [f"{kind}{metric}@{k}" for metric in ("HR", "MRR", "NDCG") for k in CUTOFFS]
        bench.note(f"{kind or 'next item, '}HR, MRR, NDCG at 5, 10, 20 each")
        for each in found.models:
            cells = " ".join(f"{each.metrics[head].value or 0.0:.4f}" for head in heads)
            bench.note(f"{each.name:<18} {cells}")
    bench.note("behind `default` in MRR@20, with the 95 % interval of the difference")
    for each in found.models[1:]:
        behind = each.behind["MRR@20"]
        bench.note(f"{each.name:<18} {behind.value:+.4f}  ({behind.low:+.4f} to {behind.high:+.4f})")


def write_figures(bench: BenchReport, name: str, found: Report) -> None:
    """Write every figure for programs; the main ones with their targets."""
    for each in found.models:
        for metric, estimate in each.metrics.items():
            if metric.split("@")[0].split()[-1] in {"HR", "MRR", "NDCG"}:
                bench.interval(
                    f"{name}, {found.mode}: {each.name} {metric}", estimate.value, estimate.low, estimate.high
                )
    if found.mode == "prequential":
        rivals = [each for each in found.models[1:] if not each.is_baseline]
        best = max(rivals, key=_mrr)
        behind = best.behind["MRR@20"]
        bench.note(f"the best other preset is {best.name}")
        what = f"{name}: MRR@20 of `default` less that of the best other preset"
        bench.interval(what, behind.value, behind.low, behind.high, "> 0")
        bench.interval(f"{name}: MRR@20 of `default`", _mrr(found.first), None, None, "the best of all presets")


def _mrr(found: ModelReport) -> float:
    return found.metrics["MRR@20"].value or 0.0


def main() -> None:
    """Run the benchmark."""
    with report("evaluate", QUESTION) as bench:
        if "STREAM_REC_DATA" not in os.environ:
            bench.note("STREAM_REC_DATA is not set: real logs are not part of the project, and nothing was kept.")
            sys.exit(0)
        for name, read in LOGS.items():
            events = read(Path(os.environ["STREAM_REC_DATA"]))
            if bench.small:
                del events[3000:]
            for plan in (prequential(events), hold_out_since(events, events[int(len(events) * HELD_OUT)].timestamp)):
                found = evaluated(plan)
                print_tables(bench, name, found)
                write_figures(bench, name, found)


if __name__ == "__main__":
    main()
