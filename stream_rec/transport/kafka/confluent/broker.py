"""The broker by confluent-kafka (librdkafka): topics, bounds, and its readers, members and writers.

Each of these has connections and threads of its own; requests about topics go through one admin client, which any
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
from stream_rec.transport.kafka.confluent.errors import LibrdkafkaErrors, Trouble, log
from stream_rec.transport.kafka.confluent.member import ConfluentMember
from stream_rec.transport.kafka.confluent.reader import ConfluentReader
from stream_rec.transport.kafka.confluent.writer import ConfluentWriter
from stream_rec.transport.kafka.reach import refuse_unreachable, why_unreachable
from stream_rec.transport.kafka.record_size import RecordLimits
from stream_rec.transport.kafka.untyped import Untyped
from stream_rec.transport.timeouts import TransportTimeouts, milliseconds

__all__ = ["ConfluentBroker"]

_MAKES: Final[Mapping[Role, Callable[..., Untyped]]] = {
    "consumer": Consumer,
    "producer": Producer,
    "admin": AdminClient,
}


class ConfluentBroker:
    """See `Broker`. Connects at once, so that a wrong setting shows at once."""

    def __init__(self, servers: str, config: Config, timeouts: TransportTimeouts) -> None:
        self.errors = LibrdkafkaErrors(config)
        self._config = config
        self._servers = servers
        self._timeouts = timeouts
        self._record_limits = RecordLimits(self.partitions, self._max_message_bytes)
        self._trouble = Trouble()
        self._admin = self._made("admin", {}, self._trouble)
        try:
            with self.errors.during(f"{servers} cannot be reached", self._trouble):
                advertised = self._connect()
        except TransportError as error:
            if not error.retriable:
                raise
            # It may ask the addresses that it was sent on to, and never get its answer.
            refuse_unreachable(servers, sorted(self._trouble.advertised), timeouts.diagnosis_s)
            why = why_unreachable(servers, config.get("security.protocol"), timeouts.diagnosis_s)
            raise TransportError(f"{servers} cannot be reached: {why}", retriable=True) from None
        refuse_unreachable(servers, advertised, timeouts.diagnosis_s)

    def __repr__(self) -> str:
        return f"ConfluentBroker({self._servers!r})"

    def _connect(self) -> list[tuple[str, int]]:
        """Wait for the first answer, or until the reason why there is none is known.

        Return the addresses at which the brokers say that they are to be reached.
        """
        until = time.monotonic() + self._timeouts.first_answer_s
        while True:
            try:
                found = self._admin.list_topics(timeout=self._timeouts.metadata_try_s)
            except KafkaException:
                if time.monotonic() > until or self._trouble.connection is not None:
                    raise
                self._admin.poll(0)
            else:
                self._trouble.clear()
                return [(each.host, each.port) for each in found.brokers.values()]

    def partitions(self, topic: str, within_s: float | None = None) -> list[Partition]:
        """As the broker has them now."""
        within_s = self._timeouts.answer_s if within_s is None else within_s
        asked = self._admin.describe_topics(TopicCollection([topic]), request_timeout=within_s)
        try:
            described = self._answer(asked[topic], f"the topic {topic!r}", within_s)
        except _NoSuchThingError:
            return []
        return [Partition(topic, number) for number in sorted(each.id for each in described.partitions)]

    def create_topics(self, topics: Sequence[TopicSpec]) -> None:
        """One by one, so that one that is there already is no obstacle to the others."""
        for topic in topics:
            what = f"the topic {topic.name!r} cannot be created"
            answers = self._admin.create_topics([_described(topic)], request_timeout=self._timeouts.answer_s)
            try:
                self._answer(answers[topic.name], what, self._timeouts.answer_s)
            except _NoSuchThingError as error:
                raise TransportError(f"{what}: {error}") from None
            self._await_topic(topic.name)

    def _await_topic(self, name: str) -> None:
        """The broker that created a topic knows it a little earlier than the others."""
        until = time.monotonic() + self._timeouts.answer_s
        while not self.partitions(name):
            if time.monotonic() > until:
                raise TransportError(f"the topic {name!r} was created, but does not show", retriable=True)
            time.sleep(self._timeouts.topic_poll_s)

    def bounds(self, partitions: Iterable[Partition], within_s: float | None = None) -> dict[Partition, Bounds]:
        """Two requests to each leader, both *within_s*. The end is that of the committed records."""
        asked = list(partitions)
        if not asked:
            return {}
        until = time.monotonic() + (self._timeouts.answer_s if within_s is None else within_s)
        first, end = (
            self._offsets_of_leaders(asked, spec, until) for spec in (OffsetSpec.earliest(), OffsetSpec.latest())
        )
        return {each: Bounds(first[each], end[each]) for each in asked}

    def _offsets_of_leaders(self, asked: Sequence[Partition], spec: OffsetSpec, until: float) -> dict[Partition, int]:
        """Ask again where a leader has changed, or is new: this is the one request that the client does not repeat."""
        ask_until = (time.monotonic() + until) / 2
        try_s = self._timeouts.metadata_try_s
        while True:
            try:
                return self._offsets(asked, spec, max(try_s, until - time.monotonic()))
            except TransportError as error:
                if not error.retriable:
                    raise
                if time.monotonic() > ask_until:
                    if isinstance(error, _NoLeaderError):
                        self._refuse_missing(asked, max(try_s, until - time.monotonic()))
                    raise
                # What it knows about leaders may be minutes old; this request renews it.
                with contextlib.suppress(KafkaException):
                    self._admin.list_topics(timeout=self._timeouts.metadata_try_s)
                time.sleep(self._timeouts.topic_poll_s)

    def _refuse_missing(self, partitions: Iterable[Partition], within_s: float) -> None:
        """A partition without a leader will have one, if its topic exists; else it never will."""
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
        """The admin client does not wait for open transactions."""
        return {each: theirs.offset for each, theirs in self._commits(group, partitions).items()}

    def commit_notes(self, group: str, partitions: Collection[Partition]) -> dict[Partition, str]:
        """Kafka calls them metadata."""
        return {each: note_of(theirs) for each, theirs in self._commits(group, partitions).items()}

    def _commits(self, group: str, partitions: Collection[Partition]) -> dict[Partition, TopicPartition]:
        asked = ConsumerGroupTopicPartitions(group, [TopicPartition(*each) for each in partitions])
        answer_s = self._timeouts.answer_s
        answers = self._admin.list_consumer_group_offsets([asked], require_stable=False, request_timeout=answer_s)
        found = self._answer(answers[group], f"the offsets of the group {group!r}", answer_s).topic_partitions
        return {Partition(each.topic, each.partition): each for each in found if each.offset >= 0}

    def largest_record(self, topic: str) -> int:
        """How many bytes *topic* accepts at a time. Raises TransportError if there is no such topic."""
        return self._record_limits.of(topic)

    def topic_settings(self, topic: str) -> Mapping[str, str] | None:
        """One request; the right to describe a topic's configuration is one of its own."""
        answer_s = self._timeouts.answer_s
        resource = ConfigResource(ConfigResource.Type.TOPIC, topic)
        answer = self._admin.describe_configs([resource], request_timeout=answer_s)[resource]
        try:
            described = self._answer(answer, f"the topic {topic!r}", answer_s)
        except SettingsError:
            return None
        return {name: str(entry.value) for name, entry in described.items()}

    def _max_message_bytes(self, topic: str) -> int:
        settings = self.topic_settings(topic)
        # A user who may write need not be allowed to see this; the broker still refuses what is too large.
        return 1 << 20 if settings is None else int(settings["max.message.bytes"])

    def reader(self) -> ConfluentReader:
        """A consumer that joins no group, though the client demands the name of one."""
        trouble = Trouble()
        consumer = self._made("consumer", ConfluentReader.settings(self._timeouts), trouble)
        return ConfluentReader(consumer, self.bounds, self.errors, trouble, self._timeouts)

    def member(
        self, group: str, topics: Sequence[str], on_revoked: OnRevoked, *, instance: str | None = None
    ) -> ConfluentMember:
        """A consumer with a group, which fetches no records."""
        trouble = Trouble()
        consumer = self._made("consumer", ConfluentMember.settings(group, instance, self._timeouts), trouble)
        return ConfluentMember(consumer, topics, on_revoked, self.errors, trouble, self._timeouts)

    def writer(self, transactional_id: str | None) -> ConfluentWriter:
        """A producer; connects at once, and aborts transactions that the same id left open."""
        return ConfluentWriter(
            lambda settings, trouble: self._made("producer", settings, trouble),
            transactional_id,
            confluent_settings(self._config, "producer"),
            self.largest_record,
            self.errors,
            self._timeouts,
        )

    def group_metadata(self, group: str) -> object:
        """Only a consumer returns metadata, so one is made, which joins no group."""
        consumer = self._made("consumer", {"group.id": group}, Trouble())
        try:
            return consumer.consumer_group_metadata()
        finally:
            consumer.close()

    def close(self) -> None:
        """Do nothing: the admin client ends with its last reference, and each part has a `close` of its own."""

    def _made(self, role: Role, defaults: Mapping[str, object], trouble: Trouble) -> Untyped:
        """The operator's own settings replace *defaults*; those that must not be set were refused before."""
        settings = {
            "client.id": "stream-rec",
            "reconnect.backoff.max.ms": milliseconds(self._timeouts.reconnect_s),
            "socket.connection.setup.timeout.ms": milliseconds(self._timeouts.answer_s),
            **defaults,
            **confluent_settings(self._config, role),
            "bootstrap.servers": self._servers,
            "error_cb": trouble,
        }
        try:
            return _MAKES[role](settings, logger=log)
        except KafkaException as error:
            raise refused(self._config, role, error.args[0].str()) from None

    def _answer(self, future: "Future[Untyped]", what: str, within_s: float) -> Untyped:
        """The result of *future*. The client keeps to the times that it is given only while it is connected."""
        with self.errors.during(what, self._trouble):
            try:
                answer = future.result(timeout=max(0.0, within_s) + self._timeouts.grace_s)
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
            self._trouble.clear()
            return answer


class _NoLeaderError(TransportError):
    """A partition has no leader now: its broker is away, or its topic has gone."""


class _NoSuchThingError(Exception):
    """The broker answers that there is no such topic or partition."""


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


def note_of(committed: TopicPartition) -> str:
    """Return the note of a commit: up to its first line end, if it has one.

    This client (2.16.1) was seen to return other bytes behind a note, or to fail since they are no text.
    """
    try:
        text = committed.metadata or ""
    except UnicodeDecodeError as error:
        text = error.object[: error.start].decode()
    line, end, _ = text.partition("\n")
    return line + end
