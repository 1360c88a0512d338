"""Reading with confluent-kafka: a consumer that assigns itself what it is told to read.

librdkafka fetches ahead on threads of its own. A poll waits for one message only, then takes what is there: asked for
many at once it would wait until it has them. Half a microsecond of Python a message is all there is at its speed, so a
message becomes a Record only where somebody looks at it.
"""

import time
from collections.abc import Callable, Collection, Iterable, Sequence
from itertools import groupby
from typing import Final

from confluent_kafka import KafkaError, Message, TopicPartition

from stream_rec.errors import LogChangedError, StreamRecError, TransportError
from stream_rec.transport.broker import Bounds, Partition, PartitionOffsets
from stream_rec.transport.kafka.confluent.errors import LibrdkafkaErrors, Trouble, Untyped
from stream_rec.transport.kafka.log_changed import offset_out_of_range
from stream_rec.transport.records import Record, RecordAdapter, Records

__all__ = ["ConfluentReader"]

_ASK_IDLE_S: Final = 1.0
_WITHIN_S: Final = 2.0
_END: Final = KafkaError._PARTITION_EOF  # noqa: SLF001 (their names for what librdkafka finds itself)
_OUT_OF_RANGE: Final = frozenset({KafkaError._AUTO_OFFSET_RESET, KafkaError.OFFSET_OUT_OF_RANGE})  # noqa: SLF001
_GONE: Final = frozenset({KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError._UNKNOWN_TOPIC, KafkaError._UNKNOWN_PARTITION})  # noqa: SLF001
# The client asks about the group it has to be given, and nothing depends on the answer.
_NOT_OURS: Final = frozenset({KafkaError.GROUP_AUTHORIZATION_FAILED})


class ConfluentReader:
    """See `Reader`."""

    SETTINGS: Final = {
        "group.id": "stream-rec-reader",
        "enable.auto.commit": False,
        "enable.auto.offset.store": False,
        "auto.offset.reset": "error",
        "isolation.level": "read_committed",
        "enable.partition.eof": True,
        "allow.auto.create.topics": False,
        # Its default pause of a second, once so much is fetched ahead, would be one of the answers too.
        "fetch.queue.backoff.ms": 10,
        "queued.max.messages.kbytes": 16_384,
        "topic.metadata.propagation.max.ms": 3000,
    }

    def __init__(
        self,
        consumer: Untyped,
        bounds: Callable[..., dict[Partition, Bounds]],
        errors: LibrdkafkaErrors,
        trouble: Trouble,
    ) -> None:
        self._consumer = consumer
        self._bounds = bounds
        self._errors = errors
        self._trouble = trouble
        self._ours: dict[tuple[str, int], Partition] = {}
        self._offsets: dict[Partition, int] = {}
        self._drained: set[Partition] = set()
        self._paused: frozenset[Partition] = frozenset()
        self._failure: StreamRecError | None = None
        """Met behind records, which are handed out first."""
        self._ask_at = 0.0
        self._is_closed = False

    def assign(self, offsets: PartitionOffsets) -> None:
        """A new assignment, which drops what was fetched for the last one."""
        self._ours = {(partition.topic, partition.number): partition for partition in offsets}
        self._offsets = dict(offsets)
        self._drained = set()
        self._failure = None
        self._ask_at = time.monotonic() + _ASK_IDLE_S
        with self._errors.during("reading", self._trouble):
            self._consumer.assign([TopicPartition(*each, offset) for each, offset in offsets.items()])
            self._consumer.pause([TopicPartition(*each) for each in self._paused & offsets.keys()])

    def pause_only(self, partitions: Collection[Partition]) -> None:
        """Pause and resume what changed."""
        if self._paused == partitions:
            return
        paused, read = frozenset(partitions), self._offsets.keys()
        with self._errors.during("reading", self._trouble):
            self._consumer.pause([TopicPartition(*each) for each in (paused - self._paused) & read])
            self._consumer.resume([TopicPartition(*each) for each in (self._paused - paused) & read])
        self._paused = paused

    def poll(self, max_records: int, timeout_s: float) -> dict[Partition, Records]:
        """What the client has, or gets first. Comes back at once, and empty, where a partition's end was met first."""
        failure, self._failure = self._failure, None
        if failure is not None:
            raise failure
        if not self._offsets:
            time.sleep(timeout_s)
            return {}
        with self._errors.during("reading", self._trouble):
            first = self._consumer.poll(timeout_s)
            if first is None:
                self._look_around()
                return {}
            messages = [first]
            if max_records > 1:
                messages += self._consumer.consume(max_records - 1, 0)
        return self._sorted(messages)

    @property
    def drained(self) -> Collection[Partition]:
        """Where the client has met the end, and has given nothing since.

        It tells that only with the next answer, half a second later; its word on where the end is comes with records.
        """
        return frozenset(each for each in self._offsets if each in self._drained or self._is_at_end(each))

    def close(self) -> None:
        """Let go. May be called twice."""
        if not self._is_closed:
            self._is_closed = True
            self._consumer.close()

    def _is_at_end(self, partition: Partition) -> bool:
        watermarks = self._consumer.get_watermark_offsets(TopicPartition(*partition), cached=True)
        return watermarks is not None and 0 <= watermarks[1] <= self._offsets[partition]

    def _sorted(self, messages: list[Message]) -> dict[Partition, Records]:
        ends: list[tuple[Partition, int]] = []
        if any(map(Message.error, messages)):
            messages = self._without_news(messages, ends)
        records = _sort(messages, self._ours)
        if records or ends:
            self._trouble.is_over()
        for partition, batch in records.items():
            self._offsets[partition] = batch.raw[-1].offset() + 1
        self._drained.difference_update(records)
        self._drained.update(partition for partition, offset in ends if offset >= self._offsets[partition])
        if self._failure is not None and not records:
            failure, self._failure = self._failure, None
            raise failure
        return records

    def _without_news(self, messages: Sequence[Message], ends: list[tuple[Partition, int]]) -> list[Message]:
        """The records among *messages*; where a partition's end was met goes into *ends*."""
        records = []
        for message in messages:
            error = message.error()
            if error is None:
                records.append(message)
            elif error.code() == _END:
                ends.append((self._ours[message.topic(), message.partition()], message.offset()))
            elif error.code() not in _NOT_OURS:
                self._failure = self._failure or self._told(message, error)
        return records

    def _told(self, message: Message, error: KafkaError) -> StreamRecError | None:
        """What came in place of a record, as one of our errors."""
        partition = self._ours.get((message.topic(), message.partition()))
        if error.code() in _OUT_OF_RANGE and partition is not None:
            return offset_out_of_range(partition, self._offsets[partition], self._bounds([partition])[partition])
        if error.code() in _GONE:
            named = str(partition or message.topic())
            offset = 0 if partition is None else self._offsets[partition]
            told = f"{named}: the topic is gone, or was made anew"
            return LogChangedError(told, partition=named, offset=offset)
        return self._errors.translated(error, "reading", self._trouble)

    def _look_around(self) -> None:
        """Nothing came: see whether the topics are still there, since the client waits for them to come back.

        If nobody answers, say so, once for each time that the brokers go away.
        """
        if self._trouble.is_away:
            self._trouble.is_away = False
            raise self._trouble_as_error()
        if time.monotonic() >= self._ask_at:
            self._bounds(self._offsets, _WITHIN_S)
            self._ask_at = time.monotonic() + _ASK_IDLE_S

    def _trouble_as_error(self) -> StreamRecError:
        if self._trouble.connection is not None:
            return self._errors.translated(self._trouble.connection, "reading")
        return TransportError("reading: no broker answers", retriable=True)


def _sort(messages: list[Message], ours: dict[tuple[str, int], Partition]) -> dict[Partition, Records]:
    """Records by partition. Messages come in runs of one partition."""
    topics = {topic for topic, _ in ours}
    places: Iterable[object] = map(Message.partition, messages)
    if len(topics) > 1:
        places = zip(map(Message.topic, messages), places, strict=True)
    sorted_: dict[Partition, Records] = {}
    at = 0
    for _, run in groupby(places):
        part = messages[at : at + len(list(run))]
        at += len(part)
        partition = ours[part[0].topic(), part[0].partition()]
        if partition in sorted_:
            sorted_[partition].raw.extend(part)
        else:
            sorted_[partition] = Records(part, _FORM)
    return sorted_


def _record(message: Message) -> Record:
    value, headers = message.value(), message.headers()
    return Record(
        value if value is not None else b"",
        message.topic(),
        message.partition(),
        message.offset(),
        message.key(),
        tuple((name, given or b"") for name, given in headers) if headers else (),
        message.timestamp()[1],
        None,
        None,
        value is None,
    )


_FORM: Final = RecordAdapter(Message.value, Message.offset, _record)
