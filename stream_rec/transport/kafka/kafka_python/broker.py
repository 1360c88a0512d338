"""The broker by kafka-python: topics, bounds, and its readers, members and writers.

Each of these has connections and threads of its own; requests about topics go through one admin client, which any
thread may use.
"""

import logging
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from functools import partial
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
from stream_rec.transport.kafka.kafka_python.internals import BoundedProducer, advertised, opened
from stream_rec.transport.kafka.kafka_python.member import PythonMember
from stream_rec.transport.kafka.kafka_python.reader import PythonReader
from stream_rec.transport.kafka.kafka_python.writer import PythonWriter
from stream_rec.transport.kafka.reach import refuse_unreachable
from stream_rec.transport.kafka.record_size import RecordLimits
from stream_rec.transport.kafka.untyped import Untyped
from stream_rec.transport.timeouts import TransportTimeouts, milliseconds

__all__ = ["PythonBroker"]

CLIENT_DEFAULTS: Final[dict[Role, dict[str, object]]] = {
    "consumer": KafkaConsumer.DEFAULT_CONFIG,
    "producer": KafkaProducer.DEFAULT_CONFIG,
    "admin": KafkaAdminClient.DEFAULT_CONFIG,
}


def _own_defaults(timeouts: TransportTimeouts) -> dict[Role, dict[str, object]]:
    """What differs from the client's own defaults, and the operator may set."""
    common = {
        "client_id": "stream-rec",
        "bootstrap_timeout_ms": milliseconds(timeouts.first_answer_s),
        "reconnect_backoff_max_ms": milliseconds(timeouts.reconnect_s),
    }
    return {
        "consumer": common | {
            "auto_offset_reset": "none", "enable_auto_commit": False, "isolation_level": "read_committed",
            "allow_auto_create_topics": False, "metrics_enabled": False,
        },
        "producer": common | {
            "enable_idempotence": True, "allow_auto_create_topics": False, "metrics_enabled": False,
            "metadata_max_age_ms": milliseconds(timeouts.partitions_age_s),
        },
        "admin": common | {"request_timeout_ms": milliseconds(timeouts.answer_s)},
    }  # fmt: skip


class PythonBroker:
    """See `Broker`. Connects at once, so that a wrong setting shows at once."""

    def __init__(self, servers: str, config: Config, timeouts: TransportTimeouts) -> None:
        self.errors = KafkaPythonErrors(servers, config, timeouts)
        self._timeouts = timeouts
        if config.has_secrets:
            # At the level of debug it logs every byte that it sends. A higher level stays as it is.
            log = logging.getLogger("kafka")
            log.setLevel(max(log.getEffectiveLevel(), logging.INFO))
        self._settings: dict[Role, dict[str, Any]] = {
            role: defaults
            | python_settings(config, role, CLIENT_DEFAULTS, timeouts)
            | {"bootstrap_servers": servers.split(",")}
            for role, defaults in _own_defaults(timeouts).items()
        }
        self._record_limits = RecordLimits(self.partitions, self._max_message_bytes)
        self._admin = self._connected(KafkaAdminClient, "admin")
        try:
            refuse_unreachable(servers, advertised(self._admin), timeouts.diagnosis_s)
        except TransportError:
            self._admin.close()
            raise

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
            with self.errors.during(f"the topic {topic.name!r} cannot be created"):
                try:
                    self._admin.create_topics({topic.name: _described(topic)}, wait_for_metadata=True)
                except theirs.TopicAlreadyExistsError:
                    continue
                except (theirs.InvalidReplicationFactorError, theirs.InvalidPartitionsError) as error:
                    raise SettingsError("create_topics", f"{topic.name}: {error.description}") from None

    def bounds(self, partitions: Iterable[Partition], within_s: float | None = None) -> dict[Partition, Bounds]:
        """Two requests to each leader. The end is that of the committed records."""
        within_s = self._timeouts.answer_s if within_s is None else within_s
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
        """The admin client does not wait for open transactions."""
        return {partition: each.offset for partition, each in self._commits(group, partitions).items()}

    def commit_notes(self, group: str, partitions: Collection[Partition]) -> dict[Partition, str]:
        """Kafka calls them metadata."""
        return {partition: each.metadata or "" for partition, each in self._commits(group, partitions).items()}

    def _commits(self, group: str, partitions: Collection[Partition]) -> dict[Partition, Untyped]:
        asked = {group: [TopicPartition(*each) for each in partitions]}
        with self.errors.during(f"the offsets of the group {group!r}"):
            found = self._once_there_is_a_coordinator(lambda: self._admin.list_group_offsets(asked))[group]
        return {Partition(*theirs_): each for theirs_, each in found.items() if each.offset >= 0}

    def largest_record(self, topic: str) -> int:
        """How many bytes *topic* accepts at a time. Raises TransportError if there is no such topic."""
        return self._record_limits.of(topic)

    def topic_settings(self, topic: str) -> Mapping[str, str] | None:
        """One request; the right to describe a topic's configuration is one of its own."""
        with self.errors.during(f"the topic {topic!r}"):
            try:
                described = self._admin.describe_configs(
                    [ConfigResource(ConfigResourceType.TOPIC, topic)], config_filter="all"
                )
            except theirs.AuthorizationError:
                return None
        return {name: str(entry["value"]) for name, entry in described["topic"][topic].items()}

    def _max_message_bytes(self, topic: str) -> int:
        settings = self.topic_settings(topic)
        if settings is None:
            # A user who may write need not be allowed to see this; the broker still refuses what is too large.
            return int(self._settings["producer"].get("max_request_size", 1 << 20))
        return int(settings["max.message.bytes"])

    def reader(self) -> PythonReader:
        """A consumer without a group."""
        consumer = self._connected(
            KafkaConsumer, "consumer", PythonReader.defaults(self._timeouts) | self._settings["consumer"]
        )
        return PythonReader(consumer, self.bounds, self.errors, self._timeouts)

    def member(
        self, group: str, topics: Sequence[str], on_revoked: OnRevoked, *, instance: str | None = None
    ) -> PythonMember:
        """A consumer with a group, which fetches no records."""
        settings = PythonMember.settings(group, instance, self._settings["consumer"], self._timeouts)
        consumer = self._connected(KafkaConsumer, "consumer", settings)
        return PythonMember(consumer, topics, on_revoked, self.errors, self._timeouts)

    def writer(self, transactional_id: str | None) -> PythonWriter:
        """A producer; connects at once, and aborts transactions that the same id left open."""
        make = partial(BoundedProducer, poll_s=self._timeouts.split_poll_s)
        return PythonWriter(
            lambda settings: self._connected(make, "producer", settings),
            PythonWriter.settings(transactional_id, self._settings["producer"], self._timeouts),
            self.largest_record,
            self.errors,
            self._timeouts,
        )

    def group_metadata(self, group: str) -> object:
        """Without a generation, the broker treats it as the metadata of a client that is no member."""
        return ConsumerGroupMetadata(group)

    def close(self) -> None:
        """Close the admin client; each part has a `close` of its own."""
        self._admin.close()

    def _once_there_is_a_coordinator(self, ask: Callable[[], Untyped]) -> Untyped:
        """A broker without groups needs a moment to create their topic, and the admin client does not ask again."""
        until = time.monotonic() + self._timeouts.answer_s
        while True:
            try:
                return ask()
            except (theirs.CoordinatorNotAvailableError, theirs.CoordinatorLoadInProgressError):
                if time.monotonic() > until:
                    raise
                time.sleep(self._timeouts.coordinator_poll_s)

    def _connected(self, make: Untyped, role: Role, settings: dict[str, Any] | None = None) -> Untyped:
        settings = self._settings[role] if settings is None else settings
        try:
            return opened(make, settings)
        except (theirs.KafkaError, ValueError, RuntimeError, OSError) as error:
            raise self.errors.unreachable(error, settings) from None


def _described(topic: TopicSpec) -> dict[str, object]:
    retention = {} if topic.retention_ms is None else {"configs": {"retention.ms": str(topic.retention_ms)}}
    return {"num_partitions": topic.partitions or -1, "replication_factor": topic.replication or -1, **retention}


def _raise_for(code: int) -> None:
    if code:
        raise theirs.for_code(code)
