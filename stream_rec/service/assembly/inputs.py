"""Settings -> inputs: rules of decoding, decoders, the sources of events and requests, the catalogue's feed."""

import msgspec

from stream_rec.core.events import DecodeRules, EventDecoder, FieldMap, RequestDecoder
from stream_rec.datasets.formats import format_of, is_named, open_named
from stream_rec.service.assembly.brokers import connect_broker
from stream_rec.service.consuming.record_decoder import RecordDecoder
from stream_rec.service.processing.catalogue_feed import CatalogueFeed, CatalogueFile, CatalogueTopic
from stream_rec.service.timeouts import TIMEOUTS, Timeouts
from stream_rec.service.wall_clock import now_ms
from stream_rec.settings import Settings, is_topic
from stream_rec.transport.files import open_source
from stream_rec.transport.kafka import KafkaSource, parse_address
from stream_rec.transport.records import NoSource, Source

__all__ = [
    "build_catalogue_feed",
    "build_decode_rules",
    "build_decoder",
    "build_record_decoder",
    "build_request_decoder",
    "open_events",
    "open_requests",
]


def build_decode_rules(settings: Settings) -> DecodeRules:
    """Return how events are written, and which of them are accepted. Raises SettingsError."""
    rules = DecodeRules(
        fields=msgspec.convert(dict(settings.fields), FieldMap),
        timestamp_unit=settings.timestamp_unit,
        timestamp_format=settings.timestamp_format,
        time_zone=settings.time_zone,
        types=frozenset(settings.types) or None,
        forget_types=frozenset(settings.forget_types),
        lenient_ids=settings.lenient_ids,
        session_from_user=settings.session_gap_ms is not None,
        max_record_bytes=settings.max_record_bytes,
        max_future_ms=settings.future_ms,
    )
    return format_of(settings.format, settings.events)[0].rules(rules) if is_named(settings.format) else rules


def build_decoder(settings: Settings) -> EventDecoder:
    """Return the decoder of events. Raises SettingsError."""
    return EventDecoder(build_decode_rules(settings))


def build_record_decoder(settings: Settings) -> RecordDecoder:
    """Return the decoder of records of events; those of a topic say when the log took them. Raises SettingsError."""
    return RecordDecoder(build_decoder(settings), has_log_times=is_topic(settings.events), read_at_ms=now_ms)


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
    if is_named(settings.format):
        return open_named(settings.format, settings.events, build_decode_rules(settings))
    file_format = None if settings.format == "auto" else settings.format
    return open_source(settings.events, build_decode_rules(settings), file_format=file_format)


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
