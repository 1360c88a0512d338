"""The brokers that one suite of contract tests holds to the same promises: in memory, and Kafka with either client."""

import contextlib
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from kafka_broker import Broker as TestBroker

from stream_rec.errors import TransportError
from stream_rec.transport.broker import Broker, Member, OnRevoked, Partition, ProducerRecord, Reader, TopicSpec, Writer
from stream_rec.transport.kafka import Client, open_broker
from stream_rec.transport.memory.broker import MemoryBroker
from stream_rec.transport.records import Record

PATIENCE_S: Final = 30.0
"""Far more than anything takes, since the machine may be busy with other things."""


class Subject:
    """A broker under test, from which clients are opened as processes would open them."""

    def __init__(self, name: str, opened: Callable[[Mapping[str, str]], Broker]) -> None:
        self.name = name
        self._opened = opened
        self._parts: list[Callable[[], None]] = []

    @property
    def is_memory(self) -> bool:
        """Whether nothing outside takes part."""
        return self.name == "memory"

    def open(self, **config: str) -> Broker:
        """Connect, with settings of the client written with underscores."""
        broker = self._opened({name.replace("_", "."): value for name, value in config.items()})
        self._parts.append(broker.close)
        return _Closing(broker, self._parts)

    def topic(self, partitions: int = 1, name: str = "topic") -> str:
        """Make a fresh one."""
        full = fresh(name)
        self.open().create_topics([TopicSpec(full, partitions)])
        return full

    def fill(self, topic: str, *values: bytes | None, key: bytes | None = b"k") -> None:
        """Write *values*, outside of any transaction."""
        writer = self.open().writer(None)
        writer.send([ProducerRecord(topic, value, key) for value in values])
        writer.flush()
        writer.close()

    def assignment(
        self, group: str, topic: str, *, revoked: "Taken | None" = None, instance: str | None = None
    ) -> Member:
        """A member that has taken its seat; left at the end."""
        member = self.open().member(group, [topic], revoked or Taken(), instance=instance)
        member.join()
        return member

    def close(self) -> None:
        """Let go of all that was opened, the last first; what is fenced or away has nothing to say any more."""
        for close in reversed(self._parts):
            with contextlib.suppress(TransportError):
                close()


class _Closing:
    """A broker whose readers and writers are closed at the end: left open they would call for it for ever."""

    def __init__(self, broker: Broker, parts: list[Callable[[], None]]) -> None:
        self._broker = broker
        self._parts = parts
        self.partitions, self.create_topics, self.bounds = broker.partitions, broker.create_topics, broker.bounds
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


class Taken:
    """Remembers what was taken from a member, and whether it was lost; may do something meanwhile."""

    def __init__(self, meanwhile: Callable[[], None] = lambda: None) -> None:
        self.calls: list[tuple[frozenset[Partition], bool]] = []
        self._meanwhile = meanwhile

    def __call__(self, partitions: frozenset[Partition], lost: bool) -> None:
        self.calls.append((partitions, lost))
        self._meanwhile()


def memory() -> Subject:
    """One broker in memory, however often it is opened."""
    broker = MemoryBroker({})
    return Subject("memory", lambda _: broker)


def kafka(client: Client, broker: TestBroker) -> Subject:
    """A real one, opened with *client*."""
    return Subject(client, lambda config: open_broker(f"kafka://{broker.address}", client=client, config=config))


def fresh(name: str) -> str:
    """A name that nothing has: brokers outlive a run of the tests."""
    return f"{name}-{uuid.uuid4().hex[:8]}"


def until(done: Callable[[], object], *meanwhile: Callable[[], object], seconds: float = PATIENCE_S) -> None:
    """Do *meanwhile* again and again until *done*, which must come."""
    end = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < end, "it did not come about in time"
        for each in meanwhile:
            each()
        time.sleep(0.01)


def read(reader: Reader, n: int, max_records: int = 100) -> list[Record]:
    """The next *n* records at least, in the order in which they were handed out."""
    records: list[Record] = []

    def take() -> None:
        for batch in reader.poll(max_records, 0.1).values():
            records.extend(batch)

    until(lambda: len(records) >= n, take)
    return records


def read_to_end(reader: Reader, partitions: list[Partition]) -> list[Record]:
    """All records until each of *partitions* is drained."""
    records: list[Record] = []

    def take() -> None:
        for batch in reader.poll(100, 0.1).values():
            records.extend(batch)

    until(lambda: set(reader.drained) >= set(partitions), take)
    return records
