"""Records of several partitions in the order in which they arrived at the broker.

A consumer that catches up gets a partition's hours in one piece. Applied like that, the first partition would move the
watermark to the present, and all others' events would be late. So partitions wait for each other: records are handed
out by their broker's timestamps (which a partition's own order overrules), as a reader at the time would have met them.

Knows nothing of brokers, of who answers for what, nor of what records say.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import accumulate
from typing import Final

import numpy as np

from stream_rec.transport.base import Record
from stream_rec.transport.broker import Partition, Positions

__all__ = ["Arrivals"]

_LONG_AGO: Final = -1
_LONG_AHEAD: Final = 1 << 62


class _Queue:
    """What was fetched of one partition and not yet handed out."""

    def __init__(self, position: int) -> None:
        self.position = position
        """Offset of the next record to hand out, or a lower one: offsets may have gaps."""
        self.limit: int | None = None
        """Nothing from this offset on may be handed out; None: all may."""
        self._records: list[Record] = []
        self._times: list[int] = []
        self._at = 0
        self._newest = _LONG_AGO

    def __len__(self) -> int:
        return len(self._records) - self._at

    def add(self, records: Sequence[Record]) -> None:
        del self._records[: self._at], self._times[: self._at]
        self._at = 0
        self._records += records
        times = accumulate([record.timestamp_ms or 0 for record in records], max, initial=self._newest)
        next(times)
        self._times += times
        self._newest = self._times[-1]

    @property
    def end(self) -> int:
        """Behind the last record that may be handed out."""
        if self.limit is None or not self._records or self._records[-1].offset < self.limit:
            return len(self._records)
        return bisect_left(self._records, self.limit, key=lambda record: record.offset)

    @property
    def is_limited(self) -> bool:
        """Whether all that may be handed out has been: the next one lies beyond the limit."""
        if self.limit is None:
            return False
        following = self._records[self._at].offset if len(self) else self.position
        return following >= self.limit

    def surely_until(self, *, drained: bool) -> int:
        """No record that is yet to come to this queue will have arrived before this time."""
        return _LONG_AHEAD if drained or self.end < len(self._records) else self._newest

    def candidates(self, until: int, n: int) -> tuple[list[Record], list[int]]:
        """At most *n* records that arrived no later than *until*, with the times."""
        end = min(bisect_right(self._times, until, self._at, self.end), self._at + n)
        return self._records[self._at : end], self._times[self._at : end]

    def drop(self, n: int) -> None:
        """Take the first *n* out."""
        self._at += n
        self.position = self._records[self._at - 1].offset + 1


class Arrivals:
    """Queues of some partitions, merged. For one thread."""

    def __init__(self, positions: Positions) -> None:
        self._queues = {partition: _Queue(positions[partition]) for partition in sorted(positions)}

    def add(self, polled: Mapping[Partition, Sequence[Record]]) -> None:
        """Take what was fetched: of each partition in order, going on where the last left off."""
        for partition, records in polled.items():
            if records:
                self._queues[partition].add(records)

    def limit(self, limits: Mapping[Partition, int | None]) -> None:
        """Hand out nothing from these offsets on; None lifts the limit of a partition."""
        for partition, limit in limits.items():
            self._queues[partition].limit = limit

    def take(self, n: int, drained: Collection[Partition]) -> list[Record]:
        """At most *n* records, in the order of their arrival.

        *drained* are the partitions of which nothing more is there to be fetched: those that are neither, and have
        nothing here, are waited for. O(n log n), with no Python for each record but to collect them.
        """
        if len(self._queues) == 1:
            ((_, queue),) = self._queues.items()
            return _taken(queue, queue.candidates(_LONG_AHEAD, n)[0])
        until = min(
            queue.surely_until(drained=partition in drained or queue.is_limited)
            for partition, queue in self._queues.items()
        )
        found = [(queue, *queue.candidates(until, n)) for queue in self._queues.values()]
        found = [each for each in found if each[1]]
        if len(found) <= 1:
            return _taken(found[0][0], found[0][1]) if found else []
        return _merged(found, n)

    def full(self, enough: int) -> set[Partition]:
        """The partitions of which at least *enough* records wait here: no need to fetch more."""
        return {partition for partition, queue in self._queues.items() if len(queue) >= enough}

    @property
    def positions(self) -> dict[Partition, int]:
        """For each partition, the offset after the last record handed out."""
        return {partition: queue.position for partition, queue in self._queues.items()}

    def reached(self, goals: Positions, drained: Collection[Partition]) -> bool:
        """Whether all before these offsets has been handed out, or is not there any more."""
        return all(self._has_reached(partition, goal, partition in drained) for partition, goal in goals.items())

    def _has_reached(self, partition: Partition, goal: int, drained: bool) -> bool:
        queue = self._queues[partition]
        if queue.position >= goal:
            return True
        if len(queue):
            following, _ = queue.candidates(_LONG_AHEAD, 1)
            return not following
        return drained

    def __len__(self) -> int:
        return sum(map(len, self._queues.values()))


def _taken(queue: _Queue, records: list[Record]) -> list[Record]:
    if records:
        queue.drop(len(records))
    return records


def _merged(found: Iterable[tuple[_Queue, list[Record], list[int]]], n: int) -> list[Record]:
    """The *n* that arrived first; of equal times, those of the lower partition first."""
    queues, records, times = zip(*found, strict=True)
    owners = np.repeat(np.arange(len(queues)), list(map(len, records)))
    order = np.argsort(np.concatenate([np.array(each, np.int64) for each in times]), kind="stable")[:n]
    for owner, taken in enumerate(np.bincount(owners[order], minlength=len(queues)).tolist()):
        if taken:
            queues[owner].drop(taken)
    together = [record for each in records for record in each]
    return [together[place] for place in order.tolist()]
