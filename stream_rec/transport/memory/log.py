"""A log and a sink in memory, with faults on request: for tests, and for library use.

Knows nothing of the outside, and never waits. They keep the promises that `base` makes, so what
works on them works on the others.
"""

from collections.abc import Iterable, Iterator, Sequence

from stream_rec.errors import TransportError
from stream_rec.transport.records import Progress, Record

__all__ = ["MemorySink", "MemorySource"]


class MemorySource:
    """Hands out *values*, dealt to the partitions in turn; then says once that nothing waits.

    With *fail_at* it fails once, for now (`retriable`), when so many records have been handed out.
    """

    def __init__(
        self,
        values: Iterable[bytes | Record],
        topic: str = "memory",
        *,
        partitions: int = 1,
        fail_at: int | None = None,
    ) -> None:
        self._records = [
            value if isinstance(value, Record) else Record(value, topic, i % partitions, i // partitions)
            for i, value in enumerate(values)
        ]
        self._total = sum(len(record.value) for record in self._records)
        self._handed_out = 0
        self._fail_at = fail_at
        self._position: dict[tuple[str, int], int] = {}
        self.closed = False

    def batches(self, max_records: int) -> Iterator[list[Record]]:
        """Goes on where the last call stopped, after a fault as well."""
        while self._handed_out < len(self._records):
            until = self._handed_out + max_records
            if self._fail_at is not None and self._fail_at < until:
                until = self._fail_at
            batch = self._records[self._handed_out : until]
            if batch:
                self._handed_out += len(batch)
                self._position |= {(r.topic, r.partition): r.offset + 1 for r in batch}
                yield batch
            if self._handed_out == self._fail_at:
                self._fail_at = None
                raise TransportError("the source failed, as it was asked to", retriable=True)
        yield []

    @property
    def next_offsets(self) -> dict[tuple[str, int], int]:
        """For each (topic, partition), the offset after the last record handed out."""
        return dict(self._position)

    @property
    def progress(self) -> Progress:
        """In bytes of the values."""
        done = sum(len(record.value) for record in self._records[: self._handed_out])
        return Progress(done, self._total)

    def close(self) -> None:
        """Remember that it was called."""
        self.closed = True


class MemorySink:
    """Keeps what is written: `values` and `keys` once flushed, `waiting` before.

    With *fail_at* it fails once, for now, instead of flushing beyond so many values; none is lost.
    """

    def __init__(self, *, fail_at: int | None = None) -> None:
        self.values: list[bytes] = []
        self.keys: list[bytes | None] = []
        self.waiting: list[tuple[bytes, bytes | None]] = []
        self.closed = False
        self._fail_at = fail_at

    def write(self, values: Sequence[bytes], keys: Sequence[bytes | None] | None = None) -> None:
        """Take the *values*; nobody sees them before `flush`."""
        self.waiting += zip(values, keys or [None] * len(values), strict=True)

    def flush(self) -> None:
        """Make all that waits visible, or fail if it was asked for."""
        if self._fail_at is not None and len(self.values) + len(self.waiting) > self._fail_at:
            self._fail_at = None
            raise TransportError("the sink failed, as it was asked to", retriable=True)
        for value, key in self.waiting:
            self.values.append(value)
            self.keys.append(key)
        self.waiting.clear()

    def close(self) -> None:
        """Flush, and remember that it was called."""
        self.flush()
        self.closed = True
