"""A connection: uvicorn's protocol, with limits of size and time that uvicorn does not have with this parser.

What a client does wrong is refused and counted, and never fills the log.
"""

import asyncio
import logging
from collections.abc import Callable
from http import HTTPStatus
from time import monotonic
from typing import Any, Final, NamedTuple, cast

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from stream_rec.web.errors import Problem, encode_error

__all__ = ["Connections", "GuardedProtocol", "JoinedWrites"]

log = logging.getLogger(__name__)

_MOST_HEAD_BYTES: Final = 1 << 16
_MOST_PIPELINED: Final = 100
_FREE_BYTES: Final = 1 << 14
"""So much may each connection hold, however much the others do: calls without a long body always get through."""

_MOST_CONNECTIONS: Final = 20_000
_WARN_EVERY_S: Final = 60.0
_NONE, _HEAD, _BODY = range(3)
"""The part of a request that a connection is in."""


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
        """Send *data* with the next write, or at the end of the turn; nothing if the client has gone."""
        buffered, self._buffered = self._buffered, b""
        if self._transport.is_closing():
            return
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
        if buffered and not self._transport.is_closing():
            self._transport.write(buffered)


class Connections:
    """What all connections of a server share: the bytes that they hold, and the count of refused requests.

    A connection holds what it has received since its last answer. *count* is called with the status of each refusal.
    """

    def __init__(self, max_wait_s: float, most_bytes: int, count: Callable[[int], None]) -> None:
        self.max_wait_s = max_wait_s
        self.most = _MOST_CONNECTIONS
        self.n_bytes = 0
        self.count = count
        self._most_bytes = most_bytes
        self._warned_at = -_WARN_EVERY_S

    @property
    def are_full(self) -> bool:
        """Whether they hold more than they may, so that none may hold more than _FREE_BYTES."""
        return self.n_bytes > self._most_bytes

    def warn(self, message: str, *values: object) -> None:
        """Log a warning, one a minute at most: a client decides how often there is a reason."""
        now = monotonic()
        if now >= self._warned_at + _WARN_EVERY_S:
            self._warned_at = now
            log.warning(message, *values)


class _Refusal(NamedTuple):
    status: int
    code: str
    message: str


class _RefusedError(Exception):
    """Ends the parsing of a request that is refused."""


def _encoded(refusal: _Refusal) -> bytes:
    """Return *refusal* as a whole answer, the last one of its connection."""
    body = encode_error(Problem(refusal.code, refusal.message))
    status = HTTPStatus(refusal.status)
    lines = [f"HTTP/1.1 {status.value} {status.phrase}", "content-type: application/json", "connection: close"]
    if status is HTTPStatus.SERVICE_UNAVAILABLE:
        lines.append("retry-after: 1")
    return "\r\n".join((*lines, f"content-length: {len(body)}", "", "")).encode() + body


_MALFORMED: Final = _Refusal(400, "malformed", "this is not HTTP/1.1")
_LONG_HEAD: Final = _Refusal(431, "too_large", f"expected at most {_MOST_HEAD_BYTES} bytes before the body, found more")
_MANY_WAIT: Final = _Refusal(
    429, "too_many", f"expected at most {_MOST_PIPELINED} requests before the answer to the first"
)
_PROXY: Final = _Refusal(405, "no_such_method", "CONNECT is for proxies")
_NO_HOST: Final = _Refusal(400, "missing_field", "expected the header host, found none")
_FULL: Final = _Refusal(503, "overloaded", "too many long requests are under way: try again")
_MANY_CONNECTIONS: Final = _Refusal(503, "overloaded", "too many connections are open: try again")


class GuardedProtocol(HttpToolsProtocol):
    """Closes connections whose request does not arrive in time, is malformed, or is too large.

    A client has `max_wait_s` and 64 KiB for the head of a request, and `max_wait_s` more for the body, even if the body
    arrives steadily. A head must name one host. While all connections together hold more than they may, those with a
    long request are refused. An upgrade to another protocol is ignored, as the standard allows (RFC 9110, 7.8). Also
    joins the two writes of an answer.
    """

    def __init__(self, *args: Any, shared: Connections, **kwargs: Any) -> None:  # noqa: ANN401  # as in the library
        super().__init__(*args, **kwargs)
        self._shared = shared
        self._part = _NONE
        self._n_read = 0
        """Bytes of the last read."""
        self._n_unfinished = 0
        """Bytes of reads before it, within which this head did not end: the parser shows a header when it is whole."""
        self._n_held = 0
        self._refusal = _MALFORMED
        self._plain_head = b""
        """Not empty from the head of a request to upgrade to its second parsing."""
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Start the timer for the first head."""
        super().connection_made(JoinedWrites(transport, self.loop))  # type: ignore[arg-type]  # it has all that is called
        self._start_timer()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the timer, and hold nothing any more."""
        self._stop_timer()
        self._release()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse *data*; refuse what exceeds a limit."""
        self._unset_keepalive_if_required()
        self._n_read = len(data)
        try:
            self._parse(data)
        except httptools.HttpParserError:  # also the parser's word for what a callback raised
            self._refuse(self._refusal)
            return
        # A whole request nearly always arrives at once. Only other requests get a timer, since making one takes time.
        if self._part is not _NONE and self._timer is None:
            self._start_timer()
        if self._part is _HEAD:
            self._n_unfinished += len(data)
            if self._n_unfinished > _MOST_HEAD_BYTES:
                self._refuse(_LONG_HEAD)
                return
        elif self._is_answered():  # the rest of a body that no endpoint reads
            return
        self._n_held += len(data)
        self._shared.n_bytes += len(data)
        if self._n_held > _FREE_BYTES and self._shared.are_full:
            self._refuse(_FULL)

    def _parse(self, data: bytes) -> None:
        """Parse *data*. A request to upgrade is parsed a second time without that wish: the parser drops its body."""
        while True:
            try:
                self.parser.feed_data(data)
            except httptools.HttpParserUpgrade as upgrade:
                data = self._plain_head + data[upgrade.args[0] :]
                self._plain_head = b""
                self.parser = httptools.HttpRequestParser(self)
                self.parser.set_dangerous_leniencies(lenient_data_after_close=True)  # as the library does
            else:
                return

    def on_message_begin(self) -> None:
        """Expect a head, with a timer of its own."""
        self._stop_timer()
        self._part = _HEAD
        self._n_unfinished = 0
        if len(self.pipeline) >= _MOST_PIPELINED:
            self._stop_with(_MANY_WAIT)
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """Stop the timer: the head is complete. Refuse one that does not say to whom it is sent, or says it twice."""
        self._stop_timer()
        self._part = _BODY
        if self._n_unfinished + self._n_read > _MOST_HEAD_BYTES:  # that may be the body
            self._refuse_long_head()
        names = [name for name, _ in self.headers]
        if names.count(b"host") != 1 or names.count(b"authorization") > 1 or names.count(b"origin") > 1:
            self._refuse_doubtful(names)
        if len(self.connections) > self._shared.most:
            self._shared.warn("HTTP: more than %d connections are open: requests are refused", self._shared.most)
            self._stop_with(_MANY_CONNECTIONS)
        if self.parser.should_upgrade():
            self._plain_head = self._head_without_upgrade()
            return
        super().on_headers_complete()
        self.headers = []  # trailers, which come after the body, are dropped: nothing here knows one

    def _refuse_long_head(self) -> None:
        if len(self.url) + sum(len(name) + len(value) for name, value in self.headers) > _MOST_HEAD_BYTES:
            self._stop_with(_LONG_HEAD)

    def _refuse_doubtful(self, names: list[bytes]) -> None:
        """Refuse a head with the headers *names* if one that decides who may call is missing, or is there twice.

        Of two, a proxy could have judged the one, and this service would obey the other (RFC 9112, 3.2).
        """
        for name in (b"authorization", b"host", b"origin"):
            if names.count(name) > 1:
                self._stop_with(_Refusal(400, "malformed", f"the header {name.decode()} is given twice"))
        if b"host" not in names and self.parser.get_http_version() != "1.0":
            self._stop_with(_NO_HOST)

    def on_message_complete(self) -> None:
        """Stop the timer."""
        self._stop_timer()
        self._part = _NONE
        if not self._plain_head:
            super().on_message_complete()

    def _head_without_upgrade(self) -> bytes:
        """Return the head that was parsed last, as if it had not asked for another protocol."""
        method, version = self.parser.get_method(), self.parser.get_http_version().encode()
        if method == b"CONNECT":
            self._stop_with(_PROXY)
        lines = [b"%s %s HTTP/%s\r\n" % (method, self.url, version)]
        for name, value in self.headers:
            if name == b"connection":
                others = [token for token in value.split(b",") if token.strip().lower() != b"upgrade"]
                lines.append(b"connection: %s\r\n" % b",".join(others))
            elif name != b"upgrade":
                lines.append(b"%s: %s\r\n" % (name, value))
        return b"".join((*lines, b"\r\n"))

    def on_response_complete(self) -> None:
        """Hold nothing any more, unless further requests wait."""
        if not self.pipeline:
            self._release()
        super().on_response_complete()

    def _stop_with(self, refusal: _Refusal) -> None:
        """Leave the parser, which hides the exception from its caller, and have *refusal* sent."""
        self._refusal = refusal
        raise _RefusedError

    def _refuse(self, refusal: _Refusal) -> None:
        """Send *refusal*, if the client cannot take it for the answer to another request; close the connection."""
        if self.transport.is_closing():
            return
        self._shared.count(refusal.status)
        if self._is_next_answer():
            self.transport.write(_encoded(refusal))
        self.transport.close()

    def _is_answered(self) -> bool:
        """Whether no request waits for an answer, or for the rest of it."""
        cycle = cast("RequestResponseCycle | None", self.cycle)  # None before the first request, whatever its type says
        return cycle is None or cycle.response_complete

    def _is_next_answer(self) -> bool:
        """Whether what is written now is the answer to the request that is being received."""
        if self._is_answered():
            return True
        is_own = self.scope is self.cycle.scope  # else the cycle is that of an earlier request
        return is_own and not self.pipeline and not self.cycle.response_started

    def _start_timer(self) -> None:
        self._stop_timer()
        self._timer = self.loop.call_later(self._shared.max_wait_s, self._give_up)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _give_up(self) -> None:
        """Close a connection whose request takes too long, or that was opened and not used."""
        if self._part is not _NONE:
            self._shared.count(HTTPStatus.REQUEST_TIMEOUT)
        self.transport.close()

    def _release(self) -> None:
        self._shared.n_bytes -= self._n_held
        self._n_held = 0
