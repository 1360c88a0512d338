"""The formats of public logs, by name.

A format has its columns, its times and its types, and if needed a function that makes a row plain. Knows nothing of
where the files come from: see docs/reference/logs.md.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Final

import msgspec

from stream_rec.core.events import DecodeRules, FieldMap, Reason, time_reader
from stream_rec.datasets.logs import why_no_sale
from stream_rec.errors import DecodeError, SettingsError
from stream_rec.transport.files import FileSource, LinesSource, open_file, open_source
from stream_rec.transport.records import Progress, Record

__all__ = ["FORMATS", "LogFormat", "NamedSource", "format_of", "is_named", "open_named"]

Row = Mapping[str, object]
Adapt = Callable[[Row], Row]


class LogFormat(msgspec.Struct, frozen=True, kw_only=True):
    """The format of one public log."""

    name: str
    about: str
    files: tuple[str, ...]
    """Names of its files; of a folder, the first that exists is read."""
    layout: str = "csv"
    delimiter: str = ","
    fields: FieldMap
    """By name if the file has a header, otherwise by index from 0."""
    timestamp_unit: str
    type: str | None = None
    """The type of all its events; None if a column has it."""
    adapt: Callable[[], Adapt] | None = None
    """Makes the function that makes a row plain, which may keep state between rows."""

    def rules(self, rules: DecodeRules | None = None) -> DecodeRules:
        """Return *rules* with the fields and times of this format."""
        return msgspec.structs.replace(
            rules or DecodeRules(), fields=self.fields, timestamp_unit=self.timestamp_unit, timestamp_format=None
        )

    @property
    def is_plain(self) -> bool:
        """Whether the delimiter and the columns are enough to read it as a table."""
        return self.adapt is None and self.layout == "csv" and len(self.delimiter) == 1


class _NoEventError(Exception):
    """A valid line that is not an event."""


def _diginetica() -> Adapt:
    """Return a function that adds the day of a session and the milliseconds since its begin."""
    read_day = time_reader("iso")
    read_frame = time_reader("ms")

    def adapt(row: Row) -> Row:
        try:
            time = read_day(row.get("eventdate", "")) + read_frame(row.get("timeframe", ""))
        except DecodeError as error:
            raise DecodeError(error.reason, f"timestamp (eventdate, timeframe): {error.message}") from None
        users = {name: "" for name in ("userId", "user_id") if row.get(name) == "NA"}
        return {**row, "eventdate": time, **users}

    return adapt


def _online_retail() -> Adapt:
    """Return a function that keeps lines that sold an item, with the time of their invoice's first line."""
    times: dict[object, object] = {}

    def adapt(row: Row) -> Row:
        invoice, code = row.get("InvoiceNo"), str(row.get("StockCode", "")).strip().upper()
        reason = why_no_sale(str(invoice), code, str(row.get("Description", "")), _number(row, "Quantity"),
                             _number(row, "UnitPrice"))  # fmt: skip
        if reason is not None:
            raise _NoEventError(reason)
        time = times.setdefault(invoice, row.get("InvoiceDate"))
        customer = str(row.get("CustomerID", "")).removesuffix(".0")  # empty if unknown
        return {**row, "StockCode": code, "InvoiceDate": time, "CustomerID": customer}

    return adapt


def _number(row: Row, column: str) -> float:
    try:
        return float(str(row[column]))
    except (KeyError, ValueError):
        raise DecodeError(Reason.WRONG_TYPE, f"{column}: expected a number, found {row.get(column)!r}") from None


_MOVIELENS_FIELDS: Final = FieldMap(session_id="0", item_id="1", timestamp="3", user_id="0")

_PUBLIC_LOGS: Final = (
    LogFormat(
        name="movielens-100k",
        about="MovieLens 100k: user, movie, rating, seconds; tabs, no header",
        files=("u.data", "u.data.gz"),
        delimiter="\t",
        fields=_MOVIELENS_FIELDS,
        timestamp_unit="s",
        type="rating",
    ),
    LogFormat(
        name="movielens-1m",
        about="MovieLens 1M (and 10M): user::movie::rating::seconds, no header",
        files=("ratings.dat", "ratings.dat.gz"),
        delimiter="::",
        fields=_MOVIELENS_FIELDS,
        timestamp_unit="s",
        type="rating",
    ),
    LogFormat(
        name="movielens-25m",
        about="MovieLens 25M (and 20M, 32M, latest): userId,movieId,rating,timestamp in seconds",
        files=("ratings.csv", "ratings.csv.gz"),
        fields=FieldMap(session_id="userId", item_id="movieId", timestamp="timestamp", user_id="userId"),
        timestamp_unit="s",
        type="rating",
    ),
    LogFormat(
        name="yoochoose-clicks",
        about="RecSys Challenge 2015, clicks: session, ISO time, item, category; no header",
        files=("yoochoose-clicks.dat", "yoochoose-clicks.dat.gz"),
        fields=FieldMap(session_id="0", item_id="2", timestamp="1"),
        timestamp_unit="iso",
        type="click",
    ),
    LogFormat(
        name="yoochoose-buys",
        about="RecSys Challenge 2015, purchases: session, ISO time, item, price, quantity; no header",
        files=("yoochoose-buys.dat", "yoochoose-buys.dat.gz"),
        fields=FieldMap(session_id="0", item_id="2", timestamp="1"),
        timestamp_unit="iso",
        type="purchase",
    ),
    LogFormat(
        name="retailrocket",
        about="Retailrocket events: timestamp,visitorid,event,itemid,transactionid; a visitor is a session",
        files=("events.csv", "events.csv.gz"),
        fields=FieldMap(
            session_id="visitorid", item_id="itemid", timestamp="timestamp", type="event", user_id="visitorid"
        ),
        timestamp_unit="ms",
    ),
    LogFormat(
        name="diginetica",
        about="CIKM Cup 2016, item views: sessionId;userId;itemId;timeframe;eventdate; or with session_id, ...",
        files=("train-item-views.csv", "train-item-views.csv.gz"),
        delimiter=";",
        fields=FieldMap(
            session_id="sessionId|session_id",
            item_id="itemId|item_id",
            timestamp="eventdate",
            user_id="userId|user_id",
        ),
        timestamp_unit="ms",
        adapt=_diginetica,
    ),
    LogFormat(
        name="otto",
        about="OTTO (2022): a session on each line, as JSON with its events (aid, ts, type)",
        files=("otto-recsys-train.jsonl", "train.jsonl", "otto-recsys-test.jsonl", "test.jsonl"),
        layout="otto",
        fields=FieldMap(session_id="session", item_id="aid", timestamp="ts", type="type"),
        timestamp_unit="ms",
    ),
    LogFormat(
        name="online-retail",
        about="UCI Online Retail as CSV: invoices; what was sold, without cancellations and fees",
        files=("online_retail.csv", "online_retail.csv.gz"),
        fields=FieldMap(session_id="InvoiceNo", item_id="StockCode", timestamp="InvoiceDate", user_id="CustomerID"),
        timestamp_unit="iso",
        type="purchase",
        adapt=_online_retail,
    ),
    LogFormat(
        name="session-rec",
        about="As session-rec and Serenade write: SessionId, ItemId, Time in seconds; tabs",
        files=("train.txt", "train.txt.gz", "train.tsv"),
        delimiter="\t",
        fields=FieldMap(session_id="SessionId", item_id="ItemId", timestamp="Time"),
        timestamp_unit="s",
    ),
)

FORMATS: Final[Mapping[str, LogFormat]] = {each.name: each for each in _PUBLIC_LOGS}
MOVIELENS: Final = "movielens"
"""A family of three formats; the first line of the file shows which."""


def is_named(name: str | None) -> bool:
    """Return whether *name* is that of a public log."""
    return name == MOVIELENS or name in FORMATS


def format_of(name: str, path: str) -> tuple[LogFormat, str]:
    """Return the format of that name, and the file: *path*, or the log's own file if *path* is a folder.

    Raises SettingsError.
    """
    file = path
    if path != "-" and Path(path).is_dir():
        own = [each for format_ in _family(name) for each in format_.files]
        found = [Path(path) / each for each in own if (Path(path) / each).is_file()]
        if not found:
            raise SettingsError("events", f"the folder {path!r} has none of {', '.join(own)}: name the file itself")
        file = str(found[0])
    return (_detected(file) if name == MOVIELENS else FORMATS[name]), file


def _family(name: str) -> list[LogFormat]:
    return [
        each for each in _PUBLIC_LOGS if each.name == name or (name == MOVIELENS and each.name.startswith(MOVIELENS))
    ]


def _detected(path: str) -> LogFormat:
    if path == "-":
        raise SettingsError("format", f"cannot detect which movielens: set {', '.join(map(_name, _family(MOVIELENS)))}")
    with closing(open_source(path, file_format="jsonl")) as lines:
        first = next((records[0].value for records in lines.batches(1) if records), b"")
    if b"::" in first:
        return FORMATS["movielens-1m"]
    return FORMATS["movielens-100k" if b"\t" in first else "movielens-25m"]


def _name(format_: LogFormat) -> str:
    return format_.name


def open_named(
    name: str,
    path: str,
    rules: DecodeRules | None = None,
    *,
    encoding: str | None = None,
    topic: str | None = None,
) -> "NamedSource":
    """Open a public log, which offsets call *topic*; *rules* add what the format does not set. Raises SettingsError."""
    format_, file = format_of(name, path)
    rules = format_.rules(rules)
    if format_.layout == "otto":
        return NamedSource(OttoSource(open_file(file, "events", encoding, topic), rules.max_record_bytes), format_)
    source = open_source(
        file, rules, file_format=format_.layout, delimiter=format_.delimiter, encoding=encoding, topic=topic
    )
    return NamedSource(source, format_)


class NamedSource:
    """A source of a public log, with its rows made plain."""

    def __init__(self, source: FileSource, format_: LogFormat) -> None:
        self._source = source
        self._type = format_.type
        self._names = format_.fields
        self._adapt = None if format_.adapt is None else format_.adapt()

    def batches(self, max_records: int) -> Iterator[list[Record]]:
        """Yield the records of the source; a line that is not an event has a fault, with the reason."""
        for records in self._source.batches(max_records):
            yield [record if record.row is None or record.fault else self._plain(record) for record in records]

    def _plain(self, record: Record) -> Record:
        row: Row = record.row or {}
        try:
            row = row if self._adapt is None else self._adapt(row)
        except _NoEventError as error:
            return _with_fault(record, Reason.NOT_AN_EVENT, str(error))
        except DecodeError as error:
            return _with_fault(record, error.reason, error.message)
        if self._type is not None:
            row = {**row, self._names.type: self._type}
        return Record(record.value, record.topic, record.partition, record.offset, row=row)

    @property
    def is_at_rest(self) -> bool:
        """Whether it is a file, not a pipe or standard input."""
        return self._source.is_at_rest

    @property
    def next_offsets(self) -> dict[tuple[str, int], int]:
        """The number after that of the last record handed out."""
        return self._source.next_offsets

    @property
    def progress(self) -> Progress:
        """Progress in bytes of the file as stored."""
        return self._source.progress

    def close(self) -> None:
        """Close the file."""
        self._source.close()


def _with_fault(record: Record, reason: str, message: str) -> Record:
    return Record(record.value, record.topic, record.partition, record.offset, fault=(reason, message))


class _OttoEvent(msgspec.Struct):
    aid: int | str
    ts: int
    type: str


class _OttoLine(msgspec.Struct):
    session: int | str
    events: list[_OttoEvent]


class OttoSource(LinesSource):
    """One record for each event of a line, all with the offset of the line; a line of another shape has a fault.

    A batch may end inside a line. Reading then continues with the whole line.
    """

    def _blocks(self) -> Iterator[list[Record]]:
        decode = msgspec.json.Decoder(_OttoLine).decode
        for records in super()._blocks():
            yield [event for record in records for event in self._events(record, decode)]

    def _events(self, record: Record, decode: Callable[[bytes], _OttoLine]) -> list[Record]:
        if record.fault is not None:
            return [record]
        try:
            line = decode(record.value)
        except msgspec.ValidationError as error:
            return [_with_fault(record, Reason.WRONG_TYPE, str(error))]
        except (ValueError, RecursionError) as error:
            return [_with_fault(record, Reason.NOT_JSON, str(error))]
        rows = [{"session": line.session, "aid": each.aid, "ts": each.ts, "type": each.type} for each in line.events]
        return [Record(msgspec.json.encode(row), record.topic, 0, record.offset, row=row) for row in rows]

    @property
    def next_offsets(self) -> dict[tuple[str, int], int]:
        """The line to go on at: that of the last record where more of it are to come."""
        ((where, after),) = super().next_offsets.items()
        is_inside_line = bool(self._left) and self._left[0].offset == after - 1
        return {where: after - 1 if is_inside_line else after}
