"""A log and a sink in memory, with faults on request: for tests, and for library use.

Uses no file, network or clock, and never waits. They keep the promises of `records`, so code that
works with them works with the others.
"""

from collections.abc import Iterable, Iterator, Sequence

from stream_rec.errors import TransportError, UnwrittenError
from stream_rec.transport.records import Progress, Record

__all__ = ["MemorySink", "MemorySource"]


class MemorySource:
    """Returns *values*, distributed to the partitions in turn; then one empty batch.

    With *fail_at* it fails once (`retriable`), when so many records have been returned.
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
        self._n_returned = 0
        self._fail_at = fail_at
        self._next_offsets: dict[tuple[str, int], int] = {}
        self.closed = False

    def batches(self, max_records: int) -> Iterator[list[Record]]:
        """Go on where the last call stopped, also after a fault."""
        while self._n_returned < len(self._records):
            until = self._n_returned + max_records
            if self._fail_at is not None and self._fail_at < until:
                until = self._fail_at
            batch = self._records[self._n_returned : until]
            if batch:
                self._n_returned += len(batch)
                self._next_offsets |= {(r.topic, r.partition): r.offset + 1 for r in batch}
                yield batch
            if self._n_returned == self._fail_at:
                self._fail_at = None
                raise TransportError("the source failed, as requested", retriable=True)
        yield []

    @property
    def next_offsets(self) -> dict[tuple[str, int], int]:
        """For each (topic, partition), the offset after the last record returned."""
        return dict(self._next_offsets)

    @property
    def progress(self) -> Progress:
        """In bytes of the values."""
        done = sum(len(record.value) for record in self._records[: self._n_returned])
        return Progress(done, self._total)

    def close(self) -> None:
        """Remember that it was called."""
        self.closed = True


class MemorySink:
    """Keeps what is written: `values` and `keys` once flushed, `waiting` before.

    With *fail_at* it fails once (`retriable`), instead of flushing beyond so many values; none is lost.
    """

    def __init__(self, *, fail_at: int | None = None) -> None:
        self.values: list[bytes] = []
        self.keys: list[bytes | None] = []
        self.waiting: list[tuple[bytes, bytes | None]] = []
        self.closed = False
        self._fail_at = fail_at

    def write(self, values: Sequence[bytes], keys: Sequence[bytes | None] | None = None) -> None:
        """Accept the *values*; they are visible after `flush`."""
        self.waiting += zip(values, keys or [None] * len(values), strict=True)

    def flush(self) -> None:
        """Make the waiting values visible, or fail where *fail_at* says so."""
        if self._fail_at is not None and len(self.values) + len(self.waiting) > self._fail_at:
            self._fail_at = None
            raise UnwrittenError("the sink failed, as requested")
        for value, key in self.waiting:
            self.values.append(value)
            self.keys.append(key)
        self.waiting.clear()

    def close(self) -> None:
        """Flush, and remember that it was called."""
        self.flush()
        self.closed = True
