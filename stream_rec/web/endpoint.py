"""One call over HTTP: checks the key, reads query and body, calls the endpoint, encodes the answer or the error.

Plain ASGI, without request and response objects: they would take half as long as a recommendation. Knows nothing of
which endpoints there are.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping
from time import perf_counter
from types import GenericAlias
from typing import Any, Final
from urllib.parse import parse_qsl, unquote

import msgspec
from starlette.types import Receive, Scope, Send

from stream_rec.web.body import Body, ClientGoneError, decode_body, read_body
from stream_rec.web.context import IS_RAW, Api, Call, Lines, encode_json, encode_lines
from stream_rec.web.errors import ApiError, encode_error, translated
from stream_rec.web.meter import ENDPOINT
from stream_rec.web.routes import Route

__all__ = ["Endpoint"]

log = logging.getLogger(__name__)

_CLIENT_GONE: Final = 499
_SERVER_FAULT: Final = 500
_MOST_PARAMETERS: Final = 1000
_LONGEST_ID: Final = 512
_JSON: Final = (b"content-type", b"application/json")
_NDJSON: Final = (b"content-type", b"application/x-ndjson")
_NO_STORE: Final = (b"cache-control", b"no-store")


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
        """Parse the call, answer it, encode the answer; or encode what is wrong with it."""
        api = self._api
        begun = perf_counter()
        scope[ENDPOINT] = self._route.path
        try:
            scopes = api.require(self._route.scopes, scope["headers"])
            if self._route.needs_ready:
                api.require_ready()
            query = self._query(scope["query_string"])
            body = (
                None
                if self._decode is None
                else self._decode(await read_body(receive, scope["headers"], api.limits.max_body_bytes))
            )
            result = await self._route.handle(Call(api, _path_of(scope), query, body, scopes))
            status = self._route.status
            payload, headers = (
                (encode_lines(result.values), [_NDJSON, _NO_STORE])
                if isinstance(result, Lines)
                else (encode_json(result), [_JSON, _NO_STORE])
            )
        except asyncio.CancelledError:  # the server stops, and has waited long enough
            status, payload, headers = _failure(
                ApiError(503, "not_ready", "the service is stopping", headers={"retry-after": "1"})
            )
        except ClientGoneError:
            api.http.record(self._route.path, _CLIENT_GONE, perf_counter() - begun)
            return
        except msgspec.ValidationError as error:
            status, payload, headers = _failure(ApiError.of_validation(error))
        except Exception as error:  # the caller gets the error; the log gets it too if the fault is ours
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
                fields[name] = _converted(name, fields[name], kind)
        return fields


def _converted(name: str, value: str, kind: object) -> object:
    """Return the parameter *name* as its type. Raises ApiError."""
    try:
        return msgspec.convert(value, kind, strict=False)
    except msgspec.ValidationError as error:
        raise ApiError.of_validation(error, name) from None


def _path_of(scope: Scope) -> Mapping[str, str]:
    """Return the ids in the path. Raises ApiError for one that is too long."""
    path: Mapping[str, str] = scope["path_params"]
    if IS_RAW in scope:
        path = {name: unquote(value) for name, value in path.items()}
    for name, value in path.items():
        if len(value) > _LONGEST_ID:
            raise ApiError(422, "wrong_type", f"expected at most {_LONGEST_ID} characters", name)
    return path


def _is_list(kind: object) -> bool:
    """Whether a parameter of this type is a list, and so may be given several times."""
    return isinstance(kind, GenericAlias) or any(
        isinstance(each, GenericAlias) for each in getattr(kind, "__args__", ())
    )


def _body_decoder(route: Route) -> Callable[[Body], Any]:
    """Return a function that reads JSON as the type of the route; it raises ApiError and msgspec.ValidationError.

    Of a route that reads its body itself, the function returns it as it is.
    """
    if route.decoded is Body:
        return lambda body: body
    decode = msgspec.json.Decoder(route.decoded).decode
    return lambda body: decode_body(decode, body.data)


Headers = list[tuple[bytes, bytes]]


def _failure(error: ApiError) -> tuple[int, bytes, Headers]:
    more = [(name.encode(), value.encode()) for name, value in error.headers.items()]
    return error.status, encode_error(error.problem), [_JSON, _NO_STORE, *more]


async def _send(send: Send, status: int, payload: bytes, headers: Headers) -> None:
    length = (b"content-length", b"%d" % len(payload))
    await send({"type": "http.response.start", "status": status, "headers": [*headers, length]})
    await send({"type": "http.response.body", "body": payload})
