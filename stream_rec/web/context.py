"""What an endpoint works with: the API it belongs to, and the call it answers.

Knows nothing of routes, of bodies on the wire, or of how errors are encoded.
"""

import asyncio
from collections.abc import Mapping, Sequence
from time import monotonic, perf_counter
from typing import Any, Final, NamedTuple

import msgspec

from stream_rec.core.events import Request
from stream_rec.service.activity import Phase
from stream_rec.service.handle import ServiceHandle
from stream_rec.web.bridge import Bridge
from stream_rec.web.errors import ApiError
from stream_rec.web.guard import OriginGuard
from stream_rec.web.history import HistoryKeeper
from stream_rec.web.keys import SCOPES, Keys
from stream_rec.web.meter import HttpMeter
from stream_rec.web.stats import Stats, StatsMaker

__all__ = ["IS_RAW", "Api", "Call", "CallLimits", "Lines", "encode_json", "encode_lines"]

_ENCODER: Final = msgspec.json.Encoder()
encode_json: Final = _ENCODER.encode
encode_lines: Final = _ENCODER.encode_lines
IS_RAW: Final = "stream_rec.is_raw"
"""Set in a request's scope if its path is still escaped."""

_ALL_SCOPES: Final = frozenset(SCOPES)
_STATS_FRESH_S: Final = 0.8
_MOST_EXPLAINED: Final = 20
_MOST_RULE_SETS: Final = 8


class CallLimits(msgspec.Struct, frozen=True):
    """The limits of one call."""

    max_body_bytes: int = 1 << 20
    max_batch: int = 1000
    max_wait_s: float = 30.0
    """For the head of a request to arrive, and once more for its body."""

    @property
    def max_held_bytes(self) -> int:
        """What requests that are not answered yet may hold, all connections together: 64 of the longest bodies."""
        return 64 * self.max_body_bytes


class Api:
    """What all endpoints share. Call `open` on the event loop that serves, before anything else."""

    def __init__(
        self, service: ServiceHandle, keys: Keys, limits: CallLimits | None = None, guard: OriginGuard | None = None
    ) -> None:
        self.service = service
        self.keys = keys
        self.limits = limits or CallLimits()
        self._guard = guard
        self._encoded = (0.0, b"")
        self.http = HttpMeter()
        self.stats_maker = StatsMaker(service, self.http)
        self.history = HistoryKeeper()
        self.over: asyncio.Event
        """Set when the server is to stop: streams end."""
        self.bridge: Bridge

    def open(self, loop: asyncio.AbstractEventLoop) -> None:
        """Connect to the service from *loop*."""
        self.bridge = Bridge(self.service, loop)
        self.over = asyncio.Event()

    def tick(self) -> None:
        """Sample the figures. Call it about once a second, on the event loop."""
        self.stats_maker.tick()
        now = monotonic()
        if self.history.is_due(now):
            self.history.take(self.stats(), now)

    def stats(self) -> Stats:
        """Return the figures of now."""
        return self.stats_maker()

    def encoded_stats(self) -> bytes:
        """Return the figures as JSON, made about once a second however many streams send them."""
        now = perf_counter()
        if now - self._encoded[0] > _STATS_FRESH_S:
            self._encoded = (now, encode_json(self.stats()))
        return self._encoded[1]

    @property
    def is_ready(self) -> bool:
        """Whether the service answers."""
        return self.service.is_ready()

    def require_ready(self) -> None:
        """Raise ApiError if the service does not answer."""
        if not self.is_ready:
            doing = self.service.status().doing
            what = "" if doing is None or doing.phase is Phase.READY else f" ({doing.message})"
            raise ApiError(503, "not_ready", f"the service is not ready{what}: try again", headers={"retry-after": "1"})

    def refuse_too_many(self, n: int, field: str) -> None:
        """Raise ApiError if one call has more than `max_batch` of something."""
        if n > self.limits.max_batch:
            raise ApiError(413, "too_many", f"expected at most {self.limits.max_batch}, found {n}", field)

    @staticmethod
    def refuse_too_many_explained(n: int) -> None:
        """Raise ApiError if one call wants too many explanations: all other calls wait a millisecond for each."""
        if n > _MOST_EXPLAINED:
            raise ApiError(413, "too_many", f"expected at most {_MOST_EXPLAINED} with explain, found {n}", "requests")

    @staticmethod
    def refuse_too_many_rules(requests: Sequence[Request]) -> None:
        """Raise ApiError if one call has too many filters and boosts: each is tried on all items, and others wait."""
        n = len({(each.filter, *(each.boost or {}).items()) for each in requests if each.filter or each.boost})
        if n > _MOST_RULE_SETS:
            message = f"expected at most {_MOST_RULE_SETS} different filters and boosts in a call, found {n}"
            raise ApiError(413, "too_many", message, "requests")

    def scopes_of(self, headers: list[tuple[bytes, bytes]]) -> frozenset[str]:
        """Return the scopes granted by the API key in *headers*. Raises ApiError if it is missing or unknown."""
        if not self.keys:
            if self._guard is not None:
                self._guard(headers)
            return _ALL_SCOPES
        for name, value in headers:
            if name == b"authorization":
                kind, _, key = value.decode("latin-1").partition(" ")
                scopes = self.keys.scopes_of(key.strip()) if kind.lower() == "bearer" else None
                if scopes is not None:
                    return scopes
                raise ApiError(401, "unauthorized", "the key is unknown", headers={"www-authenticate": "Bearer"})
        message = "a key is needed: send it as `Authorization: Bearer KEY`"
        raise ApiError(401, "unauthorized", message, headers={"www-authenticate": "Bearer"})

    def require(self, needed: tuple[str, ...], headers: list[tuple[bytes, bytes]]) -> frozenset[str]:
        """Return the same scopes. Raises ApiError if one of *needed* is not among them."""
        scopes = self.scopes_of(headers)
        for scope in needed:
            if scope not in scopes:
                raise ApiError(403, "forbidden", f"this key may not do that: it lacks the scope {scope}")
        return scopes


class Call(NamedTuple):
    """One call."""

    api: "Api"
    path: Mapping[str, str]
    query: Any
    """Of the route's type; a mapping of the given fields where that type is `RequestFields`."""

    body: Any
    scopes: frozenset[str]


class Lines(NamedTuple):
    """What is to be encoded as a JSON object on each line."""

    values: list[Any]
