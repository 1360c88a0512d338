"""A connection: uvicorn's protocol, with limits of size and time that uvicorn does not have with this parser."""

import asyncio
from collections.abc import Callable
from typing import Any, Final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

__all__ = ["GuardedProtocol", "JoinedWrites"]

_MOST_HEAD_BYTES: Final = 1 << 16


class JoinedWrites:
    """Wraps *transport*: two writes within a turn of the event loop are sent with one system call.

    Uvicorn writes the head and the body of an answer separately. As two system calls they took a quarter of the time
    for which the interpreter's lock was held under load.
    """

    __slots__ = ("_buffered", "_call_soon", "_transport")

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._call_soon: Callable[..., object] = loop.call_soon
        self._buffered = b""

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401  # all else that a transport has
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        """Send *data* with the next write, or at the end of the turn."""
        buffered, self._buffered = self._buffered, b""
        if buffered:
            self._transport.writelines((buffered, data))
        elif data:
            self._buffered = data
            self._call_soon(self._flush)

    def close(self) -> None:
        """Send what is buffered, then close."""
        self._flush()
        self._transport.close()

    def _flush(self) -> None:
        buffered, self._buffered = self._buffered, b""
        if buffered:
            self._transport.write(buffered)


class GuardedProtocol(HttpToolsProtocol):
    """Closes connections whose request does not arrive in time.

    A client has *max_wait_s* and 64 KiB for the head of a request, and *max_wait_s* more for the body, even if the body
    arrives steadily. Also joins the two writes of an answer.
    """

    def __init__(self, *args: Any, max_wait_s: float, **kwargs: Any) -> None:  # noqa: ANN401  # as in the library
        super().__init__(*args, **kwargs)
        self._max_wait_s = max_wait_s
        self._n_head = 0
        self._is_in_body = False
        self._has_ended_part = False
        """Whether a head or a body ended in the data received last."""
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Start the timer for the first head."""
        super().connection_made(JoinedWrites(transport, self.loop))  # type: ignore[arg-type]  # it has all that is called
        self._start_timer()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the timer."""
        self._stop_timer()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse *data*, and count the bytes of a head."""
        self._has_ended_part = False
        super().data_received(data)
        if self._has_ended_part and not self._is_in_body:
            return
        # A whole request nearly always arrives at once. Only other requests get a timer, since making one takes time.
        if self._timer is None:
            self._start_timer()
        if self._is_in_body:
            return
        self._n_head += len(data)
        if self._n_head > _MOST_HEAD_BYTES:
            self.transport.close()

    def on_headers_complete(self) -> None:
        """Stop the timer: the head is complete."""
        self._stop_timer()
        self._is_in_body = self._has_ended_part = True
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """Stop the timer, and expect the next head."""
        self._stop_timer()
        self._n_head = 0
        self._is_in_body, self._has_ended_part = False, True
        super().on_message_complete()

    def _start_timer(self) -> None:
        self._stop_timer()
        self._timer = self.loop.call_later(self._max_wait_s, self.transport.close)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
