"""Write and read topics with a separate client, to see what other applications see."""

import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple, TypeVar

import confluent_kafka
import msgspec
from confluent_kafka import Consumer, Producer, TopicPartition
from kafka_broker import Broker

SECONDS = 90
"""For a step that takes a second or two on an idle machine."""

T = TypeVar("T")


class Sent(NamedTuple):
    """A record to write."""

    value: bytes | None
    key: bytes | None = None
    headers: tuple[tuple[str, bytes], ...] = ()
    partition: int = -1


class Got(NamedTuple):
    """A record that was read."""

    value: bytes | None
    key: bytes | None
    headers: dict[str, bytes]
    partition: int
    offset: int


def eventually(condition: Callable[[], T], what: str, seconds: float = SECONDS) -> T:
    """Return the result of *condition* as soon as it is true; fail if that takes too long."""
    until = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < until, f"not within {seconds} s: {what}"
        time.sleep(0.05)
    return found


def produce(address: str, topic: str, records: Iterable[Sent], **settings: Any) -> None:
    """Write *records*, each acknowledged, in this order also where a broker has just started.

    A producer that is not idempotent writes what it must repeat behind what it has written since.
    """
    refused: list[Any] = []
    producer = Producer(
        {
            "bootstrap.servers": address,
            "partitioner": "murmur2_random",
            "linger.ms": 1,
            "enable.idempotence": True,
            "message.max.bytes": 2_000_000,
            "on_delivery": lambda error, _: refused.append(error) if error else None,
            **settings,
        }
    )
    for value, key, headers, partition in records:
        while True:
            try:
                producer.produce(topic, value, key, headers=list(headers), partition=partition)
                break
            except BufferError:  # its queue is full of records that are not acknowledged yet
                producer.poll(0.1)
        producer.poll(0)
    assert 0 == producer.flush(SECONDS)
    assert [] == refused


def committed(address: str, topic: str) -> list[Got]:
    """All committed records of *topic*, partition by partition."""
    with _reading(address) as consumer:
        unfinished = {number: TopicPartition(topic, number, 0) for number in _partitions(consumer, topic)}
        consumer.assign(list(unfinished.values()))
        found = []
        until = time.monotonic() + SECONDS
        while unfinished:
            assert time.monotonic() < until, f"{topic} cannot be read to its end"
            message = consumer.poll(1.0)
            if message is None:
                continue
            if message.error() is None:
                found.append(_got(message))
            elif message.error().code() == confluent_kafka.KafkaError._PARTITION_EOF:
                unfinished.pop(message.partition(), None)
    return sorted(found, key=lambda got: (got.partition, got.offset))


def places_of_letters(address: str, topic: str) -> tuple[list[int], Counter[str]]:
    """The offsets that the dead letters in *topic* name, and how many have each reason. For floods: keeps no record."""
    offsets: list[int] = []
    reasons: Counter[str] = Counter()
    for message in _streamed(address, topic):
        headers = dict(message.headers())
        offsets.append(int(headers["stream-rec.offset"]))
        reasons[headers["stream-rec.reason"].decode()] += 1
    return offsets, reasons


def places_of_answers(address: str, topic: str, clicks: str) -> list[int]:
    """The offset in partition 0 of *clicks* of each answer in *topic*. For floods: keeps no record."""
    return [msgspec.json.decode(message.value())["offsets"][f"{clicks}-0"] for message in _streamed(address, topic)]


def _streamed(address: str, topic: str) -> Iterator[Any]:
    """Every committed record of *topic*, partition by partition."""
    with _reading(address) as consumer:
        for number in _partitions(consumer, topic):
            consumer.assign([TopicPartition(topic, number, 0)])
            until, is_over = time.monotonic() + 10 * SECONDS, False
            while not is_over:
                assert time.monotonic() < until, f"{topic} cannot be read to its end"
                for message in consumer.consume(10_000, 1.0):
                    if message.error() is None:
                        yield message
                    elif message.error().code() == confluent_kafka.KafkaError._PARTITION_EOF:
                        is_over = True


def committed_offsets(address: str, topic: str, group: str) -> dict[int, int]:
    """The committed offsets of *group*; partitions without one are left out."""
    with _reading(address, group) as consumer:
        asked = [TopicPartition(topic, number) for number in _partitions(consumer, topic)]
        return {each.partition: each.offset for each in _committed_of(consumer, asked) if each.offset >= 0}


def _committed_of(consumer: confluent_kafka.Consumer, asked: list[TopicPartition]) -> list[TopicPartition]:
    """Ask again while the coordinator changes or starts: the client itself does not."""
    until = time.monotonic() + 30
    while True:
        try:
            found: list[TopicPartition] = consumer.committed(asked, timeout=30)
        except confluent_kafka.KafkaException as error:
            if error.args[0].code() != confluent_kafka.KafkaError.NOT_COORDINATOR or time.monotonic() > until:
                raise
            time.sleep(0.1)
        else:
            return found


def ends(address: str, topic: str) -> dict[int, int]:
    """The offset that the next record of each partition will get."""
    with _reading(address) as consumer:
        return {
            number: consumer.get_watermark_offsets(TopicPartition(topic, number), timeout=30)[1]
            for number in _partitions(consumer, topic)
        }


def is_all_committed(address: str, topic: str, group: str) -> bool:
    """Whether *group* has committed every record of *topic*. False also where the broker does not answer."""
    try:
        wanted = {number: end for number, end in ends(address, topic).items() if end}
        return wanted.items() <= committed_offsets(address, topic, group).items()
    except confluent_kafka.KafkaException:
        return False


def delete_before(broker: Broker, topic: str, offset: int) -> None:
    """Remove the records before *offset* in partition 0, as retention does."""
    from kafka import TopicPartition as Theirs  # noqa: PLC0415  # late, as in kafka_broker.clients

    with broker.admin() as admin:
        admin.delete_records({Theirs(topic, 0): offset})


class _reading:  # noqa: N801  # a context manager that is called like a function
    def __init__(self, address: str, group: str = "the-tests") -> None:
        self._consumer = Consumer(
            {
                "bootstrap.servers": address,
                "group.id": group,
                "enable.auto.commit": False,
                "auto.offset.reset": "error",
                "isolation.level": "read_committed",
                "enable.partition.eof": True,
                "logger": _Silence(),
            }
        )

    def __enter__(self) -> Any:
        return self._consumer

    def __exit__(self, *_: object) -> None:
        self._consumer.close()


class _Silence:
    """A logger for clients that are expected to lose their broker."""

    def log(self, *_: object, **__: object) -> None:
        """Say nothing."""


def _partitions(consumer: Any, topic: str) -> list[int]:
    return sorted(consumer.list_topics(topic, timeout=30).topics[topic].partitions)


def _got(message: Any) -> Got:
    headers = {name: given or b"" for name, given in message.headers() or []}
    return Got(message.value(), message.key(), headers, message.partition(), message.offset())
