"""The states of a writer's producer and its transaction: one state machine for both clients. Knows neither.

                  started               begun
    NO_PRODUCER ──────────▶ READY ───────────────▶ OPEN
         ▲                   │ ▲                    │ │
         │     discarded     │ └────────────────────┘ │
         ├◀──────────────────┤         ended          │
         │                   │                        │
         │                   │ failed                 │ failed
         │                   ▼                        ▼
         └───────────────  BROKEN ◀───────────────  FAILED
             discarded                  ended

    CLOSED follows every state (closed), and no state follows it.

A producer that has met an error may be stuck in it. So it begins no other transaction: it is discarded, and the next
one of the same transactional id makes the broker abort what was left open. A lost membership is the one error that
leaves a producer as good as it was.
"""

import threading
import time
from collections.abc import Mapping
from enum import Enum, auto
from typing import Final

__all__ = ["IllegalTransitionError", "ProducerTransaction", "TransactionState"]


class TransactionState(Enum):
    """What a writer's producer is able to do."""

    NO_PRODUCER = auto()
    """The first producer has not started, or the last one was discarded."""

    READY = auto()
    """No transaction is open; records may be sent outside of one."""

    OPEN = auto()
    """A transaction is open."""

    FAILED = auto()
    """A transaction is open, and the producer has met an error: it should be aborted."""

    BROKEN = auto()
    """No transaction is open, and the producer has met an error: it must be discarded."""

    CLOSED = auto()
    """The writer is closed, for good."""


class IllegalTransitionError(AssertionError):
    """A state does not allow what has just happened: a defect of stream-rec, not of the broker."""


_NO_PRODUCER, _READY, _OPEN, _FAILED, _BROKEN, _CLOSED = TransactionState

_STARTED: Final = {_NO_PRODUCER: _READY}
_BEGUN: Final = {_READY: _OPEN}
# An error after an error changes nothing.
_FAILED_BY: Final = {
    _READY: _BROKEN, _OPEN: _FAILED, _FAILED: _FAILED, _BROKEN: _BROKEN, _NO_PRODUCER: _NO_PRODUCER,
}  # fmt: skip
# An abort is allowed where nothing is open.
_ENDED: Final = {
    _OPEN: _READY, _FAILED: _BROKEN, _READY: _READY, _BROKEN: _BROKEN, _NO_PRODUCER: _NO_PRODUCER,
}  # fmt: skip
_DISCARDED: Final = {_READY: _NO_PRODUCER, _BROKEN: _NO_PRODUCER, _NO_PRODUCER: _NO_PRODUCER}
_CLOSED_BY: Final = dict.fromkeys(TransactionState, _CLOSED)


class ProducerTransaction:
    """The state of one writer, changed by what has happened to its producer.

    Two threads may use it: the one that writes, and the one that closes. Each change raises IllegalTransitionError
    where the state does not allow it; none changes CLOSED.
    """

    def __init__(self) -> None:
        self._state = _NO_PRODUCER
        self._began = 0.0
        self._lock = threading.Lock()

    @property
    def state(self) -> TransactionState:
        """The state now; the closing thread may change it to CLOSED at any time."""
        return self._state

    @property
    def has_producer(self) -> bool:
        """Whether the producer can be used as it is, or must first end its transaction."""
        return self._state in {_READY, _OPEN, _FAILED}

    @property
    def is_open(self) -> bool:
        """Whether a transaction is open."""
        return self._state in {_OPEN, _FAILED}

    @property
    def age_s(self) -> float:
        """Seconds since the last transaction began."""
        return time.monotonic() - self._began

    def started(self) -> None:
        """A new producer has its transactional id."""
        self._change("start", _STARTED)

    def begun(self) -> None:
        """A transaction was opened."""
        self._change("begin", _BEGUN)
        self._began = time.monotonic()

    def failed(self) -> None:
        """The producer has met an error."""
        self._change("fail", _FAILED_BY)

    def ended(self) -> None:
        """The transaction was committed or aborted, or is left to the next producer."""
        self._change("end", _ENDED)

    def discarded(self) -> None:
        """The producer is used no more."""
        self._change("be discarded", _DISCARDED)

    def closed(self) -> None:
        """The writer was closed."""
        self._change("close", _CLOSED_BY)

    def _change(self, what: str, allowed: Mapping[TransactionState, TransactionState]) -> None:
        with self._lock:
            if self._state is _CLOSED:
                return
            if self._state not in allowed:
                raise IllegalTransitionError(f"a producer that is {self._state.name} cannot {what}")
            self._state = allowed[self._state]
