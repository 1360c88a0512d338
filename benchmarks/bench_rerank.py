"""What a learned order is worth: the preset `default` in its own order and in learned ones, on real logs and simulated.

Weights are learned from what was asked before, by putting past questions to the live index again, and are fitted again
as `stream-rec evaluate --rerank auto` does. Nothing is evicted. Intervals are over sessions; all orders answer the same
questions. Reads real logs from the folder that STREAM_REC_DATA names. `--only NAME` measures one log, which takes
one to ten minutes; the result has the logs that were asked for. `--only cost` takes what a question costs in the index
alone, in each order in turn.
"""

import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from time import thread_time
from typing import Final, NamedTuple

import numpy as np
from common import Report as BenchReport
from common import in_turn, report
from xxhash import xxh3_64_intdigest

from stream_rec.core.engine import Engine
from stream_rec.core.events import Event
from stream_rec.core.index import Queries, field
from stream_rec.core.limits import Limits
from stream_rec.core.model import model, stack_models
from stream_rec.core.rerank import FORMS, CandidateModel, FormName, Reranker, Weights, space_for
from stream_rec.core.rerank.descent import start
from stream_rec.core.rerank.kernel import fields
from stream_rec.datasets.logs import movielens_100k, online_retail, serenade_toy
from stream_rec.evaluate.asking import ask_all
from stream_rec.evaluate.candidates import baselines, candidate, learned
from stream_rec.evaluate.plan import Plan, hold_out_files, prequential
from stream_rec.evaluate.report import Report, report_of
from stream_rec.simulator.clickstream import Shape
from stream_rec.simulator.clickstream import events as simulated

QUESTION: Final = "what is a learned order worth?"
N: Final = 20
FIRST_SHARE: Final = 0.3
INVOICES: Final = 8  # one in so many is asked
SMALL: Final = 6_000
COST: Final = "cost"
ASKED: Final = 2_000
ROUNDS: Final = 31
LN_RETURNS: Final = -3.0  # of the share of returns; what a question costs does not depend on it


class Case(NamedTuple):
    """A log, which of its events are asked for, and what is to be reached."""

    title: str
    plan: Callable[[Path, bool], Plan]
    targets: dict[str, str]
    beside_baselines: bool = False


def _toy(folder: Path, part: str) -> list[Event]:
    events = serenade_toy(folder / "serenade-toy", part).events
    return events if part == "train" else [replace_session(event, f"{part} {event.session_id}") for event in events]


def replace_session(event: Event, session_id: str) -> Event:
    """Return *event* under another session: the parts of serenade-toy number theirs each from 1."""
    return Event(session_id, event.item_id, event.timestamp)


def _cut(events: Sequence[Event], small: bool) -> list[Event]:
    return list(events[-SMALL:]) if small else list(events)


def _valid_live(folder: Path, small: bool) -> Plan:
    train = _cut(_toy(folder, "train"), small)
    plan = prequential([*train, *_toy(folder, "valid")])
    return replace(plan, rows=plan.rows[plan.rows >= len(train)])


def _test_frozen(folder: Path, small: bool) -> Plan:
    return hold_out_files(_cut(_toy(folder, "train"), small), _toy(folder, "test"))


def _after_first_share(events: Sequence[Event]) -> Plan:
    plan = prequential(events)
    return replace(plan, rows=plan.rows[plan.rows >= int(len(events) * FIRST_SHARE)])


def _toy_live(folder: Path, small: bool) -> Plan:
    parts = [event for part in ("train", "valid", "test") for event in _toy(folder, part)]
    return _after_first_share(_cut(sorted(parts, key=lambda event: event.timestamp), small))


def _retail_live(folder: Path, small: bool) -> Plan:
    plan = _after_first_share(_cut(online_retail(folder / "online-retail").events, small))
    names = plan.log.session_names
    drawn = np.array([xxh3_64_intdigest(name.encode()) % INVOICES == 0 for name in names])
    return replace(plan, rows=plan.rows[drawn[plan.log.session[plan.rows]]])


CASES: Final = {
    "toy-valid": Case("serenade-toy, valid asked live", _valid_live, {"MRR": ">= .400"}),
    "toy-frozen": Case("serenade-toy, test asked of frozen weights", _test_frozen, {"MRR": ">= .400"}),
    "toy-live": Case("serenade-toy, live after its first 30 %", _toy_live, {"HR": ">= .645", "MRR": ">= .385"}),
    "retail": Case("online-retail, live, 1 invoice in 8", _retail_live, {"HR": ">= .510", "MRR": ">= .252"}),
    "ml-100k": Case(
        "ml-100k, live",
        lambda folder, small: prequential(_cut(movielens_100k(folder / "ml-100k").events, small)),
        {"MRR": ">= .0735"},
    ),
    "simulator": Case(
        "simulator, live",
        lambda _, small: prequential(_cut(list(simulated(Shape(seed=4, sessions=20_000))), small)),
        {"MRR": "above its best baseline"},
        beside_baselines=True,
    ),
}


def evaluated(plan: Plan, *, beside_baselines: bool) -> Report:
    """Evaluate `default` in each order, and the baselines if they matter."""
    own = model("default", seen="drop-current", n=N)
    listed = [candidate(own), *learned(own), *(baselines(own) if beside_baselines else [])]
    limits = Limits(retention_ms=None)
    return report_of(ask_all(plan, listed, lambda: Engine(limits=limits), cutoffs=(N,), times=False))


def write(bench: BenchReport, case: Case, found: Report) -> None:
    """Write the figures of one log."""
    name = case.title
    bench.part(f"{name}: {found.questions:,} questions, {found.sessions:,} sessions")
    for each in found.models:
        for metric in ("HR", "MRR"):
            figure = each.metrics[f"{metric}@{N}"]
            target = case.targets.get(metric) if each.name.endswith("+rerank") else None
            what = f"{name}: {each.name} {metric}@{N}"
            bench.interval(what, figure.value, figure.low, figure.high, target)
            bound = "" if target is None else f"   target {target}"
            bench.note(
                f"{each.name:<16} {metric}@{N} {figure.value:.4f} ({figure.low:.4f} to {figure.high:.4f}){bound}"
            )
    bench.note(f"less than `default` in its own order, MRR@{N}, with the 95 % interval of the difference")
    for each in found.models[1:4]:
        behind = each.behind[f"MRR@{N}"]
        bench.note(f"{each.name:<16} {behind.value:+.4f}  ({behind.low:+.4f} to {behind.high:+.4f})")


def _processor_seconds(call: Callable[[], object]) -> float:
    """Time one call without what other processes take."""
    started = thread_time()
    call()
    return thread_time() - started


def write_costs(bench: BenchReport, folder: Path) -> None:
    """Ask the newest sessions of serenade-toy in each order in turn, and write what a question costs."""
    log = _cut(sorted(_toy(folder, "train"), key=lambda event: event.timestamp), bench.small)
    engine = Engine(limits=Limits(retention_ms=None))
    engine.apply(log)
    newest = dict.fromkeys(event.session_id for event in reversed(log))
    found = [engine.sessions.ids.find(name) for name in list(newest)[:ASKED]]
    own = np.array([slot for slot in found if slot is not None], np.int64)
    places = np.full(len(own), field.OWN_EVENTS, np.int64)
    queries = Queries(np.empty(0, np.int32), places, places, own)
    point = engine.parameters(model("default", n=N))
    stacked, of_model, answers = stack_models([point]), CandidateModel.of(point), space_for(len(own), N)
    all_weights, reranker = start(np.full(fields.MOST_BACK, LN_RETURNS)), Reranker(engine.index)

    def ask(form: FormName) -> float:
        w = list(FORMS).index(form)
        weights = Weights._make([*(each[w : w + 1] for each in all_weights[:-1]), all_weights.returns])
        return _processor_seconds(lambda: reranker.ask(of_model, weights, queries, answers)) / len(own) * 1e6

    orders: dict[str, Callable[[], float]] = {
        "default": lambda: _processor_seconds(lambda: engine.ask_each(queries, stacked, answers)) / len(own) * 1e6,
        "linear": lambda: ask("linear"),
        "hidden": lambda: ask("hidden"),
    }
    in_turn(1, orders)  # compiles
    taken = in_turn(3 if bench.small else ROUNDS, orders)
    bench.part(
        f"what {len(own):,} questions cost each in the index alone, without names; in turn, time of the processor"
    )
    for name, rounds in taken.items():
        bench.figure(f"{name}, a question", rounds, "µs")


def main() -> None:
    """Run the benchmark."""
    with report("rerank", QUESTION, [*CASES, COST]) as bench:
        if "STREAM_REC_DATA" not in os.environ:
            bench.note("STREAM_REC_DATA is not set: real logs are not part of the project, and nothing was kept.")
            sys.exit(0)
        bench.note("95 % intervals over sessions.")
        folder = Path(os.environ["STREAM_REC_DATA"])
        for name in bench.only:
            if name == COST:
                write_costs(bench, folder)
                continue
            case = CASES[name]
            plan = case.plan(folder, bench.small)
            write(bench, case, evaluated(plan, beside_baselines=case.beside_baselines))
            bench.save()  # an hour is long: what is measured is kept


if __name__ == "__main__":
    main()
