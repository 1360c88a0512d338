"""Writing with confluent-kafka: an idempotent producer, or a transactional one that is replaced when beyond saving.

librdkafka tells of each record that did not arrive; in a transaction it also makes the commit fail. A producer that has
met an error may be stuck in it: then it is thrown away, and the next one of the same transactional id makes the broker
abort what was left open. Who commits in vain never knows whether it was: see `commit`.

A producer that is still asking for its turn raises the epoch of its transactional id when it gets it, and so fences the
one that was made after it. So none is left behind while it asks: the same one asks until it is answered or closed.
"""

import contextlib
import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from functools import partial
from typing import Final

from confluent_kafka import KafkaError, KafkaException, Message, TopicPartition

from stream_rec.errors import (
    AssignmentLostError,
    FencedError,
    RecordTooLargeError,
    StreamRecError,
    TransportError,
)
from stream_rec.transport.broker import Partition, PartitionOffsets, ProducerRecord
from stream_rec.transport.kafka.batch_limits import Portions
from stream_rec.transport.kafka.confluent.errors import CLIENT_ERRORS, LibrdkafkaErrors, Trouble, Untyped
from stream_rec.transport.kafka.record_size import record_bytes, refuse_too_large

__all__ = ["ConfluentWriter"]

_TIMEOUT_S: Final = 10.0
_ROOM_S: Final = 0.05
_CLOSING_S: Final = 1.0
_ASK_S: Final = 0.25
"""Of a start, the time between two looks at whether it is still wanted."""
_TOO_LARGE: Final = frozenset({KafkaError.MSG_SIZE_TOO_LARGE, KafkaError.RECORD_LIST_TOO_LARGE})
_DEFAULTS: Final = {
    "message.max.bytes": 1 << 20,
    "batch.size": 1_000_000,
    "message.timeout.ms": 10_000,
    "queue.buffering.max.messages": 1_000_000,
    # A transaction that follows another one at once is told to ask again, while the broker still writes the last one's
    # markers, which takes it a few milliseconds. Where nobody answers, the client waits longer each time.
    "retry.backoff.ms": 5,
}
_OURS: Final = {
    "enable.idempotence": True,
    "partitioner": "murmur2_random",
}


class ConfluentWriter:
    """See `Writer`. *make* makes a producer of settings; *given* are the operator's own."""

    def __init__(
        self,
        make: Callable[[Mapping[str, object], Trouble], Untyped],
        transactional_id: str | None,
        given: Mapping[str, str],
        largest_record: Callable[[str], int],
        errors: LibrdkafkaErrors,
    ) -> None:
        self._make = make
        self._transactional_id = transactional_id
        self._largest_record = largest_record
        self._errors = errors
        self._trouble = Trouble()
        self._max_bytes = int(given.get("message.max.bytes", _DEFAULTS["message.max.bytes"]))
        batch_bytes = min(self._max_bytes, int(given.get("batch.size", _DEFAULTS["batch.size"])))
        self._portions = Portions(batch_bytes, largest_record)
        self._is_compressed = (given.get("compression.type") or given.get("compression.codec") or "none") != "none"
        self._longest_s = float(given.get("transaction.timeout.ms", _TIMEOUT_S * 1000)) / 1000
        """Of a transaction; a call of the client is given no more than `_patience_s` of it."""
        self._patience_s = min(self._longest_s, _TIMEOUT_S)
        self._failures: list[tuple[KafkaError, Message]] = []
        self._sent: Sequence[ProducerRecord] = ()
        """What the last call was to send, of which the outcome is still open: an error names a place in it."""
        self._producer: Untyped = None
        self._starting: Untyped = None
        """A producer whose start has not been answered yet. No other name may hold it: it ends with its last one, and
        the frames of an error that is kept somewhere would keep it at work."""
        self._start = threading.Lock()
        self._in_call = threading.RLock()
        """Held by whoever is inside a call of the producer."""
        self._is_closed = False
        self._is_open = False
        """Whether a transaction is."""
        self._began = 0.0
        self._is_broken = False
        self._tells_of_each = False
        """One call back for each record that has arrived would cost as much as sending it."""
        try:
            self._open()
        except StreamRecError:
            self.close()
            raise

    def begin(self) -> None:
        """Open a transaction, with a new producer where the last one was thrown away."""
        self._open()
        with self._watched("beginning a transaction"):
            self._producer.begin_transaction()
        self._is_open = True
        self._began = time.monotonic()

    def send(self, records: Sequence[ProducerRecord]) -> None:
        """Hand them to the client, which sends on threads of its own; wait where it has no room for more."""
        self._open()
        refuse_too_large(records, self._max_bytes, None if self._is_compressed else self._largest_record)
        narrow, self._sent = self._portions.narrow(records), records
        take = self._producer.produce
        with self._watched("writing"):
            for record in records:
                topic, value, key, headers = record
                if narrow and topic in narrow:
                    self._make_room(record, narrow[topic])
                try:
                    if headers:
                        take(topic, value, key, headers=list(headers))
                    else:
                        take(topic, value, key)
                except BufferError:
                    self._send_when_there_is_room(record)

    def append(self, records: Sequence[ProducerRecord]) -> list[tuple[Partition, int]]:
        """With a producer that tells of each record: it is made anew at the first call."""
        if not self._tells_of_each:
            self._tells_of_each = True
            self._throw_away()
        self._open()
        refuse_too_large(records, self._max_bytes, None if self._is_compressed else self._largest_record)
        narrow, self._sent = self._portions.narrow(records), records
        places: dict[int, tuple[Partition, int]] = {}

        def told(number: int, error: KafkaError | None, message: Message) -> None:
            self._told(error, message)
            if error is None:
                places[number] = Partition(message.topic(), message.partition()), message.offset()

        with self._watched("writing"):
            for number, record in enumerate(records):
                topic, value, key, headers = record
                if topic in narrow:
                    self._make_room(record, narrow[topic])
                self._producer.produce(topic, value, key, headers=list(headers), on_delivery=partial(told, number))
        self.flush()
        return [places[number] for number in range(len(records))]

    def write_empty(self, partitions: Collection[Partition]) -> None:
        """An empty record to each."""
        with self._watched("writing"):
            for topic, number in partitions:
                self._producer.produce(topic, b"", partition=number)
        self.flush()

    def flush(self) -> None:
        """Wait for the answers to all that was sent, and raise the first that is a refusal."""
        if self._producer is None:
            raise TransportError("nothing was kept of what was sent before the last error", retriable=True)
        self._await_answers()
        self._sent = ()

    def add_offsets(self, offsets: PartitionOffsets, group_metadata: object) -> None:
        """With the member's generation, so that the broker refuses offsets of a membership that was lost (KIP-447)."""
        if group_metadata is None:
            raise AssignmentLostError("the membership in the group is lost: its offsets cannot be committed any more")
        added = [TopicPartition(*partition, offset) for partition, offset in offsets.items()]
        with self._watched("adding offsets to a transaction"):
            self._producer.send_offsets_to_transaction(added, group_metadata, self._patience_s)

    def commit(self) -> None:
        """Flush and commit. After a retriable error nobody knows which: `abort` settles it, and positions tell."""
        self.flush()
        with self._watched("committing a transaction"):
            self._producer.commit_transaction(self._patience_s)
        self._trouble.is_over()
        self._is_open = False

    def abort(self) -> None:
        """Abort, if need be by making the producer anew; where the broker is away, `begin` does that."""
        if self._producer is not None and not self._is_broken and self._is_open:
            try:
                with self._watched("aborting a transaction"):
                    self._producer.abort_transaction(self._patience_s)
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
                        self._producer.abort_transaction(self._patience_s)
                finally:
                    self._in_call.release()
        finally:
            self._is_open = False
            self._throw_away()
            with self._start:
                self._starting = None

    def _open(self) -> None:
        if self._producer is not None and not (self._is_broken and not self._is_open):
            return
        self._throw_away()
        with self._start:
            if self._starting is None and not self._is_closed:
                self._starting = self._made()
            try:
                self._await_turn()
            except StreamRecError as error:
                if not (isinstance(error, TransportError) and error.retriable):
                    self._starting = None
                raise
            self._producer, self._starting = self._starting, None

    def _made(self) -> Untyped:
        ours = _DEFAULTS | _OURS | {"on_delivery": self._told, "delivery.report.only.error": not self._tells_of_each}
        if self._transactional_id is not None:
            timeout = {"transaction.timeout.ms": int(_TIMEOUT_S * 1000)}
            ours |= {"transactional.id": self._transactional_id, **timeout}
        self._trouble = Trouble()
        return self._make(ours, self._trouble)

    def _await_turn(self) -> None:
        """Until the transactional id is the starting producer's. Where it takes too long, the next call goes on."""
        until = time.monotonic() + self._patience_s
        what = f"the transactional id {self._transactional_id!r}"
        with self._errors.during(what, self._trouble):
            while not self._is_closed:
                try:
                    if self._transactional_id is not None:
                        self._starting.init_transactions(_ASK_S)
                        self._trouble.is_over()
                except KafkaException as error:
                    if not error.args[0].retriable() or time.monotonic() > until:
                        raise
                else:
                    return
        raise TransportError(f"{what}: the writer was closed before it had its turn", retriable=True)

    def _await_answers(self) -> None:
        with self._watched("writing"):
            left = self._producer.flush(self._patience_s + _CLOSING_S)
            self._refuse_if_closed()
            failures, self._failures = self._failures, []
            if failures:
                raise self._refusal(failures)
            if left:
                raise self._late("writing")
        self._portions.arrived()
        if self._sent:
            self._trouble.is_over()

    def _make_room(self, record: ProducerRecord, most: int) -> None:
        """Before *record* is handed over: of its topic, no more than *most* may be under way."""
        if not self._portions.take(record, most):
            self._await_answers()
            self._portions.take(record, most)

    def _throw_away(self) -> None:
        producer, self._producer, self._is_broken = self._producer, None, False
        self._forget()
        if producer is not None:
            # One that was fenced says so once more, to whatever it is asked, and may confuse the interpreter by it.
            with contextlib.suppress(KafkaException, SystemError):
                producer.purge()
                producer.flush(_CLOSING_S)
            self._forget()

    def _forget(self) -> None:
        """What is not to arrive any more."""
        self._failures, self._sent = [], ()
        self._portions.arrived()

    def _told(self, error: KafkaError | None, message: Message) -> None:
        if error is not None:
            self._failures.append((error, message))

    def _send_when_there_is_room(self, record: ProducerRecord) -> None:
        until = time.monotonic() + self._patience_s
        while time.monotonic() < until:
            self._producer.poll(_ROOM_S)
            with contextlib.suppress(BufferError):
                self._producer.produce(record.topic, record.value, record.key, headers=list(record.headers))
                return
        raise self._late("writing")

    @contextlib.contextmanager
    def _watched(self, what: str) -> Iterator[None]:
        """Translate errors, and remember what breaks the producer. Meanwhile `close` leaves it alone."""
        with self._in_call:
            self._refuse_if_closed()
            try:
                yield
            except StreamRecError as error:
                raise self._met(error) from None
            except SystemError as error:
                raise self._met(self._errors.translated(self._fatal(error), what, self._trouble)) from None
            except CLIENT_ERRORS as error:
                raise self._met(self._errors.translated(error, what, self._trouble)) from None

    def _refuse_if_closed(self) -> None:
        """Whoever closes it throws away what had not arrived, and with it what the client would tell of that."""
        if self._producer is None:
            raise TransportError("writing: the writer was closed", retriable=True)

    def _fatal(self, error: SystemError) -> BaseException:
        """A fatal error out of a call that called us back gets lost on the way; the next call tells it again."""
        try:
            self._producer.begin_transaction()
        except KafkaException as told:
            again: BaseException = told
            return again
        return error

    def _met(self, error: StreamRecError) -> StreamRecError:
        """What to raise for *error*, after which only a lost seat leaves the producer as good as it was.

        A transaction that took too long is ended by the broker, with the words that it has for a newer writer.
        """
        self._is_broken = self._is_broken or not isinstance(error, AssignmentLostError)
        took = time.monotonic() - self._began
        if not (self._is_open and isinstance(error, FencedError) and took > self._longest_s):
            return error
        message = (
            f"the transaction took more than {self._longest_s:g} s (kafka.transaction.timeout.ms), and was aborted"
        )
        return TransportError(message, retriable=True)

    def _refusal(self, failures: Sequence[tuple[KafkaError, Message]]) -> StreamRecError:
        """What to raise for *failures*. One that is too large is told first: the others may be victims of it."""
        too_large = [each for each in failures if each[0].code() in _TOO_LARGE]
        if not too_large:
            return self._errors.translated(failures[0][0], "writing", self._trouble)
        error, topic = too_large[0][0], too_large[0][1].topic() or ""
        sizes = self._sizes_of([message for _, message in too_large if message.topic() == topic])
        if not sizes:
            return TransportError(f"the broker refuses what was written to {topic!r} before: {error.str()}")
        if self._portions.refused(topic, sizes.values()):
            text = f"the broker refuses {len(sizes)} records for {topic!r} in one batch: {error.str()}"
            return TransportError(f"{text}; going on with fewer at a time", retriable=True)
        place = max(sizes, key=sizes.__getitem__)
        text = f"the broker refuses a record of {sizes[place]} bytes for {topic!r}: {error.str()}"
        return RecordTooLargeError(text, place=place, size=sizes[place], limit=self._largest_record(topic))

    def _sizes_of(self, messages: Sequence[Message]) -> dict[int, int]:
        """By their places in what was sent, the sizes of *messages*, which the client hands back without a number."""
        refused = {(message.topic(), message.value() or b"", message.key() or b"") for message in messages}
        return {
            place: record_bytes(record)
            for place, record in enumerate(self._sent)
            if (record.topic, record.value or b"", record.key or b"") in refused
        }

    def _late(self, what: str) -> StreamRecError:
        if self._trouble.connection is not None:
            return self._errors.translated(self._trouble.connection, what)
        return TransportError(f"{what}: not all has arrived in time", retriable=True)
