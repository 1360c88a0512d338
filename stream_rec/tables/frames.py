"""Data frames and Arrow tables -> columns: pandas, Polars, and other libraries with the Arrow interface.

PyArrow (an extra) numbers ids and converts times a column at a time. Values that it cannot convert are parsed one by
one, each distinct value once. Knows nothing of files.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final, NoReturn

import numpy as np
import numpy.typing as npt

from stream_rec.core.events import (
    FORGET,
    MAX_TIME_MS,
    NULL_TEXTS,
    VIEW,
    DecodeRules,
    Event,
    EventDecoder,
    Reason,
    check_text_id,
    identifier,
    is_path,
    null_id,
    time_reader,
)
from stream_rec.errors import DecodeError, NoColumnError, SettingsError
from stream_rec.tables.columns import MAX_ID_CHARS, Columns, Ids, columns_of_events
from stream_rec.tables.naming import map_with_fields
from stream_rec.tables.objects import collected, is_lazy, table_of_columns, with_objects_as_ids
from stream_rec.transport.arrow import values_of

__all__ = ["FORGETS", "LEFT_OUT", "columns_of_frame", "is_frame"]

NEEDS_ARROW: Final = "reading data frames needs pyarrow: pip install 'stream-rec[tables]'"
DIGITS: Final = "^[0-9]{1,18}$"
ARROW_METHODS: Final = ("__arrow_c_stream__", "__arrow_c_array__")
LEFT_OUT: Final = frozenset({Reason.UNKNOWN_TYPE, Reason.NOT_AN_EVENT})
"""A record with such a reason is left out and counted; any other reason is an error."""
FORGETS: Final = "an order to forget, which only `stream-rec run` can follow: take it and what it erases out of the log"
_BATCH_ROWS: Final = 8192
_PANDAS_INDEX: Final = "__index_level_0__"
"""The name that PyArrow gives to the index of a frame that lost some rows."""
PER_SECOND: Final = {"s": 1000, "ms": 1}


def is_frame(value: object) -> bool:
    """Return whether *value* has the Arrow interface, as data frames and tables do, or becomes what has."""
    return any(hasattr(value, method) for method in ARROW_METHODS) or is_lazy(value)


def columns_of_frame(
    frame: Any,  # noqa: ANN401  # of any library
    rules: DecodeRules | None = None,
    *,
    weight: str | None = None,
    what: str = "the table",
) -> Columns:
    """Read *frame* by *rules*. Columns are found by name, or by index from 0 if no column has that name.

    *weight* is the column of event weights, if any. Raises SettingsError for a missing column, and DecodeError, naming
    row (from 0) and column, for the first value that is not an id, time or weight.
    """
    rules = rules or DecodeRules()
    table = _table(frame, rules, what)
    if any(is_path(name) and name not in table.column_names for name in rules.fields.as_dict().values()) or (
        _is_list(table, rules.fields.item_id)
    ):
        return _columns_by_row(table, rules, weight, what)
    return _FrameReader(table, rules, what).read(weight)


def _is_list(table: Any, name: str) -> bool:  # noqa: ANN401  # pyarrow is not typed
    """Whether each row of *table* has a list in the column *name*: a session a row."""
    return table.column_names.count(name) == 1 and str(table.schema.field(name).type).startswith(("list", "large_list"))


def _columns_by_row(table: Any, rules: DecodeRules, weight: str | None, what: str) -> Columns:  # noqa: ANN401
    """Read a table whose fields lie inside of columns, row by row."""
    if weight is not None:
        raise SettingsError("weight", "cannot be read beside fields that are paths: make a column of each field first")
    missing = rules.missing_in(table.column_names)
    if missing:
        known = ", ".join(map(str, table.column_names[:20]))
        raise SettingsError("fields", f"{what} has no column for {missing[0]!r}, but {known}")
    decoder, names = EventDecoder(rules), rules.columns_in(table.column_names)
    events: list[Event] = []
    left_out: Counter[str] = Counter()
    row = 0
    for batch in table.select(names).to_batches(max_chunksize=_BATCH_ROWS):
        for cells in zip(*map(values_of, batch.columns), strict=True):
            for each in decoder.decode_rows(dict(zip(names, cells, strict=True))):
                if isinstance(each, Event):
                    events.append(each)
                elif isinstance(each, DecodeError) and each.reason in LEFT_OUT:
                    left_out[str(each.reason)] += 1
                else:
                    message = each.message if isinstance(each, DecodeError) else FORGETS
                    reason = each.reason if isinstance(each, DecodeError) else Reason.NOT_AN_EVENT
                    raise DecodeError(reason, f"{what}: row {row}: {message}")
            row += 1
    return replace(columns_of_events(events), left_out=left_out)


def _table(frame: Any, rules: DecodeRules, what: str) -> Any:  # noqa: ANN401  # pyarrow is not typed
    try:
        import pyarrow as pa  # noqa: PLC0415  # an extra, and slow to import
    except ImportError as error:
        raise SettingsError("events", NEEDS_ARROW) from error
    if isinstance(frame, pa.Table):
        return frame
    whole = collected(frame)
    if hasattr(whole, "to_frame") and not hasattr(whole, "columns"):
        raise SettingsError("source", f"expected a data frame, found a {type(whole).__name__}, which is one column")
    try:
        table = pa.table(whole)
    except (pa.ArrowException, TypeError, ValueError, OverflowError) as error:  # such as columns of mixed types
        return table_of_columns(whole, rules.fields, what, error)
    return with_objects_as_ids(table, whole, rules.fields, what)


class _FrameReader:
    """Reads one table. *what* is its name in messages."""

    def __init__(self, table: Any, rules: DecodeRules, what: str) -> None:  # noqa: ANN401  # pyarrow is not typed
        self._table = table
        self._rules = rules
        self._what = what
        self._names = rules.fields.as_dict()

    def read(self, weight: str | None) -> Columns:
        """Return the events of the table, without types that are not accepted."""
        who = "user_id" if self._rules.session_from_user else "session_id"
        sessions = self._ids(who)
        types = self._optional("type") or Ids([VIEW], np.zeros(len(self._table), np.int32))
        self._refuse_forgets(types)
        return Columns(
            sessions,
            self._ids("item_id"),
            self._times(),
            _filled(types, VIEW),
            sessions if self._rules.session_from_user else self._optional("user_id"),
            None if weight is None else self._weights(weight),
        ).of_types(self._rules.types)

    def _refuse_forgets(self, types: Ids) -> None:
        for code, name in enumerate(types.names):
            if name == FORGET or name in self._rules.forget_types:
                row = int(np.argmax(types.codes == code))
                self._refuse(Reason.NOT_AN_EVENT, row, self._names["type"], FORGETS)

    def _column(self, name: str) -> Any:  # noqa: ANN401  # pyarrow is not typed
        """Return the column with that name or index; None if there is none."""
        names = self._table.column_names
        if name in names:
            if names.count(name) > 1:
                raise SettingsError("fields", f"{self._what} has two columns {name!r}")
            return self._flat(self._table.column(name), name)
        if name.isascii() and name.isdigit() and int(name) < len(names):
            return self._flat(self._table.column(int(name)), name)
        return None

    def _flat(self, column: Any, name: str) -> Any:  # noqa: ANN401  # pyarrow is not typed
        """Return *column*. Raises SettingsError if its cells hold several values."""
        import pyarrow as pa  # noqa: PLC0415  # see _table

        if pa.types.is_struct(column.type):
            inside = ", ".join(repr(f"{name}.{each.name}") for each in column.type)
            raise SettingsError("fields", f"column {name!r} of {self._what} is a struct: name a field in it ({inside})")
        if pa.types.is_nested(column.type):
            raise SettingsError("fields", f"column {name!r} of {self._what} holds {column.type}, not single values")
        return column

    def _required(self, name: str) -> Any:  # noqa: ANN401  # pyarrow is not typed
        column = self._column(name)
        if column is None:
            known = ", ".join(each for each in map(str, self._table.column_names[:20]) if each != _PANDAS_INDEX)
            field = next((field for field, its in self._names.items() if its == name), "item_id")
            raise NoColumnError(field, f"{self._what} has no column {name!r}, but {known}", map_with_fields(field))
        return column

    def _ids(self, field: str) -> Ids:
        name = self._names[field]
        ids = self._numbered(self._required(name), name)
        if (ids.codes < 0).any():
            self._refuse(Reason.MISSING_FIELD, int(np.argmax(ids.codes < 0)), name, "expected an id, found nothing")
        return ids

    def _optional(self, field: str) -> Ids | None:
        name = self._names[field]
        column = self._column(name)
        ids = None if column is None else self._numbered(column, name, empty_is_none=True)
        return ids if ids is not None and ids.names else None

    def _numbered(self, column: Any, name: str, *, empty_is_none: bool = False) -> Ids:  # noqa: ANN401
        """Number the values of *column*, which must be ids; nulls get -1."""
        values, codes = _encoded(column)
        names = [self._id(value, code, codes, name, empty_is_none) for code, value in enumerate(values)]
        return _renumbered(names, codes)

    def _id(
        self,
        value: object,
        code: int,
        codes: npt.NDArray[np.int32],
        name: str,
        empty_is_none: bool,
    ) -> str | None:
        if value is None or (empty_is_none and (value == "" or (value in NULL_TEXTS and not self._rules.lenient_ids))):
            return None
        try:
            if isinstance(value, str) and not self._rules.lenient_ids:
                if value in NULL_TEXTS:
                    raise null_id("", value)
                check_text_id("", value)
            return identifier("", value, MAX_ID_CHARS)
        except DecodeError as error:
            self._refuse(error.reason, int(np.argmax(codes == code)), name, error.message.removeprefix(": "))

    def _times(self) -> npt.NDArray[np.int64]:
        name = self._names["timestamp"]
        column = self._required(name)
        if column.null_count:
            row = int(np.argmax(column.is_null().to_numpy()))
            self._refuse(Reason.MISSING_FIELD, row, name, "expected a time, found nothing")
        millis = self._whole_millis(column)
        if millis is not None and millis.size and 0 <= millis.min() <= millis.max() <= MAX_TIME_MS:
            return millis
        return self._parsed_times(column, name)

    def _whole_millis(self, column: Any) -> npt.NDArray[np.int64] | None:  # noqa: ANN401  # pyarrow is not typed
        """Convert a whole column of integers or typed times at once; None if values must be parsed."""
        import pyarrow as pa  # noqa: PLC0415  # see _table
        import pyarrow.compute as pc  # noqa: PLC0415

        kind, scale = column.type, PER_SECOND.get(self._rules.timestamp_unit)
        is_naive = pa.types.is_timestamp(kind) and kind.tz is None and self._rules.time_zone is not None
        if pa.types.is_timestamp(kind) and kind.unit in PER_SECOND and not is_naive:
            return _numbers(column.cast(pa.int64())) * PER_SECOND[kind.unit]
        if scale is None or self._rules.timestamp_format is not None:
            return None
        if pa.types.is_string(kind) or pa.types.is_large_string(kind):
            if not pc.all(pc.match_substring_regex(column, DIGITS), min_count=0).as_py():
                return None
            column = column.cast(pa.int64())
        elif not pa.types.is_integer(kind) or pa.types.is_uint64(kind):
            return None
        numbers = _numbers(column.cast(pa.int64()))
        most = MAX_TIME_MS // scale
        return numbers * scale if numbers.size and numbers.max() <= most else None

    def _parsed_times(self, column: Any, name: str) -> npt.NDArray[np.int64]:  # noqa: ANN401  # pyarrow is not typed
        read = time_reader(self._rules.timestamp_unit, self._rules.timestamp_format, self._rules.time_zone)
        values, codes = _encoded(column)
        millis = np.zeros(len(values), np.int64)
        for code, value in enumerate(values):
            try:
                millis[code] = read(value)
            except DecodeError as error:
                self._refuse(error.reason, int(np.argmax(codes == code)), name, error.message)
        return millis[codes]

    def _weights(self, name: str) -> npt.NDArray[np.float64]:
        column = self._required(name)
        try:
            weights = np.array(column.to_pylist(), np.float64)
        except (TypeError, ValueError):
            raise SettingsError("weight", f"{self._what}: column {name!r} holds {column.type}, not numbers") from None
        is_wrong = ~((weights >= 0) & np.isfinite(weights))
        if is_wrong.any():
            row = int(np.argmax(is_wrong))
            self._refuse(Reason.WRONG_TYPE, row, name, f"expected a weight from 0 on, found {weights[row]}")
        return weights

    def _refuse(self, reason: str, row: int, name: str, message: str) -> NoReturn:
        raise DecodeError(reason, f"{self._what}: row {row}, column {name!r}: {message}")


def _encoded(column: Any) -> tuple[Sequence[object], npt.NDArray[np.int32]]:  # noqa: ANN401  # pyarrow is not typed
    """Return the distinct values of *column*, and for each row the number of its value; -1 for a null."""
    import pyarrow as pa  # noqa: PLC0415  # see _table

    whole = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    if isinstance(whole, pa.ChunkedArray):  # no chunk, or too much text for one
        whole = pa.concat_arrays(whole.chunks) if whole.num_chunks else pa.array([], column.type)
    if isinstance(whole.type, pa.BaseExtensionType):
        whole = whole.storage
    if pa.types.is_timestamp(whole.type) and whole.type.unit == "ns":
        whole = whole.cast(pa.timestamp("us", tz=whole.type.tz), safe=False)
    elif pa.types.is_date(whole.type):
        whole = whole.cast(pa.timestamp("us"))
    if not pa.types.is_dictionary(whole.type):
        whole = whole.dictionary_encode()
    codes = whole.indices.cast(pa.int64()).fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int32)
    return values_of(whole.dictionary), codes


def _renumbered(names: list[str | None], codes: npt.NDArray[np.int32]) -> Ids:
    """Merge the numbers of equal names, and turn those of None into -1."""
    numbers: dict[str, int] = {}
    table = [-1 if name is None else numbers.setdefault(name, len(numbers)) for name in names]
    return Ids(list(numbers), np.array([*table, -1], np.int32)[codes])


def _filled(ids: Ids, name: str) -> Ids:
    """Give *name* to the events without a name."""
    if not (ids.codes < 0).any():
        return ids
    names = ids.names if name in ids.names else [*ids.names, name]
    return Ids(names, np.where(ids.codes < 0, names.index(name), ids.codes).astype(np.int32))


def _numbers(column: Any) -> npt.NDArray[np.int64]:  # noqa: ANN401  # pyarrow is not typed
    return np.asarray(column.to_numpy(), np.int64)
