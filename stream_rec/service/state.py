"""The states of a service, and which one may follow which.

The only place that knows them: both services, the status file, `/readyz`, the metrics and the log go by it.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Final

__all__ = ["IllegalTransitionError", "Lifecycle", "ServiceState"]


class ServiceState(StrEnum):
    """What a service is doing. The values are the texts that users see.

                   connected             all was recovered
        WAITING ──────────────→ RECOVERING ──────────────→ READY
           ↑                     │   │  ↑                  │   │
           └─────────────────────┘   │  └──────────────────┘   │
             the broker is away      │    partitions lost,     │
                                     │    or a failure         │
                          a stop     ↓                         ↓    a stop
                                  STOPPING ←────────────────────

    A service on a broker begins in WAITING, a standalone one in RECOVERING. STOPPING is the end. A service that is
    stopped while it waits has nothing to close, so it stays in WAITING.
    """

    WAITING = "waiting for the broker"
    RECOVERING = "recovering"
    READY = "ready"
    STOPPING = "stopping"


_NEXT: Final[Mapping[ServiceState, frozenset[ServiceState]]] = {
    ServiceState.WAITING: frozenset({ServiceState.RECOVERING}),
    ServiceState.RECOVERING: frozenset({ServiceState.WAITING, ServiceState.READY, ServiceState.STOPPING}),
    ServiceState.READY: frozenset({ServiceState.RECOVERING, ServiceState.STOPPING}),
    ServiceState.STOPPING: frozenset(),
}


class IllegalTransitionError(Exception):
    """A service was to enter a state that its own does not lead to: a bug of ours."""


class Lifecycle:
    """The state of one service. One thread calls `enter`; any thread may read `state`."""

    def __init__(self, first: ServiceState) -> None:
        self._state = first

    @property
    def state(self) -> ServiceState:
        """What the service is doing now."""
        return self._state

    @property
    def is_ready(self) -> bool:
        """Whether the service answers."""
        return self._state is ServiceState.READY

    def enter(self, state: ServiceState) -> None:
        """Go to *state*; nothing changes where it is that already. Raises IllegalTransitionError."""
        if state is self._state:
            return
        if state not in _NEXT[self._state]:
            raise IllegalTransitionError(f"from {self._state.name} to {state.name}")
        self._state = state
