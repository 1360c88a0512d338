"""What an endpoint works with: the API that it belongs to, and the call that it answers.

Knows nothing of routes, bodies on the wire, or how errors are encoded.
"""

import asyncio
from collections.abc import Mapping, Sequence
from time import perf_counter
from typing import Any, Final, NamedTuple

import msgspec

from stream_rec.core.events import Request
from stream_rec.service.handle import ServiceHandle
from stream_rec.web.bridge import Bridge
from stream_rec.web.errors import ApiError
from stream_rec.web.guard import OriginGuard
from stream_rec.web.keys import SCOPES, Keys
from stream_rec.web.meter import HttpMeter
from stream_rec.web.stats import Stats, StatsMaker

__all__ = ["Api", "Call", "CallLimits"]

_ENCODE: Final = msgspec.json.Encoder().encode
_EVERYTHING: Final = frozenset(SCOPES)


_FRESH_S: Final = 0.8

_MOST_EXPLAINED: Final = 20
_MOST_RULE_SETS: Final = 8
_IS_RAW: Final = "stream_rec.is_raw"


class CallLimits(msgspec.Struct, frozen=True):
    """How much one call may bring."""

    max_body_bytes: int = 1 << 20
    max_batch: int = 1000


class Api:
    """What all endpoints share. `open` it on the event loop that serves."""

    def __init__(
        self, served: ServiceHandle, keys: Keys, limits: CallLimits | None = None, guard: OriginGuard | None = None
    ) -> None:
        self.served = served
        self.keys = keys
        self.limits = limits or CallLimits()
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


class Call(NamedTuple):
    """One call."""

    api: "Api"
    path: Mapping[str, str]
    query: Any
    """Of the route's type; where that is the fields of a request, a mapping of what was given."""

    body: Any
    scopes: frozenset[str]
