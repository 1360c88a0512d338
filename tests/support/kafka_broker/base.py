"""The interface of every broker of the tests, however it is started."""

import contextlib
import random
import socket
import time
import uuid
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

from kafka_broker.clients import opened

READY_S: Final = 90.0
"""A start takes 3 to 6 s here; a machine with other things to do takes several times as long."""

LOOPBACK: Final = "127.0.0.1"


class BrokerMissing(Exception):  # noqa: N818  # not an error: there is none
    """No broker is available here; the message says why."""


class BrokerError(Exception):
    """An available broker failed; the message ends with its log's last lines."""


@dataclass(frozen=True, slots=True)
class Security:
    """How to reach a secured broker: three more addresses, one user, and the certificate to trust."""

    sasl: str
    """SASL_PLAINTEXT: mechanisms PLAIN, SCRAM-SHA-256, SCRAM-SHA-512 and (unsigned) OAUTHBEARER."""
    tls: str
    """SSL, without a password."""
    sasl_tls: str
    """SASL_SSL, with the mechanisms of `sasl`."""
    user: str
    password: str
    ca_file: Path


class Broker(ABC):
    """One broker. Leaving its `with` block ends it, if it was started here."""

    address: str
    """`host:port` of the listener without security."""
    security: Security | None = None
    kind: str
    """How it was started, as text."""
    replicas = 1
    """Of each partition of its topics."""

    @abstractmethod
    def start(self) -> None:
        """Start, or start again with the same address and data; return once it answers."""

    @abstractmethod
    def stop(self) -> None:
        """End it as an operator would (SIGTERM), and wait until it has ended."""

    @abstractmethod
    def kill(self) -> None:
        """End it as a crash would (SIGKILL)."""

    @abstractmethod
    def pause(self) -> None:
        """Freeze it: connections stay open, and nothing answers (SIGSTOP)."""

    @abstractmethod
    def resume(self) -> None:
        """Let it go on after `pause`."""

    @abstractmethod
    def close(self) -> None:
        """End it in any state, and drop its data; harmless when done twice."""

    @abstractmethod
    def log_tail(self, lines: int = 30) -> str:
        """The last lines of its log."""

    @abstractmethod
    def alive(self) -> bool:
        """Return whether it still runs, as far as this process can see."""

    def restart(self) -> None:
        """Stop and start: same address, same data."""
        self.stop()
        self.start()

    def topic(
        self,
        name: str = "topic",
        *,
        partitions: int = 1,
        retention_ms: int | None = None,
        config: Mapping[str, str] | None = None,
        exact: bool = False,
    ) -> str:
        """Make a fresh topic and return its name, which begins with *name* (*exact*: which is *name*)."""
        configs = dict(config or {})
        if retention_ms is not None:
            configs["retention.ms"] = str(retention_ms)
        # Chance, because brokers outlive a run of the tests, and several runs may share one.
        full = name if exact else f"{name}-{uuid.uuid4().hex[:8]}"
        with self.admin() as admin:
            options = {"num_partitions": partitions, "replication_factor": self.replicas, "configs": configs}
            admin.create_topics({full: options}, wait_for_metadata=True)
        return full

    @contextlib.contextmanager
    def admin(self, *, timeout_ms: int = 20_000) -> Iterator[Any]:
        """kafka-python's admin client, closed at the end of the block."""
        from kafka import KafkaAdminClient  # noqa: PLC0415  # late, as in `opened`

        settings = {"bootstrap_timeout_ms": timeout_ms, "request_timeout_ms": timeout_ms}
        with opened(KafkaAdminClient, bootstrap_servers=self.address, **settings) as client:
            yield client

    def wait_until_ready(self, seconds: float = READY_S) -> None:
        """Return once the broker answers a request; raise `BrokerError` when it ended or time is up."""
        deadline = time.monotonic() + seconds
        while not self._answers():
            if not self.alive():
                raise BrokerError(f"{self.kind} ended instead of starting. {self.log_tail()}")
            if time.monotonic() > deadline:
                raise BrokerError(
                    f"{self.kind} at {self.address} does not answer after {seconds:.0f} s. {self.log_tail()}"
                )
            time.sleep(0.1)

    def _answers(self) -> bool:
        host, _, port = self.address.rpartition(":")
        try:
            socket.create_connection((host, int(port)), timeout=2).close()
        except OSError:
            return False
        from kafka.errors import KafkaError  # noqa: PLC0415  # late, as in `opened`

        try:
            with self.admin(timeout_ms=5_000) as admin:
                return bool(admin.describe_cluster()["brokers"])
        except KafkaError:
            return False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def free_ports(count: int) -> list[int]:
    """Ports of the loopback that nothing listens on now, and that no outgoing connection is given.

    A port of the system's own choice would come from the range of outgoing connections: while its broker is down,
    a client that tries to reach it may be given the very port that it calls, and be connected to itself.
    """
    ports: list[int] = []
    while len(ports) < count:
        port = random.SystemRandom().randrange(20_000, 32_000)
        if port not in ports and port_is_free(port):
            ports.append(port)
    return ports


def port_is_free(port: int) -> bool:
    """Whether a broker could listen on it."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    return True
