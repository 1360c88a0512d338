"""The states of a producer and its transaction: which may follow which."""

import threading
from collections.abc import Callable

import pytest

from stream_rec.transport.kafka.transaction import IllegalTransitionError, ProducerTransaction, TransactionState

S = TransactionState
WAYS: dict[TransactionState, list[str]] = {
    S.NO_PRODUCER: [],
    S.READY: ["started"],
    S.OPEN: ["started", "begun"],
    S.FAILED: ["started", "begun", "failed"],
    S.BROKEN: ["started", "failed"],
    S.CLOSED: ["started", "closed"],
}
"""A way to each state."""

FOLLOWS: dict[str, dict[TransactionState, TransactionState]] = {
    "started": {S.NO_PRODUCER: S.READY},
    "begun": {S.READY: S.OPEN},
    "failed": {S.READY: S.BROKEN, S.OPEN: S.FAILED, **{each: each for each in (S.FAILED, S.BROKEN, S.NO_PRODUCER)}},
    "ended": {S.OPEN: S.READY, S.FAILED: S.BROKEN, **{each: each for each in (S.READY, S.BROKEN, S.NO_PRODUCER)}},
    "discarded": dict.fromkeys((S.READY, S.BROKEN, S.NO_PRODUCER), S.NO_PRODUCER),
    "closed": dict.fromkeys(S, S.CLOSED),
}


def transaction_in(state: TransactionState) -> ProducerTransaction:
    made = ProducerTransaction()
    for event in WAYS[state]:
        happen(made, event)
    assert state is made.state
    return made


def happen(transaction: ProducerTransaction, event: str) -> None:
    change: Callable[[], None] = getattr(transaction, event)
    change()


@pytest.mark.parametrize("event", FOLLOWS)
@pytest.mark.parametrize("state", [each for each in S if each is not S.CLOSED])
def test_each_event_in_each_state(state: TransactionState, event: str) -> None:
    """It leads to the state of the picture; an event that the picture does not have raises and changes nothing."""
    transaction = transaction_in(state)
    if state in FOLLOWS[event]:
        happen(transaction, event)
        assert FOLLOWS[event][state] is transaction.state
    else:
        with pytest.raises(IllegalTransitionError, match=state.name):
            happen(transaction, event)
        assert state is transaction.state


@pytest.mark.parametrize("event", FOLLOWS)
def test_closed_is_for_good(event: str) -> None:
    """The thread that writes may still report what has happened; nothing opens the writer again."""
    transaction = transaction_in(S.CLOSED)
    happen(transaction, event)
    assert S.CLOSED is transaction.state


@pytest.mark.parametrize("state", S)
def test_what_a_state_allows(state: TransactionState) -> None:
    """A failed transaction is open, and keeps its producer until it has ended."""
    transaction = transaction_in(state)
    assert (state in {S.OPEN, S.FAILED}) == transaction.is_open
    assert (state in {S.READY, S.OPEN, S.FAILED}) == transaction.has_producer


def test_closing_wins_over_any_other_change() -> None:
    """One thread closes while another begins and ends transactions: the writer stays closed."""
    for _ in range(50):
        transaction = transaction_in(S.READY)

        def write(transaction: ProducerTransaction = transaction) -> None:
            while transaction.state is not S.CLOSED:
                transaction.begun()
                transaction.ended()

        writer = threading.Thread(target=write)
        writer.start()
        transaction.closed()
        writer.join(10.0)
        assert not writer.is_alive()
        assert S.CLOSED is transaction.state
