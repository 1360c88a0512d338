"""How large a record is in Kafka's format, and whether a topic takes it.

Knows the format (v2), and no client. What is reckoned is never less than what is written.
"""

from collections.abc import Callable, Sequence
from typing import Final

from stream_rec.errors import RecordTooLargeError
from stream_rec.transport.broker import ProducerRecord

__all__ = ["record_bytes", "refuse_too_large"]

# The header of a batch, which one record alone needs too; and of the record: five numbers of variable length for its
# own length, time, offset, key and value, its attributes, and the number of its headers.
_BATCH_BYTES: Final = 61
_RECORD_BYTES: Final = 5 + 1 + 10 + 5 + 5 + 5 + 5
_HEADER_BYTES: Final = 5 + 5
_BYTES_PER_CHARACTER: Final = 4


def record_bytes(record: ProducerRecord) -> int:
    """What *record* takes alone in a batch, at most."""
    size = _BATCH_BYTES + _RECORD_BYTES + len(record.value or b"") + len(record.key or b"")
    for name, value in record.headers:
        size += _HEADER_BYTES + len(name.encode()) + len(value)
    return size


def refuse_too_large(
    records: Sequence[ProducerRecord], limit: int, largest_record: Callable[[str], int] | None
) -> None:
    """Raise RecordTooLargeError for the first that is over *limit*, or over what *largest_record* says of its topic."""
    limits = dict.fromkeys({record.topic for record in records}, limit)
    if largest_record is not None:
        limits = {topic: min(limit, largest_record(topic)) for topic in limits}
    surely = min(limits.values(), default=0) - _BATCH_BYTES - _RECORD_BYTES
    for place, record in enumerate(records):
        _, value, key, headers = record
        # Nearly all are far from it, and this is done for every record of a fast client.
        if not headers and (0 if value is None else len(value)) + (0 if key is None else len(key)) <= surely:
            continue
        size = record_bytes(record)
        if size > limits[record.topic]:
            raise RecordTooLargeError(
                f"a record of {size} bytes for the topic {record.topic!r}, which takes at most {limits[record.topic]} "
                "(kafka.message.max.bytes, and the topic's own max.message.bytes)",
                place=place,
                size=size,
                limit=limits[record.topic],
                none_sent=True,
            )
