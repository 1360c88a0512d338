"""What other threads ask of the engine, and how it comes back."""

import time
from collections.abc import Sequence

import pytest

from stream_rec.core.engine import Engine
from stream_rec.core.events import Event, EventDecoder, Request
from stream_rec.errors import SettingsError, TransportError
from stream_rec.service.processing.processor import Worker
from stream_rec.service.requests.request_queue import (
    Applied,
    Apply,
    BusyError,
    Call,
    Desk,
    Done,
    NotServedError,
    Question,
)
from stream_rec.transport.records import Record

LOG = [Event(f"s{n % 5}", f"i{n * n % 7}", n) for n in range(60)]


class Asker:
    """Collects what is delivered."""

    def __init__(self, desk: Desk) -> None:
        self.done: list[Done] = []
        self.n_deliveries = 0
        desk.deliver = self._take

    def _take(self, done: list[Done]) -> None:
        self.done += done
        self.n_deliveries += 1

    def __getitem__(self, ticket: object) -> object:
        (found,) = (each.result for each in self.done if each.ticket == ticket)
        return found


def worker(log: list[Event] = LOG, *, answers_events: bool = False) -> Worker:
    made = Worker(Engine(), EventDecoder(), answers_events=answers_events)
    made.take_decoded([Record(b"", "clicks", 0, n) for n in range(len(log))], log)
    return made


def apply(number: int, event: Event, then: Request | None = None) -> Apply:
    return Apply([Record(b"", "http", 0, number)], [event], then)


def test_all_that_waits_is_done_at_once() -> None:
    """Results come back together, in order, each with its ticket."""
    desk = Desk()
    asker, owner = Asker(desk), worker()
    for n in range(5):
        desk.put(Question([Request(session_id=f"s{n}")]), n)
    desk.put(Call(lambda each: each.engine.stats().n_sessions), "n")
    assert 6 == len(desk)
    assert desk.serve(owner)
    assert [0, 1, 2, 3, 4, "n"] == [each.ticket for each in asker.done]
    assert 1 == asker.n_deliveries
    for n in range(5):
        assert owner.engine.recommend(f"s{n}") == asker[n][0].items  # type: ignore[index]
    assert 5 == asker["n"]
    assert not desk.serve(owner)


def test_one_that_is_wrong_fails_alone() -> None:
    """A question out of range, or a call that raises, is told so; the others are answered."""
    desk = Desk()
    asker, owner = Asker(desk), worker()

    def fail(_: Worker) -> None:
        raise TransportError("no")

    desk.put(Question([Request(session_id="s0")]), "good")
    desk.put(Question([Request(session_id="s0", preset="best")]), "bad")
    desk.put(Call(fail), "failed")
    desk.serve(owner)
    assert isinstance(asker["bad"], SettingsError)
    assert isinstance(asker["failed"], TransportError)
    assert owner.engine.recommend("s0") == asker["good"][0].items  # type: ignore[index]


def test_it_wakes_whoever_serves_once() -> None:
    """However many ask before they are served."""
    desk = Desk()
    Asker(desk)
    nudges: list[int] = []
    desk.nudge = lambda: nudges.append(1)
    for n in range(10):
        desk.put(Question([Request(session_id="s0")]), n)
    assert 1 == len(nudges)
    desk.serve(worker())
    desk.put(Question([Request(session_id="s0")]), "later")
    assert 2 == len(nudges)


def test_it_takes_no_more_than_can_be_served() -> None:
    """Who comes too late is told at once, and waits for nothing."""
    desk = Desk(most_waiting=2)
    for n in range(2):
        desk.put(Question([Request(session_id="s0")]), n)
    try:
        desk.put(Question([Request(session_id="s0")]), 2)
    except BusyError:
        return
    raise AssertionError("it was taken")


def test_who_waits_for_the_log_is_answered_when_it_has_come() -> None:
    """A question may ask for a position; it is answered from the state that has it."""
    desk = Desk()
    asker, owner = Asker(desk), worker(LOG[:3])
    desk.put(Question([Request(session_id="s3")], {"clicks-0": 3}, time.monotonic() + 60), "ahead")
    desk.put(Question([Request(session_id="s0")], {"clicks-0": 2}, time.monotonic() + 60), "there")
    desk.serve(owner)
    assert ["there"] == [each.ticket for each in asker.done]
    assert 1 == len(desk)
    owner.take_decoded([Record(b"", "clicks", 0, 3)], [LOG[3]])
    desk.serve(owner)
    assert 3 == asker["ahead"][0].as_of  # type: ignore[index]
    assert 0 == len(desk)


def test_nobody_waits_for_the_log_for_ever() -> None:
    """Past its time it is answered from what there is, which the answer tells."""
    desk = Desk()
    asker, owner = Asker(desk), worker(LOG[:3])
    desk.put(Question([Request(session_id="s0")], {"clicks-0": 9}, time.monotonic()), "late")
    desk.serve(owner)
    assert {"clicks-0": 2} == asker["late"][0].offsets  # type: ignore[index]


def test_events_are_applied_in_order_and_answered_right_after() -> None:
    """Together or one by one, plain or with parameters, the answers are the same."""
    events = [Event(f"v{n % 3}", f"i{n % 7}", 100 + n) for n in range(30)]
    thens = [None, Request(session_id="v0"), Request(session_id="v1"), Request(items=("i3",), n=2)]
    asks = [
        apply(n, event, Request(session_id=event.session_id) if n % 5 == 0 else thens[n % 4])
        for n, event in enumerate(events)
    ]
    together, alone = Desk(), Desk()
    first, second = Asker(together), Asker(alone)
    one, other = worker(), worker()
    for n, ask in enumerate(asks):
        together.put(ask, n)
        alone.put(ask, n)
        alone.serve(other)
    together.serve(one)
    assert [each.result for each in second.done] == [each.result for each in first.done]
    for n, ask in enumerate(asks):
        result = first[n]
        assert isinstance(result, Applied)
        assert (ask.then is None) == (result.answer is None)


def test_what_is_not_applied_is_told() -> None:
    """Late and repeated events are refused to whom they belong; others are not bothered."""
    desk = Desk()
    asker, owner = Asker(desk), worker([Event("s", "i", 10_000_000, event_id="e")])
    desk.put(apply(0, Event("s", "i", 10_000_001)), "good")
    desk.put(apply(1, Event("s", "i", 0), Request(session_id="s")), "late")
    desk.put(apply(2, Event("s", "i", 10_000_002, event_id="e")), "again")
    desk.serve(owner)
    told = {each.ticket: [refused.reason for refused in each.result.refused] for each in asker.done}
    assert {"good": [], "late": ["late"], "again": ["duplicate"]} == told
    assert 3 == sum(
        map(bool, (owner.counts.n_applied == 2, owner.counts.n_duplicates == 1, owner.counts.dead["late"] == 1))
    )


def test_what_was_applied_is_written_down_before_it_is_told() -> None:
    """So that whoever is told may rely on it, and a failure of the writing is told to nobody."""
    desk = Desk()
    asker = Asker(desk)
    seen: list[tuple[int, int, int]] = []
    desk.took = lambda asks, taken: seen.append((len(asks), len(taken[0].answers), len(asker.done)))
    desk.put(apply(0, Event("s0", "i1", 100)), 0)
    desk.put(apply(1, Event("s0", "i2", 101)), 1)
    desk.serve(worker(answers_events=True))
    assert [(2, 2, 0)] == seen
    assert 2 == len(asker.done)


def test_a_failure_of_its_owner_leaves_nobody_waiting() -> None:
    """All that were taken are told before it ends."""
    desk = Desk()
    asker = Asker(desk)

    def fail(_: object, __: object) -> None:
        raise TransportError("the disk is full")

    desk.took = fail
    desk.put(Question([Request(session_id="s0")]), "before")
    desk.put(apply(0, Event("s0", "i1", 100)), "applied")
    desk.put(Question([Request(session_id="s0")]), "after")
    with pytest.raises(TransportError):
        desk.serve(worker())
    told = {each.ticket: type(each.result) for each in asker.done}
    assert {"before": list, "applied": NotServedError, "after": NotServedError} == told


def test_a_bug_of_one_question_is_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever is raised for one, others are answered."""
    desk = Desk()
    asker, owner = Asker(desk), worker()
    answer = owner.engine.answer

    def fragile(requests: Sequence[Request], *rest: object) -> object:
        if any(request.session_id == "bad" for request in requests):
            raise ValueError("a bug")
        return answer(requests, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(owner.engine, "answer", fragile)
    desk.put(Question([Request(session_id="bad")]), "bad")
    desk.put(Question([Request(session_id="s0")]), "good")
    desk.serve(owner)
    assert isinstance(asker["bad"], ValueError)
    assert isinstance(asker["good"], list)
    assert 1 == owner.counts.n_asked


def test_where_nobody_serves_nobody_waits() -> None:
    """All that wait are told."""
    desk = Desk()
    asker, owner = Asker(desk), worker(LOG[:3])
    desk.put(Question([Request(session_id="s3")], {"clicks-0": 3}, time.monotonic() + 60), "ahead")
    desk.serve(owner)
    desk.put(Question([Request(session_id="s0")]), "waiting")
    desk.refuse_all()
    assert {"ahead", "waiting"} == {each.ticket for each in asker.done}
    assert all(isinstance(each.result, NotServedError) for each in asker.done)
    assert 0 == len(desk)
