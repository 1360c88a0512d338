"""A broker that runs as a process of this one: Apache Kafka's jars under java."""

import atexit
import base64
import shutil
import signal
import subprocess
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from kafka_broker import jars
from kafka_broker.base import Broker, BrokerError, free_ports
from kafka_broker.server import (
    ALONE,
    LOG4J,
    Node,
    Ports,
    make_certificate,
    new_secret,
    properties,
    scram_arguments,
    security_of,
)

HEAP: Final = ("-Xms256m", "-Xmx512m")
LIGHT: Final = ("-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC")
"""Halves the time of a start. A measured broker goes without, since its code would run slower afterwards."""
STOP_S: Final = 20.0

GUARD: Final = 'trap "" INT TERM HUP; read -r _; kill -KILL "$1"'
"""Sleeps on a pipe that only the starter holds. When that process dies, by whatever signal, the pipe ends."""


class ProcessBroker(Broker):
    """Apache Kafka in a process that this one started, and that never outlives it."""

    kind = "Apache Kafka from Maven Central's jars"

    def __init__(
        self,
        home: Path,
        *,
        port: int = 0,
        secured: bool = False,
        measured: bool = False,
        node: Node = ALONE,
        ports: Ports | None = None,
        cluster_id: str | None = None,
        inside: Sequence[str] = (),
    ) -> None:
        """*home* holds its settings, log and data; *port* 0 is any. Starts nothing, but fetches the jars.

        *node*, *ports* and *cluster_id* are those of a node of a cluster; *inside* is the beginning of its command.
        """
        self._home = home
        self._node = node
        self._cluster_id = cluster_id or base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        self._inside = tuple(inside)
        self._java = jars.java()
        self._jars = jars.fetched()
        self._flags = HEAP if measured else (*HEAP, *LIGHT)
        self._secret = new_secret() if secured else None
        self._process: subprocess.Popen[bytes] | None = None
        self._guard: subprocess.Popen[bytes] | None = None
        if ports is None:
            plain, *others = free_ports(5 if secured else 2)
            ports = Ports(port or plain, *others)
        self._ports = ports
        self.address = f"{node.host}:{ports.plain}"

    @property
    def pid(self) -> int:
        """Of the running broker."""
        return self._running().pid

    def start(self) -> None:
        """Start with the data that is there, or with none; return once it answers."""
        self.launch()
        try:
            self.wait_until_ready()
        except BaseException:
            self._end()
            raise

    def launch(self) -> None:
        """Start it, without waiting for an answer."""
        if self.alive():
            raise BrokerError(f"{self.kind} at {self.address} runs already")
        self._prepare()
        with (self._home / "broker.log").open("ab") as log:
            # A session of its own: Ctrl-C is for the tests, which then end their brokers in order.
            self._process = subprocess.Popen(
                self._command("kafka.Kafka", str(self._settings)),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._guard = subprocess.Popen(
            ["/bin/sh", "-c", GUARD, "guard", str(self._process.pid)],
            stdin=subprocess.PIPE,
            start_new_session=True,
        )
        atexit.register(self._end)

    def stop(self) -> None:
        """SIGTERM, and wait; a broker that does not end within 20 s is killed, and that is an error."""
        process = self._running()
        process.send_signal(signal.SIGCONT)
        process.terminate()
        try:
            process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            raise BrokerError(f"{self.kind} did not stop within {STOP_S:.0f} s. {self.log_tail()}") from None
        finally:
            self._end()

    def kill(self) -> None:
        """SIGKILL, which ends a paused broker too."""
        self._running().kill()
        self._end()

    def pause(self) -> None:
        """SIGSTOP: the system still accepts connections for it, and keeps what is sent."""
        self._running().send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """SIGCONT."""
        self._running().send_signal(signal.SIGCONT)

    def close(self) -> None:
        """End it and remove its data; its log stays."""
        self._end()
        shutil.rmtree(self._home / "data", ignore_errors=True)

    def alive(self) -> bool:
        """Whether the process runs, paused or not."""
        return self._process is not None and self._process.poll() is None

    def log_tail(self, lines: int = 30) -> str:
        """The last lines of its output, over all its starts."""
        path = self._home / "broker.log"
        text = path.read_text(errors="replace").splitlines() if path.exists() else []
        return "\n".join([f"The end of {path}:", *text[-lines:]])

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None or self._process.poll() is not None:
            raise BrokerError(f"{self.kind} at {self.address} does not run. {self.log_tail()}")
        return self._process

    def _end(self) -> None:
        """End the guard first: it must never kill a process id that another process has by then."""
        atexit.unregister(self._end)
        if self._guard is not None:
            self._guard.kill()
            self._guard.communicate()
            self._guard = None
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    @property
    def _settings(self) -> Path:
        return self._home / "server.properties"

    def _command(self, main: str, *arguments: str) -> list[str]:
        log4j = f"-Dlog4j2.configurationFile={self._home / 'log4j2.properties'}"
        return [*self._inside, self._java, *self._flags, log4j, "-cp", str(self._jars / "*"), main, *arguments]

    def _prepare(self) -> None:
        self._home.mkdir(parents=True, exist_ok=True)
        # The folder holds a password.
        self._home.chmod(0o700)
        self._settings.write_text(properties(self._home, self._ports, self._secret, self._node))
        (self._home / "log4j2.properties").write_text(LOG4J)
        if self._secret is not None:
            certificate = make_certificate(jars.keytool(self._java), self._home, self._secret)
            self.security = security_of(self._ports, self._secret, certificate)
        if not (self._home / "data" / "meta.properties").exists():
            self._format()

    def _format(self) -> None:
        scram = scram_arguments(self._secret) if self._secret is not None else []
        # An id that begins with a dash would be read as an option.
        command = self._command(
            "kafka.tools.StorageTool", "format", f"--cluster-id={self._cluster_id}", "-c", str(self._settings), *scram
        )
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
        if done.returncode:
            raise BrokerError(f"{self.kind} could not format its data: {done.stdout}{done.stderr}")
