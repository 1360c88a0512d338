"""A seat in a group with confluent-kafka.

librdkafka keeps the heartbeats going on a thread of its own, and calls back inside `poll`: there `revoked` may take its
time, but what it waits for may need the consumer too: see `_confluent_turns`. Partitions are paused as soon as they are
given, so that nothing is ever fetched.
"""

import time
from collections.abc import Collection, Sequence
from typing import Final

from confluent_kafka import KafkaError, KafkaException, TopicPartition

from stream_rec.errors import StreamRecError, TransportError
from stream_rec.transport.broker import OnRevoked, Partition, PartitionOffsets
from stream_rec.transport.kafka.confluent.callbacks import Turns
from stream_rec.transport.kafka.confluent.errors import LibrdkafkaErrors, Trouble, Untyped

__all__ = ["ConfluentMember"]

_ANSWER_S: Final = 10.0
_TURN_S: Final = 0.25
_SEAT_DEFAULTS: Final = {"session.timeout.ms": 10_000, "heartbeat.interval.ms": 1000}
# The seat has been lost, or the topic is not there yet: the client goes on by itself.
_PASSING: Final = frozenset({
    KafkaError._MAX_POLL_EXCEEDED,  # noqa: SLF001 (their names for what librdkafka finds itself)
    KafkaError._PARTITION_EOF,  # noqa: SLF001
})  # fmt: skip


def _checked(partitions: Sequence[TopicPartition]) -> Sequence[TopicPartition]:
    """Raise what is told of one of *partitions*."""
    for each in partitions:
        if each.error is not None:
            raise KafkaException(each.error)
    return partitions


class ConfluentMember:
    """See `Member`. *consumer* is the seat's alone."""

    def __init__(
        self,
        consumer: Untyped,
        topics: Sequence[str],
        on_revoked: OnRevoked,
        errors: LibrdkafkaErrors,
        trouble: Trouble,
    ) -> None:
        self._consumer = consumer
        self._topics = list(topics)
        self._on_revoked = on_revoked
        self._errors = errors
        self._trouble = trouble
        self._owned: frozenset[Partition] = frozenset()
        self._generation = 0
        self._group_metadata: object = None
        self._turns = Turns()
        self._failure: BaseException | None = None
        self._has_left = False

    @staticmethod
    def settings(group: str, instance: str | None) -> dict[str, object]:
        """What its consumer is made with."""
        return _SEAT_DEFAULTS | {
            "group.id": group,
            "partition.assignment.strategy": "range",
            "enable.auto.commit": False,
            "enable.auto.offset.store": False,
            "auto.offset.reset": "error",
            "isolation.level": "read_committed",
            "allow.auto.create.topics": False,
            **({} if instance is None else {"group.instance.id": instance}),
        }

    def join(self) -> None:
        """Subscribe; the client does the rest while it is polled."""
        with self._errors.during("joining the group", self._trouble):
            self._consumer.subscribe(self._topics, on_assign=self._given, on_revoke=self._taken, on_lost=self._lost)

    def poll(self) -> None:
        """Let the client call back; raise what it tells in place of records."""
        with self._errors.during("keeping the seat in the group", self._trouble):
            self._turns.here(self._serve)
        failure, self._failure = self._failure, None
        if failure is not None:
            raise failure

    @property
    def owned(self) -> frozenset[Partition]:
        """As of the last `poll`."""
        return self._owned

    @property
    def generation(self) -> int:
        """Of our own counting."""
        return self._generation

    @property
    def group_metadata(self) -> object:
        """As it was when the partitions were given: where the group goes on without us, it is refused."""
        return self._group_metadata

    def committed(self, partitions: Collection[Partition]) -> dict[Partition, int]:
        """Asked in short turns while transactions are under way, so that the seat can be kept meanwhile."""
        until = time.monotonic() + _ANSWER_S
        while True:
            try:
                with self._errors.during("the committed offsets", self._trouble):
                    found = self._turns.call(lambda: self._committed(partitions))
                    self._trouble.is_over()
                    return found
            except TransportError as error:
                if not error.retriable or time.monotonic() > until:
                    raise

    def commit(self, offsets: PartitionOffsets) -> None:
        """Refused where the group has gone on."""
        committed = [TopicPartition(*partition, offset) for partition, offset in offsets.items()]
        with self._errors.during("committing offsets", self._trouble):
            _checked(self._turns.call(lambda: self._consumer.commit(offsets=committed, asynchronous=False)))
            self._trouble.is_over()

    def leave(self) -> None:
        """Close the consumer, which gives up what is owned, and tells the group."""
        if self._has_left:
            return
        self._has_left = True
        with self._errors.during("leaving the group", self._trouble):
            self._turns.here(self._consumer.close)
        self._change(frozenset())

    def _serve(self) -> None:
        while (message := self._consumer.poll(0)) is not None:
            error = message.error()
            if error is not None and error.code() not in _PASSING:
                raise KafkaException(error)

    def _committed(self, partitions: Collection[Partition]) -> dict[Partition, int]:
        found = _checked(self._consumer.committed([TopicPartition(*each) for each in partitions], timeout=_TURN_S))
        return {Partition(each.topic, each.partition): each.offset for each in found if each.offset >= 0}

    def _given(self, consumer: Untyped, partitions: Sequence[TopicPartition]) -> None:
        """Partitions come. A position keeps the client from asking for one."""
        consumer.assign([TopicPartition(each.topic, each.partition, 0) for each in partitions])
        consumer.pause(partitions)
        self._trouble.is_over()
        self._group_metadata = consumer.consumer_group_metadata()
        self._change(frozenset(Partition(each.topic, each.partition) for each in partitions))

    def _taken(self, consumer: Untyped, partitions: Sequence[TopicPartition]) -> None:
        self._give_up(lost=False)
        consumer.unassign()
        del partitions

    def _lost(self, consumer: Untyped, partitions: Sequence[TopicPartition]) -> None:
        self._group_metadata = None
        self._give_up(lost=True)
        consumer.unassign()
        del partitions

    def _give_up(self, *, lost: bool) -> None:
        """Let `revoked` do its work. What it raises comes out of `poll`: the client would swallow or repeat it."""
        try:
            if self._owned:
                self._turns.elsewhere(lambda: self._on_revoked(self._owned, lost))
        except StreamRecError as error:
            self._failure = error
        finally:
            self._change(frozenset())

    def _change(self, owned: frozenset[Partition]) -> None:
        self._owned = owned
        self._generation += 1
