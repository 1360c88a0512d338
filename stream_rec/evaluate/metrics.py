"""From ranks and hits to figures: what each question counts, by metric, summed up by session.

The formulas are told, with their sources, in docs/reference/metrics.md. Knows nothing of models or logs.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from stream_rec.evaluate.asking import PassResult

__all__ = ["METRICS", "NEXT", "REST", "Sums", "metric_name", "session_sums", "values_of"]

Floats = npt.NDArray[np.float64]
Array = npt.NDArray[Any]

NEXT: Final = ("HR", "MRR", "NDCG")
"""About the item that came next."""
REST: Final = ("precision", "recall", "MAP")
"""About all items that came in the rest of the session."""
METRICS: Final = (*NEXT, *REST)


class Sums(NamedTuple):
    """A metric's values added up by session, for each model, and how many questions they are of."""

    names: Sequence[str]
    """[M]"""
    total: Floats
    """[M, P, S]"""
    asked: Floats
    """[M, S]"""


def metric_name(metric: str, cutoff: int, *, novel: bool = False) -> str:
    """Return `MRR@20`, or `novel MRR@20`."""
    return f"{'novel ' if novel else ''}{metric}@{cutoff}"


def values_of(asked: PassResult) -> Iterator[tuple[str, Callable[[int], Floats], npt.NDArray[np.bool_]]]:
    """Yield each metric's name, its values for one candidate's questions, [Q], and which questions count for it."""
    truth = asked.truth
    for is_novel in (False, True):
        rest = truth.novel if is_novel else truth.rest
        hits = asked.judged.novel_hits if is_novel else asked.judged.hits
        precision = asked.judged.novel_precision if is_novel else asked.judged.precision
        next_counts = asked.counted & (asked.truth.is_new != 0) if is_novel else asked.counted
        rest_counts = asked.counted & (rest > 0)
        for place, cutoff in enumerate(asked.cutoffs.tolist()):
            for metric, formula in _NEXT_FORMULAS.items():
                name = metric_name(metric, cutoff, novel=is_novel)
                yield name, _of_ranks(asked, formula, cutoff), next_counts
            most = np.minimum(cutoff, np.maximum(rest, 1))
            divided: dict[str, tuple[Array, Array]] = {
                "precision": (hits, np.full(len(rest), cutoff)),
                "recall": (hits, np.maximum(rest, 1)),
                "MAP": (precision, most),
            }
            for metric, (above, below) in divided.items():
                name = metric_name(metric, cutoff, novel=is_novel)
                yield name, _ratio(above, below, place), rest_counts


_NEXT_FORMULAS: Final[dict[str, Callable[[Floats], Floats]]] = {
    "HR": np.ones_like,
    "MRR": lambda rank: 1.0 / rank,
    "NDCG": lambda rank: 1.0 / np.log2(rank + 1.0),
}


def _of_ranks(asked: PassResult, formula: Callable[[Floats], Floats], cutoff: int) -> Callable[[int], Floats]:
    def values(model: int) -> Floats:
        rank = asked.judged.rank[model]
        within = (rank > 0) & (rank <= cutoff)
        return np.where(within, formula(np.where(within, rank, 1).astype(np.float64)), 0.0)

    return values


def _ratio(above: Array, below: Array, place: int) -> Callable[[int], Floats]:
    return lambda model: np.asarray(above[model, :, place] / below, np.float64)


def session_sums(asked: PassResult) -> Sums:
    """Add all metrics up by session: what averages and bootstraps are made from."""
    sessions, number = np.unique(asked.truth.session, return_inverse=True)
    names, totals, counts = [], [], []
    for name, values, counted in values_of(asked):
        where = number[counted]
        names.append(name)
        counts.append(np.bincount(where, minlength=len(sessions)).astype(np.float64))
        totals.append(
            [np.bincount(where, values(model)[counted], len(sessions)) for model in range(len(asked.candidates))]
        )
    return Sums(names, np.array(totals), np.array(counts))
