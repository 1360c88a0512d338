"""A log broker in memory: topics, a group, transactions, with faults on request. For tests, and for trying things.

Knows nothing of the outside, and never waits. It keeps the promises of `broker`, crashes included: what is in it
outlives the readers, members and writers that worked with it, so a test may drop those at any step and start anew.

    broker = MemoryBroker({"clicks": 2})
    broker.produce("clicks", b'{"session_id": ...}', key=b"s1")
"""

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import NamedTuple

from xxhash import xxh3_64_intdigest

from stream_rec.errors import AssignmentLostError, FencedError, LogChangedError, RecordTooLargeError, TransportError
from stream_rec.transport.broker import Bounds, Partition, PartitionOffsets, ProducerRecord, Revoked, TopicSpec
from stream_rec.transport.records import OURS, Record, Records

__all__ = ["MemoryBroker"]

STEPS = ("begin", "send", "flush", "positions", "commit", "abort", "commit positions")
"""Where `MemoryBroker.before` is called; a hook that raises there keeps the step from happening.

`MemoryBroker.after` is called with "commit" or "place" when that is done; a hook that raises there loses the answer.
"""


class _Transaction:
    """One writer's open transaction, or how it ended."""

    def __init__(self) -> None:
        self.outcome: bool | None = None
        """True committed, False aborted, None open."""
        self.positions: dict[str, dict[Partition, int]] = {}


class _Entry(NamedTuple):
    record: Record
    transaction: _Transaction | None

    @property
    def is_open(self) -> bool:
        return self.transaction is not None and self.transaction.outcome is None

    @property
    def is_visible(self) -> bool:
        return self.transaction is None or bool(self.transaction.outcome)


class _Identity(NamedTuple):
    group: str
    member: "_MemoryMember | None"
    generation: int


class _Group:
    """Who is in it, who owns what, and how far it is."""

    def __init__(self) -> None:
        self.generation = 0
        self.members: list[_MemoryMember] = []
        self.waiting: set[_MemoryMember] = set()
        """Members that have yet to give up what they own, before it is dealt anew."""
        self.committed: dict[Partition, int] = {}


class MemoryBroker:
    """Topics by name and number of partitions.

    *before* is called with the name of each step of a commit (see STEPS): let it raise to see what happens then.
    """

    def __init__(
        self,
        topics: Mapping[str, int],
        *,
        before: Callable[[str], None] = lambda _: None,
        max_record_bytes: int = 1 << 20,
    ) -> None:
        self.logs: dict[Partition, list[_Entry]] = {}
        self.first: dict[Partition, int] = defaultdict(int)
        self.before = before
        self.after: Callable[[str], None] = lambda _: None
        self.max_record_bytes = max_record_bytes
        self.groups: defaultdict[str, _Group] = defaultdict(_Group)
        self._writers: dict[str, _MemoryWriter] = {}
        self._appended = 0
        self.create([TopicSpec(name, partitions) for name, partitions in topics.items()])

    # --- what a test does to it

    def produce(
        self,
        topic: str,
        value: bytes | None,
        key: bytes | None = None,
        *,
        headers: tuple[tuple[str, bytes], ...] = (),
        partition: int | None = None,
        timestamp_ms: int | None = None,
    ) -> None:
        """Append a record, as a producer outside of any transaction would."""
        self.append(ProducerRecord(topic, value, key, headers), None, partition, timestamp_ms)

    def visible(self, topic: str) -> list[Record]:
        """What readers of committed records can see of *topic*, partition by partition."""
        return [
            entry.record
            for partition in self.partitions(topic)
            for entry in self.logs[partition][: self._stable_end(partition)]
            if entry.is_visible
        ]

    def cut_off(self, partition: Partition, first: int) -> None:
        """Remove what stands before offset *first*, as retention does."""
        self.first[partition] = max(self.first[partition], first)

    def expire(self, group: str, member: "_MemoryMember | None" = None) -> None:
        """Put *member*, or all that there are, out of *group*, as when heartbeats stop."""
        state = self.groups[group]
        for gone in list(state.members) if member is None else [member]:
            state.members.remove(gone)
            gone.expelled = True
        self.rebalance(group)

    def end_open_transactions(self) -> None:
        """Abort what is open, as the broker does when its time is over."""
        for writer in self._writers.values():
            writer.drop()

    # --- the protocol

    def partitions(self, topic: str) -> list[Partition]:
        """The partitions of *topic*."""
        return sorted(partition for partition in self.logs if partition.topic == topic)

    def create(self, topics: Sequence[TopicSpec]) -> None:
        """Make those that are not there."""
        for topic in topics:
            for number in range(topic.partitions or 1):
                if number == 0 and self.partitions(topic.name):
                    break
                self.logs[Partition(topic.name, number)] = []

    def bounds(self, partitions: Iterable[Partition]) -> dict[Partition, Bounds]:
        """First offset, and the end before the first open transaction."""
        return {each: Bounds(self.first[each], self._stable_end(each)) for each in map(self._known, partitions)}

    def progress(self, group: str, partitions: Collection[Partition]) -> dict[Partition, int]:
        """As of the last commit."""
        committed = self.groups[group].committed
        return {each: committed[each] for each in partitions if each in committed}

    def reader(self) -> "_MemoryReader":
        """A new reader."""
        return _MemoryReader(self)

    def member(
        self, group: str, topics: Sequence[str], revoked: Revoked, *, instance: str | None = None
    ) -> "_MemoryMember":
        """A seat, not taken yet."""
        del instance
        return _MemoryMember(self, group, topics, revoked)

    def writer(self, transactional_id: str | None) -> "_MemoryWriter":
        """A new writer; an older one of the same id is fenced, and its open transaction aborted."""
        writer = _MemoryWriter(self)
        if transactional_id is not None:
            if transactional_id in self._writers:
                self._writers[transactional_id].drop()
                self._writers[transactional_id].fenced = True
            self._writers[transactional_id] = writer
        return writer

    def nobody(self, group: str) -> object:
        """An identity without a seat."""
        return _Identity(group, None, 0)

    def close(self) -> None:
        """Nothing is held."""

    # --- what its parts ask

    def append(
        self,
        outgoing: ProducerRecord,
        transaction: _Transaction | None,
        number: int | None = None,
        timestamp_ms: int | None = None,
    ) -> tuple[Partition, int]:
        """Put a record at the end of its partition, that of its key's hash or the first; return where it stands."""
        of_topic = self.partitions(outgoing.topic)
        if not of_topic:
            raise TransportError(f"there is no topic {outgoing.topic!r}")
        self._appended += 1
        number = xxh3_64_intdigest(outgoing.key or b"") % len(of_topic) if number is None else number
        log = self.logs[of_topic[number]]
        record = Record(
            outgoing.value or b"",
            outgoing.topic,
            number,
            len(log),
            outgoing.key,
            outgoing.headers,
            self._appended if timestamp_ms is None else timestamp_ms,
            tombstone=outgoing.value is None,
        )
        log.append(_Entry(record, transaction))
        return of_topic[number], record.offset

    def read(self, partition: Partition, position: int, n: int) -> tuple[list[Record], int]:
        """At most *n* visible records from *position* on, and the position after them."""
        first, end = self.first[self._known(partition)], self._stable_end(partition)
        if not first <= position <= end:
            message = f"{partition}: there is nothing at {position}; it holds {first} to {end}"
            raise LogChangedError(message, partition=str(partition), position=position, first=first, end=end)
        records: list[Record] = []
        while position < end and len(records) < n:
            entry = self.logs[partition][position]
            position += 1
            if entry.is_visible:
                records.append(entry.record)
        return records, position

    def rebalance(self, group: str) -> None:
        """Have every member give up what it owns; when all have, deal anew."""
        state = self.groups[group]
        state.waiting = set(state.members)
        self.deal(group)

    def deal(self, group: str) -> None:
        """Deal the partitions out, by range, if nobody owns any more."""
        state = self.groups[group]
        if state.waiting:
            return
        state.generation += 1
        for place, member in enumerate(state.members):
            owned: list[Partition] = []
            for topic in member.topics:
                of_topic = self.partitions(topic)
                share, rest = divmod(len(of_topic), len(state.members))
                start = place * share + min(place, rest)
                owned += of_topic[start : start + share + (place < rest)]
            member.dealt = (state.generation, frozenset(owned))

    def pending(self, group: str, partition: Partition) -> bool:
        """Whether an open transaction is about to move the group's position."""
        return any(
            writer.transaction is not None and partition in writer.transaction.positions.get(group, {})
            for writer in self._writers.values()
        )

    def _known(self, partition: Partition) -> Partition:
        if partition not in self.logs:
            raise TransportError(f"there is no partition {partition}")
        return partition

    def _stable_end(self, partition: Partition) -> int:
        log = self.logs[partition]
        return next((offset for offset, entry in enumerate(log) if entry.is_open), len(log))


class _MemoryReader:
    def __init__(self, broker: MemoryBroker) -> None:
        self._broker = broker
        self._positions: dict[Partition, int] = {}
        self._held: frozenset[Partition] = frozenset()

    def start(self, positions: PartitionOffsets) -> None:
        self._positions = dict(positions)

    def hold(self, partitions: Collection[Partition]) -> None:
        self._held = frozenset(partitions)

    def poll(self, max_records: int, timeout_s: float) -> dict[Partition, Records]:
        """The oldest by time of those that may be read: so that a test's order is always the same."""
        del timeout_s
        found: list[tuple[int, Record]] = []
        for partition, position in self._positions.items():
            newest = 0
            for record in self._broker.read(partition, position, max_records)[0] if partition not in self._held else ():
                newest = max(newest, record.timestamp_ms or 0)  # times may go back, offsets may not
                found.append((newest, record))
        found.sort(key=lambda each: (each[0], each[1].topic, each[1].partition, each[1].offset))
        polled: dict[Partition, list[Record]] = {}
        for _, record in found[:max_records]:
            polled.setdefault(Partition(record.topic, record.partition), []).append(record)
        for partition, records in polled.items():
            self._positions[partition] = records[-1].offset + 1
        # In the form in which a client's records come, so that tests on this broker see what becomes of them.
        return {partition: Records(records, OURS) for partition, records in polled.items()}

    @property
    def drained(self) -> Collection[Partition]:
        there = self._broker
        return {
            each
            for each, position in self._positions.items()
            if position >= there.first[each] and not there.read(each, position, 1)[0]
        }

    def close(self) -> None:
        self._positions = {}


class _MemoryMember:
    def __init__(self, broker: MemoryBroker, group: str, topics: Sequence[str], revoked: Revoked) -> None:
        self.topics = tuple(topics)
        self.expelled = False
        self.dealt: tuple[int, frozenset[Partition]] = (0, frozenset())
        self._broker = broker
        self._name = group
        self._group = broker.groups[group]
        self._revoked = revoked
        self._taken: tuple[int, frozenset[Partition]] = (0, frozenset())

    def join(self) -> None:
        self._group.members.append(self)
        self.expelled = False
        self._broker.rebalance(self._name)
        self._give_up(lost=False)

    def poll(self) -> None:
        if self.expelled:
            self._give_up(lost=True)
            self.join()
        elif self in self._group.waiting:
            self._give_up(lost=False)
        if self not in self._group.waiting and self.dealt[0] == self._group.generation:
            self._taken = self.dealt

    def _give_up(self, *, lost: bool) -> None:
        _, owned = self._taken
        if owned:
            self._revoked(owned, lost)
        self._taken = (self._taken[0], frozenset())
        self._group.waiting.discard(self)
        if not lost:
            self._broker.deal(self._name)

    @property
    def owned(self) -> frozenset[Partition]:
        return self._taken[1]

    @property
    def generation(self) -> int:
        return self._taken[0]

    @property
    def identity(self) -> object:
        return _Identity(self._name, self, self._taken[0])

    def committed(self, partitions: Collection[Partition]) -> dict[Partition, int]:
        if any(self._broker.pending(self._name, each) for each in partitions):
            raise TransportError("a transaction is under way", retriable=True)
        return {each: self._group.committed[each] for each in partitions if each in self._group.committed}

    def commit(self, positions: PartitionOffsets) -> None:
        self._broker.before("commit positions")
        self.check_seat(self._taken[0])
        self._group.committed.update(positions)

    def check_seat(self, generation: int) -> None:
        """Raise AssignmentLostError if this seat, as of *generation*, is not in the group any more."""
        if self.expelled or self not in self._group.members or generation != self._group.generation:
            raise AssignmentLostError(f"the group {self._name} has gone on without this seat")

    def leave(self) -> None:
        if self in self._group.members:
            self._give_up(lost=False)
            self._group.members.remove(self)
            self._broker.rebalance(self._name)


class _MemoryWriter:
    def __init__(self, broker: MemoryBroker) -> None:
        self.fenced = False
        self.transaction: _Transaction | None = None
        self._broker = broker

    def begin(self) -> None:
        self._step("begin")
        self.transaction = _Transaction()

    def send(self, records: Sequence[ProducerRecord]) -> None:
        self._refuse_too_large(records)
        for each in records:
            self._step("send")
            self._broker.append(each, self.transaction)

    def place(self, records: Sequence[ProducerRecord]) -> list[tuple[Partition, int]]:
        self._refuse_too_large(records)
        self._step("place")
        placed = [self._broker.append(each, None) for each in records]
        self._broker.after("place")
        return placed

    def _refuse_too_large(self, records: Sequence[ProducerRecord]) -> None:
        limit = self._broker.max_record_bytes
        for place, each in enumerate(records):
            size = len(each.value or b"") + len(each.key or b"") + sum(len(k) + len(v) for k, v in each.headers)
            if size > limit:
                message = f"a record of {size} bytes for {each.topic}; at most {limit} are taken"
                raise RecordTooLargeError(message, place=place, size=size, limit=limit, none_sent=True)

    def touch(self, partitions: Collection[Partition]) -> None:
        for topic, number in partitions:
            self._broker.append(ProducerRecord(topic, b""), self.transaction, number)

    def flush(self) -> None:
        self._step("flush")

    def add_positions(self, positions: PartitionOffsets, identity: object) -> None:
        self._step("positions")
        assert self.transaction is not None, "positions go into a transaction"
        assert isinstance(identity, _Identity), "made by a member of this broker"
        if identity.member is not None:
            identity.member.check_seat(identity.generation)
        self.transaction.positions.setdefault(identity.group, {}).update(positions)

    def commit(self) -> None:
        self._step("commit")
        assert self.transaction is not None, "there is something to commit"
        for group, positions in self.transaction.positions.items():
            self._broker.groups[group].committed.update(positions)
        self.transaction.outcome = True
        self.transaction = None
        self._broker.after("commit")

    def abort(self) -> None:
        self._step("abort")
        self.drop()

    def drop(self) -> None:
        """Abort what is open, without a word."""
        if self.transaction is not None:
            self.transaction.outcome = False
            self.transaction = None

    def close(self) -> None:
        self.drop()

    def _step(self, name: str) -> None:
        if self.fenced:
            raise FencedError("a newer writer has the same transactional id")
        self._broker.before(name)
