"""Public logs by name: how each is written, so that nobody has to spell it out.

A format knows its columns, its times and its types; what a row needs to be made plain is one function each. Knows
nothing of where the files come from: docs/reference/logs.md tells.
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
    """How one public log is written."""

    name: str
    about: str
    files: tuple[str, ...]
    """What its files are called; the first that is there is taken where a folder is given."""
    layout: str = "csv"
    delimiter: str = ","
    fields: FieldMap
    """By name where the file has a header, else by place from 0."""
    timestamp_unit: str
    type: str | None = None
    """Of all its events; None where a column tells."""
    adapt: Callable[[], Adapt] | None = None
    """Makes what makes a row plain; it may remember the rows before."""

    def rules(self, rules: DecodeRules | None = None) -> DecodeRules:
        """Return *rules* with what this format knows in place of what they say."""
        return msgspec.structs.replace(
            rules or DecodeRules(), fields=self.fields, timestamp_unit=self.timestamp_unit, timestamp_format=None
        )

    @property
    def is_plain(self) -> bool:
        """Whether a reader of tables that knows the delimiter and the columns can read it."""
        return self.adapt is None and self.layout == "csv" and len(self.delimiter) == 1


class _NoEventError(Exception):
    """A line that is all right, and tells of no event."""


def _diginetica() -> Adapt:
    """Return what adds up the day of a session and the milliseconds since it began."""
    read_day = time_reader("iso")
    read_frame = time_reader("ms")

    def adapt(row: Row) -> Row:
        try:
            time = read_day(row.get("eventdate", "")) + read_frame(row.get("timeframe", ""))
        except DecodeError as error:
            raise DecodeError(error.reason, f"timestamp (eventdate, timeframe): {error.message}") from None
        user = "" if row.get("userId") == "NA" else row.get("userId")
        return {**row, "eventdate": time, "userId": user}

    return adapt


def _online_retail() -> Adapt:
    """Return what takes the lines that sold an item, each at the time of its invoice's first."""
    times: dict[object, object] = {}

    def adapt(row: Row) -> Row:
        invoice, code = row.get("InvoiceNo"), str(row.get("StockCode", "")).strip().upper()
        reason = why_no_sale(str(invoice), code, str(row.get("Description", "")), _number(row, "Quantity"),
                             _number(row, "UnitPrice"))  # fmt: skip
        if reason is not None:
            raise _NoEventError(reason)
        time = times.setdefault(invoice, row.get("InvoiceDate"))
        customer = str(row.get("CustomerID", "")).removesuffix(".0")  # empty for a stranger
        return {**row, "StockCode": code, "InvoiceDate": time, "CustomerID": customer}

    return adapt


def _number(row: Row, column: str) -> float:
    try:
        return float(str(row[column]))
    except (KeyError, ValueError):
        raise DecodeError(Reason.WRONG_TYPE, f"{column}: expected a number, found {row.get(column)!r}") from None


_MOVIELENS: Final = FieldMap(session_id="0", item_id="1", timestamp="3", user_id="0")

_PUBLIC_LOGS: Final = (
    LogFormat(
        name="movielens-100k",
        about="MovieLens 100k: user, movie, rating, seconds; tabs, no header",
        files=("u.data", "u.data.gz"),
        delimiter="\t",
        fields=_MOVIELENS,
        timestamp_unit="s",
        type="rating",
    ),
    LogFormat(
        name="movielens-1m",
        about="MovieLens 1M (and 10M): user::movie::rating::seconds, no header",
        files=("ratings.dat", "ratings.dat.gz"),
        delimiter="::",
        fields=_MOVIELENS,
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
        about="CIKM Cup 2016, item views: sessionId;userId;itemId;timeframe;eventdate",
        files=("train-item-views.csv", "train-item-views.csv.gz"),
        delimiter=";",
        fields=FieldMap(session_id="sessionId", item_id="itemId", timestamp="eventdate", user_id="userId"),
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
SNIFFED: Final = "movielens"
"""Not a format but a family: which of the three it is, the first line tells."""


def is_named(name: str | None) -> bool:
    """Tell whether *name* is a public log's."""
    return name == SNIFFED or name in FORMATS


def format_of(name: str, path: str) -> tuple[LogFormat, str]:
    """Return the format of that name, and the file: *path*, or the log's own file where that is a folder.

    Raises SettingsError.
    """
    file = path
    if path != "-" and Path(path).is_dir():
        own = [each for format_ in _family(name) for each in format_.files]
        found = [Path(path) / each for each in own if (Path(path) / each).is_file()]
        if not found:
            raise SettingsError("events", f"the folder {path!r} has none of {', '.join(own)}: name the file itself")
        file = str(found[0])
    return (_sniffed(file) if name == SNIFFED else FORMATS[name]), file


def _family(name: str) -> list[LogFormat]:
    return [each for each in _PUBLIC_LOGS if each.name == name or (name == SNIFFED and each.name.startswith(SNIFFED))]


def _sniffed(path: str) -> LogFormat:
    if path == "-":
        raise SettingsError(
            "format", f"cannot tell which movielens it is: say {', '.join(map(_name, _family(SNIFFED)))}"
        )
    with closing(open_source(path, file_format="jsonl")) as lines:
        first = next((records[0].value for records in lines.batches(1) if records), b"")
    if b"::" in first:
        return FORMATS["movielens-1m"]
    return FORMATS["movielens-100k" if b"\t" in first else "movielens-25m"]


def _name(format_: LogFormat) -> str:
    return format_.name


def open_named(name: str, path: str, rules: DecodeRules | None = None) -> "NamedSource":
    """Open a public log; `rules` are the format's own with what it does not know. Raises SettingsError."""
    format_, file = format_of(name, path)
    rules = format_.rules(rules)
    if format_.layout == "otto":
        return NamedSource(OttoSource(open_file(file, "events"), rules.max_record_bytes), format_)
    return NamedSource(open_source(file, rules, file_format=format_.layout, delimiter=format_.delimiter), format_)


class NamedSource:
    """A source over a public log, its rows made plain."""

    def __init__(self, source: FileSource, format_: LogFormat) -> None:
        self._source = source
        self._type = format_.type
        self._names = format_.fields
        self._adapt = None if format_.adapt is None else format_.adapt()

    def batches(self, max_records: int) -> Iterator[list[Record]]:
        """As the source has them; a line that tells of no event comes as one to refuse, with the reason."""
        for records in self._source.batches(max_records):
            yield [record if record.row is None or record.fault else self._plain(record) for record in records]

    def _plain(self, record: Record) -> Record:
        row: Row = record.row or {}
        try:
            row = row if self._adapt is None else self._adapt(row)
        except _NoEventError as error:
            return _refused(record, Reason.NOT_AN_EVENT, str(error))
        except DecodeError as error:
            return _refused(record, error.reason, error.message)
        if self._type is not None:
            row = {**row, self._names.type: self._type}
        return Record(record.value, record.topic, record.partition, record.offset, row=row)

    @property
    def next_offsets(self) -> dict[tuple[str, int], int]:
        """The number after that of the last record handed out."""
        return self._source.next_offsets

    @property
    def progress(self) -> Progress:
        """In bytes of the file as it is stored."""
        return self._source.progress

    def close(self) -> None:
        """Close the file."""
        self._source.close()


def _refused(record: Record, reason: str, message: str) -> Record:
    return Record(record.value, record.topic, record.partition, record.offset, fault=(reason, message))


class _OttoEvent(msgspec.Struct):
    aid: int | str
    ts: int
    type: str


class _OttoLine(msgspec.Struct):
    session: int | str
    events: list[_OttoEvent]


class OttoSource(LinesSource):
    """One record for each event of each line, all of a line by its number; a line of another shape is one to refuse.

    Where reading goes on at a line, it is read whole: a batch may have ended in its midst.
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
            return [_refused(record, Reason.WRONG_TYPE, str(error))]
        except (ValueError, RecursionError) as error:
            return [_refused(record, Reason.NOT_JSON, str(error))]
        rows = [{"session": line.session, "aid": each.aid, "ts": each.ts, "type": each.type} for each in line.events]
        return [Record(msgspec.json.encode(row), record.topic, 0, record.offset, row=row) for row in rows]

    @property
    def next_offsets(self) -> dict[tuple[str, int], int]:
        """The line to go on at: that of the last record where more of it are to come."""
        ((where, after),) = super().next_offsets.items()
        is_in_midst = bool(self._left) and self._left[0].offset == after - 1
        return {where: after - 1 if is_in_midst else after}
