"""Law 5 with a learned order: killed at steps of commits and snapshots, within fits too, the service plays the same."""

import random
from pathlib import Path

import msgspec
import pytest
from crash import Bomb, Crash, broker_with, parts, run_to_the_end, snapshots_in, written

from stream_rec.core.engine import Engine, Pace
from stream_rec.core.events import Answer
from stream_rec.core.limits import Limits
from stream_rec.core.model import model
from stream_rec.service.metrics.counters import Counters
from stream_rec.service.metrics.service_metrics import ServiceMetrics
from stream_rec.service.processing.processor import Processor
from stream_rec.service.running.components import ServiceComponents
from stream_rec.transport.memory.broker import MemoryBroker

PACE = Pace(questions=20, descent_ms=10_000, fewest_events=80, share=2, fewest_examples=30, most_examples=80)
LIMITS = Limits(retention_ms=3_000_000, allowed_lateness_ms=1_000)
CRASHES = 8


def learning(counters: Counters | None = None, metrics: ServiceMetrics | None = None) -> Processor:
    engine = Engine(model(n=5, rerank="hidden"), limits=LIMITS, pace=PACE)
    return Processor(engine, counters=counters, metrics=metrics)


def components(broker: MemoryBroker, folder: Path, bomb: Bomb) -> ServiceComponents:
    return parts(broker, snapshots_in(folder, bomb), make_processor=learning, max_records=11)


def log_of_sessions(n: int) -> list[tuple[bytes | None, bytes, int]]:
    """Sessions of five clicks that go back to their first item; one is forgotten."""
    chance = random.Random(3)
    log: list[tuple[bytes | None, bytes, int]] = []
    for number in range(n):
        drawn = [f"i{chance.randrange(12)}" for _ in range(4)]
        for at, item in enumerate([*drawn, drawn[0]]):
            now = 60_000 * number + 7_000 * at
            event = {"session_id": f"s{number}", "item_id": item, "timestamp": now}
            log.append((msgspec.json.encode(event), f"s{number}".encode(), now))
    forget = b'{"type":"forget","session_id":"s30"}'
    log.insert(len(log) * 2 // 3, (forget, b"s30", 60_000 * n * 2 // 3))
    return log


def test_a_crash_leaves_no_trace_in_what_is_learned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Answers and the weights that they name are those of a run without a crash, byte for byte."""
    monkeypatch.setattr("os.fsync", lambda _: None)
    log, whole = log_of_sessions(70), Bomb()
    undisturbed = broker_with(log, 1, whole)
    run_to_the_end(components(undisturbed, tmp_path / "whole", whole))
    expected = written(undisturbed)
    names = [msgspec.json.decode(value, type=Answer).weights for value, _ in expected[0]]
    learned = [name for name in names if name is not None]
    assert len(set(learned)) > 2, "learned several times"
    assert names[-1] is not None, "also after the order to forget"
    for at in range(whole.n // CRASHES, whole.n, whole.n // CRASHES):
        bomb = Bomb()
        broker = broker_with(log, 1, bomb)
        bomb.at = at
        with pytest.raises(Crash):
            run_to_the_end(components(broker, tmp_path / f"at{at}", bomb))
        broker.expire("stream-rec")
        run_to_the_end(components(broker, tmp_path / f"at{at}", bomb))
        assert expected == written(broker), f"crashed at step {at} of {whole.n}"
