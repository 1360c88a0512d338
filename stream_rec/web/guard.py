"""What stands between the network and the application: pages of other origins, and clients that never come to a point.

Knows nothing of paths.
"""

import asyncio
import ipaddress
from typing import Any, Final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from stream_rec.web.errors import ApiError

__all__ = ["GuardedProtocol", "OriginGuard"]

_MOST_HEAD_BYTES: Final = 1 << 16
_HEAD_S: Final = 30.0


class OriginGuard:
    """Without keys, what is open to this machine is open to every web page that is looked at on it.

    A browser tells a page's origin, and which host it believes to talk to: both must be ours. What is no browser tells
    no origin, and is let in.
    """

    def __init__(self, host: str, origins: tuple[str, ...] = ()) -> None:
        self._host = host
        self._origins = frozenset(origins)

    def __call__(self, headers: list[tuple[bytes, bytes]]) -> None:
        """Raise ApiError for a page of another origin."""
        host = origin = None
        for name, value in headers:
            if name == b"host":
                host = value.decode("latin-1")
            elif name == b"origin":
                origin = value.decode("latin-1")
        if host is not None and not self._is_ours(host):
            raise ApiError(
                403, "foreign_host", f"{host!r} is not this service: ask for it by its address, or give keys"
            )
        if origin is None or "*" in self._origins or origin in self._origins:
            return
        if origin.partition("://")[2] != host:
            raise ApiError(403, "foreign_origin", f"pages of {origin!r} may not call this: name it with --http-cors")

    def _is_ours(self, host: str) -> bool:
        name = host.rpartition(":")[0] if host.rpartition("]")[2].startswith(":") or host.count(":") == 1 else host
        if name in {"localhost", self._host}:
            return True
        try:
            ipaddress.ip_address(name.strip("[]"))
        except ValueError:
            return False
        return True


class GuardedProtocol(HttpToolsProtocol):
    """One whose clients send the head of a request within 64 KiB and half a minute, or are hung up on.

    Uvicorn's own has no limit of either with this parser.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401  # as in the library
        super().__init__(*args, **kwargs)
        self._n_head = 0
        self._is_in_body = False
        self._is_told = False
        """Whether a head or a body came to its end in what was received last."""
        self._patience: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for a head."""
        super().connection_made(transport)
        self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait for nothing."""
        self._rest()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Count what is a head's."""
        self._is_told = False
        super().data_received(data)
        if self._is_in_body or self._is_told:
            return
        # Nearly always a whole request comes at once: a timer is worth its time only where one does not.
        if self._patience is None:
            self._wait()
        self._n_head += len(data)
        if self._n_head > _MOST_HEAD_BYTES:
            self.transport.close()

    def on_headers_complete(self) -> None:
        """The head is there."""
        self._rest()
        self._is_in_body = self._is_told = True
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """The next head begins anew."""
        self._n_head = 0
        self._is_in_body, self._is_told = False, True
        super().on_message_complete()

    def _wait(self) -> None:
        self._rest()
        self._patience = self.loop.call_later(_HEAD_S, self.transport.close)

    def _rest(self) -> None:
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None
