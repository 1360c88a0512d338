"""A connection as it is served: uvicorn's protocol, with bounds for clients that never come to a point."""

import asyncio
from collections.abc import Callable
from typing import Any, Final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

__all__ = ["GuardedProtocol", "JoinedWrites"]

_MOST_HEAD_BYTES: Final = 1 << 16
_PATIENCE_S: Final = 30.0


class JoinedWrites:
    """*transport*, but what is written twice within a turn of the event loop is sent at once.

    Head and body of an answer are written one after the other. As two system calls they took a quarter of the time for
    which the interpreter's lock was held under load.
    """

    __slots__ = ("_call_soon", "_held", "_transport")

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._call_soon: Callable[..., object] = loop.call_soon
        self._held = b""

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401  # whatever else a transport has
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        """Send *data*, at the end of the turn at the latest."""
        held, self._held = self._held, b""
        if held:
            self._transport.writelines((held, data))
        elif data:
            self._held = data
            self._call_soon(self._flush)

    def close(self) -> None:
        """Close it when all was sent."""
        self._flush()
        self._transport.close()

    def _flush(self) -> None:
        held, self._held = self._held, b""
        if held:
            self._transport.write(held)


class GuardedProtocol(HttpToolsProtocol):
    """One whose clients send the head of a request within 64 KiB and half a minute, or are hung up on.

    For the body they have half a minute more, however steadily it drips.

    Uvicorn's own has no limit of either with this parser; and it writes an answer's head by itself.
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
        super().connection_made(JoinedWrites(transport, self.loop))  # type: ignore[arg-type]  # all that is called
        self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait for nothing."""
        self._rest()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Count what is a head's."""
        self._is_told = False
        super().data_received(data)
        if self._is_told and not self._is_in_body:
            return
        # Nearly always a whole request comes at once: a timer is worth its time only where one does not.
        if self._patience is None:
            self._wait()
        if self._is_in_body:
            return
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
        self._rest()
        self._n_head = 0
        self._is_in_body, self._is_told = False, True
        super().on_message_complete()

    def _wait(self) -> None:
        self._rest()
        self._patience = self.loop.call_later(_PATIENCE_S, self.transport.close)

    def _rest(self) -> None:
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None
