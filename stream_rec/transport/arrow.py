"""Columns of Arrow -> Python values that decoders read: text, whole numbers, datetimes, and what nests them.

Knows nothing of files, and not what the columns mean.
"""

from collections.abc import Sequence
from datetime import date, datetime
from typing import Any, Final
from uuid import UUID

__all__ = ["plain_value", "values_of"]

_UUID_BYTES: Final = 16


def values_of(column: Any) -> list[object]:  # noqa: ANN401 (pyarrow is not typed)
    """Return the cells as Python values.

    Times of any unit become datetimes, cut to microseconds. UUIDs become their text, and so do bytes that are UTF-8:
    some writers leave out that a column is text.
    """
    kind = column.type
    wanted = _in_microseconds(kind)
    if wanted is not kind:
        column = column.cast(wanted, safe=False)
    try:
        values: list[object] = column.to_pylist()
    except (ValueError, OverflowError):  # a time that no datetime holds
        return [_cell(cell) for cell in column]
    return list(map(plain_value, values)) if _needs_work(wanted) else values


def plain_value(value: object) -> object:
    """Return a Python value of Arrow as decoders read it: UUIDs and bytes of text as text, days as datetimes."""
    match value:
        case UUID():
            return str(value)
        case bytes():
            return _text(value)
        case dict():
            return {key: plain_value(each) for key, each in value.items()}
        case list() | tuple():
            return [plain_value(each) for each in value]
    if isinstance(value, date) and not isinstance(value, datetime):
        return datetime(value.year, value.month, value.day)  # noqa: DTZ001 (in the zone of the table)
    return value


def _text(value: bytes) -> object:
    """Return the text that the bytes are. Sixteen that are not plain text are a UUID, which some write unannotated."""
    if len(value) == _UUID_BYTES and not (value.isascii() and value.decode().isprintable()):
        return str(UUID(bytes=value))  # of every kind, one of the bytes is not ASCII
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value


def _in_microseconds(kind: Any) -> Any:  # noqa: ANN401 (pyarrow is not typed)
    """Return the type *kind* with all times in it in microseconds, which datetimes hold; *kind* itself if they are."""
    import pyarrow as pa  # noqa: PLC0415 (an extra, and slow to import)

    if pa.types.is_date(kind):
        return pa.timestamp("us")
    if pa.types.is_timestamp(kind) and kind.unit == "ns":
        return pa.timestamp("us", tz=kind.tz)
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        inner = _in_microseconds(kind.value_type)
        make = pa.list_ if pa.types.is_list(kind) else pa.large_list
        return kind if inner is kind.value_type else make(pa.field(kind.value_field.name, inner))
    if pa.types.is_struct(kind):
        before: Sequence[Any] = [kind.field(i) for i in range(kind.num_fields)]
        after = [pa.field(each.name, _in_microseconds(each.type)) for each in before]
        is_same = all(a.type == b.type for a, b in zip(before, after, strict=True))
        return kind if is_same else pa.struct(after)
    return kind


def _needs_work(kind: Any) -> bool:  # noqa: ANN401 (pyarrow is not typed)
    """Whether cells of the type *kind* may be, or hold, what `plain_value` changes."""
    import pyarrow as pa  # noqa: PLC0415 (see _in_microseconds)

    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    is_flat = pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind)
    is_text = pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)
    return not (is_flat or is_text or pa.types.is_timestamp(kind) or pa.types.is_boolean(kind))


def _cell(cell: Any) -> object:  # noqa: ANN401 (pyarrow is not typed)
    try:
        return plain_value(cell.as_py())
    except (ValueError, OverflowError):
        value: object = getattr(cell, "value", None)
        return value  # so many microseconds: out of range in every unit
