"""Single values of a record: ids, and how messages show a wrong value. Shared by events and requests."""

from decimal import Decimal
from typing import Final

from stream_rec.core.events.types import Reason
from stream_rec.errors import DecodeError

__all__ = ["found", "identifier"]

_SHOWN_CHARS: Final = 40


def found(value: object) -> str:
    """Return *value* as messages show it: short, and in the words of JSON."""
    match value:
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case str():
            clipped = value[:_SHOWN_CHARS]
            return ascii(clipped) + ("..." if len(value) > _SHOWN_CHARS else "")
        case list() | tuple():
            return "an array"
        case dict():
            return "an object"
        case int() | float() | Decimal():
            return f"the number {_number(value)}"
    return f"a {type(value).__name__}"


def identifier(name: str, value: object, max_chars: int) -> str:
    """Return the text of an id. A whole number gives its decimal text: many logs number their items."""
    if type(value) is int or (isinstance(value, Decimal) and value.as_tuple().exponent == 0):
        value = str(value)  # the parser limits the digits of an int, so this is fast and cannot fail
    if type(value) is not str:
        raise DecodeError(Reason.WRONG_TYPE, f"{name}: expected text or a whole number, found {found(value)}")
    if not value:
        raise DecodeError(Reason.EMPTY_ID, f"{name}: expected an id, found an empty text")
    if len(value) > max_chars:
        raise DecodeError(
            Reason.TOO_LARGE,
            f"{name}: expected at most {max_chars} characters, found {len(value)}",
        )
    if not value.isascii():
        _refuse_surrogates(name, value)
    return value


def _refuse_surrogates(name: str, value: str) -> None:
    """Refuse half a surrogate pair: Python accepts it as text, but it has no UTF-8, so no answer could hold it."""
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise DecodeError(Reason.NOT_UTF8, f"{name}: character {error.start} is half a surrogate pair") from None


def _number(value: float | Decimal) -> str:
    text = str(value)
    return text if len(text) <= _SHOWN_CHARS else text[:_SHOWN_CHARS] + "..."
