"""Writing with kafka-python: an idempotent producer, or a transactional one."""

import contextlib
from collections.abc import Callable, Sequence
from typing import Any, Final

import kafka.errors as theirs
from kafka import OffsetAndMetadata, TopicPartition

from stream_rec.errors import RecordTooLargeError, StreamRecError, TransportError
from stream_rec.transport.broker import Partition, PartitionOffsets, ProducerRecord
from stream_rec.transport.kafka.kafka_python.errors import KafkaPythonErrors
from stream_rec.transport.kafka.record_size import record_bytes
from stream_rec.transport.kafka.untyped import Untyped
from stream_rec.transport.kafka.writer import KafkaWriter
from stream_rec.transport.timeouts import TransportTimeouts, milliseconds

__all__ = ["PythonWriter"]

_DEFAULTS: Final = {
    "linger_ms": 0,
    "batch_size": 1 << 18,
    "max_request_size": 1 << 20,
}


class PythonWriter(KafkaWriter):
    """See `Writer`. *connect* makes a producer from *settings*, or raises."""

    _client_errors = (theirs.KafkaError, ValueError, RuntimeError, OSError)

    def __init__(
        self,
        connect: Callable[[dict[str, Any]], Untyped],
        settings: dict[str, Any],
        largest_record: Callable[[str], int],
        errors: KafkaPythonErrors,
        timeouts: TransportTimeouts,
    ) -> None:
        super().__init__(largest_record, settings["batch_size"], settings["max_request_size"], timeouts)
        self._connect = connect
        self._settings = settings
        self._errors = errors
        self._sent: list[Untyped] = []
        """The client's future of each record whose outcome is still open."""
        self._records: list[ProducerRecord] = []
        """These records."""
        self._n_arrived = 0
        """How many of them are known to have arrived."""
        self._starting: Untyped = None
        """A producer that waits for its transactional id: it would fence the next one, so `close` closes it too."""
        self._last_producer: Untyped = None
        """The producer, also after `close` has discarded it: it knows why its last call failed."""
        self._ensure_producer()

    @staticmethod
    def settings(transactional_id: str | None, common: dict[str, Any], timeouts: TransportTimeouts) -> dict[str, Any]:
        """The settings of its producer; *common* are those of all producers."""
        answer_ms = milliseconds(timeouts.answer_s)
        times = {
            "max_block_ms": answer_ms,
            "transaction_timeout_ms": milliseconds(timeouts.transaction_s),
            "request_timeout_ms": milliseconds(timeouts.request_s),
            "retry_backoff_ms": milliseconds(timeouts.transaction_retry_s),
        }
        settings = _DEFAULTS | times | common | {"transactional_id": transactional_id}
        delivery_ms = max(answer_ms, settings["request_timeout_ms"] + settings["linger_ms"])
        return {"delivery_timeout_ms": delivery_ms} | settings

    def send(self, records: Sequence[ProducerRecord]) -> None:
        """Give them to the client, which sends on a thread of its own."""
        self._ensure_producer()
        self._refuse_too_large(records)
        limits = self._batch_limits.below_batch(records)
        send, remember = self._producer.send, self._sent.append
        self._records += records
        with self._calling("writing"):
            for record in records:
                topic, value, key, headers = record
                if limits and topic in limits:
                    self._make_room(record, limits[topic])
                remember(send(topic, value, key, list(headers)))

    def append(self, records: Sequence[ProducerRecord]) -> list[tuple[Partition, int]]:
        """The client's own futures hold partition and offset."""
        self.send(records)
        sent = self._sent
        self.flush()
        written = [future.value for future in sent]
        return [(Partition(each.topic, each.partition), each.offset) for each in written]

    # --- see KafkaWriter

    def _start_producer(self) -> None:
        producer = self._starting = self._connect(self._settings)
        try:
            if self._is_closing:
                raise self._closed_before_start()
            if self._settings["transactional_id"] is not None:
                with self._errors.during(f"the transactional id {self._settings['transactional_id']!r}"):
                    producer.init_transactions()
        except StreamRecError:
            producer.close(timeout=0)
            raise
        finally:
            self._starting = None
        self._producer = self._last_producer = producer

    def _stop_starting(self) -> None:
        starting = self._starting
        if starting is not None:
            starting.close(timeout=0)

    def _end_producer(self, producer: Untyped, timeout_s: float) -> None:
        with contextlib.suppress(theirs.KafkaError):
            producer.close(timeout=timeout_s)

    def _await_answers(self) -> None:
        with self._calling("writing"):
            self._producer.flush(timeout=self._settings["delivery_timeout_ms"] / 1000 + self._timeouts.grace_s)
            self._refuse_if_closed()
            for index in range(self._n_arrived, len(self._sent)):
                if not self._sent[index].succeeded():
                    raise self._refusal(self._sent[index].exception, index, self._records[index])
        self._n_arrived = len(self._sent)
        self._batch_limits.arrived()

    def _forget_sent(self) -> None:
        self._sent, self._records, self._n_arrived = [], [], 0
        self._batch_limits.arrived()

    def _send_empty(self, topic: str, number: int) -> None:
        self._sent.append(self._producer.send(topic, b"", partition=number))
        self._records.append(ProducerRecord(topic, b""))

    def _send_offsets(self, offsets: PartitionOffsets, group_metadata: object, note: str) -> None:
        added = {
            TopicPartition(*partition): OffsetAndMetadata(offset, note, -1) for partition, offset in offsets.items()
        }
        self._producer.send_offsets_to_transaction(added, group_metadata)

    def _commit_transaction(self) -> None:
        self._producer.commit_transaction()

    def _abort_transaction(self) -> None:
        self._producer.abort_transaction()

    def _translated(self, error: BaseException, what: str) -> StreamRecError:
        """By its cause, where the client only says that there was one."""
        cause = self._last_producer.trouble
        translated = self._errors.translated(cause or error, what)
        # Two that a new producer may have no more: the first is the class of every error that it has no name for, such
        # as no answer in time; the second tells of a call amid its recovery from an error, which came to a good end.
        if type(cause) is theirs.KafkaError or (cause is None and isinstance(error, theirs.IllegalStateError)):
            return TransportError(translated.message, retriable=True)
        return translated

    @property
    def _transaction_limit_s(self) -> float:
        return float(self._settings["transaction_timeout_ms"]) / 1000

    @property
    def _is_compressed(self) -> bool:
        return self._settings.get("compression_type") is not None

    # --- of this client

    def _refusal(self, error: BaseException | None, index: int, record: ProducerRecord) -> StreamRecError:
        if isinstance(error, theirs.MessageSizeTooLargeError | theirs.RecordListTooLargeError):
            limit = self._largest_record(record.topic)
            message = f"the broker refuses a record of {record_bytes(record)} bytes for {record.topic!r}: {error}"
            return RecordTooLargeError(message, place=index, size=record_bytes(record), limit=limit)
        if error is None:
            return TransportError("writing: not all records have arrived in time", retriable=True)
        if isinstance(error, theirs.TransactionAbortedError) and self._last_producer.trouble is not None:
            error = self._last_producer.trouble  # this record failed only with it
        return self._errors.translated(error, "writing")
