"""A service on a broker in memory that holds clicks, run until a condition is true."""

import threading
from collections.abc import Callable
from typing import Any

import msgspec
from crash import Bomb, parts

from stream_rec.core.events import Answer
from stream_rec.service.running.components import ServiceComponents
from stream_rec.service.running.consumer_loop import ConsumerLoop
from stream_rec.service.running.kafka_service import KafkaService
from stream_rec.service.running.threads import Threads
from stream_rec.transport.broker import Partition
from stream_rec.transport.memory.broker import MemoryBroker

CLICKS = Partition("clicks", 0)


def clicks(n: int, session: str = "s{}", start: int = 0) -> list[bytes]:
    return [
        msgspec.json.encode({"session_id": session.format(at % 3), "item_id": f"i{at % 5}", "timestamp": 1_000 + at})
        for at in range(start, start + n)
    ]


def broker_with(values: list[bytes], partitions: int = 1) -> MemoryBroker:
    broker = MemoryBroker({"clicks": partitions, "recs": 1, "dead": 1}, before=Bomb())
    for value in values:
        broker.produce("clicks", value, b"k")
    return broker


def threaded(broker: MemoryBroker, **others: Any) -> ServiceComponents:
    return parts(broker, make_pipeline=Threads, **others)


def answers(broker: MemoryBroker) -> list[Answer]:
    return [msgspec.json.decode(record.value, type=Answer) for record in broker.visible("recs")]


def run_until(
    service: KafkaService, done: Callable[[], bool], on_tick: Callable[[KafkaService], None] = lambda _: None
) -> None:
    """Run the service until *done*, or for two minutes."""
    over = threading.Event()
    timer = threading.Timer(120, over.set)
    timer.start()
    try:
        service.run(lambda: done() or over.wait(0.001), on_tick)  # the broker never waits, the threads need a turn
    finally:
        timer.cancel()
    assert not over.is_set(), "it took too long"


def until_answered(loop: ConsumerLoop, broker: MemoryBroker, n: int) -> None:
    """Turn after turn, until there are *n* answers."""
    for _ in range(100 + n):
        if len(broker.visible("recs")) >= n:
            return
        loop.step(0.0)
    raise AssertionError(f"not {n} answers in time")
