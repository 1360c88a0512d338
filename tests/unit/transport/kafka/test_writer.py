"""What both Kafka writers do with errors of a transaction, on a fake client."""

from collections.abc import Callable
from typing import Any

import kafka.errors as python_errors
import pytest
from confluent_kafka import KafkaError, KafkaException

from stream_rec.errors import AssignmentLostError, FencedError, TransportError
from stream_rec.transport.broker import Partition, ProducerRecord
from stream_rec.transport.kafka.config import read_config
from stream_rec.transport.kafka.confluent.errors import LibrdkafkaErrors
from stream_rec.transport.kafka.confluent.writer import ConfluentWriter
from stream_rec.transport.kafka.kafka_python.errors import KafkaPythonErrors
from stream_rec.transport.kafka.kafka_python.internals import BoundedProducer
from stream_rec.transport.kafka.kafka_python.writer import PythonWriter
from stream_rec.transport.kafka.writer import KafkaWriter
from stream_rec.transport.timeouts import TransportTimeouts

CLICKS = Partition("clicks", 0)
TIMES = TransportTimeouts()
CALLS = ("begin_transaction", "send_offsets_to_transaction", "commit_transaction", "abort_transaction")


class FakeProducer:
    """Notes its calls; fails those that *failures* names, each once."""

    trouble = None

    def __init__(self, failures: dict[str, list[BaseException]], log: list[str]) -> None:
        self._failures = failures
        self._log = log

    def __getattr__(self, name: str) -> Callable[..., Any]:
        def call(*_: object, **__: object) -> int:
            if name in CALLS:
                self._log.append(name.partition("_")[0])
            if self._failures.get(name):
                raise self._failures[name].pop(0)
            return 0

        return call


class Confluent:
    """A writer on confluent-kafka, whose producers are fake."""

    timed_out = KafkaException(KafkaError(KafkaError._TIMED_OUT, "timed out", retriable=True))
    fenced = KafkaException(KafkaError(KafkaError._FENCED, "fenced"))
    lost = KafkaException(KafkaError(KafkaError.ILLEGAL_GENERATION, "gone on"))
    joined_again = KafkaException(KafkaError(KafkaError.FENCED_INSTANCE_ID, "joined again"))

    def writer(self, make: Callable[[], FakeProducer], timeouts: TransportTimeouts) -> KafkaWriter:
        errors = LibrdkafkaErrors(read_config({}))
        return ConfluentWriter(lambda *_: make(), "one", {}, lambda _: 1 << 20, errors, timeouts)


class Python:
    """A writer on kafka-python, whose producers are fake."""

    timed_out = python_errors.KafkaTimeoutError("timed out")
    fenced = python_errors.ProducerFencedError("fenced")
    lost = python_errors.IllegalGenerationError("gone on")
    joined_again = python_errors.FencedInstanceIdError("joined again")

    def writer(self, make: Callable[[], FakeProducer], timeouts: TransportTimeouts) -> KafkaWriter:
        errors = KafkaPythonErrors("b1:9092", read_config({}), timeouts)
        settings = PythonWriter.settings("one", {}, timeouts)
        return PythonWriter(lambda _: make(), settings, lambda _: 1 << 20, errors, timeouts)


class FakeWriter:
    """A writer, the calls of its producers, how many there were, and what is to fail."""

    def __init__(self, client: Confluent | Python, timeouts: TransportTimeouts = TIMES) -> None:
        self.client = client
        self.log: list[str] = []
        self.n_producers = 0
        self.failures: dict[str, list[BaseException]] = {}
        self.writer = client.writer(self._make, timeouts)

    def _make(self) -> FakeProducer:
        self.n_producers += 1
        return FakeProducer(self.failures, self.log)

    def fail(self, call: str, error: BaseException) -> None:
        self.failures.setdefault(call, []).append(error)


@pytest.fixture(params=[Confluent, Python])
def client(request: pytest.FixtureRequest) -> Confluent | Python:
    """One client after the other."""
    made: Confluent | Python = request.param()
    return made


def test_transactions_share_a_producer(client: Confluent | Python) -> None:
    """As long as none fails: committed, aborted and empty ones."""
    made = FakeWriter(client)
    for end in (made.writer.commit, made.writer.abort, made.writer.commit):
        made.writer.begin()
        end()
    made.writer.abort()
    assert ["begin", "commit", "begin", "abort", "begin", "commit"] == made.log, "nothing to abort at last"
    assert 1 == made.n_producers


def test_after_a_commit_in_doubt_the_producer_is_replaced(client: Confluent | Python) -> None:
    """`abort` does not ask the old one, which may be stuck: the start of the next one ends the transaction."""
    made = FakeWriter(client)
    made.writer.begin()
    made.fail("commit_transaction", client.timed_out)
    with pytest.raises(TransportError) as caught:
        made.writer.commit()
    assert caught.value.retriable
    made.writer.abort()
    assert 2 == made.n_producers
    made.writer.begin()
    made.writer.commit()
    assert ["begin", "commit", "begin", "commit"] == made.log


@pytest.mark.parametrize("reason", ["lost", "joined_again"])
def test_a_lost_membership_leaves_the_producer_as_it_was(client: Confluent | Python, reason: str) -> None:
    """The transaction is aborted, and the same producer begins the next one.

    A static member that has joined again is such a case: another process of the name would have fenced the producer.
    """
    made = FakeWriter(client)
    made.writer.begin()
    made.fail("send_offsets_to_transaction", getattr(client, reason))
    with pytest.raises(AssignmentLostError):
        made.writer.add_offsets({CLICKS: 1}, object())
    made.writer.abort()
    made.writer.begin()
    assert ["begin", "send", "abort", "begin"] == made.log
    assert 1 == made.n_producers


def test_an_abort_that_fails_is_left_to_the_next_producer(client: Confluent | Python) -> None:
    """The broker ends the transaction when that one starts."""
    made = FakeWriter(client)
    made.writer.begin()
    made.fail("abort_transaction", client.timed_out)
    made.writer.abort()
    assert 2 == made.n_producers
    made.writer.begin()
    assert 2 == made.n_producers
    assert ["begin", "abort", "begin"] == made.log


@pytest.mark.parametrize("code", [KafkaError._DESTROY_BROKER, KafkaError._NODE_UPDATE, KafkaError._WAIT_CACHE])
def test_a_broker_that_leaves_the_cluster_is_no_end(code: int) -> None:
    """What waited for it fails for now: librdkafka does not say of these errors that they may be tried again."""
    error = KafkaException(KafkaError(code, "the broker has gone"))
    found = LibrdkafkaErrors(read_config({})).translated(error, "adding offsets to a transaction")
    assert isinstance(found, TransportError)
    assert found.retriable


def test_a_fenced_abort_is_raised(client: Confluent | Python) -> None:
    """Another process uses the name: no producer is started against it, and closing asks nothing more."""
    made = FakeWriter(client)
    made.writer.begin()
    made.fail("abort_transaction", client.fenced)
    with pytest.raises(FencedError):
        made.writer.abort()
    made.writer.close()
    assert ["begin", "abort"] == made.log
    assert 1 == made.n_producers


def test_a_transaction_beyond_its_time_is_no_fencing(client: Confluent | Python) -> None:
    """The broker answers as if there were a newer writer; it is an error to try again after."""
    made = FakeWriter(client, TransportTimeouts(transaction_s=0.0))
    made.writer.begin()
    made.fail("commit_transaction", client.fenced)
    with pytest.raises(TransportError, match=r"took more than 0 s \(kafka.transaction.timeout.ms\)") as caught:
        made.writer.commit()
    assert caught.value.retriable


def test_a_closed_writer_starts_no_producer(client: Confluent | Python) -> None:
    """Each call says that it may be tried again, with another writer."""
    made = FakeWriter(client)
    made.writer.begin()
    made.writer.close()
    made.writer.close()
    for call in (made.writer.begin, lambda: made.writer.send([ProducerRecord("clicks", b"a")]), made.writer.commit):
        with pytest.raises(TransportError) as caught:
            call()
        assert caught.value.retriable
    made.writer.abort()
    assert ["begin", "abort"] == made.log


def test_a_call_amid_a_recovery_gets_the_reason_of_its_end() -> None:
    """After an error kafka-python asks for a new epoch, and meanwhile refuses each call for its state alone."""
    made = FakeWriter(Python())
    made.writer.begin()
    made.fail("send", python_errors.IllegalStateError("Cannot call send in state BUMPING_PRODUCER_EPOCH"))
    with pytest.raises(TransportError, match="BUMPING_PRODUCER_EPOCH") as caught:
        made.writer.send([ProducerRecord("recs", b"{}")])
    assert caught.value.retriable


@pytest.mark.parametrize("end", [None, python_errors.ProducerFencedError("fenced")])
def test_trouble_waits_for_a_new_epoch(end: python_errors.ProducerFencedError | None) -> None:
    """Its answer says whether another writer has the name."""

    class Manager:
        last_error: BaseException | None = python_errors.InvalidProducerEpochError("the reason to ask")
        looks = 0

        def is_bumping_epoch(self) -> bool:
            self.looks += 1
            if self.looks > 3:
                self.last_error = end
            return self.looks <= 3

    producer = object.__new__(BoundedProducer)
    producer._transaction_manager, producer._poll_s, producer.config = Manager(), 0.001, {"max_block_ms": 30_000}
    assert producer.trouble is end
