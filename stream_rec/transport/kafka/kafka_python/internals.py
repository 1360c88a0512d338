"""What stream-rec needs of kafka-python beyond its public calls, in one place; tested with 3.0.12.

- The addresses that brokers advertise.
- Close a client that could not be opened, and every socket of a client.
- Wait on the client's own loop: a rebalance listener must, so that heartbeats go on.
- Know topics before joining a group for them, and how far a consumer is.
- End calls of a transaction in time: the public ones wait for the broker for ever.
- Work around defects: of pausing; of leaders, which give up a rebalance that new partitions began, where a poll ends
  in the middle of it; of static members, which do not report that they were fenced; of connections, which
  close before all was read; of producers, which do not end amid a batch, take a split batch for a failed one, and
  refuse records with neither key nor value; of batches, which are no longer read after a header's name that is not
  UTF-8.

The contract tests run all of it against a real broker, so a version that changes one of these fails there. Scripts in
`findings/` (`kafka_python_*.sh`) show the defects without stream-rec.
"""

import math
import selectors
import time
import weakref
from collections.abc import Awaitable, Collection, Mapping
from typing import Any, Final

import kafka.errors as theirs
from kafka import KafkaProducer
from kafka.net.compat import KafkaNetClient
from kafka.net.inet import KafkaNetSocket
from kafka.net.transport import KafkaSSLTransport, KafkaTCPTransport
from kafka.record.default_records import DefaultRecordBatch
from kafka.serializer import Serializer

from stream_rec.transport.kafka.untyped import Untyped
from stream_rec.transport.timeouts import TransportTimeouts

__all__ = [
    "BoundedProducer",
    "advertised",
    "fetch_position",
    "free_the_slot",
    "insist_on_joining",
    "is_fenced",
    "know_topics",
    "opened",
    "pause_on_loop",
]


class _ClosingSelector(selectors.DefaultSelector):
    """Closes, when the client closes it, every socket that the client has waited for.

    A client whose loop ends while it connects, or while it still writes, forgets these sockets.
    """

    def __init__(self) -> None:
        super().__init__()
        self._sockets: weakref.WeakSet[Any] = weakref.WeakSet()

    def register(self, fileobj: Untyped, events: int, data: Untyped = None) -> selectors.SelectorKey:
        self._sockets.add(fileobj)
        return super().register(fileobj, events, data)

    def close(self) -> None:
        super().close()
        for each in list(self._sockets):
            each.close()


def advertised(admin: Untyped) -> list[tuple[str, int]]:
    """The addresses at which the brokers say that they are to be reached, as of *admin*'s first answer."""
    return [(each.host, each.port) for each in admin._client.cluster.brokers()]  # noqa: SLF001


def opened(make: Untyped, settings: Mapping[str, Any]) -> Untyped:
    """A client made with *settings*.

    Its constructor waits for the broker, and where that fails leaves a thread and sockets open: so the object that owns
    both is made here, and closed.
    """
    kept: list[Untyped] = []

    def keep(**inner: Untyped) -> Untyped:
        kept.append(KafkaNetClient(**inner | {"selector": _ClosingSelector}))
        return kept[-1]

    try:
        return make(kafka_client=keep, **settings)
    except BaseException:
        for network in kept:
            network.close()
        raise


def _close_unconnected(factory: type) -> None:
    """Have *factory* close the socket of a connection that is refused, comes too late, or is given up."""
    connect = factory.sock_connect  # type: ignore[attr-defined]

    async def sock_connect(self: Untyped, net: Untyped, sock: Untyped, *rest: Untyped, **named: Untyped) -> Untyped:
        try:
            return await connect(self, net, sock, *rest, **named)
        except BaseException:
            sock.close()
            raise

    factory.sock_connect = sock_connect  # type: ignore[attr-defined]


def _close_after_a_failed_handshake(transport: type) -> None:
    """Have *transport* close the socket where TLS could not be agreed on."""
    shake_hands = transport.handshake  # type: ignore[attr-defined]

    async def handshake(self: Untyped) -> None:
        try:
            await shake_hands(self)
        except BaseException:
            self.abort()
            raise

    transport.handshake = handshake  # type: ignore[attr-defined]


_close_unconnected(KafkaNetSocket)
_close_after_a_failed_handshake(KafkaSSLTransport)


def _hear_out(transport: type) -> None:
    """Have *transport* return what was read before it reports that the connection has ended.

    It drops what came together with the end. That is how a broker says that a password is wrong: so a wrong password
    looked like a broker that is away, sometimes or always, depending on how quick the broker is.
    """
    receive = transport._sock_recv  # type: ignore[attr-defined]  # noqa: SLF001

    def _sock_recv(self: Untyped) -> tuple[bytes, BaseException | None]:
        data, error = receive(self)
        # The next read reports the end again.
        return (data, None) if data else (data, error)

    transport._sock_recv = _sock_recv  # type: ignore[attr-defined]  # noqa: SLF001


for _transport in (KafkaTCPTransport, KafkaSSLTransport):
    _hear_out(_transport)


class _OddNames(bytearray):
    """A batch of records in which names of headers are not UTF-8."""

    def __getitem__(self, where: Untyped) -> Untyped:
        found: Untyped = super().__getitem__(where)
        return found if isinstance(found, int) else _OddName(found)


class _OddName(bytearray):
    """A slice of it, whose text has a backslash and two digits in place of such a byte."""

    def decode(self, *_: object, **__: object) -> str:
        return super().decode("utf-8", "backslashreplace")


def _read_odd_names(batch: type) -> None:
    """Have *batch* read headers with names that are not UTF-8, as producers in other languages can write them.

    It takes the whole batch for corrupt, at each poll again: one such record would end every reader of the partition.
    """
    read = batch._read_msg  # type: ignore[attr-defined]  # noqa: SLF001

    def _read_msg(self: Untyped) -> Untyped:
        begin = self._pos
        try:
            return read(self)
        except UnicodeDecodeError:
            self._pos, self._buffer = begin, _OddNames(self._buffer)
            return read(self)

    batch._read_msg = _read_msg  # type: ignore[attr-defined]  # noqa: SLF001


_read_odd_names(DefaultRecordBatch)


def pause_on_loop(consumer: Untyped, seconds: float) -> Awaitable[None]:
    """For a coroutine on the loop of *consumer*: sleep."""
    pause: Awaitable[None] = consumer._net.sleep(seconds)  # noqa: SLF001
    return pause


def insist_on_joining(consumer: Untyped) -> None:
    """Have *consumer* finish the rebalance that has begun, however many polls it takes.

    A leader that joins again since a topic has more partitions remembers them while it assigns them. If its poll ends
    before the group has taken that in, the next poll finds nothing new, and the member stays without an assignment and
    without heartbeats, for ever.
    """
    consumer._coordinator.request_rejoin()  # noqa: SLF001


def is_fenced(consumer: Untyped) -> bool:
    """Whether another member has the static name of *consumer*: the client then only stops its heartbeats.

    It is also true for an instant around each rebalance, so it counts only several times in a row.
    """
    coordinator = consumer._coordinator  # noqa: SLF001
    return coordinator.stable() and not (coordinator.rejoining or coordinator._heartbeat_enabled)  # noqa: SLF001


def fetch_position(consumer: Untyped, partition: Untyped) -> int | None:
    """The offset after what *consumer* has returned of *partition*, or passed, without asking any broker.

    The public `position` may start requests, and is for a consumer that has nothing else to do.
    """
    state = consumer._subscription.assignment.get(partition)  # noqa: SLF001
    return None if state is None or state.position is None else int(state.position.offset)


def free_the_slot(consumer: Untyped) -> None:
    """Let records that were fetched before a pause be returned after it.

    They are parked, and wait until the slot of the records that are returned now is None; but once used, the slot keeps
    drained records for ever, and a partition with parked records is not fetched either. Call it before each poll.
    """
    fetcher = consumer._fetcher  # noqa: SLF001
    if fetcher._paused_partition_records and not fetcher._next_partition_records:  # noqa: SLF001
        fetcher._next_partition_records = None  # noqa: SLF001


def know_topics(consumer: Untyped, topics: Collection[str], timeouts: TransportTimeouts) -> None:
    """Return when *consumer*, which has subscribed to *topics*, knows their partitions. Raises KafkaTimeoutError.

    It asks for them when it subscribes, but in vain if another request is under way: then it would not know them for
    minutes, and as the leader of a group assign no partition to any member.
    """
    cluster = consumer._cluster  # noqa: SLF001
    until = time.monotonic() + timeouts.answer_s
    while any(cluster.partitions_for_topic(topic) is None for topic in topics):
        if time.monotonic() > until:
            raise theirs.KafkaTimeoutError(f"no answer about {', '.join(topics)} within {timeouts.answer_s:.0f} s")
        cluster.request_update()
        time.sleep(timeouts.topic_poll_s)


_ABSENT: Final = object()
"""In place of no value, which the client would refuse before it serialises."""


class _NoneIfAbsent(Serializer):  # type: ignore[misc]  # kafka-python has no types
    def serialize(self, _topic: object, _headers: object, data: Untyped) -> Untyped:
        return None if data is _ABSENT else data


class BoundedProducer(KafkaProducer):  # type: ignore[misc]  # kafka-python has no types
    """A transactional producer whose calls raise KafkaTimeoutError after `max_block_ms`: KafkaProducer's wait for ever.

    *poll_s* is the time between two flushes while a batch is split, and between two looks at an epoch being raised.
    """

    def __init__(self, *, poll_s: float, **settings: Untyped) -> None:
        self._poll_s = poll_s
        super().__init__(value_serializer=_NoneIfAbsent(), **settings)

    def send(
        self, topic: str, value: bytes | None, key: bytes | None = None, *rest: Untyped, **named: Untyped
    ) -> Untyped:
        """Send a record. KafkaProducer refuses one with neither key nor value, which Kafka and other clients take."""
        return super().send(topic, _ABSENT if value is None else value, key, *rest, **named)

    def send_offsets_to_transaction(self, offsets: Untyped, group_metadata: Untyped) -> None:
        """Add the offsets of a group."""
        self._ended(self._transaction_manager.send_offsets_to_transaction(offsets, group_metadata))

    def commit_transaction(self) -> None:
        """Commit; after a timeout the outcome is unknown."""
        self._ended(self._transaction_manager.begin_commit())

    def abort_transaction(self) -> None:
        """Abort."""
        self._ended(self._transaction_manager.begin_abort())

    def flush(self, timeout: float | None = None) -> None:
        """Wait for all that was sent.

        KafkaProducer's flush wakes up where a batch that the broker found too large is split, and takes that for an
        unknown error. The halves are known by then, so it is called again.
        """
        until = math.inf if timeout is None else time.monotonic() + timeout
        while True:
            try:
                super().flush(None if timeout is None else max(0.0, until - time.monotonic()))
            except theirs.UnknownError:
                if time.monotonic() > until:
                    raise
                time.sleep(self._poll_s)
            else:
                return

    def close(self, timeout: float | None = None, **others: bool) -> None:
        """End its thread and connections, after *timeout* at the latest.

        KafkaProducer flushes first, and raises where that takes too long, before anything has ended: the thread would
        still write the records that were dropped, and could fence the next producer of its name.
        """
        try:
            super().close(timeout, **others)
        except theirs.KafkaTimeoutError:
            self._sender.force_close()
            self._closed = True

    @property
    def trouble(self) -> BaseException | None:
        """The error that prevents the transaction, if there is one: the calls themselves give it as text only.

        After some errors the producer asks the broker for a new epoch, and refuses calls meanwhile. The answer tells an
        error that passes from another writer of the name, so it is waited for, at most as long as for other calls.
        """
        manager = self._transaction_manager
        if manager is None:
            return None
        until = time.monotonic() + self.config["max_block_ms"] / 1000
        while manager.is_bumping_epoch() and time.monotonic() < until:
            time.sleep(self._poll_s)
        error: BaseException | None = manager.last_error
        return error

    def _ended(self, result: Untyped) -> None:
        self._sender.wakeup()
        if not result.wait(self.config["max_block_ms"]):
            raise theirs.KafkaTimeoutError(f"no answer within {self.config['max_block_ms']} ms")
