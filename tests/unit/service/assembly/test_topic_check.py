"""One look at the topics' own settings: what is refused, what is a warning, and what is left alone."""

import logging
from collections.abc import Mapping
from typing import Any

import pytest

from stream_rec.errors import SettingsError, TransportError
from stream_rec.service.assembly.topic_check import check_topics
from stream_rec.settings import load
from stream_rec.transport.memory.broker import MemoryBroker

DAY_MS = 86_400_000
TOPICS = {"events": "clicks", "requests": "asked"}


def check(of_events: Mapping[str, str] | None, of_requests: Mapping[str, str] | None = None, **flags: Any) -> None:
    broker = MemoryBroker({"clicks": 1, "asked": 1})
    broker.settings = {"clicks": of_events, "asked": of_requests or {}}
    check_topics(load(flags={"events": "kafka://b/clicks", **flags}), broker, TOPICS)


@pytest.mark.parametrize("policy", ["compact", "compact,delete", "delete,compact"])
def test_a_compacted_topic_of_events_is_refused(policy: str, caplog: pytest.LogCaptureFixture) -> None:
    """A restart would not see what this run has seen; `allow_compacted` makes it a warning."""
    with pytest.raises(SettingsError, match=f"clicks has cleanup.policy={policy}.*--allow-compacted") as caught:
        check({"cleanup.policy": policy})
    assert "events" == caught.value.key
    check({"cleanup.policy": policy}, allow_compacted=True)
    assert f"clicks has cleanup.policy={policy}" in caplog.text


def test_a_compacted_topic_of_requests_is_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    """Requests are answered as they come, and no state is rebuilt from them."""
    check({"cleanup.policy": "delete"}, {"cleanup.policy": "compact"})
    assert "requests: asked has cleanup.policy=compact" in caplog.text


@pytest.mark.parametrize(
    ("found", "flags", "expected"),
    [
        ({"retention.ms": str(7 * DAY_MS)}, {}, "clicks keeps records for 7d (retention.ms=604800000), and"),
        ({"retention.ms": str(7 * DAY_MS)}, {}, "and --retention keeps sessions for 30d"),
        ({"retention.ms": str(7 * DAY_MS)}, {"retention_ms": "none"}, "and --retention keeps sessions without a limit"),
        ({"retention.bytes": "1048576"}, {}, "clicks keeps 1.0 MiB of each partition (retention.bytes=1048576)"),
    ],
)  # fmt: skip
def test_a_topic_that_forgets_earlier_than_the_state(
    found: Mapping[str, str], flags: Any, expected: str, caplog: pytest.LogCaptureFixture
) -> None:
    """The warning names both values."""
    check(found, **flags)
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert expected in record.getMessage()


@pytest.mark.parametrize("bounds", [
    {"message.timestamp.after.max.ms": "9223372036854775807"},
    {"message.timestamp.difference.max.ms": str(DAY_MS)},
])  # fmt: skip
def test_producers_that_may_date_their_records_ahead(
    bounds: Mapping[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    """A warning, unless no event is held against its log time, or the broker gives the times."""
    check({"message.timestamp.type": "CreateTime", **bounds})
    assert "message.timestamp.after.max.ms to the allowed lateness (3600000) at most" in caplog.text
    caplog.clear()
    check({"message.timestamp.type": "CreateTime", **bounds}, max_future_ms="none")
    check({"message.timestamp.type": "LogAppendTime", **bounds})
    assert [] == caplog.records


@pytest.mark.parametrize("found", [
    {"cleanup.policy": "delete", "retention.ms": str(30 * DAY_MS), "retention.bytes": "-1"},
    {"message.timestamp.type": "CreateTime", "message.timestamp.after.max.ms": "3600000"},
    {"cleanup.policy": "delete", "retention.ms": "-1"},
    {},
])  # fmt: skip
def test_a_topic_that_keeps_enough(found: Mapping[str, str], caplog: pytest.LogCaptureFixture) -> None:
    """Nothing is logged."""
    check(found)
    assert [] == caplog.records


def test_settings_that_cannot_be_seen(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    """The right may be missing, or the broker may not have that request: it is said, and the start goes on."""
    with caplog.at_level(logging.INFO):
        check(None)
        assert "the settings of clicks are not checked, since this user may not see them" in caplog.text

        def fail(_: MemoryBroker, __: str) -> None:
            raise TransportError("no such request")

        monkeypatch.setattr(MemoryBroker, "topic_settings", fail)
        check({})
        assert "the settings of clicks are not checked, since no such request" in caplog.text


def test_a_broker_that_is_away_is_not_taken_for_one_without_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """What may pass is raised, and tried again."""

    def fail(_: MemoryBroker, __: str) -> None:
        raise TransportError("no broker", retriable=True)

    monkeypatch.setattr(MemoryBroker, "topic_settings", fail)
    with pytest.raises(TransportError, match="no broker"):
        check({})
