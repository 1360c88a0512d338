"""Parts of Kafka's clients on a client that is none, for what no broker does when it is asked to."""

import threading
from collections.abc import Callable
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException, TopicPartition

from stream_rec.errors import SettingsError, TransportError
from stream_rec.transport.broker import Partition, Writer
from stream_rec.transport.kafka import _python_errors
from stream_rec.transport.kafka._config import read_config
from stream_rec.transport.kafka._confluent_errors import Translator, Trouble
from stream_rec.transport.kafka._confluent_member import ConfluentMember
from stream_rec.transport.kafka._confluent_writer import ConfluentWriter
from stream_rec.transport.kafka._python_writer import PythonWriter

HANDSHAKE = KafkaError(KafkaError._SSL, "b1:9093: SSL handshake failed: Disconnected")
CLICKS = Partition("clicks", 0)


def timed_out(*_: object) -> None:
    raise KafkaException(KafkaError(KafkaError._TIMED_OUT, "Local: Timed out", retriable=True))


class Client:
    """Does what it is told to by name, and nothing else."""

    config = PythonWriter.settings("one", {}) | {"compression_type": None}
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
        client, told = Client(flush=lambda _: 0), []

        def make(_: object, trouble: Trouble) -> Client:
            told.append(trouble)
            return client

        writer = ConfluentWriter(make, "one", {}, lambda _: 1 << 20, Translator(read_config({})))
        told[-1](HANDSHAKE)
        writer.begin()
        writer.commit()
        writer.begin()
        client.calls["commit_transaction"] = timed_out
        with pytest.raises(TransportError) as passing:
            writer.commit()
        assert passing.value.retriable
        told[-1](HANDSHAKE)
        client.calls["begin_transaction"] = timed_out
        with pytest.raises(SettingsError, match="SSL handshake failed"):
            writer.begin()

    def test_of_a_seat(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """The same, by the group's positions."""
        monkeypatch.setattr("stream_rec.transport.kafka._confluent_member._ANSWER_S", 0.0)
        client, trouble = Client(committed=lambda *_, **__: [TopicPartition("clicks", 0, 7)]), Trouble()
        member = ConfluentMember(client, ["clicks"], lambda *_: None, Translator(read_config({})), trouble)
        trouble(HANDSHAKE)
        assert {CLICKS: 7} == member.committed([CLICKS])
        client.calls["committed"] = lambda *_, **__: timed_out()
        with pytest.raises(TransportError):
            member.committed([CLICKS])
        trouble(HANDSHAKE)
        with pytest.raises(SettingsError, match="SSL handshake failed"):
            member.committed([CLICKS])


def confluent_writer(client: Client) -> Writer:
    return ConfluentWriter(lambda *_: client, "one", {}, lambda _: 1 << 20, Translator(read_config({})))


def python_writer(client: Client) -> Writer:
    errors = _python_errors.Translator("b1:9092", read_config({}))
    return PythonWriter(lambda _: client, lambda _: 1 << 20, errors)


@pytest.mark.parametrize("make", [confluent_writer, python_writer])
class TestClosing:
    """A writer that is closed by another thread than the one that writes."""

    def test_a_commit_is_not_aborted_under_way(self, make: Callable[[Client], Writer]) -> None:
        """The client takes no second word, and says so as an error, which would be that of an orderly stop."""
        begun, let_go, ended = threading.Event(), threading.Event(), []

        def commit(*_: object) -> None:
            begun.set()
            let_go.wait(30.0)
            ended.append(True)

        client = Client(commit_transaction=commit, flush=lambda *_, **__: 0)
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

    def test_between_two_calls_it_is(self, make: Callable[[Client], Writer]) -> None:
        """And whoever goes on with it then is told that it was closed."""
        client = Client(flush=lambda *_, **__: 0)
        writer = make(client)
        writer.begin()
        writer.close()
        assert "abort_transaction" in client.log
        with pytest.raises(TransportError) as caught:
            writer.add_positions({CLICKS: 1}, object())
        assert caught.value.retriable

    def test_what_it_threw_away_has_not_arrived(self, make: Callable[[Client], Writer]) -> None:
        """Whoever waits for it in a flush must not take the silence for success."""
        begun, let_go, told = threading.Event(), threading.Event(), []

        def flush(*_: object, **__: object) -> int:
            begun.set()
            let_go.wait(30.0)
            return 0

        client = Client(flush=flush)
        writer = make(client)

        def write() -> None:
            try:
                writer.flush()
            except TransportError as error:
                told.append(error)

        publisher = threading.Thread(target=write)
        publisher.start()
        assert begun.wait(30.0)
        client.calls["flush"] = lambda *_, **__: 0
        writer.close()
        let_go.set()
        publisher.join(30.0)
        assert [True] == [error.retriable for error in told]
