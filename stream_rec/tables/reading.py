"""Any log at rest -> columns: dictionaries, data frames, events, files.

A file is first read the fast way, whole columns at a time through PyArrow, if that is installed. If that fails, the
file is read again line by line by the code of a live run, which names the exact error, or can read a rare format.
"""

import csv
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from contextlib import closing
from os import PathLike, fspath
from pathlib import PurePath
from typing import Any, Final, Self, TypedDict, Unpack

import msgspec

from stream_rec.core.events import DecodeRules, Event, EventDecoder, FieldMap, Forget, Reason, is_path
from stream_rec.datasets.formats import LogFormat, NamedSource, format_of, is_named, open_named
from stream_rec.datasets.logs import Log
from stream_rec.datasets.streams.formats import STREAMS, StreamAdapter, open_stream
from stream_rec.errors import DecodeError, NoColumnError, SettingsError, StreamRecError
from stream_rec.nearest import did_you_mean
from stream_rec.tables.columns import Columns, columns_of_events, columns_of_sessions
from stream_rec.tables.frames import FORGETS, LEFT_OUT, columns_of_frame, is_frame
from stream_rec.tables.naming import field_map, map_with_fields
from stream_rec.tables.seconds import warn_of_seconds
from stream_rec.transport.decode import decode_records
from stream_rec.transport.files import (
    ByteStream,
    FileSource,
    FilesSource,
    FoundFile,
    find_files,
    form_of_file,
    open_file,
    open_source,
    with_data,
)
from stream_rec.transport.records import Source

__all__ = ["How", "HowToRead", "OnRead", "read_columns", "read_log"]

OnRead = Callable[[int, int | None], None]
"""Takes how many bytes are read, and the total, if it is known."""

BATCH_RECORDS: Final = 8192
TABLES: Final = ("csv", "tsv")
_END_MARK: Final = "end of the file"
ESCAPES: Final = "cells with escapes, which PyArrow does not know"
COLUMNS: Final = "a column that is not there, or twice: PyArrow makes up the one, and takes one of the others"
BEHIND_QUOTE: Final = "text behind a closing quote, which PyArrow joins to the cell"
OPEN_QUOTE: Final = "a quote that is not closed: PyArrow reads the rest of the file as one cell"


_OTHER_NAMES: Final = {
    "columns": "fields", "column_names": "fields", "names": "fields", "mapping": "fields", "unit": "timestamp_unit",
    "time_unit": "timestamp_unit", "date_format": "timestamp_format", "tz": "time_zone", "sep": "delimiter",
    "separator": "delimiter", "file_format": "format", "weights": "weight",
}  # fmt: skip
"""What other programs call the arguments."""


class HowToRead(TypedDict, total=False):
    """The fields of `How` as keyword arguments; `How` says what each means."""

    fields: FieldMap | Mapping[str, str | int]
    timestamp_unit: str
    timestamp_format: str | None
    time_zone: str | None
    lenient_ids: bool
    format: str | None
    delimiter: str | None
    encoding: str | None
    weight: str | None
    types_row: int | None
    weights_row: int | None
    drop_repeats: bool


class How(msgspec.Struct, frozen=True, kw_only=True):
    """The format of a log at rest, where it differs from ours."""

    fields: FieldMap = FieldMap()
    """The log's names for the fields: columns, JSON keys, or indices from 0. May be a dictionary."""

    timestamp_unit: str = "ms"
    """`ms`, `s`, `us`, `ns`, `iso`, `excel` or `auto`."""

    timestamp_format: str | None = None
    """A strptime format; replaces the unit."""

    time_zone: str | None = None
    """The zone of times without an offset, such as `Europe/Berlin`; None: UTC."""

    lenient_ids: bool = False
    """Whether texts such as `null` and `123.0`, which tools write in place of nothing and of a number, are ids."""

    format: str | None = None
    """`csv`, `tsv`, `jsonl`, `json` or `parquet`, if a file does not show it; or the name of a public log, or of
    a kind of producer, such as `segment`."""

    delimiter: str | None = None
    """The delimiter of a CSV or TSV file, if its first lines do not show it."""

    encoding: str | None = None
    """The encoding of a file, if it is neither UTF-8 nor UTF-16."""

    weight: str | None = None
    """The column of a data frame with the weight of each event."""

    types_row: int | None = 2
    """The row of event types in the sessions of a dictionary, if there is one."""

    weights_row: int | None = 3
    """The row of event weights, if there is one."""

    drop_repeats: bool = False
    """Whether an event that equals an earlier one in everything is left out."""

    types: frozenset[str] | None = None
    """The event types to accept; None accepts all."""

    session_from_user: bool = False
    """Whether sessions are cut from `user_id`."""

    @classmethod
    def of(
        cls, given: Mapping[str, object], *, types: Iterable[str] | None = None, session_gap_ms: int | None = None
    ) -> Self:
        """Make one from *given* values by name. Raises SettingsError, naming the wrong one."""
        values = {"types": None if types is None else frozenset(types), **given}
        values["session_from_user"] = session_gap_ms is not None
        unknown = [name for name in given if name not in HowToRead.__annotations__]
        if unknown:
            hint = did_you_mean(unknown[0], HowToRead.__annotations__, _OTHER_NAMES)
            if unknown[0] in FieldMap.__struct_fields__:
                hint = f': name a column by fields={{"{unknown[0]}": {given[unknown[0]]!r:.60}}}'
            raise SettingsError(unknown[0], f"is none of {', '.join(HowToRead.__annotations__)}{hint}")
        values["fields"] = field_map(values.get("fields", FieldMap()))
        try:
            return msgspec.convert({**msgspec.structs.asdict(cls()), **values}, cls)
        except msgspec.ValidationError as error:
            key = str(error).rpartition("$.")[2].strip("`")
            raise SettingsError(key, f"{values.get(key)!r} is refused: {error}") from None

    def rules(self) -> DecodeRules:
        """Return the rules for decoding."""
        return DecodeRules(
            fields=self.fields,
            timestamp_unit=self.timestamp_unit,
            timestamp_format=self.timestamp_format,
            time_zone=self.time_zone,
            lenient_ids=self.lenient_ids,
            types=self.types,
            session_from_user=self.session_from_user,
        )


def read_columns(source: Any, how: How | None = None, on_read: OnRead = lambda _done, _total: None) -> Columns:  # noqa: ANN401
    """Read any *source* that `Recommender.fit` takes. Raises SettingsError, DecodeError and TransportError."""
    how = how or How()
    match source:
        case str() | PathLike():
            try:
                columns = _files(fspath(source), how, on_read)
            except NoColumnError as error:  # which names the option of the command line
                raise NoColumnError(error.field, error.seen, map_with_fields(error.field)) from None
        case Columns():
            columns = source
        case Log():
            columns = columns_of_events(source.events)
        case Mapping():
            columns = columns_of_sessions(
                source,
                timestamp_unit=how.timestamp_unit,
                timestamp_format=how.timestamp_format,
                time_zone=how.time_zone,
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
        raise SettingsError("session_gap_ms", "sessions are cut from users, but the source has none")
    if how.timestamp_unit == "ms" and how.timestamp_format is None:
        warn_of_seconds(columns)
    columns = columns.of_types(how.types)
    return columns.without_repeats() if how.drop_repeats else columns


def read_log(source: object, *, types: Iterable[str] | None = None, **how: Unpack[HowToRead]) -> Columns:
    """Read a log at rest, with the sources and keywords of `Recommender.fit`; only events of *types*, if any.

    Raises as it does.

    >>> from stream_rec import read_log
    >>> known, asked = read_log({"ann": (["tent"], [10]), "ben": (["tent"], [30])}).split(0.5, seed=1)
    >>> len(known), len(asked)
    (1, 1)
    """
    return read_columns(source, How.of(how, types=types))


def _events(source: Iterable[object]) -> Iterable[Event]:
    for place, event in enumerate(source):
        if not isinstance(event, Event):
            advice = ": a list of rows is read as pandas.DataFrame(rows)" if isinstance(event, Mapping) else ""
            if isinstance(event, str | PathLike):
                advice = ": several files are one source as a folder, or as a pattern such as 'clicks-*.csv'"
            raise SettingsError("source", f"expected events, found a {type(event).__name__} at {place}{advice}")
        yield event


# --- files


class _FileToRead(msgspec.Struct, frozen=True):
    """A file, and how to read it."""

    path: str
    rules: DecodeRules
    layout: str
    delimiter: str | None
    encoding: str | None
    named: LogFormat | None = None
    adapter: StreamAdapter | None = None
    """Of a kind of producer: makes its records what the rules read."""
    partition: Mapping[str, str | None] = {}
    """Columns in the names of its folders that the rules read."""


def _file_to_read(found: FoundFile, how: How) -> _FileToRead:
    path, rules = found.path, msgspec.structs.replace(how.rules(), beside=frozenset(found.partition))
    if is_named(how.format):
        named, file = format_of(str(how.format), path)
        return _FileToRead(file, named.rules(rules), named.layout, named.delimiter, how.encoding, named)
    stream = STREAMS.get(how.format or "")
    rules = rules if stream is None else stream.rules(rules)
    partition = {name: found.partition[name] for name in rules.columns_in(found.partition)}
    if stream is not None:
        adapter = StreamAdapter(stream, rules)
        return _FileToRead(path, rules, stream.name, None, how.encoding, adapter=adapter, partition=partition)
    form = form_of_file(path, rules, file_format=how.format, delimiter=how.delimiter, encoding=how.encoding)
    return _FileToRead(path, rules, form.format, form.delimiter, how.encoding, partition=partition)


def _files(spec: str, how: How, on_read: OnRead) -> Columns:
    """Read a file, or all files of a folder or a pattern as one log."""
    files = with_data(find_files([spec], "source", folders=not is_named(how.format)))
    if len(files) == 1:
        return _file(files[0], how, on_read)
    parts = [_file(file, how, on_read) for file in files]
    left_out: Counter[str] = Counter()
    for part in parts:
        left_out.update(part.left_out)
    columns = columns_of_events(event for part in parts for events in part.events() for event in events)
    return Columns(columns.sessions, columns.items, columns.times, columns.types, columns.users, left_out=left_out)


def _file(found: FoundFile, how: How, on_read: OnRead) -> Columns:
    file = _file_to_read(found, how)
    fast = _fast(file, on_read)
    return _careful(file, on_read) if fast is None else fast


def _open(file: _FileToRead) -> Source:
    if not file.partition:
        return _open_file(file)
    found = FoundFile(file.path, PurePath(file.path).name, file.partition)
    return FilesSource([found], lambda _: _open_file(file), file.rules)


def _open_file(file: _FileToRead) -> FileSource | NamedSource:
    if file.named is not None:
        return open_named(file.named.name, file.path, file.rules, encoding=file.encoding)
    if file.adapter is not None:
        return open_stream(file.path, file.rules, encoding=file.encoding)
    return open_source(file.path, file.rules, file_format=file.layout, delimiter=file.delimiter, encoding=file.encoding)


def _careful(file: _FileToRead, on_read: OnRead) -> Columns:
    """Read record by record. Raises DecodeError for the first wrong one, naming file, line and column."""
    decoder = EventDecoder(file.rules)
    events: list[Event] = []
    left_out: Counter[str] = Counter()
    with closing(_open(file)) as source:
        for records in source.batches(BATCH_RECORDS):
            said = decode_records(decoder, records if file.adapter is None else file.adapter(records))
            places = range(len(records)) if said.of is None else said.of.tolist()
            for place, decoded in zip(places, said.decoded, strict=True):
                if isinstance(decoded, Event):
                    events.append(decoded)
                else:
                    _pass_over(decoded, f"{file.path}:{records[place].offset}", left_out)
            on_read(*source.progress)
    columns = columns_of_events(events)
    return Columns(columns.sessions, columns.items, columns.times, columns.types, columns.users, left_out=left_out)


def _pass_over(decoded: Forget | DecodeError, where: str, left_out: Counter[str]) -> None:
    if isinstance(decoded, Forget):
        raise DecodeError(Reason.NOT_AN_EVENT, f"{where}: {FORGETS}")
    if decoded.reason not in LEFT_OUT:
        raise DecodeError(decoded.reason, f"{where}: {decoded.message}")
    left_out[str(decoded.reason)] += 1


def _fast(file: _FileToRead, on_read: OnRead) -> Columns | None:
    """Read whole columns through PyArrow; None if it is not installed, or the careful way must find the error."""
    is_table = file.layout in TABLES and file.delimiter is not None and len(file.delimiter) == 1
    if file.partition or file.adapter is not None or any(map(is_path, file.rules.fields.as_dict().values())):
        return None
    if file.path == "-" or not (is_table or file.layout == "parquet") or (file.named and not file.named.is_plain):
        return None
    try:
        import pyarrow as pa  # noqa: PLC0415  # an extra, and slow to import
    except ImportError:
        return None
    try:
        table = _parquet(file) if file.layout == "parquet" else _delimited(file, on_read)
        columns = columns_of_frame(table, _by_name(file.rules, table.column_names), what=file.path)
    except (pa.ArrowException, StreamRecError, OSError, EOFError, ValueError):
        return None
    if file.named is not None and file.named.type is not None:
        columns = _typed(columns, file.named.type)
    return columns.of_types(file.rules.types)


def _by_name(rules: DecodeRules, names: list[str]) -> DecodeRules:
    """Return *rules* for a table without a header, whose columns PyArrow calls f0, f1, ..."""
    renamed = {
        field: f"f{name}" if name.isdigit() and f"f{name}" in names else name
        for field, name in rules.fields.as_dict().items()
    }
    return msgspec.structs.replace(rules, fields=FieldMap(**renamed))


def _typed(columns: Columns, kind: str) -> Columns:
    """Return *columns* with one type for all events."""
    types = columns.types._replace(names=[kind], codes=columns.types.codes * 0)
    return Columns(columns.sessions, columns.items, columns.times, types, columns.users)


def _parquet(file: _FileToRead) -> Any:  # noqa: ANN401  # pyarrow is not typed
    from pyarrow import parquet  # noqa: PLC0415  # see _fast

    mapped = set(file.rules.fields.as_dict().values())
    names = parquet.read_schema(file.path).names
    return parquet.read_table(file.path, columns=[name for name in names if name in mapped])


def _delimited(file: _FileToRead, on_read: OnRead) -> Any:  # noqa: ANN401  # pyarrow is not typed
    import pyarrow as pa  # noqa: PLC0415  # see _fast
    import pyarrow.compute as pc  # noqa: PLC0415
    from pyarrow import csv as arrow_csv  # noqa: PLC0415

    has_header = not all(name.isascii() and name.isdigit() for name in file.rules.required())
    with closing(open_file(file.path, "events", file.encoding)) as stream:
        reported = _ReportingFile(stream, on_read, str(file.delimiter))
        table = arrow_csv.read_csv(
            pa.PythonFile(reported, mode="r"),
            read_options=arrow_csv.ReadOptions(autogenerate_column_names=not has_header),
            parse_options=arrow_csv.ParseOptions(delimiter=file.delimiter, newlines_in_values=True),
            convert_options=_as_text(file, has_header=has_header),
        )
    if has_header and not _has_each_once(file.rules, reported.first_line, str(file.delimiter)):
        raise ValueError(COLUMNS)
    n = table.num_rows - 1
    if n < 0 or any(column[n].as_py() not in {_END_MARK, None} for column in table.columns):
        raise ValueError(OPEN_QUOTE)
    if file.delimiter == "\t" and any(pc.any(pc.match_substring(each, "\\")).as_py() for each in table.columns):
        raise ValueError(ESCAPES)
    return table.slice(0, n)


def _has_each_once(rules: DecodeRules, line: bytes, delimiter: str) -> bool:
    """Whether the first *line* surely has each column that must be there, and none of those of fields twice."""
    text = line.decode(errors="replace").removeprefix("\ufeff").rstrip("\r")
    try:
        names = next(csv.reader([text], delimiter=delimiter), [])
    except csv.Error:
        return False
    once = all(names.count(name) == 1 for name in rules.required())
    return once and all(names.count(name) <= 1 for name in (rules.fields.type, rules.fields.user_id))


def _as_text(file: _FileToRead, *, has_header: bool) -> Any:  # noqa: ANN401  # pyarrow is not typed
    """Read only the columns of fields, as text: an id may be 007."""
    import pyarrow as pa  # noqa: PLC0415  # see _fast
    from pyarrow import csv as arrow_csv  # noqa: PLC0415

    fields = file.rules.fields
    named = [*file.rules.required(), fields.type, fields.user_id]
    names = [name if has_header else f"f{name}" for name in dict.fromkeys(named)]
    return arrow_csv.ConvertOptions(
        include_columns=names,
        include_missing_columns=True,
        column_types=dict.fromkeys(names, pa.string()),
        strings_can_be_null=False,
    )


class _ReportingFile:
    """A file for PyArrow, unpacked and in UTF-8. Reports bytes read, and appends a row of _END_MARK.

    If a quote is not closed, the appended row becomes part of its cell: so the caller detects it.
    """

    def __init__(self, stream: ByteStream, on_read: OnRead, delimiter: str) -> None:
        self._stream = stream
        self._on_read = on_read
        self._delimiter = delimiter.encode()
        self._head = b""
        """The first line, as far as it was read."""
        self._left = b""
        self._is_over = False
        self._last = b""
        self._behind_quote = re.compile(rb'[^"%(d)b\r\n]"[^"%(d)b\r\n]' % {b"d": re.escape(self._delimiter)})
        """A quote amid text: it may close a cell, and text follow it. In a cell in quotes it comes twice."""
        self.closed = False

    @property
    def first_line(self) -> bytes:
        """The first line, once all is read."""
        return self._head.partition(b"\n")[0]

    def read(self, size: int = -1) -> bytes:
        """Read as a file does; fewer bytes than requested are no end."""
        block = self._left or self._stream.read()
        self._left = b""
        if 0 <= size < len(block):
            block, self._left = block[:size], block[size:]
        if b"\n" not in self._head:
            self._head += block
        if b'"' in block and self._behind_quote.search(self._last + block):
            raise ValueError(BEHIND_QUOTE)
        self._last = block[-2:]
        self._on_read(*self._stream.progress)
        if block or self._is_over:
            return block
        self._is_over = True
        # If a cell of the first line contains a delimiter, this row is too long for PyArrow, and the careful way reads.
        n = self._head.partition(b"\n")[0].count(self._delimiter) + 1
        return b"\n" + self._delimiter.join([_END_MARK.encode()] * n) + b"\n"

    def readable(self) -> bool:
        """Return True: PyArrow asks."""
        return True

    def seekable(self) -> bool:
        """Return False: PyArrow then reads sequentially."""
        return False

    def close(self) -> None:
        """Do not close the file: the opener does."""
        self.closed = True
