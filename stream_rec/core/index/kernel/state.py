"""The arrays that the kernels read and write, and the indices of their fields.

Holds shapes and meanings only: no loop, no growth, no ids. Sessions and items are known by their ordinals; that of a
session is also called its *slot*, because another session gets it after the session has left.

A posting is one 64-bit word, `time << SLOT_BITS | slot`, where time is the session's last event, in milliseconds
from a frame's base (see `BASE` and `SHIFT`). Words of one list ascend, so the newest session is last, and a query reads
them from the end without touching any other memory. A dead posting keeps its time and has the slot `DEAD`.
"""

import math
from typing import NamedTuple

import numpy as np

from stream_rec.core.dtypes import F64, I32, I64, U8, U16, U32, U64, Structs
from stream_rec.core.index.kernel.arithmetic import exp

SLOT_BITS = 28
DEAD = (1 << SLOT_BITS) - 1  # 268 million slots is some 40 GB of sessions: memory ends first
TIME_LIMIT = 1 << (64 - SLOT_BITS)  # 36 bits of milliseconds: 795 days before the frame gets coarser
REPEATED = 1 << 31  # set on an event whose item occurs again later in its session
ITEM_MASK = REPEATED - 1
REPEAT_BIT = np.uint32(REPEATED)
ITEM_BITS = np.uint32(ITEM_MASK)
NEVER = -(1 << 63)  # an event time before all others
SMALLEST_TERM = 0.5**50  # a neighbour adds nothing where it would add less than so much of the largest vote
WHOLE_LIMIT = 2.0**53  # sums of whole numbers are exact below this

# Blocks of the two arenas have sizes 2, 3, 4, 6, 8, 12, 16, ...: at most a third of a block is unused after growth.
N_BLOCK_SIZES = 64

# Popularity: an event weighs POPULAR_WEIGHT[i] << j, i being the part of a half-life (in PARTS) and j the half-life of
# a step (in STEP_HALVES) that its time falls into. The weights of a step are added up, in POPULAR_STEPS of them; older
# events weigh less than 2**-28 of a present one and do not count. A sum has space for 2**38 events of one item, and
# up to 2**9 events of one time are a whole multiple of one even after `rounded_coarsely`.
PARTS = 1024
STEP_HALVES = 4
POPULAR_STEPS = 8
POPULAR_SLOTS = POPULAR_STEPS + 1  # and the step after the present one: events may be ahead of the watermark
POPULAR_WEIGHT = np.array([math.floor(exp(i / PARTS * 0.6931471805599453) * (1 << 20) + 0.5) for i in range(PARTS)])
TOP_SIZE = 512  # items kept in order of popularity, which a fallback reads without a scan

# Fields of State.counters.
(
    WATERMARK,  # largest `reach` of an accepted event, NEVER before the first event
    N_SESSIONS,
    N_EVENTS,  # retained
    N_BYTES,  # memory of the retained sessions, by the costs in `limits`
    BASE,  # a posting's time is (timestamp - BASE) >> SHIFT
    SHIFT,
    EVENTS_TOP,  # first unused element of the event arena
    POSTINGS_TOP,  # first unused word of the posting arena
    EVENT_NOW,  # the batch's present event
    STAGE,  # the next step of the present event: STAGE_* below
    FRONT_START,  # the eviction front: the oldest sessions, in order
    FRONT_END,
    FRONT_LIMIT,  # every session queued before this time is in the front
    NEXT_QUEUED,  # no session outside the front is queued before this time
    N_QUEUED,  # sessions that wait for the store to queue them
    N_RELEASED,  # slots whose session was evicted or restarted in this call
    N_EMPTIED,  # items that lost their last posting in this call
    STEP_NOW,  # popularity step of the newest event
    N_DIRTY,  # items whose popularity changed since the top was last ordered
    N_TOP,
    TOP_VALID,
    TOP_COMPLETE,  # 1: the top holds every item with a count, not only the best
    N_SEEN_IDS,  # entries of the event-id window, expired ones included
    N_EVICTED,  # sessions evicted since the start
    N_SESSION_ITEMS,  # distinct items of each retained session, summed over sessions
    N_COUNTERS,
) = range(26)

STAGE_APPLY, STAGE_EVICT, STAGE_ANSWER = range(3)

# Outcomes of an event.
APPLIED, LATE, DUPLICATE, UNKNOWN_TYPE = range(4)

# Why a kernel returned before the end of its batch.
DONE, MORE_EVENT_CAPACITY, MORE_POSTING_CAPACITY, MORE_FRONT, MORE_LIST_CAPACITY, MORE_ID_CAPACITY, NEW_FRAME = range(7)

# Fields of the limits array: milliseconds, counts and bytes. UNLIMITED if there is no limit.
(
    LATENESS,
    RETENTION,
    REJOIN,  # after a longer pause than this the session starts again, empty
    MAX_SESSIONS,
    MAX_EVENTS,
    MAX_BYTES,
    MAX_SESSION_EVENTS,
    ID_WINDOW,
    HALF_LIFE,  # of popularity, ms
    SESSION_COST,  # bytes, as are the next two
    EVENT_COST,
    ITEM_COST,
    N_LIMITS,
) = range(13)
UNLIMITED = (1 << 62) - 1


def _record(**fields: type[np.generic]) -> np.dtype[np.void]:
    return np.dtype(list(fields.items()), align=True)


# The fields of one session, item, ... lie together, so that reading them takes one cache line.
SESSION: np.dtype[np.void] = _record(
    last=np.int64,  # timestamp of the last event, ms
    hash=np.uint64,  # XXH3-64 of the id: breaks ties of time
    queued=np.int64,  # the time under which the session is queued for eviction, NEVER if it is not
    at=np.int64,  # start of its block in the event arena
    events=np.int32,  # number of events; 0 marks a slot without a session
    capacity=np.int32,  # size of its block
    items=np.int32,  # number of distinct items
    id_bytes=np.uint16,
)
ITEM: np.dtype[np.void] = _record(
    hash=np.uint64,  # XXH3-64 of the id: breaks ties of score
    at=np.int64,  # start of its block in the posting arena
    step=np.int64,  # popularity step of the newest count in State.counts
    start=np.int32,  # first posting, relative to `at`
    end=np.int32,  # behind the last posting
    capacity=np.int32,  # size of its block
    df=np.int32,  # live postings: the retained sessions that hold the item
    dead=np.int32,  # dead postings since the last compaction near the end of the list
    low=np.int32,  # lowest of them
    id_bytes=np.uint16,
    dirty=np.uint8,  # its popularity changed since the top was ordered
    denied=np.uint8,  # why it is never recommended: DENIED_* below
    row=np.int32,  # in the catalogue, 0 if it is not in it
)
TERMS: np.dtype[np.void] = _record(
    exclude_begin=np.int64,  # excluded items: Policy.listed[exclude_begin:exclude_end]
    exclude_end=np.int64,
    allow_begin=np.int64,  # the only allowed items, each once, if `only_listed`
    allow_end=np.int64,
    ruleset=np.int32,  # row of the verdicts, NO_RULESET for none
    cap=np.int32,  # items of one category at most, 0 for no bound
    row=np.int32,  # the catalogue's row of the current item, LAST_SEEN for that of the session
    same_category=np.uint8,
    only_listed=np.uint8,
)
QUEUED: np.dtype[np.void] = _record(time=np.int64, session=np.int32)
OLDEST: np.dtype[np.void] = _record(
    time=np.int64,  # under which it is queued
    hash=np.uint64,  # of the session that was queued: its slot may belong to another one by now
    session=np.int32,
)
RELEASE: np.dtype[np.void] = _record(
    session=np.int32,
    event=np.int32,  # the event of the batch up to which facts about the slot are void
)
TOP: np.dtype[np.void] = _record(
    score=np.float64,  # as `popular.sum_of`
    hash=np.uint64,  # of the item that was inserted: its ordinal may belong to another one by now
    item=np.int32,
)
SEEN_ID: np.dtype[np.void] = _record(
    high=np.uint64,  # XXH3-128 of the event id, both halves zero for an empty entry
    low=np.uint64,
    time=np.int64,  # the event's, ms
    owner=np.uint64,  # hash of the event's session, for forgetting
)
QUERY_ITEM: np.dtype[np.void] = _record(weight=np.float64, item=np.int32, step=np.int32)
HEAD: np.dtype[np.void] = _record(
    at=np.int64,  # place in the arena of the next posting to read
    stop=np.int64,  # where the list begins
    query=np.int32,  # whose list it is: an index into the items of the query
)


class State(NamedTuple):
    """All that events change. Array lengths: S session ordinals, I item ordinals, E event arena, P posting arena."""

    counters: I64  # [N_COUNTERS]
    limits: I64  # [N_LIMITS]
    event_blocks: I64  # [N_BLOCK_SIZES] first free event block of each size, -1 for none
    posting_blocks: I64  # [N_BLOCK_SIZES]
    session: Structs  # [S] SESSION
    event_item: U32  # [E] item number, REPEATED set if the item occurs again later in the session
    event_time: I64  # [E] ms; the first word of a free block is the place of the next free one
    event_type: U8  # [E]
    item: Structs  # [I] ITEM
    counts: I64  # [I * POPULAR_SLOTS] weight of an item's events in retained sessions, at step modulo POPULAR_SLOTS
    postings: U64  # [P]
    front: Structs  # OLDEST: the oldest sessions, oldest first
    queued: Structs  # QUEUED: sessions that the store must queue
    released: Structs  # RELEASE: slots freed in this call, some more than once
    emptied: I32  # items that lost their last posting in this call, some more than once
    dirty: I32  # [I] items whose popularity changed
    top: Structs  # [TOP_SIZE] TOP, most popular first
    seen: Structs  # [W] SEEN_ID: hash table of event ids, W a power of two


class EventArrays(NamedTuple):
    """n events to apply, in log order, with ordinals in place of ids. [n] where no shape is given."""

    session: I32
    item: I32
    time: I64  # ms
    reach: I64  # ms, min(event time, log time): how far it may move the watermark
    type: U8
    id_key: U64  # [n, 2] XXH3-128 of event_id, (0, 0) for an event without one; [0, 2] if no event has one
    outcome: U8  # starts as APPLIED, or as UNKNOWN_TYPE, which stays; kernels write LATE or DUPLICATE
    novel: U8  # written: 1 if the item was new to its session; undefined for an event that was not applied


class Scratch(NamedTuple):
    """Working memory of a query. The caller owns it; every query leaves it all zero, lists excepted."""

    score: F64  # [2 * I] by item, sums of whole numbers; or by 2 * item, of high parts and of low ones (see sums.py)
    mark: U8  # [I] bits: IN_QUERY, BLOCKED, IN_SESSION, LISTED
    touched: I32  # [I]
    marked: I32  # lists of marked items
    query: Structs  # QUERY_ITEM: the query's distinct items, newest first
    head: U64  # the newest unread posting of each list
    lists: Structs  # HEAD
    match: I32
    candidate: I32
    similarity: F64  # until the neighbours are chosen, the sum of the weights; then, of those, the similarity
    step: I32
    chosen: I32
    vote: F64  # of each of `chosen`: similarity times match, times `votes_divisor` if that is a whole number
    ordered: F64
    rest: F64  # what is left of `ordered` in the search for its n-th largest
    word: U64  # of each candidate that a slab brought: its posting
    slab: I32  # the first candidate of each slab, then how many candidates there are
    table_stamp: I64  # [SLAB_TABLE] the slab that wrote the entry
    table_candidate: I32  # [SLAB_TABLE] the candidate whose slot belongs there, or near
    stamp: I64  # [1] slabs so far
    key: F64  # what candidates are chosen by: of the sample, unless it is the newest, then of the neighbours
    session: I32  # items of a session, repeats included
    term: I64  # [N_TERMS] the policy of the present query: TERM_* below
    trace: F64  # [N_TRACE] what explains the last query, besides the lists above: TRACE_* below


class AnswerArrays(NamedTuple):
    """Ranked items of each query, best first, n[q] of them in row q."""

    item: I32  # [Q, n]
    score: F64  # [Q, n]
    source: U8  # [Q, n]
    n: I32  # [Q]


class Queries(NamedTuple):
    """Q queries. The items of query q are item[begin[q]:end[q]], oldest first, repeats included.

    Items that no session holds are negative, equal ones equal. Session `own` may not be a neighbour, -1 for none.
    If `begin` is OWN_EVENTS, the events of session `own` are the query.
    """

    item: I32
    begin: I64  # [Q]
    end: I64  # [Q]
    own: I64  # [Q]


class Policy(NamedTuple):
    """Which items are allowed, how many of a category, and the factors of their scores.

    Row 0 of the catalogue stands for all items that are not in it. R rows, S rule sets, G categories, F factors.
    """

    terms: Structs  # [Q] TERMS, or [1] for all queries alike
    listed: I32  # item ordinals; the lists of the terms are parts of it
    verdict: U16  # [S, R] 0 excludes the item; else the index of its factor
    factor: F64  # [S, F]
    most: F64  # [S] the largest factor; 0 if all are 1
    chosen: I32  # the rows that selective rule sets allow ...
    chosen_at: I64  # [S + 1] ... and where those of a set begin; none for a set that is not selective
    group: I32  # [R] ordinal of the category, 0 for none
    member: I32  # rows by category ...
    member_at: I64  # [G + 2] ... and where those of a category begin
    holder: I32  # [R] ordinal of the item in that row; valid only if ITEM.row is this row


SLAB_ROOM = 512  # a slab has at most so many postings, of all lists together
SLAB_TABLE = 1024
NO_RULESET = -1
LAST_SEEN = -1
OWN_EVENTS = -1
DENIED_BY_LIST = 1  # bits of ITEM.denied
DENIED_BY_CATALOGUE = 2
# Fields of Scratch.term: the policy, and the moment that a question is put back to.
(
    TERM_ANY,
    TERM_RULESET,
    TERM_CAP,
    TERM_GROUP,
    TERM_LISTED,
    TERM_BEGIN,
    TERM_END,
    TERM_UNTIL,  # only postings with an earlier framed time are read; 0: all
    TERM_NOW,  # ms, in place of the watermark, if TERM_UNTIL is set
    N_TERMS,
) = range(10)
# Fields of Scratch.trace.
(
    TRACE_LENGTH,  # events of the query
    TRACE_DISTINCT,  # its distinct items, in `query`; not written if no neighbours were searched for
    TRACE_CHOSEN,  # neighbours, in `chosen`
    TRACE_HOLDERS,  # sessions with a sequential rule
    TRACE_MIX,  # weight of a neighbour's vote beside those rules
    TRACE_REPEATS,  # factor of the scores of the session's own items
    N_TRACE,
) = range(7)

NEIGHBOURS, FOLLOWED, POPULAR, SESSION_ITEM = range(4)
IN_QUERY = 1
BLOCKED = 2
IN_SESSION = 4
LISTED = 8

# Fields of the whole-number parameters of a query.
(
    M,
    K,
    N,
    LAST,
    WEIGHT,
    NORMALISE,
    MATCH,
    PLACE,  # 0: no place and no direction factor
    IDF,
    SEEN,
    FALLBACKS,
    REQUIRES,  # 1: sample only sessions with an event of a type that IS_REQUIRED
    SAMPLING,  # SAMPLE_* below
    SAMPLING_SEED,  # for SAMPLE_RANDOM
    EVERY_TIME,  # 1: an item counts at each of its places in a neighbour
    RULES_M,  # newest sessions in which rules are counted
    REPEATS,  # 1: the session's items get the share that repeats have of all events
    MATCH_DENOMINATOR,  # of all entries of `match`, if every vote is a whole number over a common divisor; else 0
    N_WHOLE,
) = range(19)
# ... and of the real ones.
(
    AGE,
    DIRECTION,
    IDF_FACTOR,
    MIN_TYPE_WEIGHT,
    BONUS,
    RULES,
    MIXED_TOTAL,  # with rules: no score of an item is larger
    MIXED_TERMS,  # ... nor the sum of more terms
    N_REAL,
) = range(9)

WEIGHT_SAME, WEIGHT_LINEAR, WEIGHT_DISTINCT, WEIGHT_QUADRATIC, WEIGHT_TABLE, WEIGHT_AFTER = range(6)
NORMALISE_NONE, NORMALISE_QUERY, NORMALISE_COSINE = range(3)
IDF_NONE, IDF_VMIS, IDF_ADDED = range(3)
SEEN_KEEP, SEEN_DROP_CURRENT, SEEN_DROP_SESSION = range(3)
SAMPLE_RECENT, SAMPLE_COMMON, SAMPLE_RANDOM, SAMPLE_WEIGHTED = range(4)
IS_REQUIRED = 1  # bits of Parameters.type_role
IS_BONUS = 2


class Parameters(NamedTuple):
    """One point of the parameter space of the model, as arrays for the kernels."""

    whole: I64  # [N_WHOLE]
    real: F64  # [N_REAL]
    weight: F64  # [L] query weight by distance from the end of the query
    match: F64  # [L + 1] by step, from 1; larger steps have the last value
    place: F64  # [D] by distance; larger ones have the last value
    rule: F64  # [R + 1] weight of a rule by distance, from 1; larger distances have none
    type_weight: F64  # [256] weight of each event type
    type_role: U8  # [256] bits: IS_REQUIRED, IS_BONUS
