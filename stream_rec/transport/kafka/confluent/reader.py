"""Reading with confluent-kafka: a consumer without a group, which is assigned what to read.

librdkafka fetches ahead on threads of its own. A poll waits for one message only, then returns what is there: asked for
many at once it would wait until it has them (findings/confluent_consume_waits_to_the_end.sh). At its speed there is
half a microsecond of Python for each message, so a message becomes a Record only when it is accessed.
"""

import time
from collections.abc import Callable, Collection, Iterable, Sequence
from itertools import groupby
from operator import methodcaller
from typing import Final

from confluent_kafka import KafkaError, Message, TopicPartition

from stream_rec.errors import LogChangedError, StreamRecError, TransportError
from stream_rec.transport.broker import Bounds, Partition, PartitionOffsets
from stream_rec.transport.kafka.confluent.errors import LibrdkafkaErrors, Trouble
from stream_rec.transport.kafka.log_changed import offset_out_of_range
from stream_rec.transport.kafka.untyped import Untyped
from stream_rec.transport.records import Record, RecordAdapter, Records
from stream_rec.transport.timeouts import TransportTimeouts, milliseconds

__all__ = ["ConfluentReader"]

_END: Final = KafkaError._PARTITION_EOF  # noqa: SLF001 (their names for what librdkafka finds itself)
_OUT_OF_RANGE: Final = frozenset({KafkaError._AUTO_OFFSET_RESET, KafkaError.OFFSET_OUT_OF_RANGE})  # noqa: SLF001
_GONE: Final = frozenset({KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError._UNKNOWN_TOPIC, KafkaError._UNKNOWN_PARTITION})  # noqa: SLF001
# The client asks about the group that it has to have, and nothing depends on the answer.
_IRRELEVANT: Final = frozenset({KafkaError.GROUP_AUTHORIZATION_FAILED})


class ConfluentReader:
    """See `Reader`."""

    def __init__(
        self,
        consumer: Untyped,
        bounds: Callable[..., dict[Partition, Bounds]],
        errors: LibrdkafkaErrors,
        trouble: Trouble,
        timeouts: TransportTimeouts,
    ) -> None:
        self._consumer = consumer
        self._bounds = bounds
        self._errors = errors
        self._trouble = trouble
        self._timeouts = timeouts
        self._partitions: dict[tuple[str, int], Partition] = {}
        self._offsets: dict[Partition, int] = {}
        self._drained: set[Partition] = set()
        self._paused: frozenset[Partition] = frozenset()
        self._failure: StreamRecError | None = None
        """It came after records, which are returned first."""
        self._ask_at = 0.0
        self._is_closed = False

    @staticmethod
    def settings(timeouts: TransportTimeouts) -> dict[str, object]:
        """The settings of its consumer."""
        return {
            "group.id": "stream-rec-reader",
            "enable.auto.commit": False,
            "enable.auto.offset.store": False,
            "auto.offset.reset": "error",
            "isolation.level": "read_committed",
            "enable.partition.eof": True,
            "allow.auto.create.topics": False,
            # By default a full queue pauses fetching for a second, by which answers would be late.
            "fetch.queue.backoff.ms": milliseconds(timeouts.fetch_retry_s),
            "queued.max.messages.kbytes": 16_384,
            "topic.metadata.propagation.max.ms": milliseconds(timeouts.new_topic_s),
        }

    def assign(self, offsets: PartitionOffsets) -> None:
        """Drops what was fetched for the last assignment."""
        self._partitions = {(partition.topic, partition.number): partition for partition in offsets}
        self._offsets = dict(offsets)
        self._drained = set()
        self._failure = None
        self._ask_at = time.monotonic() + self._timeouts.idle_check_s
        with self._errors.during("reading", self._trouble):
            self._consumer.assign([TopicPartition(*each, offset) for each, offset in offsets.items()])
            self._consumer.pause([TopicPartition(*each) for each in self._paused & offsets.keys()])

    def pause_only(self, partitions: Collection[Partition]) -> None:
        """Pause and resume the partitions that changed."""
        if self._paused == partitions:
            return
        paused, read = frozenset(partitions), self._offsets.keys()
        with self._errors.during("reading", self._trouble):
            self._consumer.pause([TopicPartition(*each) for each in (paused - self._paused) & read])
            self._consumer.resume([TopicPartition(*each) for each in (self._paused - paused) & read])
        self._paused = paused

    def poll(self, max_records: int, timeout_s: float) -> dict[Partition, Records]:
        """Return what the client has, or gets first; nothing, and at once, where a partition's end came first."""
        failure, self._failure = self._failure, None
        if failure is not None:
            raise failure
        if not self._offsets:
            time.sleep(timeout_s)
            return {}
        with self._errors.during("reading", self._trouble):
            first = self._consumer.poll(timeout_s)
            if first is None:
                self._check_idle()
                return {}
            messages = [first]
            if max_records > 1:
                messages += self._consumer.consume(max_records - 1, 0)
        return self._sorted(messages)

    @property
    def drained(self) -> Collection[Partition]:
        """The partitions whose end the client has reported, without a record since.

        It reports the end only with the next answer, half a second later; but the end's offset comes with records.
        """
        return frozenset(each for each in self._offsets if each in self._drained or self._is_at_end(each))

    @property
    def positions(self) -> PartitionOffsets:
        """As of the last poll: the client reports an end with its offset, behind all that is never returned."""
        return dict(self._offsets)

    def close(self) -> None:
        """Close the consumer. May be called twice."""
        if not self._is_closed:
            self._is_closed = True
            self._consumer.close()

    def _is_at_end(self, partition: Partition) -> bool:
        watermarks = self._consumer.get_watermark_offsets(TopicPartition(*partition), cached=True)
        return watermarks is not None and 0 <= watermarks[1] <= self._offsets[partition]

    def _sorted(self, messages: list[Message]) -> dict[Partition, Records]:
        ends: list[tuple[Partition, int]] = []
        if any(map(Message.error, messages)):
            messages = self._records_of(messages, ends)
        records = _sort(messages, self._partitions)
        if records or ends:
            self._trouble.clear()
        for partition, batch in records.items():
            self._offsets[partition] = batch.raw[-1].offset() + 1
        self._drained.difference_update(records)
        for partition, offset in ends:
            if offset >= self._offsets[partition]:
                self._drained.add(partition)
                self._offsets[partition] = offset
        if self._failure is not None and not records:
            failure, self._failure = self._failure, None
            raise failure
        return records

    def _records_of(self, messages: Sequence[Message], ends: list[tuple[Partition, int]]) -> list[Message]:
        """The records among *messages*; the ends of partitions are appended to *ends*."""
        records = []
        for message in messages:
            error = message.error()
            if error is None:
                records.append(message)
            elif error.code() == _END:
                ends.append((self._partitions[message.topic(), message.partition()], message.offset()))
            elif error.code() not in _IRRELEVANT:
                self._failure = self._failure or self._error_of(message, error)
        return records

    def _error_of(self, message: Message, error: KafkaError) -> StreamRecError | None:
        """The *error* that came in place of a record, translated."""
        partition = self._partitions.get((message.topic(), message.partition()))
        if error.code() in _OUT_OF_RANGE and partition is not None:
            return offset_out_of_range(partition, self._offsets[partition], self._bounds([partition])[partition])
        if error.code() in _GONE:
            named = str(partition or message.topic())
            offset = 0 if partition is None else self._offsets[partition]
            text = f"{named}: the topic is gone, or was created again"
            return LogChangedError(text, partition=named, offset=offset)
        return self._errors.translated(error, "reading", self._trouble)

    def _check_idle(self) -> None:
        """No record came: check whether the topics are still there, since the client waits for them to come back.

        If no broker answers, raise that, once for each time that the brokers go away.
        """
        if self._trouble.pop_away():
            raise self._trouble_as_error()
        if time.monotonic() >= self._ask_at:
            self._bounds(self._offsets, self._timeouts.bounds_s)
            self._ask_at = time.monotonic() + self._timeouts.idle_check_s

    def _trouble_as_error(self) -> StreamRecError:
        if self._trouble.connection is not None:
            return self._errors.translated(self._trouble.connection, "reading")
        return TransportError("reading: no broker answers", retriable=True)


def _sort(messages: list[Message], partitions: dict[tuple[str, int], Partition]) -> dict[Partition, Records]:
    """Records by partition. Messages come in runs of one partition."""
    topics = {topic for topic, _ in partitions}
    keys: Iterable[object] = map(Message.partition, messages)
    if len(topics) > 1:
        keys = zip(map(Message.topic, messages), keys, strict=True)
    sorted_: dict[Partition, Records] = {}
    at = 0
    for _, run in groupby(keys):
        part = messages[at : at + len(list(run))]
        at += len(part)
        partition = partitions[part[0].topic(), part[0].partition()]
        if partition in sorted_:
            sorted_[partition].extend(Records(part, _ADAPTER))
        else:
            sorted_[partition] = Records(part, _ADAPTER)
    return sorted_


# `message.headers()` returns a broken list with the error pending, and CPython does not look for one where it has
# specialised the call: the error then comes from a later line. This caller always looks.
_headers_of: Final = methodcaller("headers")
_UNREADABLE: Final = [("stream-rec.headers", b"unreadable: a header's name is not UTF-8")]


def _record(message: Message) -> Record:
    value = message.value()
    try:
        headers = _headers_of(message)
    except (SystemError, UnicodeDecodeError):  # a name is not UTF-8: the client then gives none of them
        headers = _UNREADABLE
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


def _log_time(message: Message) -> int:
    time_ms: int = message.timestamp()[1]
    return time_ms


def _has_headers(message: Message) -> bool:
    try:
        return bool(_headers_of(message))
    except (SystemError, UnicodeDecodeError):  # as above
        return True


_ADAPTER: Final = RecordAdapter(Message.value, Message.offset, _log_time, _record, _has_headers)
