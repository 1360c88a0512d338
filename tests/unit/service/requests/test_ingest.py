"""Events on their way into a topic: together, in order, and told truly what became of them."""

import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager

import msgspec
import pytest

from stream_rec.core.events import Event, EventEncoder, Forget
from stream_rec.errors import RecordTooLargeError, TransportError
from stream_rec.service.requests.ingest import Receipt, TopicIngest
from stream_rec.service.requests.request_queue import BusyError, Completed, RequestQueue
from stream_rec.transport.broker import Broker, Partition
from stream_rec.transport.memory.broker import MemoryBroker


class Desks(RequestQueue):
    """A desk that keeps what is delivered, and lets it be waited for."""

    def __init__(self) -> None:
        super().__init__()
        self.results: dict[object, object] = {}
        self._news = threading.Condition()
        self.deliver = self._take

    def _take(self, done: list[Completed]) -> None:
        with self._news:
            self.results.update({each.token: each.result for each in done})
            self._news.notify_all()

    def wait(self, *tokens: object) -> list[object]:
        with self._news:
            assert self._news.wait_for(lambda: set(tokens) <= self.results.keys(), 10)
        return [self.results[token] for token in tokens]


@contextmanager
def ingest(broker: MemoryBroker, fail: list[TransportError] | None = None) -> Iterator[tuple[TopicIngest, Desks]]:
    failures = fail or []

    def connect() -> Broker:
        if failures:
            raise failures.pop()
        return broker

    request_queue = Desks()
    with closing(TopicIngest(connect, "clicks", EventEncoder(), request_queue)) as made:
        yield made, request_queue


class Held(MemoryBroker):
    """Gives out no writer before it is let go on: what is put meanwhile is written together."""

    def __init__(self, topics: dict[str, int]) -> None:
        super().__init__(topics)
        self.is_asked, self.go_on = threading.Event(), threading.Event()

    def writer(self, transactional_id: str | None) -> object:  # type: ignore[override]
        self.is_asked.set()
        self.go_on.wait(10)
        return super().writer(transactional_id)


def values(broker: MemoryBroker) -> list[object]:
    return [msgspec.json.decode(entry.value) for entry in broker.visible("clicks")]


def test_the_receipt_says_where_they_stand() -> None:
    """The last offset in each partition, once they are there; orders to forget too."""
    broker = MemoryBroker({"clicks": 3})
    with ingest(broker) as (made, request_queue):
        made.put([Event("a", "i1", 1), Event("b", "i2", 2), Event("a", "i3", 3)], "first")
        made.put([Forget(session_id="a")], "second")
        first, second = request_queue.wait("first", "second")
    assert isinstance(first, Receipt)
    assert isinstance(second, Receipt)
    (mine,) = second.offsets
    assert 3 <= sum(offset + 1 for offset in first.offsets.values())
    assert first.offsets[mine] + 1 == second.offsets[mine]
    assert {"type": "forget", "session_id": "a"} in values(broker)
    assert 4 == len(values(broker))


def test_all_that_waits_when_it_is_closed_is_written() -> None:
    """A stop loses nothing that was taken."""
    broker = MemoryBroker({"clicks": 1})
    with ingest(broker) as (made, request_queue):
        for n in range(100):
            made.put([Event("a", f"i{n}", n)], n)
    assert 100 == len(values(broker)) == len(request_queue.results)


def test_one_that_is_too_large_fails_alone() -> None:
    """Others that came at the same time are written."""
    broker = MemoryBroker({"clicks": 1})
    broker.max_record_bytes = 100
    with ingest(broker) as (made, request_queue):
        made.put([Event("a", "i", 1)], "good")
        made.put([Event("a", "i" * 200, 1)], "large")
        made.put([Event("a", "j", 1)], "better")
        good, large, better = request_queue.wait("good", "large", "better")
    assert isinstance(large, RecordTooLargeError)
    assert isinstance(good, Receipt)
    assert isinstance(better, Receipt)
    assert 2 == len(values(broker))


def test_nothing_is_written_twice_for_one_that_the_broker_finds_too_large() -> None:
    """It may have taken the others by then: who came with it is told to send again, not that theirs is too large."""
    broker = Held({"clicks": 1})

    def refuse(_: str) -> None:
        if sum(len(entry.value) > 200 for entry in broker.visible("clicks")):
            raise RecordTooLargeError("too large", place=1, size=300, limit=200)

    with ingest(broker) as (made, request_queue):
        made.put([Event("a", "h", 1)], "before")
        assert broker.is_asked.wait(10)
        broker.inject(after=refuse)
        for token, item in (("good", "i"), ("large", "i" * 300), ("better", "j")):
            made.put([Event("a", item, 1)], token)
        broker.go_on.set()
        before, *told = request_queue.wait("before", "good", "large", "better")
        made.put([Event("a", "i" * 300, 1)], "alone")
        (alone,) = request_queue.wait("alone")
    assert ["h", "i", "i" * 300, "j", "i" * 300] == [each["item_id"] for each in values(broker)]  # type: ignore[index]
    assert isinstance(before, Receipt)
    assert [(TransportError, True)] * 3 == [(type(each), getattr(each, "retriable", None)) for each in told]
    assert isinstance(alone, RecordTooLargeError)


def test_a_broker_that_is_away_is_told_and_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who sends meanwhile is told that it was not written; when it is back, they are taken."""
    monkeypatch.setattr("stream_rec.service.requests.ingest._AGAIN_S", 0.0)
    broker = MemoryBroker({"clicks": 1})
    with ingest(broker, [TransportError("away", retriable=True)]) as (made, request_queue):
        made.put([Event("a", "i", 1)], "away")
        (away,) = request_queue.wait("away")
        assert isinstance(away, TransportError)
        made.put([Event("a", "i", 1)], "back")
        (back,) = request_queue.wait("back")
    assert Receipt({str(Partition("clicks", 0)): 0}) == back


def test_who_is_refused_meanwhile_does_not_put_it_off(monkeypatch: pytest.MonkeyPatch) -> None:
    """A second after the last try there is another, however many have called since."""
    now = [100.0]
    monkeypatch.setattr("stream_rec.service.requests.ingest.monotonic", lambda: now[0])
    broker = MemoryBroker({"clicks": 1})
    with ingest(broker, [TransportError("away", retriable=True)]) as (made, request_queue):
        for tenth in range(10):
            now[0] = 100.0 + tenth / 10
            made.put([Event("a", "i", 1)], tenth)
            (told,) = request_queue.wait(tenth)
            assert isinstance(told, TransportError), f"tried again after {tenth / 10} s"
        now[0] = 101.0
        made.put([Event("a", "i", 1)], "back")
        (back,) = request_queue.wait("back")
    assert isinstance(back, Receipt)
    assert 1 == len(values(broker))


def test_whatever_a_client_raises_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """The thread goes on with the next call."""
    monkeypatch.setattr("stream_rec.service.requests.ingest._AGAIN_S", 0.0)
    broker = MemoryBroker({"clicks": 1})
    with ingest(broker, [BufferError("queue full")]) as (made, request_queue):  # type: ignore[list-item]
        made.put([Event("a", "i", 1)], "full")
        (full,) = request_queue.wait("full")
        assert isinstance(full, TransportError)
        made.put([Event("a", "i", 1)], "next")
        (following,) = request_queue.wait("next")
    assert isinstance(following, Receipt)


def test_no_more_is_taken_than_can_be_written(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who comes when too much waits is told so at once."""
    monkeypatch.setattr("stream_rec.service.requests.ingest._MOST_WAITING", 1)
    broker = Held({"clicks": 1})
    with ingest(broker) as (made, _):
        with pytest.raises(BusyError):
            _fill(made)
        broker.go_on.set()


def _fill(made: TopicIngest) -> None:
    for n in range(10):
        made.put([Event("a", "i", n)], n)
