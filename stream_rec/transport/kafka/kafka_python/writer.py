"""Writing with kafka-python: an idempotent producer, or a transactional one that is replaced when beyond saving.

A producer that has met an error may be stuck in it: then it is thrown away, and the next one of the same transactional
id makes the broker abort what was left open. Who commits in vain never knows whether it was: see `commit`.
"""

import contextlib
import threading
import time
from collections.abc import Callable, Collection, Sequence
from typing import Any, Final

import kafka.errors as theirs
from kafka import OffsetAndMetadata, TopicPartition

from stream_rec.errors import (
    AssignmentLostError,
    FencedError,
    RecordTooLargeError,
    StreamRecError,
    TransportError,
)
from stream_rec.transport.broker import Partition, PartitionOffsets, ProducerRecord
from stream_rec.transport.kafka.batch_limits import Portions
from stream_rec.transport.kafka.kafka_python.errors import KafkaPythonErrors
from stream_rec.transport.kafka.kafka_python.internals import BoundedProducer, Untyped
from stream_rec.transport.kafka.record_size import record_bytes, refuse_too_large

__all__ = ["PythonWriter"]

_TIMEOUT_MS: Final = 10_000
_REQUEST_MS: Final = 8_000
_DEFAULTS: Final = {
    "linger_ms": 0,
    "batch_size": 1 << 18,
    "max_block_ms": _TIMEOUT_MS,
    "transaction_timeout_ms": _TIMEOUT_MS,
    "request_timeout_ms": _REQUEST_MS,
    "max_request_size": 1 << 20,
    # A transaction that follows another one at once is told to ask again, while the broker still writes the last one's
    # markers, which takes it a few milliseconds.
    "retry_backoff_ms": 5,
}
_CLOSING_S: Final = 1.0


class PythonWriter:
    """See `Writer`. *connect* makes a producer, or raises."""

    def __init__(
        self, connect: Callable[[type], Untyped], largest_record: Callable[[str], int], errors: KafkaPythonErrors
    ) -> None:
        self._connect = connect
        self._largest_record = largest_record
        self._errors = errors
        self._producer: Untyped = None
        self._sent: list[Untyped] = []
        """The client's word for each of the records, of which the outcome is still open."""
        self._outgoing: list[ProducerRecord] = []
        self._n_arrived = 0
        """Of them, so many are known to have arrived."""
        self._portions = Portions(0, largest_record)  # until a producer tells how large its batches are
        self._is_open = False
        """Whether a transaction is."""
        self._began = 0.0
        self._is_broken = False
        self._starting: Untyped = None
        """A producer that is asking for its turn: it would fence the next one of its name, so `close` closes it too."""
        self._is_closed = False
        self._in_call = threading.RLock()
        """Held by whoever is inside a call of the producer."""
        self._open()

    @staticmethod
    def settings(transactional_id: str | None, common: dict[str, Any]) -> dict[str, Any]:
        """What its producer is made with."""
        settings = _DEFAULTS | common | {"transactional_id": transactional_id}
        delivery = max(_TIMEOUT_MS, settings["request_timeout_ms"] + settings["linger_ms"])
        return {"delivery_timeout_ms": delivery} | settings

    def begin(self) -> None:
        """Open a transaction, with a new producer where the last one was thrown away."""
        self._open()
        with self._watched("beginning a transaction"):
            self._producer.begin_transaction()
        self._is_open = True
        self._began = time.monotonic()

    def send(self, records: Sequence[ProducerRecord]) -> None:
        """Hand them to the client, which sends on a thread of its own."""
        self._open()
        compressed = self._producer.config["compression_type"] is not None
        refuse_too_large(
            records, self._producer.config["max_request_size"], None if compressed else self._largest_record
        )
        narrow = self._portions.narrow(records)
        take, keep = self._producer.send, self._sent.append
        self._outgoing += records
        with self._watched("writing"):
            for record in records:
                topic, value, key, headers = record
                if narrow and topic in narrow:
                    self._make_room(record, narrow[topic])
                keep(take(topic, value, key, list(headers)))

    def append(self, records: Sequence[ProducerRecord]) -> list[tuple[Partition, int]]:
        """The client's own futures tell where."""
        self.send(records)
        sent = self._sent
        self.flush()
        told = [future.value for future in sent]
        return [(Partition(each.topic, each.partition), each.offset) for each in told]

    def write_empty(self, partitions: Collection[Partition]) -> None:
        """An empty record to each."""
        with self._watched("writing"):
            for topic, number in partitions:
                self._sent.append(self._producer.send(topic, b"", partition=number))
                self._outgoing.append(ProducerRecord(topic, b""))
        self.flush()

    def flush(self) -> None:
        """Wait for the answers to all that was sent, and raise the first that is a refusal."""
        if self._producer is None:
            raise TransportError("nothing was kept of what was sent before the last error", retriable=True)
        self._await_answers()
        self._forget()

    def add_offsets(self, offsets: PartitionOffsets, group_metadata: object) -> None:
        """With the member's generation, so that the broker refuses offsets of a membership that was lost (KIP-447)."""
        if group_metadata is None:
            raise AssignmentLostError("the membership in the group is lost: its offsets cannot be committed any more")
        added = {TopicPartition(*partition): OffsetAndMetadata(offset, "", -1) for partition, offset in offsets.items()}
        with self._watched("adding offsets to a transaction"):
            self._producer.send_offsets_to_transaction(added, group_metadata)

    def commit(self) -> None:
        """Flush and commit. After a retriable error nobody knows which: `abort` settles it, and positions tell."""
        self.flush()
        with self._watched("committing a transaction"):
            self._producer.commit_transaction()
        self._is_open = False

    def abort(self) -> None:
        """Abort, if need be by making the producer anew; where the broker is away, `begin` does that."""
        if self._producer is not None and not self._is_broken and self._is_open:
            try:
                with self._watched("aborting a transaction"):
                    self._producer.abort_transaction()
            except FencedError:
                raise
            except TransportError:
                self._is_broken = True
        self._is_open = False
        self._forget()
        if self._is_broken:
            self._throw_away()
            with contextlib.suppress(TransportError):
                self._open()

    def close(self) -> None:
        """Abort what is open, and let go. May be called twice, also while another thread waits for a start or commits.

        A transaction that is being committed is left to that: the client takes no second word on it. If it comes to
        nothing, the next writer of its id ends it, or the broker when its time is over.
        """
        self._is_closed = True
        try:
            if self._is_open and not self._is_broken and self._in_call.acquire(blocking=False):
                try:
                    with self._watched("aborting a transaction"):
                        self._producer.abort_transaction()
                finally:
                    self._in_call.release()
        finally:
            self._is_open = False
            self._throw_away(_CLOSING_S)
            starting = self._starting
            if starting is not None:
                starting.close(timeout=0)

    def _open(self) -> None:
        if self._producer is not None and not (self._is_broken and not self._is_open):
            return
        self._throw_away()
        producer = self._starting = self._connect(BoundedProducer)
        try:
            if self._is_closed:
                raise TransportError("the writer was closed before it had its turn", retriable=True)
            if producer.config["transactional_id"] is not None:
                with self._errors.during(f"the transactional id {producer.config['transactional_id']!r}"):
                    producer.init_transactions()
        except StreamRecError:
            producer.close(timeout=0)
            raise
        finally:
            self._starting = None
        self._producer = producer
        self._portions = Portions(producer.config["batch_size"], self._largest_record)

    def _await_answers(self) -> None:
        with self._watched("writing"):
            self._producer.flush(timeout=self._producer.config["delivery_timeout_ms"] / 1000 + _CLOSING_S)
            self._refuse_if_closed()
            for place in range(self._n_arrived, len(self._sent)):
                if not self._sent[place].succeeded():
                    raise self._refusal(self._sent[place].exception, place, self._outgoing[place])
        self._n_arrived = len(self._sent)
        self._portions.arrived()

    def _make_room(self, record: ProducerRecord, most: int) -> None:
        """Before *record* is handed over: of its topic, no more than *most* may be under way."""
        if not self._portions.take(record, most):
            self._await_answers()
            self._portions.take(record, most)

    def _forget(self) -> None:
        """What has arrived, or is not to arrive any more."""
        self._sent, self._outgoing, self._n_arrived = [], [], 0
        self._portions.arrived()

    def _throw_away(self, timeout_s: float = 0) -> None:
        producer, self._producer, self._is_broken = self._producer, None, False
        self._forget()
        if producer is not None:
            with contextlib.suppress(theirs.KafkaError):
                producer.close(timeout=timeout_s)

    @contextlib.contextmanager
    def _watched(self, what: str) -> Untyped:
        """Translate errors, by their cause where the client only says that there was one; remember what breaks it.

        Meanwhile `close` leaves it alone, but for throwing it away.
        """
        with self._in_call:
            self._refuse_if_closed()
            producer = self._producer
            try:
                yield
            except StreamRecError as error:
                raise self._met(error, producer) from None
            except (theirs.KafkaError, ValueError, RuntimeError, OSError) as error:
                cause = producer.trouble
                translated = self._errors.translated(cause or error, what)
                if type(cause) is theirs.KafkaError:
                    # What it says of any error that it has no name for, such as no answer in time: a new one may do.
                    translated = TransportError(translated.message, retriable=True)
                raise self._met(translated, producer) from None

    def _refuse_if_closed(self) -> None:
        """Whoever closes it throws away what had not arrived, and with it what the client would tell of that."""
        if self._producer is None:
            raise TransportError("writing: the writer was closed", retriable=True)

    def _met(self, error: StreamRecError, producer: Untyped) -> StreamRecError:
        """What to raise for *error*, after which only a lost seat leaves the *producer* as good as it was.

        A transaction that took too long is ended by the broker, with the words that it has for a newer writer.
        """
        self._is_broken = self._is_broken or not isinstance(error, AssignmentLostError)
        took = time.monotonic() - self._began
        limit = producer.config["transaction_timeout_ms"] / 1000
        if not (self._is_open and isinstance(error, FencedError) and took > limit):
            return error
        message = f"the transaction took more than {limit:g} s (kafka.transaction.timeout.ms), and was aborted"
        return TransportError(message, retriable=True)

    def _refusal(self, error: BaseException | None, place: int, record: ProducerRecord) -> StreamRecError:
        if isinstance(error, theirs.MessageSizeTooLargeError | theirs.RecordListTooLargeError):
            limit = self._largest_record(record.topic)
            message = f"the broker refuses a record of {record_bytes(record)} bytes for {record.topic!r}: {error}"
            return RecordTooLargeError(message, place=place, size=record_bytes(record), limit=limit)
        if error is None:
            return TransportError("writing: not all has arrived in time", retriable=True)
        if isinstance(error, theirs.TransactionAbortedError) and self._producer.trouble is not None:
            error = self._producer.trouble  # of which this record only was a victim
        return self._errors.translated(error, "writing")
