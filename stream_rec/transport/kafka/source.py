"""A topic as a source with an end: what it held when it was opened, merged over its partitions by time.

Knows nothing of what records say. One partition's records stay in their order; where their times go back, so does the
merge.
"""

import heapq
from collections import deque
from collections.abc import Iterator
from typing import Final

from stream_rec.errors import SettingsError
from stream_rec.transport.broker import Broker, Partition
from stream_rec.transport.records import Progress, Record

__all__ = ["KafkaSource"]

_WAIT_S: Final = 0.1
_AHEAD: Final = 4
"""So many times the records asked for are read ahead of a partition, before it has to wait for the others."""


class KafkaSource:
    """Reads *topic* with *broker*, which it closes. Raises SettingsError for the setting *key* if there is no topic."""

    def __init__(self, broker: Broker, topic: str, key: str = "events") -> None:
        partitions = broker.partitions(topic)
        if not partitions:
            broker.close()
            raise SettingsError(key, f"there is no topic {topic!r} at these brokers")
        bounds = broker.bounds(partitions)
        self._ends = {each: end for each, (first, end) in bounds.items() if first < end}
        self._position = {(topic, each.number): first for each, (first, _) in bounds.items()}
        self._bytes = 0
        self._broker = broker
        self._waiting: dict[Partition, deque[Record]] = {each: deque() for each in self._ends}
        self._open = set(self._ends)
        """Partitions of which more is to come."""
        self._reader = broker.reader()
        self._reader.assign({each: bounds[each].first for each in self._ends})

    def batches(self, max_records: int) -> Iterator[list[Record]]:
        """The records, at most *max_records* at a time."""
        while self._open or any(self._waiting.values()):
            if any(not self._waiting[each] for each in self._open):
                self._read(max_records)
            batch = self._merged(max_records)
            if batch:
                self._count(batch)
                yield batch

    @property
    def next_offsets(self) -> dict[tuple[str, int], int]:
        """For each (topic, partition), the offset after the last record handed out."""
        return dict(self._position)

    @property
    def progress(self) -> Progress:
        """In bytes of the values; how many there are is not known."""
        return Progress(self._bytes, None)

    def close(self) -> None:
        """Let go. May be called twice."""
        self._reader.close()
        self._broker.close()

    def _read(self, max_records: int) -> None:
        """Wait for records of a partition that has none here; those far ahead wait meanwhile."""
        limit = max_records * _AHEAD
        self._reader.pause_only({each for each, records in self._waiting.items() if len(records) > limit})
        for partition, records in self._reader.poll(max_records, _WAIT_S).items():
            end = self._ends[partition]
            self._waiting[partition] += [record for record in records if record.offset < end]
            if records[-1].offset + 1 >= end:
                self._open.discard(partition)
        # What stands before the end, and is not handed out, is not to be waited for.
        self._open -= set(self._reader.drained)

    def _merged(self, max_records: int) -> list[Record]:
        """The oldest of what waits, as long as there is something of each partition to compare."""
        heads = [_head(partition, records) for partition, records in self._waiting.items() if records]
        if len(heads) < len(self._open | {each for each, records in self._waiting.items() if records}):
            return []
        heapq.heapify(heads)
        batch: list[Record] = []
        while heads and len(batch) < max_records:
            partition = heads[0][1]
            records = self._waiting[partition]
            batch.append(records.popleft())
            if records:
                heapq.heapreplace(heads, _head(partition, records))
            elif partition in self._open:
                break
            else:
                heapq.heappop(heads)
        return batch

    def _count(self, batch: list[Record]) -> None:
        self._bytes += sum(len(record.value) for record in batch)
        self._position |= {(record.topic, record.partition): record.offset + 1 for record in batch}


def _head(partition: Partition, records: deque[Record]) -> tuple[int, Partition]:
    return (records[0].timestamp_ms or 0, partition)
