"""What flows through the service: batches on their way in, results on their way out. Types only."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from stream_rec.core.dtypes import Mask
from stream_rec.core.events import (
    Answer,
    encode_dead_letter,
)
from stream_rec.transport.broker import Partition
from stream_rec.transport.decode import Decoded
from stream_rec.transport.records import Record, Records

__all__ = [
    "Batch",
    "BatchResult",
    "BatchTimings",
    "Decoded",
    "Mask",
    "ProcessedBatch",
    "ReadBatch",
    "RejectedRecord",
    "Work",
]


class RejectedRecord(NamedTuple):
    """A record that was not applied, and why."""

    record: Record
    reason: str
    message: str

    def to_dead_letter(self) -> bytes:
        """The dead letter, as JSON."""
        each = self.record
        return encode_dead_letter(
            self.reason, self.message, each.value, each.topic, each.partition, each.offset, each.key, each.headers
        )


class Batch(NamedTuple):
    """Records of events and of requests in the order of their arrival, events decoded already."""

    records: Sequence[Record]
    decoded: Sequence[Decoded | None]
    """None stands for a request, which is decoded when it is answered."""
    ours: Mask | None = None
    """Which of them this process answers for, [n]; None: all."""
    seen: Mapping[str, int] | None = None
    """By `topic-partition`, the last offset of each partition among them; None: look."""

    def slices(self, n: int) -> "Iterator[Batch]":
        """The same in parts of *n* records."""
        for start in range(0, len(self.records), n):
            part = slice(start, start + n)
            yield Batch(self.records[part], self.decoded[part], None if self.ours is None else self.ours[part])


class ProcessedBatch(NamedTuple):
    """What came of a batch, in the order of its records."""

    answers: list[Answer]
    refused: list[RejectedRecord]
    forgot: bool = False
    """Whether something was forgotten: snapshots from before must go."""

    @classmethod
    def joined(cls, parts: "Sequence[ProcessedBatch]") -> "ProcessedBatch":
        """Those of the parts of a batch, in order, as one."""
        return cls(
            [answer for part in parts for answer in part.answers],
            [refused for part in parts for refused in part.refused],
            any(part.forgot for part in parts),
        )


class ReadBatch(NamedTuple):
    """A batch, and where it leaves the partitions."""

    batch: Batch
    settled: dict[Partition, int]
    """Of the owned partitions among it, the positions after the batch: to be committed with its answers."""
    positions: dict[Partition, int]
    """Of all partitions of events, the positions after the batch: what a snapshot must say."""


class Work(NamedTuple):
    """A batch, and the seat that it was read with."""

    handed: ReadBatch
    generation: int
    identity: object
    read_at: float
    """By the monotonic clock."""


_SAMPLED: Final = 64


class BatchTimings(NamedTuple):
    """A batch on its way, for those who measure: when what was done with it, by the monotonic clock."""

    read_at: float
    taken_at: float
    """When the recommender thread began with it, ..."""
    done_at: float
    """... and when it had applied and answered it."""
    records: Sequence[Record]
    ours: Mask | None = None
    """Which of them this process answers for, [n]; None: all."""

    def times_ms(self) -> npt.NDArray[np.float64]:
        """The broker's times of the records that are ours, without those that have none.

        Of many that nobody has looked at, some, evenly spread: a look costs as much as the rest of what is done for one
        that is only indexed.
        """
        step = max(1, len(self.records) // _SAMPLED) if isinstance(self.records, Records) else 1
        times = np.array([record.timestamp_ms for record in self.records[::step]], np.float64)  # None becomes NaN
        if self.ours is not None:
            times = times[self.ours[::step]]
        return times[~np.isnan(times)]


class BatchResult(NamedTuple):
    """What came of a batch, and the positions that it settles."""

    answers: Sequence[Answer]
    refused: Sequence[RejectedRecord]
    positions: dict[Partition, int]
    """Of the partitions that this process answers for, the offsets after the batch."""

    generation: int = 0
    identity: object = None
    """The seat that the partitions belonged to when the batch was read."""
    passage: BatchTimings | None = None
