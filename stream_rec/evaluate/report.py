"""What an evaluation found, as one object. The table, the JSON and the plots are made from it."""

from collections.abc import Sequence
from typing import Any, Final

import msgspec
import numpy as np

from stream_rec._version import __version__
from stream_rec.core.dtypes import F64, I64
from stream_rec.evaluate.asking import PassResult
from stream_rec.evaluate.bootstrap import Draws, draw, interval, means
from stream_rec.evaluate.metrics import metric_name, session_sums

__all__ = ["Difference", "Estimate", "ModelReport", "Report", "report_of"]


STRETCHES: Final = 40  # points of a curve over time
PERCENTILES: Final = (50, 90, 99)
LATENCY_BINS: Final = 40


class Estimate(msgspec.Struct, frozen=True):
    """A figure, and its range in 95 % of logs with other sessions of the same kind. None: no question counts."""

    value: float | None
    low: float | None
    high: float | None


class Difference(msgspec.Struct, frozen=True):
    """The first model's figure minus another's, over the same bootstrap samples."""

    value: float | None
    low: float | None
    high: float | None

    @property
    def is_sure(self) -> bool:
        """Whether the interval leaves out zero."""
        return self.low is not None and self.high is not None and not self.low <= 0.0 <= self.high


class ModelReport(msgspec.Struct, frozen=True, kw_only=True):
    """The figures of one model."""

    name: str
    is_baseline: bool
    parameters: dict[str, Any]
    metrics: dict[str, Estimate]
    behind: dict[str, Difference]
    """By metric: the distance to the first model; empty for the first model itself."""
    coverage: dict[str, float]
    """`coverage@20`: the share of all items that were in some answer"""
    popularity: dict[str, float]
    """`popularity@20`: the mean count of the answered items, as a share of the most frequent item's"""
    length: float
    """Mean number of items in an answer."""
    micros: dict[str, float]
    """In-process latency of an answer: p50, p90, p99; empty if none was timed."""
    micros_counts: list[int]
    """A histogram of the timed answers, by `micros_edges` of the report."""
    hr_by_k: list[float]
    """HR at 1, 2, 3 ..., to the last cut-off"""
    over_time: list[float | None]
    """MRR at the last cut-off, of stretches of as many questions each"""


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """An evaluation: its questions, its models, and their figures."""

    version: str
    mode: str
    questions: int
    sessions: int
    """Sessions that were asked."""
    events: int
    items: int
    refused: dict[str, int]
    cutoffs: list[int]
    seed: int
    draws: int
    seconds: float
    stretch_begins: list[int]
    """Begin of each point of `over_time`, in ms since 1970."""
    micros_edges: list[float]
    models: list[ModelReport]
    notes: list[str] = []
    """What of the log makes the figures say less than they seem to."""

    @property
    def first(self) -> ModelReport:
        """The model that the others are compared with."""
        return self.models[0]

    @property
    def headline(self) -> str:
        """The metric that models are ranked by: MRR at the last cut-off."""
        return metric_name("MRR", self.cutoffs[-1])


def report_of(result: PassResult, *, draws: int = 1000, seed: int = 0, refused: dict[str, int] | None = None) -> Report:
    """Compute averages, intervals and differences. *refused* counts the records that reading left out."""
    sums = session_sums(result)
    middle = means(sums)
    drawn = draw(sums, draws, seed)
    log = result.plan.log
    edges = _latency_edges(list(result.micros.values()))
    stretches = np.array_split(np.flatnonzero(result.counted), min(STRETCHES, int(result.counted.sum())))
    models = [
        _model_report(result, place, sums.names, middle, drawn, edges, stretches)
        for place in range(len(result.candidates))
    ]
    return Report(
        version=__version__,
        mode=result.plan.name,
        questions=int(result.counted.sum()),
        sessions=int(np.unique(result.truth.session).size),
        events=len(log),
        items=len(log.item_names),
        refused=refused or {},
        cutoffs=result.cutoffs.tolist(),
        seed=seed,
        draws=draws,
        seconds=result.seconds,
        stretch_begins=[int(log.time[result.plan.rows[part[0]]]) for part in stretches],
        micros_edges=edges.tolist(),
        models=models,
    )


def _model_report(
    result: PassResult,
    place: int,
    names: Sequence[str],
    middle: F64,
    drawn: Draws,
    edges: F64,
    stretches: Sequence[I64],
) -> ModelReport:
    each = result.candidates[place]
    low, high = interval(drawn.value[:, :, place])
    times = result.micros.get(each.name, np.zeros(0))
    rank = result.scores.rank[place].astype(np.float64)
    reciprocal = np.divide(1.0, rank, out=np.zeros_like(rank), where=rank > 0)
    cutoffs = result.cutoffs.tolist()
    return ModelReport(
        name=each.name,
        is_baseline=each.is_baseline,
        parameters={} if each.is_baseline else msgspec.structs.asdict(each.model),
        metrics=_estimates(Estimate, names, middle[:, place], low, high),
        behind=_behind(names, middle, drawn, place) if place else {},
        coverage={f"coverage@{k}": _coverage(result, place, at) for at, k in enumerate(cutoffs)},
        popularity={f"popularity@{k}": _popularity(result, place, at) for at, k in enumerate(cutoffs)},
        length=float(result.scores.length[place][result.counted].mean()),
        micros={f"p{p}": float(np.percentile(times, p)) for p in PERCENTILES} if times.size else {},
        micros_counts=np.histogram(times, edges)[0].tolist(),
        hr_by_k=[float(((rank > 0) & (rank <= k))[result.counted].mean()) for k in range(1, cutoffs[-1] + 1)],
        over_time=[float(reciprocal[part].mean()) for part in stretches],
    )


def _estimates(kind: type[Any], names: Sequence[str], middle: F64, low: F64, high: F64) -> dict[str, Any]:
    rows = zip(names, middle.tolist(), low.tolist(), high.tolist(), strict=True)
    return {name: kind(*(None if np.isnan(each) else each for each in figures)) for name, *figures in rows}


def _behind(names: Sequence[str], middle: F64, drawn: Draws, place: int) -> dict[str, Difference]:
    low, high = interval(drawn.value[:, :, 0] - drawn.value[:, :, place])
    return _estimates(Difference, names, middle[:, 0] - middle[:, place], low, high)


def _coverage(result: PassResult, place: int, cut: int) -> float:
    return float((result.scores.shown[place, cut] > 0).mean())


def _popularity(result: PassResult, place: int, cut: int) -> float:
    shown = result.scores.shown[place, cut]
    counts = np.bincount(result.plan.log.item, minlength=len(shown))
    return float((shown * counts).sum() / max(1, shown.sum()) / counts.max())


def _latency_edges(times: Sequence[F64]) -> F64:
    """Return the edges of bins that have equal widths on a logarithmic scale and cover all times."""
    some = np.concatenate([np.zeros(0), *times])
    if not some.size:
        return np.zeros(1)
    return np.geomspace(some.min() * 0.999, some.max() * 1.001, LATENCY_BINS + 1)
