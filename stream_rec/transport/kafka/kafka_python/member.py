"""Membership in a consumer group with kafka-python.

The client takes part in rebalances only while it is polled, and one that is polled in short turns may ask to join twice
(a join that ends between two turns is lost). So a thread polls without a gap, as long as `Member.poll` is called often
enough. The client's callbacks run on its loop, where blocking would stop heartbeats: they queue a change, wait without
blocking, and `poll` carries the change out on its caller's thread.
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

from stream_rec.errors import StreamRecError, TransportError
from stream_rec.transport.broker import OnRevoked, Partition, PartitionOffsets
from stream_rec.transport.kafka.kafka_python.errors import KafkaPythonErrors
from stream_rec.transport.kafka.kafka_python.internals import (
    insist_on_joining,
    is_fenced,
    know_topics,
    pause_on_loop,
)
from stream_rec.transport.kafka.member import KafkaMember
from stream_rec.transport.kafka.refusals import fenced
from stream_rec.transport.kafka.untyped import Untyped
from stream_rec.transport.timeouts import TransportTimeouts, milliseconds

__all__ = ["PythonMember"]

_log = logging.getLogger(__name__)

_SILENT_POLLS: Final = 3
"""More polls without heartbeats are a fenced member; fewer may be a rebalance that has just begun or ended."""


class PythonMember(KafkaMember):
    """See `Member`. No other part uses *consumer*."""

    def __init__(
        self,
        consumer: Untyped,
        topics: Sequence[str],
        on_revoked: OnRevoked,
        errors: KafkaPythonErrors,
        timeouts: TransportTimeouts,
    ) -> None:
        super().__init__(topics, on_revoked, timeouts)
        self._consumer = consumer
        self._errors = errors
        self._answer_ms = milliseconds(timeouts.answer_s)
        self._changes: deque[_Change] = deque()
        """Queued on the client's loop, and carried out by `poll`."""
        self._failure: StreamRecError | None = None
        self._n_silent = 0
        self._polled_at = 0.0
        self._leaving = threading.Event()
        self._poller: threading.Thread | None = None

    @staticmethod
    def settings(
        group: str, instance: str | None, common: dict[str, Any], timeouts: TransportTimeouts
    ) -> dict[str, Any]:
        """The settings of its consumer; *common* are those of all consumers."""
        times = {
            "session_timeout_ms": milliseconds(timeouts.session_s),
            "heartbeat_interval_ms": milliseconds(timeouts.heartbeat_s),
            "metadata_max_age_ms": milliseconds(timeouts.partitions_age_s),
        }
        return times | common | {
            "group_id": group,
            "group_instance_id": instance,
            "partition_assignment_strategy": [RangePartitionAssignor],
        }  # fmt: skip

    def join(self) -> None:
        """Subscribe, and start the thread that polls the client."""
        self._polled_at = time.monotonic()
        with self._errors.during("joining the group"):
            self._consumer.subscribe(self._topics, listener=_Listener(self))
            know_topics(self._consumer, self._topics, self._timeouts)
        self._poller = threading.Thread(target=self._poll_client, name="stream-rec-member", daemon=True)
        self._poller.start()

    def poll(self) -> None:
        """Carry out the queued changes; raise the error that the thread has met."""
        self._polled_at = time.monotonic()
        while self._changes:
            self._carry_out(self._changes.popleft())
            self._polled_at = time.monotonic()
        failure, self._failure = self._failure, None
        if failure is not None:
            raise failure

    def committed(self, partitions: Collection[Partition]) -> dict[Partition, int]:
        """One request for each, since the client takes one partition at a time."""
        with self._errors.during("the committed offsets"):
            found = {
                each: self._consumer.committed(TopicPartition(*each), timeout_ms=self._answer_ms) for each in partitions
            }
        return {partition: offset for partition, offset in found.items() if offset is not None}

    def commit(self, offsets: PartitionOffsets, note: str = "") -> None:
        """The broker refuses it where the group has gone on."""
        committed = {
            TopicPartition(*partition): OffsetAndMetadata(offset, note, -1) for partition, offset in offsets.items()
        }
        with self._errors.during("committing offsets"):
            self._consumer.commit(committed, timeout_ms=self._answer_ms)

    def leave(self) -> None:
        """Give up the owned partitions, stop the thread, and close the consumer, which informs the group."""
        if self._leaving.is_set():
            return
        self._leaving.set()
        if self._poller is not None:
            self._poller.join(self._timeouts.answer_s)
        while self._changes:
            self._carry_out(self._changes.popleft())
        self._carry_out(_Change(frozenset(), is_revoked=True))
        with self._errors.during("leaving the group"):
            self._consumer.close(autocommit=False, timeout_ms=self._answer_ms)

    def _poll_client(self) -> None:
        """Poll until `leave`. Nothing is fetched: all partitions are paused when they are assigned."""
        times = self._timeouts
        while not self._leaving.is_set():
            if time.monotonic() - self._polled_at > times.poll_gap_s:
                self._leaving.wait(times.member_poll_s)
                continue
            try:
                self._consumer.poll(timeout_ms=milliseconds(times.member_poll_s))
                self._check_fenced()
            except theirs.KafkaError as error:
                self._met(self._errors.translated(error, "staying in the group"))
            except Exception as error:  # noqa: BLE001 (if the thread died, the membership would be lost in silence)
                self._met(TransportError(f"staying in the group: {error!r}", retriable=True))

    def _check_fenced(self) -> None:
        self._n_silent = self._n_silent + 1 if is_fenced(self._consumer) else 0
        if self._n_silent > _SILENT_POLLS:
            self._met(fenced("the membership in the group was taken over"))

    def _met(self, failure: StreamRecError) -> None:
        _log.warning("%s", failure)
        self._failure = failure
        self._leaving.wait(self._timeouts.member_retry_s)

    def _carry_out(self, change: "_Change") -> None:
        try:
            if change.is_revoked and self._owned:
                self._on_revoked(self._owned, change.is_lost)
        finally:
            if not change.is_revoked:
                self._generation += 1
            self._owned = change.owned
            self._group_metadata = change.group_metadata
            change.done.set()

    def queue_revoked(self, *, is_lost: bool) -> "_Change":
        """On the client's loop: all partitions are revoked."""
        insist_on_joining(self._consumer)
        # The metadata of a membership that is given up is good until the next one; that of a lost one, for nothing.
        metadata = None if is_lost else self._consumer.group_metadata()
        change = _Change(frozenset(), is_revoked=True, is_lost=is_lost, group_metadata=metadata)
        self._changes.append(change)
        return change

    def queue_assigned(self, partitions: Collection[TopicPartition]) -> None:
        """On the client's loop: partitions are assigned. With an offset it asks for none; paused, it never fetches."""
        for partition in partitions:
            self._consumer.seek(partition, 0)
        self._consumer.pause(*partitions)
        owned = frozenset(Partition(*partition) for partition in partitions)
        self._changes.append(_Change(owned, group_metadata=self._consumer.group_metadata()))

    async def wait(self, change: "_Change") -> None:
        """On the client's loop: let it go on until *change* is carried out, or `leave` is called."""
        while not (change.done.is_set() or self._leaving.is_set()):
            await pause_on_loop(self._consumer, self._timeouts.loop_poll_s)


class _Change:
    """A new assignment, or partitions that are revoked."""

    def __init__(
        self,
        owned: frozenset[Partition],
        *,
        is_revoked: bool = False,
        is_lost: bool = False,
        group_metadata: object = None,
    ) -> None:
        self.owned = owned
        self.is_revoked = is_revoked
        self.is_lost = is_lost
        self.group_metadata = group_metadata
        self.done = threading.Event()


class _Listener(AsyncConsumerRebalanceListener):  # type: ignore[misc]  # kafka-python has no types
    def __init__(self, member: PythonMember) -> None:
        self._member = member

    async def on_partitions_revoked(self, revoked: Collection[TopicPartition]) -> None:
        if revoked:
            await self._member.wait(self._member.queue_revoked(is_lost=False))

    async def on_partitions_lost(self, lost: Collection[TopicPartition]) -> None:
        if lost:
            await self._member.wait(self._member.queue_revoked(is_lost=True))

    async def on_partitions_assigned(self, assigned: Collection[TopicPartition]) -> None:
        self._member.queue_assigned(assigned)
