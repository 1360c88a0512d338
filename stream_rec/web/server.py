"""The thread that serves HTTP, with an event loop of its own, beside the thread that recommends."""

import asyncio
import contextlib
import errno
import ipaddress
import logging
import socket
from collections.abc import Iterator
from functools import partial
from threading import Event, Thread
from typing import Final

import uvicorn
import uvloop

from stream_rec.errors import SettingsError
from stream_rec.service.handle import ServiceHandle
from stream_rec.web.app import make_app
from stream_rec.web.context import Api, CallLimits
from stream_rec.web.guard import OriginGuard
from stream_rec.web.keys import Keys
from stream_rec.web.protocol import Connections, GuardedProtocol

__all__ = ["Server", "parse_address"]

log = logging.getLogger(__name__)

_LOOPBACK: Final = "127.0.0.1"
_CLOSE_S: Final = 2
_TICK_S: Final = 1.0
_BACKLOG: Final = 2048
_MOST_PORTS: Final = 65_535


def parse_address(text: str) -> tuple[str, int]:
    """Return host and port of `HOST:PORT`. Raises SettingsError."""
    host, _, port = text.rpartition(":")
    if int(port) > _MOST_PORTS:
        raise SettingsError("http", f"port {port} is above {_MOST_PORTS}")
    return host.strip("[]") or _LOOPBACK, int(port)


def is_loopback(host: str) -> bool:
    """Whether *host* can be reached from this machine only."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class Server:
    """Serves *service* at *address*. Must be closed.

    Callers without keys may reach it under the names *hosts*. Raises SettingsError if the address cannot be bound, or
    can be reached from other machines and there are neither keys nor such names.
    """

    def __init__(
        self,
        service: ServiceHandle,
        address: str,
        *,
        keys: Keys | None = None,
        insecure: bool = False,
        hosts: tuple[str, ...] = (),
        origins: tuple[str, ...] = (),
        limits: CallLimits | None = None,
    ) -> None:
        host, port = parse_address(address)
        keys = keys or Keys()
        if not (keys or insecure or hosts or is_loopback(host)):
            raise SettingsError(
                "http",
                f"{host} can be reached from other machines, and there are no keys: set keys with --http-key; or, "
                "where all who reach it may do everything, name the hosts that they call with --http-host",
            )
        self._socket = _bound(host, port)
        self.host, self.port = host, int(self._socket.getsockname()[1])
        self.api = Api(service, keys, limits, OriginGuard(host, origins, hosts=hosts, any_host=insecure and not hosts))
        limits = self.api.limits
        self.connections = Connections(limits.max_wait_s, limits.max_held_bytes, self.api.http.refuse)
        self._app = make_app(self.api, origins)
        self._started = Event()
        self._server: uvicorn.Server | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread = Thread(target=self._run, name="http", daemon=True)

    @property
    def url(self) -> str:
        """The address for a browser."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{_LOOPBACK if host in {'0.0.0.0', '[::]'} else host}:{self.port}/"  # noqa: S104  # compared only

    def start(self) -> "Server":
        """Start to serve; return when the event loop runs."""
        self._thread.start()
        self._started.wait()
        log.info("serving HTTP at %s", self.url)
        return self

    def close(self) -> None:
        """Let open requests end, for two seconds at most; then close all."""
        server, loop = self._server, self._loop
        if server is not None and loop is not None and self._thread.is_alive():
            with contextlib.suppress(RuntimeError):  # the loop has ended already
                loop.call_soon_threadsafe(self.api.over.set)
            server.should_exit = True
            self._thread.join(2 * _CLOSE_S + 1)
        self._socket.close()

    def _run(self) -> None:
        try:
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                runner.run(self._serve())
        except BaseException:
            log.exception("the HTTP server failed")
            raise
        finally:
            self._started.set()

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        self.api.open(self._loop)
        config = uvicorn.Config(
            self._app,
            log_config=None,
            log_level="warning",
            access_log=False,
            lifespan="off",
            http=partial(GuardedProtocol, shared=self.connections),  # type: ignore[arg-type]  # makes one
            ws="none",
            backlog=_BACKLOG,
            timeout_keep_alive=75,
            timeout_graceful_shutdown=_CLOSE_S,
            server_header=False,
            proxy_headers=False,
        )
        self._server = _Server(config)
        ticking = asyncio.create_task(self._tick())
        self._started.set()
        try:
            await self._server.serve(sockets=[self._socket])
        finally:
            ticking.cancel()

    async def _tick(self) -> None:
        """Once a second: sample the counters; while the service does not answer, refuse what is queued."""
        while True:
            try:
                self.api.tick()
                if not self.api.is_ready:
                    self.api.service.request_queue.refuse_all()
            except Exception:
                log.exception("could not sample the figures of the last second")
            await asyncio.sleep(_TICK_S)


class _Server(uvicorn.Server):
    """Uvicorn's server without its signal handlers: signals are the program's."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Capture no signals."""
        yield


def _advice(error: OSError) -> str:
    """What to do about an address that cannot be listened at; empty if that is not known."""
    if error.errno == errno.EADDRINUSE:
        return "; end the process that listens there, or name another port, such as --http :8001"
    if error.errno == errno.EACCES:
        return "; ports below 1024 need a privilege: name a higher one, such as --http :8000"
    if error.errno == errno.EADDRNOTAVAIL:
        return "; this machine has no such address: --http :PORT listens for this machine alone, 0.0.0.0:PORT for all"
    return ""


def _bound(host: str, port: int) -> socket.socket:
    with contextlib.ExitStack() as undo:
        try:
            family, kind, protocol, _, place = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
            made = undo.enter_context(socket.socket(family, kind, protocol))
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            made.bind(place)
            made.listen(_BACKLOG)  # clients that connect before it serves wait, and are not refused
        except OSError as error:
            raise SettingsError(
                "http", f"cannot listen at {host}:{port}: {error.strerror or error}{_advice(error)}"
            ) from error
        undo.pop_all()  # it stays open
    return made
