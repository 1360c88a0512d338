"""The search for parameters: generations of trials, each asked over one pass of the tuning part.

Optuna proposes a generation of parameter sets. All of them answer the same questions side by side, and at a few places
the worse half is dropped (successive halving: Jamieson & Talwalkar, AISTATS 2016). Because the questions are the same,
few of them show which set is better. Knows nothing of settings and files.
"""

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal

import msgspec
import numpy as np

from stream_rec.core.dtypes import F64, I64, U16
from stream_rec.core.engine import Engine
from stream_rec.core.model import PRESETS, Model
from stream_rec.errors import StreamRecError
from stream_rec.evaluate import space
from stream_rec.evaluate.asking import ask_all
from stream_rec.evaluate.candidates import candidate
from stream_rec.evaluate.kernel.scoring import AnswerScores
from stream_rec.evaluate.output import OnProgress
from stream_rec.evaluate.plan import Plan

if TYPE_CHECKING:
    from optuna.study import Study
    from optuna.trial import Trial as Proposal

__all__ = ["FEWEST", "FEWEST_SETS", "RUNGS", "Metric", "Search", "TrialResult", "influence", "require_optuna"]

Metric = Literal["MRR", "HR", "NDCG"]

GENERATION: Final = 16
"""Parameter sets asked side by side."""
RUNGS: Final = (1 / 8, 1 / 4, 1 / 2)
"""Shares of the questions after which the worse half of a generation is dropped."""
FEWEST: Final = 200
"""No set is dropped before this many questions: fewer say nothing."""
FEWEST_SETS: Final = 24
"""The influence of parameters is measured over at least so many sets: six in each quarter."""
GROUPS: Final = 4
"""The influence of a number is measured over quarters of the sets."""


class TrialResult(msgspec.Struct, frozen=True):
    """One parameter set, and its metric on the questions that it was asked."""

    number: int
    parameters: dict[str, Any]
    value: float
    questions: int
    finished: bool
    """False: the set was dropped. Its `value` is of fewer questions, and not comparable with others."""
    early_value: float = 0.0
    """The metric on the first questions, which every set was asked, so that all compare by it."""


def require_optuna() -> Any:  # noqa: ANN401  # the module
    """Import Optuna. Raises StreamRecError if it is not installed."""
    try:
        import optuna  # noqa: PLC0415  # an extra, and a second to load
    except ImportError:
        raise StreamRecError("tuning needs Optuna: pip install 'stream-rec[evaluate]'") from None
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna


@dataclass(slots=True)
class _Generation:
    """Trials that are asked side by side, and their standing so far."""

    proposals: "Sequence[Proposal]"
    models: Sequence[Model]
    alive: set[int]
    values: F64
    """[T] the metric so far"""
    n_asked: I64
    """[T] questions so far"""
    early_values: F64
    """[T] the metric on the questions that every set is asked, once all have been"""


@dataclass(slots=True, kw_only=True)
class Search:
    """Generations of parameter sets, each asked over one pass of *plan*. `run` fills `tried` and `start_value`."""

    plan: Plan
    start: Model
    """The model that the search begins with, and that every trial is made from."""
    new_engine: Callable[[], Engine]
    metric: Metric
    n_trials: int
    seed: int
    threads: int | None
    on_progress: OnProgress
    tried: list[TrialResult] = field(default_factory=list)
    start_value: float = 0.0
    """The metric of `start`, on the same questions."""
    n_early: int = 0
    """Questions that every set was asked, whether it was dropped later or not."""
    _models: dict[int, Model] = field(default_factory=dict)

    @property
    def metric_name(self) -> str:
        """The metric with its cut-off, as in reports: `MRR@20`."""
        return f"{self.metric}@{self.start.n}"

    def run(self) -> None:
        """Ask generation after generation. Asks the start together with the first one."""
        study = _new_study(self.start, self.seed)
        for first in range(0, self.n_trials, GENERATION):
            size = min(GENERATION, self.n_trials - first)
            proposals = [study.ask() for _ in range(size)]
            models = [space.trial_model(self.start, space.propose(each), f"set {each.number}") for each in proposals]
            generation = _Generation(
                proposals, models, set(range(size)), np.zeros(size), np.zeros(size, np.int64), np.zeros(size)
            )
            self._ask(generation, [] if first else [self.start])
            self._record(study, generation)

    def _ask(self, generation: _Generation, others: Sequence[Model]) -> None:
        """Ask a generation over one pass, and *others*, which are never dropped, beside it."""
        size = len(generation.models)

        def after_stretch(scores: AnswerScores, done: int) -> list[int]:
            self._drop_worse_half(generation, scores, n_asked=int(np.searchsorted(self.plan.rows, done)))
            return [*generation.alive, *range(size, size + len(others))]

        result = ask_all(
            self.plan,
            [candidate(model) for model in (*generation.models, *others)],
            self.new_engine,
            cutoffs=(self.start.n,),
            threads=self.threads,
            times=False,
            after_stretch=after_stretch,
            on_progress=lambda progress: self.on_progress(self._status(), progress.done, len(self.plan.log)),
        )
        if others:
            self.start_value = mean_gain(result.scores.rank[size], self.metric)

    def _drop_worse_half(self, generation: _Generation, scores: AnswerScores, n_asked: int) -> None:
        for trial in generation.alive:
            generation.values[trial] = mean_gain(scores.rank[trial, :n_asked], self.metric)
            generation.n_asked[trial] = n_asked
        if n_asked >= min(FEWEST, len(self.plan.rows)) and self.n_early in {0, n_asked}:
            generation.early_values[:] = generation.values
            self.n_early = n_asked
        if FEWEST <= n_asked < len(self.plan.rows):
            ascending = sorted(generation.alive, key=lambda trial: generation.values[trial])
            for trial in ascending[: len(ascending) // 2]:
                generation.alive.discard(trial)
                generation.proposals[trial].report(generation.values[trial], n_asked)

    def _record(self, study: "Study", generation: _Generation) -> None:
        """Report the generation's metrics to Optuna, and keep its trials."""
        from optuna.trial import TrialState  # noqa: PLC0415  # an extra, see require_optuna

        for trial, (proposal, model) in enumerate(zip(generation.proposals, generation.models, strict=True)):
            value, finished = float(generation.values[trial]), trial in generation.alive
            if finished:
                study.tell(proposal, value)
            else:
                study.tell(proposal, state=TrialState.PRUNED)
            self.tried.append(
                TrialResult(
                    number=proposal.number,
                    parameters=searched_parameters(model),
                    value=value,
                    questions=int(generation.n_asked[trial]),
                    finished=finished,
                    early_value=float(generation.early_values[trial]),
                )
            )
            self._models[proposal.number] = model

    def _status(self) -> str:
        finished = [each.value for each in self.tried if each.finished]
        best = f", best {self.metric_name} {max(finished):.4f}" if finished else ""
        return f"{len(self.tried)} of {self.n_trials} sets{best}"

    def best(self) -> Model:
        """Return the best of the models that were asked all questions, or the start if none was better."""
        finished = [each for each in self.tried if each.finished]
        best = max(finished, key=lambda each: each.value)
        return self._models[best.number] if best.value > self.start_value else self.start


def _new_study(start: Model, seed: int) -> "Study":
    """Return an Optuna study that first proposes *start* and the presets."""
    optuna = require_optuna()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        sampler = optuna.samplers.TPESampler(
            seed=seed, multivariate=True, constant_liar=True, n_startup_trials=GENERATION
        )
    study: Study = optuna.create_study(direction="maximize", sampler=sampler)
    first_models = {model.name: model for model in (start, *PRESETS.values())}
    for model in first_models.values():
        study.enqueue_trial(space.nearest_proposal(model))
    return study


def searched_parameters(model: Model) -> dict[str, Any]:
    """Return the parameters of *model* that are searched."""
    return {name: getattr(model, name) for name in space.SEARCHED}


def mean_gain(rank: U16, metric: Metric) -> float:
    """Return the mean of *metric* over questions with these ranks; rank 0 is a miss."""
    found = rank[rank > 0].astype(np.float64)
    gains = {"HR": np.ones_like(found), "MRR": 1.0 / found, "NDCG": 1.0 / np.log2(found + 1.0)}[metric]
    return float(gains.sum() / max(1, rank.size))


def influence(tried: Sequence[TrialResult]) -> dict[str, float]:
    """Return for each parameter the share of the differences between sets that goes with its value, largest first.

    Over what was measured of all sets alike: their `early_value`, by rank, so that a few bad sets do not decide.
    Numbers are grouped by quarters. The share is epsilon squared, the correlation ratio less what groups would explain
    by chance (Kelley 1935); at least 0. Empty for fewer than FEWEST_SETS, which say nothing.
    """
    if len(tried) < FEWEST_SETS:
        return {}
    values = np.array([each.early_value for each in tried])
    score = (values[:, None] > values[None, :]).sum(axis=1) + (values[:, None] >= values[None, :]).sum(axis=1)
    shares = {
        name: _share([each.parameters[name] for each in tried], score.astype(np.float64)) for name in space.SEARCHED
    }
    return dict(sorted(shares.items(), key=lambda pair: -pair[1]))


def _share(values: Sequence[Any], score: F64) -> float:
    if isinstance(values[0], str):
        groups = np.unique(np.array(values), return_inverse=True)[1]
    else:
        groups = np.argsort(np.argsort(np.array(values, np.float64), kind="stable")) * GROUPS // len(values)
    numbers = np.unique(groups)
    within = sum(float(((score[groups == group] - score[groups == group].mean()) ** 2).sum()) for group in numbers)
    total = float(((score - score.mean()) ** 2).sum())
    free = len(values) - len(numbers)
    return max(0.0, 1.0 - within / free * (len(values) - 1) / total) if total > 0 and free > 0 else 0.0
