"""Copy retained sessions from the arrays to plain columns, and from columns into new arrays.

Columns hold no freed block, no dead posting and no place in the eviction queue: they determine all later answers, and
hold nothing of what was forgotten.
"""

from typing import NamedTuple

import numpy as np

from stream_rec.core.compiled import inner, prefetch
from stream_rec.core.dtypes import I32, I64, U8, U16, U64
from stream_rec.core.index.kernel import popular
from stream_rec.core.index.kernel.postings import posting
from stream_rec.core.index.kernel.session_events import is_repeated, item_of
from stream_rec.core.index.kernel.state import REPEAT_BIT, State

__all__ = ["RetainedColumns", "copy_sessions", "place_events", "place_postings"]

_AHEAD = 16  # sessions whose events are prefetched before they are read
_MOST_AHEAD = 16  # events of a session to prefetch for


class RetainedColumns(NamedTuple):
    """N sessions by ascending ordinal, and their E events, oldest first within each session."""

    session: I32  # [N] ordinals
    hash: U64  # [N] XXH3-64 of the session's id
    id_bytes: U16  # [N] length of the session's id
    n_events: I32  # [N]
    item: I32  # [E] place of the item among the items with a session
    time: I64  # [E] ms
    type: U8  # [E]


@inner
def copy_sessions(state: State, rank: I32, columns: RetainedColumns) -> None:
    """Fill *columns*, which are just large enough, with all retained sessions; *rank* is the place of each item."""
    n_slots = state.session.size
    n_sessions = 0
    n_events = 0
    for slot in range(n_slots):
        if slot + _AHEAD < n_slots:
            at = state.session[slot + _AHEAD]["at"]
            prefetch(state.event_item, at)
            prefetch(state.event_time, at)
            prefetch(state.event_type, at)
        n = state.session[slot]["events"]
        if n == 0:
            continue
        columns.session[n_sessions] = slot
        columns.hash[n_sessions] = state.session[slot]["hash"]
        columns.id_bytes[n_sessions] = state.session[slot]["id_bytes"]
        columns.n_events[n_sessions] = n
        n_sessions += 1
        at = state.session[slot]["at"]
        for j in range(at, at + n):
            columns.item[n_events] = rank[item_of(state, j)]
            columns.time[n_events] = state.event_time[j]
            columns.type[n_events] = state.event_type[j]
            n_events += 1


@inner
def place_events(state: State, columns: RetainedColumns, items: I32, newest_in: I32) -> None:
    """Write the events into the blocks of their sessions, and count them for their items.

    *items* are the ordinals of the items by place; *newest_in* is scratch memory, one element an item, all -1.
    """
    first = 0
    for k in range(columns.session.size):
        slot = columns.session[k]
        n = columns.n_events[k]
        at = state.session[slot]["at"]
        n_items = 0
        for j in range(n - 1, -1, -1):
            item = items[columns.item[first + j]]
            word = np.uint32(item)
            if newest_in[item] == slot:  # planted bug: load-counts-repeats
                word |= REPEAT_BIT
            else:
                newest_in[item] = slot
                n_items += 1
                state.item[item]["df"] += 1
            state.event_item[at + j] = word
            state.event_time[at + j] = columns.time[first + j]
            state.event_type[at + j] = columns.type[first + j]
            popular.count(state, item, columns.time[first + j], 1)
        state.session[slot]["items"] = n_items
        first += n


@inner
def _prefetch_ends(state: State, slot: int) -> None:
    """Prefetch the present ends of the lists of the session's first items."""
    at = state.session[slot]["at"]
    for j in range(at, at + min(state.session[slot]["events"], _MOST_AHEAD)):
        item = item_of(state, j)
        prefetch(state.postings, state.item[item]["at"] + state.item[item]["end"])


@inner
def place_postings(state: State, slots: I32) -> None:
    """Append postings of the sessions *slots*, oldest first, to the empty lists that `place_events` sized."""
    n = slots.size
    for k in range(n):
        if k + 3 * _AHEAD < n:
            prefetch(state.session, slots[k + 3 * _AHEAD])
        if k + 2 * _AHEAD < n:
            prefetch(state.event_item, state.session[slots[k + 2 * _AHEAD]]["at"])
        if k + _AHEAD < n:
            _prefetch_ends(state, slots[k + _AHEAD])
        slot = slots[k]
        word = posting(state, state.session[slot]["last"], slot)
        at = state.session[slot]["at"]
        for j in range(at, at + state.session[slot]["events"]):
            if not is_repeated(state, j):
                item = item_of(state, j)
                state.postings[state.item[item]["at"] + state.item[item]["end"]] = word
                state.item[item]["end"] += 1
