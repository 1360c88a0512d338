"""Parts of Kafka's clients on a client that is none, for what no broker does when it is asked to."""

from collections.abc import Callable
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException, TopicPartition

from stream_rec.errors import SettingsError, TransportError
from stream_rec.transport.broker import Partition
from stream_rec.transport.kafka._config import read_config
from stream_rec.transport.kafka._confluent_errors import Translator, Trouble
from stream_rec.transport.kafka._confluent_member import ConfluentMember
from stream_rec.transport.kafka._confluent_writer import ConfluentWriter

HANDSHAKE = KafkaError(KafkaError._SSL, "b1:9093: SSL handshake failed: Disconnected")
CLICKS = Partition("clicks", 0)


def timed_out(*_: object) -> None:
    raise KafkaException(KafkaError(KafkaError._TIMED_OUT, "Local: Timed out", retriable=True))


class Client:
    """Does what it is told to by name, and nothing else."""

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
