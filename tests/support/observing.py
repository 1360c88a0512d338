"""A service on a broker in memory, with its metrics and its exposition for Prometheus."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from time import sleep
from typing import Any, NamedTuple

import msgspec
from crash import Bomb, parts
from prometheus_client.parser import text_string_to_metric_families

from stream_rec.service.committing.snapshots import Snapshots
from stream_rec.service.metrics.histogram import SECONDS, Histogram
from stream_rec.service.reporting.status import StatsTaker
from stream_rec.service.running.kafka_service import KafkaService
from stream_rec.service.running.pipeline import StateListeners
from stream_rec.service.running.reporter import Reporter
from stream_rec.service.running.threads import Threads
from stream_rec.transport.memory.broker import MemoryBroker
from stream_rec.web.meter import HttpMeter
from stream_rec.web.prometheus import Exposition, MetricSources


class Watched(NamedTuple):
    """A service, and the sources of its metrics."""

    kafka_service: KafkaService
    sources: MetricSources


def click(at: int, **others: object) -> bytes:
    return msgspec.json.encode({"session_id": f"s{at % 3}", "item_id": f"i{at % 5}", "timestamp": 1_000 + at, **others})


def watched(
    folder: Path, values: list[bytes], partitions: int = 1, step: Callable[[str], None] = lambda _: None, **others: Any
) -> Watched:
    """A service that is not started yet, with *values* in its topic; *step* is called at each step of a snapshot."""
    broker = MemoryBroker({"clicks": partitions, "recs": 1, "dead": 1}, before=Bomb())
    for value in values:
        broker.produce("clicks", value, b"k")
    snapshots = Snapshots(folder, {"of": "a test"}, every_s=0.0, keep=2, now_ms=lambda: 1_700_000_000_000, step=step)
    taker = StatsTaker()
    listener = StateListeners([taker, snapshots])
    components = parts(broker, snapshots, make_pipeline=Threads, listener=listener, **others)
    service = KafkaService(lambda _: components)
    reporter = Reporter(None, taker, snapshots)
    return Watched(
        service,
        MetricSources(
            lambda: reporter.status(service),
            service.metrics,
            HttpMeter(),
            snapshots,
            snapshot_interval_s=300.0,
            max_bytes=1 << 29,
            retention_ms=400,
        ),
    )


@contextmanager
def running(service: Watched, done: Callable[[], bool]) -> Iterator[None]:
    """Run the service; the block begins once *done* holds."""
    over = threading.Event()
    thread = threading.Thread(target=service.kafka_service.run, args=(over.is_set,))
    thread.start()
    try:
        for _ in range(12_000):
            if done():
                break
            sleep(0.01)
        else:
            raise AssertionError("it took too long")
        yield
    finally:
        over.set()
        thread.join()


def figures(sources: MetricSources) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    """Return the exposition, by name and labels."""
    text, _ = Exposition(sources).render()
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text.decode())
        for sample in family.samples
    }


def figure(sources: MetricSources, name: str, **labels: str) -> float:
    return figures(sources)[f"stream_rec_{name}", frozenset(labels.items())]


def histogram(*values: float, now: float = 0.0) -> Histogram:
    made = Histogram(SECONDS)
    for value in values:
        made.record(value, now)
    return made
