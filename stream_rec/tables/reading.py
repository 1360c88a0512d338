"""Anything that holds a log at rest -> columns: dictionaries, data frames, events, files.

A file is tried the fast way first, whole columns at a time through PyArrow where that is installed; what it stumbles
over is read again line by line, by the code of a live run, to say exactly what is wrong, or to read what is rare.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from contextlib import closing
from gzip import GzipFile
from os import PathLike, fspath
from typing import Any, BinaryIO, Final, Self

import msgspec

from stream_rec.core.events import DecodeRules, Event, EventDecoder, FieldMap, Forget, Reason
from stream_rec.datasets.formats import LogFormat, format_of, is_named, open_named
from stream_rec.datasets.logs import Log
from stream_rec.errors import DecodeError, SettingsError, StreamRecError
from stream_rec.tables.columns import Columns, columns_of_events, columns_of_sessions
from stream_rec.tables.frames import columns_of_frame, is_frame
from stream_rec.transport.decode import decode_records
from stream_rec.transport.files import format_of_name, open_source
from stream_rec.transport.records import Source

__all__ = ["How", "OnRead", "read_columns", "read_log"]

OnRead = Callable[[int, int | None], None]
"""Told how many bytes are read, of how many if that is known."""

BATCH_RECORDS: Final = 8192
DELIMITERS: Final = {"csv": ",", "tsv": "\t"}
GZIP_MAGIC: Final = b"\x1f\x8b"
_END_MARK: Final = "end of the file"
OPEN_QUOTE: Final = "a quote that is not closed: PyArrow takes the rest of the file for a cell"
LET_PASS: Final = frozenset({Reason.UNKNOWN_TYPE, Reason.NOT_AN_EVENT})
"""Reasons for which a record is left out and counted; any other is an error."""


class How(msgspec.Struct, frozen=True, kw_only=True):
    """How a log at rest is written, where it does not use our own words."""

    fields: FieldMap = FieldMap()
    """The log's names of the fields: columns, JSON keys, or places from 0; a dictionary is taken too."""

    timestamp_unit: str = "ms"
    """`ms`, `s`, `us` or `iso`."""

    timestamp_format: str | None = None
    """A strptime format; takes the place of the unit."""

    format: str | None = None
    """Of a file, where its name does not tell: `csv`, `tsv`, `jsonl`, `json`, `parquet`, or a public log's name."""

    delimiter: str | None = None
    """What stands between the columns of a CSV or TSV file, where that is neither a comma nor a tab."""

    weight: str | None = None
    """The column of a data frame that holds the weight of each event."""

    types_row: int | None = 2
    """Where in a dictionary's sessions the types of events stand, if they do."""

    weights_row: int | None = 3
    """Where the weights of events stand, if they do."""

    types: frozenset[str] | None = None
    """The event types to let in; None lets in all."""

    session_from_user: bool = False
    """Sessions are cut from `user_id`."""

    @classmethod
    def of(
        cls, given: Mapping[str, object], *, types: Iterable[str] | None = None, session_gap_ms: int | None = None
    ) -> Self:
        """Make one from what was *given* by name. Raises SettingsError, naming what is wrong."""
        values = {"types": None if types is None else frozenset(types), **given}
        values["session_from_user"] = session_gap_ms is not None
        unknown = [name for name in values if name not in cls.__struct_fields__]
        if unknown:
            raise SettingsError(unknown[0], f"is none of {', '.join(cls.__struct_fields__)}")
        fields = values.get("fields", FieldMap())
        if isinstance(fields, Mapping):
            values["fields"] = FieldMap.parse(f"{field}={name}" for field, name in fields.items())
        try:
            return msgspec.convert({**msgspec.structs.asdict(cls()), **values}, cls)
        except msgspec.ValidationError as error:
            key = str(error).rpartition("$.")[2].strip("`")
            raise SettingsError(key, f"{values.get(key)!r} is refused: {error}") from None

    def rules(self) -> DecodeRules:
        """Return the rules of decoding."""
        return DecodeRules(
            fields=self.fields,
            timestamp_unit=self.timestamp_unit,
            timestamp_format=self.timestamp_format,
            types=self.types,
            session_from_user=self.session_from_user,
        )


def read_columns(source: Any, how: How | None = None, watch: OnRead = lambda _done, _total: None) -> Columns:  # noqa: ANN401
    """Read *source*, whatever it is; see `Recommender.fit`. Raises SettingsError, DecodeError and TransportError."""
    how = how or How()
    match source:
        case str() | PathLike():
            columns = _file(fspath(source), how, watch)
        case Columns():
            columns = source
        case Log():
            columns = columns_of_events(source.events)
        case Mapping():
            columns = columns_of_sessions(
                source,
                timestamp_unit=how.timestamp_unit,
                timestamp_format=how.timestamp_format,
                types_row=how.types_row,
                weights_row=how.weights_row,
            )
        case _ if is_frame(source):
            columns = columns_of_frame(source, how.rules(), weight=how.weight)
        case Iterable():
            columns = columns_of_events(_events(source))
        case _:
            raise SettingsError("source", f"cannot read a log from a {type(source).__name__}")
    if how.session_from_user and columns.users is None:
        raise SettingsError("session_gap_ms", "sessions are cut from users, but the source names none")
    return columns.of_types(how.types)


def read_log(source: object, **how: object) -> Columns:
    """Read a log at rest: what `Recommender.fit` takes, told in the same words. Raises as it does."""
    return read_columns(source, How.of(how))


def _events(source: Iterable[object]) -> Iterable[Event]:
    for place, event in enumerate(source):
        if not isinstance(event, Event):
            raise SettingsError("source", f"expected events, found a {type(event).__name__} at {place}")
        yield event


# --- files


class _FileToRead(msgspec.Struct):
    """A file and how it is read."""

    path: str
    rules: DecodeRules
    layout: str
    delimiter: str | None
    named: LogFormat | None


def _file_to_read(path: str, how: How) -> _FileToRead:
    rules = how.rules()
    if is_named(how.format):
        named, file = format_of(str(how.format), path)
        return _FileToRead(file, named.rules(rules), named.layout, named.delimiter, named)
    layout = format_of_name(path, how.format)
    return _FileToRead(path, rules, layout, how.delimiter or DELIMITERS.get(layout), None)


def _file(path: str, how: How, watch: OnRead) -> Columns:
    plan = _file_to_read(path, how)
    fast = _fast(plan, watch)
    return _careful(plan, watch) if fast is None else fast


def _open(plan: _FileToRead) -> Source:
    if plan.named is not None:
        return open_named(plan.named.name, plan.path, plan.rules)
    return open_source(plan.path, plan.rules, file_format=plan.layout, delimiter=plan.delimiter)


def _careful(plan: _FileToRead, watch: OnRead) -> Columns:
    """Read record by record. Raises DecodeError for the first that cannot be read, naming file, line and column."""
    decoder = EventDecoder(plan.rules)
    events: list[Event] = []
    left_out: Counter[str] = Counter()
    with closing(_open(plan)) as source:
        for records in source.batches(BATCH_RECORDS):
            for record, decoded in zip(records, decode_records(decoder, records), strict=True):
                if isinstance(decoded, Event):
                    events.append(decoded)
                else:
                    _pass_over(decoded, f"{plan.path}:{record.offset}", left_out)
            watch(*source.progress)
    columns = columns_of_events(events)
    return Columns(columns.sessions, columns.items, columns.times, columns.types, columns.users, left_out=left_out)


def _pass_over(decoded: Forget | DecodeError, where: str, left_out: Counter[str]) -> None:
    if isinstance(decoded, Forget):
        message = "an order to forget, which only a live log can follow: `stream-rec run` reads it"
        raise DecodeError(Reason.NOT_AN_EVENT, f"{where}: {message}")
    if decoded.reason not in LET_PASS:
        raise DecodeError(decoded.reason, f"{where}: {decoded.message}")
    left_out[str(decoded.reason)] += 1


def _fast(plan: _FileToRead, watch: OnRead) -> Columns | None:
    """Read whole columns through PyArrow; None where it is not there, or where the careful way must say what is."""
    is_table = plan.layout in DELIMITERS and plan.delimiter is not None and len(plan.delimiter) == 1
    if plan.path == "-" or not (is_table or plan.layout == "parquet") or (plan.named and not plan.named.is_plain):
        return None
    try:
        import pyarrow as pa  # noqa: PLC0415  # an extra, and slow to import
    except ImportError:
        return None
    try:
        table = _parquet(plan) if plan.layout == "parquet" else _delimited(plan, watch)
        columns = columns_of_frame(table, _by_name(plan.rules, table.column_names), what=plan.path)
    except (pa.ArrowException, StreamRecError, OSError, EOFError, ValueError):
        return None
    if plan.named is not None and plan.named.type is not None:
        columns = _typed(columns, plan.named.type)
    return columns.of_types(plan.rules.types)


def _by_name(rules: DecodeRules, names: list[str]) -> DecodeRules:
    """Return *rules* for a table whose columns PyArrow has named: f0, f1, ... where the file does not."""
    renamed = {
        field: f"f{name}" if name.isdigit() and f"f{name}" in names else name
        for field, name in rules.fields.as_dict().items()
    }
    return msgspec.structs.replace(rules, fields=FieldMap(**renamed))


def _typed(columns: Columns, kind: str) -> Columns:
    """Return *columns* with one type for all."""
    types = columns.types._replace(names=[kind], codes=columns.types.codes * 0)
    return Columns(columns.sessions, columns.items, columns.times, types, columns.users)


def _parquet(plan: _FileToRead) -> Any:  # noqa: ANN401  # pyarrow is not typed
    from pyarrow import parquet  # noqa: PLC0415  # see _fast

    mapped = set(plan.rules.fields.as_dict().values())
    names = parquet.read_schema(plan.path).names
    return parquet.read_table(plan.path, columns=[name for name in names if name in mapped])


def _delimited(plan: _FileToRead, watch: OnRead) -> Any:  # noqa: ANN401  # pyarrow is not typed
    import pyarrow as pa  # noqa: PLC0415  # see _fast
    from pyarrow import csv  # noqa: PLC0415

    has_header = not all(name.isascii() and name.isdigit() for name in plan.rules.required())
    with open(plan.path, "rb") as file:  # noqa: PTH123  # a path in a text
        table = csv.read_csv(
            pa.PythonFile(_Watched(file, watch, str(plan.delimiter)), mode="r"),
            read_options=csv.ReadOptions(autogenerate_column_names=not has_header),
            parse_options=csv.ParseOptions(delimiter=plan.delimiter, newlines_in_values=True),
            convert_options=_as_text(plan, has_header=has_header),
        )
    n = table.num_rows - 1
    if n < 0 or any(column[n].as_py() not in {_END_MARK, None} for column in table.columns):
        raise ValueError(OPEN_QUOTE)
    return table.slice(0, n)


def _as_text(plan: _FileToRead, *, has_header: bool) -> Any:  # noqa: ANN401  # pyarrow is not typed
    """Read the columns that count, as the text that stands there: an id may be 007."""
    import pyarrow as pa  # noqa: PLC0415  # see _fast
    from pyarrow import csv  # noqa: PLC0415

    fields = plan.rules.fields
    named = [*plan.rules.required(), fields.type, fields.user_id]
    names = [name if has_header else f"f{name}" for name in dict.fromkeys(named)]
    return csv.ConvertOptions(
        include_columns=names,
        include_missing_columns=True,
        column_types=dict.fromkeys(names, pa.string()),
        strings_can_be_null=False,
    )


class _Watched:
    """A file, unpacked if it is packed, that tells *watch* how much of it was read, with a row of _END_MARK behind it.

    A quote that is not closed takes that row for a part of its cell.
    """

    def __init__(self, file: BinaryIO, watch: OnRead, delimiter: str) -> None:
        self._file = file
        self._watch = watch
        self._total = file.seek(0, 2)
        file.seek(0)
        is_packed = file.read(len(GZIP_MAGIC)) == GZIP_MAGIC
        file.seek(0)
        self._stream = GzipFile(fileobj=file) if is_packed else file
        self._delimiter = delimiter.encode()
        self._head = b""
        """The first line, or what of it was read."""
        self._is_over = False
        self.closed = False

    def read(self, size: int = -1) -> bytes:
        """Read as the file does."""
        block = self._stream.read(size)
        if b"\n" not in self._head:
            self._head += block
        self._watch(self._file.tell(), self._total)
        if block or self._is_over:
            return block
        self._is_over = True
        # Where a cell of the first line has a delimiter in it, the row is too long for PyArrow: the careful way reads.
        n = self._head.partition(b"\n")[0].count(self._delimiter) + 1
        return b"\n" + self._delimiter.join([_END_MARK.encode()] * n) + b"\n"

    def readable(self) -> bool:
        """Say so to PyArrow."""
        return True

    def seekable(self) -> bool:
        """Say so to PyArrow, which needs no more than reading on."""
        return False

    def close(self) -> None:
        """Leave that to who opened it."""
        self.closed = True
