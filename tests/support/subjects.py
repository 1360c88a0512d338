"""The brokers of the contract tests: in memory, and Kafka with either client."""

import contextlib
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from kafka_broker import Broker as TestBroker

from stream_rec.errors import TransportError
from stream_rec.transport.broker import Broker, Member, OnRevoked, Partition, ProducerRecord, Reader, TopicSpec, Writer
from stream_rec.transport.kafka import KafkaClient, open_broker
from stream_rec.transport.memory.broker import MemoryBroker
from stream_rec.transport.records import Record
from stream_rec.transport.timeouts import TransportTimeouts

PATIENCE_S: Final = 30.0
"""Far more than any step takes, since the machine may be busy."""


class Subject:
    """A broker under test, from which clients are opened as processes would open them."""

    def __init__(self, name: str, connect: Callable[[Mapping[str, str], TransportTimeouts], Broker]) -> None:
        self.name = name
        self._connect = connect
        self._parts: list[Callable[[], None]] = []

    @property
    def is_memory(self) -> bool:
        """Whether it is the broker in memory."""
        return self.name == "memory"

    def open(self, **config: str) -> Broker:
        """Connect, with settings of the client written with underscores."""
        return self._open({name.replace("_", "."): value for name, value in config.items()}, TransportTimeouts())

    def open_with(self, timeouts: TransportTimeouts) -> Broker:
        """Connect, with other times."""
        return self._open({}, timeouts)

    def _open(self, config: Mapping[str, str], timeouts: TransportTimeouts) -> Broker:
        broker = self._connect(config, timeouts)
        self._parts.append(broker.close)
        return _Closing(broker, self._parts)

    def topic(self, partitions: int = 1, name: str = "topic") -> str:
        """Create a new topic."""
        full = fresh(name)
        self.open().create_topics([TopicSpec(full, partitions)])
        return full

    def fill(self, topic: str, *values: bytes | None, key: bytes | None = b"k") -> None:
        """Write *values*, outside of any transaction."""
        writer = self.open().writer(None)
        writer.send([ProducerRecord(topic, value, key) for value in values])
        writer.flush()
        writer.close()

    def joined(
        self, group: str, topic: str, *, on_revoked: "Revocations | None" = None, instance: str | None = None
    ) -> Member:
        """A member that has joined; it leaves at the end."""
        member = self.open().member(group, [topic], on_revoked or Revocations(), instance=instance)
        member.join()
        return member

    def close(self) -> None:
        """Close all that was opened, the last first; errors of fenced or unreachable parts are ignored."""
        for close in reversed(self._parts):
            with contextlib.suppress(TransportError):
                close()


class _Closing:
    """A broker whose readers and writers are closed at the end: left open they would try to connect for ever."""

    def __init__(self, broker: Broker, parts: list[Callable[[], None]]) -> None:
        self._broker = broker
        self._parts = parts
        self.partitions, self.create_topics, self.bounds = broker.partitions, broker.create_topics, broker.bounds
        self.topic_settings, self.commit_notes = broker.topic_settings, broker.commit_notes
        self.group_offsets, self.group_metadata, self.close = broker.group_offsets, broker.group_metadata, broker.close

    def reader(self) -> Reader:
        reader = self._broker.reader()
        self._parts.append(reader.close)
        return reader

    def member(
        self, group: str, topics: Sequence[str], on_revoked: OnRevoked, *, instance: str | None = None
    ) -> Member:
        member = self._broker.member(group, topics, on_revoked, instance=instance)
        self._parts.append(member.leave)
        return member

    def writer(self, transactional_id: str | None) -> Writer:
        writer = self._broker.writer(transactional_id)
        self._parts.append(writer.close)
        return writer

    def __repr__(self) -> str:
        return repr(self._broker)


class Revocations:
    """Records which partitions were revoked, and whether they were lost; then calls *meanwhile*."""

    def __init__(self, meanwhile: Callable[[], None] = lambda: None) -> None:
        self.calls: list[tuple[frozenset[Partition], bool]] = []
        self._meanwhile = meanwhile

    def __call__(self, partitions: frozenset[Partition], lost: bool) -> None:
        self.calls.append((partitions, lost))
        self._meanwhile()


def memory() -> Subject:
    """One broker in memory, however often it is opened."""
    broker = MemoryBroker({})
    return Subject("memory", lambda *_: broker)


def kafka(client: KafkaClient, broker: TestBroker) -> Subject:
    """A real one, opened with *client*."""
    address = f"kafka://{broker.address}"
    return Subject(
        client, lambda config, timeouts: open_broker(address, client=client, config=config, timeouts=timeouts)
    )


def fresh(name: str) -> str:
    """A name that is not in use: brokers outlive a run of the tests."""
    return f"{name}-{uuid.uuid4().hex[:8]}"


def until(done: Callable[[], object], *meanwhile: Callable[[], object], seconds: float = PATIENCE_S) -> None:
    """Repeat *meanwhile* until *done*; fail if that takes too long."""
    end = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < end, "not done in time"
        for each in meanwhile:
            each()
        time.sleep(0.01)


def read(reader: Reader, n: int, max_records: int = 100) -> list[Record]:
    """The next *n* records at least, in the order in which they were returned."""
    records: list[Record] = []

    def poll() -> None:
        for batch in reader.poll(max_records, 0.1).values():
            records.extend(batch)

    until(lambda: len(records) >= n, poll)
    return records


def read_to_end(reader: Reader, partitions: list[Partition]) -> list[Record]:
    """All records until each of *partitions* is drained."""
    records: list[Record] = []

    def poll() -> None:
        for batch in reader.poll(100, 0.1).values():
            records.extend(batch)

    until(lambda: set(reader.drained) >= set(partitions), poll)
    return records
