"""The broker as kafka-python shows it: topics, bounds, and the parts that read, sit in groups and write.

Each part has connections and threads of its own; what is asked about topics goes through one admin client, which any
thread may use.
"""

import logging
import time
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Any, Final

import kafka.errors as theirs
from kafka import ConsumerGroupMetadata, KafkaAdminClient, KafkaConsumer, KafkaProducer, TopicPartition
from kafka.admin import ConfigResource, ConfigResourceType
from kafka.protocol.consumer import IsolationLevel, OffsetSpec

from stream_rec.errors import SettingsError, TransportError
from stream_rec.transport.broker import Bounds, OnRevoked, Partition, TopicSpec
from stream_rec.transport.kafka.config import Config, Role
from stream_rec.transport.kafka.kafka_python.config import python_settings
from stream_rec.transport.kafka.kafka_python.errors import KafkaPythonErrors
from stream_rec.transport.kafka.kafka_python.internals import Untyped, opened
from stream_rec.transport.kafka.kafka_python.member import PythonMember
from stream_rec.transport.kafka.kafka_python.reader import PythonReader
from stream_rec.transport.kafka.kafka_python.writer import PythonWriter

__all__ = ["PythonBroker"]

_DEFAULTS: Final[dict[Role, dict[str, object]]] = {
    "consumer": KafkaConsumer.DEFAULT_CONFIG,
    "producer": KafkaProducer.DEFAULT_CONFIG,
    "admin": KafkaAdminClient.DEFAULT_CONFIG,
}
_ANSWER_S: Final = 10.0
_LOOK_S: Final = 0.1
# Where we differ from the client: an unreachable broker is told soon, and asked for again by whoever has the patience.
_COMMON: Final = {"client_id": "stream-rec", "bootstrap_timeout_ms": 5000, "reconnect_backoff_max_ms": 1000}
_OURS: Final[dict[Role, dict[str, object]]] = {
    "consumer": {"auto_offset_reset": "none", "enable_auto_commit": False, "isolation_level": "read_committed",
                 "allow_auto_create_topics": False, "metrics_enabled": False, "metadata_max_age_ms": 60_000},
    "producer": {"enable_idempotence": True, "allow_auto_create_topics": False, "metrics_enabled": False},
    "admin": {"request_timeout_ms": int(_ANSWER_S * 1000)},
}  # fmt: skip


class PythonBroker:
    """See `Broker`. Connects at once, so that a wrong setting shows at once."""

    def __init__(self, servers: str, config: Config) -> None:
        self.errors = KafkaPythonErrors(servers, config)
        if config.has_secrets:
            # What it tells at the level of debug is every byte that it sends. A level above that stays.
            log = logging.getLogger("kafka")
            log.setLevel(max(log.getEffectiveLevel(), logging.INFO))
        self._settings: dict[Role, dict[str, Any]] = {
            role: _COMMON
            | _OURS[role]
            | python_settings(config, role, _DEFAULTS)
            | {"bootstrap_servers": servers.split(",")}
            for role in _DEFAULTS
        }
        self._limits: dict[str, int] = {}
        self._admin = self._connected(KafkaAdminClient, "admin")

    def __repr__(self) -> str:
        return f"PythonBroker({','.join(self._settings['admin']['bootstrap_servers'])!r})"

    def partitions(self, topic: str) -> list[Partition]:
        """As the broker has them now."""
        with self.errors.during(f"the topic {topic!r}"):
            (described,) = self._admin.describe_topics([topic])
            if described["error_code"] == theirs.UnknownTopicOrPartitionError.errno:
                return []
            _raise_for(described["error_code"])
        return [
            Partition(topic, number) for number in sorted(each["partition_index"] for each in described["partitions"])
        ]

    def create_topics(self, topics: Sequence[TopicSpec]) -> None:
        """One by one, so that one that is there already is no obstacle to the others."""
        for topic in topics:
            with self.errors.during(f"the topic {topic.name!r} cannot be made"):
                try:
                    self._admin.create_topics({topic.name: _described(topic)}, wait_for_metadata=True)
                except theirs.TopicAlreadyExistsError:
                    continue
                except (theirs.InvalidReplicationFactorError, theirs.InvalidPartitionsError) as error:
                    raise SettingsError("create_topics", f"{topic.name}: {error.description}") from None

    def bounds(self, partitions: Iterable[Partition], within_s: float = _ANSWER_S) -> dict[Partition, Bounds]:
        """Two questions to each leader. The end is that of what is committed."""
        asked = {TopicPartition(*partition): partition for partition in partitions}
        if not asked:
            return {}
        first, end = (self._offsets(asked, spec, within_s) for spec in (OffsetSpec.EARLIEST, OffsetSpec.LATEST))
        return {partition: Bounds(first[theirs_], end[theirs_]) for theirs_, partition in asked.items()}

    def _offsets(self, asked: Iterable[TopicPartition], spec: OffsetSpec, within_s: float) -> dict[TopicPartition, int]:
        names = ", ".join(f"{topic}-{number}" for topic, number in asked)
        with self.errors.during(names):
            try:
                found = self._admin.list_partition_offsets(
                    dict.fromkeys(asked, spec),
                    isolation_level=IsolationLevel.READ_COMMITTED,
                    timeout_ms=within_s * 1000,
                )
            except theirs.UnknownTopicOrPartitionError:
                raise TransportError(f"{names}: there is no such partition") from None
        return {partition: offset.offset for partition, offset in found.items()}

    def group_offsets(self, group: str, partitions: Collection[Partition]) -> dict[Partition, int]:
        """The admin client asks for what is committed, whatever is under way."""
        asked = {group: [TopicPartition(*each) for each in partitions]}
        with self.errors.during(f"the offsets of the group {group!r}"):
            found = _once_there_is_a_coordinator(lambda: self._admin.list_group_offsets(asked))[group]
        return {Partition(*theirs_): told.offset for theirs_, told in found.items() if told.offset >= 0}

    def largest_record(self, topic: str) -> int:
        """The bytes that *topic* takes at a time. Raises TransportError if there is no such topic."""
        if topic not in self._limits:
            if not self.partitions(topic):
                raise TransportError(
                    f"there is no topic {topic!r} to write to; make it, or let --create-topics make it"
                )
            self._limits[topic] = self._max_message_bytes(topic)
        return self._limits[topic]

    def _max_message_bytes(self, topic: str) -> int:
        key = "max.message.bytes"
        with self.errors.during(f"the topic {topic!r}"):
            try:
                told = self._admin.describe_configs(
                    [ConfigResource(ConfigResourceType.TOPIC, topic, [key])], config_filter="all"
                )
            except theirs.AuthorizationError:
                # Writing does not ask for the right to see this, and the broker still refuses what is too large.
                return int(self._settings["producer"].get("max_request_size", 1 << 20))
        return int(told["topic"][topic][key]["value"])

    def reader(self) -> PythonReader:
        """A consumer without a group."""
        consumer = self._connected(KafkaConsumer, "consumer", PythonReader.DEFAULTS | self._settings["consumer"])
        return PythonReader(consumer, self.bounds, self.errors)

    def member(
        self, group: str, topics: Sequence[str], on_revoked: OnRevoked, *, instance: str | None = None
    ) -> PythonMember:
        """A consumer with a group, which fetches nothing."""
        settings = PythonMember.settings(group, instance, self._settings["consumer"])
        return PythonMember(self._connected(KafkaConsumer, "consumer", settings), topics, on_revoked, self.errors)

    def writer(self, transactional_id: str | None) -> PythonWriter:
        """A producer; connects at once, and aborts what the same id has left open."""
        settings = PythonWriter.settings(transactional_id, self._settings["producer"])
        return PythonWriter(lambda make: self._connected(make, "producer", settings), self.largest_record, self.errors)

    def group_metadata(self, group: str) -> object:
        """Of no generation: which the broker takes for somebody without a seat."""
        return ConsumerGroupMetadata(group)

    def close(self) -> None:
        """Let go of the admin client; the parts are closed by who has them."""
        self._admin.close()

    def _connected(self, make: Untyped, role: Role, settings: dict[str, Any] | None = None) -> Untyped:
        settings = self._settings[role] if settings is None else settings
        try:
            return opened(make, settings)
        except (theirs.KafkaError, ValueError, RuntimeError, OSError) as error:
            raise self.errors.unreachable(error, settings) from None


def _once_there_is_a_coordinator(ask: Callable[[], Untyped]) -> Untyped:
    """A broker on which no group was yet has to make room for them first, and the admin client does not ask again."""
    until = time.monotonic() + _ANSWER_S
    while True:
        try:
            return ask()
        except (theirs.CoordinatorNotAvailableError, theirs.CoordinatorLoadInProgressError):
            if time.monotonic() > until:
                raise
            time.sleep(_LOOK_S)


def _described(topic: TopicSpec) -> dict[str, object]:
    retention = {} if topic.retention_ms is None else {"configs": {"retention.ms": str(topic.retention_ms)}}
    return {"num_partitions": topic.partitions or -1, "replication_factor": topic.replication or -1, **retention}


def _raise_for(code: int) -> None:
    if code:
        raise theirs.for_code(code)
