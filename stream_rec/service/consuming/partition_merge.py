"""Records of several partitions, merged in the order of their times.

A consumer that catches up gets hours of one partition in one piece. Applied like that, they would move the watermark
to the present, and all events of the other partitions would be late. So the partitions wait for each other: records
come out by the times of their events (by their log times, where those are earlier), each partition in its own order,
and no event is later than it was in its own partition. A partition of which nothing more can be fetched is not waited
for.

Knows nothing of brokers, of which partitions are owned, nor of what is done with records.
"""

from bisect import bisect_left
from collections.abc import Collection, Mapping, Sequence
from operator import attrgetter
from typing import Final, Generic, NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt

from stream_rec.core.dtypes import I32, I64
from stream_rec.core.events import NO_LOG_TIME, Event
from stream_rec.service.batches import end_of_record
from stream_rec.transport.broker import Partition, PartitionOffsets
from stream_rec.transport.decode import Decoded
from stream_rec.transport.records import AS_RECORDS, Record, Records

__all__ = ["NOTHING", "MergedRecords", "PartitionMerge"]

_LONG_AGO: Final = -1
_LONG_AHEAD: Final = 1 << 62
_TIME_OF: Final = attrgetter("timestamp")

Times = npt.NDArray[np.int64]


Number = TypeVar("Number", np.int64, np.int32)


class _Column(Generic[Number]):
    """A number for each record of a queue, all of them *filler* until one is put that says otherwise."""

    def __init__(self, filler: int, dtype: type[Number]) -> None:
        self._filler = filler
        self._dtype: type[Number] = dtype
        self._values: npt.NDArray[Number] | None = None

    def put(self, before: int, n: int, values: npt.NDArray[Number] | None, size: int) -> None:
        """Set the *n* after *before*; there is space for *size*."""
        if values is None and self._values is None:
            return
        if self._values is None or self._values.size < size:
            grown = np.full(size, self._filler, self._dtype)
            if self._values is not None:
                grown[:before] = self._values[:before]
            self._values = grown
        self._values[before : before + n] = self._filler if values is None else values

    def part(self, where: slice) -> npt.NDArray[Number] | None:
        """Return those of *where*, not copied; None if all are the filler."""
        return None if self._values is None else self._values[where]

    def drop_first(self, n: int) -> None:
        """Remove the first *n*."""
        if self._values is not None:
            self._values = self._values[n:].copy()


class _Queue:
    """What was fetched of one partition and not yet taken. With *is_waited_for*, the others wait for its times.

    Of what is decoded, None stands for a request.
    """

    def __init__(self, next_offset: int, *, is_waited_for: bool) -> None:
        self.is_waited_for = is_waited_for
        self.next_offset = next_offset
        """Offset of the next record to take, or a lower one: offsets may have gaps."""
        self.limit: int | None = None
        """No record from this offset on may be taken; None: all may."""
        self._records = Records([], AS_RECORDS)
        self._decoded: list[Decoded | None] = []
        self._log_times = _Column[np.int64](NO_LOG_TIME, np.int64)
        self._elements = _Column[np.int32](0, np.int32)
        self._times = np.zeros(64, np.int64)  # with spare capacity behind the last one
        self._at = 0
        self._newest = _LONG_AGO

    def __len__(self) -> int:
        return len(self._decoded) - self._at

    def add(
        self,
        records: Sequence[Record],
        decoded: Sequence[Decoded | None],
        log_times: I64 | None,
        elements: I32 | None,
    ) -> None:
        if self._at > len(self):  # so that no record is moved more than once, however many wait
            self._drop_taken()
        before, n = len(self._decoded), len(decoded)
        more = Records.of(records)
        self._records.extend(more)
        self._decoded += decoded
        if before + n > len(self._times):
            self._times = np.concatenate([self._times[:before], np.zeros(before + 2 * n, np.int64)])
        self._log_times.put(before, n, log_times, len(self._times))
        self._elements.put(before, n, elements, len(self._times))
        # A record without a time of its own keeps its place: it takes the time of the record before it.
        times = _times_of(records, decoded)
        if log_times is not None:  # a clock that is ahead moves the watermark no further, so it need not be waited for
            # planted bug: merged-by-event-time
            times = np.minimum(times, log_times)
        if elements is not None:
            times = _latest_of_record(times, elements)
        times = np.maximum(np.maximum.accumulate(times), self._newest)
        self._times[before : before + n] = times
        self._newest = int(times[-1])

    def _drop_taken(self) -> None:
        self._times = self._times[self._at :].copy()
        self._log_times.drop_first(self._at)
        self._elements.drop_first(self._at)
        self._records.drop_first(self._at)
        del self._decoded[: self._at]
        self._at = 0

    def _offset(self, index: int) -> int:
        return self._records.adapter.offset(self._records.raw[index])

    @property
    def fetched(self) -> int:
        """Offset of the next record to be added, or a lower one."""
        return self._offset(-1) + 1 if len(self) else self.next_offset

    @property
    def end(self) -> int:
        """Behind the last record that may be taken."""
        records = self._records
        if self.limit is None or not len(records) or self._offset(-1) < self.limit:
            return len(records)
        return bisect_left(records.raw, self.limit, key=records.adapter.offset)

    @property
    def is_limited(self) -> bool:
        """Whether all that may be taken has been: the next record lies beyond the limit."""
        if self.limit is None:
            return False
        following = self._offset(self._at) if len(self) else self.next_offset
        return following >= self.limit

    def complete_until(self, *, drained: bool) -> int:
        """Return the time before which no record can come to this queue any more."""
        if not self.is_waited_for:
            return _LONG_AHEAD
        return _LONG_AHEAD if drained or self.end < len(self._decoded) else self._newest

    def times(self, n: int, until: int = _LONG_AHEAD, *, inclusive: bool = True) -> Times:
        """Return the times before *until* (with *inclusive*, also at it) of at most *n* events that may be taken.

        A few more than *n*, where the last record makes several.
        """
        elements = self._elements.part(slice(len(self._decoded)))
        times = self._times[self._at : min(self.end, end_of_record(elements, self._at + n))]
        return times[: np.searchsorted(times, until, side="right" if inclusive else "left")]

    def elements(self, n: int) -> I32:
        """Return which event of its record each of the first *n* is."""
        elements = self._elements.part(slice(self._at, self._at + n))
        return np.zeros(n, np.int32) if elements is None else elements

    def take(self, n: int) -> "MergedRecords":
        """Remove the first *n*, which end with a record, and return them."""
        part = slice(self._at, self._at + n)
        self._at += n
        if n:
            self.next_offset = self._offset(self._at - 1) + 1
        log_times, elements = self._log_times.part(part), self._elements.part(part)
        return MergedRecords(
            self._records[part],
            self._decoded[part],
            None if log_times is None else log_times.copy(),
            None if elements is None else elements.copy(),
        )


class MergedRecords(NamedTuple):
    """Records, and what they say; None stands for a request."""

    records: Records
    decoded: list[Decoded | None]
    log_times: I64 | None = None
    """[n] ms when the log took each, NO_LOG_TIME for a record that does not say; None: none does."""
    elements: I32 | None = None
    """[n] which event of its record each is, as in `Batch`."""


NOTHING: Final = MergedRecords(Records([], AS_RECORDS), [])


class PartitionMerge:
    """Queues of some partitions, merged; those *beside* are not waited for. For one thread."""

    def __init__(self, offsets: PartitionOffsets, beside: Collection[Partition] = ()) -> None:
        self._queues = {
            partition: _Queue(offsets[partition], is_waited_for=partition not in beside)
            for partition in sorted(offsets)
        }

    def add(
        self,
        partition: Partition,
        records: Sequence[Record],
        decoded: Sequence[Decoded | None],
        log_times: I64 | None = None,
        elements: I32 | None = None,
    ) -> None:
        """Add what was fetched of *partition* after the records added last, and what the records say.

        *log_times*, [n] in ms, say when the log took each. A record that makes several events comes once for each, and
        *elements*, [n], number them from 1.
        """
        self._queues[partition].add(records, decoded, log_times, elements)

    def limit(self, limits: Mapping[Partition, int | None]) -> None:
        """Return no record from these offsets on; None lifts the limit of a partition."""
        for partition, limit in limits.items():
            self._queues[partition].limit = limit

    def take(self, n: int, drained: Collection[Partition]) -> MergedRecords:
        """Remove at most *n* events, in the order of their times, and return them; no record is split.

        A partition that has nothing here is waited for, unless it is *drained*: nothing more of it can be fetched.
        O(n log n), with no Python for each record but to collect them.
        """
        if len(self._queues) == 1:
            ((_, queue),) = self._queues.items()
            return queue.take(len(queue.times(n)))
        until, slowest = min(
            (queue.complete_until(drained=partition in drained or queue.is_limited), partition)
            for partition, queue in self._queues.items()
        )
        # At equal times the lower partition comes first, so those above the slowest one must wait for more of it.
        found = [
            (queue, queue.times(n, until, inclusive=partition <= slowest)) for partition, queue in self._queues.items()
        ]
        return self._merged([each for each in found if len(each[1])], n)

    @staticmethod
    def _merged(found: list[tuple[_Queue, Times]], n: int) -> MergedRecords:
        """Take the *n* earliest; of equal times, those of the lower partition first."""
        if len(found) <= 1:
            return found[0][0].take(len(found[0][1])) if found else NOTHING
        sizes = [len(times) for _, times in found]
        owners = np.repeat(np.arange(len(found)), sizes)
        order = np.argsort(np.concatenate([times for _, times in found]), kind="stable")
        # The events of a record have one time, so they stand together.
        elements = np.concatenate([queue.elements(len(times)) for queue, times in found])
        order = order[: end_of_record(elements[order], n)]
        chosen = owners[order]
        counts = np.bincount(chosen, minlength=len(found))
        taken = [queue.take(count) for (queue, _), count in zip(found, counts.tolist(), strict=True)]
        # Of each queue the first ones were chosen, so each index moves by what was not chosen of the queues before.
        skipped = np.cumsum(sizes - counts) - (sizes - counts)
        indices = (order - skipped[chosen]).tolist()
        # Requests, which are beside, come from the same reader as events: there is one adapter.
        raw = [each for part in taken for each in part.records.raw]
        decoded = [each for part in taken for each in part.decoded]
        records = Records(list(map(raw.__getitem__, indices)), taken[0].records.adapter)
        taken_elements = elements[order] if elements.any() else None
        return MergedRecords(records, list(map(decoded.__getitem__, indices)), _joined(taken, indices), taken_elements)

    def is_empty(self, partition: Partition) -> bool:
        """Whether no record of *partition* waits here."""
        return not len(self._queues[partition])

    def full(self, enough: int) -> set[Partition]:
        """The partitions of which at least *enough* records wait here: no more need be fetched."""
        return {partition for partition, queue in self._queues.items() if len(queue) >= enough}

    @property
    def fetched(self) -> dict[Partition, int]:
        """For each partition, the offset after the last record that was added."""
        return {partition: queue.fetched for partition, queue in self._queues.items()}

    def skip_to(self, partition: Partition, offset: int) -> None:
        """Expect no record of *partition* before *offset*, but for those that are here already."""
        queue = self._queues[partition]
        if not len(queue):
            queue.next_offset = max(queue.next_offset, offset)

    @property
    def offsets(self) -> dict[Partition, int]:
        """For each partition, the offset after the last record taken."""
        return {partition: queue.next_offset for partition, queue in self._queues.items()}

    def reached(self, targets: PartitionOffsets, drained: Collection[Partition]) -> bool:
        """Whether all records before these offsets have been taken, or are not there any more."""
        return all(self._has_reached(partition, target, partition in drained) for partition, target in targets.items())

    def _has_reached(self, partition: Partition, target: int, drained: bool) -> bool:
        queue = self._queues[partition]
        if queue.next_offset >= target:
            return True
        if len(queue):
            return not len(queue.times(1))
        return drained

    def __len__(self) -> int:
        return sum(map(len, self._queues.values()))


def _joined(taken: "Sequence[MergedRecords]", indices: Sequence[int]) -> I64 | None:
    """Return the log times at *indices* of all that was *taken*."""
    if all(each.log_times is None for each in taken):
        return None
    columns = [np.full(len(each.decoded), NO_LOG_TIME) if each.log_times is None else each.log_times for each in taken]
    joined: I64 = np.concatenate(columns)[list(indices)]
    return joined


def _latest_of_record(times: Times, elements: I32) -> Times:
    """Return for each event the latest time of its record, which is applied as a whole: it was written after that.

    By the earliest time, its later events would move the watermark ahead of other partitions.
    """
    begins = np.flatnonzero(elements <= 1)
    latest: Times = np.repeat(np.maximum.reduceat(times, begins), np.diff(begins, append=times.size))
    return latest


def _times_of(records: Sequence[Record], decoded: Sequence[Decoded | None]) -> Times:
    try:
        times = list(map(_TIME_OF, decoded))  # mostly there are only events
    except AttributeError:
        times = [_time_of(record, each) for record, each in zip(records, decoded, strict=True)]
    return np.array(times, np.int64)


def _time_of(record: Record, decoded: Decoded | None) -> int:
    if type(decoded) is Event:
        return decoded.timestamp
    # A request belongs to the time when it was asked. Nothing else without a time can make an event late.
    return (record.timestamp_ms or _LONG_AGO) if decoded is None else _LONG_AGO
