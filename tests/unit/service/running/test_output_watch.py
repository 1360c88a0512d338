"""Two groups that write answers for the same events into one topic: noticed, and taken for over after a while."""

import msgspec
import pytest

from stream_rec.core.events import Answer
from stream_rec.service.committing.destinations import GROUP_HEADER
from stream_rec.service.problems import Problems
from stream_rec.service.running.output_watch import OutputWatch
from stream_rec.service.timeouts import Timeouts
from stream_rec.transport.memory.broker import MemoryBroker

OF_OURS, OF_ANOTHER = ((GROUP_HEADER, b"shop"),), ((GROUP_HEADER, b"trial"),)


def answer(events: str = "clicks") -> bytes:
    return msgspec.json.encode(Answer("s1", None, [], 5, {f"{events}-0": 3}, "vmis-knn"))


class Watched:
    """A topic of answers in memory, and a watch on it."""

    def __init__(self) -> None:
        self.broker = MemoryBroker({"recs": 2})
        self.problems = Problems()
        self.watch = OutputWatch(self.broker, "recs", "shop", "clicks", self.problems)

    def write(self, value: bytes, headers: tuple[tuple[str, bytes], ...], partition: int = 0) -> None:
        self.broker.produce("recs", value, b"s1", headers=headers, partition=partition)

    @property
    def messages(self) -> list[str]:
        return [each.message for each in self.problems.now]


def test_another_group_is_noticed_and_named() -> None:
    """Also where it has written more than is looked at; once it is silent for some looks, it is taken to have ended."""
    watched = Watched()
    watched.watch.look()
    for _ in range(300):
        watched.write(answer(), OF_ANOTHER, 1)
        watched.write(answer(), OF_OURS)
    watched.watch.look()
    (message,) = watched.messages
    assert message.startswith("the group 'trial' writes answers for clicks into recs too")
    for _ in range(5):
        watched.write(answer(), OF_OURS)
        watched.watch.look()
    assert watched.messages
    watched.watch.look()
    assert [] == watched.messages


def test_what_was_there_before_is_not_looked_at() -> None:
    """The group may have been renamed."""
    watched = Watched()
    watched.write(answer(), OF_ANOTHER)
    for _ in range(2):
        watched.watch.look()
    assert [] == watched.messages


@pytest.mark.parametrize(
    ("value", "headers"),
    [
        (answer(), OF_OURS),
        (answer(), ()),
        (answer("other-clicks"), OF_ANOTHER),
        (b"{", OF_ANOTHER),
    ],
)
def test_what_is_not_of_another_group(value: bytes, headers: tuple[tuple[str, bytes], ...]) -> None:
    """Its own answers, records without the header, answers for other events, and what is no answer."""
    watched = Watched()
    watched.watch.look()
    watched.write(value, headers)
    watched.watch.look()
    assert [] == watched.messages


def test_the_watch_goes_on_after_a_bug(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """An unforeseen error is logged whole; the end of the thread would be the end of the watch."""
    watch = OutputWatch(MemoryBroker({"recs": 1}), "recs", "shop", "clicks", Problems(), Timeouts(output_watch_s=0.001))
    looks: list[int] = []

    def look() -> None:
        looks.append(1)
        if len(looks) == 1:
            raise ValueError("a header is no text")
        watch.close()

    monkeypatch.setattr(watch, "look", look)
    watch._run()
    assert 2 == len(looks)
    assert "a header is no text" in caplog.text
