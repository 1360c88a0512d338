"""Membership in a consumer group with confluent-kafka.

librdkafka sends heartbeats on a thread of its own, and calls back inside `poll`: there `on_revoked` may take its time,
but what it waits for may need the consumer too: see `callbacks`. Partitions are paused as soon as they are assigned, so
that no record is ever fetched.
"""

import time
from collections.abc import Collection, Sequence
from typing import Final

from confluent_kafka import KafkaError, KafkaException, TopicPartition

from stream_rec.errors import StreamRecError, TransportError
from stream_rec.transport.broker import OnRevoked, Partition, PartitionOffsets
from stream_rec.transport.kafka.confluent.callbacks import Turns
from stream_rec.transport.kafka.confluent.errors import LibrdkafkaErrors, Trouble
from stream_rec.transport.kafka.member import KafkaMember
from stream_rec.transport.kafka.untyped import Untyped
from stream_rec.transport.timeouts import TransportTimeouts, milliseconds

__all__ = ["ConfluentMember"]

# The membership was lost, or the topic is not there yet: the client goes on by itself.
_PASSING: Final = frozenset({
    KafkaError._MAX_POLL_EXCEEDED,  # noqa: SLF001 (their names for what librdkafka finds itself)
    KafkaError._PARTITION_EOF,  # noqa: SLF001
})  # fmt: skip


def _checked(partitions: Sequence[TopicPartition]) -> Sequence[TopicPartition]:
    """Raise the first error among *partitions*, or return them."""
    for each in partitions:
        if each.error is not None:
            raise KafkaException(each.error)
    return partitions


class ConfluentMember(KafkaMember):
    """See `Member`. No other part uses *consumer*."""

    def __init__(
        self,
        consumer: Untyped,
        topics: Sequence[str],
        on_revoked: OnRevoked,
        errors: LibrdkafkaErrors,
        trouble: Trouble,
        timeouts: TransportTimeouts,
    ) -> None:
        super().__init__(topics, on_revoked, timeouts)
        self._consumer = consumer
        self._errors = errors
        self._trouble = trouble
        self._turns = Turns(timeouts.callback_poll_s)
        self._failure: BaseException | None = None
        self._has_left = False

    @staticmethod
    def settings(group: str, instance: str | None, timeouts: TransportTimeouts) -> dict[str, object]:
        """The settings of its consumer."""
        return {
            "session.timeout.ms": milliseconds(timeouts.session_s),
            "heartbeat.interval.ms": milliseconds(timeouts.heartbeat_s),
            "group.id": group,
            "partition.assignment.strategy": "range",
            "enable.auto.commit": False,
            "enable.auto.offset.store": False,
            "auto.offset.reset": "error",
            "isolation.level": "read_committed",
            "allow.auto.create.topics": False,
            "topic.metadata.refresh.interval.ms": milliseconds(timeouts.partitions_age_s),
            **({} if instance is None else {"group.instance.id": instance}),
        }

    def join(self) -> None:
        """Subscribe; the client does the rest while it is polled."""
        with self._errors.during("joining the group", self._trouble):
            self._consumer.subscribe(
                self._topics, on_assign=self._assigned, on_revoke=self._revoked, on_lost=self._lost
            )

    def poll(self) -> None:
        """Let the client call back; raise the error that it returns in place of records."""
        with self._errors.during("staying in the group", self._trouble):
            self._turns.here(self._serve)
        failure, self._failure = self._failure, None
        if failure is not None:
            raise failure

    def committed(self, partitions: Collection[Partition]) -> dict[Partition, int]:
        """Asked in short turns while transactions are open, so that the member can be polled meanwhile."""
        until = time.monotonic() + self._timeouts.answer_s
        while True:
            try:
                with self._errors.during("the committed offsets", self._trouble):
                    found = self._turns.call(lambda: self._committed(partitions))
                    self._trouble.clear()
                    return found
            except TransportError as error:
                if not error.retriable or time.monotonic() > until:
                    raise

    def commit(self, offsets: PartitionOffsets, note: str = "") -> None:
        """The broker refuses it where the group has gone on."""
        committed = [TopicPartition(*partition, offset, note) for partition, offset in offsets.items()]
        with self._errors.during("committing offsets", self._trouble):
            _checked(self._turns.call(lambda: self._consumer.commit(offsets=committed, asynchronous=False)))
            self._trouble.clear()

    def leave(self) -> None:
        """Close the consumer, which gives up the owned partitions, and informs the group."""
        if self._has_left:
            return
        self._has_left = True
        with self._errors.during("leaving the group", self._trouble):
            self._turns.here(self._consumer.close)
        self._owned = frozenset()

    def _serve(self) -> None:
        while (message := self._consumer.poll(0)) is not None:
            error = message.error()
            if error is not None and error.code() not in _PASSING:
                raise KafkaException(error)

    def _committed(self, partitions: Collection[Partition]) -> dict[Partition, int]:
        asked = [TopicPartition(*each) for each in partitions]
        found = _checked(self._consumer.committed(asked, timeout=self._timeouts.committed_try_s))
        return {Partition(each.topic, each.partition): each.offset for each in found if each.offset >= 0}

    def _assigned(self, consumer: Untyped, partitions: Sequence[TopicPartition]) -> None:
        """The client's callback. An offset keeps the client from asking the broker for one."""
        consumer.assign([TopicPartition(each.topic, each.partition, 0) for each in partitions])
        consumer.pause(partitions)
        self._trouble.clear()
        self._group_metadata = consumer.consumer_group_metadata()
        self._owned = frozenset(Partition(each.topic, each.partition) for each in partitions)
        self._generation += 1

    def _revoked(self, consumer: Untyped, partitions: Sequence[TopicPartition]) -> None:
        self._give_up(lost=False)
        consumer.unassign()
        del partitions

    def _lost(self, consumer: Untyped, partitions: Sequence[TopicPartition]) -> None:
        self._group_metadata = None
        self._give_up(lost=True)
        consumer.unassign()
        del partitions

    def _give_up(self, *, lost: bool) -> None:
        """Call `on_revoked`. Its errors come out of `poll`: the client would swallow or repeat them."""
        try:
            if self._owned:
                self._turns.elsewhere(lambda: self._on_revoked(self._owned, lost))
        except StreamRecError as error:
            self._failure = error
        finally:
            self._owned = frozenset()
