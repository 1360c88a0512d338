"""Bytes -> requests for recommendations.

An event is written for others too, a request for stream-rec alone: so an unknown field is a mistake, and the error
names it. Knows nothing of presets and sessions; it checks that expressions can be parsed, and no more.
"""

from collections.abc import Callable, Mapping
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta

from stream_rec.core.bounds import MAX_BOOSTS, BoostFactor, UpTo10000
from stream_rec.core.events.types import Reason, Request
from stream_rec.core.events.values import found, identifier
from stream_rec.core.expressions import MAX_CHARS, ExpressionError, parse
from stream_rec.errors import DecodeError

__all__ = ["RequestDecoder"]

_Id = str | int
# The limits of the settings of the same names.
_UpToMillion = Annotated[int, Meta(ge=1, le=1_000_000)]
_TtlMs = Annotated[int, Meta(ge=0, le=1 << 50)]
_ExpressionText = Annotated[str, Meta(min_length=1, max_length=MAX_CHARS)]
_Boosts = Annotated[dict[_ExpressionText, BoostFactor], Meta(max_length=MAX_BOOSTS)]


# Of the same name as the web's: the OpenAPI document shows it.
class RequestFields(msgspec.Struct, frozen=True, forbid_unknown_fields=True, gc=False):
    """A request as it is written: for a session, for `items`, or both."""

    request_id: _Id | None = None
    session_id: _Id | None = None
    items: list[_Id] | None = None
    n: UpTo10000 | None = None
    exclude: list[_Id] | None = None
    m: _UpToMillion | None = None
    k: _UpToMillion | None = None
    last: UpTo10000 | None = None
    seen: Literal["keep", "drop-current", "drop-session"] | None = None
    preset: str | None = None
    fallbacks: bool | None = None
    ttl_ms: _TtlMs | None = None
    model: str | None = None
    filter: _ExpressionText | None = None
    allow: list[_Id] | None = None
    same_category: bool | None = None
    max_per_category: UpTo10000 | None = None
    boost: _Boosts | None = None
    explain: bool | None = None
    hide_sessions: bool | None = None
    rerank: Literal["auto", "off", "linear", "hidden"] | None = None


_READ: Final[Callable[[bytes], RequestFields]] = msgspec.json.Decoder(RequestFields).decode


class RequestDecoder:
    """Reads requests. Keeps no state between them, so threads may share one.

    >>> from stream_rec import RequestDecoder
    >>> RequestDecoder().decode(b'{"session_id": "ann", "n": 3}').n
    3
    """

    fields: type[msgspec.Struct] = RequestFields
    """The fields of a request, with their limits."""

    def __init__(self, *, max_id_chars: int = 512, max_record_bytes: int = 1 << 20) -> None:
        self._max_id_chars = max_id_chars
        self._max_record_bytes = max_record_bytes

    def decode(self, data: bytes) -> Request:
        """Return the request in one JSON object. Raises DecodeError."""
        if len(data) > self._max_record_bytes:
            raise DecodeError(
                Reason.TOO_LARGE,
                f"expected at most {self._max_record_bytes} bytes, found {len(data)}",
            )
        try:
            wire = _READ(data)
        except (ValueError, RecursionError) as error:
            raise _diagnosed(data, error) from None
        return self._request(wire)

    def convert(self, fields: Mapping[str, object], *, strict: bool = True) -> Request:
        """Return the request in *fields*; unless *strict*, numbers and switches may be text.

        Raises msgspec.ValidationError; and DecodeError, as `decode` does, for errors that no type expresses.
        """
        return self._request(msgspec.convert(fields, RequestFields, strict=strict))

    def _request(self, wire: RequestFields) -> Request:
        if wire.session_id is None and wire.items is None:
            raise DecodeError(Reason.MISSING_FIELD, "session_id: expected, or items, to know what to answer")
        items = None if wire.items is None else self._ids("items", wire.items)
        if wire.filter is not None:
            _check("filter", wire.filter)
        for i, text in enumerate(wire.boost or ()):
            _check(f"boost[{i}]", text)
        return Request(
            self._id("request_id", wire.request_id),
            self._id("session_id", wire.session_id),
            items,
            wire.n,
            self._ids("exclude", wire.exclude or []),
            wire.m,
            wire.k,
            wire.last,
            wire.seen,
            wire.preset,
            wire.fallbacks,
            wire.ttl_ms,
            wire.model,
            wire.filter,
            None if wire.allow is None else self._ids("allow", wire.allow),
            wire.same_category,
            wire.max_per_category,
            wire.boost,
            explain=bool(wire.explain),
            hide_sessions=bool(wire.hide_sessions),
            rerank=wire.rerank,
        )

    def _id(self, name: str, value: _Id | None) -> str | None:
        return None if value is None else identifier(name, value, self._max_id_chars)

    def _ids(self, name: str, values: list[_Id]) -> tuple[str, ...]:
        return tuple(identifier(f"{name}[{i}]", value, self._max_id_chars) for i, value in enumerate(values))


def _check(name: str, text: str) -> None:
    try:
        parse(text)
    except ExpressionError as error:
        raise DecodeError(Reason.WRONG_TYPE, f"{name}: {error}") from None


def _diagnosed(data: bytes, error: Exception) -> DecodeError:
    try:
        data.decode()
        record: Any = msgspec.json.decode(data)
    except UnicodeDecodeError as not_text:
        return DecodeError(Reason.NOT_UTF8, f"byte {not_text.start} is not UTF-8 ({not_text.reason})")
    except (ValueError, RecursionError) as not_json:
        return DecodeError(Reason.NOT_JSON, str(not_json))
    if not isinstance(record, dict):
        return DecodeError(Reason.WRONG_TYPE, f"expected a JSON object, found {found(record)}")
    unknown = sorted(record.keys() - set(RequestFields.__struct_fields__))
    if unknown:
        return DecodeError(
            Reason.UNKNOWN_FIELD,
            f"{found(unknown[0])} is not a field of a request; there are {', '.join(RequestFields.__struct_fields__)}",
        )
    # msgspec's own words name the field, what was expected and what was found.
    return DecodeError(Reason.WRONG_TYPE, str(error))
