"""Single values of a record: ids, and how messages show a wrong value. Shared by events and requests."""

import re
from decimal import Decimal
from typing import Final

from stream_rec.core.events.types import Reason
from stream_rec.errors import DecodeError

__all__ = ["NULL_TEXTS", "check_text_id", "found", "identifier", "may_hold_null_text", "null_id"]

NULL_TEXTS: Final = frozenset({"\\N", "NULL", "NaN", "None", "null", "undefined", "ᴺᵁᴸᴸ"})
"""What tools write where a value is missing: as an id, it would make all such visitors one."""

_WITH_N: Final = (b'NULL"', b'NaN"', b'None"')

_LENIENT: Final = "accept it with --lenient-ids (in Python: lenient_ids=True)"

# pandas writes a column of whole numbers with gaps as 123.0, and Excel a long number as 4.50365E+15.
_FLOAT: Final = re.compile(r"-?[0-9]+\.0")
_EXPONENT: Final = re.compile(r"-?[0-9](?:[.,][0-9]+)?[eE]\+[0-9]+")

_SHOWN_CHARS: Final = 40
_EXACT: Final = 1 << 63
"""Smaller floats are made whole in no time."""
_AS_WHOLE: Final = "write it as one (in pandas: .astype('Int64'))"


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
    if type(value) is not str and (
        type(value) is int or (isinstance(value, Decimal) and value.as_tuple().exponent == 0)
    ):
        value = str(value)  # the parser limits the digits of an int, so this is fast and cannot fail
    if type(value) is not str:
        advice = f": a whole number written as a float, so {_AS_WHOLE}" if _is_whole_float(value) else ""
        raise DecodeError(Reason.WRONG_TYPE, f"{name}: expected text or a whole number, found {found(value)}{advice}")
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


def _is_whole_float(value: object) -> bool:
    if isinstance(value, Decimal):
        return value.is_finite() and abs(value) < _EXACT and value == int(value)
    return isinstance(value, float) and abs(value) < _EXACT and value == int(value)


def may_hold_null_text(data: bytes) -> bool:
    """Whether a text in *data*, which is JSON, may be one of NULL_TEXTS; mostly a few scans of the bytes deny it."""
    if b"\\" in data or not data.isascii():  # escapes may spell any of them
        return True
    # A single byte is looked for at a hundred times the speed, and no name of a field has an l, an f or an N.
    return (
        (b"l" in data and b'null"' in data)
        or (b"f" in data and b'undefined"' in data)
        or (b"N" in data and any(each in data for each in _WITH_N))
    )


def null_id(name: str, value: str) -> DecodeError:
    """Return why *value*, one of NULL_TEXTS, is no id."""
    message = f"{name}: {found(value)} stands for nothing: as an id, it would join all events that have none"
    return DecodeError(Reason.NULL_ID, f"{message}; where it is an id, {_LENIENT}")


def check_text_id(name: str, value: str) -> None:
    """Refuse the text of an id in a table that a tool has written as a float. Raises DecodeError."""
    if value[-2:] == ".0" and _FLOAT.fullmatch(value):
        message = f"is a whole number written as a float: {_AS_WHOLE}"
    elif "+" in value and _EXPONENT.fullmatch(value):
        message = "has lost digits: format the column as text or with all digits, and export it again"
    else:
        return
    raise DecodeError(Reason.WRONG_TYPE, f"{name}: {found(value)} {message}; or {_LENIENT}")


def _refuse_surrogates(name: str, value: str) -> None:
    """Refuse half a surrogate pair: Python accepts it as text, but it has no UTF-8, so no answer could hold it."""
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise DecodeError(Reason.NOT_UTF8, f"{name}: character {error.start} is half a surrogate pair") from None


def _number(value: float | Decimal) -> str:
    text = str(value)
    return text if len(text) <= _SHOWN_CHARS else text[:_SHOWN_CHARS] + "..."
