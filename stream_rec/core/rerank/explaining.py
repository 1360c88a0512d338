"""What each feature adds to a learned score, beside that of the typical candidate of the same question.

The score of a candidate is that of the mean of all candidates, and what the way from there to the candidate adds:
integrated gradients (Sundararajan, Taly & Yan, "Axiomatic attribution for deep networks", ICML 2017), which are exact
for rectifiers of a linear form, as the average slope of each is known. They add up.
"""

from typing import Final

import numpy as np

from stream_rec.core.dtypes import F64
from stream_rec.core.rerank.kernel import fields
from stream_rec.core.rerank.kernel.fields import Examples, Room, Weights

__all__ = ["FEATURES", "contributions", "importance"]

FEATURES: Final = (
    ("model", "what the model itself gives it"),
    ("votes", "similar visits held it"),
    ("fresh_votes", "similar visits of the last hours held it"),
    ("next_votes", "similar visits went on to it"),
    ("follows", "it often comes right after the current item"),
    ("fresh_follows", "in the newest visits, it came right after the current item"),
    ("hour_follows", "within the last hour, it came right after the current item"),
    ("later_follows", "it comes some time after the current item"),
    ("follows_previous", "it comes after the item before the current one"),
    ("precedes", "it often comes right before the current item"),
    ("beside", "it comes near the current item"),
    ("fresh_share", "most of the newest visits went on to it"),
    ("newest", "how long ago it was last seen"),
    ("newest_4", "how much it was seen within minutes"),
    ("newest_16", "how much it was seen within hours"),
    ("newest_64", "how much it was seen within days"),
    ("oldest", "how long it has been there"),
    ("holders", "how many visits hold it"),
    ("own", "this visit had it before"),
    ("current", "it is the current item"),
    ("places_back", "how far back this visit had it"),
    ("times", "how often this visit had it"),
    ("returns", "visitors come back to items that far back"),
    ("length", "the length of this visit"),
    ("support", "how often the current item was seen"),
    ("neighbours", "how many similar visits there are"),
)
"""Name and meaning of each feature, in the order of the kernel's."""

_LEAKY: Final = 0.05


def contributions(weights: Weights, room: Room, places: list[int]) -> F64:
    """Return what each feature adds to the scores of candidates of the last question, [places, features].

    *places* are their numbers in the *room*, *weights* is one set. A row adds up to the candidate's score less that of
    the mean of all candidates.
    """
    x = room.x[: int(room.n[0])].astype(np.float64) / fields.SCALE
    return _added(weights, x.mean(axis=0), x[places])


def importance(weights: Weights, examples: Examples, most: int = 128) -> F64:
    """Return how much each feature moves scores: the mean of what it adds or takes, of the newest *most* examples.

    [features]; *weights* is one set.
    """
    newest = np.flatnonzero(examples.n > 1)[-most:]
    moved, n_candidates = np.zeros(fields.N_FEATURES), 0
    for e in newest.tolist():
        x = examples.x[e, : examples.n[e]].astype(np.float64) / fields.SCALE
        moved += np.abs(_added(weights, x.mean(axis=0), x)).sum(axis=0)
        n_candidates += len(x)
    shares: F64 = moved / max(1, n_candidates)
    return shares


def _added(weights: Weights, mean: F64, x: F64) -> F64:
    """Return what each feature adds on the way from *mean* to each row of *x*, [rows, features]."""
    away = x - mean
    slopes = np.broadcast_to(weights.linear[0].astype(np.float64), away.shape).copy()
    if weights.form[0] == fields.WITH_HIDDEN:
        hidden, out = weights.hidden[0].astype(np.float64), weights.out[0].astype(np.float64)
        bias = weights.bias[0].astype(np.float64)
        begin, end = bias + mean @ hidden, bias + x @ hidden
        way = end - begin
        steps = np.where(end > 0.0, 1.0, _LEAKY)
        np.divide(_rectified(end) - _rectified(begin), way, out=steps, where=way != 0.0)
        slopes += (steps * out) @ hidden.T
    added: F64 = away * slopes
    return added


def _rectified(z: F64) -> F64:
    rectified: F64 = np.where(z > 0.0, z, _LEAKY * z)
    return rectified
