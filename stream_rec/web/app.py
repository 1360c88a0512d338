"""The application: the table of routes behind one way of parsing, checking keys, answering and failing.

An endpoint is called as plain ASGI, without request and response objects in between: they would take half of the time
that a recommendation takes.
"""

import logging
from collections.abc import Awaitable, Mapping
from typing import Any

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.routing import Match
from starlette.routing import Route as Path
from starlette.types import ASGIApp, Receive, Scope, Send

from stream_rec.web import operations
from stream_rec.web.context import _IS_RAW, Api
from stream_rec.web.endpoint import Endpoint
from stream_rec.web.errors import ApiError
from stream_rec.web.routes import ROUTES, Route

__all__ = ["make_app"]

log = logging.getLogger(__name__)


def make_app(api: Api, origins: tuple[str, ...] = ()) -> ASGIApp:
    """The application over *api*. *origins* are those whose pages may call it from a browser."""
    paths = [_path(api, route) for route in _by_path(ROUTES)]
    middleware = []
    if origins:
        allowed = Middleware(
            CORSMiddleware,
            allow_origins=list(origins),
            allow_methods=["GET", "POST", "DELETE"],
            allow_headers=["authorization", "content-type"],
        )
        middleware.append(allowed)
    if api.served.tracing is not None:
        from stream_rec.web.tracing import TracingMiddleware  # noqa: PLC0415  # imported only where it is on

        middleware.insert(0, Middleware(TracingMiddleware, provider=api.served.tracing.provider))
    app: ASGIApp = Starlette(
        routes=[*paths, *operations.paths(api)],
        middleware=middleware,
        exception_handlers={404: _no_such_path, 405: _no_such_method},
    )
    return _with_slashes_in_ids(app if middleware else _straight_to(paths, app))


def _straight_to(paths: list[Path], app: ASGIApp) -> ASGIApp:
    """Call the endpoint of a path of the API at once; *app* has what else there is, and says what there is not.

    Endpoints answer their own errors. What stands before them to catch any takes as long as all of an endpoint.
    """

    async def straight(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            for path in paths:
                match, found = path.matches(scope)
                if match is Match.FULL:
                    scope.update(found)
                    await path.app(scope, receive, send)
                    return
        await app(scope, receive, send)

    return straight


def _with_slashes_in_ids(app: ASGIApp) -> ASGIApp:
    """Let an escaped slash be a part of an id: servers hand paths on unescaped, where it would divide one."""

    async def wrapped(scope: Scope, receive: Receive, send: Send) -> None:
        raw: bytes = scope.get("raw_path") or b""
        if b"%2F" in raw or b"%2f" in raw:
            scope = {**scope, "path": raw.decode("ascii"), _IS_RAW: True}
        await app(scope, receive, send)

    return wrapped


def _by_path(routes: tuple[Route, ...]) -> list[list[Route]]:
    """Routes of one path stand together: the method decides among them."""
    grouped: dict[str, list[Route]] = {}
    for route in routes:
        grouped.setdefault(route.path, []).append(route)
    return list(grouped.values())


def _path(api: Api, routes: list[Route]) -> Path:
    endpoints: Mapping[str, Endpoint] = {route.method: Endpoint(api, route) for route in routes}
    return Path(routes[0].path, _Methods(endpoints), methods=list(endpoints))


class _Methods:
    """An application for each method of a path."""

    def __init__(self, endpoints: Mapping[str, Endpoint]) -> None:
        self._endpoints = endpoints

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        method = scope["method"]
        return self._endpoints["GET" if method == "HEAD" else method](scope, receive, send)


async def _no_such_path(request: Any, error: Exception) -> Any:  # noqa: ANN401  # Starlette's own
    del error
    return operations.failed(ApiError(404, "no_such_path", f"there is no {request.url.path}: see /docs"))


async def _no_such_method(request: Any, error: Exception) -> Any:  # noqa: ANN401  # Starlette's own
    headers = getattr(error, "headers", None)
    message = f"{request.url.path} takes no {request.method}: see /docs"
    return operations.failed(ApiError(405, "no_such_method", message, headers=headers))
