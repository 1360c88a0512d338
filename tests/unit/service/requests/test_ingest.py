"""Events written into a topic: together, in order, and acknowledged as they were written."""

import threading
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from typing import Any

import msgspec
import pytest

from stream_rec.core.events import Event, EventEncoder, Forget
from stream_rec.errors import RecordTooLargeError, TransportError
from stream_rec.service.requests.ingest import Receipt, TopicIngest
from stream_rec.service.requests.request_queue import BusyError, Completed
from stream_rec.service.timeouts import Timeouts
from stream_rec.transport.broker import Broker, Partition
from stream_rec.transport.memory.broker import MemoryBroker

AT_ONCE = Timeouts(ingest_retry_s=0.0)


class Sender:
    """Sends events, and keeps what is delivered."""

    def __init__(self, ingest: TopicIngest) -> None:
        self.results: dict[object, object] = {}
        self._ingest = ingest
        self._news = threading.Condition()

    def put(self, events: Sequence[Event | Forget], token: object) -> None:
        self._ingest.put(events, token, self._keep)

    def _keep(self, done: list[Completed]) -> None:
        with self._news:
            self.results.update({each.token: each.result for each in done})
            self._news.notify_all()

    def wait(self, *tokens: object) -> list[object]:
        with self._news:
            assert self._news.wait_for(lambda: set(tokens) <= self.results.keys(), 10)
        return [self.results[token] for token in tokens]


@contextmanager
def ingest(broker: MemoryBroker, fail: list[TransportError] | None = None, **options: Any) -> Iterator[Sender]:
    failures = fail or []

    def connect() -> Broker:
        if failures:
            raise failures.pop()
        return broker

    with closing(TopicIngest(connect, "clicks", EventEncoder(), **options)) as made:
        yield Sender(made)


class GatedBroker(MemoryBroker):
    """Returns no writer before `go_on` is set: calls that arrive until then are written together."""

    def __init__(self, topics: dict[str, int]) -> None:
        super().__init__(topics)
        self.is_asked, self.go_on = threading.Event(), threading.Event()

    def writer(self, transactional_id: str | None) -> object:  # type: ignore[override]
        self.is_asked.set()
        self.go_on.wait(10)
        return super().writer(transactional_id)


def values(broker: MemoryBroker) -> list[object]:
    return [msgspec.json.decode(entry.value) for entry in broker.visible("clicks")]


def test_a_receipt_has_the_last_offset_of_each_partition() -> None:
    """It comes once the events are written; orders to forget get one too."""
    broker = MemoryBroker({"clicks": 3})
    with ingest(broker) as sender:
        sender.put([Event("a", "i1", 1), Event("b", "i2", 2), Event("a", "i3", 3)], "first")
        sender.put([Forget(session_id="a")], "second")
        first, second = sender.wait("first", "second")
    assert isinstance(first, Receipt)
    assert isinstance(second, Receipt)
    (mine,) = second.offsets
    assert 3 <= sum(offset + 1 for offset in first.offsets.values())
    assert first.offsets[mine] + 1 == second.offsets[mine]
    assert {"type": "forget", "session_id": "a"} in values(broker)
    assert 4 == len(values(broker))


def test_close_writes_all_waiting_events() -> None:
    """A stop loses no event that was taken."""
    broker = MemoryBroker({"clicks": 1})
    with ingest(broker) as sender:
        for n in range(100):
            sender.put([Event("a", f"i{n}", n)], n)
    assert 100 == len(values(broker)) == len(sender.results)


def test_a_record_that_is_too_large_fails_alone() -> None:
    """Calls that arrived at the same time are written."""
    broker = MemoryBroker({"clicks": 1})
    broker.max_record_bytes = 100
    with ingest(broker) as sender:
        sender.put([Event("a", "i", 1)], "good")
        sender.put([Event("a", "i" * 200, 1)], "large")
        sender.put([Event("a", "j", 1)], "better")
        good, large, better = sender.wait("good", "large", "better")
    assert isinstance(large, RecordTooLargeError)
    assert isinstance(good, Receipt)
    assert isinstance(better, Receipt)
    assert 2 == len(values(broker))


def test_nothing_is_written_twice_if_the_broker_rejects_a_large_record() -> None:
    """It may have taken the others by then: their callers get an error that says to send again, not 'too large'."""
    broker = GatedBroker({"clicks": 1})

    def refuse(_: str) -> None:
        if sum(len(entry.value) > 200 for entry in broker.visible("clicks")):
            raise RecordTooLargeError("too large", place=1, size=300, limit=200)

    with ingest(broker) as sender:
        sender.put([Event("a", "h", 1)], "before")
        assert broker.is_asked.wait(10)
        broker.inject(after=refuse)
        for token, item in (("good", "i"), ("large", "i" * 300), ("better", "j")):
            sender.put([Event("a", item, 1)], token)
        broker.go_on.set()
        before, *others = sender.wait("before", "good", "large", "better")
        sender.put([Event("a", "i" * 300, 1)], "alone")
        (alone,) = sender.wait("alone")
    assert ["h", "i", "i" * 300, "j", "i" * 300] == [each["item_id"] for each in values(broker)]  # type: ignore[index]
    assert isinstance(before, Receipt)
    assert [(TransportError, True)] * 3 == [(type(each), getattr(each, "retriable", None)) for each in others]
    assert isinstance(alone, RecordTooLargeError)


def test_calls_fail_while_the_broker_is_away_and_succeed_when_it_is_back() -> None:
    """Each call connects again."""
    broker = MemoryBroker({"clicks": 1})
    with ingest(broker, [TransportError("away", retriable=True)], timeouts=AT_ONCE) as sender:
        sender.put([Event("a", "i", 1)], "away")
        (away,) = sender.wait("away")
        assert isinstance(away, TransportError)
        sender.put([Event("a", "i", 1)], "back")
        (back,) = sender.wait("back")
    assert Receipt({str(Partition("clicks", 0)): 0}) == back


def test_calls_that_are_refused_meanwhile_do_not_delay_the_next_try() -> None:
    """A second after the last try there is another, however many calls came in between."""
    now = [100.0]
    broker = MemoryBroker({"clicks": 1})
    with ingest(broker, [TransportError("away", retriable=True)], clock=lambda: now[0]) as sender:
        for tenth in range(10):
            now[0] = 100.0 + tenth / 10
            sender.put([Event("a", "i", 1)], tenth)
            (result,) = sender.wait(tenth)
            assert isinstance(result, TransportError), f"tried again after {tenth / 10} s"
        now[0] = 101.0
        sender.put([Event("a", "i", 1)], "back")
        (back,) = sender.wait("back")
    assert isinstance(back, Receipt)
    assert 1 == len(values(broker))


def test_any_error_of_the_client_reaches_the_caller() -> None:
    """The thread goes on with the next call."""
    broker = MemoryBroker({"clicks": 1})
    with ingest(broker, [BufferError("queue full")], timeouts=AT_ONCE) as sender:  # type: ignore[list-item]
        sender.put([Event("a", "i", 1)], "full")
        (full,) = sender.wait("full")
        assert isinstance(full, TransportError)
        sender.put([Event("a", "i", 1)], "next")
        (following,) = sender.wait("next")
    assert isinstance(following, Receipt)


def test_a_call_is_refused_at_once_if_too_many_wait() -> None:
    """With BusyError."""
    broker = GatedBroker({"clicks": 1})
    with ingest(broker, most_waiting=1) as sender:
        with pytest.raises(BusyError):
            _fill(sender)
        broker.go_on.set()


def _fill(sender: Sender) -> None:
    for n in range(10):
        sender.put([Event("a", "i", n)], n)
