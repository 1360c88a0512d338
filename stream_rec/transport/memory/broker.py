"""A log broker in memory: topics, groups, transactions, with faults on request. For tests and experiments.

Uses no file, network or clock, and never waits. It keeps the promises of the protocols, also over crashes: its records
outlive the readers, members and writers, so a test may drop those at any step and open new ones.

    broker = MemoryBroker({"clicks": 2})
    broker.produce("clicks", b'{"session_id": ...}', key=b"s1")
"""

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import NamedTuple

from xxhash import xxh3_64_intdigest

from stream_rec.errors import AssignmentLostError, FencedError, LogChangedError, RecordTooLargeError, TransportError
from stream_rec.transport.broker import Bounds, OnRevoked, Partition, PartitionOffsets, ProducerRecord, TopicSpec
from stream_rec.transport.records import AS_RECORDS, Record, Records

__all__ = ["MemoryBroker"]

STEPS = ("begin", "send", "append", "flush", "offsets", "commit", "abort", "commit offsets")
"""The names with which `MemoryBroker` calls *before*; a hook that raises prevents the step.

*after* is called with "commit" or "append" when that is done; a hook that raises there loses the answer.
"""


class _Transaction:
    """One writer's open transaction, or how it ended."""

    def __init__(self) -> None:
        self.outcome: bool | None = None
        """True committed, False aborted, None open."""
        self.offsets: dict[str, dict[Partition, int]] = {}
        """By group, what the transaction commits."""
        self.note = ""

    def end(self, *, committed: bool) -> None:
        """Commit or abort."""
        self.outcome = committed


class _LogEntry(NamedTuple):
    record: Record
    transaction: _Transaction | None

    @property
    def is_open(self) -> bool:
        return self.transaction is not None and self.transaction.outcome is None

    @property
    def is_visible(self) -> bool:
        return self.transaction is None or bool(self.transaction.outcome)


class _GroupMetadata(NamedTuple):
    group: str
    member: "_MemoryMember | None"
    generation: int


class _Group:
    """Members, their generation, and the committed offsets."""

    def __init__(self) -> None:
        self.generation = 0
        self.members: list[_MemoryMember] = []
        self.waiting: set[_MemoryMember] = set()
        """Members that have yet to give up their partitions before these are assigned again."""
        self.committed: dict[Partition, int] = {}
        self.notes: dict[Partition, str] = {}

    def commit(self, offsets: PartitionOffsets, note: str) -> None:
        """Keep *offsets*, each with the *note*."""
        self.committed.update(offsets)
        self.notes.update(dict.fromkeys(offsets, note))


class MemoryBroker:
    """Topics by name and number of partitions.

    *before* is called with the name of each step of a commit (see STEPS), *after* when some of them are done: let one
    raise to see what happens then.
    """

    def __init__(
        self,
        topics: Mapping[str, int],
        *,
        before: Callable[[str], None] = lambda _: None,
        after: Callable[[str], None] = lambda _: None,
        max_record_bytes: int = 1 << 20,
    ) -> None:
        self.logs: dict[Partition, list[_LogEntry]] = {}
        self.first: dict[Partition, int] = defaultdict(int)
        self._before = before
        self._after = after
        self.max_record_bytes = max_record_bytes
        self.settings: dict[str, Mapping[str, str] | None] = {}
        """By topic, for `topic_settings`."""
        self.groups: defaultdict[str, _Group] = defaultdict(_Group)
        self._writers: dict[str, _MemoryWriter] = {}
        self._appended = 0
        self.create_topics([TopicSpec(name, partitions) for name, partitions in topics.items()])

    # --- for tests

    def inject(
        self, *, before: Callable[[str], None] | None = None, after: Callable[[str], None] | None = None
    ) -> None:
        """From now on call these hooks in place of those given before."""
        self._before = self._before if before is None else before
        self._after = self._after if after is None else after

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
        """Remove the records before offset *first*, as retention does."""
        self.first[partition] = max(self.first[partition], first)

    def expire(self, group: str, member: "_MemoryMember | None" = None) -> None:
        """Remove *member*, or all members, from *group*, as when heartbeats stop."""
        state = self.groups[group]
        for gone in list(state.members) if member is None else [member]:
            state.members.remove(gone)
            gone.expel()
        self.rebalance(group)

    def end_open_transactions(self) -> None:
        """Abort all open transactions, as a broker does after their timeout."""
        for writer in self._writers.values():
            writer.abort_open()

    # --- the protocol

    def partitions(self, topic: str) -> list[Partition]:
        """The partitions of *topic*."""
        return sorted(partition for partition in self.logs if partition.topic == topic)

    def create_topics(self, topics: Sequence[TopicSpec]) -> None:
        """Create those that are missing."""
        for topic in topics:
            for number in range(topic.partitions or 1):
                if number == 0 and self.partitions(topic.name):
                    break
                self.logs[Partition(topic.name, number)] = []

    def topic_settings(self, topic: str) -> Mapping[str, str] | None:
        """What a test has put into `settings`."""
        return self.settings.get(topic, {})

    def bounds(self, partitions: Iterable[Partition]) -> dict[Partition, Bounds]:
        """First offset, and the end before the first open transaction."""
        return {each: Bounds(self.first[each], self._stable_end(each)) for each in map(self._known, partitions)}

    def group_offsets(self, group: str, partitions: Collection[Partition]) -> dict[Partition, int]:
        """As of the last commit."""
        committed = self.groups[group].committed
        return {each: committed[each] for each in partitions if each in committed}

    def commit_notes(self, group: str, partitions: Collection[Partition]) -> dict[Partition, str]:
        """As of the last commit."""
        state = self.groups[group]
        return {each: state.notes.get(each, "") for each in partitions if each in state.committed}

    def reader(self) -> "_MemoryReader":
        """A new reader."""
        return _MemoryReader(self)

    def member(
        self, group: str, topics: Sequence[str], on_revoked: OnRevoked, *, instance: str | None = None
    ) -> "_MemoryMember":
        """A member that has not joined yet."""
        del instance
        return _MemoryMember(self, group, topics, on_revoked)

    def writer(self, transactional_id: str | None) -> "_MemoryWriter":
        """A new writer; an older one of the same id is fenced, and its open transaction aborted."""
        writer = _MemoryWriter(self)
        if transactional_id is not None:
            if transactional_id in self._writers:
                self._writers[transactional_id].fence()
            self._writers[transactional_id] = writer
        return writer

    def group_metadata(self, group: str) -> object:
        """Metadata without a member."""
        return _GroupMetadata(group, None, 0)

    def close(self) -> None:
        """Do nothing: there is nothing to release."""

    # --- for its readers, members and writers

    def before(self, step: str) -> None:
        """Call the hook: *step* is about to be done."""
        self._before(step)

    def after(self, step: str) -> None:
        """Call the hook: *step* is done, and its caller has no answer yet."""
        self._after(step)

    def append(
        self,
        to_write: ProducerRecord,
        transaction: _Transaction | None,
        number: int | None = None,
        timestamp_ms: int | None = None,
    ) -> tuple[Partition, int]:
        """Append a record to partition *number*, or to that of its key's hash; return partition and offset."""
        of_topic = self.partitions(to_write.topic)
        if not of_topic:
            raise TransportError(f"there is no topic {to_write.topic!r}")
        self._appended += 1
        number = xxh3_64_intdigest(to_write.key or b"") % len(of_topic) if number is None else number
        log = self.logs[of_topic[number]]
        record = Record(
            to_write.value or b"",
            to_write.topic,
            number,
            len(log),
            to_write.key,
            to_write.headers,
            self._appended if timestamp_ms is None else timestamp_ms,
            tombstone=to_write.value is None,
        )
        log.append(_LogEntry(record, transaction))
        return of_topic[number], record.offset

    def read(self, partition: Partition, offset: int, n: int) -> tuple[list[Record], int]:
        """At most *n* visible records from *offset* on, and the offset after them."""
        first, end = self.first[self._known(partition)], self._stable_end(partition)
        if not first <= offset <= end:
            message = f"{partition}: offset {offset} is out of range; the partition holds {first} to {end}"
            raise LogChangedError(message, partition=str(partition), offset=offset, first=first, end=end)
        records: list[Record] = []
        while offset < end and len(records) < n:
            entry = self.logs[partition][offset]
            offset += 1
            if entry.is_visible:
                records.append(entry.record)
        return records, offset

    def rebalance(self, group: str) -> None:
        """Have every member give up its partitions; when all have, assign them again."""
        state = self.groups[group]
        state.waiting = set(state.members)
        self.assign_partitions(group)

    def assign_partitions(self, group: str) -> None:
        """Assign the partitions, by range, if no member has yet to give up its own."""
        state = self.groups[group]
        if state.waiting:
            return
        state.generation += 1
        for index, member in enumerate(state.members):
            owned: list[Partition] = []
            for topic in member.topics:
                of_topic = self.partitions(topic)
                share, rest = divmod(len(of_topic), len(state.members))
                start = index * share + min(index, rest)
                owned += of_topic[start : start + share + (index < rest)]
            member.receive_assignment(state.generation, frozenset(owned))

    def pending(self, group: str, partition: Partition) -> bool:
        """Whether an open transaction is about to commit an offset of the group."""
        return any(
            writer.transaction is not None and partition in writer.transaction.offsets.get(group, {})
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
        self._offsets: dict[Partition, int] = {}
        self._paused: frozenset[Partition] = frozenset()

    def assign(self, offsets: PartitionOffsets) -> None:
        self._offsets = dict(offsets)

    def pause_only(self, partitions: Collection[Partition]) -> None:
        self._paused = frozenset(partitions)

    def poll(self, max_records: int, timeout_s: float) -> dict[Partition, Records]:
        """The oldest records by time, so that a test's order is always the same."""
        del timeout_s
        found: list[tuple[int, Record]] = []
        for partition, offset in self._offsets.items():
            newest = 0
            paused = partition in self._paused
            for record in () if paused else self._broker.read(partition, offset, max_records)[0]:
                newest = max(newest, record.timestamp_ms or 0)  # times may go back, offsets may not
                found.append((newest, record))
        found.sort(key=lambda each: (each[0], each[1].topic, each[1].partition, each[1].offset))
        polled: dict[Partition, list[Record]] = {}
        for _, record in found[:max_records]:
            polled.setdefault(Partition(record.topic, record.partition), []).append(record)
        for partition, records in polled.items():
            self._offsets[partition] = records[-1].offset + 1
        # As Records, which is what clients return, so that tests on this broker cover them too.
        return {partition: Records(records, AS_RECORDS) for partition, records in polled.items()}

    @property
    def drained(self) -> Collection[Partition]:
        broker = self._broker
        return {
            each
            for each, offset in self._offsets.items()
            if offset >= broker.first[each] and not broker.read(each, offset, 1)[0]
        }

    @property
    def positions(self) -> PartitionOffsets:
        ends, drained = self._broker.bounds(self._offsets), self.drained
        return {each: ends[each].end if each in drained else offset for each, offset in self._offsets.items()}

    def close(self) -> None:
        self._offsets = {}


class _MemoryMember:
    def __init__(self, broker: MemoryBroker, group: str, topics: Sequence[str], on_revoked: OnRevoked) -> None:
        self.topics = tuple(topics)
        self._is_expelled = False
        self._broker = broker
        self._name = group
        self._group = broker.groups[group]
        self._on_revoked = on_revoked
        self._assigned: tuple[int, frozenset[Partition]] = (0, frozenset())
        """Generation and partitions that the group has decided on; in force at the next `poll`."""
        self._current: tuple[int, frozenset[Partition]] = (0, frozenset())
        """Generation and partitions in force."""

    def expel(self) -> None:
        """Remember that the group has removed this member, until the next `poll`."""
        self._is_expelled = True

    def receive_assignment(self, generation: int, partitions: frozenset[Partition]) -> None:
        """Remember what the group has assigned, until the next `poll`."""
        self._assigned = (generation, partitions)

    def join(self) -> None:
        self._group.members.append(self)
        self._is_expelled = False
        self._broker.rebalance(self._name)
        self._give_up(lost=False)

    def poll(self) -> None:
        if self._is_expelled:
            self._give_up(lost=True)
            self.join()
        elif self in self._group.waiting:
            self._give_up(lost=False)
        if self not in self._group.waiting and self._assigned[0] == self._group.generation:
            self._current = self._assigned

    def _give_up(self, *, lost: bool) -> None:
        _, owned = self._current
        if owned:
            self._on_revoked(owned, lost)
        self._current = (self._current[0], frozenset())
        self._group.waiting.discard(self)
        if not lost:
            self._broker.assign_partitions(self._name)

    @property
    def owned(self) -> frozenset[Partition]:
        return self._current[1]

    @property
    def generation(self) -> int:
        return self._current[0]

    @property
    def group_metadata(self) -> object:
        return _GroupMetadata(self._name, self, self._current[0])

    def committed(self, partitions: Collection[Partition]) -> dict[Partition, int]:
        if any(self._broker.pending(self._name, each) for each in partitions):
            raise TransportError("a transaction is under way", retriable=True)
        return {each: self._group.committed[each] for each in partitions if each in self._group.committed}

    def commit(self, offsets: PartitionOffsets, note: str = "") -> None:
        self._broker.before("commit offsets")
        self.check_membership(self._current[0])
        self._group.commit(offsets, note)

    def check_membership(self, generation: int) -> None:
        """Raise AssignmentLostError if this member, as of *generation*, is not in the group any more."""
        if self._is_expelled or self not in self._group.members or generation != self._group.generation:
            raise AssignmentLostError(f"the group {self._name} has gone on without this member")

    def leave(self) -> None:
        if self in self._group.members:
            self._give_up(lost=False)
            self._group.members.remove(self)
            self._broker.rebalance(self._name)


class _MemoryWriter:
    def __init__(self, broker: MemoryBroker) -> None:
        self._is_fenced = False
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

    def append(self, records: Sequence[ProducerRecord]) -> list[tuple[Partition, int]]:
        self._refuse_too_large(records)
        self._step("append")
        written = [self._broker.append(each, None) for each in records]
        self._broker.after("append")
        return written

    def _refuse_too_large(self, records: Sequence[ProducerRecord]) -> None:
        limit = self._broker.max_record_bytes
        for index, each in enumerate(records):
            size = len(each.value or b"") + len(each.key or b"") + sum(len(k) + len(v) for k, v in each.headers)
            if size > limit:
                message = f"a record of {size} bytes for {each.topic}; at most {limit} are accepted"
                raise RecordTooLargeError(message, place=index, size=size, limit=limit, none_sent=True)

    def write_empty(self, partitions: Collection[Partition]) -> None:
        for topic, number in partitions:
            self._broker.append(ProducerRecord(topic, b""), self.transaction, number)

    def flush(self) -> None:
        self._step("flush")

    def add_offsets(self, offsets: PartitionOffsets, group_metadata: object, note: str = "") -> None:
        self._step("offsets")
        assert self.transaction is not None, "offsets are added to a transaction"
        assert isinstance(group_metadata, _GroupMetadata), "made by a member of this broker"
        if group_metadata.member is not None:
            group_metadata.member.check_membership(group_metadata.generation)
        self.transaction.offsets.setdefault(group_metadata.group, {}).update(offsets)
        self.transaction.note = note

    def commit(self) -> None:
        self._step("commit")
        assert self.transaction is not None, "there is something to commit"
        for group, offsets in self.transaction.offsets.items():
            self._broker.groups[group].commit(offsets, self.transaction.note)
        self.transaction.end(committed=True)
        self.transaction = None
        self._broker.after("commit")

    def abort(self) -> None:
        self._step("abort")
        self.abort_open()

    def fence(self) -> None:
        """Abort the open transaction; each later step raises FencedError."""
        self.abort_open()
        self._is_fenced = True

    def abort_open(self) -> None:
        """Abort the open transaction, if there is one; no step, so *before* is not called."""
        if self.transaction is not None:
            self.transaction.end(committed=False)
            self.transaction = None

    def close(self) -> None:
        self.abort_open()

    def _step(self, name: str) -> None:
        if self._is_fenced:
            raise FencedError("a newer writer has the same transactional id")
        self._broker.before(name)
