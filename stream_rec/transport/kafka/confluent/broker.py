"""The broker as confluent-kafka (librdkafka) shows it: topics, bounds, and the parts that read, sit in groups, write.

Each part has connections and threads of its own; what is asked about topics goes through one admin client, which any
thread may use.
"""

import contextlib
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from concurrent.futures import Future
from typing import Final

from confluent_kafka import (
    Consumer,
    ConsumerGroupTopicPartitions,
    IsolationLevel,
    KafkaError,
    KafkaException,
    Producer,
    TopicCollection,
    TopicPartition,
)
from confluent_kafka.admin import AdminClient, ConfigResource, NewTopic, OffsetSpec

from stream_rec.errors import SettingsError, TransportError
from stream_rec.transport.broker import Bounds, OnRevoked, Partition, TopicSpec
from stream_rec.transport.kafka.config import Config, Role
from stream_rec.transport.kafka.confluent.config import confluent_settings, refused
from stream_rec.transport.kafka.confluent.errors import LibrdkafkaErrors, Trouble, Untyped, log
from stream_rec.transport.kafka.confluent.member import ConfluentMember
from stream_rec.transport.kafka.confluent.reader import ConfluentReader
from stream_rec.transport.kafka.confluent.writer import ConfluentWriter

__all__ = ["ConfluentBroker"]

_ANSWER_S: Final = 10.0
_FIRST_ANSWER_S: Final = 5.0
_LOOK_FIRST_S: Final = 0.5
_LOOK_S: Final = 0.05
_GRACE_S: Final = 1.0
_COMMON: Final = {
    "client.id": "stream-rec",
    "reconnect.backoff.max.ms": 1000,
    "socket.connection.setup.timeout.ms": 10_000,
}
_MAKES: Final[Mapping[Role, Callable[..., Untyped]]] = {
    "consumer": Consumer,
    "producer": Producer,
    "admin": AdminClient,
}


class ConfluentBroker:
    """See `Broker`. Connects at once, so that a wrong setting shows at once."""

    def __init__(self, servers: str, config: Config) -> None:
        self.errors = LibrdkafkaErrors(config)
        self._config = config
        self._servers = servers
        self._limits: dict[str, int] = {}
        self._trouble = Trouble()
        self._admin = self._made("admin", {}, self._trouble)
        with self.errors.during(f"{servers} cannot be reached", self._trouble):
            self._connect()

    def __repr__(self) -> str:
        return f"ConfluentBroker({self._servers!r})"

    def _connect(self) -> None:
        """Wait for the first answer, though not where the reason that there is none is known."""
        until = time.monotonic() + _FIRST_ANSWER_S
        while True:
            try:
                self._admin.list_topics(timeout=_LOOK_FIRST_S)
            except KafkaException:
                if time.monotonic() > until or self._trouble.connection is not None:
                    raise
                self._admin.poll(0)
            else:
                self._trouble.is_over()
                return

    def partitions(self, topic: str, within_s: float = _ANSWER_S) -> list[Partition]:
        """As the broker has them now."""
        asked = self._admin.describe_topics(TopicCollection([topic]), request_timeout=within_s)
        try:
            described = self._answer(asked[topic], f"the topic {topic!r}", within_s)
        except _NoSuchThingError:
            return []
        return [Partition(topic, number) for number in sorted(each.id for each in described.partitions)]

    def create_topics(self, topics: Sequence[TopicSpec]) -> None:
        """One by one, so that one that is there already is no obstacle to the others."""
        for topic in topics:
            what = f"the topic {topic.name!r} cannot be made"
            try:
                self._answer(
                    self._admin.create_topics([_described(topic)], request_timeout=_ANSWER_S)[topic.name], what
                )
            except _NoSuchThingError as error:
                raise TransportError(f"{what}: {error}") from None
            self._await_topic(topic.name)

    def _await_topic(self, name: str) -> None:
        """A new topic is known to the brokers a little later than to whoever made it."""
        until = time.monotonic() + _ANSWER_S
        while not self.partitions(name):
            if time.monotonic() > until:
                raise TransportError(f"the topic {name!r} was made, but does not show", retriable=True)
            time.sleep(_LOOK_S)

    def bounds(self, partitions: Iterable[Partition], within_s: float = _ANSWER_S) -> dict[Partition, Bounds]:
        """Two questions to each leader, both *within_s*. The end is that of what is committed."""
        asked = list(partitions)
        if not asked:
            return {}
        until = time.monotonic() + within_s
        first, end = (self._settled(asked, spec, until) for spec in (OffsetSpec.earliest(), OffsetSpec.latest()))
        return {each: Bounds(first[each], end[each]) for each in asked}

    def _settled(self, asked: Sequence[Partition], spec: OffsetSpec, until: float) -> dict[Partition, int]:
        """Ask again where a leader has changed, or is new: unlike for everything else, the client does not."""
        ask_until = (time.monotonic() + until) / 2
        while True:
            try:
                return self._offsets(asked, spec, max(_LOOK_FIRST_S, until - time.monotonic()))
            except TransportError as error:
                if not error.retriable:
                    raise
                if time.monotonic() > ask_until:
                    if isinstance(error, _NoLeaderError):
                        self._refuse_missing(asked, max(_LOOK_FIRST_S, until - time.monotonic()))
                    raise
                # Its own idea of who leads what is minutes old; this question renews it.
                with contextlib.suppress(KafkaException):
                    self._admin.list_topics(timeout=_LOOK_FIRST_S)
                time.sleep(_LOOK_S)

    def _refuse_missing(self, partitions: Iterable[Partition], within_s: float) -> None:
        """That nobody leads a partition is for now, where the topic is there; else it will stay so."""
        for topic in sorted({each.topic for each in partitions}):
            if not self.partitions(topic, within_s):
                raise TransportError(f"there is no topic {topic!r}")

    def _offsets(self, asked: Sequence[Partition], spec: OffsetSpec, within_s: float) -> dict[Partition, int]:
        until = time.monotonic() + within_s
        answers = self._admin.list_offsets(
            {TopicPartition(*each): spec for each in asked},
            isolation_level=IsolationLevel.READ_COMMITTED,
            request_timeout=within_s,
        )
        found = {}
        for theirs, answer in answers.items():
            partition = Partition(theirs.topic, theirs.partition)
            try:
                found[partition] = self._answer(answer, str(partition), until - time.monotonic()).offset
            except _NoSuchThingError:
                raise TransportError(f"{partition}: there is no such partition") from None
        return found

    def group_offsets(self, group: str, partitions: Collection[Partition]) -> dict[Partition, int]:
        """The admin client asks for what is committed, whatever is under way."""
        asked = ConsumerGroupTopicPartitions(group, [TopicPartition(*each) for each in partitions])
        answers = self._admin.list_consumer_group_offsets([asked], require_stable=False, request_timeout=_ANSWER_S)
        found = self._answer(answers[group], f"the offsets of the group {group!r}").topic_partitions
        return {Partition(each.topic, each.partition): each.offset for each in found if each.offset >= 0}

    def largest_record(self, topic: str) -> int:
        """The bytes that *topic* takes at a time. Raises TransportError if there is no such topic."""
        if topic not in self._limits:
            if not self.partitions(topic):
                raise TransportError(
                    f"there is no topic {topic!r} to write to; make it, or let --create-topics make it"
                )
            resource = ConfigResource(ConfigResource.Type.TOPIC, topic)
            answer = self._admin.describe_configs([resource], request_timeout=_ANSWER_S)[resource]
            try:
                self._limits[topic] = int(self._answer(answer, f"the topic {topic!r}")["max.message.bytes"].value)
            except SettingsError:
                # Writing does not ask for the right to see this, and the broker still refuses what is too large.
                self._limits[topic] = 1 << 20
        return self._limits[topic]

    def reader(self) -> ConfluentReader:
        """A consumer that joins no group, though the client wants one to be named."""
        trouble = Trouble()
        consumer = self._made("consumer", ConfluentReader.SETTINGS, trouble)
        return ConfluentReader(consumer, self.bounds, self.errors, trouble)

    def member(
        self, group: str, topics: Sequence[str], on_revoked: OnRevoked, *, instance: str | None = None
    ) -> ConfluentMember:
        """A consumer with a group, which fetches nothing."""
        trouble = Trouble()
        consumer = self._made("consumer", ConfluentMember.settings(group, instance), trouble)
        return ConfluentMember(consumer, topics, on_revoked, self.errors, trouble)

    def writer(self, transactional_id: str | None) -> ConfluentWriter:
        """A producer; connects at once, and aborts what the same id has left open."""
        return ConfluentWriter(
            lambda settings, trouble: self._made("producer", settings, trouble),
            transactional_id,
            confluent_settings(self._config, "producer"),
            self.largest_record,
            self.errors,
        )

    def group_metadata(self, group: str) -> object:
        """The client gives identities to consumers only, so one is made, which joins nothing."""
        consumer = self._made("consumer", {"group.id": group}, Trouble())
        try:
            return consumer.consumer_group_metadata()
        finally:
            consumer.close()

    def close(self) -> None:
        """The admin client goes with its last reference; the parts are closed by who has them."""

    def _made(self, role: Role, ours: Mapping[str, object], trouble: Trouble) -> Untyped:
        """*ours* gives way to the operator's own, of which those that are not to be set have been refused."""
        settings = {
            **_COMMON,
            **ours,
            **confluent_settings(self._config, role),
            "bootstrap.servers": self._servers,
            "error_cb": trouble,
        }
        try:
            return _MAKES[role](settings, logger=log)
        except KafkaException as error:
            raise refused(self._config, role, error.args[0].str()) from None

    def _answer(self, future: "Future[Untyped]", what: str, within_s: float = _ANSWER_S) -> Untyped:
        """What *future* brings. The client keeps to the times that it is given only while it is connected."""
        with self.errors.during(what, self._trouble):
            try:
                answer = future.result(timeout=max(0.0, within_s) + _GRACE_S)
            except TimeoutError:
                raise TransportError(f"{what}: no answer", retriable=True) from None
            except KafkaException as error:
                code = error.args[0].code()
                if code == KafkaError.TOPIC_ALREADY_EXISTS:
                    return None
                if code == _NO_LEADER:
                    raise _NoLeaderError(f"{what}: {error.args[0].str()}", retriable=True) from None
                if code in _NO_SUCH_THING:
                    raise _NoSuchThingError(error.args[0].str()) from None
                if code in _WRONG_SHAPE:
                    raise SettingsError("create_topics", f"{what}: {error.args[0].str()}") from None
                raise
            self._trouble.is_over()
            return answer


class _NoLeaderError(TransportError):
    """Nobody leads a partition now: its broker is away, or its topic has gone."""


class _NoSuchThingError(Exception):
    """The broker says that there is no such topic or partition."""


_NO_SUCH_THING: Final = frozenset({
    KafkaError.UNKNOWN_TOPIC_OR_PART,
    KafkaError._UNKNOWN_TOPIC,  # noqa: SLF001 (their name for what librdkafka finds itself)
    KafkaError._UNKNOWN_PARTITION,  # noqa: SLF001
})  # fmt: skip
_NO_LEADER: Final = KafkaError._NOENT  # noqa: SLF001
_WRONG_SHAPE: Final = frozenset({KafkaError.INVALID_REPLICATION_FACTOR, KafkaError.INVALID_PARTITIONS})


def _described(topic: TopicSpec) -> NewTopic:
    retention = {} if topic.retention_ms is None else {"retention.ms": str(topic.retention_ms)}
    return NewTopic(topic.name, topic.partitions or -1, topic.replication or -1, config=retention)
