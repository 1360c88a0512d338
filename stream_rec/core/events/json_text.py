"""JSON as bytes -> objects and arrays, with numbers exact. Says what is wrong with other bytes.

Knows nothing of events.
"""

from collections.abc import Callable
from decimal import Decimal
from typing import Any, Final, TypeVar

import msgspec

from stream_rec.core.events.types import Reason
from stream_rec.errors import DecodeError

__all__ = ["elements_in", "object_in", "read_exactly"]

Read = TypeVar("Read")


def read_exactly(data: bytes) -> object:
    """Return what *data* says in JSON, with numbers exact: whole ones as int, others as Decimal. Raises ValueError."""
    return _READ_EXACTLY(data)


def object_in(data: bytes) -> dict[str, object]:
    """Return the object that *data* is. Raises DecodeError."""
    record = _read(data, read_exactly)
    if not isinstance(record, dict):
        raise DecodeError(Reason.WRONG_TYPE, f"expected a JSON object, found {_kind(data.lstrip())}")
    return record


def elements_in(data: bytes) -> list[msgspec.Raw]:
    """Return the elements of the array that *data* is. Raises DecodeError."""
    elements = _read(data, _read_elements)
    if not elements:
        raise DecodeError(Reason.NOT_AN_EVENT, "an empty array: there is no element, and so no event")
    return elements


def _read(data: bytes, read: Callable[[bytes], Read]) -> Read:
    """Return what *read* makes of *data*. Raises DecodeError where that is not UTF-8 or not JSON."""
    try:
        data.decode()
        return read(data)
    except UnicodeDecodeError as error:
        raise DecodeError(Reason.NOT_UTF8, f"byte {error.start} is not UTF-8 ({error.reason})") from None
    except (ValueError, RecursionError) as error:
        raise DecodeError(Reason.NOT_JSON, str(error)) from None


def _kind(data: bytes) -> str:
    names = {"[": "an array", '"': "a text", "t": "true", "f": "false", "n": "null"}
    return names.get(chr(data[0]), "a number")


def _decimal(text: str) -> Any:  # noqa: ANN401  # msgspec's hook
    try:
        return Decimal(text)
    except ArithmeticError:  # an exponent beyond what even a Decimal holds
        return Decimal("Infinity")


_READ_EXACTLY: Final = msgspec.json.Decoder(float_hook=_decimal).decode
_read_elements: Final = msgspec.json.Decoder(list[msgspec.Raw]).decode
