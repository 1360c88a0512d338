"""What every transport has in common: records, where they stand in the log, sources and sinks.

Knows nothing of files or brokers. A source promises that every record is handed out exactly once,
in the log's order, bad ones included: what to do with those is for the reader to decide.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from operator import attrgetter
from typing import Any, Final, NamedTuple, Protocol, overload

import msgspec

__all__ = [
    "OURS",
    "Form",
    "NoSource",
    "Progress",
    "Record",
    "Records",
    "Sink",
    "Source",
]


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


class Form(NamedTuple):
    """How what a client hands out is looked at."""

    value: Callable[[Any], bytes | None]
    """Its bytes; None for a tombstone."""

    offset: Callable[[Any], int]
    record: Callable[[Any], Record]
    """All of it."""


OURS: Final = Form(lambda each: None if each.tombstone else each.value, attrgetter("offset"), lambda each: each)
"""The form of what is a Record already."""


class Records(Sequence[Record]):
    """Records in a client's own *form*, each made into ours when it is looked at.

    Most are applied in silence, or are good, and then nobody asks for more than their values: to make them all would
    cost as much as to decode them.
    """

    __slots__ = ("form", "theirs")

    def __init__(self, theirs: list[Any], form: Form) -> None:
        self.theirs = theirs
        self.form = form

    @classmethod
    def of(cls, records: Sequence[Record]) -> "Records":
        """Return *records* in the form that they have."""
        return records if isinstance(records, Records) else cls(list(records), OURS)

    def __len__(self) -> int:
        return len(self.theirs)

    @overload
    def __getitem__(self, place: int) -> Record: ...
    @overload
    def __getitem__(self, place: slice) -> "Records": ...
    def __getitem__(self, place: int | slice) -> "Record | Records":
        if isinstance(place, slice):
            return Records(self.theirs[place], self.form)
        return self.form.record(self.theirs[place])

    def __iter__(self) -> Iterator[Record]:
        return map(self.form.record, self.theirs)

    def __repr__(self) -> str:
        return f"Records({list(self)!r})"

    @property
    def values(self) -> list[bytes | None]:
        """The bytes of each; None for a tombstone."""
        return list(map(self.form.value, self.theirs))


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
