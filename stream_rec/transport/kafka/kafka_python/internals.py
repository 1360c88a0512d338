"""What stream-rec needs of kafka-python beyond its public calls, in one place; tried with 3.0.12.

To let go of a client that could not be opened; to wait on the client's own loop, which a rebalance listener must do so
that heartbeats go on; to know topics before joining a group for them; transactions whose calls end in time, since the
public ones wait for the broker for ever; and ways round a defect of pausing, of static seats, which do not tell that
they were taken, of connections, which hang up before all was heard, and of producers, which do not end amid a batch,
and take one that they have split for one that has failed.
The contract tests run all of it against a real broker, so a version that changed one of these shows there.
"""

import math
import time
from collections.abc import Awaitable, Collection, Mapping
from typing import Any, Final

import kafka.errors as theirs
from kafka import KafkaProducer
from kafka.net.compat import KafkaNetClient
from kafka.net.transport import KafkaSSLTransport, KafkaTCPTransport

__all__ = ["BoundedProducer", "Untyped", "free_the_slot", "is_fenced", "know_topics", "opened", "pause_on_loop"]

_ASK_AGAIN_S: Final = 0.05
_SPLITTING_S: Final = 0.002

Untyped = Any
"""Something of kafka-python's, which has no types."""


def opened(make: Untyped, settings: Mapping[str, Any]) -> Untyped:
    """A client made with *settings*.

    Its constructor waits for the broker, and where that fails leaves a thread and sockets to nobody: so what owns both
    is made here, and closed.
    """
    kept: list[Untyped] = []

    def keep(**inner: Untyped) -> Untyped:
        kept.append(KafkaNetClient(**inner))
        return kept[-1]

    try:
        return make(kafka_client=keep, **settings)
    except BaseException:
        for network in kept:
            network.close()
        raise


def _hear_out(transport: type) -> None:
    """Have *transport* hand over what was read before it tells that the connection has ended.

    It drops what came together with the end: that is how a broker says that a password is wrong, and so a wrong
    password looked like a broker that is away, by chance or always, as quick as the broker is.
    """
    receive = transport._sock_recv  # type: ignore[attr-defined]  # noqa: SLF001

    def _sock_recv(self: Untyped) -> tuple[bytes, BaseException | None]:
        data, error = receive(self)
        # Asked again, the socket tells its end again.
        return (data, None) if data else (data, error)

    transport._sock_recv = _sock_recv  # type: ignore[attr-defined]  # noqa: SLF001


for _transport in (KafkaTCPTransport, KafkaSSLTransport):
    _hear_out(_transport)


def pause_on_loop(consumer: Untyped, seconds: float) -> Awaitable[None]:
    """For a coroutine that runs on the loop of *consumer*: come back after so long."""
    pause: Awaitable[None] = consumer._net.sleep(seconds)  # noqa: SLF001
    return pause


def is_fenced(consumer: Untyped) -> bool:
    """Whether the seat of *consumer* was taken by another of the same name: it then just stops its heartbeats.

    That is so for an instant around each rebalance too, so only what is so several times in a row is so.
    """
    coordinator = consumer._coordinator  # noqa: SLF001
    return coordinator.stable() and not (coordinator.rejoining or coordinator._heartbeat_enabled)  # noqa: SLF001


def free_the_slot(consumer: Untyped) -> None:
    """Let records that were fetched before a pause come after it.

    They are parked, and wait for the place of those that are handed out now to be None; but once used, it holds what
    is drained instead, for ever, and a partition with parked records is not fetched either. Call it before each poll.
    """
    fetcher = consumer._fetcher  # noqa: SLF001
    if fetcher._paused_partition_records and not fetcher._next_partition_records:  # noqa: SLF001
        fetcher._next_partition_records = None  # noqa: SLF001


def know_topics(consumer: Untyped, topics: Collection[str], timeout_s: float) -> None:
    """Return when *consumer*, which has subscribed to *topics*, knows their partitions. Raises KafkaTimeoutError.

    It asks for them when it subscribes, but for nothing if another question is under way: then it would not know them
    for minutes, and as the leader of a group deal out no partition to anybody.
    """
    cluster = consumer._cluster  # noqa: SLF001
    until = time.monotonic() + timeout_s
    while any(cluster.partitions_for_topic(topic) is None for topic in topics):
        if time.monotonic() > until:
            raise theirs.KafkaTimeoutError(f"no word on {', '.join(topics)} within {timeout_s:.0f} s")
        cluster.request_update()
        time.sleep(_ASK_AGAIN_S)


class BoundedProducer(KafkaProducer):  # type: ignore[misc]  # kafka-python has no types
    """A transactional producer whose calls raise KafkaTimeoutError after `max_block_ms`: theirs wait for ever."""

    def send_offsets_to_transaction(self, offsets: Untyped, group_metadata: Untyped) -> None:
        """Add the positions of a group."""
        self._ended(self._transaction_manager.send_offsets_to_transaction(offsets, group_metadata))

    def commit_transaction(self) -> None:
        """Commit; after a timeout nobody knows whether it was."""
        self._ended(self._transaction_manager.begin_commit())

    def abort_transaction(self) -> None:
        """Abort."""
        self._ended(self._transaction_manager.begin_abort())

    def flush(self, timeout: float | None = None) -> None:
        """Wait for all that was sent.

        Theirs is woken where a batch that the broker found too large is split, and takes that for an error of a name
        that tells nothing. The halves are known by then, so it is asked again.
        """
        until = math.inf if timeout is None else time.monotonic() + timeout
        while True:
            try:
                super().flush(None if timeout is None else max(0.0, until - time.monotonic()))
            except theirs.UnknownError:
                if time.monotonic() > until:
                    raise
                time.sleep(_SPLITTING_S)
            else:
                return

    def close(self, timeout: float | None = None, **others: bool) -> None:
        """End its thread and connections, after *timeout* at the latest.

        Theirs flushes first, and raises where that takes too long, before anything has ended: the thread would go on to
        write what was thrown away, and be there to fence the next producer of its name.
        """
        try:
            super().close(timeout, **others)
        except theirs.KafkaTimeoutError:
            self._sender.force_close()
            self._closed = True

    @property
    def trouble(self) -> BaseException | None:
        """What stands in the way of the transaction, if anything: the calls themselves tell it as text only."""
        error: BaseException | None = self._transaction_manager.last_error if self._transaction_manager else None
        return error

    def _ended(self, result: Untyped) -> None:
        self._sender.wakeup()
        if not result.wait(self.config["max_block_ms"]):
            raise theirs.KafkaTimeoutError(f"no answer within {self.config['max_block_ms']} ms")
