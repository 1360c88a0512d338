"""The protocols of a log broker, as the service uses it: partitions to read, a consumer group, records to write.

Knows no Kafka client, and does not parse records. `memory` and `kafka` implement the protocols; one suite of contract
tests holds each of them to the sentences below.

Four parts, since different threads use them:

    Broker   topics, and the bounds of their partitions
    Reader   records of assigned partitions, from given offsets on; reports which partitions are drained
    Member   membership in a consumer group: which partitions this process owns, and the committed offsets
    Writer   records out, together with the offsets that they answer, in one transaction if asked

An offset that is committed, assigned or returned is the *next* one: that of the next record to read, one more than the
last offset seen.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import NamedTuple, Protocol

from stream_rec.transport.records import Record

__all__ = [
    "Bounds",
    "Broker",
    "Member",
    "OnRevoked",
    "Partition",
    "PartitionOffsets",
    "ProducerRecord",
    "Reader",
    "TopicSpec",
    "Writer",
]


class Partition(NamedTuple):
    """One ordered log of a topic."""

    topic: str
    number: int

    def __str__(self) -> str:
        return f"{self.topic}-{self.number}"


PartitionOffsets = Mapping[Partition, int]
"""For each partition, the offset of the next record."""


class Bounds(NamedTuple):
    """Which offsets a partition holds now."""

    first: int
    """Offset of the oldest record that retention has left."""

    end: int
    """Offset that the next record will get; where a transaction is open, the offset of its first record."""


class ProducerRecord(NamedTuple):
    """A record to write."""

    topic: str
    value: bytes | None
    key: bytes | None = None
    headers: tuple[tuple[str, bytes], ...] = ()


class TopicSpec(NamedTuple):
    """A topic as `--create-topics` creates it; None is the broker's own default."""

    name: str
    partitions: int | None = None
    replication: int | None = None
    retention_ms: int | None = None


OnRevoked = Callable[[frozenset[Partition], bool], None]
"""Called with the revoked partitions, and whether they are lost.

Not lost: offsets of these partitions may still be committed, and the rebalance waits until the call returns. Lost:
another member may own them already. The client may call it on a thread of its own; it must not call the Member.
"""


class Broker(Protocol):
    """The broker as a whole. Its calls may take as long as the client's own timeouts.

    All calls, those of the parts too, raise TransportError, `retriable` where waiting may help (broker away), and
    SettingsError, naming the key, where the operator must change something (credentials, a setting that the client does
    not take).
    """

    def partitions(self, topic: str) -> list[Partition]:
        """The partitions of *topic*, in order; empty where there is no such topic."""

    def create_topics(self, topics: Sequence[TopicSpec]) -> None:
        """Create those of *topics* that are missing; the others stay as they are."""

    def topic_settings(self, topic: str) -> Mapping[str, str] | None:
        """What is set for *topic*, defaults included, by Kafka's names; None where this user may not see it."""

    def bounds(self, partitions: Iterable[Partition]) -> dict[Partition, Bounds]:
        """The bounds of each partition. Raises TransportError, not retriable, for a partition that does not exist."""

    def group_offsets(self, group: str, partitions: Collection[Partition]) -> dict[Partition, int]:
        """The offsets that *group* has committed so far; a partition without one is left out. One request.

        Does not wait for open transactions: good for following other members, not for taking over from them.
        """

    def commit_notes(self, group: str, partitions: Collection[Partition]) -> dict[Partition, str]:
        """The notes of the last commits of *group*; a partition without a commit is left out. As `group_offsets`."""

    def reader(self) -> "Reader":
        """A new reader, of committed records."""

    def member(
        self, group: str, topics: Sequence[str], on_revoked: OnRevoked, *, instance: str | None = None
    ) -> "Member":
        """A member of *group* for *topics*, which has not joined yet; with *instance*, a static one of that name."""

    def writer(self, transactional_id: str | None) -> "Writer":
        """A new writer; with an id, a transactional one, which first aborts what an earlier one of the id left open."""

    def group_metadata(self, group: str) -> object:
        """Metadata of *group* for `Writer.add_offsets` without a membership: for a transaction that is aborted."""

    def close(self) -> None:
        """Release connections and threads. May be called twice."""


class Reader(Protocol):
    """Reads the partitions that it is assigned, whichever member owns them. For one thread."""

    def assign(self, offsets: PartitionOffsets) -> None:
        """Read these partitions, from these offsets on, and no others. Drops what was fetched ahead."""

    def pause_only(self, partitions: Collection[Partition]) -> None:
        """Pause these partitions, and resume all others. Paused ones keep their offsets. Cheap where nothing changes.

        Stays in force over a new `assign`, also for partitions that are not assigned yet.
        """

    def poll(self, max_records: int, timeout_s: float) -> Mapping[Partition, Sequence[Record]]:
        """About *max_records* at most, in order within each partition; waits for the first one only.

        May return nothing before the timeout, where `drained` has changed.

        Raises LogChangedError where an offset is out of range (retention, or a topic that was created again): it names
        the partition and its bounds. Reading goes on only after a new `assign`.
        """

    @property
    def drained(self) -> Collection[Partition]:
        """The partitions of which, by the broker's last answer, all records were returned."""

    @property
    def positions(self) -> PartitionOffsets:
        """Of each assigned partition, an offset before which no more records will be returned. Any thread may ask.

        While `poll` is called, it soon passes what readers of committed records never see: aborted records, and the
        markers at the end of transactions.
        """

    def close(self) -> None:
        """Release connections and threads. May be called twice."""


class Member(Protocol):
    """Membership in a consumer group. `committed` may be called before `join`; all else only after it.

    `poll` is for one thread; `committed`, `commit` and `group_metadata` may be called from another meanwhile.
    """

    def join(self) -> None:
        """Join the group: from now on `poll` must be called, every second or so. Returns at once."""

    def poll(self) -> None:
        """Stay in the group, and take part in rebalances. Returns at once, but for the time that `on_revoked` takes."""

    @property
    def owned(self) -> frozenset[Partition]:
        """The partitions that are assigned to this member now. Empty before the first assignment."""

    @property
    def generation(self) -> int:
        """Grows with each assignment, also where the same partitions, or none, were assigned again.

        Zero before the first assignment. A revocation leaves it: `owned` is empty then, until the next assignment.
        """

    @property
    def group_metadata(self) -> object:
        """What a Writer needs to commit for this member, as of the last rebalance; None once the membership is lost."""

    def committed(self, partitions: Collection[Partition]) -> dict[Partition, int]:
        """The group's committed offsets; a partition without one is left out. Waits for open transactions.

        Raises TransportError, retriable, where they do not end in time.
        """

    def commit(self, offsets: PartitionOffsets, note: str = "") -> None:
        """Commit *offsets* outside of any transaction; the *note* is kept beside each of them.

        Raises AssignmentLostError if the group has gone on without this member.
        """

    def leave(self) -> None:
        """Leave the group, so that others take over at once (a static member's partitions wait for its timeout)."""


class Writer(Protocol):
    """Writes records. The same key goes to the same partition with every client (murmur2). For one thread.

    Without a transactional id, `begin`, `add_offsets`, `commit` and `abort` must not be called.
    """

    def begin(self) -> None:
        """Open a transaction. Asks no broker: a writer that was fenced learns it at `commit` at the latest.

        Raises TransportError, retriable, where an earlier transaction has to be ended first and the broker is away.
        """

    def send(self, records: Sequence[ProducerRecord]) -> None:
        """Accept *records*; they may stay here until `flush`.

        Raises RecordTooLargeError, before any record is accepted, where one is too large.
        """

    def append(self, records: Sequence[ProducerRecord]) -> list[tuple[Partition, int]]:
        """Write *records*, and return partition and offset of each once the broker has them all.

        Outside of transactions. Raises as `send` and `flush` do; then some records may have been written, but for a
        RecordTooLargeError with `none_sent`.
        """

    def write_empty(self, partitions: Collection[Partition]) -> None:
        """Write an empty record to each, and flush: for a transaction that is aborted."""

    def flush(self) -> None:
        """Return when the broker has all that was sent. Raises TransportError if it has not."""

    def add_offsets(self, offsets: PartitionOffsets, group_metadata: object, note: str = "") -> None:
        """Have *offsets* committed with the transaction, for the member that *group_metadata* comes from.

        The *note* is kept beside each of them.

        Raises AssignmentLostError if the group has gone on without that member.
        """

    def commit(self) -> None:
        """Make the records sent visible, and the offsets the group's.

        Raises FencedError if a newer writer has the same id. After a retriable TransportError the outcome is unknown.
        Call `abort`, which ends the transaction, then read the group's offsets to learn it, before sending again.
        """

    def abort(self) -> None:
        """Abort the transaction: readers of committed records never see what was sent since `begin`."""

    def close(self) -> None:
        """Release connections and threads; an open transaction is aborted. May be called twice."""
