"""How large a record is in Kafka's format, and whether a topic accepts it.

Knows the format (v2), and no client. The size computed is never less than the size written.
"""

from collections.abc import Callable, Sequence
from typing import Final

from stream_rec.errors import RecordTooLargeError, TransportError
from stream_rec.transport.broker import Partition, ProducerRecord

__all__ = ["RecordLimits", "record_bytes", "refuse_too_large"]

# The header of a batch, which a single record needs too; and of the record: five numbers of variable length for its
# own length, time, offset, key and value, its attributes, and the number of its headers.
_BATCH_BYTES: Final = 61
_RECORD_BYTES: Final = 5 + 1 + 10 + 5 + 5 + 5 + 5
_HEADER_BYTES: Final = 5 + 5


class RecordLimits:
    """How many bytes each topic accepts at a time. Asks the broker once a topic, by *ask*."""

    def __init__(self, partitions: Callable[[str], Sequence[Partition]], ask: Callable[[str], int]) -> None:
        self._partitions = partitions
        self._ask = ask
        self._limits: dict[str, int] = {}

    def of(self, topic: str) -> int:
        """The limit of *topic*. Raises TransportError if there is no such topic."""
        if topic not in self._limits:
            if not self._partitions(topic):
                message = f"there is no topic {topic!r} to write to; create it, or let --create-topics create it"
                raise TransportError(message)
            self._limits[topic] = self._ask(topic)
        return self._limits[topic]


def record_bytes(record: ProducerRecord) -> int:
    """The size of a batch that holds only *record*, at most."""
    size = _BATCH_BYTES + _RECORD_BYTES + len(record.value or b"") + len(record.key or b"")
    for name, value in record.headers:
        size += _HEADER_BYTES + len(name.encode()) + len(value)
    return size


def refuse_too_large(
    records: Sequence[ProducerRecord], limit: int, largest_record: Callable[[str], int] | None
) -> None:
    """Raise RecordTooLargeError for the first record over *limit*, or over its topic's limit (*largest_record*)."""
    limits = dict.fromkeys({record.topic for record in records}, limit)
    if largest_record is not None:
        limits = {topic: min(limit, largest_record(topic)) for topic in limits}
    surely_accepted = min(limits.values(), default=0) - _BATCH_BYTES - _RECORD_BYTES
    for index, record in enumerate(records):
        _, value, key, headers = record
        # Nearly all are far below it, and this runs for every record of a fast client.
        if not headers and (0 if value is None else len(value)) + (0 if key is None else len(key)) <= surely_accepted:
            continue
        size = record_bytes(record)
        if size > limits[record.topic]:
            raise RecordTooLargeError(
                f"a record of {size} bytes for the topic {record.topic!r}, which accepts at most "
                f"{limits[record.topic]} (kafka.message.max.bytes, and the topic's own max.message.bytes)",
                place=index,
                size=size,
                limit=limits[record.topic],
                none_sent=True,
            )
