"""The arrays of learned re-ranking, and the indices of their fields. Holds shapes and meanings only."""

from typing import NamedTuple

from stream_rec.core.dtypes import F32, F64, I16, I32, I64
from stream_rec.core.index.kernel.state import AnswerArrays

# Fields of Room.sums: what is added up of each candidate, over the neighbours or over the sessions that hold an item.
(
    VOTES,  # of the neighbours, by the distance from the shared item
    FRESH_VOTES,  # the same, the neighbours aged by FRESH_MS
    NEXT_VOTES,  # of the neighbours that hold it right behind the shared item
    FOLLOWS,  # times that it came right after the current item
    FRESH_FOLLOWS,  # the same, sessions aged by their rank, newest first
    HOUR_FOLLOWS,  # the same, sessions aged by HOUR_MS
    LATER_FOLLOWS,  # 1 / distance of each time that it came after the current item, up to REACH
    FOLLOWS_PREVIOUS,  # 1 / distance of each time that it came after the item before the current one, up to SHORT_REACH
    PRECEDES,  # times that it came right before the current item
    BESIDE,  # times that it came up to REACH places from the current item
    N_SUMS,
) = range(11)

# Fields of Room.totals: what these sums are shares of.
(
    ALL_VOTES,
    ALL_FRESH_VOTES,
    ALL_FOLLOWS,
    ALL_FRESH_FOLLOWS,
    WITH_LATER,  # places of the current item that something follows
    WITH_LATER_PREVIOUS,  # places of the item before it
    ALL_PRECEDES,
    ALL_PLACES,  # places of the current item
    ALL_SCORES,  # of the model
    N_TOTALS,
) = range(10)

# Features of a candidate. `share` is log(part / total + LEAST_SHARE).
(
    X_BASE,  # log of its share of the model's scores: with weight 1 alone, the model's own order
    X_VOTES,
    X_FRESH_VOTES,
    X_NEXT_VOTES,
    X_FOLLOWS,
    X_FRESH_FOLLOWS,
    X_HOUR_FOLLOWS,
    X_LATER_FOLLOWS,
    X_FOLLOWS_PREVIOUS,
    X_PRECEDES,
    X_BESIDE,
    X_FRESH_FOLLOWS_SHARE,  # no logarithm
    X_NEWEST,  # age of its newest holder
    X_NEWEST_4,  # ... of its fourth newest: the two last tell popularity of minutes, the next two of days
    X_NEWEST_16,
    X_NEWEST_64,
    X_OLDEST,
    X_HOLDERS,
    X_OWN,  # 1: the session holds it
    X_CURRENT,  # 1: it is the current item
    X_PLACES_BACK,
    X_TIMES,  # that the session holds it
    X_RETURNS,  # log of how often sessions return to the item so many places back
    X_LENGTH,  # the last three are the same for all candidates of a question
    X_SUPPORT,
    X_NEIGHBOURS,
    N_FEATURES,
) = range(27)

N_LOGS = X_OWN  # the features before are logarithms, but for X_FRESH_FOLLOWS_SHARE

PLAIN, LINEAR, WITH_HIDDEN = range(3)  # Weights.form
HIDDEN = 16  # hidden units
MOST_BACK = 60  # an own item further back is no candidate of its own, and its returns are not counted
N_TRENDING = 64
REACH = 10  # places
SHORT_REACH = 3
WINDOW = 20  # places of a neighbour that are read on either side of the shared item
FRESH_MS = 0.2 * 86_400_000.0
HOUR_MS = 3_600_000.0
RANK_DECAY = 20.0  # sessions
SCALE = 2048.0  # features are whole multiples of 1 / SCALE
LEAST_BASE = 3e-4
LEAST_SHARE = 1e-4
LEAST_HOURLY = 1e-3
LEAST_RETURNS = 1e-3
SHARE_SCALE = 0.3
AGE_SCALE = 0.2
LONGEST_AGE = 31_536_000_000  # ms: of what no session has held so often

N_BEST = 15  # other candidates of an example: the best by a simple order ...
N_DRAWN = 16  # ... and so many of the rest, by hash
ROW = 1 + N_BEST + N_DRAWN  # the first is the item that came


class Weights(NamedTuple):
    """W sets of weights over the same features."""

    form: I64  # [W] PLAIN, LINEAR or WITH_HIDDEN
    linear: F32  # [W, N_FEATURES]
    hidden: F32  # [W, N_FEATURES, HIDDEN]
    bias: F32  # [W, HIDDEN]
    out: F32  # [W, HIDDEN]
    returns: F64  # [MOST_BACK] log of the share of returns by places back


class Step(NamedTuple):
    """Working memory of the descent."""

    x: F32  # [ROW, N_FEATURES]
    linear: F32  # [N_FEATURES] gradients
    hidden: F32  # [N_FEATURES, HIDDEN]
    bias: F32  # [HIDDEN]
    out: F32  # [HIDDEN]
    z: F32  # [ROW, HIDDEN] hidden units of each candidate
    value: F32  # [ROW]


class Room(NamedTuple):
    """Working memory of a question with at most C candidates. I items."""

    base: AnswerArrays  # one row: the model's own answer; its sources are not written
    n: I32  # [1] candidates of the last question
    place: I32  # [I] number of the candidate from 1 on, 0 between questions
    item: I32  # [C]
    score: F64  # [C] the model's own, 0 for what it does not bring
    sums: F64  # [C, N_SUMS]
    totals: F64  # [N_TOTALS]
    back: I32  # [C] places back in the session, -1 if it is not there
    times: I32  # [C]
    x: I16  # [C, N_FEATURES]
    floats: F32  # [C, N_FEATURES] the same as floats
    log: F64  # [C * N_LOGS] what logarithms are taken of, then these, N_LOGS for each picked candidate
    log_bits: I64  # [C * N_LOGS] the same memory
    exponent: F64  # [C * N_LOGS] of two
    z: F32  # [1, HIDDEN]
    key: F64  # [C]
    pick: I32  # [C] those that features are written of


class Examples(NamedTuple):
    """E questions that were put back, each with at most ROW candidates, of which the first came next."""

    x: I16  # [E, ROW, N_FEATURES]
    shift: F32  # [E, ROW] added to a candidate's score while learning: log of the candidates that it stands for
    n: I32  # [E] candidates; 0 if what came next was none
