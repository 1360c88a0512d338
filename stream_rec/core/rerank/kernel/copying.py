"""Copy sessions as of a boundary of event time out of an index that goes on: their events up to then, and no later one.

A session keeps its slot and the order of its events. So what it was at the boundary can be read until it leaves, or
drops its oldest event.
"""

from typing import NamedTuple

from stream_rec.core.compiled import inner
from stream_rec.core.dtypes import I32, I64, U8, U64
from stream_rec.core.index.kernel.session_events import item_of
from stream_rec.core.index.kernel.state import State

__all__ = ["CopiedEvents", "SessionsAsOf", "copy_events", "list_sessions"]


class SessionsAsOf(NamedTuple):
    """N sessions with events up to a boundary."""

    slot: I32  # [N]
    hash: U64  # [N] XXH3-64 of the session's id
    last: I64  # [N] ms: the time of its newest event up to the boundary
    n_events: I32  # [N] up to the boundary


class CopiedEvents(NamedTuple):
    """E events, session by session, oldest first within each."""

    item: I32  # [E] ordinal
    time: I64  # [E] ms
    type: U8  # [E]


@inner
def list_sessions(state: State, boundary: int, listed: SessionsAsOf) -> int:
    """List the sessions that have events up to *boundary*, ms; *listed* has space for all. Return how many."""
    found = 0
    for slot in range(state.session.size):
        n = state.session[slot]["events"]
        if n == 0:
            continue
        at = state.session[slot]["at"]
        last = state.session[slot]["last"]
        if last > boundary:
            while n > 0 and state.event_time[at + n - 1] > boundary:  # planted bug: refit-sees-later-events
                n -= 1
            if n == 0:
                continue
            last = state.event_time[at + n - 1]
        listed.slot[found] = slot
        listed.hash[found] = state.session[slot]["hash"]
        listed.last[found] = last
        listed.n_events[found] = n
        found += 1
    return found


@inner
def copy_events(
    state: State, boundary: int, listed: SessionsAsOf, first: int, last: int, begin: int, events: CopiedEvents
) -> bool:
    """Copy the events of the sessions from *first* up to *last* to where they *begin* in *events*.

    Return whether each session is still what it was when it was listed.
    """
    for k in range(first, last):
        slot, n = listed.slot[k], listed.n_events[k]
        at = state.session[slot]["at"]
        kept = state.session[slot]["events"]
        if state.session[slot]["hash"] != listed.hash[k] or kept < n or state.event_time[at + n - 1] != listed.last[k]:
            return False
        if kept > n and state.event_time[at + n] <= boundary:
            return False
        for j in range(at, at + n):
            events.item[begin] = item_of(state, j)
            events.time[begin] = state.event_time[j]
            events.type[begin] = state.event_type[j]
            begin += 1
    return True
