"""What every transport has in common: records, where they stand in the log, sources and sinks.

Knows nothing of files or brokers. A source promises that every record is handed out exactly once,
in the log's order, bad ones included: what to do with those is for the reader to decide.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple, Protocol

import msgspec

from stream_rec.errors import DecodeError
from stream_rec.events import Event, EventDecoder, Forget

__all__ = ["NoSource", "Progress", "Record", "Sink", "Source", "decode_records"]


# gc=False: a record refers to nothing that could refer back.
class Record(msgspec.Struct, frozen=True, gc=False):
    """One record as it came in, and where it stood."""

    value: bytes
    """The original bytes; of a too long one, its beginning."""

    topic: str
    """Or the file's name, without its folder: answers name it, and must not differ by machine."""

    partition: int
    offset: int
    """In a file, the number of the line (or element, or row), from 1."""

    key: bytes | None = None
    headers: tuple[tuple[str, bytes], ...] = ()
    timestamp_ms: int | None = None
    """When it was produced or appended, by the broker's settings."""

    row: Mapping[str, object] | None = None
    """Column -> value, where the record is a row of a table."""

    fault: tuple[str, str] | None = None
    """Reason and message, where the transport has found already that it is unreadable."""

    tombstone: bool = False
    """It has a key and no value: an order to forget the session of that key."""


class Progress(NamedTuple):
    """How far a source is; `total_bytes` is None where there is no end to see."""

    bytes_read: int
    total_bytes: int | None


class Source(Protocol):
    """A log to read, once."""

    def batches(self, max_records: int) -> Iterator[list[Record]]:
        """The records, at most *max_records* at a time; a batch never waits to fill.

        An empty batch says that nothing is waiting: the moment to flush, or to stop. Raises
        TransportError when the outside fails, after all that came before was handed out.
        """

    @property
    def position(self) -> dict[tuple[str, int], int]:
        """For each (topic, partition), the offset after the last record handed out."""

    @property
    def progress(self) -> Progress:
        """For a progress bar."""

    def close(self) -> None:
        """Let go of what is held outside. May be called twice."""


class NoSource:
    """A log with nothing in it."""

    def batches(self, max_records: int) -> Iterator[list[Record]]:
        """None."""
        del max_records
        yield from ()

    @property
    def position(self) -> dict[tuple[str, int], int]:
        """There is none."""
        return {}

    @property
    def progress(self) -> Progress:
        """At its end."""
        return Progress(0, 0)

    def close(self) -> None:
        """Nothing is held."""


class Sink(Protocol):
    """A place for records to go. Raises TransportError when the outside fails."""

    def write(self, values: Sequence[bytes], keys: Sequence[bytes | None] | None = None) -> None:
        """Take the *values*, one for each of the *keys*; they may stay here until `flush`."""

    def flush(self) -> None:
        """Hand over all that was taken; returns when it has arrived."""

    def close(self) -> None:
        """Flush, and let go of what is held outside. May be called twice."""


def decode_records(
    decoder: EventDecoder, records: Sequence[Record], now_ms: int | None = None
) -> list[Event | Forget | DecodeError]:
    """What each of the *records* says, in order; for an unreadable one, why."""
    decode = decoder.decode
    decoded: list[Event | Forget | DecodeError] = []
    for record in records:
        try:
            if record.fault is not None:
                decoded.append(DecodeError(*record.fault))
            elif record.tombstone:
                decoded.append(decoder.decode_tombstone(record.key))
            elif record.row is not None:
                decoded.append(decoder.decode_row(record.row, now_ms))
            else:
                decoded.append(decode(record.value, now_ms))
        except DecodeError as error:
            # Without its traceback, which would hold on to the whole batch.
            decoded.append(error.with_traceback(None))
    return decoded
