"""Records of several partitions, put together in the order of their time.

A consumer that catches up gets a partition's hours in one piece. Applied like that, the first partition would move the
watermark to the present, and all others' events would be late. So partitions wait for each other: records are handed
out by the times of their events, each partition in its own order, so that no event is later than it was in its own
partition. Where nothing more is there to be fetched, nobody is waited for.

Knows nothing of brokers, of who answers for what, nor of what is done with records.
"""

from bisect import bisect_left
from collections.abc import Collection, Mapping, Sequence
from operator import attrgetter
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from stream_rec.core.events import Event, Forget
from stream_rec.errors import DecodeError
from stream_rec.transport.broker import Partition, PartitionOffsets
from stream_rec.transport.records import AS_RECORDS, Record, Records

__all__ = ["NOTHING", "MergedRecords", "PartitionMerge"]

_LONG_AGO: Final = -1
_LONG_AHEAD: Final = 1 << 62
_TIME_OF: Final = attrgetter("timestamp")

Times = npt.NDArray[np.int64]

Decoded = Event | Forget | DecodeError | None
"""None for a request."""


class _Queue:
    """What was fetched of one partition and not yet handed out. With *is_waited_for*, others wait for its times."""

    def __init__(self, position: int, *, is_waited_for: bool) -> None:
        self.is_waited_for = is_waited_for
        self.position = position
        """Offset of the next record to hand out, or a lower one: offsets may have gaps."""
        self.limit: int | None = None
        """Nothing from this offset on may be handed out; None: all may."""
        self._records = Records([], AS_RECORDS)
        self._decoded: list[Decoded] = []
        self._times = np.zeros(64, np.int64)  # with room behind the last one
        self._at = 0
        self._newest = _LONG_AGO

    def __len__(self) -> int:
        return len(self._decoded) - self._at

    def add(self, records: Sequence[Record], decoded: Sequence[Decoded]) -> None:
        if self._at > len(self):  # so that nothing is moved more than once, however much is waiting
            self._drop_taken()
        before, n = len(self._decoded), len(decoded)
        more = Records.of(records)
        self._records.extend(more)
        self._decoded += decoded
        if before + n > len(self._times):
            self._times = np.concatenate([self._times[:before], np.zeros(before + 2 * n, np.int64)])
        # What has no time of its own keeps its place: it takes that of the record before it.
        times = np.maximum(np.maximum.accumulate(_times_of(records, decoded)), self._newest)
        self._times[before : before + n] = times
        self._newest = int(times[-1])

    def _drop_taken(self) -> None:
        self._times = self._times[self._at :].copy()
        self._records.drop_first(self._at)
        del self._decoded[: self._at]
        self._at = 0

    def _offset(self, place: int) -> int:
        return self._records.adapter.offset(self._records.raw[place])

    @property
    def fetched(self) -> int:
        """Offset of the next record to be added, or a lower one."""
        return self._offset(-1) + 1 if len(self) else self.position

    @property
    def end(self) -> int:
        """Behind the last record that may be handed out."""
        records = self._records
        if self.limit is None or not len(records) or self._offset(-1) < self.limit:
            return len(records)
        return bisect_left(records.raw, self.limit, key=records.adapter.offset)

    @property
    def is_limited(self) -> bool:
        """Whether all that may be handed out has been: the next one lies beyond the limit."""
        if self.limit is None:
            return False
        following = self._offset(self._at) if len(self) else self.position
        return following >= self.limit

    def surely_until(self, *, drained: bool) -> int:
        """No record that is yet to come to this queue will be handed out as of before this time."""
        if not self.is_waited_for:
            return _LONG_AHEAD
        return _LONG_AHEAD if drained or self.end < len(self._decoded) else self._newest

    def times(self, n: int, until: int = _LONG_AHEAD, *, inclusive: bool = True) -> Times:
        """Of at most *n* records that may be handed out, those before *until*, or then too if *inclusive*."""
        times = self._times[self._at : min(self.end, self._at + n)]
        return times[: np.searchsorted(times, until, side="right" if inclusive else "left")]

    def take(self, n: int) -> "MergedRecords":
        """Take the first *n* out."""
        part = slice(self._at, self._at + n)
        self._at += n
        if n:
            self.position = self._offset(self._at - 1) + 1
        return MergedRecords(self._records[part], self._decoded[part])


class MergedRecords(NamedTuple):
    """Records, and what they say."""

    records: Records
    decoded: list[Decoded]


NOTHING: Final = MergedRecords(Records([], AS_RECORDS), [])


class PartitionMerge:
    """Queues of some partitions, merged; nobody waits for those *beside*. For one thread."""

    def __init__(self, positions: PartitionOffsets, beside: Collection[Partition] = ()) -> None:
        self._queues = {
            partition: _Queue(positions[partition], is_waited_for=partition not in beside)
            for partition in sorted(positions)
        }

    def add(self, partition: Partition, records: Sequence[Record], decoded: Sequence[Decoded]) -> None:
        """Take what was fetched of *partition*, going on where the last left off, and what the records say."""
        self._queues[partition].add(records, decoded)

    def limit(self, limits: Mapping[Partition, int | None]) -> None:
        """Hand out nothing from these offsets on; None lifts the limit of a partition."""
        for partition, limit in limits.items():
            self._queues[partition].limit = limit

    def take(self, n: int, drained: Collection[Partition]) -> MergedRecords:
        """At most *n* records, in the order of their times.

        *drained* are the partitions of which nothing more is there to be fetched: those that are neither, and have
        nothing here, are waited for. O(n log n), with no Python for each record but to collect them.
        """
        if len(self._queues) == 1:
            ((_, queue),) = self._queues.items()
            return queue.take(len(queue.times(n)))
        until, slowest = min(
            (queue.surely_until(drained=partition in drained or queue.is_limited), partition)
            for partition, queue in self._queues.items()
        )
        # At equal times the lower partition comes first, so those above the slowest one must wait for more of it.
        found = [
            (queue, queue.times(n, until, inclusive=partition <= slowest)) for partition, queue in self._queues.items()
        ]
        return self._merged([each for each in found if len(each[1])], n)

    @staticmethod
    def _merged(found: list[tuple[_Queue, Times]], n: int) -> MergedRecords:
        """The *n* earliest; of equal times, those of the lower partition first."""
        if len(found) <= 1:
            return found[0][0].take(len(found[0][1])) if found else NOTHING
        sizes = [len(times) for _, times in found]
        owners = np.repeat(np.arange(len(found)), sizes)
        order = np.argsort(np.concatenate([times for _, times in found]), kind="stable")[:n]
        chosen = owners[order]
        counts = np.bincount(chosen, minlength=len(found))
        taken = [queue.take(count) for (queue, _), count in zip(found, counts.tolist(), strict=True)]
        # Of each queue the first ones were chosen: so each place moves by what was not chosen of the queues before.
        skipped = np.cumsum(sizes - counts) - (sizes - counts)
        places = (order - skipped[chosen]).tolist()
        # Requests, which are beside, come from the same reader as events: there is one form.
        theirs = [each for part in taken for each in part.records.raw]
        decoded = [each for part in taken for each in part.decoded]
        records = Records(list(map(theirs.__getitem__, places)), taken[0].records.adapter)
        return MergedRecords(records, list(map(decoded.__getitem__, places)))

    def full(self, enough: int) -> set[Partition]:
        """The partitions of which at least *enough* records wait here: no need to fetch more."""
        return {partition for partition, queue in self._queues.items() if len(queue) >= enough}

    @property
    def fetched(self) -> dict[Partition, int]:
        """For each partition, the offset after the last record that was added."""
        return {partition: queue.fetched for partition, queue in self._queues.items()}

    def skip_to(self, partition: Partition, position: int) -> None:
        """Know that nothing comes any more of *partition* before *position*, but for what is here already."""
        queue = self._queues[partition]
        if not len(queue):
            queue.position = max(queue.position, position)

    @property
    def positions(self) -> dict[Partition, int]:
        """For each partition, the offset after the last record handed out."""
        return {partition: queue.position for partition, queue in self._queues.items()}

    def reached(self, goals: PartitionOffsets, drained: Collection[Partition]) -> bool:
        """Whether all before these offsets has been handed out, or is not there any more."""
        return all(self._has_reached(partition, goal, partition in drained) for partition, goal in goals.items())

    def _has_reached(self, partition: Partition, goal: int, drained: bool) -> bool:
        queue = self._queues[partition]
        if queue.position >= goal:
            return True
        if len(queue):
            return not len(queue.times(1))
        return drained

    def __len__(self) -> int:
        return sum(map(len, self._queues.values()))


def _times_of(records: Sequence[Record], decoded: Sequence[Decoded]) -> Times:
    try:
        times = list(map(_TIME_OF, decoded))  # mostly there are only events
    except AttributeError:
        times = [_time_of(record, each) for record, each in zip(records, decoded, strict=True)]
    return np.array(times, np.int64)


def _time_of(record: Record, decoded: Decoded) -> int:
    if type(decoded) is Event:
        return decoded.timestamp
    # A request belongs to when it was asked; whatever else has no time does not matter to anybody's lateness.
    return (record.timestamp_ms or _LONG_AGO) if decoded is None else _LONG_AGO
