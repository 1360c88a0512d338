"""What the service asks of a log broker: partitions to read, a seat in a group, and a place to write.

Knows nothing of Kafka's clients nor of what records say. `memory_broker` and `kafka` keep these promises; one suite of
contract tests holds all of them to it.

Four parts, since they live in different threads:

    Broker   which topics there are, and how far they go
    Reader   records of chosen partitions, from chosen positions on; tells what it has reached the end of
    Member   a seat in a consumer group: which partitions this process answers for, and what was committed
    Writer   records out, together with the positions they answer, in one transaction if asked

A *position* is the offset of the next record to be read: one more than the last offset seen.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import NamedTuple, Protocol

from stream_rec.transport.records import Record

__all__ = [
    "Bounds",
    "Broker",
    "Member",
    "Partition",
    "PartitionOffsets",
    "ProducerRecord",
    "Reader",
    "Revoked",
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
    """What a partition holds now."""

    first: int
    """Offset of the oldest record that retention has left."""

    end: int
    """Offset that the next record will get; of records in open transactions, the first one's."""


class ProducerRecord(NamedTuple):
    """A record to be written."""

    topic: str
    value: bytes | None
    key: bytes | None = None
    headers: tuple[tuple[str, bytes], ...] = ()


class TopicSpec(NamedTuple):
    """A topic as `--create-topics` makes it; None is the broker's own default."""

    name: str
    partitions: int | None = None
    replication: int | None = None
    retention_ms: int | None = None


Revoked = Callable[[frozenset[Partition], bool], None]
"""Called with the partitions that are taken away, and whether they are lost already.

Not lost: what was taken of them may still be committed, and the rebalance waits for the call to return. Lost: somebody
else may own them by now. It may be called on a thread of the client's, and must not call the Member.
"""


class Broker(Protocol):
    """The broker as a whole. Its calls may take as long as the client's own timeouts.

    All calls, of the parts too, raise TransportError, `retriable` where waiting may help (the broker is away), and
    SettingsError, naming the key, where the operator must change something (credentials, a setting that the client does
    not take).
    """

    def partitions(self, topic: str) -> list[Partition]:
        """The partitions of *topic*, in order; empty where there is no such topic."""

    def create(self, topics: Sequence[TopicSpec]) -> None:
        """Make those of *topics* that are not there; the others stay as they are."""

    def bounds(self, partitions: Iterable[Partition]) -> dict[Partition, Bounds]:
        """What each partition holds now. Raises TransportError, not retriable, for one that is not there."""

    def progress(self, group: str, partitions: Collection[Partition]) -> dict[Partition, int]:
        """What *group* has committed so far; a partition without a position is left out. One question.

        Transactions under way are not waited for: good for following others, not for taking over from them.
        """

    def reader(self) -> "Reader":
        """A new reader, of read-committed records."""

    def member(self, group: str, topics: Sequence[str], revoked: Revoked, *, instance: str | None = None) -> "Member":
        """A seat in *group* for *topics*, not taken yet; with *instance*, a static one of that name."""

    def writer(self, transactional_id: str | None) -> "Writer":
        """A new writer; with an id, one of transactions: those an earlier writer of that id left open are aborted."""

    def nobody(self, group: str) -> object:
        """An identity for `Writer.add_positions` that has no seat in *group*: for a transaction that is aborted."""

    def close(self) -> None:
        """Let go of what is held outside. May be called twice."""


class Reader(Protocol):
    """Reads partitions that it is told to, whoever answers for them. For one thread."""

    def start(self, positions: PartitionOffsets) -> None:
        """Read these partitions, from these positions on, and no others. Forgets what was fetched ahead."""

    def hold(self, partitions: Collection[Partition]) -> None:
        """Hand out nothing of these until told otherwise; they keep their positions. Cheap where nothing changes.

        Holds over a new `start`, and for partitions that are not read yet.
        """

    def poll(self, max_records: int, timeout_s: float) -> Mapping[Partition, Sequence[Record]]:
        """About *max_records* at most, in order within each partition; waits for the first one only.

        May come back empty before the time is over, where there is news of what is drained.

        Raises LogChangedError where a position is no longer there (retention, or a topic made anew): it names the
        partition and what is there. Only a new `start` goes on from there.
        """

    @property
    def drained(self) -> Collection[Partition]:
        """The partitions of which, by the broker's last word, nothing is left to be handed out."""

    def close(self) -> None:
        """Let go. May be called twice."""


class Member(Protocol):
    """A seat in a consumer group. `committed` needs no seat; all else is for after `join`.

    `poll` is for one thread; `committed`, `commit` and `identity` may be called from another meanwhile.
    """

    def join(self) -> None:
        """Take the seat: from now on `poll` must be called, every second or so. Returns at once."""

    def poll(self) -> None:
        """Keep the seat, and take part in rebalances. Returns at once, but for what `revoked` takes."""

    @property
    def owned(self) -> frozenset[Partition]:
        """The partitions that this seat answers for now. Empty before the group has decided."""

    @property
    def generation(self) -> int:
        """Goes up with each change of `owned`, also where the same partitions, or none, were given again.

        Zero before the group has dealt for the first time.
        """

    @property
    def identity(self) -> object:
        """What a Writer needs to commit for this seat, as of the last rebalance; None once it is lost."""

    def committed(self, partitions: Collection[Partition]) -> dict[Partition, int]:
        """The group's positions; a partition without one is left out. Waits for transactions under way.

        Raises TransportError, retriable, where they do not end in time.
        """

    def commit(self, positions: PartitionOffsets) -> None:
        """Commit *positions* outside of any transaction.

        Raises AssignmentLostError if the group has gone on without this member.
        """

    def leave(self) -> None:
        """Give the seat back, so that others take over at once (a static seat stays ours until its timeout)."""


class Writer(Protocol):
    """Writes records. The same key goes to the same partition with every client (murmur2). For one thread.

    Without a transactional id, `begin`, `add_positions`, `commit` and `abort` must not be called.
    """

    def begin(self) -> None:
        """Open a transaction. Nobody need be asked: who has been fenced learns it when committing, at the latest.

        Raises TransportError, retriable, where an earlier transaction has to be ended first and the broker is away.
        """

    def send(self, records: Sequence[ProducerRecord]) -> None:
        """Take *records*; they may stay here until `flush`. Raises RecordTooLargeError before taking any if one is."""

    def place(self, records: Sequence[ProducerRecord]) -> list[tuple[Partition, int]]:
        """Write *records*, and return where each stands once the broker has them all. Outside of transactions.

        Raises as `send` and `flush` do; then some of them may have been written, but for a RecordTooLargeError that
        says `none_sent`.
        """

    def touch(self, partitions: Collection[Partition]) -> None:
        """Write an empty record to each, and flush: for a transaction that is aborted."""

    def flush(self) -> None:
        """Return when the broker has all that was sent. Raises TransportError if it has not."""

    def add_positions(self, positions: PartitionOffsets, identity: object) -> None:
        """Let *positions* be committed with the transaction, for the seat of *identity*.

        Raises AssignmentLostError if the group has gone on without that seat.
        """

    def commit(self) -> None:
        """Make what was sent visible, and the positions the group's.

        Raises FencedError if a newer writer has the same id. After a TransportError that is retriable nobody knows
        whether it was done: `abort` settles it, and the group's positions tell which, before the same is sent again.
        """

    def abort(self) -> None:
        """Take back what was sent since `begin`: readers of committed records never see it."""

    def close(self) -> None:
        """Let go; what was not committed is aborted. May be called twice."""
