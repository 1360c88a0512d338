"""One record of a catalogue -> one item. An error names the field, what was expected and what was found.

The cells of tables hold only text, so numbers, yes and no, and lists are also read from text. What can be read of a
record holds, and an availability that cannot be read is "no": a mistake in a record must not offer what is sold out.
"""

import math
import re
from collections.abc import Callable, Mapping
from itertools import islice
from typing import Any, Final, NamedTuple

import msgspec

from stream_rec.core.events import Reason, found, identifier, time_reader
from stream_rec.errors import DecodeError

__all__ = ["NUMBER", "CatalogueItem", "Fault", "ReadItem", "Scalar", "read_item"]

Scalar = str | float | bool
Fault = DecodeError

_MAX_ID_CHARS: Final = 512
_MAX_OTHERS: Final = 200
NUMBER: Final = re.compile(r"[-+]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][-+]?\d{1,3})?")
_IDS: Final = ("item_id", "id")
# Also the values of schema.org's ItemAvailability and of Google Merchant, without what divides their words. What can
# be ordered, if only for later, is available.
_YES: Final = frozenset(
    {"true", "t", "yes", "y", "1", "1.0", "available", "instock", "limitedavailability", "onlineonly", "instoreonly"}
    | {"preorder", "presale", "backorder", "madetoorder"}
)
_NO: Final = frozenset(
    {"false", "f", "no", "n", "0", "0.0", "unavailable", "notavailable", "outofstock", "soldout", "discontinued"}
    | {"reserved"}
)
_NAMESPACE: Final = re.compile(r"^(?:https?://(?:www\.)?schema\.org/|schema:)")
_DIVIDES_WORDS: Final = re.compile(r"(?<=[a-z])[\s_-]+(?=[a-z])")
_AVAILABILITIES: Final = ("available", "availability")
_TIME: Final = time_reader("auto")


class CatalogueItem(msgspec.Struct, frozen=True):
    """An item of the catalogue. Without a value for availability it is available.

    >>> from stream_rec import CatalogueItem
    >>> CatalogueItem("tent", title="Tent for two", category="tents", price=99.0, others={"colour": "green"}).available
    True
    """

    id: str
    title: str | None = None
    category: str | None = None
    available: bool = True
    tags: tuple[str, ...] = ()
    price: float | None = None
    image: str | None = None
    others: dict[str, Scalar | tuple[Scalar, ...]] | None = None
    """All other fields, for filters."""

    listed_at: int | None = None
    """When it was first offered, in milliseconds since 1970 (UTC): decides which items are the newest."""


class ReadItem(NamedTuple):
    """What could be read of a record."""

    item: CatalogueItem
    fault: Fault | None
    """The first field that could not be read, None if all could; the item is without these fields."""


def read_item(record: Mapping[str, object], key: str | None = None) -> ReadItem:
    """Return the item of a JSON object or of a row of a table; *key* is its id if the record has none.

    It is available unless `available` or `availability` says no, or cannot be read. Raises DecodeError if it is not
    known which item it is.
    """
    named = next((record[name] for name in _IDS if not _is_missing(record.get(name))), key)
    if _is_missing(named):
        raise DecodeError(Reason.MISSING_FIELD, "id (or item_id): expected, found nothing")
    item_id = identifier("id", named, _MAX_ID_CHARS)
    values, faults = _values(record)
    others = {
        name: _other(value)
        for name, value in record.items()
        if name not in _NO_OTHERS and not _is_missing(value) and not isinstance(value, Mapping)
    }
    if len(others) > _MAX_OTHERS:
        faults.append(DecodeError(Reason.WRONG_TYPE, f"expected at most {_MAX_OTHERS} fields, found {len(others)}"))
        others = dict(islice(others.items(), _MAX_OTHERS))
    return ReadItem(CatalogueItem(item_id, **values, others=others or None), faults[0] if faults else None)


def _values(record: Mapping[str, object]) -> tuple[dict[str, Any], list[Fault]]:
    """Return the known fields that could be read, and what is wrong with the others."""
    values: dict[str, Any] = {}
    faults: list[Fault] = []
    for name, read in _READERS.items():
        value = record.get(name)
        if not _is_missing(value):
            try:
                values[name] = read(name, value)
            except DecodeError as error:
                faults.append(error)
    for name in _AVAILABILITIES:
        value = record.get(name)
        if not _is_missing(value):
            try:
                is_available = _yes_or_no(name, value)
            except DecodeError as error:
                is_available = False  # planted bug: unreadable-available
                faults.append(error)
            values["available"] = values.get("available", True) and is_available
    return values, faults


def _is_missing(value: object) -> bool:
    return value is None or value == "" or (isinstance(value, float) and math.isnan(value))


def _wrong(name: str, expected: str, value: object) -> DecodeError:
    return DecodeError(Reason.WRONG_TYPE, f"{name}: expected {expected}, found {found(value)}")


def _text(name: str, value: object) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _wrong(name, "a text", value)
    return str(value)


def _yes_or_no(name: str, value: object) -> bool:
    word = str(value).strip().lower() if isinstance(value, str | int | float) else ""
    word = _DIVIDES_WORDS.sub("", _NAMESPACE.sub("", word))
    if word in _YES:
        return True
    if word in _NO:
        return False
    raise _wrong(name, "true or false (yes or no, 1 or 0, in_stock or out_of_stock)", value)


def _tags(name: str, value: object) -> tuple[str, ...]:
    if isinstance(value, str):
        return tuple(part.strip() for part in value.split("|") if part.strip())
    if not isinstance(value, list | tuple):
        raise _wrong(name, "a list of texts, or a text with | between them", value)
    return tuple(_text(f"{name}[{i}]", each) for i, each in enumerate(value))


def _price(name: str, value: object) -> float:
    if isinstance(value, bool):
        raise _wrong(name, "a number", value)
    if isinstance(value, str) and not NUMBER.fullmatch(text := value.strip()):
        with_point = text.replace(".", "").replace(",", ".")
        has_comma = text.count(",") == 1 and NUMBER.fullmatch(with_point)
        raise _wrong(name, f"a number with a decimal point ({with_point})" if has_comma else "a number", value)
    try:
        number = float(value)  # type: ignore[arg-type]  # raises for what is no number
    except (TypeError, ValueError, OverflowError):
        raise _wrong(name, "a number", value) from None
    if not math.isfinite(number):
        raise _wrong(name, "a number", value)
    return number


def _time(name: str, value: object) -> int:
    try:
        return _TIME(value)
    except DecodeError as error:
        raise DecodeError(error.reason, f"{name}: {error.message}") from None


_READERS: Final[dict[str, Callable[[str, object], Any]]] = {
    "title": _text,
    "category": _text,
    "tags": _tags,
    "price": _price,
    "image": _text,
    "listed_at": _time,
}
_NO_OTHERS: Final = frozenset({*_READERS, *_IDS, "available"})


def _other(value: object) -> Scalar | tuple[Scalar, ...]:
    if isinstance(value, list | tuple):
        return tuple(_scalar(each) for each in value)
    return _scalar(value)


def _scalar(value: object) -> Scalar:
    if isinstance(value, bool | str):
        return value
    if isinstance(value, int | float):
        return float(value) if abs(value) < 1 << 1000 else str(value)
    return str(value)  # times and decimals of typed columns
