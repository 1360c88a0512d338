"""The body of a call: read within its limit, unpacked, without a byte order mark, and decoded from JSON.

Knows nothing of what is in it.
"""

import zlib
from collections.abc import Callable
from typing import Any, Final, NamedTuple

import msgspec
from starlette.types import Receive

from stream_rec.web.errors import ApiError

__all__ = ["Body", "ClientGoneError", "decode_body", "read_body"]

Headers = list[tuple[bytes, bytes]]

_BOM: Final = b"\xef\xbb\xbf"
_GZIP: Final = b"\x1f\x8b"  # no JSON begins like this, so a client may leave out the header that says so
_GZIP_NAMES: Final = frozenset({"gzip", "x-gzip"})
_LINES: Final = frozenset(
    {"application/x-ndjson", "application/ndjson", "application/jsonl", "application/jsonlines", "application/x-jsonl",
     "application/x-jsonlines", "application/json-lines", "application/stream+json"}
)  # fmt: skip
_WITH_HEADER: Final = 31  # zlib's number for the format of gzip with the largest window


class ClientGoneError(Exception):
    """The client has closed its connection."""


class Body(NamedTuple):
    """What an endpoint gets that reads its body itself."""

    data: bytes
    media_type: str
    """In lower case, without parameters; empty if the client does not say."""

    @property
    def is_lines(self) -> bool:
        """Whether it says that it has an object on each line."""
        return self.media_type in _LINES

    def lines(self) -> list[bytes]:
        """Return its lines, without empty ones."""
        return [line for line in self.data.splitlines() if line and not line.isspace()]


def decode_body(decode: Callable[[bytes], Any], data: bytes, where: str | None = None) -> Any:  # noqa: ANN401  # of the decoder's type
    """Return *data*, a body or its part at *where*, decoded. Raises ApiError if it is not JSON, and ValidationError."""
    try:
        return decode(data)
    except msgspec.ValidationError:
        raise
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        what = "the body" if where is None else "the line"
        raise ApiError(400, "not_json", f"{what} is not JSON: {error}", where) from None


async def read_body(receive: Receive, headers: Headers, limit: int) -> Body:
    """Return the whole body, unpacked if it is gzip.

    Raises ApiError if it is longer than *limit*, packed or unpacked, or cannot be unpacked; ClientGoneError if it
    breaks off.
    """
    data = await _received(receive, limit)
    media_type = encoding = ""
    for name, value in headers:
        if name == b"content-type":
            media_type = value.decode("latin-1").partition(";")[0].strip().lower()
        elif name == b"content-encoding":
            encoding = value.decode("latin-1").strip().lower()
    if encoding in _GZIP_NAMES or data.startswith(_GZIP):
        data = _unpacked(data, limit)
    elif encoding not in {"", "identity"}:
        message = f"expected a body in gzip or unpacked, found the content-encoding {encoding[:40]!r}"
        raise ApiError(415, "unknown_encoding", message)
    return Body(data.removeprefix(_BOM), media_type)


async def _received(receive: Receive, limit: int) -> bytes:
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


def _unpacked(data: bytes, limit: int) -> bytes:
    """Return what the members of a gzip hold, one after the other; stops at *limit*, whatever they claim to hold."""
    parts, left = [], limit
    while data:
        member = zlib.decompressobj(_WITH_HEADER)
        try:
            part = member.decompress(data, left + 1)
        except zlib.error as error:
            raise ApiError(400, "not_gzip", f"the body is not gzip: {error}") from None
        left -= len(part)
        if left < 0:
            raise ApiError(413, "too_large", f"expected at most {limit} bytes, unpacked, found more")
        if not member.eof:
            raise ApiError(400, "not_gzip", "the body is not a whole gzip: it breaks off")
        parts.append(part)
        data = member.unused_data
    return b"".join(parts)
