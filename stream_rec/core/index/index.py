"""The index: owns the arrays that the kernels work on, and grows them.

For each item, the retained sessions that hold it, newest first; and each session's events. Updated event by event,
and at every moment equal to an index built from scratch. Knows numbers only: ids, settings files and the outside are
other people's business.
"""

from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt

from stream_rec.core.index.arrays import (
    ANYTHING,
    EVENT_ARRAYS,
    EVENT_COST,
    ITEM_ARRAYS,
    ITEM_COST,
    LISTS,
    NO_HASHES,
    SESSION_COST,
    STORE_COST,
    _blocks_overlap,
    _empty_state,
    _n_listed,
    _new_scratch,
    frame,
    grown,
)
from stream_rec.core.index.kernel import entries
from stream_rec.core.index.kernel import state as field
from stream_rec.core.index.kernel.state import I32, I64, AnswerArrays, EventArrays, Parameters, Policy, Queries, Scratch
from stream_rec.core.index.views import ExplainTrace, SessionEvents, Spread
from stream_rec.core.limits import Limits

__all__ = [
    "Index",
]


class Index:
    """Arrays and the kernels over them. Not thread-safe: one thread owns it."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.state = _empty_state(limits)
        self._scratch: Scratch | None = None
        self._scratch_for = (0, 0, 0, 0)

    # --- what the state says

    def counter(self, which: int) -> int:
        """Return one of the state's counters, by its field in `_kernel.state`."""
        return int(self.state.counters[which])

    @property
    def watermark(self) -> int | None:
        """The largest accepted timestamp in ms, None before the first event."""
        value = self.counter(field.WATERMARK)
        return None if value == field.NEVER else value

    def events_of(self, slot: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.uint8]]:
        """Return items, times (ms) and types of session *slot*'s events, oldest first: copies, [n] each."""
        state = self.state
        at, n = int(state.session["at"][slot]), int(state.session["events"][slot])
        part = slice(at, at + n)
        items = (state.event_item[part] & np.uint32(field.ITEM_MASK)).astype(np.int64)
        return items, state.event_time[part].copy(), state.event_type[part].copy()

    def visits_of(self, slots: npt.NDArray[np.integer]) -> SessionEvents:
        """Return the events of the sessions *slots*. O(events)."""
        sessions = self.state.session[slots]
        n = sessions["events"].astype(np.int64)
        session = np.repeat(np.arange(n.size), n)
        place = np.arange(session.size) - np.repeat(np.cumsum(n) - n, n)
        words = self.state.event_item[np.repeat(sessions["at"], n) + place]
        item = (words & np.uint32(field.ITEM_MASK)).astype(np.int64)
        return SessionEvents(session, place, item, (words & np.uint32(field.REPEATED)) == 0)

    def newest_holders(self, item: int, most: int, own: int) -> I64:
        """Return the slots of the *most* newest sessions that hold *item*, newest first, without *own*. O(most)."""
        record = self.state.item[item]
        begin, end = (int(record["at"] + record[edge]) for edge in ("start", "end"))
        reach = most + 1
        while True:
            words = self.state.postings[max(begin, end - reach) : end][::-1]
            slots = (words & np.uint64(field.DEAD)).astype(np.int64)
            slots = slots[(slots != field.DEAD) & (slots != own)]
            if slots.size >= most or end - reach <= begin:
                return slots[:most]  # type: ignore[no-any-return]
            reach *= 2

    def without_session(self, slots: Iterable[int]) -> list[int]:
        """Return which of *slots* hold no session, each once."""
        asked = np.unique(np.fromiter(slots, np.int64))
        return asked[self.state.session["events"][asked] == 0].tolist()  # type: ignore[no-any-return]

    def without_holder(self, items: Iterable[int]) -> list[int]:
        """Return which of *items* no retained session holds, each once."""
        asked = np.unique(np.fromiter(items, np.int64))
        return asked[self.state.item["df"][asked] == 0].tolist()  # type: ignore[no-any-return]

    def live_items(self) -> npt.NDArray[np.int64]:
        """Return the items that a retained session holds. O(items)."""
        return np.flatnonzero(self.state.item["df"])

    @property
    def oldest_time(self) -> int:
        """Time of the oldest session, in ms; the front must have been settled just before."""
        return int(self.state.front["time"][self.counter(field.FRONT_START)])

    def live_slots(self) -> npt.NDArray[np.int64]:
        """Return the slots that hold a session. O(slots)."""
        return np.flatnonzero(self.state.session["events"])

    def newest_slots(self, n: int) -> list[int]:
        """Return the slots of the *n* newest sessions, newest first. O(slots)."""
        slots = self.live_slots()
        last = self.state.session["last"][slots]
        if slots.size > n:
            part = np.argpartition(last, slots.size - n)[slots.size - n :]
            slots, last = slots[part], last[part]
        order = np.lexsort((self.state.session["hash"][slots], last))[::-1]
        return slots[order].tolist()  # type: ignore[no-any-return]

    def df(self, item: int) -> int:
        """Return how many retained sessions hold item number *item*."""
        return int(self.state.item["df"][item])

    # --- new names

    def add_sessions(self, slots: Sequence[int], hashes: Sequence[int], id_bytes: Sequence[int]) -> None:
        """Prepare *slots* for sessions with the given XXH3-64 hashes and id lengths in bytes.

        Raises OverflowError for more sessions than a posting can number.
        """
        if not slots:
            return
        if max(slots) >= field.DEAD:
            raise OverflowError(f"more than {field.DEAD} sessions at a time: set max_sessions or a shorter retention")
        self.state = grown(self.state, ("session",), max(slots) + 1)
        self.state.session["hash"][slots] = np.array(hashes, np.uint64)
        self.state.session["id_bytes"][slots] = id_bytes

    def add_items(
        self, items: Sequence[int], hashes: Sequence[int], id_bytes: Sequence[int], denied: Sequence[int]
    ) -> None:
        """Prepare numbers for items with the given XXH3-64 hashes, id lengths in bytes, and why they are denied.

        They are not in the catalogue, unless `place_items` says so.
        """
        if not items:
            return
        self.state = grown(self.state, ITEM_ARRAYS, max(items) + 1)
        self.state.item["hash"][items] = np.array(hashes, np.uint64)
        self.state.item["id_bytes"][items] = id_bytes
        self.state.item["denied"][items] = denied
        self.state.item["row"][items] = 0

    def place_items(self, items: npt.NDArray[np.int64], rows: npt.NDArray[np.int32]) -> None:
        """Say in which rows of the catalogue *items* are."""
        self.state.item["row"][items] = rows

    def deny(self, items: npt.NDArray[np.int64], denied: npt.NDArray[np.uint8]) -> None:
        """Set why each of *items*, which are retained, may never be recommended; 0 for one that may.

        The order of popular items is mended where something changes, as it is after an event. O(items).
        """
        item, counters = self.state.item, self.state.counters
        changed = items[item["denied"][items] != denied]
        item["denied"][items] = denied
        fresh = changed[item["dirty"][changed] == 0]
        item["dirty"][fresh] = 1
        begin = int(counters[field.N_DIRTY])
        self.state.dirty[begin : begin + fresh.size] = fresh
        counters[field.N_DIRTY] = begin + fresh.size

    # --- room

    def make_room(self, need: int, batch: EventArrays, reached: int) -> None:
        """Do what a kernel asked for, so that it can go on at event *reached*."""
        counters = self.state.counters
        if need == field.MORE_EVENT_ROOM:
            self.state = grown(self.state, EVENT_ARRAYS, len(self.state.event_item) + 1)
        elif need == field.MORE_POSTING_ROOM:
            biggest = int(self.state.item["room"].max()) * 2
            room = counters[field.POSTINGS_TOP] + biggest + 1
            self.state = grown(self.state, ("postings",), max(int(room), len(self.state.postings) + 1))
        elif need == field.MORE_ID_ROOM:
            self._rebuild_ids()
        elif need == field.MORE_FILING_ROOM:  # the other lists were emptied just before
            if self.front_size + 2 > len(self.state.front):
                self._widen_front()
        else:
            self._new_frame(int(batch.time[reached]))

    def _rebuild_ids(self, without: npt.NDArray[np.uint64] = NO_HASHES) -> None:
        """Make the event-id table anew: without expired ids, and those of sessions with the hashes *without*."""
        size = len(self.state.seen)
        while True:
            table = np.zeros(size, field.SEEN_ID)
            n = entries.copy_ids(self.state, table, np.unique(without))
            if n * 4 <= size:  # at most half of what may be used: the next rebuild is that far away
                break
            size *= 2
        self.state = self.state._replace(seen=table)
        self.state.counters[field.N_SEEN_IDS] = n

    def _new_frame(self, time: int) -> None:
        """Choose the postings' time frame anew, so that all retained sessions and *time* fit."""
        times = self.state.session["last"][self.live_slots()]
        oldest = min(time, int(times.min())) if times.size else time
        newest = max(time, int(times.max())) if times.size else time
        entries.reframe(self.state, *frame(oldest, newest))

    def take_lists(self) -> tuple[I32, I64, I32, I32, I32]:
        """Empty the kernel's lists; return copies.

        These are slots to file and their times, released slots and the events up to which they are void, and
        emptied items.
        """
        state, counters = self.state, self.state.counters
        filed = int(counters[field.N_FILED])
        taken = (
            state.filed["slot"][:filed].copy(),
            state.filed["time"][:filed].copy(),
            state.released["slot"][: counters[field.N_RELEASED]].copy(),
            state.released["event"][: counters[field.N_RELEASED]].copy(),
            state.emptied[: counters[field.N_EMPTIED]].copy(),
        )
        counters[[field.N_FILED, field.N_RELEASED, field.N_EMPTIED]] = 0
        return taken

    def set_next_filed(self, time: int) -> None:
        """Say that no session outside the front was filed before *time*."""
        self.state.counters[field.NEXT_FILED] = time

    @property
    def front_size(self) -> int:
        """How many entries the front has."""
        return self.counter(field.FRONT_END) - self.counter(field.FRONT_START)

    def set_front(self, slots: npt.NDArray[np.int32], times: npt.NDArray[np.int64], limit: int) -> None:
        """Replace the (used up) front by sessions sorted by (time, hash), all there are before *limit*."""
        needed = slots.size + LISTS
        if needed > len(self.state.front):
            self.state = self.state._replace(front=np.zeros(needed, field.OLDEST))
        self.state.front["slot"][: slots.size] = slots
        self.state.front["hash"][: slots.size] = self.state.session["hash"][slots]
        self.state.front["time"][: slots.size] = times
        self.state.counters[field.FRONT_START] = 0
        self.state.counters[field.FRONT_END] = slots.size
        self.state.counters[field.FRONT_LIMIT] = limit

    def _widen_front(self) -> None:
        """Give the front more room, keeping what it holds."""
        self.state = grown(self.state, ("front",), len(self.state.front) + LISTS)

    # --- kernels

    def apply(self, batch: EventArrays, begin: int) -> tuple[int, int]:
        """Apply *batch* from event *begin* on; see `entries.apply`."""
        return entries.apply(self.state, batch, begin)

    def apply_and_ask(
        self,
        stacked: Parameters,
        batch: EventArrays,
        begin: int,
        rows: npt.NDArray[np.int32],
        policy: Policy,
        answers: AnswerArrays,
    ) -> tuple[int, int]:
        """Apply *batch* from event *begin* on, and ask several models by *rows*; see `entries.apply_and_ask`."""
        whole = stacked.whole[0] if len(stacked.whole) == 1 else stacked.whole.max(axis=0)
        scratch = self._scratch_for_whole(whole, _n_listed(policy))
        return entries.apply_and_ask(self.state, scratch, stacked, batch, begin, rows, policy, answers)

    def ask_session(self, p: Parameters, slot: int, policy: Policy, answers: AnswerArrays, row: int) -> None:
        """Answer for session *slot* into *row*."""
        entries.ask_session(self.state, self.scratch(p, _n_listed(policy)), p, slot, policy, answers, row)

    def ask_items(
        self,
        p: Parameters,
        items: npt.NDArray[np.int32],
        own: int,
        policy: Policy,
        answers: AnswerArrays,
        row: int,
    ) -> None:
        """Answer for a query of its own items (oldest first, all of them) into *row*."""
        scratch = self.scratch(p, _n_listed(policy) + items.size)
        query = items[max(0, items.size - int(p.whole[field.LAST])) :]
        entries.ask(self.state, scratch, p, query, items, policy, own, answers, row)

    def ask_and_apply(
        self, stacked: Parameters, batch: EventArrays, begin: int, asks: npt.NDArray[np.uint8], answers: AnswerArrays
    ) -> tuple[int, int]:
        """Ask with several models before each marked event, then apply it; see `entries.ask_and_apply`."""
        scratch = self._scratch_for_whole(stacked.whole.max(axis=0), 0)
        return entries.ask_and_apply(self.state, scratch, stacked, batch, begin, asks, ANYTHING, answers)

    def ask_many(
        self,
        stacked: Parameters,
        queries: Queries,
        policy: Policy,
        answers: AnswerArrays,
        spread: Spread = map,
        parts: int = 1,
    ) -> None:
        """Answer each query with several models, cut into *parts* that *spread* may run side by side.

        Nothing else may be asked or applied meanwhile. See `entries.ask_many`.
        """
        whole, n_queries = stacked.whole.max(axis=0), len(queries.own)
        n_extra = _n_listed(policy) + int((queries.end - queries.begin).max(initial=0))
        bounds = [n_queries * part // parts for part in range(parts + 1)]
        sizes, scratch = self._scratch_sizes(whole, n_extra), self._scratch_for_whole(whole, n_extra)

        def answer(part: int) -> None:
            own = scratch if parts == 1 else _new_scratch(*sizes, self.limits.max_session_events)
            entries.ask_many(self.state, own, stacked, queries, policy, answers, bounds[part], bounds[part + 1])

        if parts > 1:
            entries.settle_popular(self.state)
            entries.ask_many(self.state, scratch, stacked, queries, policy, answers, 0, 0)  # not compiled by each
        for _ in spread(answer, range(parts)):
            pass

    def trail(self) -> ExplainTrace:
        """Return what the last query left, one at least having been asked, and not in several parts at once."""
        scratch = self._scratch
        assert scratch is not None, "something was asked"
        trail = scratch.trail
        n_chosen = int(trail[field.TRAIL_CHOSEN])
        query = scratch.query[: int(trail[field.TRAIL_DISTINCT]) if n_chosen else 0]
        chosen = scratch.chosen[:n_chosen]
        return ExplainTrace(
            length=int(trail[field.TRAIL_LENGTH]),
            item=query["item"].copy(),
            item_step=query["step"].copy(),
            weight=query["weight"].copy(),
            slot=scratch.candidate[chosen],
            similarity=scratch.similarity[chosen],
            step=scratch.step[chosen],
            holders=int(trail[field.TRAIL_HOLDERS]),
            mix=float(trail[field.TRAIL_MIX]),
            repeats=float(trail[field.TRAIL_REPEATS]),
        )

    def settle(self) -> bool:
        """Bring the oldest session to the start of the front; False if the front must be refilled first."""
        return entries.settle_front(self.state)

    def drop(self, slot: int) -> None:
        """Remove session *slot* from everything but the event-id window."""
        entries.drop_session(self.state, slot)

    def is_duplicate(self, id_key: npt.NDArray[np.uint64]) -> bool:
        """Tell whether the event id of that key, [1, 2], stands in the window."""
        return entries.is_duplicate(self.state, id_key)

    def forget_ids_of(self, owners: Sequence[int]) -> None:
        """Take the event ids that came with the sessions of the hashes *owners* out of the window. O(window)."""
        self._rebuild_ids(without=np.array(owners, np.uint64))

    def free_items(self, items: Sequence[int]) -> None:
        """Give back the posting blocks of *items* that nobody holds any more."""
        for item in items:
            entries.free_block(self.state, item)

    def postings_of(self, item: int) -> list[int]:
        """Return the slots that hold *item*, oldest session first."""
        state = self.state
        at = int(state.item["at"][item])
        words = state.postings[at + int(state.item["start"][item]) : at + int(state.item["end"][item])]
        slots = (words & np.uint64(field.DEAD)).astype(np.int64)
        return [slot for slot in slots.tolist() if slot != field.DEAD]

    def _check(self) -> None:
        """Assert what the kernels rely on. O(everything)."""
        state, count = self.state, self.counter
        slots = self.live_slots().tolist()
        assert count(field.N_SESSIONS) == len(slots)
        assert count(field.N_EVENTS) == int(state.session["events"][slots].sum())
        assert count(field.N_HELD) == int(state.item["df"].sum()) == int(state.session["items"][slots].sum())
        assert count(field.STAGE) == field.STAGE_APPLY
        for name in ("N_FILED", "N_RELEASED", "N_EMPTIED"):
            assert count(getattr(field, name)) == 0, name
        holders: dict[int, set[int]] = {}
        for slot in slots:
            self._check_session(slot, holders)
        for item in self.live_items().tolist():
            self._check_item(item, holders.pop(item, set()))
        assert not holders, "every item of a session has a list"
        cost = STORE_COST + sum(SESSION_COST + int(state.session["id_bytes"][slot]) for slot in slots)
        cost += sum(ITEM_COST + int(state.item["id_bytes"][item]) for item in self.live_items())
        assert count(field.N_BYTES) == cost + EVENT_COST * count(field.N_EVENTS)
        assert not _blocks_overlap(state.session["at"], state.session["room"]), "event blocks are apart"
        assert not _blocks_overlap(state.item["at"], state.item["room"]), "posting blocks are apart"
        assert self._scratch is None or not self._scratch.score.any(), "queries leave no score"
        assert self._scratch is None or not self._scratch.mark.any(), "queries leave no mark"

    def _check_session(self, slot: int, holders: dict[int, set[int]]) -> None:
        state = self.state
        items, times, _ = self.events_of(slot)
        at = int(state.session["at"][slot])
        repeated = (state.event_item[at : at + items.size] & np.uint32(field.REPEATED)) != 0
        assert items.size <= min(self.limits.max_session_events, int(state.session["room"][slot]))
        assert (np.diff(times) >= 0).all(), "events stand in time order"
        assert state.session["last"][slot] == times[-1]
        assert state.session["filed"][slot] <= times[-1], "no session is filed later than its last event"
        seen_later: set[int] = set()
        for item, is_repeated in zip(items[::-1].tolist(), repeated[::-1].tolist(), strict=True):
            assert is_repeated == (item in seen_later), "all but an item's newest event are marked"
            seen_later.add(item)
            holders.setdefault(item, set()).add(slot)
        assert state.session["items"][slot] == len(seen_later)

    def _check_item(self, item: int, holders: set[int]) -> None:
        state = self.state
        held = self.postings_of(item)
        assert len(held) == len(set(held)) == int(state.item["df"][item])
        assert set(held) == holders, "a list holds exactly the sessions with the item"
        keys = [(int(state.session["last"][slot]), int(state.session["hash"][slot])) for slot in held]
        assert keys == sorted(keys), "newest last"
        at, base, shift = int(state.item["at"][item]), self.counter(field.BASE), self.counter(field.SHIFT)
        assert 0 <= state.item["start"][item] <= state.item["end"][item] <= state.item["room"][item]
        words = state.postings[at + int(state.item["start"][item]) : at + int(state.item["end"][item])]
        assert (np.diff((words >> np.uint64(field.SLOT_BITS)).astype(np.int64)) >= 0).all(), "dead ones keep their time"
        live = words[(words & np.uint64(field.DEAD)) != field.DEAD] >> np.uint64(field.SLOT_BITS)
        assert live.tolist() == [(last - base) >> shift for last, _ in keys]

    def scratch(self, p: Parameters, n_extra: int) -> Scratch:
        """Return scratch memory large enough for a query with parameters *p* and *n_extra* more items to mark."""
        return self._scratch_for_whole(p.whole, n_extra)

    def _scratch_for_whole(self, whole: I64, n_extra: int) -> Scratch:
        """Of several models *whole* has the largest of each number."""
        sizes = self._scratch_sizes(whole, n_extra)
        if self._scratch is None or any(a > b for a, b in zip(sizes, self._scratch_for, strict=True)):
            sizes = tuple(max(a, b) for a, b in zip(sizes, self._scratch_for, strict=True))  # type: ignore[assignment]
            self._scratch = _new_scratch(*sizes, self.limits.max_session_events)
            self._scratch_for = sizes
        return self._scratch

    def _scratch_sizes(self, whole: I64, n_extra: int) -> tuple[int, int, int, int]:
        """Return what `_new_scratch` takes."""
        last = int(min(whole[field.LAST], self.limits.max_session_events))
        n_slots = len(self.state.session)
        is_recent = whole[field.SAMPLING] == field.SAMPLE_RECENT
        return (
            len(self.state.item),
            min(int(whole[field.M]), n_slots) if is_recent else n_slots,
            max(last, n_extra),
            int(whole[field.N]) + n_extra,
        )
