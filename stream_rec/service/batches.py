"""What flows through the service: types only.

The way of a record through them, and which room makes each:

    Records          transport     as they were fetched of one partition
    MergedRecords    consuming     decoded, and in order of time with those of the other partitions
    ReadBatch        consuming     a `Batch` of them, the offsets after it, and the membership it was read under
    ProcessedBatch   processing    its answers, and the records that were rejected
    BatchResult      running       both, on the way to the commit
    ProducerRecord   committing    an answer or a dead letter, for a topic
"""

from collections.abc import Iterator, Mapping, Sequence
from time import monotonic
from typing import Final, NamedTuple

import numpy as np

from stream_rec.core.dtypes import I32, I64, Mask
from stream_rec.core.events import NO_LOG_TIME, Answer, encode_dead_letter
from stream_rec.transport.broker import Partition
from stream_rec.transport.decode import Decoded
from stream_rec.transport.records import Record

__all__ = [
    "NOT_A_MEMBER",
    "Batch",
    "BatchResult",
    "Decoded",
    "Mask",
    "Membership",
    "ProcessedBatch",
    "ReadBatch",
    "RejectedRecord",
    "end_of_record",
]


_NO_TIMES: Final[I64] = np.zeros(0, np.int64)


def end_of_record(elements: I32 | None, place: int) -> int:
    """Return *place*, or where the record ends that it is inside of. *elements* are those of a batch."""
    if elements is None or place >= elements.size or elements[place] <= 1:
        return place
    begins = np.flatnonzero(elements[place:] <= 1)
    # planted bug: split-record
    return place + int(begins[0]) if begins.size else elements.size


class RejectedRecord(NamedTuple):
    """A record that was not applied, or one of its events, and why."""

    record: Record
    reason: str
    message: str
    element: int = 0
    """Which event of the record it is, from 1; 0 for a record that cannot hold several."""
    is_first: bool = True
    """Whether it is the first of its record that was not applied: its dead letter has the bytes of the record."""

    def to_dead_letter(self) -> bytes:
        """Return the dead letter, as JSON."""
        each = self.record
        value = each.value if self.is_first else None
        return encode_dead_letter(
            self.reason, self.message, value, each.topic, each.partition, each.offset, each.key, each.headers,
            element=self.element or None,
        )  # fmt: skip


class Batch(NamedTuple):
    """Events and requests in the order of their arrival, events decoded already; n of them.

    A record that makes several events stands here once for each.
    """

    records: Sequence[Record]
    decoded: Sequence[Decoded | None]
    """None stands for a request: it is decoded when it is answered."""
    is_owned: Mask | None = None
    """Which of them this process answers for, [n]; None: all."""
    last_offsets: Mapping[str, int] | None = None
    """By `topic-partition`, the last offset of each partition in the batch; None: found in the records."""
    log_times: I64 | None = None
    """[n] ms when the log took each, NO_LOG_TIME for a record that does not say; None: none does."""
    elements: I32 | None = None
    """[n] which event of its record each is, from 1; 0 for the one of a record that cannot hold several. None: all 0.

    The events of a record follow each other, and are all in one batch.
    """

    def owned(self) -> Mask:
        """Return which of the records this process answers for, [n]."""
        return np.ones(len(self.records), np.bool_) if self.is_owned is None else self.is_owned

    def slices(self, n: int) -> "Iterator[Batch]":
        """Return the same in parts of *n*, or a few more: no record is split, and so no state is between its events."""
        start = 0
        while start < len(self.decoded):
            end = end_of_record(self.elements, start + n)
            yield self.part(slice(start, end))
            start = end

    def whole_records(self) -> list[Record]:
        """Return each record once."""
        if self.elements is None:
            return list(self.records)
        return [record for record, element in zip(self.records, self.elements.tolist(), strict=True) if element <= 1]

    def part(self, where: slice) -> "Batch":
        """Return the records of *where*."""
        is_owned = None if self.is_owned is None else self.is_owned[where]
        log_times = None if self.log_times is None else self.log_times[where]
        elements = None if self.elements is None else self.elements[where]
        return Batch(self.records[where], self.decoded[where], is_owned, None, log_times, elements)

    def owned_log_times(self) -> I64:
        """Return the log times of the owned records, in ms, without those that have none."""
        if self.log_times is None:
            return _NO_TIMES
        times = self.log_times if self.is_owned is None else self.log_times[self.is_owned]
        known: I64 = times[times != NO_LOG_TIME]
        return known


class Membership(NamedTuple):
    """What a commit needs to know of the consumer group's assignment that a batch was read under."""

    generation: int
    group_metadata: object
    """As `Member.group_metadata`."""


NOT_A_MEMBER: Final = Membership(0, None)
"""Of batches that are read before the process has joined the group: nothing is committed for them."""


class ReadBatch(NamedTuple):
    """A batch, and where the partitions stand after it."""

    batch: Batch
    commit_offsets: dict[Partition, int]
    """Of the owned partitions in it, the offsets after the batch: committed together with its answers."""
    offsets: dict[Partition, int]
    """Of all partitions of events, the offsets after the batch: a snapshot of the state names them."""
    membership: Membership = NOT_A_MEMBER
    read_at: float = 0.0
    """By the monotonic clock."""


class ProcessedBatch(NamedTuple):
    """The outcome of a batch, in the order of its records."""

    answers: Sequence[Answer]
    rejected: Sequence[RejectedRecord]
    forgot: bool = False
    """Whether something was forgotten: older snapshots must be removed."""

    @classmethod
    def joined(cls, parts: "Sequence[ProcessedBatch]") -> "ProcessedBatch":
        """Return the outcomes of the parts of a batch, in order, as one."""
        return cls(
            [answer for part in parts for answer in part.answers],
            [rejected for part in parts for rejected in part.rejected],
            any(part.forgot for part in parts),
        )


class BatchResult(NamedTuple):
    """A batch with its outcome, to be committed."""

    read: ReadBatch
    processed: ProcessedBatch
    started_at: float = 0.0
    """When the recommender thread began with it, by the monotonic clock, ..."""
    done_at: float = 0.0
    """... and when it had applied and answered it."""

    @classmethod
    def of_offsets(cls, offsets: dict[Partition, int], membership: Membership) -> "BatchResult":
        """Return one without records, which commits *offsets*."""
        return cls(ReadBatch(Batch((), ()), offsets, {}, membership, monotonic()), ProcessedBatch((), ()))
