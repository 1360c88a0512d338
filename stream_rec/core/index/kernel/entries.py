"""The kernels that Python calls: entry points only."""

import numpy as np

from stream_rec.core.compiled import entry, inner
from stream_rec.core.dtypes import F64, I32, I64, U8, U64, Structs
from stream_rec.core.index.kernel import ask as asking
from stream_rec.core.index.kernel import ingest, order, popular, postings, retained, seen_ids, session_events, trending
from stream_rec.core.index.kernel.state import (
    APPLIED,
    DONE,
    LAST,
    OWN_EVENTS,
    STAGE,
    STAGE_APPLY,
    TOP_SIZE,
    AnswerArrays,
    EventArrays,
    Parameters,
    Policy,
    Queries,
    Scratch,
    State,
)

__all__ = [
    "advance_front",
    "apply",
    "apply_and_ask",
    "ask",
    "ask_and_apply",
    "ask_many",
    "ask_session",
    "copy_ids",
    "copy_sessions",
    "drop_session",
    "free_block",
    "is_duplicate",
    "order_popular",
    "place_events",
    "place_postings",
    "reframe",
    "score_trends",
]


_ONLY_ASK = 2


@inner
def _one_of(stacked: Parameters, j: int) -> Parameters:
    return Parameters(
        stacked.whole[j],
        stacked.real[j],
        stacked.weight[j],
        stacked.match[j],
        stacked.place[j],
        stacked.rule[j],
        stacked.type_weight[j],
        stacked.type_role[j],
    )


@entry
def apply(state: State, batch: EventArrays, begin: int) -> tuple[int, int]:
    """Apply the events from *begin* on. Return the event reached, and DONE or what is needed to go on."""
    for i in range(begin, batch.time.size):
        need = ingest.apply_step(state, batch, i)
        if need != DONE:
            return i, need
        state.counters[STAGE] = STAGE_APPLY
    return batch.time.size, DONE


@entry
def apply_and_ask(
    state: State,
    scratch: Scratch,
    stacked: Parameters,
    batch: EventArrays,
    begin: int,
    rows: I32,
    policy: Policy,
    answers: AnswerArrays,
) -> tuple[int, int]:
    """Like `apply`, and right after each applied event answer for its session with some of several models.

    The models' arrays are stacked, [models, ...]. `rows`, [events, models], holds the row of each answer, -1 for no
    answer. The rows of events that are not applied are left unchanged.
    """
    models = stacked.whole.shape[0]
    for i in range(begin, batch.time.size):
        need = ingest.apply_step(state, batch, i)
        if need != DONE:
            return i, need
        if batch.outcome[i] == APPLIED:
            for j in range(models):
                if rows[i, j] >= 0:
                    p = _one_of(stacked, j)
                    asking.ask_session(state, scratch, p, np.int64(batch.session[i]), policy, 0, answers, rows[i, j])
        state.counters[STAGE] = STAGE_APPLY
    return batch.time.size, DONE


@entry
def ask_and_apply(
    state: State,
    scratch: Scratch,
    stacked: Parameters,
    batch: EventArrays,
    begin: int,
    asks: U8,
    policy: Policy,
    answers: AnswerArrays,
) -> tuple[int, int]:
    """Like `apply`, but before each event that `asks` marks (1), answer for its session with each of several models.

    The models' arrays are stacked, [models, ...]; the answer of model j for event i is in row i * models + j. An event
    marked 2 gets answers but is not applied.
    """
    models = stacked.whole.shape[0]  # planted bug: learns-before-asking (3 lines)
    for i in range(begin, batch.time.size):
        if asks[i] > 0 and state.counters[STAGE] == STAGE_APPLY:
            for j in range(models):
                p = _one_of(stacked, j)
                asking.ask_session(state, scratch, p, np.int64(batch.session[i]), policy, 0, answers, i * models + j)
        if asks[i] < _ONLY_ASK:
            need = ingest.apply_step(state, batch, i)
            if need != DONE:
                return i, need
        state.counters[STAGE] = STAGE_APPLY
    return batch.time.size, DONE


@entry
def ask(
    state: State,
    scratch: Scratch,
    p: Parameters,
    query: I32,
    seen: I32,
    policy: Policy,
    own: int,
    answers: AnswerArrays,
    row: int,
) -> None:
    """Answer a query of its own into *row*; see `ask.ask`."""
    asking.ask(state, scratch, p, query, seen, policy, 0, own, answers, row)


@entry
def ask_many(
    state: State,
    scratch: Scratch,
    stacked: Parameters,
    queries: Queries,
    policy: Policy,
    answers: AnswerArrays,
    first: int,
    last: int,
) -> None:
    """Answer the queries from *first* up to *last* with each of several models, stacked as for `ask_and_apply`.

    The answer of model j to query i is in row i * models + j. Several calls may run in parallel, each with scratch of
    its own, if `order_popular` ran before all of them: then none of them writes to the state.
    """
    models = stacked.whole.shape[0]
    for i in range(first, last):
        begin, end = queries.begin[i], queries.end[i]
        q = i if policy.terms.size > 1 else 0  # planted bug: requests-share-rules
        for j in range(models):
            p = _one_of(stacked, j)
            if begin == OWN_EVENTS:
                asking.ask_session(state, scratch, p, queries.own[i], policy, q, answers, i * models + j)
            else:
                seen = queries.item[begin:end]
                query = queries.item[max(begin, end - p.whole[LAST]) : end]  # planted bug: queries-leak
                asking.ask(state, scratch, p, query, seen, policy, q, queries.own[i], answers, i * models + j)


@entry
def ask_session(
    state: State, scratch: Scratch, p: Parameters, slot: int, policy: Policy, answers: AnswerArrays, row: int
) -> None:
    """Answer for a session into *row*; see `ask.ask_session`."""
    asking.ask_session(state, scratch, p, slot, policy, 0, answers, row)


@entry
def copy_ids(state: State, table: Structs, without: U64) -> int:
    """Fill a new event-id table; see `seen_ids.copy_ids`."""
    return seen_ids.copy_ids(state, table, without)


@entry
def copy_sessions(state: State, rank: I32, columns: retained.RetainedColumns) -> None:
    """Copy all retained sessions out as columns; see `retained.copy_sessions`."""
    retained.copy_sessions(state, rank, columns)


@entry
def drop_session(state: State, slot: int) -> None:
    """Remove session *slot* from everything it touches."""
    session_events.drop_session(state, slot, 0, False)


@entry
def free_block(state: State, item: int) -> None:
    """Return the posting block of *item* to the arena."""
    postings.free_block(state, item)


@entry
def is_duplicate(state: State, id_key: U64) -> bool:
    """Return whether the window holds the event id with this key, [1, 2]; see `seen_ids.is_duplicate`."""
    return seen_ids.is_duplicate(state, id_key[0, 0], id_key[0, 1])


@entry
def place_events(state: State, columns: retained.RetainedColumns, items: I32, newest_in: I32) -> None:
    """Store columns of events in new arrays; see `retained.place_events`."""
    retained.place_events(state, columns, items, newest_in)


@entry
def place_postings(state: State, slots: I32) -> None:
    """Build the posting lists of new arrays; see `retained.place_postings`."""
    retained.place_postings(state, slots)


@entry
def reframe(state: State, base: int, shift: int) -> None:
    """Rewrite the postings for a new time frame; see `postings.reframe`."""
    postings.reframe(state, base, shift)


@entry
def advance_front(state: State) -> bool:
    """Bring the oldest session to the start of the eviction front; see `order.advance_front`."""
    return order.advance_front(state)


@entry
def order_popular(state: State) -> None:
    """Order the popular items, as many as any answer reads before it scans; see `popular.order`."""
    popular.order(state, TOP_SIZE // 2)


@entry
def score_trends(state: State, half_life: int, recent: I64, total: I64, score: F64) -> None:
    """Write by how much each item trends; see `trending.score_trends`."""
    trending.score_trends(state, half_life, recent, total, score)
