"""The application: mounts the routes and adds what surrounds them (CORS, tracing, errors of unknown paths)."""

import logging
from collections.abc import Awaitable, Mapping
from typing import Any, Final

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.routing import Match
from starlette.routing import Route as Path
from starlette.types import ASGIApp, Receive, Scope, Send

from stream_rec.web import operations
from stream_rec.web.context import IS_RAW, Api
from stream_rec.web.endpoint import Endpoint
from stream_rec.web.errors import ApiError
from stream_rec.web.routes import ROUTES, Route

__all__ = ["make_app"]

log = logging.getLogger(__name__)

_HEALTH_ELSEWHERE: Final = frozenset(
    {"health", "healthz", "health/live", "health/ready", "live", "ready", "ping", "status"}
)
"""Where other services have what is at /livez and /readyz."""


def make_app(api: Api, origins: tuple[str, ...] = ()) -> ASGIApp:
    """Return the application over *api*. Pages of *origins* may call it from a browser."""
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
    if api.service.tracing is not None:
        from stream_rec.web.tracing import TracingMiddleware  # noqa: PLC0415  # imported only if tracing is on

        middleware.insert(0, Middleware(TracingMiddleware, provider=api.service.tracing.provider))
    app: ASGIApp = Starlette(
        routes=[*paths, *operations.paths(api)],
        middleware=middleware,
        exception_handlers={404: _no_such_path, 405: _no_such_method},
    )
    return _with_slashes_in_ids(app if middleware else _straight_to(paths, app))


def _straight_to(paths: list[Path], app: ASGIApp) -> ASGIApp:
    """Call endpoints of the API directly; leave every other path, known or not, to *app*.

    Starlette's layers that catch errors take as long as a whole endpoint, and endpoints answer their own errors.
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
    """Let an escaped slash be a part of an id.

    Servers unescape a path before they pass it on, and an unescaped slash would split the id.
    """

    async def wrapped(scope: Scope, receive: Receive, send: Send) -> None:
        raw: bytes = scope.get("raw_path") or b""
        if b"%2F" in raw or b"%2f" in raw:
            scope = {**scope, "path": raw.decode("ascii"), IS_RAW: True}
        await app(scope, receive, send)

    return wrapped


def _by_path(routes: tuple[Route, ...]) -> list[list[Route]]:
    """Group the routes by path: within a path the method decides."""
    grouped: dict[str, list[Route]] = {}
    for route in routes:
        grouped.setdefault(route.path, []).append(route)
    return list(grouped.values())


def _path(api: Api, routes: list[Route]) -> Path:
    endpoints: Mapping[str, Endpoint] = {route.method: Endpoint(api, route) for route in routes}
    return Path(routes[0].path, _Methods(endpoints), methods=list(endpoints))


class _Methods:
    """One path as an ASGI application: passes a request to the endpoint of its method."""

    def __init__(self, endpoints: Mapping[str, Endpoint]) -> None:
        self._endpoints = endpoints

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        method = scope["method"]
        return self._endpoints["GET" if method == "HEAD" else method](scope, receive, send)


async def _no_such_path(request: Any, error: Exception) -> Any:  # noqa: ANN401  # Starlette's own
    del error
    path = request.url.path
    is_health = path.strip("/").lower() in _HEALTH_ELSEWHERE
    where = "see /livez (the process is alive) and /readyz (it answers)" if is_health else "see /docs"
    return operations.failed(ApiError(404, "no_such_path", f"there is no path {path}: {where}"))


async def _no_such_method(request: Any, error: Exception) -> Any:  # noqa: ANN401  # Starlette's own
    headers = getattr(error, "headers", None)
    message = f"{request.url.path} does not take {request.method}: see /docs"
    return operations.failed(ApiError(405, "no_such_method", message, headers=headers))
