"""The clients on a real Kafka: codecs, keys, memberships that expire, brokers that go away and come back."""

import contextlib
import gc
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import confluent_kafka
import kafka
import pytest
import subjects
from advertising import advertising
from kafka_broker import Broker as TestBroker
from kafka_broker.plugin import MakeBroker
from subjects import Revocations, Subject, fresh, read, until

from stream_rec.core.events import Event
from stream_rec.errors import AssignmentLostError, FencedError, LogChangedError, RecordTooLargeError, TransportError
from stream_rec.service.batches import NOT_A_MEMBER
from stream_rec.service.consuming.batch_reader import BatchReader, Reports
from stream_rec.service.consuming.record_decoder import DecodedRecords
from stream_rec.transport.broker import Partition, ProducerRecord, Reader
from stream_rec.transport.kafka import KafkaClient, open_broker
from stream_rec.transport.kafka.kafka_python.internals import opened
from stream_rec.transport.records import Records
from stream_rec.transport.timeouts import TransportTimeouts

CLIENTS: tuple[KafkaClient, ...] = ("kafka-python", "confluent")
CODECS = ("gzip", "snappy", "lz4", "zstd")


@pytest.fixture(autouse=True)
def no_dropped_sockets() -> Iterator[None]:
    """A socket that was left to the collector is this test's error, and not that of a later one."""
    yield
    gc.collect()


@pytest.fixture(params=CLIENTS)
def client(request: pytest.FixtureRequest) -> KafkaClient:
    """One client after the other."""
    chosen: KafkaClient = request.param
    return chosen


@pytest.fixture
def subject(client: KafkaClient, broker: TestBroker) -> Iterator[Subject]:
    """The shared broker with one client."""
    made = subjects.kafka(client, broker)
    yield made
    made.close()


def start(subject: Subject, topic: str, offset: int = 0) -> Reader:
    broker = subject.open()
    reader = broker.reader()
    reader.assign(dict.fromkeys(broker.partitions(topic), offset))
    return reader


# --- connecting


@pytest.mark.parametrize("place", [("127.0.0.1", 9), ("nowhere.x", 9092)])
def test_an_advertised_address_that_cannot_be_reached_is_named(
    client: KafkaClient, broker: TestBroker, place: tuple[str, int]
) -> None:
    """At once, with the setting of the broker that is wrong."""
    with advertising(broker.address, *place) as address, pytest.raises(TransportError) as caught:
        open_broker(f"kafka://{address}", client=client)
    assert f"{address} answers, and sends its clients on to {place[0]}:{place[1]}" in caught.value.message
    assert "let the broker's advertised.listeners name" in caught.value.message
    assert caught.value.retriable


# --- what is written


@pytest.mark.parametrize("kind", ["CreateTime", "LogAppendTime"])
def test_log_times_are_the_records_own(subject: Subject, broker: TestBroker, topic: Any, kind: str) -> None:
    """The producer's or the broker's: the topic decides, and both clients read the same."""
    name = topic(config={"message.timestamp.type": kind})
    begun = int(time.time() * 1000)
    producer = confluent_kafka.Producer({"bootstrap.servers": broker.address})
    given = [begun - 5_000, begun + 1_800_000, 1]
    for at in given:
        producer.produce(name, b"x", timestamp=at)
    producer.flush(20)
    reader = start(subject, name)
    found: list[int] = []

    def read_more() -> None:
        for records in reader.poll(9, 1.0).values():
            found.extend(Records.of(records).log_times.tolist())

    until(lambda: len(found) == len(given), read_more)
    if kind == "CreateTime":
        assert given == found
    else:
        assert all(begun - 60_000 <= each <= time.time() * 1000 + 60_000 for each in found)


class _RawName(str):
    """A header's name that is not UTF-8, as producers in other languages can write it."""

    __slots__ = ()

    def encode(self, *_: object) -> bytes:
        return b"\xff\xfe"


def test_headers_of_other_producers(subject: Subject, broker: TestBroker, topic: Any) -> None:
    """A header may have no value, and a name that is not UTF-8. Both are read, and can be written to dead letters."""
    name, letters = topic(), topic()
    producer = opened(kafka.KafkaProducer, {"bootstrap_servers": broker.address})
    for _ in range(100):  # so often that the interpreter has specialised what reads them
        producer.send(name, b"usual", headers=[("trace", b"1")])
    producer.send(name, b"odd", headers=[(_RawName("x"), b"1")])
    producer.close()
    other = confluent_kafka.Producer({"bootstrap.servers": broker.address})
    other.produce(name, b"none", headers=[("empty", None)])
    other.flush(20)
    records = read(start(subject, name), 102)[100:]
    assert [b"odd", b"none"] == [each.value for each in records]
    assert (("empty", b""),) == records[1].headers
    ((odd, value),) = records[0].headers
    # librdkafka's Python client gives no header of such a record.
    assert (odd, value) == ("\\xff\\xfe", b"1") or (odd == "stream-rec.headers" and b"not UTF-8" in value)
    writer = subject.open().writer(None)
    writer.send([ProducerRecord(letters, each.value, each.key, each.headers) for each in records])
    writer.flush()
    assert [each.headers for each in records] == [each.headers for each in read(start(subject, letters), 2)]


@pytest.mark.parametrize("codec", CODECS)
def test_every_codec(subject: Subject, broker: TestBroker, codec: str) -> None:
    """Both clients read what either has compressed, with each codec of Kafka."""
    topic = subject.topic()
    values = [b"%d " % i * 100 for i in range(200)]
    for other in CLIENTS:
        writer = open_broker(f"kafka://{broker.address}", client=other, config={"compression.type": codec}).writer(None)
        writer.send([ProducerRecord(topic, value, b"k") for value in values])
        writer.flush()
        writer.close()
    assert values * 2 == [record.value for record in read(start(subject, topic), 400)]


def test_a_key_has_its_partition_with_every_client(broker: TestBroker, topic: Any) -> None:
    """2,000 keys go to the same partitions with both clients: murmur2, as Java's client has it."""
    name = topic(partitions=12)
    keys = [b"session-%d" % i for i in range(2000)]
    expected = {key: partition_of(key, 12) for key in keys}
    for n_clients, client in enumerate(CLIENTS, 1):
        made = subjects.kafka(client, broker)
        writer = made.open().writer(None)
        writer.send([ProducerRecord(name, client.encode(), key) for key in keys])
        writer.flush()
        records = read(start(made, name), 2000 * n_clients)
        assert expected == {record.key: record.partition for record in records if record.value == client.encode()}
        made.close()


def partition_of(key: bytes, partitions: int) -> int:
    """Return Java's partition of *key*; librdkafka's own murmur2 is a third implementation."""
    number: int = confluent_kafka.murmur2(key, partitions)
    return number


def test_a_topics_own_limit_is_known_before_sending(subject: Subject, topic: Any) -> None:
    """A record that the client would send, but this topic refuses, is refused before any is sent."""
    small = topic(config={"max.message.bytes": "2000"})
    writer = subject.open().writer(None)
    with pytest.raises(RecordTooLargeError) as caught:
        writer.send([ProducerRecord(small, b"a"), ProducerRecord(small, b"x" * 3000)])
    assert (1, 2000) == (caught.value.place, caught.value.limit)
    writer.send([ProducerRecord(small, b"c")])
    writer.flush()
    assert [b"c"] == [record.value for record in read(start(subject, small), 1)]


def test_what_the_broker_finds_too_large(subject: Subject, topic: Any) -> None:
    """Only the broker knows the size of compressed records: the error is the same, and the writer goes on."""
    small = topic(config={"max.message.bytes": "2000"})
    writer = subject.open(compression_type="gzip").writer(fresh("writer"))
    writer.begin()

    def write() -> None:
        writer.send([ProducerRecord(small, bytes(range(256)) * 1000 + random_bytes(5000), b"k")])
        writer.commit()

    with pytest.raises(RecordTooLargeError) as caught:
        write()
    assert (2000, False) == (caught.value.limit, caught.value.none_sent)
    writer.abort()
    writer.begin()
    writer.send([ProducerRecord(small, b"c")])
    writer.commit()
    assert [b"c"] == [record.value for record in read(start(subject, small), 1)]


def test_a_topic_that_accepts_less_than_a_batch(subject: Subject, topic: Any) -> None:
    """1,000 dead letters of 500 bytes in one transaction all arrive, where the topic accepts 100,000 bytes at once."""
    small = topic(config={"max.message.bytes": "100000"})
    values = [b"%04d" % number + b"x" * 496 for number in range(1000)]
    writer = subject.open().writer(fresh("writer"))
    writer.begin()
    writer.send([ProducerRecord(small, value, b"k", (("stream-rec.reason", b"not_json"),)) for value in values])
    writer.commit()
    assert values == [record.value for record in read(start(subject, small), 1000)]


def test_a_topic_whose_limit_is_lowered(subject: Subject, broker: TestBroker, topic: Any) -> None:
    """Records that are refused now are written in smaller batches: at once, or with the next try."""
    small = topic()
    writer = subject.open().writer(fresh("writer"))
    writer.begin()
    writer.send([ProducerRecord(small, b"first", b"k")])
    writer.commit()
    with broker.admin() as admin:
        from kafka.admin import ConfigResource, ConfigResourceType  # noqa: PLC0415 (here only)

        admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, small, {"max.message.bytes": "100000"})])
    values = [b"%04d" % number + b"x" * 496 for number in range(1000)]

    def write() -> bool:
        try:
            writer.begin()
            writer.send([ProducerRecord(small, value, b"k") for value in values])
            writer.commit()
        except TransportError as error:
            if not error.retriable:
                raise
            writer.abort()
            return False
        return True

    assert any(write() for _ in range(6))
    assert [b"first", *values] == [record.value for record in read(start(subject, small), 1001)]


def test_the_index_of_what_the_broker_finds_too_large(subject: Subject, topic: Any) -> None:
    """The error names the record among others of the batch that the broker would accept."""
    small = topic(config={"max.message.bytes": "2000"})
    writer = subject.open(compression_type="gzip").writer(fresh("writer"))
    records = [ProducerRecord(small, value, b"k") for value in (b"a", b"b", random_bytes(5000), b"c")]
    writer.begin()

    def write() -> None:
        writer.send(records)
        writer.commit()

    with pytest.raises(RecordTooLargeError) as caught:
        write()
    assert 2 == caught.value.place
    writer.abort()


def random_bytes(n: int) -> bytes:
    """Return bytes that no codec makes smaller."""
    import random  # noqa: PLC0415 (here only)

    return random.Random(1).randbytes(n)


# --- members


def test_committed_waits_for_open_transactions(subject: Subject) -> None:
    """An offset that an open transaction has added is not returned before the transaction ends."""
    topic, group = subject.topic(), fresh("group")
    member = subject.joined(group, topic)
    until(lambda: member.owned, member.poll)
    writer, partition = subject.open().writer(fresh("writer")), Partition(topic, 0)
    member.commit({partition: 1})
    writer.begin()
    writer.add_offsets({partition: 5}, member.group_metadata)
    impatient = subject.open_with(TransportTimeouts(answer_s=2.0)).member(group, [topic], Revocations())
    with pytest.raises(TransportError) as caught:
        impatient.committed([partition])
    assert caught.value.retriable
    asked = in_background(lambda: subject.open().member(group, [topic], Revocations()).committed([partition]))
    writer.commit()
    assert {partition: 5} == asked.result()


def test_an_expelled_member_loses_its_partitions(subject: Subject, broker: TestBroker) -> None:
    """A member that was removed can commit nothing more, learns that its partitions are lost, and rejoins by itself."""
    topic, group, revocations = subject.topic(2), fresh("group"), Revocations()
    member = subject.joined(group, topic, on_revoked=revocations)
    until(lambda: member.owned, member.poll)
    everything, stale, generation = member.owned, member.group_metadata, member.generation
    with broker.admin() as admin:
        (described,) = admin.describe_groups([group]).values()
        from kafka.admin import MemberToRemove  # noqa: PLC0415 (here only)

        admin.remove_group_members(group, [MemberToRemove(each["member_id"]) for each in described["members"]])
    with pytest.raises(AssignmentLostError):
        member.commit({Partition(topic, 0): 3})
    writer = subject.open().writer(fresh("writer"))
    writer.begin()
    with pytest.raises(AssignmentLostError):
        writer.add_offsets({Partition(topic, 0): 3}, stale)
    writer.abort()
    until(lambda: member.generation > generation and member.owned == everything, member.poll)
    assert [(everything, True)] == revocations.calls
    member.commit({Partition(topic, 0): 4})
    assert {Partition(topic, 0): 4} == member.committed([Partition(topic, 0)])


SLEEPER = """
import sys
from stream_rec.transport.broker import Partition, ProducerRecord
from stream_rec.transport.kafka import open_broker
address, client, topic, out, group = sys.argv[1:]
config = {"session.timeout.ms": "2000", "heartbeat.interval.ms": "300"}
broker = open_broker("kafka://" + address, client=client, config=config)
member = broker.member(group, [topic], lambda partitions, lost: print("revoked", lost, flush=True))
member.join()
while not member.owned:
    member.poll()
writer = broker.writer(group + "-sleeper")
writer.begin()
writer.send([ProducerRecord(out, b"of the sleeper")])
writer.flush()
print("ready", flush=True)
sys.stdin.readline()
try:
    writer.add_offsets({Partition(topic, 0): 3}, member.group_metadata)
    writer.commit()
except Exception as error:
    print(type(error).__name__, flush=True)
else:
    print("committed", flush=True)
"""


def test_a_frozen_process_loses_its_partitions(subject: Subject, broker: TestBroker) -> None:
    """Stopped for longer than a session lasts, a process commits nothing when it wakes; its records stay invisible."""
    topic, out, group = subject.topic(2), subject.topic(), fresh("group")
    command = [sys.executable, "-W", "ignore", "-c", SLEEPER, broker.address, subject.name, topic, out, group]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as sleeper:
        assert sleeper.stdin is not None
        assert sleeper.stdout is not None
        try:
            assert "ready\n" == sleeper.stdout.readline()
            sleeper.send_signal(signal.SIGSTOP)
            member = subject.joined(group, topic)
            until(lambda: len(member.owned) == 2, member.poll)
            writer = subject.open().writer(fresh("writer"))
            writer.begin()
            writer.send([ProducerRecord(out, b"of the new owner")])
            writer.add_offsets({Partition(topic, 0): 2}, member.group_metadata)
            writer.commit()
            sleeper.send_signal(signal.SIGCONT)
            sleeper.stdin.write("\n")
            sleeper.stdin.flush()
            assert "AssignmentLostError\n" == sleeper.stdout.readline()
        finally:
            sleeper.kill()
    subject.open().writer(f"{group}-sleeper").close()
    assert {Partition(topic, 0): 2} == member.committed([Partition(topic, 0)])
    reader = start(subject, out)
    assert [b"of the new owner"] == [record.value for record in subjects.read_to_end(reader, [Partition(out, 0)])]


def test_a_static_member_keeps_its_partitions(subject: Subject) -> None:
    """A member that leaves and rejoins under the same name within the session has its partitions as before."""
    topic, group = subject.topic(4), fresh("group")
    other = subject.joined(group, topic, instance="b")
    first = subject.joined(group, topic, instance="a")
    until(lambda: len(first.owned) == len(other.owned) == 2, first.poll, other.poll)
    owned, generation = first.owned, other.generation
    first.leave()
    again = subject.joined(group, topic, instance="a")
    until(lambda: again.owned, again.poll, other.poll)
    assert owned == again.owned
    assert generation == other.generation, "the other member was not disturbed"


def test_added_partitions_are_assigned_whenever_a_poll_ends(subject: Subject, broker: TestBroker) -> None:
    """Polls of a millisecond end in the middle of the rebalance: the member finishes it nevertheless."""
    topic, group = subject.topic(1), fresh("group")
    short = TransportTimeouts(member_poll_s=0.001, partitions_age_s=0.5)
    member = subject.open_with(short).member(group, [topic], Revocations())
    member.join()

    def owns(n: int) -> Callable[[], bool]:
        return lambda: len(member.owned) == n

    try:
        until(lambda: member.owned, member.poll)
        for n in range(2, 5):
            with broker.admin() as admin:
                admin.create_partitions({topic: n})
            until(owns(n), member.poll)
    finally:
        member.leave()


def test_a_second_member_of_the_same_name_fences_the_first(subject: Subject) -> None:
    """Of two processes with one name only one may go on: the older one stops."""
    topic, group = subject.topic(2), fresh("group")
    first = subject.joined(group, topic, instance="a")
    until(lambda: first.owned, first.poll)
    second = subject.joined(group, topic, instance="a")
    until(lambda: second.owned, second.poll)
    with pytest.raises(FencedError):
        until(lambda: False, first.poll)


def test_a_transaction_that_takes_too_long(subject: Subject) -> None:
    """The broker aborts it, which is no reason to stop: the same writer begins another one."""
    topic = subject.topic()
    short = {"producer_transaction_timeout_ms": "1500", "producer_delivery_timeout_ms": "1500"}
    writer = subject.open(**short, producer_request_timeout_ms="1000").writer(fresh("writer"))
    writer.begin()
    writer.send([ProducerRecord(topic, b"late")])
    writer.flush()
    broker, partition = subject.open(), Partition(topic, 0)
    until(lambda: broker.bounds([partition])[partition].end > 0)  # the broker has aborted it

    def go_on() -> None:
        writer.send([ProducerRecord(topic, b"later")])
        writer.commit()

    with pytest.raises(TransportError) as caught:
        go_on()
    assert caught.value.retriable
    writer.abort()
    writer.begin()
    writer.send([ProducerRecord(topic, b"again")])
    writer.commit()
    reader = start(subject, topic)
    assert [b"again"] == [record.value for record in subjects.read_to_end(reader, [Partition(topic, 0)])]


def test_a_producer_discarded_amid_a_batch_leaves_nothing(own_broker: MakeBroker) -> None:
    """A failed writer ends its producer's thread, which kafka-python's own `close` leaves writing the rest."""
    broker = own_broker()
    made = subjects.kafka("kafka-python", broker)
    topic = made.topic()
    before = set(threading.enumerate())
    writer = made.open().writer(fresh("writer"))
    writer.begin()
    writer.send([ProducerRecord(topic, b"known")])
    writer.flush()
    broker.pause()
    try:
        time.sleep(0.5)  # it may still answer requests that it has received
        writer.send([ProducerRecord(topic, b"lost")])
        writer._transaction.failed()  # type: ignore[attr-defined]  # as after any error
        writer.close()
        until(lambda: not [each for each in set(threading.enumerate()) - before if is_a_sender(each)], lambda: None)
    finally:
        broker.resume()
    broker.wait_until_ready()
    assert [] == subjects.read_to_end(start(made, topic), [Partition(topic, 0)])
    made.close()


def is_a_sender(thread: threading.Thread) -> bool:
    """Return whether it is the thread of a kafka-python producer."""
    from kafka.producer.sender import Sender  # noqa: PLC0415 (here only)

    return isinstance(thread, Sender)


@pytest.mark.slow
def test_a_start_that_was_given_up_fences_no_other_writer(client: KafkaClient, own_broker: MakeBroker) -> None:
    """That holds also if a log keeps its errors, and with them their frames."""
    broker = own_broker()
    made = subjects.kafka(client, broker)
    topic, name = made.topic(), fresh("writer")
    short = {"producer_transaction_timeout_ms": "1500", "producer_delivery_timeout_ms": "1500"}
    given_up = made.open(**short, producer_request_timeout_ms="1000").writer(name)
    given_up.begin()
    given_up.send([ProducerRecord(topic, b"lost")])
    kept: list[TransportError] = []
    closed = threading.Event()

    def try_on() -> None:
        while not closed.is_set():
            try:
                given_up.begin()
                given_up.send([ProducerRecord(topic, b"lost")])
                given_up.commit()
            except TransportError as error:
                kept.append(error)
                given_up.abort()

    broker.pause()
    thread = threading.Thread(target=try_on)
    thread.start()
    until(lambda: len(kept) >= 3, lambda: None)
    closed.set()
    with contextlib.suppress(TransportError):
        given_up.close()
    broker.resume()
    broker.wait_until_ready()
    thread.join()
    writer = made.open().writer(name)
    for number in range(20):
        writer.begin()
        writer.send([ProducerRecord(topic, b"%d" % number)])
        writer.commit()
        time.sleep(0.1)
    written = subjects.read_to_end(start(made, topic), [Partition(topic, 0)])
    assert [b"%d" % number for number in range(20)] == [record.value for record in written]
    made.close()


# --- a broker that goes away


def test_no_broker_at_the_address(client: KafkaClient) -> None:
    """The error is retriable, and is raised within seconds."""
    began = time.monotonic()
    with pytest.raises(TransportError, match=r"127\.0\.0\.1:1\b") as caught:
        open_broker("kafka://127.0.0.1:1", client=client, config={})
    assert caught.value.retriable
    assert time.monotonic() - began < 15


@pytest.mark.slow
def test_a_broker_that_comes_back(client: KafkaClient, own_broker: MakeBroker) -> None:
    """While the broker is away, errors are retriable; afterwards the same parts go on where they were.

    The writer first aborts once more, as a service does: a single broker that was killed may end a transaction without
    a marker after its records (seen with Apache Kafka 4.3.1).
    """
    broker = own_broker()
    made = subjects.kafka(client, broker)
    topic, group = made.topic(), fresh("group")
    made.fill(topic, b"before")
    reader = start(made, topic)
    assert [b"before"] == [record.value for record in read(reader, 1)]
    member = made.joined(group, topic)
    until(lambda: member.owned, member.poll)
    # How long calls wait for a broker that is away; longer than the broker needs to start again.
    patient = {"producer_transaction_timeout_ms": "20000"}
    writer, partition = made.open(**patient).writer(fresh("writer")), Partition(topic, 0)
    writer.begin()
    writer.send([ProducerRecord(topic, b"lost")])
    writer.flush()
    broker.kill()

    def poll() -> None:
        reader.poll(10, 0.1)

    with pytest.raises(TransportError) as reading:
        until(lambda: False, poll)
    assert reading.value.retriable

    def write() -> None:
        writer.add_offsets({partition: 1}, member.group_metadata)
        writer.commit()

    with pytest.raises(TransportError) as writing:
        write()
    assert writing.value.retriable
    writer.abort()
    broker.start()

    def publish() -> bool:
        try:
            writer.begin()
            writer.write_empty([partition])
            writer.add_offsets({partition: 1}, member.group_metadata)
            writer.abort()
            writer.begin()
            writer.send([ProducerRecord(topic, b"after")])
            writer.add_offsets({partition: 1}, member.group_metadata)
            writer.commit()
        except (TransportError, AssignmentLostError):
            writer.abort()
            return False
        return True

    until(publish, lambda: patiently(member.poll), seconds=90)
    records: list[bytes] = []

    def read_records() -> None:
        records.extend(record.value for batch in reader.poll(10, 0.1).values() for record in batch)

    until(lambda: records, lambda: patiently(read_records))
    assert [b"after"] == records
    assert {partition: 1} == member.committed([partition])
    made.close()


def patiently(call: Any) -> None:
    """Call *call*, and ignore errors of the transport."""
    with contextlib.suppress(TransportError):
        call()


def test_bounds_keep_their_timeout_where_no_broker_answers(client: KafkaClient, own_broker: MakeBroker) -> None:
    """Both requests together: a caller that checks now and then must not hang with the broker."""
    broker = own_broker()
    made = subjects.kafka(client, broker)
    partition = Partition(made.topic(), 0)
    ours = made.open()
    assert (0, 0) == ours.bounds([partition])[partition]
    broker.kill()
    begun = time.monotonic()
    with pytest.raises(TransportError) as caught:
        ours.bounds([partition], 2.0)  # type: ignore[call-arg]  # of Kafka's brokers only
    assert caught.value.retriable
    assert time.monotonic() - begun < 2 + 3  # seconds that a busy machine may add
    made.close()


def test_a_topic_deleted_while_it_is_read(subject: Subject, broker: TestBroker) -> None:
    """A deleted topic is an error that is not retriable."""
    topic = subject.topic()
    subject.fill(topic, b"a")
    reader = start(subject, topic)
    read(reader, 1)
    with broker.admin() as admin:
        admin.delete_topics([topic])
    with pytest.raises(TransportError, match=topic) as caught:
        until(lambda: False, lambda: reader.poll(10, 0.1))
    assert not caught.value.retriable


def test_an_offset_before_what_retention_has_left(subject: Subject, broker: TestBroker) -> None:
    """For an offset before the first record, the error names the bounds, which the broker confirms."""
    topic = subject.topic()
    subject.fill(topic, *(b"%d" % i for i in range(10)))
    with broker.admin() as admin:
        from kafka import TopicPartition  # noqa: PLC0415 (here only)

        admin.delete_records({TopicPartition(topic, 0): 6})
    assert (6, 10) == subject.open().bounds([Partition(topic, 0)])[Partition(topic, 0)]
    reader = start(subject, topic, 2)
    with pytest.raises(LogChangedError, match=rf"{topic}-0: offset 2 .* 6 to 10") as caught:
        until(lambda: False, lambda: reader.poll(10, 0.1))
    error = caught.value
    assert (f"{topic}-0", 2, 6, 10) == (error.partition, error.offset, error.first, error.end)
    assert error.is_cut_off
    assert not error.retriable


def test_a_service_reads_on_after_what_retention_has_removed(subject: Subject, broker: TestBroker) -> None:
    """In several partitions at once the service reads all remaining records, and counts the lost ones."""
    topic = subject.topic(2)
    for place in range(20):
        subject.fill(topic, b"%d" % place, key=b"k%d" % place)
    ours = subject.open()
    bounds = ours.bounds(ours.partitions(topic))
    assert all(bound.end > 4 for bound in bounds.values())
    with broker.admin() as admin:
        from kafka import TopicPartition  # noqa: PLC0415 (here only)

        admin.delete_records({TopicPartition(*each): 3 for each in bounds})
    lost: list[int] = []
    batch_reader = BatchReader(
        ours.reader(),
        lambda records: DecodedRecords([Event("s", "i", record.offset) for record in records]),
        dict.fromkeys(bounds, 1),
        reports=Reports(lost.append),
    )
    batch_reader.own(dict.fromkeys(bounds, 1), NOT_A_MEMBER)
    found: list[tuple[int, int]] = []

    def poll() -> None:
        if (read := batch_reader.next(0.1)) is not None:
            found.extend((record.partition, record.offset) for record in read.batch.records)

    until(lambda: len(found) == 14, poll)
    assert sorted(found) == [(each.number, at) for each, bound in sorted(bounds.items()) for at in range(3, bound.end)]
    assert [2, 2] == lost


class in_background:  # noqa: N801 (used as a function)
    """A call on a thread of its own."""

    def __init__(self, call: Any) -> None:
        import threading  # noqa: PLC0415 (here only)

        self._results: list[Any] = []
        self._thread = threading.Thread(target=lambda: self._results.append(call()), daemon=True)
        self._thread.start()

    def result(self) -> Any:
        self._thread.join(subjects.PATIENCE_S)
        assert self._results, "it has not ended, or has failed"
        return self._results[0]
