"""Paths that are not about recommendations: health checks, metrics, the stream, documents, the dashboard's files."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles

from stream_rec.web import openapi
from stream_rec.web.context import encode_json
from stream_rec.web.errors import ApiError, encode_error
from stream_rec.web.keys import READ
from stream_rec.web.prometheus import Exposition, sources_of
from stream_rec.web.readiness import readiness

if TYPE_CHECKING:
    from stream_rec.web.context import Api

__all__ = ["failed", "paths"]

_STATIC: Final = Path(__file__).parent / "static"
_STREAM_EVERY_S: Final = 1.0
_HEADERS: Final = {
    # Our pages run only their own files, talk only to this server, and may not be framed.
    "content-security-policy": "default-src 'self'; img-src 'self' data: https:; frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cache-control": "no-cache",
}
_FRESH: Final = {"cache-control": "no-store"}


def failed(error: ApiError) -> Response:
    """Return *error* as a response."""
    body = encode_error(error.problem)
    return Response(body, error.status, headers=dict(error.headers), media_type="application/json")


def paths(api: "Api") -> list[BaseRoute]:
    """Return the routes of these paths."""

    async def livez(_: Request) -> Response:
        return PlainTextResponse("alive\n")

    async def readyz(request: Request) -> Response:
        found = readiness(api.service.status())
        status = 200 if found.ready else 503
        if "application/json" in request.headers.get("accept", ""):
            return Response(encode_json(found), status, headers=_FRESH, media_type="application/json")
        return PlainTextResponse("\n".join(found.lines()) + "\n", status, headers=_FRESH)

    async def stream(request: Request) -> Response:
        try:
            api.require((READ,), request.scope["headers"])
        except ApiError as error:
            return failed(error)
        headers = {"cache-control": "no-store", "x-accel-buffering": "no"}
        return StreamingResponse(_stream(api), media_type="text/event-stream", headers=headers)

    exposition = Exposition(sources_of(api.service, api.http))
    rendering = asyncio.Lock()

    async def metrics(request: Request) -> Response:
        try:
            api.require((READ,), request.scope["headers"])
        except ApiError as error:
            return failed(error)
        # On a thread of its own: it takes as long as about ten recommendations, and the loop would stop meanwhile. One
        # at a time, since many such threads would leave the loop little of the interpreter.
        async with rendering:
            text, kind = await asyncio.to_thread(exposition.render, request.headers.get("accept"))
        return Response(text, headers={"content-type": kind, "cache-control": "no-store"})

    return [
        Route("/livez", livez),
        Route("/metrics", metrics),
        Route("/readyz", readyz),
        Route("/v1/stream", stream),
        *_documents(),
        Mount("/static", _Files(directory=_STATIC)),
    ]


def _documents() -> list[BaseRoute]:
    """Return the routes of what is the same for all callers.

    It is encoded here, once: encoding the OpenAPI document takes as long as many recommendations, and all other calls
    would wait.
    """
    described = openapi.document()
    return [
        _constant("/openapi.json", msgspec.json.encode(described), "application/json", {}),
        _constant("/docs", (_STATIC / "docs.html").read_bytes()),
        _constant("/docs/plain", openapi.page(described).encode()),
        _constant("/", (_STATIC / "index.html").read_bytes()),
    ]


def _constant(path: str, body: bytes, kind: str = "text/html", headers: Mapping[str, str] = _HEADERS) -> Route:
    async def answer(_: Request) -> Response:
        return Response(body, media_type=kind, headers=dict(headers))

    return Route(path, answer)


async def _stream(api: "Api") -> AsyncIterator[bytes]:
    """Yield the figures of the last hour, and then those of now once a second, until the server stops.

    Each new point of the history is sent as well, so that all pages draw the same.
    """
    history = api.history
    n_sent = history.n_taken
    yield _block(b"history", history.encoded())
    while not api.over.is_set():
        if history.n_taken != n_sent:
            new, n_sent = history.since(n_sent), history.n_taken
            yield _block(b"history", msgspec.json.encode(new))
        yield _block(b"stats", api.encoded_stats())
        try:
            await asyncio.wait_for(api.over.wait(), _STREAM_EVERY_S)
        except TimeoutError:
            continue


def _block(name: bytes, data: bytes) -> bytes:
    return b"event: " + name + b"\ndata: " + data + b"\n\n"


class _Files(StaticFiles):
    """Static files with the headers of pages."""

    def file_response(self, *args: Any, **kwargs: Any) -> Response:  # noqa: ANN401  # Starlette's own
        """Add our headers."""
        response = super().file_response(*args, **kwargs)
        response.headers.update(_HEADERS)
        return response
