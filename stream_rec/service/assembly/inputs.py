"""Settings -> inputs: rules of decoding, decoders, the sources of events and requests, the catalogue's feed."""

from collections.abc import Callable, Sequence
from contextlib import closing
from typing import TYPE_CHECKING

import msgspec

from stream_rec.core.events import DecodeRules, EventDecoder, FieldMap, RequestDecoder
from stream_rec.datasets.formats import NamedSource, format_of, is_named, open_named
from stream_rec.datasets.streams.formats import STREAMS, StreamAdapter, open_stream
from stream_rec.service.assembly.brokers import connect_broker
from stream_rec.service.batches import Decoded
from stream_rec.service.consuming.record_decoder import Decode, Opened, RecordDecoder
from stream_rec.service.consuming.record_reader import RecordReader, reader_of
from stream_rec.service.consuming.time_order import TimeOrder
from stream_rec.service.processing.catalogue_feed import CatalogueFeed, CatalogueFile, CatalogueTopic
from stream_rec.service.timeouts import TIMEOUTS, Timeouts
from stream_rec.service.wall_clock import now_ms
from stream_rec.settings import Settings, is_topic
from stream_rec.transport.files import (
    FileSource,
    FilesSource,
    FoundFile,
    find_files,
    form_of_file,
    open_file,
    open_source,
    span_in_order,
)
from stream_rec.transport.kafka import KafkaSource, open_registry, parse_address
from stream_rec.transport.records import NoSource, Source

if TYPE_CHECKING:
    from stream_rec.transport.kafka.registry.registry import SchemaRegistry

__all__ = [
    "build_adapter",
    "build_catalogue_feed",
    "build_decode_rules",
    "build_decoder",
    "build_record_decoder",
    "build_record_reader",
    "build_registry",
    "build_request_decoder",
    "event_files",
    "first_file",
    "in_order_of_time",
    "open_events",
    "open_requests",
    "parts_of_one_log",
]


def build_decode_rules(settings: Settings) -> DecodeRules:
    """Return how events are written, and which of them are accepted. Raises SettingsError."""
    rules = DecodeRules(
        fields=msgspec.convert(dict(settings.fields), FieldMap),
        timestamp_unit=settings.timestamp_unit,
        timestamp_format=settings.timestamp_format,
        time_zone=settings.time_zone,
        types=frozenset(settings.types) or None,
        shown_type=settings.shown,
        forget_types=frozenset(settings.forget_types),
        lenient_ids=settings.lenient_ids,
        session_from_user=settings.session_gap_ms is not None,
        max_record_bytes=settings.max_record_bytes,
        max_future_ms=settings.future_ms,
    )
    if settings.format in STREAMS:
        return STREAMS[settings.format].rules(rules)
    if not is_named(settings.format):
        return rules
    path = settings.events if settings.events == "http" or is_topic(settings.events) else first_file(settings)
    return format_of(settings.format, path)[0].rules(rules)


def build_decoder(settings: Settings) -> EventDecoder:
    """Return the decoder of events. Raises SettingsError."""
    return EventDecoder(build_decode_rules(settings))


def build_record_decoder(settings: Settings, registry: "SchemaRegistry | None" = None) -> RecordDecoder:
    """Return the decoder of records of events; those of a topic say when the log took them. Raises SettingsError.

    *registry* is that of the settings, where it is open already.
    """
    registry = registry or build_registry(settings)
    return RecordDecoder(
        build_decoder(settings),
        has_log_times=is_topic(settings.events),
        read_at_ms=now_ms,
        drops_repeats=settings.drop_repeats,
        opened=_opened(registry, build_adapter(settings)),
    )


def build_adapter(settings: Settings) -> StreamAdapter | None:
    """Return what makes records of the settings' format those that the decoder reads; None if they are that already."""
    named = STREAMS.get(settings.format)
    return None if named is None else StreamAdapter(named, build_decode_rules(settings))


def _opened(registry: "SchemaRegistry | None", adapter: StreamAdapter | None) -> Opened | None:
    """Return the step before decoding: records of a registry, then those of a format."""
    if registry is None:
        return adapter
    if adapter is None:
        return registry.opened
    return lambda records: adapter(registry.opened(records))


def build_registry(settings: Settings) -> "SchemaRegistry | None":
    """Return the schema registry, which is not asked yet; None without one. Raises SettingsError."""
    if settings.registry is None:
        return None
    return open_registry(
        settings.registry,
        settings.registry_config,
        max_record_bytes=settings.max_record_bytes,
        opens_keys=any("@key" in path for path in settings.fields.values()),
    )


def build_record_reader(settings: Settings) -> RecordReader:
    """Return the reader of what is submitted in the form of the log. Raises SettingsError."""
    return reader_of(build_decode_rules(settings), build_adapter(settings))


def build_request_decoder(settings: Settings) -> RequestDecoder:
    """Return the decoder of requests."""
    return RequestDecoder(max_record_bytes=settings.max_record_bytes)


def open_events(settings: Settings) -> Source:
    """Open the source of events. A topic ends where it ends now. Raises SettingsError."""
    if settings.events == "http":
        return NoSource()
    if is_topic(settings.events):
        return KafkaSource(
            connect_broker(settings, settings.events, "events"), parse_address(settings.events, "events").topic
        )
    all_rules = build_decode_rules(settings)
    files = event_files(settings)

    def open_file(file: FoundFile) -> FileSource | NamedSource:
        rules = msgspec.structs.replace(all_rules, beside=frozenset(file.partition))
        if settings.format in STREAMS:
            return open_stream(file.path, rules, encoding=settings.encoding, topic=topic_of(file))
        if is_named(settings.format):
            return open_named(settings.format, file.path, rules, encoding=settings.encoding, topic=topic_of(file))
        return open_source(
            file.path,
            rules,
            file_format=None if settings.format == "auto" else settings.format,
            delimiter=settings.delimiter,
            encoding=settings.encoding,
            topic=topic_of(file),
        )

    def topic_of(file: FoundFile) -> str | None:
        return file.name if len(files) > 1 else None

    if len(files) == 1 and not files[0].partition:
        return open_file(files[0])
    return FilesSource(files, open_file, all_rules)


def event_files(settings: Settings) -> list[FoundFile]:
    """Return the files that the settings mean. The folder of a public log is its own file. Raises SettingsError."""
    folders = not is_named(settings.format)
    return find_files([settings.events, *settings.more_events], folders=folders)


def first_file(settings: Settings) -> str:
    """Return the path of the file of events, or of the first of them. Raises SettingsError."""
    return event_files(settings)[0].path


def parts_of_one_log(source: Source) -> frozenset[str]:
    """Return the names of the files that *source* reads as one log; none where it is a single file, or no file."""
    return source.topics if isinstance(source, FilesSource) else frozenset()


def in_order_of_time(
    settings: Settings,
    source: Source,
    decode: Decode,
    on_read: Callable[[Sequence[Decoded]], None] = lambda _: None,
) -> Source:
    """Return the events of *source* in order of time, if it is at rest and `in_order` does not say otherwise.

    *on_read* is called with what the records say, in the order of the file, if it is.
    """
    is_at_rest = isinstance(source, FilesSource | FileSource | NamedSource) and source.is_at_rest
    if not is_at_rest or settings.in_order or _is_in_order(settings, source):
        return source
    return TimeOrder(source, decode, on_read)


def _is_in_order(settings: Settings, source: Source) -> bool:
    """Whether one look at its times is enough to say that the file of *source*, a large one, is in order."""
    if not isinstance(source, FileSource) or settings.format in STREAMS:
        return False
    rules = build_decode_rules(settings)
    path = source.stream.name
    file_format = None if settings.format == "auto" else settings.format
    form = form_of_file(path, rules, file_format=file_format, delimiter=settings.delimiter, encoding=settings.encoding)
    with closing(open_file(path, "events", settings.encoding)) as stream:
        return span_in_order(stream, form, rules) is not None


def open_requests(settings: Settings) -> Source | None:
    """Open the source of requests, if there is one. Raises SettingsError."""
    if settings.requests is None:
        return None
    rules = DecodeRules(max_record_bytes=settings.max_record_bytes)
    return open_source(settings.requests, rules, key="requests", tables=False)


def build_catalogue_feed(settings: Settings, timeouts: Timeouts = TIMEOUTS) -> CatalogueFeed | None:
    """Return the feed of the catalogue, not started yet; None without a catalogue. Raises SettingsError."""
    address = settings.catalogue
    if address is None:
        return None
    if not is_topic(address):
        return CatalogueFeed(CatalogueFile(address, settings.max_record_bytes, timeouts), timeouts)
    topic = parse_address(address, "catalogue").topic
    source = CatalogueTopic(lambda: connect_broker(settings, address, "catalogue"), topic, timeouts)
    return CatalogueFeed(source, timeouts)
