"""The checks across settings: which of them contradict each other.

The limits of single values stand with their fields, in `schema`.
"""

import math
from collections.abc import Mapping
from typing import Final

from stream_rec.errors import SettingsError
from stream_rec.settings.schema import SettingFields, is_topic
from stream_rec.settings.types import LONGEST_MS, SECOND_MS

__all__ = ["CHECKS"]

_ROUNDING: Final = 1e-9  # decimal shares do not add up exactly
_MOST_WINDOWS: Final = 8
_PLAIN_FORMATS: Final = frozenset({"auto", "jsonl", "json", "csv", "tsv", "parquet"})
_STREAMS: Final = frozenset({"segment", "rudderstack", "ga4", "snowplow", "ubi", "cloudevents", "debezium", "connect"})
"""Formats of live streams: settings may name fields of their own."""


def _lateness_within_retention(settings: SettingFields) -> None:
    retention = settings.retention_ms
    if retention is not None and settings.lateness_ms > retention:
        raise SettingsError(
            "allowed_lateness",
            f"is {settings.lateness_ms} ms, more than retention ({retention} ms): "
            "an event could join an evicted session; lower it, or raise retention",
        )


def _future_within_lateness(settings: SettingFields) -> None:
    future_ms = settings.future_ms
    if future_ms is None:
        return
    for key, bound in (
        ("allowed_lateness", settings.lateness_ms),
        ("half of popular_half_life", settings.popular_half_life_ms // 2),
    ):
        if future_ms > bound:
            raise SettingsError(
                "max_future",
                f"is {future_ms} ms, more than {key} ({bound} ms): a click so far ahead would stay ahead of all "
                f"others; lower it, or raise {key.rpartition(' ')[2]}",
            )


def _shown_is_possible(settings: SettingFields) -> None:
    if settings.shown is None:
        if settings.shown_at_most is not None:
            raise SettingsError("shown_at_most", "nothing says what was shown; name the type of such events with shown")
        return
    if settings.session_gap_ms is not None:
        raise SettingsError(
            "shown",
            "is counted by sessions of the log, and session_gap cuts sessions from users: leave session_gap out, and "
            "map session_id to what names the visit (--field session_id=NAME); where the log has only users, to the "
            "user, whose events are then one session",
        )
    if ":" in settings.shown:
        raise SettingsError("shown", f"expected a type without a colon, found {settings.shown!r}")
    if settings.shown_window_ms <= settings.lateness_ms:
        raise SettingsError(
            "shown_window",
            f"is {settings.shown_window_ms} ms, and must be longer than allowed_lateness ({settings.lateness_ms} ms): "
            "a late event could join what is over; raise it, or lower allowed_lateness",
        )


def _trends_are_short(settings: SettingFields) -> None:
    if settings.trending_half_life_ms is not None and settings.trending_half_life_ms >= settings.popular_half_life_ms:
        raise SettingsError(
            "trending_half_life",
            f"is {settings.trending_half_life_ms} ms, and must be shorter than popular_half_life "
            f"({settings.popular_half_life_ms} ms), which trends are held against; lower it, or raise the other",
        )


def _requests_have_a_source(settings: SettingFields) -> None:
    if settings.answer == "requests" and settings.requests is None and settings.http is None:
        raise SettingsError("answer", "is 'requests', but requests have no source; name one with --requests")
    if settings.answer == "none" and settings.requests is not None:
        raise SettingsError("answer", "is 'none', but requests have a source; drop --requests, or answer them")


def _addresses_differ(settings: SettingFields) -> None:
    _differ("requests", settings.requests, "events", settings.events)
    written = {"recommendations": settings.answers_place, "dead_letters": settings.dead_letters}
    _differ("dead_letters", settings.dead_letters, "recommendations", settings.answers_place)
    for key, place in written.items():
        for source in ("events", "requests"):
            if getattr(settings, source) != "-":  # `-` reads one stream and writes another
                _differ(key, place, source, getattr(settings, source))


def _differ(key: str, address: str | None, other_key: str, other: str | None) -> None:
    if address is not None and address == other:
        raise SettingsError(key, f"is {address!r}, the same as {other_key}; give each its own")


def _requests_match_events(settings: SettingFields) -> None:
    """Requests in a file are answered after all events. A topic has no end, so they would never be answered."""
    if settings.requests is not None and is_topic(settings.requests) != is_topic(settings.events):
        raise SettingsError(
            "requests",
            f"is {settings.requests!r}, and events is {settings.events!r}: give both as Kafka topics, or neither",
        )


def _exactly_once_is_possible(settings: SettingFields) -> None:
    if settings.delivery != "exactly-once":
        return
    places = {
        "events": settings.events,
        "recommendations": settings.answers_place,
        "dead_letters": settings.dead_letters,
    }
    for key, place in places.items():
        if place is not None and not is_topic(place):
            raise SettingsError(
                "delivery",
                f"is exactly-once, but {key} is {place!r}: only Kafka topics can share a transaction; "
                "name a topic, or set at-least-once",
            )


def _item_rules_have_a_catalogue(settings: SettingFields) -> None:
    if settings.catalogue is not None:
        return
    for key in ("filter", "same_category", "max_per_category", "boosts"):
        if getattr(settings, key):
            raise SettingsError(key, "needs item attributes, but there is no catalogue; name one with --catalogue")


def _newest_items_have_places(settings: SettingFields) -> None:
    """Of the main model, and of each beside it."""
    mine = {key: getattr(settings, key) for key in ("n", "newest_share", "newest_fallback")}
    of_each = {f"models.{name}.": {**mine, **trial.parameters} for name, trial in settings.models.items()}
    for place, given in {"": mine, **of_each}.items():
        for key in ("newest_share", "newest_fallback"):
            if given[key] not in {0.0, "off"} and settings.catalogue is None:
                message = "needs items that say when they were listed, but there is no catalogue"
                raise SettingsError(f"{place}{key}", f"{message}; name one with --catalogue")
        share, n = float(given["newest_share"]), int(given["n"])
        if share and math.floor(share * n + 0.5) == 0:
            least = math.ceil(500 / n) / 1000
            message = f"is {share:g}, which is no place of {n}; raise it to {least:g} or more, or raise n"
            raise SettingsError(f"{place}newest_share", message)


def _http_is_possible(settings: SettingFields) -> None:
    """Some settings need `http`."""
    if settings.http is None and settings.events == "http":
        raise SettingsError("events", "is 'http', but HTTP is off: add --http HOST:PORT")
    if settings.journal is not None and (settings.http is None or is_topic(settings.events)):
        raise SettingsError(
            "journal",
            "is for events over HTTP without Kafka; a topic of events stores them itself. Drop it, or add --http",
        )


def _a_public_log_is_known(settings: SettingFields) -> None:
    if settings.format in _PLAIN_FORMATS | _STREAMS:
        return
    given: Mapping[str, object] = {
        "fields": settings.fields,
        "delimiter": settings.delimiter,
        "timestamp_unit": settings.timestamp_unit if settings.timestamp_unit != "ms" else None,
        "timestamp_format": settings.timestamp_format,
    }
    for key, value in given.items():
        if value:
            raise SettingsError(key, f"is given, but the public log {settings.format} sets its own; drop one")


def _registry_has_a_topic(settings: SettingFields) -> None:
    if settings.registry is None and settings.registry_config:
        raise SettingsError("registry_config", "is given, but no schema registry is; name one with --registry")
    if settings.registry is not None and not is_topic(settings.events):
        raise SettingsError("registry", f"is for a topic of events, and events is {settings.events!r}; drop it")


def _several_sources_are_files(settings: SettingFields) -> None:
    for place in (settings.events, *settings.more_events) if settings.more_events else ():
        if place in {"-", "http"} or is_topic(place):
            raise SettingsError(
                "events", f"is {place!r} beside others; only files can be read together: name one source"
            )


def _the_encoding_is_known(settings: SettingFields) -> None:
    if settings.encoding is not None:
        from stream_rec.transport.files.encoding import codec_name  # noqa: PLC0415 (slow to import, for help)

        codec_name(settings.encoding)


def _shares_add_up(settings: SettingFields) -> None:
    for name, trial in settings.models.items():
        if trial.shadow and trial.share:
            raise SettingsError(
                f"models.{name}.share", "is given, but a shadow serves no sessions; drop one of the two"
            )
    total = sum(trial.share for trial in settings.models.values())
    if total > 1.0 + _ROUNDING:
        raise SettingsError("models", f"has shares that add up to {total:g}, more than 1; lower them")


def _windows_are_durations(settings: SettingFields) -> None:
    try:
        windows = settings.quality_windows_ms
    except ValueError as error:
        raise SettingsError("quality_windows", f"has {list(settings.quality_windows)}; expected {error}") from None
    if not 1 <= len(windows) <= _MOST_WINDOWS or min(windows) < SECOND_MS or max(windows) > LONGEST_MS:
        raise SettingsError("quality_windows", f"has {len(windows)}; expected up to 8 durations of a second or more")


CHECKS: Final = (
    _lateness_within_retention,
    _future_within_lateness,
    _shown_is_possible,
    _trends_are_short,
    _requests_have_a_source,
    _addresses_differ,
    _requests_match_events,
    _exactly_once_is_possible,
    _a_public_log_is_known,
    _registry_has_a_topic,
    _several_sources_are_files,
    _the_encoding_is_known,
    _shares_add_up,
    _windows_are_durations,
    _item_rules_have_a_catalogue,
    _newest_items_have_places,
    _http_is_possible,
)
"""Each raises SettingsError, naming the key."""
