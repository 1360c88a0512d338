"""Revoked partitions, where the client calls back on its own thread while the consumer thread waits in `poll`."""

import threading
from dataclasses import replace

import pytest
from clicks import answers, broker_with, clicks, until_answered
from crash import AT_ONCE, parts
from web import eventually

from stream_rec.errors import AssignmentLostError
from stream_rec.service.running.consumer_loop import ConsumerLoop
from stream_rec.transport.broker import Partition, TopicSpec
from stream_rec.transport.kafka.confluent.callbacks import Turns
from stream_rec.transport.memory.broker import MemoryBroker


def called_back_elsewhere(broker: MemoryBroker, monkeypatch: pytest.MonkeyPatch) -> ConsumerLoop:
    """A loop whose member calls back as librdkafka does; partitions that are not given up by then fail the test."""
    loop = ConsumerLoop(parts(broker, timeouts=replace(AT_ONCE, drain_s=0.2)), lambda: False)
    revoked, turns, consumer = loop.member._on_revoked, Turns(0.002), threading.get_ident()  # type: ignore[attr-defined]

    def call_back(partitions: frozenset[Partition], lost: bool) -> None:
        assert threading.get_ident() != consumer
        try:
            revoked(partitions, lost)
        finally:
            assert frozenset() == loop.assignment.owned, "given up before the group goes on"

    monkeypatch.setattr(loop.member, "_on_revoked", lambda *given: turns.elsewhere(lambda: call_back(*given)))
    return loop


def test_revoked_partitions_are_given_up_before_the_group_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """And not only after the time that the consumer thread, which waits for that, may take for it."""
    broker = broker_with(clicks(6))
    loop = called_back_elsewhere(broker, monkeypatch)
    until_answered(loop, broker, 3)
    generation = loop.assignment.generation
    broker.rebalance("stream-rec")
    until_answered(loop, broker, 6)
    assert loop.assignment.generation > generation
    assert list(range(6)) == [answer.offsets["clicks-0"] for answer in answers(broker)]


def test_lost_partitions_end_the_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    """The error comes out of `poll`, on the consumer thread."""
    broker = broker_with(clicks(3))
    loop = called_back_elsewhere(broker, monkeypatch)
    until_answered(loop, broker, 3)
    broker.expire("stream-rec")
    with pytest.raises(AssignmentLostError, match="it did not hear from us in time"):
        loop.step(0.0)


def test_a_call_from_outside_of_poll_waits_for_the_consumer_thread() -> None:
    """Which alone may use the batch reader then."""
    broker = broker_with(clicks(3))
    loop = ConsumerLoop(parts(broker), lambda: False)
    until_answered(loop, broker, 3)
    owned = loop.assignment.owned
    caller = threading.Thread(target=loop.assignment.revoked, args=(owned, False))
    caller.start()
    eventually(lambda: loop.assignment.is_revoked, "revoked")
    assert owned == loop.assignment.owned
    loop.step(0.0)
    caller.join(30.0)
    assert not caller.is_alive()
    assert frozenset() == loop.assignment.owned


ASKED = [Partition("asked", 0), Partition("asked", 1)]


def asked_of_two() -> tuple[MemoryBroker, dict[Partition, ConsumerLoop]]:
    """Two loops that begin with the latest, each with one of two partitions of requests, and who has which."""
    broker = broker_with([])
    broker.create_topics([TopicSpec("asked", 2)])
    loops = [
        ConsumerLoop(parts(broker, name=name, requests="asked", begin="latest"), lambda: False) for name in ("a", "b")
    ]
    for _ in range(9):
        for loop in loops:
            loop.step(0.0)
    return broker, {each: loop for each in ASKED for loop in loops if each in loop.assignment.owned}


def test_what_came_to_a_process_before_it_committed_anything_is_answered() -> None:
    """By the process that takes over, also where both begin with the latest."""
    broker, owners = asked_of_two()
    assert owners[ASKED[0]] is not owners[ASKED[1]]
    broker.produce("asked", b'{"request_id": "r", "items": ["x"]}', b"k", partition=1)
    owners[ASKED[1]].close(in_order=False)
    until_answered(owners[ASKED[0]], broker, 1)


def test_what_another_process_has_answered_is_not_missed(caplog: pytest.LogCaptureFixture) -> None:
    """Where the topic has removed it since, no rebalance warns of it."""
    broker, owners = asked_of_two()
    for _ in range(4):
        broker.produce("asked", b'{"request_id": "r", "items": ["x"]}', b"k", partition=1)
    until_answered(owners[ASKED[1]], broker, 4)
    broker.cut_off(ASKED[1], 4)
    broker.rebalance("stream-rec")
    for _ in range(9):
        for loop in owners.values():
            loop.step(0.0)
    assert not [each.getMessage() for each in caplog.records if "removed" in each.getMessage()]


def test_a_callback_runs_on_the_thread_that_asked() -> None:
    """Not on another that has the turn by then: a publisher that waits in a callback commits nothing."""
    turns, busy, let_go, there = Turns(0.002), threading.Event(), threading.Event(), threading.Event()

    def hold() -> None:
        busy.set()
        let_go.wait(30.0)

    def ask() -> None:
        there.set()
        did.append(turns.here(threading.get_ident))

    did: list[int] = []
    publisher = threading.Thread(target=turns.call, args=(hold,))
    asking = threading.Thread(target=ask)
    publisher.start()
    assert busy.wait(30.0)
    asking.start()
    assert there.wait(30.0)
    threading.Event().wait(0.05)
    let_go.set()
    asking.join(30.0)
    publisher.join(30.0)
    assert [asking.ident] == did
