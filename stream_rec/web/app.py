"""The application: the table of routes behind one way of parsing, checking keys, answering and failing.

An endpoint is called as plain ASGI, without request and response objects in between: they would take half of the time
that a recommendation takes.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from time import perf_counter
from types import GenericAlias
from typing import Any, Final
from urllib.parse import parse_qsl, unquote

import msgspec
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.routing import Match
from starlette.routing import Route as Path
from starlette.types import ASGIApp, Receive, Scope, Send

from stream_rec.events import Request
from stream_rec.service.served import Served
from stream_rec.web import operations
from stream_rec.web.bridge import Bridge
from stream_rec.web.endpoints import Asked
from stream_rec.web.errors import ApiError, encode_error, translated
from stream_rec.web.guard import OriginGuard
from stream_rec.web.keys import SCOPES, Keys
from stream_rec.web.meter import ENDPOINT, HttpMeter
from stream_rec.web.routes import ROUTES, Route
from stream_rec.web.stats import Stats, StatsMaker

__all__ = ["Api", "Limits", "make_app"]

log = logging.getLogger(__name__)

_JSON: Final = (b"content-type", b"application/json")
_ENCODE: Final = msgspec.json.Encoder().encode
_EVERYTHING: Final = frozenset(SCOPES)
_CLIENT_GONE: Final = 499
_SERVER_FAULT: Final = 500
_MOST_PARAMETERS: Final = 1000
_FRESH_S: Final = 0.8
_LONGEST_ID: Final = 512
_MOST_EXPLAINED: Final = 20
_MOST_RULE_SETS: Final = 8
_IS_RAW: Final = "stream_rec.is_raw"
_NO_STORE: Final = (b"cache-control", b"no-store")


class Limits(msgspec.Struct, frozen=True):
    """How much one call may bring."""

    max_body_bytes: int = 1 << 20
    max_batch: int = 1000


class ClientGoneError(Exception):
    """Whoever asked has hung up."""


class Api:
    """What all endpoints share. `open` it on the event loop that serves."""

    def __init__(
        self, served: Served, keys: Keys, limits: Limits | None = None, guard: OriginGuard | None = None
    ) -> None:
        self.served = served
        self.keys = keys
        self.limits = limits or Limits()
        self._guard = guard
        self._encoded = (0.0, b"")
        self.http = HttpMeter()
        self.stats_maker = StatsMaker(served, self.http)
        self.over: asyncio.Event
        """Set when the server is asked to end: what streams, stops."""
        self.bridge: Bridge

    def open(self, loop: asyncio.AbstractEventLoop) -> None:
        """Begin to ask."""
        self.bridge = Bridge(self.served, loop)
        self.over = asyncio.Event()

    def stats(self) -> Stats:
        """How the service does."""
        return self.stats_maker()

    def encoded_stats(self) -> bytes:
        """The same as JSON, made once a second or so however many look at it."""
        now = perf_counter()
        if now - self._encoded[0] > _FRESH_S:
            self._encoded = (now, _ENCODE(self.stats()))
        return self._encoded[1]

    @property
    def is_ready(self) -> bool:
        """Whether it answers."""
        return self.served.is_ready()

    def require_ready(self) -> None:
        """Raise if it does not answer."""
        if not self.is_ready:
            raise ApiError(503, "not_ready", "the service recovers: ask again", headers={"retry-after": "1"})

    def refuse_too_many(self, n: int, field: str) -> None:
        """Raise if one call brings more than it may."""
        if n > self.limits.max_batch:
            raise ApiError(413, "too_many", f"expected at most {self.limits.max_batch}, found {n}", field)

    @staticmethod
    def refuse_too_many_explained(n: int) -> None:
        """Raise if one call wants more explained than others may wait for: each takes a millisecond or so."""
        if n > _MOST_EXPLAINED:
            raise ApiError(413, "too_many", f"expected at most {_MOST_EXPLAINED} with explain, found {n}", "requests")

    @staticmethod
    def refuse_too_many_rules(requests: Sequence[Request]) -> None:
        """Raise if one call brings more filters and boosts than others may wait for: each is tried on all items."""
        n = len({(each.filter, *(each.boost or {}).items()) for each in requests if each.filter or each.boost})
        if n > _MOST_RULE_SETS:
            message = f"expected at most {_MOST_RULE_SETS} different filters and boosts in a call, found {n}"
            raise ApiError(413, "too_many", message, "requests")

    def scopes_of(self, headers: list[tuple[bytes, bytes]]) -> frozenset[str]:
        """What who brings these headers may do. Raises ApiError for a key that is missing or unknown."""
        if not self.keys:
            if self._guard is not None:
                self._guard(headers)
            return _EVERYTHING
        for name, value in headers:
            if name == b"authorization":
                kind, _, key = value.decode("latin-1").partition(" ")
                scopes = self.keys.scopes_of(key.strip()) if kind.lower() == "bearer" else None
                if scopes is not None:
                    return scopes
                raise ApiError(401, "unauthorized", "the key is not known", headers={"www-authenticate": "Bearer"})
        message = "a key is needed: send it as `Authorization: Bearer KEY`"
        raise ApiError(401, "unauthorized", message, headers={"www-authenticate": "Bearer"})

    def require(self, needed: tuple[str, ...], headers: list[tuple[bytes, bytes]]) -> frozenset[str]:
        """The same, if all of *needed* is among it. Raises ApiError."""
        scopes = self.scopes_of(headers)
        for scope in needed:
            if scope not in scopes:
                raise ApiError(403, "forbidden", f"this key may not do that: it takes the scope {scope}")
        return scopes


class Endpoint:
    """One route as an ASGI application."""

    def __init__(self, api: Api, route: Route) -> None:
        self._api = api
        self._route = route
        self._decode = _body_decoder(route) if route.body else None
        fields = {field.name: field.type for field in msgspec.structs.fields(route.query)}
        self._lists = frozenset(name for name, kind in (fields | dict(route.more)).items() if _is_list(kind))
        self._known = (frozenset(fields) | frozenset(route.more)) - route.without
        self._gives_mapping = bool(route.more)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Parse, ask, encode; or say what is wrong."""
        api = self._api
        begun = perf_counter()
        scope[ENDPOINT] = self._route.path
        try:
            scopes = api.require(self._route.scopes, scope["headers"])
            api.require_ready()
            query = self._query(scope["query_string"])
            body = None if self._decode is None else self._decode(await _body(receive, api.limits.max_body_bytes))
            result = await self._route.handle(Asked(api, _path_of(scope), query, body, scopes))
            status, payload, headers = self._route.status, _ENCODE(result), [_JSON, _NO_STORE]
        except ClientGoneError:
            api.http.record(self._route.path, _CLIENT_GONE, perf_counter() - begun)
            return
        except msgspec.ValidationError as error:
            status, payload, headers = _failure(ApiError.of_validation(error))
        except Exception as error:  # whoever asked is told, and the log if it is our fault
            if not isinstance(error, ApiError) and translated(error).status == _SERVER_FAULT:
                log.exception("%s %s", scope["method"], self._route.path)
            status, payload, headers = _failure(translated(error))
        await _send(send, status, payload, headers)
        api.http.record(self._route.path, status, perf_counter() - begun)

    def _query(self, given: bytes) -> Any:  # noqa: ANN401  # of the route's type
        if not given:
            return {} if self._gives_mapping else self._route.query()
        fields: dict[str, Any] = {}
        if given.count(b"&") >= _MOST_PARAMETERS:
            raise ApiError(413, "too_many", f"expected at most {_MOST_PARAMETERS} parameters")
        for name, value in parse_qsl(given.decode("latin-1"), keep_blank_values=True):
            if name not in self._known:
                raise ApiError(422, "unknown_field", f"there is no parameter {name!r}", name)
            if name in self._lists:
                fields.setdefault(name, []).append(value)
            elif name in fields:
                raise ApiError(422, "wrong_type", "is given twice", name)
            else:
                fields[name] = value
        if not self._gives_mapping:
            return msgspec.convert(fields, self._route.query, strict=False)
        for name, kind in self._route.more.items():
            if name in fields:
                fields[name] = msgspec.convert(fields[name], kind, strict=False)
        return fields


def _path_of(scope: Scope) -> Mapping[str, str]:
    """The ids in the path. Raises ApiError for one that is none."""
    path: Mapping[str, str] = scope["path_params"]
    if _IS_RAW in scope:
        path = {name: unquote(value) for name, value in path.items()}
    for name, value in path.items():
        if len(value) > _LONGEST_ID:
            raise ApiError(422, "wrong_type", f"expected at most {_LONGEST_ID} characters", name)
    return path


def _is_list(kind: object) -> bool:
    """Whether a parameter of this type may come several times: a list, or none."""
    return isinstance(kind, GenericAlias) or any(
        isinstance(each, GenericAlias) for each in getattr(kind, "__args__", ())
    )


def _body_decoder(route: Route) -> Callable[[bytes], Any]:
    """Read JSON as the type that the endpoint wants. Raises ApiError, and msgspec.ValidationError."""
    decode = msgspec.json.Decoder(route.decoded).decode

    def read(data: bytes) -> Any:  # noqa: ANN401  # of the route's type
        try:
            return decode(data)
        except msgspec.ValidationError:
            raise
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise ApiError(400, "not_json", f"the body is not JSON: {error}") from None

    return read


async def _body(receive: Receive, limit: int) -> bytes:
    """The whole body, if it is not too long."""
    message = await receive()
    if message["type"] == "http.disconnect":
        raise ClientGoneError
    body: bytes = message.get("body", b"")
    if not message.get("more_body", False):
        if len(body) > limit:
            raise ApiError(413, "too_large", f"expected at most {limit} bytes, found {len(body)}")
        return body
    chunks, size = [body], len(body)
    while message.get("more_body", False):
        if size > limit:
            raise ApiError(413, "too_large", f"expected at most {limit} bytes, found more")
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientGoneError
        chunks.append(message.get("body", b""))
        size += len(chunks[-1])
    if size > limit:
        raise ApiError(413, "too_large", f"expected at most {limit} bytes, found {size}")
    return b"".join(chunks)


Headers = list[tuple[bytes, bytes]]


def _failure(error: ApiError) -> tuple[int, bytes, Headers]:
    more = [(name.encode(), value.encode()) for name, value in error.headers.items()]
    return error.status, encode_error(error.problem), [_JSON, _NO_STORE, *more]


async def _send(send: Send, status: int, payload: bytes, headers: Headers) -> None:
    length = (b"content-length", b"%d" % len(payload))
    await send({"type": "http.response.start", "status": status, "headers": [*headers, length]})
    await send({"type": "http.response.body", "body": payload})


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
