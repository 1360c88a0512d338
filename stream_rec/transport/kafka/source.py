"""A topic as a source with an end: the records that it held when it was opened, its partitions merged by time.

Does not parse records. One partition's records stay in their order; where their times go back, so does the merge.
"""

import heapq
from collections import deque
from collections.abc import Iterator
from typing import Final

from stream_rec.errors import SettingsError
from stream_rec.transport.broker import Broker, Partition
from stream_rec.transport.records import Progress, Record
from stream_rec.transport.timeouts import TransportTimeouts

__all__ = ["KafkaSource"]

_AHEAD: Final = 4
"""A partition with more than this many batches buffered is paused until the others catch up."""


class KafkaSource:
    """Reads *topic* with *broker*, which it closes. Raises SettingsError for the setting *key* if there is no topic."""

    def __init__(
        self, broker: Broker, topic: str, key: str = "events", timeouts: TransportTimeouts | None = None
    ) -> None:
        partitions = broker.partitions(topic)
        if not partitions:
            broker.close()
            raise SettingsError(key, f"there is no topic {topic!r} at these brokers")
        bounds = broker.bounds(partitions)
        self._ends = {each: end for each, (first, end) in bounds.items() if first < end}
        self._next_offsets = {(topic, each.number): first for each, (first, _) in bounds.items()}
        self._bytes = 0
        self._broker = broker
        self._poll_s = (timeouts or TransportTimeouts()).source_poll_s
        self._buffered: dict[Partition, deque[Record]] = {each: deque() for each in self._ends}
        self._open = set(self._ends)
        """Partitions with records that are still to be read."""
        self._reader = broker.reader()
        self._reader.assign({each: bounds[each].first for each in self._ends})

    def batches(self, max_records: int) -> Iterator[list[Record]]:
        """The records, at most *max_records* at a time."""
        while self._open or any(self._buffered.values()):
            if any(not self._buffered[each] for each in self._open):
                self._read(max_records)
            batch = self._merged(max_records)
            if batch:
                self._count(batch)
                yield batch

    @property
    def next_offsets(self) -> dict[tuple[str, int], int]:
        """For each (topic, partition), the offset after the last record returned."""
        return dict(self._next_offsets)

    @property
    def progress(self) -> Progress:
        """In bytes of the values; the total is unknown."""
        return Progress(self._bytes, None)

    def close(self) -> None:
        """Close the reader and the broker. May be called twice."""
        self._reader.close()
        self._broker.close()

    def _read(self, max_records: int) -> None:
        """Poll for records of a partition that has none buffered; partitions far ahead are paused meanwhile."""
        limit = max_records * _AHEAD
        self._reader.pause_only({each for each, records in self._buffered.items() if len(records) > limit})
        for partition, records in self._reader.poll(max_records, self._poll_s).items():
            end = self._ends[partition]
            self._buffered[partition] += [record for record in records if record.offset < end]
            if records[-1].offset + 1 >= end:
                self._open.discard(partition)
        # Before the end there may be records that are never returned (aborted ones): do not wait for them.
        self._open -= set(self._reader.drained)

    def _merged(self, max_records: int) -> list[Record]:
        """The oldest buffered records, as long as each partition has one to compare."""
        heads = [_head(partition, records) for partition, records in self._buffered.items() if records]
        if len(heads) < len(self._open | {each for each, records in self._buffered.items() if records}):
            return []
        heapq.heapify(heads)
        batch: list[Record] = []
        while heads and len(batch) < max_records:
            partition = heads[0][1]
            records = self._buffered[partition]
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
        self._next_offsets |= {(record.topic, record.partition): record.offset + 1 for record in batch}


def _head(partition: Partition, records: deque[Record]) -> tuple[int, Partition]:
    return (records[0].timestamp_ms or 0, partition)
