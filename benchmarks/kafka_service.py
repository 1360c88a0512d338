"""A service as a process, and visitors of it: a producer at a steady rate that times the answers to what it sent."""

import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import kafka_log
import msgspec
import numpy as np
import numpy.typing as npt
from common import COMMAND
from confluent_kafka import Consumer, Message, Producer, TopicPartition

START_S = 180


class Sent(NamedTuple):
    """When an event was sent, and its answer seen, by the monotonic clock; both [n]."""

    at: npt.NDArray[np.float64]
    latency_ms: npt.NDArray[np.float64]


@contextmanager
def running(address: str, status: Path, *options: str) -> Iterator["subprocess.Popen[bytes]"]:
    """A `stream-rec run` that is ready, stopped by SIGTERM afterwards; what it says goes to a file."""
    with tempfile.TemporaryFile() as said:
        arguments = [*COMMAND, "run", "--events", f"kafka://{address}/clicks", "--status-file", str(status), *options]
        process = subprocess.Popen(arguments, stderr=said, stdout=subprocess.DEVNULL)
        try:
            until = time.monotonic() + START_S
            while read_status(status).get("state") != "ready":
                if process.poll() is not None or time.monotonic() > until:
                    said.seek(0)
                    raise RuntimeError(f"the service did not start:\n{said.read().decode()}")
                time.sleep(0.1)
            yield process
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(30)


def read_status(path: Path) -> dict[str, Any]:
    """Return the service's status; an empty one before it writes any."""
    return msgspec.json.decode(path.read_bytes()) if path.exists() else {}


class _AnsweredEvent(msgspec.Struct):
    """The fields of an answer that identify its event."""

    session_id: str
    offsets: dict[str, int]


class Visitors:
    """Sends events of sessions that come and go, and times the answers as a reader of committed records.

    All other work is done before or after, since it would take the cores of the measured service.
    """

    def __init__(self, address: str, answers: str, *, n_open: int = 5000, seed: int = 3) -> None:
        self.n_sent = 0
        # With the client's own linger of 5 ms: without one, the broker would be busy with 10,000 requests a second.
        self._producer = Producer({"bootstrap.servers": address, "partitioner": "murmur2_random"})
        self._consumer = Consumer(
            {"bootstrap.servers": address, "group.id": "bench", "isolation.level": "read_committed",
             "enable.auto.commit": False, "fetch.wait.max.ms": 10}
        )  # fmt: skip
        ends = kafka_log.ends_of(address, answers)
        self._consumer.assign([TopicPartition(*partition, end) for partition, end in ends.items()])
        self._consumer.poll(0.5)
        self._rng = np.random.default_rng(seed)
        self._n_open = n_open
        self._sent_at: dict[tuple[int, int], float] = {}
        self._partition_of: dict[str, int] = {}
        self._seen: list[tuple[float, bytes]] = []
        self._over = threading.Event()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def visit(self, rate: float, seconds: float) -> Sent:
        """Send *rate* events a second for so long; wait a little for the last answers."""
        self._seen = []
        planned = self._planned(int(rate * seconds) + 1)
        n = 0
        begun = time.perf_counter()
        while (now := time.perf_counter() - begun) < seconds:
            for session, item in planned[n : int(now * rate)]:
                self._send(session, item)
            n = int(now * rate)
            self._producer.poll(0)
            time.sleep(min(0.002, 1 / rate))
        self._producer.flush(10)
        self.n_sent += n
        until = time.perf_counter() + 10
        while len(self._seen) < n and time.perf_counter() < until:
            time.sleep(0.02)
        return self._matched()

    def close(self) -> None:
        """Stop reading."""
        self._over.set()
        self._reader.join()
        self._consumer.close()

    def _planned(self, n: int) -> list[tuple[str, int]]:
        """Session and item of the next *n* events: five for each of those sessions that are open at a time."""
        first = (self.n_sent + np.arange(n)) // 5 // self._n_open * self._n_open
        sessions = first + self._rng.integers(self._n_open, size=n)
        items = np.minimum(self._rng.zipf(1.2, size=n), kafka_log.ITEMS)
        return [(f"v{session}", item) for session, item in zip(sessions.tolist(), items.tolist(), strict=True)]

    def _send(self, session: str, item: int) -> None:
        value = b'{"session_id":"%s","item_id":"i%d","timestamp":%d}' % (
            session.encode(),
            item,
            int(time.time() * 1000),
        )
        sent = time.perf_counter()

        def delivered(_: object, message: Message) -> None:
            partition, offset = message.partition(), message.offset()
            assert partition is not None
            assert offset is not None
            self._partition_of[session] = partition
            self._sent_at[partition, offset] = sent

        kafka_log.send(self._producer, "clicks", session.encode(), value, on_delivery=delivered)

    def _read(self) -> None:
        while not self._over.is_set():
            first = self._consumer.poll(0.05)
            if first is None:
                continue
            # A call for many messages would wait until it has them all.
            messages = [first, *self._consumer.consume(999, 0)]
            now = time.perf_counter()
            self._seen += [(now, message.value() or b"") for message in messages if message.error() is None]

    def _matched(self) -> Sent:
        """Pair each answer with its event, by the event's offset."""
        decode = msgspec.json.Decoder(_AnsweredEvent).decode
        times = []
        for seen, value in self._seen:
            answer = decode(value)
            partition = self._partition_of.get(answer.session_id)
            if partition is not None:
                sent = self._sent_at.pop((partition, answer.offsets.get(f"clicks-{partition}", -1)), None)
                if sent is not None:
                    times.append((sent, seen))
        found = np.array(times).reshape(-1, 2)
        return Sent(found[:, 0], 1000 * (found[:, 1] - found[:, 0]))
