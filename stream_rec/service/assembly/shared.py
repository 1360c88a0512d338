"""Settings -> the parts of a run: rules of decoding, limits, model, rules for items, catalogue, engine.

The only place where a setting's name meets the name of what it sets. Opens the files of lists, and nothing else.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from stream_rec.core.engine import NOT_OF_A_PRESET, Engine
from stream_rec.core.events import DecodeRules, EventDecoder, FieldMap, RequestDecoder
from stream_rec.core.limits import Limits
from stream_rec.core.model import Model, Rules, Split, Trial, changed, model
from stream_rec.core.quality import Quality
from stream_rec.datasets.formats import format_of, is_named, open_named
from stream_rec.errors import SettingsError
from stream_rec.service.handle import ServiceHandle
from stream_rec.service.metrics.service_metrics import ServiceMetrics
from stream_rec.service.processing.catalogue_feed import CatalogueFeed, CatalogueFile, CatalogueTopic
from stream_rec.service.reporting.status import Status
from stream_rec.service.requests.ingest import Ingest
from stream_rec.service.requests.request_queue import RequestQueue
from stream_rec.settings import Settings, is_topic
from stream_rec.transport.broker import Broker
from stream_rec.transport.files import open_sink, open_source
from stream_rec.transport.kafka import KafkaSink, KafkaSource, open_broker, parse_address
from stream_rec.transport.records import NoSource, Sink, Source

if TYPE_CHECKING:
    from stream_rec.service.metrics.tracing import Tracing

__all__ = [
    "build_catalogue",
    "build_decoder",
    "build_engine",
    "build_item_rules",
    "build_limits",
    "build_model",
    "build_quality",
    "build_request_decoder",
    "build_rules",
    "build_trials",
    "describe_served",
    "open_dead_letters",
    "open_events",
    "open_recommendations",
    "open_requests",
    "open_tracing",
    "read_denied",
    "read_ids",
]


def build_engine(settings: Settings) -> Engine:
    """Make an empty engine. Raises SettingsError."""
    return Engine(
        build_model(settings),
        limits=build_limits(settings),
        type_weights=settings.types,
        deny=read_denied(settings),
        session_gap_ms=settings.session_gap_ms,
        trials=build_trials(settings),
        salt=settings.models_salt,
        rules=build_item_rules(settings),
    )


def build_item_rules(settings: Settings) -> Rules:
    """Return the rules for items that always hold, the deny list apart. Raises SettingsError."""
    allow = read_ids(settings.allow, settings.allow_file, "allow_file")
    return Rules(
        allow=allow if allow or settings.allow_file else None,
        filter=settings.filter,
        boosts=dict(settings.boosts),
        same_category=settings.same_category,
        max_per_category=settings.max_per_category,
    )


def build_catalogue(settings: Settings) -> CatalogueFeed | None:
    """Return what keeps the catalogue up to date, not started yet; None where there is none. Raises SettingsError."""
    place = settings.catalogue
    if place is None:
        return None
    if not is_topic(place):
        return CatalogueFeed(CatalogueFile(place, settings.max_record_bytes))
    topic = parse_address(place, "catalogue").topic
    return CatalogueFeed(CatalogueTopic(lambda: _connect(settings, place, "catalogue"), topic))


def build_model(settings: Settings) -> Model:
    """Return the preset with the settings' own parameters."""
    shared = [key for key in Model.__struct_fields__ if key in Settings.__struct_fields__]
    return model(settings.preset, **{key: _parameter(getattr(settings, key)) for key in shared})


def build_trials(settings: Settings) -> list[Trial]:
    """Return the models beside the main one. Raises SettingsError."""
    main = build_model(settings)
    trials = []
    for name, trial in settings.models.items():
        own = {key: _parameter(value) for key, value in trial.parameters.items()}
        preset = own.pop("preset", None)
        base = main
        if preset is not None:
            base = model(str(preset), **{key: getattr(main, key) for key in NOT_OF_A_PRESET})
        trials.append(Trial(model=changed(base, **own, name=name), share=trial.share, shadow=trial.shadow))
    return trials


def build_quality(settings: Settings) -> Quality | None:
    """Make what judges answers while they are given; None where none are, or where it is switched off."""
    if not settings.quality or (settings.answer == "none" and settings.http is None):
        return None
    return Quality(
        Split(build_model(settings), build_trials(settings), settings.models_salt),
        n=min(settings.quality_n, settings.n),
        windows_ms=settings.quality_windows_ms,
        capacity=settings.quality_sessions,
    )


def _parameter(value: object) -> object:
    """Return a setting's value as the model has it: `none` is a word of the settings, for the preset's own."""
    return "none" if value == "off" else value


def build_limits(settings: Settings) -> Limits:
    """Return the bounds of the session store."""
    return Limits(
        retention_ms=settings.retention_ms,
        allowed_lateness_ms=settings.lateness_ms,
        max_sessions=settings.max_sessions,
        max_events=settings.max_events,
        max_bytes=settings.max_bytes,
        max_session_events=settings.max_session_events,
        dedupe_window_ms=settings.dedupe_window_ms,
        popular_half_life_ms=settings.popular_half_life_ms,
    )


def build_rules(settings: Settings) -> DecodeRules:
    """Return how events are written, and which are let in. Raises SettingsError."""
    rules = DecodeRules(
        fields=msgspec.convert(dict(settings.fields), FieldMap),
        timestamp_unit=settings.timestamp_unit,
        timestamp_format=settings.timestamp_format,
        types=frozenset(settings.types) or None,
        session_from_user=settings.session_gap_ms is not None,
        max_record_bytes=settings.max_record_bytes,
        max_future_ms=settings.max_future_ms,
    )
    return format_of(settings.format, settings.events)[0].rules(rules) if is_named(settings.format) else rules


def build_decoder(settings: Settings) -> EventDecoder:
    """Return the reader of events."""
    return EventDecoder(build_rules(settings))


def build_request_decoder(settings: Settings) -> RequestDecoder:
    """Return the reader of requests."""
    return RequestDecoder(max_record_bytes=settings.max_record_bytes)


def read_denied(settings: Settings) -> frozenset[str]:
    """Return the items of the deny list and of its file. Raises SettingsError for a file that cannot be read."""
    return read_ids(settings.deny, settings.deny_file, "deny_file")


def read_ids(listed: Sequence[str], file: str | None, key: str) -> frozenset[str]:
    """Return the ids that are *listed*, and those of *file*. Raises SettingsError for a file that cannot be read."""
    if file is None:
        return frozenset(listed)
    try:
        text = Path(file).read_text(encoding="utf-8-sig")
    except OSError as error:
        raise SettingsError(key, f"cannot read {file!r}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        message = f"{file!r} is not UTF-8 at byte {error.start}: write one item id a line, in UTF-8"
        raise SettingsError(key, message) from error
    return frozenset(listed) | {line.strip() for line in text.splitlines() if line.strip()}


def open_events(settings: Settings) -> Source:
    """Open the source of events; of a topic, what it holds now. Raises SettingsError."""
    if settings.events == "http":
        return NoSource()
    if is_topic(settings.events):
        return KafkaSource(
            _connect(settings, settings.events, "events"), parse_address(settings.events, "events").topic
        )
    if is_named(settings.format):
        return open_named(settings.format, settings.events, build_rules(settings))
    file_format = None if settings.format == "auto" else settings.format
    return open_source(settings.events, build_rules(settings), file_format=file_format)


def open_requests(settings: Settings) -> Source | None:
    """Open the source of requests, if there is one. Raises SettingsError."""
    if settings.requests is None:
        return None
    rules = DecodeRules(max_record_bytes=settings.max_record_bytes)
    return open_source(settings.requests, rules, key="requests", tables=False)


def open_tracing(settings: Settings) -> "Tracing | None":
    """Make what sends spans, if that is wanted. Raises SettingsError where OpenTelemetry is not installed."""
    if not settings.tracing:
        return None
    try:
        from stream_rec.service.metrics.tracing import Tracing  # noqa: PLC0415  # imported only where it is on
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "opentelemetry":
            raise
        raise SettingsError(
            "tracing", "is on, but OpenTelemetry is not installed: pip install 'stream-rec[tracing]'"
        ) from None
    return Tracing.by_environment()


def open_recommendations(settings: Settings) -> Sink | None:
    """Open the place for answers, unless nothing is answered. Raises SettingsError."""
    place = settings.answers_place
    return None if place is None else _open_sink(settings, place, "recommendations")


def open_dead_letters(settings: Settings) -> Sink | None:
    """Open the place for dead letters, if one is wanted. Raises SettingsError."""
    if settings.dead_letters is None:
        return None
    return _open_sink(settings, settings.dead_letters, "dead_letters")


def describe_served(
    settings: Settings,
    request_queue: RequestQueue,
    ingest: Ingest,
    status: Callable[[], Status],
    is_ready: Callable[[], bool],
    metrics: ServiceMetrics,
) -> ServiceHandle:
    """What the service shows to others, by the clock on the wall."""
    return ServiceHandle(
        request_queue,
        ingest,
        status,
        is_ready,
        metrics,
        max_bytes=settings.max_bytes,
        retention_ms=settings.retention_ms,
        usual_n=settings.n,
        types=frozenset(settings.types) or None,
        max_future_ms=settings.max_future_ms,
        session_from_user=settings.session_gap_ms is not None,
    )


def _open_sink(settings: Settings, place: str, key: str) -> Sink:
    if is_topic(place):
        return KafkaSink(_connect(settings, place, key), parse_address(place, key).topic, key)
    return open_sink(place, mode=settings.output_mode, key=key)


def _connect(settings: Settings, place: str, key: str) -> Broker:
    return open_broker(place, client=settings.kafka_client, config=settings.kafka, key=key)
