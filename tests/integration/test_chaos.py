"""Law 5 on a real broker: replicas and broker are killed at moments of chance, and nobody can tell from the output."""

from pathlib import Path

import pytest
from chaos import Plan, ravage
from kafka_broker.plugin import MakeBroker


def test_a_few_kills_leave_no_trace(own_broker: MakeBroker, tmp_path: Path) -> None:
    """Five kills of two replicas and one of the broker: each record is settled once, each answer is right."""
    plan = Plan(seed=1, clients=["kafka-python"] * 2, kills=5, restarts=1, rate=120, longest_wait_s=3)
    outcome = ravage(own_broker(), tmp_path, plan)
    assert outcome.records == outcome.answers + outcome.dead_letters > 500


@pytest.mark.chaos
def test_many_kills_leave_no_trace(own_broker: MakeBroker, tmp_path: Path) -> None:
    """Fifty kills and five of the broker, a replica with each client."""
    plan = Plan(seed=2, clients=["kafka-python", "confluent"], kills=50, restarts=5, rate=200, longest_wait_s=8)
    outcome = ravage(own_broker(), tmp_path, plan)
    assert outcome.records == outcome.answers + outcome.dead_letters > 5000
    print("\n".join(outcome.lines()))  # noqa: T201  # `make chaos` keeps it
