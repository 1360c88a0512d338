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

from stream_rec.events import Answer

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
    """What the service says of itself; nothing before it does."""
    return msgspec.json.decode(path.read_bytes()) if path.exists() else {}


class Visitors:
    """Sends events of sessions that come and go, and times the answers as a reader of committed records."""

    def __init__(self, address: str, answers: str, *, n_open: int = 5000, seed: int = 3) -> None:
        self.n_sent = 0
        self._producer = Producer({"bootstrap.servers": address, "partitioner": "murmur2_random", "linger.ms": 0})
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
        self._answered: list[tuple[float, float]] = []
        self._over = threading.Event()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def visit(self, rate: float, seconds: float) -> Sent:
        """Send *rate* events a second for so long; wait a little for the last answers."""
        self._answered = []
        before = self.n_sent
        begun = time.perf_counter()
        while (now := time.perf_counter() - begun) < seconds:
            due = int(now * rate) - (self.n_sent - before)
            for _ in range(due):
                self._send()
            self._producer.poll(0)
            time.sleep(min(0.002, 1 / rate))
        self._producer.flush(10)
        n = self.n_sent - before
        until = time.perf_counter() + 10
        while len(self._answered) < n and time.perf_counter() < until:
            time.sleep(0.02)
        times = np.array(self._answered).reshape(-1, 2)
        return Sent(times[:, 0], 1000 * (times[:, 1] - times[:, 0]))

    def close(self) -> None:
        """Stop reading."""
        self._over.set()
        self._reader.join()
        self._consumer.close()

    def _send(self) -> None:
        session = f"v{(self.n_sent // 5 // self._n_open) * self._n_open + int(self._rng.integers(self._n_open))}"
        item = min(int(self._rng.zipf(1.2)), kafka_log.ITEMS)
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
        self.n_sent += 1

    def _read(self) -> None:
        decode = msgspec.json.Decoder(Answer).decode
        waiting: list[tuple[float, Answer]] = []
        while not self._over.is_set():
            message = self._consumer.poll(0.05)
            if message is not None and message.error() is None:
                waiting.append((time.perf_counter(), decode(message.value() or b"")))
            waiting = [each for each in waiting if not self._match(*each)]

    def _match(self, seen: float, answer: Answer) -> bool:
        """Pair an answer with its event; False while the broker has not yet told the producer where that one stands."""
        partition = self._partition_of.get(answer.session_id or "")
        offset = -1 if partition is None else answer.offsets.get(f"clicks-{partition}", -1)
        sent = None if partition is None else self._sent_at.pop((partition, offset), None)
        if sent is None:
            return False
        self._answered.append((sent, seen))
        return True
