"""Commands of other threads to the engine, and how their results come back."""

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


class Caller:
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


def test_all_waiting_commands_run_together() -> None:
    """Results are delivered together, in order, each with its token."""
    request_queue = RequestQueue()
    caller, owner = Caller(request_queue), processor()
    for n in range(5):
        caller.put(Query([Request(session_id=f"s{n}")]), n)
    caller.put(CountAllSessions(), "n")
    assert 6 == len(request_queue)
    assert request_queue.serve(owner)
    assert [0, 1, 2, 3, 4, "n"] == [each.token for each in caller.done]
    assert 1 == caller.n_deliveries
    for n in range(5):
        assert owner.engine.recommend(f"s{n}") == caller[n][0].items  # type: ignore[index]
    assert 5 == caller["n"]
    assert not request_queue.serve(owner)


def test_a_wrong_command_fails_alone() -> None:
    """A query out of range, or a read that raises, gets its error; the others are answered."""
    request_queue = RequestQueue()
    caller, owner = Caller(request_queue), processor()

    caller.put(Query([Request(session_id="s0")]), "good")
    caller.put(Query([Request(session_id="s0", preset="best")]), "bad")
    caller.put(Fail(), "failed")
    request_queue.serve(owner)
    assert isinstance(caller["bad"], SettingsError)
    assert isinstance(caller["failed"], TransportError)
    assert owner.engine.recommend("s0") == caller["good"][0].items  # type: ignore[index]


def test_the_engines_thread_is_woken_once() -> None:
    """However many commands are queued before it serves them."""
    request_queue = RequestQueue()
    caller = Caller(request_queue)
    wakes: list[int] = []
    with request_queue.serving(lambda: wakes.append(1)):
        for n in range(10):
            caller.put(Query([Request(session_id="s0")]), n)
        assert 1 == len(wakes)
        request_queue.serve(processor())
        caller.put(Query([Request(session_id="s0")]), "later")
        assert 2 == len(wakes)


def test_a_full_queue_refuses_at_once() -> None:
    """With BusyError, without a result later."""
    request_queue = RequestQueue(most_waiting=2)
    caller = Caller(request_queue)
    for n in range(2):
        caller.put(Query([Request(session_id="s0")]), n)
    with pytest.raises(BusyError):
        caller.put(Query([Request(session_id="s0")]), 2)
    assert 2 == len(request_queue)


def test_a_query_for_an_offset_is_answered_once_the_offset_is_applied() -> None:
    """Others do not wait for it."""
    request_queue = RequestQueue()
    caller, owner = Caller(request_queue), processor(LOG[:3])
    caller.put(Query([Request(session_id="s3")], {"clicks-0": 3}, time.monotonic() + 60), "ahead")
    caller.put(Query([Request(session_id="s0")], {"clicks-0": 2}, time.monotonic() + 60), "there")
    request_queue.serve(owner)
    assert ["there"] == [each.token for each in caller.done]
    assert 1 == len(request_queue)
    owner.process_events(Batch([Record(b"", "clicks", 0, 3)], [LOG[3]]))
    request_queue.serve(owner)
    assert 3 == caller["ahead"][0].as_of  # type: ignore[index]
    assert 0 == len(request_queue)


def test_a_query_for_an_offset_is_answered_without_it_after_its_time() -> None:
    """From the present state; the answer states its offsets."""
    request_queue = RequestQueue()
    caller, owner = Caller(request_queue), processor(LOG[:3])
    caller.put(Query([Request(session_id="s0")], {"clicks-0": 9}, time.monotonic()), "late")
    request_queue.serve(owner)
    assert {"clicks-0": 2} == caller["late"][0].offsets  # type: ignore[index]


def test_events_are_applied_in_order_and_answered_right_after() -> None:
    """Together or one by one, with and without parameters, the answers are the same."""
    events = [Event(f"v{n % 3}", f"i{n % 7}", 100 + n) for n in range(30)]
    thens = [None, Request(session_id="v0"), Request(session_id="v1"), Request(items=("i3",), n=2)]
    commands = [
        apply(n, event, Request(session_id=event.session_id) if n % 5 == 0 else thens[n % 4])
        for n, event in enumerate(events)
    ]
    together, alone = RequestQueue(), RequestQueue()
    first, second = Caller(together), Caller(alone)
    one, other = processor(), processor()
    for n, command in enumerate(commands):
        first.put(command, n)
        second.put(command, n)
        alone.serve(other)
    together.serve(one)
    assert [each.result for each in second.done] == [each.result for each in first.done]
    for n, command in enumerate(commands):
        result = first[n]
        assert isinstance(result, EventsApplied)
        assert (command.then is None) == (result.answer is None)


def test_a_rejected_event_is_returned_to_its_caller() -> None:
    """Late and repeated events, each to the caller that sent it."""
    request_queue = RequestQueue()
    caller, owner = Caller(request_queue), processor([Event("s", "i", 10_000_000, event_id="e")])
    caller.put(apply(0, Event("s", "i", 10_000_001)), "good")
    caller.put(apply(1, Event("s", "i", 0), Request(session_id="s")), "late")
    caller.put(apply(2, Event("s", "i", 10_000_002, event_id="e")), "again")
    request_queue.serve(owner)
    reasons = {each.token: [rejected.reason for rejected in each.result.rejected] for each in caller.done}
    assert {"good": [], "late": ["late"], "again": ["duplicate"]} == reasons
    assert (2, 1, 1) == (owner.counters.n_applied, owner.counters.n_duplicates, owner.counters.dead["late"])


def test_applied_events_are_reported_to_the_service_before_their_callers() -> None:
    """So the journal is written before any event is acknowledged."""
    request_queue = RequestQueue()
    caller = Caller(request_queue)
    seen: list[tuple[int, int, int]] = []
    caller.put(apply(0, Event("s0", "i1", 100)), 0)
    caller.put(apply(1, Event("s0", "i2", 101)), 1)

    def write(commands: Sequence[ApplyEvents], outcome: Sequence[ProcessedBatch]) -> None:
        seen.append((len(commands), len(outcome[0].answers), len(caller.done)))

    request_queue.serve(processor(answers_events=True), write)
    assert [(2, 2, 0)] == seen
    assert 2 == len(caller.done)


def test_a_failure_of_the_engines_thread_fails_all_commands() -> None:
    """Each of those that it took is completed before it ends."""
    request_queue = RequestQueue()
    caller = Caller(request_queue)

    def fail(_: object, __: object) -> None:
        raise TransportError("the disk is full")

    caller.put(Query([Request(session_id="s0")]), "before")
    caller.put(apply(0, Event("s0", "i1", 100)), "applied")
    caller.put(Query([Request(session_id="s0")]), "after")
    with pytest.raises(TransportError):
        request_queue.serve(processor(), fail)
    results = {each.token: type(each.result) for each in caller.done}
    assert {"before": list, "applied": NotServedError, "after": NotServedError} == results


def test_a_query_that_fails_by_a_bug_fails_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever it raises, the others are answered."""
    request_queue = RequestQueue()
    caller, owner = Caller(request_queue), processor()
    answer = owner.engine.answer

    def fragile(requests: Sequence[Request], *rest: object) -> object:
        if any(request.session_id == "bad" for request in requests):
            raise ValueError("a bug")
        return answer(requests, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(owner.engine, "answer", fragile)
    caller.put(Query([Request(session_id="bad")]), "bad")
    caller.put(Query([Request(session_id="s0")]), "good")
    request_queue.serve(owner)
    assert isinstance(caller["bad"], ValueError)
    assert isinstance(caller["good"], list)
    assert 1 == owner.counters.n_asked


def test_refuse_all_fails_all_waiting_commands() -> None:
    """Also those that wait for an offset."""
    request_queue = RequestQueue()
    caller, owner = Caller(request_queue), processor(LOG[:3])
    caller.put(Query([Request(session_id="s3")], {"clicks-0": 3}, time.monotonic() + 60), "ahead")
    request_queue.serve(owner)
    caller.put(Query([Request(session_id="s0")]), "waiting")
    request_queue.refuse_all()
    assert {"ahead", "waiting"} == {each.token for each in caller.done}
    assert all(isinstance(each.result, NotServedError) for each in caller.done)
    assert 0 == len(request_queue)
