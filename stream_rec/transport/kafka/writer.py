"""What the writers of both Kafka clients share: transactions, closing, and which errors end a producer.

Knows no client: a subclass makes producers, calls them, and translates their errors. After a `commit` that failed, the
outcome is unknown: see `Writer.commit`.
"""

import contextlib
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterator, Sequence
from typing import ClassVar

from stream_rec.errors import AssignmentLostError, FencedError, StreamRecError, TransportError
from stream_rec.transport.broker import Partition, PartitionOffsets, ProducerRecord
from stream_rec.transport.kafka.batch_limits import BatchLimits
from stream_rec.transport.kafka.record_size import refuse_too_large
from stream_rec.transport.kafka.refusals import FencedMemberError
from stream_rec.transport.kafka.transaction import ProducerTransaction, TransactionState
from stream_rec.transport.kafka.untyped import Untyped
from stream_rec.transport.timeouts import TransportTimeouts

__all__ = ["KafkaWriter"]


class KafkaWriter(ABC):
    """See `Writer`. *largest_record* returns how many bytes a topic accepts at a time."""

    _client_errors: ClassVar[tuple[type[BaseException], ...]]
    """What a call of the producer raises."""

    def __init__(
        self, largest_record: Callable[[str], int], batch_bytes: int, max_bytes: int, timeouts: TransportTimeouts
    ) -> None:
        self._largest_record = largest_record
        self._timeouts = timeouts
        self._max_bytes = max_bytes
        self._batch_limits = BatchLimits(batch_bytes, largest_record)
        self._transaction = ProducerTransaction()
        self._producer: Untyped = None
        self._in_call = threading.RLock()
        """Held by the thread that is inside a call of the producer."""
        self._is_closing = False

    # --- the protocol

    def begin(self) -> None:
        """Open a transaction, with a new producer where the last one was discarded."""
        self._ensure_producer()
        with self._calling("beginning a transaction"):
            self._producer.begin_transaction()
            self._transaction.begun()

    def write_empty(self, partitions: Collection[tuple[str, int]]) -> None:
        """An empty record to each."""
        with self._calling("writing"):
            for topic, number in partitions:
                self._send_empty(topic, number)
        self.flush()

    def flush(self) -> None:
        """Wait for the answers to all that was sent, and raise the first refusal."""
        if self._producer is None:
            raise TransportError("what was sent before the last error was dropped", retriable=True)
        self._await_answers()
        self._forget_sent()

    def add_offsets(self, offsets: PartitionOffsets, group_metadata: object, note: str = "") -> None:
        """With the member's generation, so that the broker refuses offsets of a lost membership (KIP-447)."""
        if group_metadata is None:
            raise AssignmentLostError("the membership in the group is lost: its offsets cannot be committed any more")
        with self._calling("adding offsets to a transaction"):
            self._send_offsets(offsets, group_metadata, note)

    def commit(self) -> None:
        """Flush and commit. After a retriable error the outcome is unknown: see `Writer.commit`."""
        self.flush()
        with self._calling("committing a transaction"):
            self._commit_transaction()
            self._transaction.ended()

    def abort(self) -> None:
        """Abort, if need be with a new producer; where the broker is away, `begin` starts that."""
        if self._transaction.state is TransactionState.OPEN:
            try:
                with self._calling("aborting a transaction"):
                    self._abort_transaction()
                    self._transaction.ended()
            except FencedError:
                raise
            except TransportError:
                self._transaction.failed()
        self._transaction.ended()
        self._forget_sent()
        if self._transaction.state is TransactionState.BROKEN:
            self._discard_producer()
            with contextlib.suppress(TransportError):
                self._ensure_producer()

    def close(self) -> None:
        """Abort an open transaction, and end the producer.

        May be called twice, also while another thread waits for a producer to start, or commits. A transaction that is
        being committed is left to that: the client accepts no second order. If the commit fails, the next writer of the
        same id ends the transaction, or the broker after its timeout.
        """
        self._is_closing = True
        try:
            if self._in_call.acquire(blocking=False):
                try:
                    if self._transaction.state is TransactionState.OPEN:
                        with self._calling("aborting a transaction"):
                            self._abort_transaction()
                finally:
                    self._in_call.release()
        finally:
            self._transaction.closed()
            self._discard_producer(self._timeouts.close_s)
            self._stop_starting()

    @abstractmethod
    def send(self, records: Sequence[ProducerRecord]) -> None:
        """See `Writer`."""

    @abstractmethod
    def append(self, records: Sequence[ProducerRecord]) -> list[tuple[Partition, int]]:
        """See `Writer`."""

    # --- for subclasses

    @abstractmethod
    def _start_producer(self) -> None:
        """Make a producer, wait until the transactional id is its own, and set `_producer`.

        Raises TransportError, retriable, once `_is_closing` is set.
        """

    @abstractmethod
    def _stop_starting(self) -> None:
        """End a producer that is still starting."""

    @abstractmethod
    def _end_producer(self, producer: Untyped, timeout_s: float) -> None:
        """End a *producer* that is not used any more, without an error."""

    @abstractmethod
    def _await_answers(self) -> None:
        """Wait for the answers to all that was sent, and raise the first refusal."""

    @abstractmethod
    def _forget_sent(self) -> None:
        """Forget what has arrived, or will not arrive any more."""

    @abstractmethod
    def _send_empty(self, topic: str, number: int) -> None:
        """Send an empty record to one partition."""

    @abstractmethod
    def _send_offsets(self, offsets: PartitionOffsets, group_metadata: object, note: str) -> None:
        """Add *offsets* to the transaction, each with the *note*."""

    @abstractmethod
    def _commit_transaction(self) -> None:
        """Commit, and wait for the answer."""

    @abstractmethod
    def _abort_transaction(self) -> None:
        """Abort, and wait for the answer."""

    @abstractmethod
    def _translated(self, error: BaseException, what: str) -> StreamRecError:
        """A client's *error*, which came up while *what*, as one of ours."""

    @property
    @abstractmethod
    def _transaction_limit_s(self) -> float:
        """How long a transaction may be open, before the broker aborts it."""

    @property
    @abstractmethod
    def _is_compressed(self) -> bool:
        """Whether the producer compresses, so that only the broker knows whether a topic accepts a record."""

    def _ensure_producer(self) -> None:
        if self._transaction.has_producer:
            return
        self._discard_producer()
        self._start_producer()
        self._transaction.started()
        if self._transaction.state is TransactionState.CLOSED:  # it was closed just after the start
            self._discard_producer()
            raise self._closed_before_start()

    @staticmethod
    def _closed_before_start() -> TransportError:
        return TransportError("the writer was closed before its producer had started", retriable=True)

    def _discard_producer(self, timeout_s: float = 0.0) -> None:
        self._transaction.discarded()
        producer, self._producer = self._producer, None
        self._forget_sent()
        if producer is not None:
            self._end_producer(producer, timeout_s)

    def _refuse_too_large(self, records: Sequence[ProducerRecord]) -> None:
        refuse_too_large(records, self._max_bytes, None if self._is_compressed else self._largest_record)

    def _make_room(self, record: ProducerRecord, most: int) -> None:
        """Before *record* is sent: of its topic, no more than *most* bytes may be under way."""
        if not self._batch_limits.count(record, most):
            self._await_answers()
            self._batch_limits.count(record, most)

    @contextlib.contextmanager
    def _calling(self, what: str) -> Iterator[None]:
        """Translate errors of a call of the producer, and remember those that break it.

        Meanwhile `close` does not call the producer, but it may discard it.
        """
        with self._in_call:
            self._refuse_if_closed()
            try:
                yield
            except StreamRecError as error:
                raise self._failed(error) from None
            except self._client_errors as error:
                raise self._failed(self._translated(error, what)) from None

    def _refuse_if_closed(self) -> None:
        """`close` drops what has not arrived, and with it the client's report on that: silence is not success."""
        if self._producer is None:
            raise TransportError("writing: the writer was closed", retriable=True)

    def _failed(self, error: StreamRecError) -> StreamRecError:
        """What to raise for *error*, after which only a lost membership leaves the producer as good as it was.

        A broker aborts a transaction that takes too long, and then answers as if there were a newer writer.
        """
        if isinstance(error, FencedMemberError):
            # A static member that was frozen beyond its session timeout has joined again, and the offsets are of before
            # that. Another process of the name would have fenced this producer.
            return AssignmentLostError(error.message)
        if not isinstance(error, AssignmentLostError):
            self._transaction.failed()
        limit_s = self._transaction_limit_s
        if not (self._transaction.is_open and isinstance(error, FencedError) and self._transaction.age_s > limit_s):
            return error
        message = f"the transaction took more than {limit_s:g} s (kafka.transaction.timeout.ms), and was aborted"
        return TransportError(message, retriable=True)
