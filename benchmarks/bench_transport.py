"""The cost of our Reader and Writer over each Kafka client: its bare loop, and the same through ours."""

import sys
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
from common import Report, in_turn, report, scratch_folder

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "support"))
from kafka_broker import open_broker as open_test_broker

from stream_rec.transport.broker import Broker, Partition, ProducerRecord, TopicSpec
from stream_rec.transport.kafka import KafkaClient, open_broker

QUESTION = "how much of each Kafka client's own speed is left through our Reader and Writer?"
CLIENTS: tuple[KafkaClient, ...] = ("kafka-python", "confluent")
PARTITIONS = 4
AT_ONCE = 1000
EVENT = b'{"session_id":"s%06d","item_id":"i%05d","timestamp":17330000%05d,"type":"view"}'
MILLISECOND = 1e3


class Event(msgspec.Struct, gc=False):
    """The fields that any consumer decodes: the bare loop has to be a fair one."""

    session_id: str
    item_id: str
    timestamp: int
    type: str


class Item(msgspec.Struct, gc=False):
    """One item of an answer."""

    item_id: str
    score: float
    source: str


class Answer(msgspec.Struct, gc=False):
    """The record written for each event: 20 items."""

    session_id: str
    items: list[Item]


decode = msgspec.json.Decoder(Event).decode
encode = msgspec.json.Encoder().encode
ITEMS = [Item(f"i{number:05d}", number / 7, "neighbours") for number in range(20)]


def answer(event: Event) -> tuple[bytes, bytes]:
    """Value and key."""
    return encode(Answer(event.session_id, ITEMS)), event.session_id.encode()


# --- the bare loops, as one would write them with each client


def bare_python(address: str, topic: str, n: int, out: str | None) -> float:
    """Poll, decode; and encode, send, and flush a batch at a time."""
    import warnings  # noqa: PLC0415 (for this import only)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        from kafka import KafkaConsumer, KafkaProducer, TopicPartition  # noqa: PLC0415 (one client at a time)

    consumer = KafkaConsumer(
        bootstrap_servers=address, enable_auto_commit=False, isolation_level="read_committed", auto_offset_reset="none"
    )
    partitions = [TopicPartition(topic, number) for number in range(PARTITIONS)]
    consumer.assign(partitions)
    for partition in partitions:
        consumer.seek(partition, 0)
    producer = None if out is None else KafkaProducer(bootstrap_servers=address, batch_size=1 << 18)
    got, began = 0, time.perf_counter()
    while got < n:
        for records in consumer.poll(timeout_ms=1000, max_records=AT_ONCE).values():
            for record in records:
                event = decode(record.value)
                if producer is not None:
                    value, key = answer(event)
                    producer.send(out, value, key)
            got += len(records)
        if producer is not None:
            producer.flush()
    taken = time.perf_counter() - began
    consumer.close()
    if producer is not None:
        producer.close()
    return got / taken


def bare_confluent(address: str, topic: str, n: int, out: str | None) -> float:
    """The same loop with confluent-kafka."""
    from confluent_kafka import Consumer, Producer, TopicPartition  # noqa: PLC0415 (one client at a time)

    consumer = Consumer(
        {
            "bootstrap.servers": address,
            "group.id": "bare",
            "enable.auto.commit": False,
            "isolation.level": "read_committed",
            "fetch.queue.backoff.ms": 10,
            "queued.max.messages.kbytes": 16_384,
        }
    )
    consumer.assign([TopicPartition(topic, number, 0) for number in range(PARTITIONS)])
    settings = {"bootstrap.servers": address, "enable.idempotence": True, "partitioner": "murmur2_random"}
    producer = None if out is None else Producer(settings)
    got, began = 0, time.perf_counter()
    while got < n:
        messages: list[Any] = [message for message in [consumer.poll(1.0)] if message is not None]
        messages += consumer.consume(AT_ONCE - 1, 0)
        for message in messages:
            if message.error() is not None:
                raise RuntimeError(message.error().str())
            event = decode(message.value())
            if producer is not None:
                value, key = answer(event)
                producer.produce(out, value, key)
        got += len(messages)
        if producer is not None:
            producer.flush()
    taken = time.perf_counter() - began
    consumer.close()
    return got / taken


BARE: dict[KafkaClient, Callable[[str, str, int, str | None], float]] = {
    "kafka-python": bare_python,
    "confluent": bare_confluent,
}


# --- the same through ours


def ours(client: KafkaClient, address: str, topic: str, n: int, out: str | None) -> float:
    """Reader, decode; and encode, Writer."""
    broker = open_broker(f"kafka://{address}", client=client)
    reader = broker.reader()
    reader.assign({Partition(topic, number): 0 for number in range(PARTITIONS)})
    writer = None if out is None else broker.writer(None)
    got, began = 0, time.perf_counter()
    while got < n:
        outgoing: list[ProducerRecord] = []
        for records in reader.poll(AT_ONCE, 1.0).values():
            for record in records:
                event = decode(record.value)
                if out is not None:
                    value, key = answer(event)
                    outgoing.append(ProducerRecord(out, value, key))
            got += len(records)
        if writer is not None:
            writer.send(outgoing)
            writer.flush()
    taken = time.perf_counter() - began
    reader.close()
    if writer is not None:
        writer.close()
    broker.close()
    return got / taken


def latency(client: KafkaClient, address: str, topic: str, n: int) -> list[float]:
    """Milliseconds from before a record is written until our Reader has returned it, one at a time."""
    broker = open_broker(f"kafka://{address}", client=client)
    writer, reader = broker.writer(None), broker.reader()
    partition = Partition(topic, 0)
    reader.assign({partition: broker.bounds([partition])[partition].end})
    reader.poll(1, 1.0)
    taken = []
    for _ in range(n):
        began = time.perf_counter()
        writer.send([ProducerRecord(topic, b"x")])
        writer.flush()
        written = time.perf_counter()
        while not reader.poll(10, 1.0):
            pass
        taken.append((time.perf_counter() - written) * MILLISECOND)
        time.sleep(max(0.0, 0.02 - (time.perf_counter() - began)))
    reader.close()
    writer.close()
    broker.close()
    return taken


def fill(broker: Broker, topic: str, n: int) -> None:
    """Write events, keyed by session."""
    writer = broker.writer(None)
    for first in range(0, n, 10_000):
        numbers = range(first, min(first + 10_000, n))
        writer.send(
            [
                ProducerRecord(topic, EVENT % (i % 50_000, i % 9973, i % 99_999), b"s%06d" % (i % 50_000))
                for i in numbers
            ]
        )
        writer.flush()
    writer.close()


@contextmanager
def topics(address: str, n: int) -> Iterator[tuple[str, str, str]]:
    """Events, a place for answers, and one for single records."""
    broker = open_broker(f"kafka://{address}", client="confluent")
    name = f"bench-{uuid.uuid4().hex[:8]}"
    made = f"{name}-events", f"{name}-answers", f"{name}-single"
    broker.create_topics(
        [TopicSpec(made[0], PARTITIONS), TopicSpec(made[1], PARTITIONS, retention_ms=60_000), TopicSpec(made[2], 1)]
    )
    fill(broker, made[0], n)
    yield made
    broker.close()


def main() -> None:
    """Run the benchmark."""
    with report("transport", QUESTION) as bench:
        n, n_rounds = (20_000, 2) if bench.small else (400_000, 5)
        with scratch_folder() as home, open_test_broker(home) as broker:
            broker.start()
            bench.note(f"broker: {broker.kind}, on the same machine")
            with topics(broker.address, n) as places:
                for client in CLIENTS:
                    ask(bench, client, broker.address, places, n, n_rounds)


def ask(bench: Report, client: KafkaClient, address: str, places: tuple[str, str, str], n: int, n_rounds: int) -> None:
    """Both loops of one client, in turn."""
    events, answers, single = places
    fewer = n // 4
    bench.part(f"{client}: {n:,} events of 80 bytes in {PARTITIONS} partitions; {fewer:,} answers of 20 items")
    taken = in_turn(
        n_rounds,
        {
            "bare read": lambda: BARE[client](address, events, n, None),
            "our read": lambda: ours(client, address, events, n, None),
            "bare job": lambda: BARE[client](address, events, fewer, answers),
            "our job": lambda: ours(client, address, events, fewer, answers),
        },
    )
    for what, title in (("read", "consume, decode"), ("job", "consume, decode, encode 20 items, produce")):
        bare = bench.figure(f"{title}: bare", taken[f"bare {what}"], "events/s")
        mine = bench.figure(f"{title}: through ours", taken[f"our {what}"], "events/s")
        bench.figure(f"{title}: what is left", 100 * mine / bare, "%", ">= 70")
    waited = sorted(latency(client, address, single, 50 if bench.small else 300))
    bench.figure("a record, from acknowledged to handed out, p50", waited[len(waited) // 2], "ms")
    bench.figure("a record, from acknowledged to handed out, p99", waited[int(len(waited) * 0.99)], "ms")


if __name__ == "__main__":
    main()
