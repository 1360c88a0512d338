"""How many bytes of a topic may be under way at a time, so that no batch is larger than the topic accepts.

Clients fill batches up to one size for all topics, which is set when a producer is made and no topic is known yet. A
topic that accepts 100,000 bytes refused 1,000 dead letters of 500 bytes in one transaction: librdkafka (2.16) does not
split what the broker refuses, and kafka-python (3.0.12), which does, takes it for an error
(findings/small_records_in_a_narrow_topic.sh). The broker is asked for a topic's limit (`max.message.bytes`); where it
may not be read, or has changed since, refusals show it. Knows no client.
"""

from collections.abc import Callable, Collection, Iterable

from stream_rec.transport.broker import ProducerRecord
from stream_rec.transport.kafka.record_size import record_bytes

__all__ = ["BatchLimits"]


class BatchLimits:
    """For a client whose batches have *batch_bytes* at most; *largest_record* returns the limit of a topic."""

    def __init__(self, batch_bytes: int, largest_record: Callable[[str], int]) -> None:
        self._batch_bytes = batch_bytes
        self._largest_record = largest_record
        self._most: dict[str, int] = {}
        """For topics that have refused a batch: the bytes sent at a time since then."""
        self._under_way: dict[str, int] = {}

    def below_batch(self, records: Iterable[ProducerRecord]) -> dict[str, int]:
        """The limits of those topics of *records* that accept less than a full batch; the others need no care."""
        limits = {topic: self._limit_of(topic) for topic in {record.topic for record in records}}
        return {topic: most for topic, most in limits.items() if most < self._batch_bytes}

    def count(self, record: ProducerRecord, most: int) -> bool:
        """Count *record* as under way; False if that is more than *most* of its topic: then some must arrive first.

        A record that is too large by itself is counted: the broker refuses it.
        """
        before, size = self._under_way.get(record.topic, 0), record_bytes(record)
        if before and before + size > most:
            return False
        self._under_way[record.topic] = before + size
        return True

    def arrived(self) -> None:
        """Count nothing as under way any more."""
        self._under_way.clear()

    def refused(self, topic: str, sizes: Collection[int]) -> bool:
        """Records of *sizes* were refused: halve the limit from now on. False if a single one is too large."""
        largest, most = max(sizes), min(self._limit_of(topic), sum(sizes))
        if len(sizes) == 1 or most <= largest:
            return False
        self._most[topic] = max(largest, most // 2)
        return True

    def _limit_of(self, topic: str) -> int:
        return min(self._largest_record(topic), self._most.get(topic, self._batch_bytes))
