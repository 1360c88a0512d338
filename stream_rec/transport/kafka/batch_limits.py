"""How much of a topic may be under way at a time, so that no batch of it is larger than the topic takes.

Clients fill batches up to one size for all topics; that is told when a producer is made, and no topic is known yet. A
topic that takes 100,000 bytes took no 1,000 dead letters of 500 in one transaction: librdkafka (2.16) does not split
what the broker refuses, and kafka-python (3.0.12), which does, stumbles over it. How much a topic takes, the broker is
asked (`max.message.bytes`); where that may not be seen, or has changed since, refusals tell. Knows no client.
"""

from collections.abc import Callable, Collection, Iterable

from stream_rec.transport.broker import ProducerRecord
from stream_rec.transport.kafka.record_size import record_bytes

__all__ = ["Portions"]


class Portions:
    """For a client whose batches have *batch_bytes* at most; *largest_record* says what a topic takes."""

    def __init__(self, batch_bytes: int, largest_record: Callable[[str], int]) -> None:
        self._batch_bytes = batch_bytes
        self._largest_record = largest_record
        self._most: dict[str, int] = {}
        """Of topics that have refused a batch, what is handed over at a time since then."""
        self._under_way: dict[str, int] = {}

    def narrow(self, records: Iterable[ProducerRecord]) -> dict[str, int]:
        """Of the topics of *records* that take less than a batch may have, how much: others need no care."""
        takes = {topic: self._takes(topic) for topic in {record.topic for record in records}}
        return {topic: most for topic, most in takes.items() if most < self._batch_bytes}

    def take(self, record: ProducerRecord, most: int) -> bool:
        """Count *record* as under way; False if that is more than *most* of its topic: then some must arrive first.

        One that is too large by itself is left to the broker to refuse.
        """
        before, size = self._under_way.get(record.topic, 0), record_bytes(record)
        if before and before + size > most:
            return False
        self._under_way[record.topic] = before + size
        return True

    def arrived(self) -> None:
        """Nothing is under way any more."""
        self._under_way.clear()

    def refused(self, topic: str, sizes: Collection[int]) -> bool:
        """Records of *sizes* were refused: take half as much from now on. False if one alone is too large."""
        largest, most = max(sizes), min(self._takes(topic), sum(sizes))
        if len(sizes) == 1 or most <= largest:
            return False
        self._most[topic] = max(largest, most // 2)
        return True

    def _takes(self, topic: str) -> int:
        return min(self._largest_record(topic), self._most.get(topic, self._batch_bytes))
