"""Law 5 on a real broker: kills of replicas and broker at random moments do not show in the output."""

import datetime as dt
import os
import platform
from importlib import metadata
from pathlib import Path

import pytest
from chaos import Outcome, Plan, ravage
from kafka_broker.cluster import Cluster
from kafka_broker.plugin import MakeBroker


@pytest.mark.slow
def test_a_few_kills_leave_no_trace(own_broker: MakeBroker, tmp_path: Path) -> None:
    """Five kills of two replicas and one of the broker: each record has one right answer, or one dead letter."""
    plan = Plan(
        seed=1,
        clients=["kafka-python"] * 2,
        disturbances={"kill a replica": 5, "restart the broker": 1},
        rate=120,
        longest_wait_s=3,
    )
    outcome = ravage(own_broker(), tmp_path, plan)
    assert outcome.records == outcome.answers + outcome.dead_letters > 500


@pytest.mark.chaos
def test_many_kills_leave_no_trace(
    own_broker: MakeBroker, tmp_path: Path, tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fifty kills and five of the broker, a replica with each client; `make chaos` names the file for the figures."""
    disturbances = {"kill a replica": 50, "restart the broker": 5}
    plan = Plan(2, ["kafka-python", "confluent"], disturbances, rate=200, longest_wait_s=8)
    broker = own_broker()
    monkeypatch.syspath_prepend(tree / "benchmarks")
    outcome = ravage(broker, tmp_path, plan)
    assert outcome.records == outcome.answers + outcome.dead_letters > 5000
    keep(plan, broker.kind, outcome)


@pytest.mark.chaos
def test_a_cluster_that_is_disturbed_leaves_no_trace(
    cluster: Cluster, tmp_path: Path, tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A hundred: nodes killed, frozen and cut off, replicas killed and frozen; 200,000 records, each settled once."""
    disturbances = {
        "kill a replica": 25,
        "freeze a replica": 15,
        "kill a node": 25,
        "freeze a node": 15,
        "cut a node off": 20,
    }
    share = float(os.environ.get("STREAM_REC_CHAOS_SHARE", "1"))
    part = {kind: max(1, round(n * share)) for kind, n in disturbances.items()}
    plan = Plan(3, ["kafka-python", "confluent"], part, rate=400, longest_wait_s=5, n_records=round(200_000 * share))
    monkeypatch.syspath_prepend(tree / "benchmarks")
    outcome = ravage(cluster, tmp_path, plan)
    assert outcome.records == outcome.answers + outcome.dead_letters >= plan.n_records
    if share >= 1:
        keep(plan, cluster.kind, outcome, "_cluster")


def keep(plan: Plan, broker: str, outcome: Outcome, suffix: str = "") -> None:
    """Write the figures to the file that the environment names, if it names one."""
    kept = os.environ.get("STREAM_REC_CHAOS_RESULT")
    if kept:
        path = Path(kept)
        text = "\n".join([*header(plan, broker), *outcome.lines()]) + "\n"
        path.with_name(f"{path.stem}{suffix}{path.suffix}").write_text(text, encoding="utf-8")


def header(plan: Plan, broker: str) -> list[str]:
    """Return the lines that say what was run, and where."""
    import common  # noqa: PLC0415  # of benchmarks, which other tests do not need

    libraries = ("stream-rec", "kafka-python", "confluent-kafka", "numpy", "numba")
    return [
        f"chaos: {', '.join(f'{n} x {kind}' for kind, n in plan.disturbances.items())}: right output?",
        f"{common.machine()}; Python {platform.python_version()}; {broker}",
        ", ".join(f"{name} {metadata.version(name)}" for name in libraries),
        f"{' and '.join(plan.clients)}, {plan.rate:.0f} records a second",
        f"commit {common.commit()}, {dt.datetime.now(dt.UTC):%Y-%m-%dT%H:%M+00:00}",
        "",
        "Each record has one committed answer or dead letter, none has two; each answer stands at its own event's",
        "offset; the replayed ones are what an engine says that has seen what they say they have seen.",
        "",
    ]
