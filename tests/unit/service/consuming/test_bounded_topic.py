"""A topic as a source that ends."""

import msgspec
import pytest

from stream_rec.core.events import DecodeRules, EventDecoder
from stream_rec.errors import SettingsError, TransportError
from stream_rec.service.consuming.bounded_topic import TopicSource, bounds_of
from stream_rec.service.consuming.record_decoder import RecordDecoder
from stream_rec.service.timeouts import Timeouts
from stream_rec.transport.broker import Partition
from stream_rec.transport.memory.broker import MemoryBroker


def click(time: int) -> bytes:
    return msgspec.json.encode({"session_id": f"s{time % 2}", "item_id": "i", "timestamp": time})


def source(broker: MemoryBroker, topic: str = "clicks") -> TopicSource:
    return TopicSource(broker, topic, RecordDecoder(EventDecoder(DecodeRules())))


def test_it_holds_what_was_there_in_the_order_of_time() -> None:
    """Partitions are merged, whatever is written later is not read, and nothing is committed."""
    broker = MemoryBroker({"clicks": 2})
    for time in (1, 4, 5):
        broker.produce("clicks", click(time), partition=0)
    for time in (2, 3, 6):
        broker.produce("clicks", click(time), partition=1)
    opened = source(broker)
    broker.produce("clicks", click(7), partition=0)
    read = [record.value for batch in opened.batches(2) for record in batch]
    assert [click(time) for time in range(1, 7)] == read
    assert {("clicks", 0): 3, ("clicks", 1): 3} == opened.next_offsets


def test_it_begins_behind_what_retention_has_removed() -> None:
    """And ends at once where there is nothing."""
    broker = MemoryBroker({"clicks": 1, "empty": 3})
    for time in range(4):
        broker.produce("clicks", click(time), partition=0)
    broker.cut_off(Partition("clicks", 0), 2)
    assert [click(2), click(3)] == [record.value for batch in source(broker).batches(9) for record in batch]
    assert [] == [record for batch in source(broker, "empty").batches(9) for record in batch]


def test_a_missing_topic_is_a_wrong_setting() -> None:
    """The error names `events`."""
    with pytest.raises(SettingsError) as raised:
        source(MemoryBroker({}))
    assert "events" == raised.value.key


@pytest.mark.parametrize(("retriable", "n_asked"), [(True, 3), (False, 1)])
def test_partitions_without_a_leader_are_asked_for_again(
    monkeypatch: pytest.MonkeyPatch, retriable: bool, n_asked: int
) -> None:
    """Those of a topic that was just made have none at first; what cannot pass is raised at once."""
    broker = MemoryBroker({"clicks": 1})
    asked: list[object] = []
    real = broker.bounds

    def bounds(partitions: list[Partition]) -> object:
        asked.append(partitions)
        if len(asked) < 3:
            raise TransportError("clicks-0: no leader", retriable=retriable)
        return real(partitions)

    monkeypatch.setattr(broker, "bounds", bounds)
    timeouts = Timeouts(retry_first_wait_s=0.001)
    if retriable:
        assert real([Partition("clicks", 0)]) == bounds_of(broker, "clicks", "events", timeouts)
    else:
        with pytest.raises(TransportError, match="no leader"):
            bounds_of(broker, "clicks", "events", timeouts)
    assert n_asked == len(asked)
