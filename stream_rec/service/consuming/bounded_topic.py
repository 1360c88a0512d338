"""A topic as a source that ends: what it holds now, in the order in which a service would take it.

Takes no seat in a group and commits nothing, so a service of the same group does not notice.
"""

from collections.abc import Callable, Iterator, Sequence

from stream_rec.errors import SettingsError
from stream_rec.service.batches import Decoded
from stream_rec.service.consuming.batch_reader import BatchReader
from stream_rec.transport.broker import Broker
from stream_rec.transport.records import Progress, Record

__all__ = ["TopicSource"]

_WAIT_S = 0.05


class TopicSource:
    """See `Source`. Owns *broker*. *decode* tells the times by which partitions are merged.

    Raises SettingsError if there is no such topic, and TransportError.
    """

    def __init__(self, broker: Broker, topic: str, decode: Callable[[Sequence[Record]], list[Decoded]]) -> None:
        self._broker = broker
        partitions = broker.partitions(topic)
        if not partitions:
            broker.close()
            raise SettingsError("events", f"there is no topic {topic!r} at this broker")
        bounds = broker.bounds(partitions)
        self._begin = {partition: bound.first for partition, bound in bounds.items()}
        self._ends = {partition: bound.end for partition, bound in bounds.items()}
        self._reader = broker.reader()
        self._decode = decode
        self._batch_reader: BatchReader | None = None

    def batches(self, max_records: int) -> Iterator[list[Record]]:
        """All that was there when it was opened."""
        self._batch_reader = batch_reader = BatchReader(
            self._reader, self._decode, self._begin, max_records=max_records
        )
        batch_reader.own({})
        batch_reader.follow(self._ends)
        while not batch_reader.reached(self._ends):
            handed = batch_reader.next(_WAIT_S)
            yield [] if handed is None else list(handed.batch.records)

    @property
    def next_offsets(self) -> dict[tuple[str, int], int]:
        """After what was handed out."""
        at = self._begin if self._batch_reader is None else self._batch_reader.positions
        return {(topic, number): offset for (topic, number), offset in at.items()}

    @property
    def progress(self) -> Progress:
        """Not known in bytes."""
        return Progress(0, None)

    def close(self) -> None:
        """Let go of the reader and of the broker."""
        self._reader.close()
        self._broker.close()
