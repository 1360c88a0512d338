"""A real schema registry with Confluent's API: Apicurio Registry, fetched once from Maven Central, run under java."""

import http.client
import signal
import subprocess
import tarfile
import time
from pathlib import Path
from typing import Final

from kafka_broker import jars
from kafka_broker.base import LOOPBACK, BrokerError, BrokerMissing, free_ports
from kafka_broker.process import GUARD

VERSION: Final = "2.6.13.Final"  # the newest that Java 17 runs
_ARTIFACT: Final = f"io.apicurio:apicurio-registry-app:{VERSION}:tar.gz:all"
_COPY: Final = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy"
_API: Final = "/apis/ccompat/v7"
_READY_S: Final = 120.0


class Apicurio:
    """A registry in memory, in a process that this one started and that never outlives it."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self._java = jars.java()
        self._folder = fetched()
        (self._port,) = free_ports(1)
        self.url = f"http://{LOOPBACK}:{self._port}{_API}"
        self._process: subprocess.Popen[bytes] | None = None
        self._guard: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it; `wait_until_ready` returns once it answers."""
        with (self._home / "registry.log").open("ab") as log:
            self._process = subprocess.Popen(
                [self._java, "-Xmx512m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-jar", "app.jar"],
                cwd=self._folder,
                env={"QUARKUS_HTTP_HOST": LOOPBACK, "QUARKUS_HTTP_PORT": str(self._port)},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._guard = subprocess.Popen(
            ["/bin/sh", "-c", GUARD, "guard", str(self._process.pid)], stdin=subprocess.PIPE, start_new_session=True
        )

    def wait_until_ready(self) -> None:
        """Return once it answers."""
        until = time.monotonic() + _READY_S
        while not self._answers():
            if self._process is None or self._process.poll() is not None or time.monotonic() > until:
                raise BrokerError(f"the registry does not answer: {(self._home / 'registry.log').read_text()[-3000:]}")
            time.sleep(0.1)

    def pause(self) -> None:
        """SIGSTOP: it accepts connections, and answers nothing. What it holds, only in memory, stays."""
        self._running().send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """SIGCONT."""
        self._running().send_signal(signal.SIGCONT)

    def _running(self) -> subprocess.Popen[bytes]:
        assert self._process is not None
        return self._process

    def close(self) -> None:
        """End it."""
        if self._guard is not None:
            self._guard.kill()
            self._guard.communicate()
            self._guard = None
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def _answers(self) -> bool:
        connection = http.client.HTTPConnection(LOOPBACK, self._port, timeout=5)
        try:
            connection.request("GET", f"{_API}/schemas/types")
            return connection.getresponse().status == http.client.OK
        except OSError:
            return False
        finally:
            connection.close()


def fetched() -> Path:
    """The folder of the unpacked registry, fetched now if it is not there yet; `BrokerMissing` where that fails."""
    folder = jars.cache() / f"apicurio-{VERSION}"
    if not folder.exists():
        _fetch(folder)
    return folder


def _fetch(folder: Path) -> None:
    mvn = jars.maven("Apicurio Registry")
    with jars.filled_at_once(folder) as unpacked:
        beside = unpacked.parent
        command = [mvn, "-B", "-q", _COPY, f"-Dartifact={_ARTIFACT}", f"-DoutputDirectory={beside}"]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=jars.FETCH_S)
        packed = list(beside.glob("*.tar.gz"))
        if done.returncode or not packed:
            tail = "\n".join((done.stdout + done.stderr).splitlines()[-10:])
            raise BrokerMissing(f"mvn could not fetch Apicurio Registry:\n{tail}")
        with tarfile.open(packed[0]) as archive:
            archive.extractall(unpacked, filter="data")
        next(unpacked.glob("*-runner.jar")).rename(unpacked / "app.jar")
