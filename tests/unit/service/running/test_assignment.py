"""The seat of a client that calls back on a thread of its own, while the consumer thread waits for that in `poll`."""

import threading

import msgspec
import pytest
from crash import Bomb, parts

from stream_rec.core.events import Answer
from stream_rec.errors import AssignmentLostError
from stream_rec.service.running.consumer_loop import ConsumerLoop
from stream_rec.transport.broker import Partition
from stream_rec.transport.kafka.confluent.callbacks import Turns
from stream_rec.transport.memory.broker import MemoryBroker


def broker_with(n: int) -> MemoryBroker:
    broker = MemoryBroker({"clicks": 1, "recs": 1, "dead": 1}, before=Bomb())
    for at in range(n):
        click = {"session_id": f"s{at % 3}", "item_id": f"i{at % 5}", "timestamp": 1_000 + at}
        broker.produce("clicks", msgspec.json.encode(click), b"k")
    return broker


def answered(broker: MemoryBroker) -> list[int]:
    """The offsets of what was answered."""
    return [msgspec.json.decode(record.value, type=Answer).offsets["clicks-0"] for record in broker.visible("recs")]


def until_answered(life: ConsumerLoop, broker: MemoryBroker, n: int) -> None:
    """Turn after turn, until there are *n* answers."""
    for _ in range(100):
        if len(answered(broker)) >= n:
            return
        turn(life)
    raise AssertionError(f"not {n} answers in time")


def turn(life: ConsumerLoop) -> None:
    life.assignment._next_poll = 0.0
    life.step(0.0)


def called_back_elsewhere(broker: MemoryBroker, monkeypatch: pytest.MonkeyPatch) -> ConsumerLoop:
    """A life whose member calls back as librdkafka does; what is not given up by then is named."""
    monkeypatch.setattr("stream_rec.service.running.assignment._DRAIN_S", 0.2)
    life = ConsumerLoop(parts(broker), lambda: False)
    revoked, turns, consumer = life.member._on_revoked, Turns(0.002), threading.get_ident()  # type: ignore[attr-defined]

    def call_back(partitions: frozenset[Partition], lost: bool) -> None:
        assert threading.get_ident() != consumer
        try:
            revoked(partitions, lost)
        finally:
            assert frozenset() == life.assignment.owned, "given up before the group goes on"

    monkeypatch.setattr(life.member, "_on_revoked", lambda *told: turns.elsewhere(lambda: call_back(*told)))
    return life


def test_what_is_taken_away_is_given_up_before_the_group_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """And not after the time that the consumer thread, which waits for it, would have had for it."""
    broker = broker_with(6)
    life = called_back_elsewhere(broker, monkeypatch)
    until_answered(life, broker, 3)
    generation = life.assignment.generation
    broker.rebalance("stream-rec")
    until_answered(life, broker, 6)
    assert life.assignment.generation > generation
    assert list(range(6)) == answered(broker)


def test_what_is_lost_ends_the_life(monkeypatch: pytest.MonkeyPatch) -> None:
    """The error comes out of `poll`, on the consumer thread."""
    broker = broker_with(3)
    life = called_back_elsewhere(broker, monkeypatch)
    until_answered(life, broker, 3)
    broker.expire("stream-rec")
    with pytest.raises(AssignmentLostError, match="we were not heard of for too long"):
        turn(life)


def test_a_call_from_outside_of_poll_waits_for_the_consumer_thread() -> None:
    """Which alone may touch the intake then."""
    broker = broker_with(3)
    life = ConsumerLoop(parts(broker), lambda: False)
    until_answered(life, broker, 3)
    owned = life.assignment.owned
    caller = threading.Thread(target=life.assignment.revoked, args=(owned, False))
    caller.start()
    while life.assignment._revocations.empty():
        threading.Event().wait(0.01)
    assert owned == life.assignment.owned
    turn(life)
    caller.join(30.0)
    assert not caller.is_alive()
    assert frozenset() == life.assignment.owned


def test_who_asks_for_what_may_call_back_does_it() -> None:
    """Not whoever has the turn by then: a publisher that is kept in a callback commits nothing that it waits for."""
    turns, busy, let_go, there = (
        Turns(0.002),
        threading.Event(),
        threading.Event(),
        threading.Event(),
    )

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
