"""Reading with kafka-python: a consumer without a group, which is told what to read.

What the client hands out, it has parsed; that becomes a Record only where somebody looks at it. What it does not tell
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
from stream_rec.transport.kafka.kafka_python.internals import Untyped, free_the_slot
from stream_rec.transport.kafka.log_changed import offset_out_of_range
from stream_rec.transport.records import Record, RecordAdapter, Records

__all__ = ["PythonReader"]

# In doubt: a partition that is not at its high watermark, and yet gives nothing.
_ASK_IN_DOUBT_S: Final = 0.1
_ASK_IDLE_S: Final = 1.0
_WITHIN_S: Final = 2.0


class PythonReader:
    """See `Reader`."""

    # An answer that comes just as the client is about to ask makes it sleep for this long, with records at hand.
    DEFAULTS: Final = {"retry_backoff_ms": 10}

    def __init__(
        self,
        consumer: Untyped,
        bounds: Callable[..., dict[Partition, Bounds]],
        errors: KafkaPythonErrors,
    ) -> None:
        self._consumer = consumer
        self._bounds = bounds
        self._errors = errors
        self._theirs: dict[Partition, TopicPartition] = {}
        self._ours: dict[TopicPartition, Partition] = {}
        self._offsets: dict[Partition, int] = {}
        self._ends: dict[Partition, int] = {}
        """Of what is committed, as far as it was asked for."""
        self._paused: frozenset[Partition] = frozenset()
        self._ask_at = 0.0

    def assign(self, offsets: PartitionOffsets) -> None:
        """A new assignment, which drops what was fetched for the last one."""
        self._theirs = {partition: TopicPartition(*partition) for partition in offsets}
        self._ours = {theirs_: partition for partition, theirs_ in self._theirs.items()}
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
        """Pause and resume what changed."""
        if self._paused == partitions:
            return
        paused, read = frozenset(partitions), self._theirs.keys()
        self._consumer.pause(*(self._theirs[each] for each in (paused - self._paused) & read))
        self._consumer.resume(*(self._theirs[each] for each in (self._paused - paused) & read))
        self._paused = paused

    def poll(self, max_records: int, timeout_s: float) -> dict[Partition, Records]:
        """What the client has, or gets first."""
        if not self._theirs:
            time.sleep(timeout_s)
            return {}
        with self._errors.during("reading"):
            free_the_slot(self._consumer)
            try:
                fetched = self._consumer.poll(timeout_ms=timeout_s * 1000, max_records=max_records)
            except theirs.OffsetOutOfRangeError as error:
                raise self._out_of_range(error) from None
        records = {self._ours[partition]: Records(batch, _FORM) for partition, batch in fetched.items()}
        for partition, batch in records.items():
            self._offsets[partition] = batch.raw[-1].offset + 1
        if not records:
            self._look_around()
        return records

    @property
    def drained(self) -> Collection[Partition]:
        """By the high watermark of the last answer, or by the end of what is committed where that was asked for."""
        return frozenset(partition for partition in self._theirs if self._is_drained(partition))

    def close(self) -> None:
        """Let go. May be called twice."""
        self._consumer.close(autocommit=False, timeout_ms=1000)

    def _is_drained(self, partition: Partition) -> bool:
        offset = self._offsets[partition]
        watermark = self._consumer.highwater(self._theirs[partition])
        return offset >= self._ends.get(partition, 1 << 63) or (watermark is not None and offset >= watermark)

    def _look_around(self) -> None:
        """Nothing came: go past what is not handed out (markers, aborted records), and ask where the ends are."""
        doubtful = [each for each in self._theirs if each not in self._paused and not self._is_drained(each)]
        with self._errors.during("reading"):
            for partition in doubtful:
                offset = self._consumer.position(self._theirs[partition], timeout_ms=0)
                self._offsets[partition] = self._offsets[partition] if offset is None else offset
        doubtful = [each for each in doubtful if not self._is_drained(each)]
        now = time.monotonic()
        if now >= self._ask_at + (_ASK_IN_DOUBT_S if doubtful else _ASK_IDLE_S):
            self._ends = {partition: bounds.end for partition, bounds in self._bounds(self._theirs, _WITHIN_S).items()}
            self._ask_at = time.monotonic()

    def _out_of_range(self, error: BaseException) -> LogChangedError:
        """Of several partitions, the first: the others are told when it is read on from there."""
        partition = self._ours[next(iter(error.args[0]))]
        return offset_out_of_range(partition, self._offsets[partition], self._bounds([partition])[partition])


def _record(theirs_: Untyped) -> Record:
    topic, partition, _, offset, timestamp, _, key, value, headers, _, _, _, _ = theirs_
    return Record(
        value if value is not None else b"",
        topic,
        partition,
        offset,
        key,
        tuple(headers) if headers else (),
        timestamp,
        None,
        None,
        value is None,
    )


_FORM: Final = RecordAdapter(attrgetter("value"), attrgetter("offset"), _record)
