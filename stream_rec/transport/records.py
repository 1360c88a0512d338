"""What all transports share: records, their offsets, sources and sinks.

Knows no file and no broker. A source returns every record exactly once, in the log's order, unreadable
ones included: the caller decides what to do with those.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from operator import attrgetter
from typing import Any, Final, NamedTuple, Protocol, overload

import msgspec
import numpy as np

from stream_rec.core.dtypes import I64
from stream_rec.core.events import NO_LOG_TIME

__all__ = [
    "AS_RECORDS",
    "NoSource",
    "Progress",
    "Record",
    "RecordAdapter",
    "Records",
    "Sink",
    "Source",
]


# gc=False: a record refers to nothing that could refer back.
class Record(msgspec.Struct, frozen=True, gc=False):
    """One record as it came in, and its place in the log."""

    value: bytes
    """The original bytes; of a record that is too long, its beginning."""

    topic: str
    """Of a file, its name without the folder: answers name it, and must not differ by machine."""

    partition: int
    offset: int
    """In a file, the number of the line (or element, or row), from 1."""

    key: bytes | None = None
    headers: tuple[tuple[str, bytes], ...] = ()
    timestamp_ms: int | None = None
    """When the log took it: when it was produced or appended (the broker's settings decide which), or came by HTTP."""

    row: Mapping[str, object] | None = None
    """Column -> value, if the record is a row of a table."""

    fault: tuple[str, str] | None = None
    """Reason and message, if the transport has already found the record unreadable."""

    tombstone: bool = False
    """A key without a value: an order to forget the session of that key."""


class RecordAdapter(NamedTuple):
    """Functions that read one kind of client message."""

    value: Callable[[Any], bytes | None]
    """The value's bytes; None for a tombstone."""

    offset: Callable[[Any], int]
    log_time: Callable[[Any], int | None]
    """When the log took it, in ms; None or negative if the message does not say."""
    record: Callable[[Any], Record]
    """The whole message as a Record."""
    has_headers: Callable[[Any], bool]
    """Whether there are headers, or may be: cheaper than the whole message."""


AS_RECORDS: Final = RecordAdapter(
    lambda record: None if record.tombstone else record.value,
    attrgetter("offset"),
    attrgetter("timestamp_ms"),
    lambda record: record,
    lambda record: bool(record.headers),
)
"""For messages that are Records already."""


class Records(Sequence[Record]):
    """Messages of a client; each becomes a Record when it is accessed.

    Of most records only the value is used (during recovery, or because the record is good), and a Record of each would
    cost as much as to decode it.
    """

    __slots__ = ("adapter", "raw")

    def __init__(self, raw: list[Any], adapter: RecordAdapter) -> None:
        self.raw = raw
        """The client's messages."""
        self.adapter = adapter

    @classmethod
    def of(cls, records: Sequence[Record]) -> "Records":
        """Return *records* themselves if they are Records, else wrapped."""
        return records if isinstance(records, Records) else cls(list(records), AS_RECORDS)

    def extend(self, more: "Records") -> None:
        """Append *more*, of the same client; an empty sequence becomes one of that client."""
        self.adapter = more.adapter
        self.raw += more.raw

    def drop_first(self, n: int) -> None:
        """Remove the first *n* records. O(records left)."""
        del self.raw[:n]

    def at(self, places: Iterable[int]) -> "Records":
        """Return the records at *places*, each as often as it is named."""
        return Records(list(map(self.raw.__getitem__, places)), self.adapter)

    def __len__(self) -> int:
        return len(self.raw)

    @overload
    def __getitem__(self, index: int) -> Record: ...
    @overload
    def __getitem__(self, index: slice) -> "Records": ...
    def __getitem__(self, index: int | slice) -> "Record | Records":
        if isinstance(index, slice):
            return Records(self.raw[index], self.adapter)
        return self.adapter.record(self.raw[index])

    def __iter__(self) -> Iterator[Record]:
        return map(self.adapter.record, self.raw)

    def __repr__(self) -> str:
        return f"Records({list(self)!r})"

    @property
    def values(self) -> list[bytes | None]:
        """The bytes of each; None for a tombstone."""
        return list(map(self.adapter.value, self.raw))

    @property
    def log_times(self) -> I64:
        """[n] when the log took each, in ms; NO_LOG_TIME for a record that does not say."""
        times = list(map(self.adapter.log_time, self.raw))
        if None in times:
            times = [-1 if each is None else each for each in times]
        column = np.array(times, np.int64)
        column[column < 0] = NO_LOG_TIME  # Kafka's -1: the producer gave none, and nor did the broker
        return column


class Progress(NamedTuple):
    """How much of a source was read; `total_bytes` is None where its size is unknown."""

    bytes_read: int
    total_bytes: int | None


class Source(Protocol):
    """A log to read, once."""

    def batches(self, max_records: int) -> Iterator[Sequence[Record]]:
        """The records, at most *max_records* at a time; a batch never waits to fill.

        An empty batch means that no record is waiting: the moment to flush, or to stop. Raises TransportError
        when the file or broker fails, after all records before the failure were returned.
        """

    @property
    def next_offsets(self) -> dict[tuple[str, int], int]:
        """For each (topic, partition), the offset after the last record returned."""

    @property
    def progress(self) -> Progress:
        """For a progress bar."""

    def close(self) -> None:
        """Close files and connections. May be called twice."""


class NoSource:
    """A log without records."""

    def batches(self, max_records: int) -> Iterator[list[Record]]:
        """None."""
        del max_records
        yield from ()

    @property
    def next_offsets(self) -> dict[tuple[str, int], int]:
        """No partition."""
        return {}

    @property
    def progress(self) -> Progress:
        """At its end."""
        return Progress(0, 0)

    def close(self) -> None:
        """Do nothing: there is nothing to close."""


class Sink(Protocol):
    """A destination for records. Raises TransportError when the file or broker fails.

    After an UnwrittenError it still has all values, also those of a `write` that raised it: `flush` tries again.
    """

    def write(self, values: Sequence[bytes], keys: Sequence[bytes | None] | None = None) -> None:
        """Accept the *values*, one for each of the *keys*; they may stay here until `flush`."""

    def flush(self) -> None:
        """Return when all values accepted have arrived."""

    def close(self) -> None:
        """Flush, and close files and connections. May be called twice."""
