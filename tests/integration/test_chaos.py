"""Law 5 on a real broker: kills of replicas and broker at random moments do not show in the output."""

import datetime as dt
import os
import platform
from importlib import metadata
from pathlib import Path

import pytest
from chaos import Plan, ravage
from kafka_broker.plugin import MakeBroker


@pytest.mark.slow
def test_a_few_kills_leave_no_trace(own_broker: MakeBroker, tmp_path: Path) -> None:
    """Five kills of two replicas and one of the broker: each record has one right answer, or one dead letter."""
    plan = Plan(seed=1, clients=["kafka-python"] * 2, kills=5, restarts=1, rate=120, longest_wait_s=3)
    outcome = ravage(own_broker(), tmp_path, plan)
    assert outcome.records == outcome.answers + outcome.dead_letters > 500


@pytest.mark.chaos
def test_many_kills_leave_no_trace(
    own_broker: MakeBroker, tmp_path: Path, tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fifty kills and five of the broker, a replica with each client; `make chaos` names the file for the figures."""
    broker = own_broker()
    plan = Plan(seed=2, clients=["kafka-python", "confluent"], kills=50, restarts=5, rate=200, longest_wait_s=8)
    outcome = ravage(broker, tmp_path, plan)
    assert outcome.records == outcome.answers + outcome.dead_letters > 5000
    kept = os.environ.get("STREAM_REC_CHAOS_RESULT")
    if kept:
        monkeypatch.syspath_prepend(tree / "benchmarks")
        Path(kept).write_text("\n".join([*header(plan, broker.kind), *outcome.lines()]) + "\n", encoding="utf-8")


def header(plan: Plan, broker: str) -> list[str]:
    """Return the lines that say what was run, and where."""
    import common  # noqa: PLC0415  # of benchmarks, which other tests do not need

    libraries = ("stream-rec", "kafka-python", "confluent-kafka", "numpy", "numba")
    return [
        f"chaos: {plan.kills} kills of {len(plan.clients)} replicas, {plan.restarts} of the broker: right output?",
        f"{common.machine()}; Python {platform.python_version()}; {broker}",
        ", ".join(f"{name} {metadata.version(name)}" for name in libraries),
        f"{' and '.join(plan.clients)}, {plan.rate:.0f} records a second",
        f"commit {common.commit()}, {dt.datetime.now(dt.UTC):%Y-%m-%dT%H:%M+00:00}",
        "",
        "Each record has one committed answer or dead letter, none has two; each answer stands at its own event's",
        "offset; the replayed ones are what an engine says that has seen what they say they have seen.",
        "",
    ]
