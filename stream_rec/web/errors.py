"""Errors over HTTP: their one shape, and the status and code for each error of the service."""

import re
from collections.abc import Mapping
from typing import Final

import msgspec

from stream_rec.errors import (
    DecodeError,
    RecordTooLargeError,
    SettingsError,
    StreamRecError,
    TransportError,
)
from stream_rec.service.requests.request_queue import BusyError, NotServedError, NotTakenError

__all__ = ["ApiError", "Problem", "encode_error", "translated"]

_OUT_OF_RANGE: Final = re.compile("Expected `(?:int|float)` [<>]=? ")
"""What msgspec says of a number that has the right type and a wrong size."""


class Problem(msgspec.Struct, frozen=True, omit_defaults=True):
    """What went wrong: a code for programs, a message for people, and the field it is about."""

    code: str
    message: str
    field: str | None = None


class ErrorBody(msgspec.Struct, frozen=True):
    """The body of every answer that is not a success."""

    error: Problem


class ApiError(Exception):
    """An error to answer with: a status, a problem, and headers."""

    def __init__(
        self, status: int, code: str, message: str, field: str | None = None, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.problem = Problem(code, message, field)
        self.headers = headers or {}

    @classmethod
    def of_validation(cls, error: msgspec.ValidationError, where: str = "") -> "ApiError":
        """Return the error for a value that does not fit its type: msgspec says what was expected, and where."""
        message, _, place = str(error).partition(" - at `$")
        field = (where + place.rstrip("`")).lstrip(".")
        named = re.search("field `([^`]*)`", message)
        code = "out_of_range" if _OUT_OF_RANGE.match(message) else "wrong_type"
        if named is not None:
            code = "unknown_field" if "unknown" in message else "missing_field"
            field = f"{field}.{named[1]}" if field else named[1]
        return cls(422, code, message, field)

    def at(self, where: str) -> "ApiError":
        """Return the error with its field as one of the object at the place *where*."""
        field = f"{where}.{self.problem.field}" if self.problem.field else where
        return ApiError(self.status, self.problem.code, self.problem.message, field, self.headers)


_AGAIN: Final = {"retry-after": "1"}
_LATER: Final[Mapping[type[StreamRecError], str]] = {
    BusyError: "overloaded",
    NotServedError: "not_ready",
    NotTakenError: "not_written",
}


def translated(error: BaseException) -> ApiError:
    """Return the HTTP error for *error*."""
    if isinstance(error, ApiError):
        return error
    match error:
        case SettingsError():
            return ApiError(422, "out_of_range", error.message.removeprefix(f"{error.key}: "), error.key)
        case DecodeError():
            return ApiError(422, str(error.reason), error.message)
        case BusyError() | NotServedError() | NotTakenError():
            return ApiError(503, _LATER[type(error)], error.message, headers=_AGAIN)
        case RecordTooLargeError():
            return ApiError(413, "too_large", error.message)
        case TransportError():
            message = f"{error.message}; some events may have been written: send all again, with the same event_id"
            return ApiError(503, "not_written", message, headers=_AGAIN)
        case StreamRecError():
            return ApiError(500, "failed", error.message)
    return ApiError(500, "internal", "internal error: see the log of the service")


_ENCODE: Final = msgspec.json.Encoder().encode


def encode_error(problem: Problem) -> bytes:
    """Return the body for *problem*."""
    return _ENCODE(ErrorBody(problem))
