"""Writers and members on a fake client, for what no real broker does on request."""

import threading
from collections.abc import Callable
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException, TopicPartition

from stream_rec.errors import RecordTooLargeError, SettingsError, TransportError
from stream_rec.transport.broker import Partition, ProducerRecord, Writer
from stream_rec.transport.kafka.config import read_config
from stream_rec.transport.kafka.confluent.errors import LibrdkafkaErrors, Trouble
from stream_rec.transport.kafka.confluent.member import ConfluentMember
from stream_rec.transport.kafka.confluent.writer import ConfluentWriter
from stream_rec.transport.kafka.kafka_python.errors import KafkaPythonErrors
from stream_rec.transport.kafka.kafka_python.writer import PythonWriter
from stream_rec.transport.kafka.record_size import record_bytes
from stream_rec.transport.timeouts import TransportTimeouts

HANDSHAKE = KafkaError(KafkaError._SSL, "b1:9093: SSL handshake failed: Disconnected")
CLICKS = Partition("clicks", 0)
TIMES = TransportTimeouts()


def timed_out(*_: object) -> None:
    raise KafkaException(KafkaError(KafkaError._TIMED_OUT, "Local: Timed out", retriable=True))


class FakeClient:
    """Each call does what *calls* has under its name; all others do nothing."""

    trouble = None

    def __init__(self, **calls: Callable[..., Any]) -> None:
        self.calls = calls
        self.log: list[str] = []

    def __getattr__(self, name: str) -> Callable[..., Any]:
        def call(*arguments: Any, **others: Any) -> Any:
            self.log.append(name)
            does = self.calls.get(name)
            return None if does is None else does(*arguments, **others)

        return call


class TestTrouble:
    """Why librdkafka cannot connect, remembered until it can."""

    def test_of_a_writer(self) -> None:
        """A timeout is explained by the handshake that has failed before it, but not once a commit has succeeded."""
        client, troubles = FakeClient(flush=lambda _: 0), []

        def make(_: object, trouble: Trouble) -> FakeClient:
            troubles.append(trouble)
            return client

        writer = ConfluentWriter(make, "one", {}, lambda _: 1 << 20, LibrdkafkaErrors(read_config({})), TIMES)
        troubles[-1](HANDSHAKE)
        writer.begin()
        writer.commit()
        writer.begin()
        client.calls["commit_transaction"] = timed_out
        with pytest.raises(TransportError) as passing:
            writer.commit()
        assert passing.value.retriable
        troubles[-1](HANDSHAKE)
        client.calls["begin_transaction"] = timed_out
        with pytest.raises(SettingsError, match="SSL handshake failed"):
            writer.begin()

    def test_of_a_member(self) -> None:
        """The same, by the group's offsets."""
        errors, at_once = LibrdkafkaErrors(read_config({})), TransportTimeouts(answer_s=0.0)
        client, trouble = FakeClient(committed=lambda *_, **__: [TopicPartition("clicks", 0, 7)]), Trouble()
        member = ConfluentMember(client, ["clicks"], lambda *_: None, errors, trouble, at_once)
        trouble(HANDSHAKE)
        assert {CLICKS: 7} == member.committed([CLICKS])
        client.calls["committed"] = lambda *_, **__: timed_out()
        with pytest.raises(TransportError):
            member.committed([CLICKS])
        trouble(HANDSHAKE)
        with pytest.raises(SettingsError, match="SSL handshake failed"):
            member.committed([CLICKS])

    @pytest.mark.parametrize("scheme", ["", "ssl://"])
    def test_of_an_address_that_a_broker_named(self, scheme: str) -> None:
        """Such an address has the number of its broker behind it; one of the settings has none."""
        trouble = Trouble()
        for text in (
            f"{scheme}localhost:9092/bootstrap: Connect to ipv4#127.0.0.1:9092 failed: Connection refused",
            f"{scheme}inner-1:9093/17: Failed to resolve 'inner-1:9093': Name or service not known",
            f"{scheme}[::1]:9094/2: Connect to ipv6#[::1]:9094 failed: Connection refused",
            "2/2 brokers are down",
        ):
            trouble(KafkaError(KafkaError._TRANSPORT, text))
        assert {("inner-1", 9093), ("::1", 9094)} == trouble.advertised


def confluent_writer(client: FakeClient) -> Writer:
    return ConfluentWriter(lambda *_: client, "one", {}, lambda _: 1 << 20, LibrdkafkaErrors(read_config({})), TIMES)


def python_writer(client: FakeClient) -> Writer:
    errors = KafkaPythonErrors("b1:9092", read_config({}), TIMES)
    return PythonWriter(lambda _: client, PythonWriter.settings("one", {}, TIMES), lambda _: 1 << 20, errors, TIMES)


@pytest.mark.parametrize("make", [confluent_writer, python_writer])
class TestClosing:
    """A writer that is closed by another thread than the one that writes."""

    def test_a_commit_under_way_is_not_aborted(self, make: Callable[[FakeClient], Writer]) -> None:
        """The client would answer with an error, and an orderly stop would fail with it."""
        begun, let_go, ended = threading.Event(), threading.Event(), []

        def commit(*_: object) -> None:
            begun.set()
            let_go.wait(30.0)
            ended.append(True)

        client = FakeClient(commit_transaction=commit, flush=lambda *_, **__: 0)
        writer = make(client)
        writer.begin()
        publisher = threading.Thread(target=writer.commit)
        publisher.start()
        assert begun.wait(30.0)
        writer.close()
        assert "abort_transaction" not in client.log
        let_go.set()
        publisher.join(30.0)
        assert [True] == ended

    def test_between_two_calls_it_aborts(self, make: Callable[[FakeClient], Writer]) -> None:
        """The next call of the thread that writes raises an error that says that the writer was closed."""
        client = FakeClient(flush=lambda *_, **__: 0)
        writer = make(client)
        writer.begin()
        writer.close()
        assert "abort_transaction" in client.log
        with pytest.raises(TransportError) as caught:
            writer.add_offsets({CLICKS: 1}, object())
        assert caught.value.retriable

    def test_what_it_has_dropped_has_not_arrived(self, make: Callable[[FakeClient], Writer]) -> None:
        """A flush under way must not take the silence for success."""
        begun, let_go, errors = threading.Event(), threading.Event(), []

        def flush(*_: object, **__: object) -> int:
            begun.set()
            let_go.wait(30.0)
            return 0

        client = FakeClient(flush=flush)
        writer = make(client)

        def write() -> None:
            try:
                writer.flush()
            except TransportError as error:
                errors.append(error)

        publisher = threading.Thread(target=write)
        publisher.start()
        assert begun.wait(30.0)
        client.calls["flush"] = lambda *_, **__: 0
        writer.close()
        let_go.set()
        publisher.join(30.0)
        assert [True] == [error.retriable for error in errors]


class FakeTopic:
    """A producer of librdkafka, and its topic: each flush is one batch, which the topic accepts or refuses."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.batches: list[int] = []
        self.written: list[ProducerRecord] = []
        self._waiting: list[ProducerRecord] = []
        self._on_delivery: Callable[[KafkaError, object], None] = lambda *_: None

    def make(self, settings: Any, _: Trouble) -> FakeClient:
        self._on_delivery = settings["on_delivery"]
        self._waiting = []
        return FakeClient(produce=self._produce, flush=self._flush, purge=self._waiting.clear)

    def _produce(self, topic: str, value: bytes, key: bytes, headers: Any = ()) -> None:
        self._waiting.append(ProducerRecord(topic, value, key, tuple(headers)))

    def _flush(self, _: float) -> int:
        batch, self._waiting = self._waiting, []
        size = sum(map(record_bytes, batch))
        self.batches.append(size)
        if size > self.limit:
            for each in batch:
                self._on_delivery(KafkaError(KafkaError.MSG_SIZE_TOO_LARGE, "too large"), RefusedMessage(each))
        else:
            self.written += batch
        return 0


class RefusedMessage:
    """A message as a delivery report has it: without its headers."""

    def __init__(self, record: ProducerRecord) -> None:
        self.topic, self.value, self.key = (lambda: record.topic), (lambda: record.value), (lambda: record.key)


def records(*sizes: int) -> list[ProducerRecord]:
    return [ProducerRecord("dead", b"%d" % place + b"x" * size, b"k") for place, size in enumerate(sizes)]


def writer_to(topic: FakeTopic, largest_record: int, given: dict[str, str] | None = None) -> ConfluentWriter:
    return ConfluentWriter(
        topic.make, "one", given or {}, lambda _: largest_record, LibrdkafkaErrors(read_config({})), TIMES
    )


def written(writer: ConfluentWriter, wanted: list[ProducerRecord]) -> int:
    """Write in transactions until one is committed, as a service does; return how many it took."""
    for n in range(1, 20):
        writer.begin()
        try:
            writer.send(wanted)
            writer.commit()
        except TransportError as error:
            if not error.retriable:
                raise
            writer.abort()
        else:
            return n
    raise AssertionError("it does not end")


class TestBatchLimits:
    """librdkafka fills batches up to one size, whatever a topic accepts, and splits none."""

    def test_a_topic_with_a_low_limit_gets_less_at_a_time(self) -> None:
        """All arrives at the first try, in order, in batches that are as large as they may be."""
        topic, wanted = FakeTopic(10_000), records(*[400] * 100)
        writer = writer_to(topic, 10_000)
        writer.begin()
        writer.send(wanted[:50])
        writer.send(wanted[50:])
        writer.flush()
        assert wanted == topic.written
        assert max(topic.batches) <= 10_000
        assert len(topic.batches) < 10

    def test_a_topic_with_a_high_limit_is_written_to_without_a_wait(self) -> None:
        """All records are one batch."""
        topic = FakeTopic(1 << 20)
        assert 1 == written(writer_to(topic, 1 << 20), records(*[400] * 100))
        assert 1 == len(topic.batches)

    def test_an_unknown_limit_is_learned_from_refusals(self) -> None:
        """Each refusal halves the limit, which stays so."""
        topic, wanted = FakeTopic(10_000), records(*[400] * 100)
        writer = writer_to(topic, 1 << 20)
        assert 1 < written(writer, wanted) < 6
        assert wanted == topic.written
        assert 1 == written(writer, wanted)

    def test_the_one_that_is_too_large_is_found(self) -> None:
        """By its index in what was sent, whether the topic's limit was known or not."""
        for known in (1000, 1 << 20):
            writer = writer_to(FakeTopic(1000), known, {"compression.type": "gzip"})
            with pytest.raises(RecordTooLargeError) as caught:
                written(writer, records(10, 20, 300, 1500, 30))
            assert 3 == caught.value.place
            assert caught.value.size > 1500

    def test_one_of_an_earlier_call_has_no_index(self) -> None:
        """The error names no index, rather than that of another record."""
        writer = writer_to(FakeTopic(1000), 1000, {"compression.type": "gzip"})
        writer.begin()
        writer.send(records(1500))
        with pytest.raises(TransportError, match="before") as caught:
            writer.send(records(10, 20))
        assert not isinstance(caught.value, RecordTooLargeError)
