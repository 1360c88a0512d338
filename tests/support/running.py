"""A service on a broker as a process: start, inspect, freeze, and end it in every way."""

import contextlib
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

from program import PROGRAM, SECONDS
from topics import eventually

from stream_rec.errors import SettingsError
from stream_rec.service.reporting.status import Status, read_status


class Running:
    """`stream-rec run` with *argv*, its log and status in *folder*. `start` it; again after it has ended."""

    def __init__(self, folder: Path, *argv: object, env: dict[str, str] | None = None) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.log = folder / "log.txt"
        self.out = folder / "out.txt"
        self.status_file = folder / "status.json"
        self.argv = [PROGRAM, "run", *map(str, argv), "--status-file", str(self.status_file)]
        self.crashes = 0
        """A test that starts it again counts here."""
        self._env = {**os.environ, **(env or {})}
        self._process: subprocess.Popen[bytes] | None = None
        self._said_before = 0

    def start(self) -> None:
        """Start it, without waiting for anything."""
        self.status_file.unlink(missing_ok=True)
        self._said_before = self.log.stat().st_size if self.log.exists() else 0
        with self.log.open("ab") as log, self.out.open("ab") as out:
            self._process = subprocess.Popen(self.argv, stdin=subprocess.DEVNULL, stdout=out, stderr=log, env=self._env)

    def ready(self) -> "Running":
        """Start it if need be, and wait until it answers."""
        if self._process is None:
            self.start()
        eventually(lambda: self.ended() is not None or self.is_ready, f"ready: {self.said()}", SECONDS)
        assert self.ended() is None, self.said()
        return self

    def said(self) -> str:
        """Return what it wrote to standard error since its last start."""
        with self.log.open("rb") as log:
            log.seek(self._said_before)
            return log.read().decode(errors="replace")

    def says(self, text: str, seconds: float = SECONDS) -> None:
        """Wait until it has written *text* to standard error."""
        eventually(lambda: text in self.said() or self.ended() is not None, f"{text!r} in {self.said()}", seconds)
        assert text in self.said()

    @property
    def status(self) -> Status | None:
        """The content of its status file, if there is one."""
        with contextlib.suppress(SettingsError):
            return read_status(self.status_file)
        return None

    @property
    def is_ready(self) -> bool:
        """Whether its status is ready."""
        return self.status is not None and self.status.is_ready

    @property
    def owned(self) -> set[str]:
        """The partitions that its status lists as owned."""
        return set() if self.status is None else set(self.status.owned)

    @property
    def process(self) -> "subprocess.Popen[bytes]":
        """The process of its last start."""
        assert self._process is not None
        return self._process

    def ended(self) -> int | None:
        """Its exit code, if it has ended."""
        return self.process.poll()

    def kill(self) -> None:
        """End it as a crash would."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def freeze(self) -> None:
        """Freeze it (SIGSTOP)."""
        self.process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        """Let it go on (SIGCONT)."""
        self.process.send_signal(signal.SIGCONT)

    def stop(self, within_s: float = SECONDS) -> int:
        """Ask it to stop, and return its exit code."""
        self.process.terminate()
        code = self.process.wait(within_s)
        self._process = None
        return code


@contextlib.contextmanager
def running(folder: Path, *argv: object, env: dict[str, str] | None = None) -> Iterator[Running]:
    """A started service, which is ended with the block."""
    service = Running(folder, *argv, env=env)
    service.start()
    try:
        yield service
    finally:
        service.kill()
