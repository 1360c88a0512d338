"""A topic as a source that ends: what it holds now, in the order in which a service would process it.

Joins no consumer group and commits nothing, so a service of the same group does not notice.
"""

import time
from collections.abc import Iterator
from typing import Final

from stream_rec.errors import SettingsError, TransportError
from stream_rec.service.batches import NOT_A_MEMBER
from stream_rec.service.consuming.batch_reader import BatchReader
from stream_rec.service.consuming.record_decoder import Decode
from stream_rec.service.timeouts import TIMEOUTS, Timeouts
from stream_rec.transport.broker import Bounds, Broker, Partition
from stream_rec.transport.records import Progress, Record

__all__ = ["TopicSource", "bounds_of"]

_LEADERLESS_S: Final = 10.0
"""How long a topic that was just made may be without leaders of its partitions."""


def bounds_of(broker: Broker, topic: str, setting: str, timeouts: Timeouts = TIMEOUTS) -> dict[Partition, Bounds]:
    """Return what each partition of *topic*, which *setting* names, holds now.

    Asks again for some seconds what may pass, as the partitions of a new topic have no leader at first. Raises
    SettingsError, and closes *broker*, if there is no such topic; TransportError.
    """
    partitions = broker.partitions(topic)
    if not partitions:
        broker.close()
        raise SettingsError(
            setting,
            f"there is no topic {topic!r} at this broker: look at its name and at the address "
            "(`kcat -L -b HOST:PORT` lists the topics)",
        )
    given_up = time.monotonic() + _LEADERLESS_S
    while True:
        try:
            return broker.bounds(partitions)
        except TransportError as error:
            if not error.retriable or time.monotonic() > given_up:
                raise
            time.sleep(timeouts.retry_first_wait_s)


class TopicSource:
    """See `Source`. Owns *broker*. *decode* gives the times by which partitions are merged.

    Raises SettingsError if there is no such topic, and TransportError.
    """

    def __init__(self, broker: Broker, topic: str, decode: Decode, timeouts: Timeouts = TIMEOUTS) -> None:
        self._broker = broker
        bounds = bounds_of(broker, topic, "events", timeouts)
        self._begin = {partition: bound.first for partition, bound in bounds.items()}
        self._ends = {partition: bound.end for partition, bound in bounds.items()}
        self._reader = broker.reader()
        self._decode = decode
        self._timeouts = timeouts
        self._batch_reader: BatchReader | None = None

    def batches(self, max_records: int) -> Iterator[list[Record]]:
        """Return all records that were there when the source was opened."""
        self._batch_reader = batch_reader = BatchReader(
            self._reader, self._decode, self._begin, max_records=max_records, timeouts=self._timeouts
        )
        batch_reader.own({}, NOT_A_MEMBER)
        batch_reader.follow(self._ends)
        while not batch_reader.reached(self._ends):
            read = batch_reader.next(self._timeouts.replay_poll_s)
            yield [] if read is None else read.batch.whole_records()

    @property
    def next_offsets(self) -> dict[tuple[str, int], int]:
        """The offsets after the last batch."""
        at = self._begin if self._batch_reader is None else self._batch_reader.offsets
        return {(topic, number): offset for (topic, number), offset in at.items()}

    @property
    def progress(self) -> Progress:
        """Not known in bytes."""
        return Progress(0, None)

    def close(self) -> None:
        """Close the reader and the broker."""
        self._reader.close()
        self._broker.close()
