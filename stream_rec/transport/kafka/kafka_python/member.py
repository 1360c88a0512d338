"""A seat in a group with kafka-python.

The client takes part in rebalances only while it is polled, and one that is polled in short turns may ask to join twice
(a join that ends between two turns counts for none). So the seat has a thread of its own that polls without a gap, as
long as whoever has the seat calls `poll` often enough. The client's callbacks run on its loop, where blocking would
stop heartbeats: they leave word, wait without blocking, and `poll` does what is to be done, on its caller's thread.
"""

import logging
import threading
import time
from collections import deque
from collections.abc import Collection, Sequence
from typing import Any, Final

import kafka.errors as theirs
from kafka import AsyncConsumerRebalanceListener, OffsetAndMetadata, TopicPartition
from kafka.coordinator.assignors.range import RangePartitionAssignor

from stream_rec.errors import FencedError, StreamRecError, TransportError
from stream_rec.transport.broker import OnRevoked, Partition, PartitionOffsets
from stream_rec.transport.kafka.kafka_python.errors import KafkaPythonErrors
from stream_rec.transport.kafka.kafka_python.internals import Untyped, is_fenced, know_topics, pause_on_loop

__all__ = ["PythonMember"]

_log = logging.getLogger(__name__)

_TURN_MS: Final = 100
_LOOP_PAUSE_S: Final = 0.005
_RETRY_S: Final = 0.5
_SILENT_TURNS: Final = 3  # a seat without heartbeats; fewer may be a rebalance that has just begun or ended
_ANSWER_MS: Final = 10_000
_SEAT_DEFAULTS: Final = {"session_timeout_ms": 10_000, "heartbeat_interval_ms": 1000}
_PATIENCE_S: Final = 10.0
"""Without a call of `poll` for so long the seat takes no part in rebalances; `max.poll.interval.ms` on, it is lost."""


class PythonMember:
    """See `Member`. *consumer* is the seat's alone."""

    def __init__(
        self, consumer: Untyped, topics: Sequence[str], on_revoked: OnRevoked, errors: KafkaPythonErrors
    ) -> None:
        self._consumer = consumer
        self._topics = list(topics)
        self._on_revoked = on_revoked
        self._errors = errors
        self._owned: frozenset[Partition] = frozenset()
        self._generation = 0
        self._group_metadata: object = None
        self._changes: deque[_Change] = deque()
        """What the client's loop has met, and `poll` is to take over."""
        self._trouble: StreamRecError | None = None
        self._n_silent = 0
        self._polled_at = 0.0
        self._leaving = threading.Event()
        self._keeper: threading.Thread | None = None

    @staticmethod
    def settings(group: str, instance: str | None, common: dict[str, Any]) -> dict[str, Any]:
        """What its consumer is made with."""
        return _SEAT_DEFAULTS | common | {
            "group_id": group,
            "group_instance_id": instance,
            "partition_assignment_strategy": [RangePartitionAssignor],
        }  # fmt: skip

    def join(self) -> None:
        """Subscribe, and start the thread that keeps the seat."""
        self._polled_at = time.monotonic()
        with self._errors.during("joining the group"):
            self._consumer.subscribe(self._topics, listener=_Listener(self))
            know_topics(self._consumer, self._topics, _ANSWER_MS / 1000)
        self._keeper = threading.Thread(target=self._keep, name="stream-rec-seat", daemon=True)
        self._keeper.start()

    def poll(self) -> None:
        """Say that whoever has the seat is alive; take over what the thread has met."""
        self._polled_at = time.monotonic()
        while self._changes:
            self._take(self._changes.popleft())
            self._polled_at = time.monotonic()
        trouble, self._trouble = self._trouble, None
        if trouble is not None:
            raise trouble

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
        """One question for each, since the client asks for one at a time."""
        with self._errors.during("the committed offsets"):
            found = {
                each: self._consumer.committed(TopicPartition(*each), timeout_ms=_ANSWER_MS) for each in partitions
            }
        return {partition: offset for partition, offset in found.items() if offset is not None}

    def commit(self, offsets: PartitionOffsets) -> None:
        """Refused where the group has gone on."""
        theirs_ = {
            TopicPartition(*partition): OffsetAndMetadata(offset, "", -1) for partition, offset in offsets.items()
        }
        with self._errors.during("committing offsets"):
            self._consumer.commit(theirs_, timeout_ms=_ANSWER_MS)

    def leave(self) -> None:
        """Give up what is owned, stop the thread, and close the consumer, which tells the group."""
        if self._leaving.is_set():
            return
        self._leaving.set()
        if self._keeper is not None:
            self._keeper.join(_ANSWER_MS / 1000)
        while self._changes:
            self._take(self._changes.popleft())
        self._take(_Change(frozenset(), taken=True))
        with self._errors.during("leaving the group"):
            self._consumer.close(autocommit=False, timeout_ms=_ANSWER_MS)

    def _keep(self) -> None:
        """Poll until told to leave. Nothing is fetched: all partitions are paused when they are given."""
        while not self._leaving.is_set():
            if time.monotonic() - self._polled_at > _PATIENCE_S:
                self._leaving.wait(_TURN_MS / 1000)
                continue
            try:
                self._consumer.poll(timeout_ms=_TURN_MS)
                self._look_for_a_rival()
            except theirs.KafkaError as error:
                self._met(self._errors.translated(error, "keeping the seat in the group"))
            except Exception as error:  # noqa: BLE001 (a thread that died would lose the seat in silence)
                self._met(TransportError(f"keeping the seat in the group: {error!r}", retriable=True))

    def _look_for_a_rival(self) -> None:
        self._n_silent = self._n_silent + 1 if is_fenced(self._consumer) else 0
        if self._n_silent > _SILENT_TURNS:
            self._met(FencedError("the seat in the group was taken: another process runs under this name"))

    def _met(self, trouble: StreamRecError) -> None:
        _log.warning("%s", trouble)
        self._trouble = trouble
        self._leaving.wait(_RETRY_S)

    def _take(self, change: "_Change") -> None:
        try:
            if change.taken and self._owned:
                self._on_revoked(self._owned, change.lost)
        finally:
            if not change.taken or self._owned:  # before it gives anything, the client takes nothing away
                self._generation += 1
            self._owned = change.owned
            self._group_metadata = change.group_metadata
            change.done.set()

    def taken(self, *, lost: bool) -> "_Change":
        """On the client's loop: all partitions go."""
        # The identity of a seat that is given up is good until the next one; that of a lost one is good for nothing.
        change = _Change(
            frozenset(), taken=True, lost=lost, group_metadata=None if lost else self._consumer.group_metadata()
        )
        self._changes.append(change)
        return change

    def given(self, partitions: Collection[TopicPartition]) -> None:
        """On the client's loop: partitions come. A position keeps it from asking for one; paused, it never fetches."""
        for partition in partitions:
            self._consumer.seek(partition, 0)
        self._consumer.pause(*partitions)
        owned = frozenset(Partition(*partition) for partition in partitions)
        self._changes.append(_Change(owned, group_metadata=self._consumer.group_metadata()))

    async def wait(self, change: "_Change") -> None:
        """On the client's loop: let it go on until *change* is done, or nobody is there any more to do it."""
        while not (change.done.is_set() or self._leaving.is_set()):
            await pause_on_loop(self._consumer, _LOOP_PAUSE_S)


class _Change:
    """What a rebalance does to the seat."""

    def __init__(
        self, owned: frozenset[Partition], *, taken: bool = False, lost: bool = False, group_metadata: object = None
    ) -> None:
        self.owned = owned
        self.taken = taken
        self.lost = lost
        self.group_metadata = group_metadata
        self.done = threading.Event()


class _Listener(AsyncConsumerRebalanceListener):  # type: ignore[misc]  # kafka-python has no types
    def __init__(self, member: PythonMember) -> None:
        self._member = member

    async def on_partitions_revoked(self, revoked: Collection[TopicPartition]) -> None:
        if revoked:
            await self._member.wait(self._member.taken(lost=False))

    async def on_partitions_lost(self, lost: Collection[TopicPartition]) -> None:
        if lost:
            await self._member.wait(self._member.taken(lost=True))

    async def on_partitions_assigned(self, assigned: Collection[TopicPartition]) -> None:
        self._member.given(assigned)
