"""A log on a real broker for the benchmarks on Kafka: the tests' own broker, and a topic filled with clicks.

The broker runs on this machine's cores too, which is what "on one machine" means here; all rivals share it alike.
"""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np
from common import TREE, scratch_folder
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, NewPartitions, NewTopic

from stream_rec.transport.broker import Partition
from stream_rec.transport.kafka import open_broker

sys.path.append(str(TREE / "tests" / "support"))
from kafka_broker.process import ProcessBroker

PARTITIONS = 4
BEGIN_MS = 1_733_000_000_000
ITEMS = 100_000
OPEN_SESSIONS = 100  # that take turns at any moment


class Log(NamedTuple):
    """A topic with *n_sessions* sessions of five events, the last *n_asked* of which are to be answered."""

    address: str
    topic: str
    history: dict[Partition, int]
    """Offsets of the first events that are to be answered."""
    ends: dict[Partition, int]

    @property
    def n_asked(self) -> int:
        """How many events are to be answered."""
        return sum(self.ends.values()) - sum(self.history.values())


@contextmanager
def broker() -> Iterator[str]:
    """The address of a broker of our own, as quick as its defaults make it."""
    with scratch_folder() as home:
        own = ProcessBroker(Path(home), measured=True)
        own.start()
        try:
            yield own.address
        finally:
            own.close()


def make_topic(address: str, topic: str, partitions: int = PARTITIONS) -> None:
    """A new topic."""
    admin = AdminClient({"bootstrap.servers": address})
    for made in admin.create_topics([NewTopic(topic, partitions, 1)]).values():
        made.result()


def widen_topic(address: str, topic: str) -> None:
    """Give *topic* another partition."""
    admin = AdminClient({"bootstrap.servers": address})
    n = len(admin.list_topics(topic, timeout=10).topics[topic].partitions)
    for made in admin.create_partitions([NewPartitions(topic, n + 1)]).values():
        made.result()


def events(n_sessions: int, seed: int = 1) -> Iterator[tuple[bytes, bytes]]:
    """Key and value of each event: items by Zipf 1.2, some hundred sessions at a time taking turns."""
    rng = np.random.default_rng(seed)
    n = 5 * n_sessions
    items = np.minimum(rng.zipf(1.2, size=n), ITEMS)
    sessions = np.repeat(np.arange(n_sessions), 5)
    sessions = sessions[np.argsort(sessions + rng.random(n) * OPEN_SESSIONS, kind="stable")]
    for place, (session, item) in enumerate(zip(sessions.tolist(), items.tolist(), strict=True)):
        at = BEGIN_MS + 20 * place
        yield (
            b"s%d" % session,
            b'{"session_id":"s%d","item_id":"i%d","timestamp":%d,"type":"view"}' % (session, item, at),
        )


def filled(address: str, topic: str, n_sessions: int, n_asked: int) -> Log:
    """Fill *topic*; remember where the last *n_asked* events begin."""
    make_topic(address, topic)
    producer = Producer(
        {
            "bootstrap.servers": address,
            "partitioner": "murmur2_random",
            "linger.ms": 20,
            "queue.buffering.max.messages": 1_000_000,
        }
    )
    history: dict[Partition, int] = {}
    for place, (key, value) in enumerate(events(n_sessions)):
        if place == 5 * n_sessions - n_asked:
            producer.flush()
            history = ends_of(address, topic)
        send(producer, topic, key, value)
    producer.flush()
    return Log(address, topic, history, ends_of(address, topic))


def send(producer: Producer, topic: str, key: bytes, value: bytes, **more: Callable[..., object]) -> None:
    """Produce, waiting for room in the client's queue."""
    while True:
        try:
            producer.produce(topic, value, key, **more)
        except BufferError:
            producer.poll(0.05)
        else:
            producer.poll(0)
            return


def ends_of(address: str, topic: str) -> dict[Partition, int]:
    """The ends of all partitions."""
    opened = open_broker(f"kafka://{address}", client="confluent")
    try:
        return {each: bounds.end for each, bounds in opened.bounds(opened.partitions(topic)).items()}
    finally:
        opened.close()


def commit(log: Log, group: str) -> None:
    """Commit *group*'s offsets after the history, as if it had answered it."""
    opened = open_broker(f"kafka://{log.address}", client="confluent")
    member = opened.member(group, [log.topic], lambda *_: None)
    member.join()
    until = time.monotonic() + 30
    while len(member.owned) < len(log.history) and time.monotonic() < until:
        member.poll()
        time.sleep(0.02)
    member.commit(log.history)
    member.leave()
    opened.close()
