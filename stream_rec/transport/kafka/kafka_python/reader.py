"""Reading with kafka-python: a consumer without a group, which is assigned what to read.

The client returns parsed messages; each becomes a Record only when it is accessed. What the client does not report
(that a topic has gone, that the broker is away, where an open transaction ends what can be read) is asked for on
another connection, and only when idle.
"""

import time
from collections.abc import Callable, Collection
from operator import attrgetter
from typing import Final

import kafka.errors as theirs
from kafka import TopicPartition

from stream_rec.errors import LogChangedError
from stream_rec.transport.broker import Bounds, Partition, PartitionOffsets
from stream_rec.transport.kafka.kafka_python.errors import KafkaPythonErrors
from stream_rec.transport.kafka.kafka_python.internals import fetch_position, free_the_slot
from stream_rec.transport.kafka.log_changed import offset_out_of_range
from stream_rec.transport.kafka.untyped import Untyped
from stream_rec.transport.records import Record, RecordAdapter, Records
from stream_rec.transport.timeouts import TransportTimeouts, milliseconds

__all__ = ["PythonReader"]


class PythonReader:
    """See `Reader`."""

    def __init__(
        self,
        consumer: Untyped,
        bounds: Callable[..., dict[Partition, Bounds]],
        errors: KafkaPythonErrors,
        timeouts: TransportTimeouts,
    ) -> None:
        self._consumer = consumer
        self._bounds = bounds
        self._errors = errors
        self._timeouts = timeouts
        self._theirs: dict[Partition, TopicPartition] = {}
        self._partitions: dict[TopicPartition, Partition] = {}
        self._offsets: dict[Partition, int] = {}
        self._ends: dict[Partition, int] = {}
        """The ends of the committed records, where they were asked for."""
        self._paused: frozenset[Partition] = frozenset()
        self._ask_at = 0.0
        self._pass_at = 0.0

    @staticmethod
    def defaults(timeouts: TransportTimeouts) -> dict[str, object]:
        """The settings of its consumer that the operator may change.

        An answer that comes just as the client is about to ask makes it sleep this long, with records at hand.
        """
        return {
            "retry_backoff_ms": milliseconds(timeouts.fetch_retry_s),
            "metadata_max_age_ms": milliseconds(timeouts.metadata_age_s),
        }

    def assign(self, offsets: PartitionOffsets) -> None:
        """Drops what was fetched for the last assignment."""
        self._theirs = {partition: TopicPartition(*partition) for partition in offsets}
        self._partitions = {theirs_: partition for partition, theirs_ in self._theirs.items()}
        self._offsets = dict(offsets)
        self._ends = {}
        self._ask_at = time.monotonic()
        with self._errors.during("reading"):
            self._consumer.assign([])
            self._consumer.assign(list(self._theirs.values()))
            for partition, offset in offsets.items():
                self._consumer.seek(self._theirs[partition], offset)
            self._consumer.pause(*(self._theirs[each] for each in self._paused & offsets.keys()))

    def pause_only(self, partitions: Collection[Partition]) -> None:
        """Pause and resume the partitions that changed."""
        if self._paused == partitions:
            return
        paused, read = frozenset(partitions), self._theirs.keys()
        self._consumer.pause(*(self._theirs[each] for each in (paused - self._paused) & read))
        self._consumer.resume(*(self._theirs[each] for each in (self._paused - paused) & read))
        self._paused = paused

    def poll(self, max_records: int, timeout_s: float) -> dict[Partition, Records]:
        """Return what the client has, or gets first."""
        if not self._theirs:
            time.sleep(timeout_s)
            return {}
        with self._errors.during("reading"):
            free_the_slot(self._consumer)
            try:
                fetched = self._consumer.poll(timeout_ms=timeout_s * 1000, max_records=max_records)
            except theirs.OffsetOutOfRangeError as error:
                raise self._out_of_range(error) from None
        records = {self._partitions[partition]: Records(batch, _ADAPTER) for partition, batch in fetched.items()}
        for partition, batch in records.items():
            self._offsets[partition] = batch.raw[-1].offset + 1
        if not records:
            self._check_idle()
        elif time.monotonic() >= self._pass_at:  # where one partition is never idle, the others are not to seem to lag
            self._pass_at = time.monotonic() + self._timeouts.stalled_check_s
            for partition in self._stalled():
                self._pass_to(partition, fetch_position(self._consumer, self._theirs[partition]))
        return records

    @property
    def drained(self) -> Collection[Partition]:
        """By the high watermark of the last answer, or by the end of the committed records where that was asked for."""
        return frozenset(partition for partition in self._theirs if self._is_drained(partition))

    @property
    def positions(self) -> PartitionOffsets:
        """As of the last poll, or a moment before."""
        return dict(self._offsets)

    def close(self) -> None:
        """Close the consumer. May be called twice."""
        self._consumer.close(autocommit=False, timeout_ms=milliseconds(self._timeouts.close_s))

    def _is_drained(self, partition: Partition) -> bool:
        offset = self._offsets[partition]
        watermark = self._consumer.highwater(self._theirs[partition])
        return offset >= self._ends.get(partition, 1 << 63) or (watermark is not None and offset >= watermark)

    def _check_idle(self) -> None:
        """No record came: go past what is not returned, and ask where the ends are."""
        times = self._timeouts
        with self._errors.during("reading"):
            for partition in self._stalled():
                self._pass_to(partition, self._consumer.position(self._theirs[partition], timeout_ms=0))
        stalled = self._stalled()
        now = time.monotonic()
        if now >= self._ask_at + (times.stalled_check_s if stalled else times.idle_check_s):
            bounds = self._bounds(self._theirs, times.bounds_s)
            self._ends = {partition: end for partition, (_, end) in bounds.items()}
            self._ask_at = time.monotonic()

    def _stalled(self) -> list[Partition]:
        """The partitions of which more should come. What they have left may never be returned."""
        return [each for each in self._theirs if each not in self._paused and not self._is_drained(each)]

    def _pass_to(self, partition: Partition, offset: int | None) -> None:
        """Go past markers and aborted records, to where the client is."""
        self._offsets[partition] = self._offsets[partition] if offset is None else offset

    def _out_of_range(self, error: BaseException) -> LogChangedError:
        """Of several partitions, the first: the next `poll` raises the error of the others."""
        partition = self._partitions[next(iter(error.args[0]))]
        return offset_out_of_range(partition, self._offsets[partition], self._bounds([partition])[partition])


def _record(theirs_: Untyped) -> Record:
    topic, partition, _, offset, timestamp, _, key, value, headers, _, _, _, _ = theirs_
    return Record(
        value if value is not None else b"",
        topic,
        partition,
        offset,
        key,
        tuple((name, given or b"") for name, given in headers) if headers else (),
        timestamp,
        None,
        None,
        value is None,
    )


_ADAPTER: Final = RecordAdapter(
    attrgetter("value"),
    attrgetter("offset"),
    attrgetter("timestamp"),
    _record,
    lambda theirs_: bool(theirs_.headers),
)
