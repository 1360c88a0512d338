"""The formats of live streams: their names, what makes a record of theirs an event, and where its fields are.

Knows no topic and no file: a record comes from any of them.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Final, Protocol

import msgspec

from stream_rec.core.events import DecodeRules, FieldMap, Reason, is_path
from stream_rec.core.events.json_text import object_in
from stream_rec.core.events.paths import goes_through_arrays
from stream_rec.datasets.streams.envelopes import Headers, cloudevents, connect, debezium
from stream_rec.datasets.streams.rows import ForgetError, NoEventError, Row
from stream_rec.datasets.streams.snowplow import COLUMNS, snowplow, snowplow_line
from stream_rec.datasets.streams.trackers import ga4, track_calls, ubi
from stream_rec.errors import DecodeError
from stream_rec.transport.files import FileSource, form_of_file, open_source
from stream_rec.transport.frames import is_framed, without_registry
from stream_rec.transport.records import AS_RECORDS, Record, Records

__all__ = ["STREAMS", "StreamAdapter", "StreamFormat", "guess_stream", "open_stream"]

Adapt = Callable[[Row, Headers], Row]


class StreamFormat(msgspec.Struct, frozen=True, kw_only=True):
    """The format of one kind of producer."""

    name: str
    about: str
    fields: Mapping[str, str]
    """Field of an event -> path to it, in what `adapt` returns. Those that are not named here have their own names."""
    shown_as: str | None = None
    """The path to the type instead, where what was shown counts; None: the same."""
    timestamp_unit: str | None = None
    """None: that of the settings, since the field is the log's own."""
    adapt: Callable[[Collection[str], str | None], Adapt]
    """Makes the function that returns what is in a record; it is given the fields whose paths the settings name, and
    the type of events that say what was shown."""
    tombstones: str | None = None
    """What a record without a value is, where it is no order to forget."""

    def rules(self, rules: DecodeRules) -> DecodeRules:
        """Return *rules* with the fields and times of this format; fields that *rules* name go before."""
        given = {field: path for field, path in rules.fields.as_dict().items() if path != field}
        fields = dict(self.fields)
        if rules.shown_type is not None and self.shown_as is not None and "item_id" not in given:
            fields["type"] = self.shown_as
        unit = self.timestamp_unit
        own_time = unit is None or "timestamp" in given or rules.timestamp_format is not None
        return msgspec.structs.replace(
            rules,
            fields=FieldMap(**{**fields, **given}),
            timestamp_unit=rules.timestamp_unit if own_time or unit is None else unit,
        )


class StreamAdapter:
    """Makes records of a format those that the decoder reads with the format's rules."""

    def __init__(self, format_: StreamFormat, rules: DecodeRules) -> None:
        self._format = format_
        paths = rules.fields.as_dict()
        theirs = {field: {field, path} for field, path in format_.fields.items()}
        theirs["type"] = {*theirs.get("type", {"type"}), format_.shown_as or "type"}
        own = {field for field, path in paths.items() if path not in theirs.get(field, {field})}
        self._adapt = format_.adapt(own, rules.shown_type)
        self._literal = {path for path in paths.values() if is_path(path)}
        """Names that only a record of the service's own has: an event that came over HTTP, written with these rules."""
        self._no_arrays = dict.fromkeys(path for path in self._literal if goes_through_arrays(path))
        self._max_bytes = rules.max_record_bytes

    def __call__(self, records: Iterable[Record]) -> Records:
        """Return *records*, each as `adapted` makes it."""
        return Records([self.adapted(record) for record in records], AS_RECORDS)

    def adapted(self, record: Record) -> Record:
        """Return *record* with the row that is in it; with a fault, if it is no event; as an order to forget."""
        if record.fault is not None or len(record.value) > self._max_bytes:
            return record
        if record.tombstone:
            return self._forget(record, None)
        try:
            row = _row_of(record)
            # An order to forget of the service's own has no item, and no array that the path of items goes through.
            is_own = not self._literal.isdisjoint(row)
            row = {**self._no_arrays, **row} if is_own else self._adapt(row, record.headers)
        except NoEventError as error:
            return _with_fault(record, Reason.NOT_AN_EVENT, str(error))
        except DecodeError as error:
            return _with_fault(record, error.reason, error.message)
        except ForgetError as error:
            return self._forget(record, error.row)
        return msgspec.structs.replace(record, row=row)

    def _forget(self, record: Record, row: Row | None) -> Record:
        """Return the order to forget the session in *row*, or, without one, in the key."""
        if row is not None:
            key = msgspec.json.encode(dict(row), enc_hook=str)
            return msgspec.structs.replace(record, key=key, row=None, tombstone=True)
        if self._format.tombstones is not None:
            return _with_fault(record, Reason.NOT_AN_EVENT, self._format.tombstones)
        return msgspec.structs.replace(record, row=None, tombstone=True)


def _row_of(record: Record) -> Row:
    """Return the object that *record* holds: a row, or JSON, or one of Snowplow's lines. Raises DecodeError."""
    if record.row is not None:
        return record.row
    value = record.value
    if is_framed(value):
        bare = without_registry(record)
        if bare.fault is not None:
            raise DecodeError(*bare.fault)
        value = bare.value
    if value.count(b"\t") >= COLUMNS - 1:
        return snowplow_line(value.decode(errors="replace"))
    return object_in(value)


def _with_fault(record: Record, reason: str, message: str) -> Record:
    return msgspec.structs.replace(record, row=None, tombstone=False, fault=(reason, message))


class _AdaptItems(Protocol):
    def __call__(self, row: Row, *, needs_item: bool) -> Row: ...


class _AdaptShown(Protocol):
    def __call__(self, row: Row, *, needs_item: bool, shown: str | None) -> Row: ...


_MakeAdapt = Callable[[Collection[str], str | None], Adapt]


def _always(adapt: Callable[[Row], Row]) -> _MakeAdapt:
    return lambda *_: lambda row, _: adapt(row)


def _with_items(adapt: _AdaptItems) -> _MakeAdapt:
    def make(given: Collection[str], _shown: str | None) -> Adapt:
        needs_item = "item_id" not in given
        return lambda row, _: adapt(row, needs_item=needs_item)

    return make


def _with_shown(adapt: _AdaptShown) -> _MakeAdapt:
    def make(given: Collection[str], shown: str | None) -> Adapt:
        """Where the settings name a type of their own, lists are refused: nothing would say that they are such."""
        needs_item, shown = "item_id" not in given, None if "type" in given else shown
        return lambda row, _: adapt(row, needs_item=needs_item, shown=shown)

    return make


_TRACK_CALLS: Final = {
    "session_id": "anonymousId|userId",
    "item_id": "products[].product_id|products[].sku",
    "timestamp": "timestamp|originalTimestamp|sentAt|receivedAt",
    "type": "event",
    "event_id": "messageId",
    "user_id": "anonymousId|userId|user_id",
}
"""A visitor is not another one after a login, so the anonymous id goes first.

No two fields have the same path: an event over HTTP is written under these names, and has a session and a user.
"""

_SHOWN_AS: Final = "products[].shown_as|event"

_FORMATS: Final = (
    StreamFormat(
        name="segment",
        about="track calls of Segment's e-commerce specification",
        fields=_TRACK_CALLS,
        shown_as=_SHOWN_AS,
        timestamp_unit="iso",
        adapt=_with_shown(track_calls),
    ),
    StreamFormat(
        name="rudderstack",
        about="the same of RudderStack, with its sessions",
        fields={**_TRACK_CALLS, "session_id": "anonymousId+context.sessionId|anonymousId|userId"},
        shown_as=_SHOWN_AS,
        timestamp_unit="iso",
        adapt=_with_shown(track_calls),
    ),
    StreamFormat(
        name="ga4",
        about="Google Analytics 4, as exported to BigQuery",
        fields={
            "session_id": "user_pseudo_id+event_params[ga_session_id].int_value",
            "item_id": "items[].item_id",
            "timestamp": "event_timestamp",
            "type": "event_name",
            "user_id": "user_pseudo_id|user_id",
        },
        timestamp_unit="us",
        adapt=_with_items(ga4),
    ),
    StreamFormat(
        name="snowplow",
        about="enriched events of Snowplow: tab-separated, or the JSON of its Analytics SDKs",
        fields={
            "session_id": "domain_sessionid|domain_userid",
            "item_id": "products[].id",
            "timestamp": "derived_tstamp|collector_tstamp",
            "type": "action",
            "event_id": "event_id",
            "user_id": "domain_userid|user_id|network_userid",
        },
        timestamp_unit="iso",
        adapt=_with_items(snowplow),
    ),
    StreamFormat(
        name="ubi",
        about="events of OpenSearch's User Behavior Insights",
        fields={
            "session_id": "session_id|event_attributes.session_id|client_id",
            "item_id": "event_attributes.object.object_id",
            "type": "action_name",
            "user_id": "client_id|user_id",
        },
        timestamp_unit="iso",
        adapt=_with_shown(ubi),
    ),
    StreamFormat(
        name="cloudevents",
        about="CloudEvents in Kafka, structured or binary, around fields of your own",
        fields={"timestamp": "ce_time", "type": "type|ce_type", "event_id": "event_id|ce_id"},
        timestamp_unit="iso",
        adapt=lambda *_: cloudevents,
    ),
    StreamFormat(
        name="debezium",
        about="change data of a table of events, from Debezium",
        fields={},
        adapt=_always(debezium),
        tombstones="the tombstone behind a deletion, which has said what to forget",
    ),
    StreamFormat(
        name="connect",
        about="JSON of Kafka Connect, with its schema around fields of your own",
        fields={},
        adapt=_always(connect),
    ),
)

STREAMS: Final[Mapping[str, StreamFormat]] = {each.name: each for each in _FORMATS}


def open_stream(path: str, rules: DecodeRules, *, encoding: str | None = None, topic: str | None = None) -> FileSource:
    """Open a file of records of a stream: JSON lines, an array, Snowplow's lines, or Parquet. Raises SettingsError.

    Offsets call it *topic*.
    """
    layout = "jsonl" if path == "-" else form_of_file(path, rules, encoding=encoding).format
    layout = "jsonl" if layout in {"csv", "tsv"} else layout
    return open_source(path, rules, file_format=layout, whole=True, encoding=encoding, topic=topic)


def guess_stream(records: Sequence[Record]) -> str | None:
    """Return the format that most of *records* look like they have, by what is in them; None for any other."""
    found = [_looks_like(record) for record in records]
    best = max(STREAMS, key=found.count, default=None)
    return best if best is not None and 2 * found.count(best) > len(found) else None


def _looks_like(record: Record) -> str | None:
    if any(name == "ce_specversion" for name, _ in record.headers):
        return "cloudevents"
    try:
        row = _row_of(record)
    except (DecodeError, NoEventError):
        return None
    names = row.keys()
    for name, any_of in _SIGNS.items():
        if any(each <= names for each in any_of):
            return name
    if {"payload"} <= names <= {"schema", "payload"}:
        payload = row.get("payload")
        is_change = isinstance(payload, Mapping) and {"before", "after", "op"} <= payload.keys()
        return "debezium" if is_change else "connect"
    return None


_SIGNS: Final[Mapping[str, tuple[frozenset[str], ...]]] = {
    "cloudevents": (frozenset({"specversion", "id", "source", "type"}),),
    "debezium": (frozenset({"before", "after", "op"}), frozenset({"__deleted"})),
    "rudderstack": (frozenset({"rudderId", "messageId"}), frozenset({"messageId", "anonymousId", "request_ip"})),
    "segment": (frozenset({"messageId", "anonymousId", "event"}), frozenset({"messageId", "userId", "event"})),
    "ga4": (frozenset({"event_name", "event_timestamp", "event_params"}),),
    "snowplow": (frozenset({"collector_tstamp", "event_id", "event"}),),
    "ubi": (frozenset({"action_name", "event_attributes"}),),
}
"""Names that stand in records of a format, and in those of no other."""
