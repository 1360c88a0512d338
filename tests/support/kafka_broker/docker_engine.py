"""A broker in a container, by testcontainers.

Written from the sources of testcontainers 4.15; not run where it was written, which had no Docker engine.
"""

import gc
import warnings
from typing import Any, Final

from kafka_broker.base import LOOPBACK, Broker, BrokerError, BrokerMissing, free_ports
from kafka_broker.server import FOR_TESTS

# Its start script fits Confluent's images, not apache/kafka; 7.9 holds Apache Kafka 3.9.
IMAGE: Final = "confluentinc/cp-kafka:7.9.0"
PORT: Final = 9093
"""Where testcontainers makes the broker listen inside the container."""
START_S: Final = 120
STOP_S: Final = 20
PROBE_S: Final = 3


class DockerBroker(Broker):
    """A container of its own; testcontainers' reaper ends it should this process die."""

    kind = f"Docker's {IMAGE}"

    def __init__(self) -> None:
        """Start nothing; `BrokerMissing` where no engine answers."""
        probe()
        from testcontainers.community.kafka import KafkaContainer  # noqa: PLC0415  # it is slow to import

        # A port of our choice, because the system's own would be another one after a restart.
        port = free_ports(1)[0]
        self.address = f"{LOOPBACK}:{port}"
        self._container = KafkaContainer(IMAGE, port=PORT).with_kraft().with_bind_ports(PORT, port)
        for name, value in environment().items():
            self._container.with_env(name, value)
        self._created = False

    def start(self) -> None:
        """Create the container, or start it again: it keeps its start script and its data."""
        if self._created:
            self._docker().start()
        else:
            self._container.start(timeout=START_S)
            self._created = True
            # Elsewhere than on this machine where DOCKER_HOST says so.
            self.address = self._container.get_bootstrap_server()
        self.wait_until_ready()

    def stop(self) -> None:
        """SIGTERM by the engine, SIGKILL after 20 s."""
        self._docker().stop(timeout=STOP_S)

    def kill(self) -> None:
        """SIGKILL by the engine."""
        self._docker().kill()

    def pause(self) -> None:
        """Freeze the container's processes."""
        self._docker().pause()

    def resume(self) -> None:
        """Let them go on."""
        self._docker().unpause()

    def close(self) -> None:
        """Remove the container and its data."""
        if self._created:
            self._container.stop()
            self._created = False

    def alive(self) -> bool:
        """Whether the engine says that it runs."""
        docker = self._docker()
        docker.reload()
        return str(docker.status) in {"running", "paused"}

    def log_tail(self, lines: int = 30) -> str:
        """The last lines of the container's output."""
        output: bytes = self._docker().logs(tail=lines)
        return "The end of its log:\n" + output.decode(errors="replace")

    def _docker(self) -> Any:  # docker-py has no types
        if not self._created:
            raise BrokerError(f"{self.kind} was not started")
        return self._container.get_wrapped_container()


def environment() -> dict[str, str]:
    """The settings of the jars' broker, in the names that Confluent's images read."""
    return {"KAFKA_" + key.upper().replace(".", "_"): value for key, value in FOR_TESTS.items()}


def probe() -> None:
    """Raise `BrokerMissing` where no Docker engine answers: testcontainers' own error is late and long."""
    try:
        import docker  # noqa: PLC0415  # part of the extra for tests
    except ImportError:
        raise BrokerMissing("the package docker is not installed") from None
    with warnings.catch_warnings():
        # Where nothing listens, docker-py leaves its socket to the collector, which warns of it.
        warnings.simplefilter("ignore", ResourceWarning)
        problem = _ping(docker)
        gc.collect()
    if problem:
        raise BrokerMissing(f"no Docker engine answers ({problem})")


def _ping(docker: Any) -> str:
    """Return the error as text: the error itself would keep the socket."""
    try:
        client = docker.from_env(timeout=PROBE_S)
        try:
            client.ping()
        finally:
            client.close()
    except (docker.errors.DockerException, OSError) as error:
        return str(error)
    return ""
