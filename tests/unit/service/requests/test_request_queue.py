"""What other threads ask of the engine, and how it comes back."""

import time
from collections.abc import Sequence
from typing import NamedTuple

import pytest

from stream_rec.core.engine import Engine
from stream_rec.core.events import Event, Request
from stream_rec.errors import SettingsError, TransportError
from stream_rec.service.batches import Batch, ProcessedBatch
from stream_rec.service.processing.processor import AnswerPolicy, Processor
from stream_rec.service.requests.request_queue import (
    ApplyEvents,
    BusyError,
    Command,
    Completed,
    EventsApplied,
    NotServedError,
    Query,
    RequestQueue,
)
from stream_rec.transport.records import Record

LOG = [Event(f"s{n % 5}", f"i{n * n % 7}", n) for n in range(60)]


class Asker:
    """Collects what is delivered."""

    def __init__(self, request_queue: RequestQueue) -> None:
        self.done: list[Completed] = []
        self.n_deliveries = 0
        self._request_queue = request_queue

    def put(self, command: Command, token: object) -> None:
        self._request_queue.put(command, token, self._take)

    def _take(self, done: list[Completed]) -> None:
        self.done += done
        self.n_deliveries += 1

    def __getitem__(self, token: object) -> object:
        (found,) = (each.result for each in self.done if each.token == token)
        return found


class CountAllSessions(NamedTuple):
    """A query over the state."""

    def read(self, processor: Processor) -> int:
        return processor.engine.stats().n_sessions


class Fail(NamedTuple):
    """One that raises."""

    def read(self, processor: Processor) -> None:
        del processor
        raise TransportError("no")


def processor(log: list[Event] = LOG, *, answers_events: bool = False) -> Processor:
    made = Processor(Engine(), policy=AnswerPolicy(answers_events=answers_events))
    made.process_events(Batch([Record(b"", "clicks", 0, n) for n in range(len(log))], log))
    return made


def apply(number: int, event: Event, then: Request | None = None) -> ApplyEvents:
    return ApplyEvents([Record(b"", "http", 0, number)], [event], then)


def test_all_that_waits_is_done_at_once() -> None:
    """Results come back together, in order, each with its ticket."""
    request_queue = RequestQueue()
    asker, owner = Asker(request_queue), processor()
    for n in range(5):
        asker.put(Query([Request(session_id=f"s{n}")]), n)
    asker.put(CountAllSessions(), "n")
    assert 6 == len(request_queue)
    assert request_queue.serve(owner)
    assert [0, 1, 2, 3, 4, "n"] == [each.token for each in asker.done]
    assert 1 == asker.n_deliveries
    for n in range(5):
        assert owner.engine.recommend(f"s{n}") == asker[n][0].items  # type: ignore[index]
    assert 5 == asker["n"]
    assert not request_queue.serve(owner)


def test_one_that_is_wrong_fails_alone() -> None:
    """A question out of range, or a call that raises, is told so; the others are answered."""
    request_queue = RequestQueue()
    asker, owner = Asker(request_queue), processor()

    asker.put(Query([Request(session_id="s0")]), "good")
    asker.put(Query([Request(session_id="s0", preset="best")]), "bad")
    asker.put(Fail(), "failed")
    request_queue.serve(owner)
    assert isinstance(asker["bad"], SettingsError)
    assert isinstance(asker["failed"], TransportError)
    assert owner.engine.recommend("s0") == asker["good"][0].items  # type: ignore[index]


def test_it_wakes_the_serving_thread_once() -> None:
    """However many ask before they are served."""
    request_queue = RequestQueue()
    asker = Asker(request_queue)
    calls: list[int] = []
    with request_queue.serving(lambda: calls.append(1)):
        for n in range(10):
            asker.put(Query([Request(session_id="s0")]), n)
        assert 1 == len(calls)
        request_queue.serve(processor())
        asker.put(Query([Request(session_id="s0")]), "later")
        assert 2 == len(calls)


def test_it_takes_no_more_than_can_be_served() -> None:
    """Who comes too late is told at once, and waits for nothing."""
    request_queue = RequestQueue(most_waiting=2)
    asker = Asker(request_queue)
    for n in range(2):
        asker.put(Query([Request(session_id="s0")]), n)
    try:
        asker.put(Query([Request(session_id="s0")]), 2)
    except BusyError:
        return
    raise AssertionError("it was taken")


def test_who_waits_for_the_log_is_answered_when_it_has_come() -> None:
    """A question may ask for a position; it is answered from the state that has it."""
    request_queue = RequestQueue()
    asker, owner = Asker(request_queue), processor(LOG[:3])
    asker.put(Query([Request(session_id="s3")], {"clicks-0": 3}, time.monotonic() + 60), "ahead")
    asker.put(Query([Request(session_id="s0")], {"clicks-0": 2}, time.monotonic() + 60), "there")
    request_queue.serve(owner)
    assert ["there"] == [each.token for each in asker.done]
    assert 1 == len(request_queue)
    owner.process_events(Batch([Record(b"", "clicks", 0, 3)], [LOG[3]]))
    request_queue.serve(owner)
    assert 3 == asker["ahead"][0].as_of  # type: ignore[index]
    assert 0 == len(request_queue)


def test_nobody_waits_for_the_log_for_ever() -> None:
    """Past its time it is answered from what there is, which the answer tells."""
    request_queue = RequestQueue()
    asker, owner = Asker(request_queue), processor(LOG[:3])
    asker.put(Query([Request(session_id="s0")], {"clicks-0": 9}, time.monotonic()), "late")
    request_queue.serve(owner)
    assert {"clicks-0": 2} == asker["late"][0].offsets  # type: ignore[index]


def test_events_are_applied_in_order_and_answered_right_after() -> None:
    """Together or one by one, plain or with parameters, the answers are the same."""
    events = [Event(f"v{n % 3}", f"i{n % 7}", 100 + n) for n in range(30)]
    thens = [None, Request(session_id="v0"), Request(session_id="v1"), Request(items=("i3",), n=2)]
    asks = [
        apply(n, event, Request(session_id=event.session_id) if n % 5 == 0 else thens[n % 4])
        for n, event in enumerate(events)
    ]
    together, alone = RequestQueue(), RequestQueue()
    first, second = Asker(together), Asker(alone)
    one, other = processor(), processor()
    for n, ask in enumerate(asks):
        first.put(ask, n)
        second.put(ask, n)
        alone.serve(other)
    together.serve(one)
    assert [each.result for each in second.done] == [each.result for each in first.done]
    for n, ask in enumerate(asks):
        result = first[n]
        assert isinstance(result, EventsApplied)
        assert (ask.then is None) == (result.answer is None)


def test_what_is_not_applied_is_told() -> None:
    """Late and repeated events are refused to whom they belong; others are not bothered."""
    request_queue = RequestQueue()
    asker, owner = Asker(request_queue), processor([Event("s", "i", 10_000_000, event_id="e")])
    asker.put(apply(0, Event("s", "i", 10_000_001)), "good")
    asker.put(apply(1, Event("s", "i", 0), Request(session_id="s")), "late")
    asker.put(apply(2, Event("s", "i", 10_000_002, event_id="e")), "again")
    request_queue.serve(owner)
    told = {each.token: [rejected.reason for rejected in each.result.rejected] for each in asker.done}
    assert {"good": [], "late": ["late"], "again": ["duplicate"]} == told
    assert 3 == sum(
        map(bool, (owner.counters.n_applied == 2, owner.counters.n_duplicates == 1, owner.counters.dead["late"] == 1))
    )


def test_what_was_applied_is_written_down_before_it_is_told() -> None:
    """So that whoever is told may rely on it, and a failure of the writing is told to nobody."""
    request_queue = RequestQueue()
    asker = Asker(request_queue)
    seen: list[tuple[int, int, int]] = []
    asker.put(apply(0, Event("s0", "i1", 100)), 0)
    asker.put(apply(1, Event("s0", "i2", 101)), 1)

    def write(commands: Sequence[ApplyEvents], outcome: Sequence[ProcessedBatch]) -> None:
        seen.append((len(commands), len(outcome[0].answers), len(asker.done)))

    request_queue.serve(processor(answers_events=True), write)
    assert [(2, 2, 0)] == seen
    assert 2 == len(asker.done)


def test_a_failure_of_its_owner_leaves_nobody_waiting() -> None:
    """All that were taken are told before it ends."""
    request_queue = RequestQueue()
    asker = Asker(request_queue)

    def fail(_: object, __: object) -> None:
        raise TransportError("the disk is full")

    asker.put(Query([Request(session_id="s0")]), "before")
    asker.put(apply(0, Event("s0", "i1", 100)), "applied")
    asker.put(Query([Request(session_id="s0")]), "after")
    with pytest.raises(TransportError):
        request_queue.serve(processor(), fail)
    told = {each.token: type(each.result) for each in asker.done}
    assert {"before": list, "applied": NotServedError, "after": NotServedError} == told


def test_a_bug_of_one_question_is_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever is raised for one, others are answered."""
    request_queue = RequestQueue()
    asker, owner = Asker(request_queue), processor()
    answer = owner.engine.answer

    def fragile(requests: Sequence[Request], *rest: object) -> object:
        if any(request.session_id == "bad" for request in requests):
            raise ValueError("a bug")
        return answer(requests, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(owner.engine, "answer", fragile)
    asker.put(Query([Request(session_id="bad")]), "bad")
    asker.put(Query([Request(session_id="s0")]), "good")
    request_queue.serve(owner)
    assert isinstance(asker["bad"], ValueError)
    assert isinstance(asker["good"], list)
    assert 1 == owner.counters.n_asked


def test_where_nobody_serves_nobody_waits() -> None:
    """All that wait are told."""
    request_queue = RequestQueue()
    asker, owner = Asker(request_queue), processor(LOG[:3])
    asker.put(Query([Request(session_id="s3")], {"clicks-0": 3}, time.monotonic() + 60), "ahead")
    request_queue.serve(owner)
    asker.put(Query([Request(session_id="s0")]), "waiting")
    request_queue.refuse_all()
    assert {"ahead", "waiting"} == {each.token for each in asker.done}
    assert all(isinstance(each.result, NotServedError) for each in asker.done)
    assert 0 == len(request_queue)
