"""Writing with confluent-kafka: an idempotent producer, or a transactional one.

librdkafka reports each record that did not arrive; in a transaction it also makes the commit fail.

A producer that is still waiting for its transactional id raises the id's epoch when it gets it, and so fences the
producer that was made after it (findings/librdkafka_given_up_producer_fences.sh). So no waiting producer is left
behind: it asks until it is answered or closed.
"""

import contextlib
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Final

from confluent_kafka import KafkaError, KafkaException, Message, TopicPartition

from stream_rec.errors import RecordTooLargeError, StreamRecError, TransportError
from stream_rec.transport.broker import Partition, PartitionOffsets, ProducerRecord
from stream_rec.transport.kafka.confluent.errors import CLIENT_ERRORS, LibrdkafkaErrors, Trouble
from stream_rec.transport.kafka.record_size import record_bytes
from stream_rec.transport.kafka.untyped import Untyped
from stream_rec.transport.kafka.writer import KafkaWriter
from stream_rec.transport.timeouts import TransportTimeouts, milliseconds

__all__ = ["ConfluentWriter"]

_TOO_LARGE: Final = frozenset({KafkaError.MSG_SIZE_TOO_LARGE, KafkaError.RECORD_LIST_TOO_LARGE})
_DEFAULTS: Final = {
    "message.max.bytes": 1 << 20,
    "batch.size": 1_000_000,
    "queue.buffering.max.messages": 1_000_000,
}
_FIXED: Final = {
    "enable.idempotence": True,
    "partitioner": "murmur2_random",
}


class ConfluentWriter(KafkaWriter):
    """See `Writer`. *make* makes a producer from settings; *given* are the operator's own."""

    _client_errors = CLIENT_ERRORS

    def __init__(
        self,
        make: Callable[[Mapping[str, object], Trouble], Untyped],
        transactional_id: str | None,
        given: Mapping[str, str],
        largest_record: Callable[[str], int],
        errors: LibrdkafkaErrors,
        timeouts: TransportTimeouts,
    ) -> None:
        max_bytes = int(given.get("message.max.bytes", _DEFAULTS["message.max.bytes"]))
        batch_bytes = min(max_bytes, int(given.get("batch.size", _DEFAULTS["batch.size"])))
        super().__init__(largest_record, batch_bytes, max_bytes, timeouts)
        self._make = make
        self._transactional_id = transactional_id
        self._errors = errors
        self._trouble = Trouble()
        self._compression = given.get("compression.type") or given.get("compression.codec") or "none"
        self._longest_s = float(given.get("transaction.timeout.ms", milliseconds(timeouts.transaction_s))) / 1000
        """Of a transaction; each call of the client gets at most `_call_s` of it."""
        self._call_s = min(self._longest_s, timeouts.answer_s)
        self._failures: list[tuple[KafkaError, Message]] = []
        self._sent: Sequence[ProducerRecord] = ()
        """The records of the last call, until their outcome is known: an error names an index in it."""
        self._starting: Untyped = None
        """A producer whose start has not been answered yet. No other name may refer to it: it ends with its last
        reference, and the frames of an error that is kept somewhere would keep it at work."""
        self._start = threading.Lock()
        self._reports_each = False
        """Whether the producer calls back for each record that has arrived; that costs as much as sending it."""
        try:
            self._ensure_producer()
        except StreamRecError:
            self.close()
            raise

    def send(self, records: Sequence[ProducerRecord]) -> None:
        """Give them to the client, which sends on threads of its own; wait where its queue is full."""
        self._ensure_producer()
        self._refuse_too_large(records)
        limits, self._sent = self._batch_limits.below_batch(records), records
        produce = self._producer.produce
        with self._calling("writing"):
            for record in records:
                topic, value, key, headers = record
                if limits and topic in limits:
                    self._make_room(record, limits[topic])
                try:
                    if headers:
                        produce(topic, value, key, headers=list(headers))
                    else:
                        produce(topic, value, key)
                except BufferError:
                    self._send_when_the_queue_has_room(record)

    def append(self, records: Sequence[ProducerRecord]) -> list[tuple[Partition, int]]:
        """With a producer that reports each record: the first call starts a new one."""
        if not self._reports_each:
            self._reports_each = True
            self._discard_producer()
        self._ensure_producer()
        self._refuse_too_large(records)
        limits, self._sent = self._batch_limits.below_batch(records), records
        written: dict[int, tuple[Partition, int]] = {}

        def on_delivery(index: int, error: KafkaError | None, message: Message) -> None:
            self._on_delivery(error, message)
            if error is None:
                written[index] = Partition(message.topic(), message.partition()), message.offset()

        with self._calling("writing"):
            for index, record in enumerate(records):
                topic, value, key, headers = record
                if topic in limits:
                    self._make_room(record, limits[topic])
                report = partial(on_delivery, index)
                self._producer.produce(topic, value, key, headers=list(headers), on_delivery=report)
        self.flush()
        return [written[index] for index in range(len(records))]

    # --- see KafkaWriter

    def _start_producer(self) -> None:
        with self._start:
            if self._starting is None and not self._is_closing:
                self._starting = self._made()
            try:
                self._await_transactional_id()
            except StreamRecError as error:
                if not (isinstance(error, TransportError) and error.retriable):
                    self._starting = None
                raise
            self._producer, self._starting = self._starting, None

    def _stop_starting(self) -> None:
        with self._start:
            self._starting = None

    def _end_producer(self, producer: Untyped, timeout_s: float) -> None:
        del timeout_s
        # One that was fenced raises that again from any call, and may confuse the interpreter by it.
        with contextlib.suppress(KafkaException, SystemError):
            producer.purge()
            producer.flush(self._timeouts.close_s)
        self._forget_sent()

    def _await_answers(self) -> None:
        with self._calling("writing"):
            n_left = self._producer.flush(self._call_s + self._timeouts.grace_s)
            self._refuse_if_closed()
            failures, self._failures = self._failures, []
            if failures:
                raise self._refusal(failures)
            if n_left:
                raise self._late("writing")
        self._batch_limits.arrived()
        if self._sent:
            self._trouble.clear()

    def _forget_sent(self) -> None:
        self._failures, self._sent = [], ()
        self._batch_limits.arrived()

    def _send_empty(self, topic: str, number: int) -> None:
        self._producer.produce(topic, b"", partition=number)

    def _send_offsets(self, offsets: PartitionOffsets, group_metadata: object, note: str) -> None:
        added = [TopicPartition(*partition, offset, note) for partition, offset in offsets.items()]
        self._producer.send_offsets_to_transaction(added, group_metadata, self._call_s)

    def _commit_transaction(self) -> None:
        self._producer.commit_transaction(self._call_s)
        self._trouble.clear()

    def _abort_transaction(self) -> None:
        self._producer.abort_transaction(self._call_s)

    def _translated(self, error: BaseException, what: str) -> StreamRecError:
        return self._errors.translated(
            self._lost_error(error) if isinstance(error, SystemError) else error, what, self._trouble
        )

    @property
    def _transaction_limit_s(self) -> float:
        return self._longest_s

    @property
    def _is_compressed(self) -> bool:
        return self._compression != "none"

    # --- of this client

    def _made(self) -> Untyped:
        settings = _DEFAULTS | {
            "message.timeout.ms": milliseconds(self._timeouts.answer_s),
            "retry.backoff.ms": milliseconds(self._timeouts.transaction_retry_s),
            "topic.metadata.refresh.interval.ms": milliseconds(self._timeouts.partitions_age_s),
            **_FIXED,
            "on_delivery": self._on_delivery,
            "delivery.report.only.error": not self._reports_each,
        }
        if self._transactional_id is not None:
            settings["transactional.id"] = self._transactional_id
            settings["transaction.timeout.ms"] = milliseconds(self._timeouts.transaction_s)
        self._trouble = Trouble()
        return self._make(settings, self._trouble)

    def _await_transactional_id(self) -> None:
        """Until the id is the starting producer's. Where it takes too long, the next call goes on with the same one."""
        until = time.monotonic() + self._call_s
        with self._errors.during(f"the transactional id {self._transactional_id!r}", self._trouble):
            while not self._is_closing:
                try:
                    if self._transactional_id is not None:
                        self._starting.init_transactions(self._timeouts.start_try_s)
                        self._trouble.clear()
                except KafkaException as error:
                    if not error.args[0].retriable() or time.monotonic() > until:
                        raise
                else:
                    return
        raise self._closed_before_start()

    def _on_delivery(self, error: KafkaError | None, message: Message) -> None:
        if error is not None:
            self._failures.append((error, message))

    def _send_when_the_queue_has_room(self, record: ProducerRecord) -> None:
        until = time.monotonic() + self._call_s
        while time.monotonic() < until:
            self._producer.poll(self._timeouts.queue_poll_s)
            with contextlib.suppress(BufferError):
                self._producer.produce(record.topic, record.value, record.key, headers=list(record.headers))
                return
        raise self._late("writing")

    def _lost_error(self, error: SystemError) -> BaseException:
        """A fatal error gets lost in a call that calls us back; the next call raises it again."""
        try:
            self._producer.begin_transaction()
        except KafkaException as again:
            lost: BaseException = again
            return lost
        return error

    def _refusal(self, failures: Sequence[tuple[KafkaError, Message]]) -> StreamRecError:
        """What to raise for *failures*. A record that is too large comes first: the others may have failed with it."""
        too_large = [each for each in failures if each[0].code() in _TOO_LARGE]
        if not too_large:
            return self._errors.translated(failures[0][0], "writing", self._trouble)
        error, topic = too_large[0][0], too_large[0][1].topic() or ""
        sizes = self._sizes_of([message for _, message in too_large if message.topic() == topic])
        if not sizes:
            return TransportError(f"the broker refuses what was written to {topic!r} before: {error.str()}")
        if self._batch_limits.refused(topic, sizes.values()):
            text = f"the broker refuses {len(sizes)} records for {topic!r} in one batch: {error.str()}"
            return TransportError(f"{text}; going on with fewer at a time", retriable=True)
        index = max(sizes, key=sizes.__getitem__)
        text = f"the broker refuses a record of {sizes[index]} bytes for {topic!r}: {error.str()}"
        return RecordTooLargeError(text, place=index, size=sizes[index], limit=self._largest_record(topic))

    def _sizes_of(self, messages: Sequence[Message]) -> dict[int, int]:
        """The sizes of *messages* by their indices in `_sent`; the client returns messages without a number."""
        refused = {(message.topic(), message.value() or b"", message.key() or b"") for message in messages}
        return {
            index: record_bytes(record)
            for index, record in enumerate(self._sent)
            if (record.topic, record.value or b"", record.key or b"") in refused
        }

    def _late(self, what: str) -> StreamRecError:
        if self._trouble.connection is not None:
            return self._errors.translated(self._trouble.connection, what)
        return TransportError(f"{what}: not all records have arrived in time", retriable=True)
