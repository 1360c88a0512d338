"""The invariants of the index that the kernels rely on, for tests."""

import numpy as np
import numpy.typing as npt

from stream_rec.core.dtypes import I32, I64
from stream_rec.core.index.arrays import EVENT_COST, ITEM_COST, SESSION_COST, STORE_COST
from stream_rec.core.index.index import Index
from stream_rec.core.index.kernel import state as field
from stream_rec.core.index.views import IndexView

__all__ = ["check"]


def check(index: Index) -> None:
    """Assert all invariants. O(everything)."""
    view, state, scratch = index.view, index.state, index.arrays.workspace.scratch
    sessions, items = view.live_sessions(), view.live_items()
    _check_counters(view, sessions, items)
    holders: dict[int, set[int]] = {}
    for session in sessions.tolist():
        _check_session(view, session, holders)
    for item in items.tolist():
        _check_item(view, item, holders.pop(item, set()))
    assert not holders, "every item of a session has a list"
    assert not _blocks_overlap(state.session["at"], state.session["capacity"]), "event blocks are disjoint"
    assert not _blocks_overlap(state.item["at"], state.item["capacity"]), "posting blocks are disjoint"
    assert scratch is None or not scratch.score.any(), "queries leave no score"
    assert scratch is None or not scratch.mark.any(), "queries leave no mark"


def _check_counters(view: IndexView, sessions: npt.NDArray[np.intp], items: npt.NDArray[np.intp]) -> None:
    state, count = view.state, view.counter
    assert count(field.N_SESSIONS) == len(sessions)
    assert count(field.N_EVENTS) == int(state.session["events"][sessions].sum())
    n_distinct = int(state.session["items"][sessions].sum())
    assert count(field.N_SESSION_ITEMS) == int(state.item["df"].sum()) == n_distinct
    assert count(field.STAGE) == field.STAGE_APPLY
    for name in ("N_QUEUED", "N_RELEASED", "N_EMPTIED"):
        assert count(getattr(field, name)) == 0, name
    cost = STORE_COST + EVENT_COST * count(field.N_EVENTS)
    cost += sum(SESSION_COST + int(state.session["id_bytes"][session]) for session in sessions)
    cost += sum(ITEM_COST + int(state.item["id_bytes"][item]) for item in items)
    assert count(field.N_BYTES) == cost


def _check_session(view: IndexView, session: int, holders: dict[int, set[int]]) -> None:
    """Check *session*, and add it to the *holders* of its items."""
    record = view.state.session[session]
    items, times, _ = view.events_of(session)
    at = int(record["at"])
    repeated = (view.state.event_item[at : at + items.size] & field.REPEAT_BIT) != 0
    assert items.size <= min(view.limits.max_session_events, int(record["capacity"]))
    assert (np.diff(times) >= 0).all(), "events are in time order"
    assert record["last"] == times[-1]
    assert record["queued"] <= times[-1], "no session is queued under a time after its last event"
    seen_later: set[int] = set()
    for item, is_repeated in zip(items[::-1].tolist(), repeated[::-1].tolist(), strict=True):
        assert is_repeated == (item in seen_later), "all but an item's newest event are marked"
        seen_later.add(item)
        holders.setdefault(item, set()).add(session)
    assert record["items"] == len(seen_later)


def _check_item(view: IndexView, item: int, holders: set[int]) -> None:
    """Check the posting list of *item*, which *holders* hold."""
    state, record = view.state, view.state.item[item]
    assert 0 <= record["start"] <= record["end"] <= record["capacity"]
    at = int(record["at"])
    words = state.postings[at + int(record["start"]) : at + int(record["end"])]
    slots = (words & np.uint64(field.DEAD)).astype(np.int64)
    listed = slots[slots != field.DEAD].tolist()
    assert len(listed) == len(set(listed)) == int(record["df"])
    assert set(listed) == holders, "a list holds exactly the sessions with the item"
    assert view.holders(item) == listed
    keys = [(int(state.session["last"][session]), int(state.session["hash"][session])) for session in listed]
    assert keys == sorted(keys), "the newest is last"
    times = words >> np.uint64(field.SLOT_BITS)
    assert (np.diff(times.astype(np.int64)) >= 0).all(), "dead postings keep their time"
    base, shift = view.counter(field.BASE), view.counter(field.SHIFT)
    assert times[slots != field.DEAD].tolist() == [(last - base) >> shift for last, _ in keys]


def _blocks_overlap(at: I64, capacity: I32) -> bool:
    used = np.flatnonzero(capacity)
    order = used[np.argsort(at[used])]
    return bool((at[order][:-1] + capacity[order][:-1] > at[order][1:]).any())
