"""Retained sessions out of the arrays as plain columns, and from columns into fresh arrays.

Columns hold no freed block, no dead posting and no place in the order of leaving: what later answers depend on can be
told from them, and what was forgotten cannot.
"""

from typing import NamedTuple

import numpy as np

from stream_rec.core.compiled import inner, prefetch
from stream_rec.core.index.kernel import popular
from stream_rec.core.index.kernel.postings import posting
from stream_rec.core.index.kernel.state import I32, I64, REPEATED, U8, U16, U64, State
from stream_rec.core.index.kernel.visits import is_repeated, item_of

REPEAT_BIT = np.uint32(REPEATED)
AHEAD = 16  # sessions whose events are asked for before they are read
MOST_AHEAD = 16  # events of a session that are read ahead for


class RetainedColumns(NamedTuple):
    """N sessions in the order of their slots, and their E events, oldest first within each session."""

    slot: I32  # [N]
    hash: U64  # [N] XXH3-64 of the session's id
    id_bytes: U16  # [N] length of the session's id
    n_events: I32  # [N]
    item: I32  # [E] place of the item in a list of those that are held
    time: I64  # [E] ms
    type: U8  # [E]


@inner
def copy_sessions(state: State, rank: I32, columns: RetainedColumns) -> None:
    """Fill *columns*, just large enough, with all retained sessions; *rank* is the place of each item's number."""
    n_slots = state.session.size
    n_sessions = 0
    n_events = 0
    for slot in range(n_slots):
        if slot + AHEAD < n_slots:
            at = state.session[slot + AHEAD]["at"]
            prefetch(state.event_item, at)
            prefetch(state.event_time, at)
            prefetch(state.event_type, at)
        n = state.session[slot]["events"]
        if n == 0:
            continue
        columns.slot[n_sessions] = slot
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
    """Put the events into the blocks that their sessions have been given, and count them for their items.

    *items* are the numbers of the items by rank, *newest_in* is scratch memory, an item each, all -1.
    """
    first = 0
    for k in range(columns.slot.size):
        slot = columns.slot[k]
        n = columns.n_events[k]
        at = state.session[slot]["at"]
        n_items = 0
        for j in range(n - 1, -1, -1):
            item = items[columns.item[first + j]]
            word = np.uint32(item)
            if newest_in[item] == slot:
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
    """Ask for the ends of the lists that the session's first items have by now."""
    at = state.session[slot]["at"]
    for j in range(at, at + min(state.session[slot]["events"], MOST_AHEAD)):
        item = item_of(state, j)
        prefetch(state.postings, state.item[item]["at"] + state.item[item]["end"])


@inner
def place_postings(state: State, slots: I32) -> None:
    """Append postings for the sessions *slots*, oldest first, to the empty lists that `place_events` counted for."""
    n = slots.size
    for k in range(n):
        if k + 3 * AHEAD < n:
            prefetch(state.session, slots[k + 3 * AHEAD])
        if k + 2 * AHEAD < n:
            prefetch(state.event_item, state.session[slots[k + 2 * AHEAD]]["at"])
        if k + AHEAD < n:
            _prefetch_ends(state, slots[k + AHEAD])
        slot = slots[k]
        word = posting(state, state.session[slot]["last"], slot)
        at = state.session[slot]["at"]
        for j in range(at, at + state.session[slot]["events"]):
            if not is_repeated(state, j):
                item = item_of(state, j)
                state.postings[state.item[item]["at"] + state.item[item]["end"]] = word
                state.item[item]["end"] += 1
