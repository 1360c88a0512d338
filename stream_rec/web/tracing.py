"""A span for each HTTP request, in the caller's trace if its `traceparent` names one.

An ASGI middleware; knows nothing of endpoints. Imported only if tracing is on.
"""

from collections.abc import Container, Iterator
from contextlib import contextmanager
from typing import Final

from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace import Span, SpanKind, Status, StatusCode, use_span
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from stream_rec.web.meter import ENDPOINT

__all__ = ["UNTRACED", "TracingMiddleware"]

UNTRACED: Final = frozenset({"/livez", "/readyz", "/metrics"})
"""Paths that are called by machines, every few seconds."""

_FIRST_SERVER_ERROR: Final = 500
_NAMES: Final = TraceContextTextMapPropagator()


class TracingMiddleware:
    """Wraps the ASGI application *app*, which writes into the scope which endpoint answered."""

    def __init__(
        self,
        app: ASGIApp,
        provider: TracerProvider,
        untraced: Container[str] = UNTRACED,
    ) -> None:
        self._app = app
        self._tracer = provider.get_tracer("stream_rec.web")
        self._untraced = untraced

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve the request inside its span."""
        if scope["type"] != "http" or scope["path"] in self._untraced:
            await self._app(scope, receive, send)
            return
        with self._span(scope) as span:

            async def send_and_note(message: Message) -> None:
                if message["type"] == "http.response.start":
                    _note_status(span, message["status"])
                await send(message)

            try:
                await self._app(scope, receive, send_and_note)
            finally:
                if ENDPOINT in scope:
                    span.update_name(f"{scope['method']} {scope[ENDPOINT]}")
                    span.set_attribute("http.route", scope[ENDPOINT])

    @contextmanager
    def _span(self, scope: Scope) -> Iterator[Span]:
        carrier = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        span = self._tracer.start_span(
            scope["method"],
            context=_NAMES.extract(carrier),
            kind=SpanKind.SERVER,
            attributes={"http.request.method": scope["method"], "url.path": scope["path"]},
        )
        with use_span(span, end_on_exit=True, record_exception=True, set_status_on_exception=True):
            yield span


def _note_status(span: Span, status: int) -> None:
    span.set_attribute("http.response.status_code", status)
    if status >= _FIRST_SERVER_ERROR:
        span.set_status(Status(StatusCode.ERROR))
