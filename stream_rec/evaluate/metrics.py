"""From ranks and hits to metrics: the value of each question, summed by session.

docs/reference/metrics.md gives the formulas and their sources. Knows nothing of models or logs.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from stream_rec.core.dtypes import F64, Mask
from stream_rec.evaluate.asking import PassResult

__all__ = ["METRICS", "NEXT", "REST", "Sums", "metric_name", "session_sums", "values_of"]


NEXT: Final = ("HR", "MRR", "NDCG")
"""Metrics of the next item."""
REST: Final = ("precision", "recall", "MAP")
"""Metrics of all items in the rest of the session."""
METRICS: Final = (*NEXT, *REST)


class Sums(NamedTuple):
    """Values of M metrics for P models, summed by session, and how many questions each sum has."""

    names: Sequence[str]
    """[M]"""
    total: F64
    """[M, P, S] sums of values"""
    asked: F64
    """[M, S] questions"""


def metric_name(metric: str, cutoff: int, *, novel: bool = False) -> str:
    """Return `MRR@20`, or `novel MRR@20`."""
    return f"{'novel ' if novel else ''}{metric}@{cutoff}"


def values_of(result: PassResult) -> Iterator[tuple[str, Callable[[int], F64], Mask]]:
    """Yield each metric's name, its values for one candidate's questions, [Q], and which questions count for it."""
    truth = result.truth
    for is_novel in (False, True):
        rest = truth.novel if is_novel else truth.rest
        hits = result.scores.novel_hits if is_novel else result.scores.hits
        precision = result.scores.novel_precision if is_novel else result.scores.precision
        next_counts = result.counted & (result.truth.is_new != 0) if is_novel else result.counted
        rest_counts = result.counted & (rest > 0)
        for place, cutoff in enumerate(result.cutoffs.tolist()):
            for metric, formula in _NEXT_FORMULAS.items():
                name = metric_name(metric, cutoff, novel=is_novel)
                yield name, _of_ranks(result, formula, cutoff), next_counts
            most = np.minimum(cutoff, np.maximum(rest, 1))
            divided: dict[str, tuple[npt.NDArray[Any], npt.NDArray[Any]]] = {
                "precision": (hits, np.full(len(rest), cutoff)),
                "recall": (hits, np.maximum(rest, 1)),
                "MAP": (precision, most),
            }
            for metric, (above, below) in divided.items():
                name = metric_name(metric, cutoff, novel=is_novel)
                yield name, _ratio(above, below, place), rest_counts


_NEXT_FORMULAS: Final[dict[str, Callable[[F64], F64]]] = {
    "HR": np.ones_like,
    "MRR": lambda rank: 1.0 / rank,
    "NDCG": lambda rank: 1.0 / np.log2(rank + 1.0),
}


def _of_ranks(result: PassResult, formula: Callable[[F64], F64], cutoff: int) -> Callable[[int], F64]:
    def values(model: int) -> F64:
        rank = result.scores.rank[model]
        within = (rank > 0) & (rank <= cutoff)
        return np.where(within, formula(np.where(within, rank, 1).astype(np.float64)), 0.0)

    return values


def _ratio(above: npt.NDArray[Any], below: npt.NDArray[Any], place: int) -> Callable[[int], F64]:
    return lambda model: np.asarray(above[model, :, place] / below, np.float64)


def session_sums(result: PassResult) -> Sums:
    """Sum all metrics by session. Averages and bootstraps are made from these sums."""
    sessions, number = np.unique(result.truth.session, return_inverse=True)
    names, totals, counts = [], [], []
    for name, values, counted in values_of(result):
        where = number[counted]
        names.append(name)
        counts.append(np.bincount(where, minlength=len(sessions)).astype(np.float64))
        totals.append(
            [np.bincount(where, values(model)[counted], len(sessions)) for model in range(len(result.candidates))]
        )
    return Sums(names, np.array(totals), np.array(counts))
