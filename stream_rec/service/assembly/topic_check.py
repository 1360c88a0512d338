"""One look at the topics' own settings at the start: whether the broker keeps what the state is rebuilt from.

Knows nothing of the records in them.
"""

import logging
from collections.abc import Iterator, Mapping
from typing import Final

from stream_rec.errors import SettingsError, TransportError
from stream_rec.service.metrics.format import show_duration, show_size
from stream_rec.settings import Settings
from stream_rec.transport.broker import Broker

__all__ = ["check_topics"]

log = logging.getLogger(__name__)

_UNLIMITED: Final = -1


def check_topics(settings: Settings, broker: Broker, topics: Mapping[str, str]) -> None:
    """Log what does not fit *settings*; *topics* are by the setting that names them.

    Raises SettingsError for a compacted topic of events, unless `allow_compacted` is set, and TransportError.
    """
    for key in ("events", "requests"):
        topic = topics.get(key)
        if topic is None:
            continue
        found = _settings_of(broker, topic, key)
        if found is None:
            continue
        if _is_compacted(found):
            _refuse_compacted(settings, key, topic, found)
        if key == "events":
            for warning in (*_losses(settings, topic, found), *_wrong_clocks(settings, topic, found)):
                log.warning("%s: %s", key, warning)


def _settings_of(broker: Broker, topic: str, key: str) -> Mapping[str, str] | None:
    """Return the settings of *topic*; None, and a line in the log, where they cannot be seen."""
    why = "this user may not see them (DescribeConfigs)"
    try:
        found = broker.topic_settings(topic)
    except TransportError as error:
        if error.retriable:
            raise
        found, why = None, error.message  # a broker need not have this request: all others go on without it
    if found is None:
        log.info(
            "%s: the settings of %s are not checked, since %s: cleanup.policy should be delete, and retention.ms not "
            "less than --retention",
            key, topic, why,
        )  # fmt: skip
    return found


def _is_compacted(found: Mapping[str, str]) -> bool:
    return "compact" in found.get("cleanup.policy", "")


def _refuse_compacted(settings: Settings, key: str, topic: str, found: Mapping[str, str]) -> None:
    message = (
        f"{topic} has cleanup.policy={found['cleanup.policy']}: the broker removes all but the newest record of a key, "
        "so a restart would not see what this run has seen. Set cleanup.policy=delete"
    )
    if key == "events" and not settings.allow_compacted:
        raise SettingsError(key, f"{message}, or go on as it is with --allow-compacted")
    log.warning("%s: %s", key, message)


def _losses(settings: Settings, topic: str, found: Mapping[str, str]) -> Iterator[str]:
    """Yield what the broker may remove before the state would."""
    kept_ms, kept_bytes = (int(found.get(name, _UNLIMITED)) for name in ("retention.ms", "retention.bytes"))
    wanted_ms = settings.retention_ms
    wanted = "without a limit" if wanted_ms is None else f"for {show_duration(wanted_ms)}"
    after = "a restart that cannot use a snapshot would lack the older sessions"
    if kept_ms >= 0 and (wanted_ms is None or kept_ms < wanted_ms):
        yield (
            f"{topic} keeps records for {show_duration(kept_ms)} (retention.ms={kept_ms}), and --retention keeps "
            f"sessions {wanted}: {after}. Raise the topic's retention.ms, or lower --retention"
        )
    if kept_bytes >= 0:
        yield (
            f"{topic} keeps {show_size(kept_bytes)} of each partition (retention.bytes={kept_bytes}), and --retention "
            f"keeps sessions {wanted}: if that is more than the topic holds, {after}. Set retention.bytes=-1, or "
            "compare what `stream-rec check` reads of the topic with --retention"
        )


def _wrong_clocks(settings: Settings, topic: str, found: Mapping[str, str]) -> Iterator[str]:
    """Yield how far producers may date their records ahead, if that can make the clicks of others late."""
    if settings.future_ms is None or found.get("message.timestamp.type", "LogAppendTime") != "CreateTime":
        return
    # The older setting bounds both directions. Kafka 4 has the newer two only.
    names = ("message.timestamp.after.max.ms", "message.timestamp.difference.max.ms")
    bounds = [int(found[name]) for name in names if name in found]
    if bounds and min(bounds) > settings.lateness_ms:
        yield (
            f"producers date the records of {topic} (message.timestamp.type=CreateTime), as far ahead as they like: a "
            "wrong clock among them moves the watermark, and the clicks of others become late. Set "
            "message.timestamp.type=LogAppendTime, or message.timestamp.after.max.ms to the allowed lateness "
            f"({settings.lateness_ms}) at most"
        )
