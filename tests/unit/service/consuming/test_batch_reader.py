"""Reading several partitions at once: how much is fetched ahead, and that a paused one is not waited for."""

from collections.abc import Collection, Sequence

from stream_rec.core.events import Event
from stream_rec.service.batches import NOT_A_MEMBER
from stream_rec.service.consuming.batch_reader import AHEAD, BatchReader
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
