"""Columns of Python objects in data frames, which Arrow does not take: mixed types, UUIDs, anything.

Of such a column that holds ids, each value is read as an id. One that is not read is left out, whatever it holds. Knows
pandas' and Polars' frames by what they offer, and imports neither.
"""

from collections.abc import Collection, Iterable
from typing import Any, Final

import numpy as np

from stream_rec.core.events import FieldMap, identifier
from stream_rec.errors import DecodeError, SettingsError
from stream_rec.tables.columns import MAX_ID_CHARS
from stream_rec.transport.arrow import plain_value

__all__ = ["collected", "is_lazy", "table_of_columns", "with_objects_as_ids"]

_IDS: Final = ("session_id", "item_id", "user_id", "type")


def is_lazy(frame: object) -> bool:
    """Return whether *frame* is a query that is not run yet, such as a LazyFrame of Polars."""
    return hasattr(frame, "collect") and hasattr(frame, "collect_schema")


def collected(frame: Any) -> Any:  # noqa: ANN401 (of any library)
    """Run the query of a lazy frame; return any other as it is."""
    return frame.collect() if is_lazy(frame) and not hasattr(frame, "__arrow_c_stream__") else frame


def table_of_columns(frame: Any, fields: FieldMap, what: str, error: Exception) -> Any:  # noqa: ANN401 (as above)
    """Convert a pandas frame of which Arrow refuses a column, as *error* says: column by column.

    Columns that are not read are empty then. Raises SettingsError for a frame of another library, and for a column of
    times with several types; DecodeError for what is no id, naming row and column.
    """
    import pyarrow as pa  # noqa: PLC0415 (an extra, and slow to import)

    if not hasattr(frame, "iloc"):
        raise SettingsError("source", f"the table cannot be read as Arrow data: {error}") from error
    read = _read_names(fields, list(map(str, frame.columns)))
    arrays = []
    for place, name in enumerate(map(str, frame.columns)):
        column = frame.iloc[:, place]
        if name not in read:
            arrays.append(pa.nulls(len(column)))
            continue
        try:
            arrays.append(pa.array(column, from_pandas=True))
        except (pa.ArrowException, TypeError, ValueError, OverflowError):
            if read[name] not in _IDS:
                kinds = ", ".join(sorted({type(value).__name__ for value in column}))
                message = f"column {name!r} of {what} has values of several types ({kinds}): make them one"
                raise SettingsError("source", message) from error
            arrays.append(_ids(column, name, what))
    return pa.table(arrays, names=list(map(str, frame.columns)))


def with_objects_as_ids(table: Any, frame: Any, fields: FieldMap, what: str) -> Any:  # noqa: ANN401 (as above)
    """Return *table* with ids where *frame*, of Polars, has a column of objects: Arrow gets their addresses."""
    schema: Any = getattr(frame, "schema", None)
    if not hasattr(schema, "items") or not hasattr(frame, "get_column"):
        return table
    names = {name for name, kind in schema.items() if str(kind) == "Object"}
    for name, field in _read_names(fields, table.column_names).items():
        if name in names and field in _IDS:
            column = _ids(frame.get_column(name).to_list(), name, what)
            table = table.set_column(table.column_names.index(name), name, column)
    return table


def _read_names(fields: FieldMap, names: Collection[str]) -> dict[str, str]:
    """Return the columns among *names* that are read, and the field of each; a column may be given by its index."""
    columns = list(names)
    found = {}
    for field, name in fields.as_dict().items():
        root = name if name in columns else name.partition(".")[0]
        if root not in columns and root.isascii() and root.isdigit() and int(root) < len(columns):
            root = columns[int(root)]
        if root in columns:
            found[root] = field
    return found


def _ids(values: Iterable[Any], name: str, what: str) -> Any:  # noqa: ANN401 (pyarrow is not typed)
    import pyarrow as pa  # noqa: PLC0415 (see table_of_columns)

    return pa.array([_id(value, row, name, what) for row, value in enumerate(values)], pa.string())


def _id(value: Any, row: int, name: str, what: str) -> str | None:  # noqa: ANN401 (any object)
    plain = plain_value(value.item() if isinstance(value, np.generic) else value)
    if plain is None or plain != plain:  # noqa: PLR0124 (what is not equal to itself is pandas' NaN)
        return None
    if isinstance(plain, str):
        return plain
    try:
        return identifier("", plain, MAX_ID_CHARS)
    except DecodeError as error:
        message = f"{what}: row {row}, column {name!r}: {error.message.removeprefix(': ')}"
        raise DecodeError(error.reason, message) from None
