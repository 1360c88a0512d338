"""Reading several partitions at once: how much is fetched ahead, and that a paused one is not waited for."""

from collections.abc import Collection, Sequence
from itertools import count

from stream_rec.core.events import Event
from stream_rec.errors import RegistryUnavailableError
from stream_rec.service.batches import NOT_A_MEMBER
from stream_rec.service.consuming.batch_reader import AHEAD, BatchReader, Reports
from stream_rec.service.consuming.record_decoder import DecodedRecords
from stream_rec.transport.broker import Partition, PartitionOffsets
from stream_rec.transport.records import Record

PARTITIONS = [Partition("clicks", number) for number in range(3)]
N = 2000


class Bursts:
    """A reader that hands out long runs of one partition at a time, the next one each time, but none that is held."""

    def __init__(self, run: int) -> None:
        self.at = dict.fromkeys(PARTITIONS, 0)
        self.held: frozenset[Partition] = frozenset()
        self._run = run
        self._turn = 0

    def assign(self, offsets: PartitionOffsets) -> None:
        self.at = dict(offsets)

    def pause_only(self, partitions: Collection[Partition]) -> None:
        self.held = frozenset(partitions)

    def poll(self, max_records: int, timeout_s: float) -> dict[Partition, list[Record]]:
        del max_records, timeout_s
        for _ in PARTITIONS:
            self._turn += 1
            partition = PARTITIONS[self._turn % len(PARTITIONS)]
            if partition not in self.held and self.at[partition] < N:
                begin, self.at[partition] = self.at[partition], min(N, self.at[partition] + self._run)
                return {partition: [Record(b"", *partition, at) for at in range(begin, self.at[partition])]}
        return {}

    @property
    def drained(self) -> Collection[Partition]:
        return {partition for partition, at in self.at.items() if at == N}

    @property
    def positions(self) -> PartitionOffsets:
        return dict(self.at)

    def close(self) -> None:
        pass


def decode(records: Sequence[Record]) -> DecodedRecords:
    return DecodedRecords([Event("s", "i", record.offset) for record in records])


def test_a_partition_that_is_waited_for_is_not_held() -> None:
    """Whoever was ahead a moment ago may be behind now; all comes, in the order of its time, without a pause."""
    for run in (150, 300, 700):
        reader = Bursts(run)
        source = BatchReader(reader, decode, dict.fromkeys(PARTITIONS, 0), max_records=2, clock=lambda: 0.0)
        source.own(dict.fromkeys(PARTITIONS, 0), NOT_A_MEMBER)
        times: list[int] = []
        n_idle = was_held = 0
        while len(times) < N * len(PARTITIONS) and n_idle < 50:
            read = source.next(0.0)
            was_held += bool(reader.held)
            n_idle = 0 if read else n_idle + 1
            times += [record.offset for record in read.batch.records] if read else []
        assert N * len(PARTITIONS) == len(times), f"runs of {run}"
        assert sorted(times) == times
        assert was_held, "there was something to hold"


def test_what_is_fetched_ahead_is_bounded() -> None:
    """By a number of batches, and the run that came with the last of them."""
    reader = Bursts(300)
    source = BatchReader(reader, decode, dict.fromkeys(PARTITIONS, 0), max_records=2)
    source.own(dict.fromkeys(PARTITIONS, 0), NOT_A_MEMBER)
    most = n_read = 0
    while (read := source.next(0.0)) is not None:
        n_read += len(read.batch.records)
        most = max(most, sum(reader.at.values()) - n_read)
    assert most <= 2 * AHEAD + 300 * len(PARTITIONS)


class OneByOne(Bursts):
    """The same, where each record is of its own schema, and the registry knows those of `known` only."""

    def __init__(self) -> None:
        super().__init__(50)
        self.unknown: Collection[tuple[int, int]] = ()
        """Partition and offset of records whose schema the registry does not say."""
        self.said: list[str | None] = []

    def decode(self, records: Sequence[Record]) -> DecodedRecords:
        for place, record in enumerate(records):
            if (record.partition, record.offset) in self.unknown:
                raise RegistryUnavailableError("the registry does not answer", place=place)
        return decode(records)

    def source(self) -> BatchReader:
        made = BatchReader(
            self,
            self.decode,
            dict.fromkeys(PARTITIONS, 0),
            max_records=20,
            reports=Reports(held=self.said.append),
            clock=count().__next__,
        )
        made.own(dict.fromkeys(PARTITIONS, 0), NOT_A_MEMBER)
        return made


def offsets_of(source: BatchReader, turns: int = 400) -> list[tuple[int, int]]:
    """Time and partition of what comes in so many turns."""
    batches = [read for read in (source.next(0.0) for _ in range(turns)) if read is not None]
    return [(record.offset, record.partition) for read in batches for record in read.batch.records]


def test_records_whose_schema_is_not_known_wait() -> None:
    """Those before it are read, its partition is paused, no other gets ahead of it; then all come, in order, once."""
    reader = OneByOne()
    reader.unknown = {(1, 700)}
    source = reader.source()
    found = offsets_of(source)
    assert (699, 1) in found
    assert max(found) <= (700, 0), "nothing is ahead of the record that waits, though the clock has moved on for long"
    assert PARTITIONS[1] in reader.held
    assert "clicks-1 at offset 700" in str(reader.said[-1])
    assert PARTITIONS[1] not in source.positions or source.positions[PARTITIONS[1]] <= 700
    reader.unknown = ()
    found += offsets_of(source, 1000)
    assert [(at, number) for at in range(N) for number in range(len(PARTITIONS))] == found
    assert reader.said[-1] is None


def test_a_partition_that_waits_for_a_schema_is_not_at_its_end() -> None:
    """A recovery up to its end does not stop before it, though the topic has nothing more."""
    reader = OneByOne()
    reader.unknown = {(2, N - 1)}
    source = reader.source()
    offsets_of(source, 2000)
    ends = dict.fromkeys(PARTITIONS, N)
    assert not source.reached(ends)
    reader.unknown = ()
    offsets_of(source)
    assert source.reached(ends)


def test_what_waits_for_a_schema_comes_again_after_a_new_assignment() -> None:
    """A topic of requests more is read from now on: all is fetched once more, nothing twice."""
    reader = OneByOne()
    reader.unknown = {(0, 10)}
    source = BatchReader(
        reader,
        reader.decode,
        dict.fromkeys(PARTITIONS, 0),
        requests_topic="requests",
        reports=Reports(held=reader.said.append),
    )
    source.own(dict.fromkeys(PARTITIONS, 0), NOT_A_MEMBER)
    found = offsets_of(source, 20)
    source.own({**dict.fromkeys(PARTITIONS, 0), Partition("requests", 0): 0}, NOT_A_MEMBER)
    reader.unknown = ()
    found += offsets_of(source, 1500)
    assert sorted(found) == [(at, number) for at in range(N) for number in range(len(PARTITIONS))]
    assert [None] == reader.said[-1:]
