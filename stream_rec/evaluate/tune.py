"""`stream-rec tune`: which parameters answer best on a log, found without looking at the part that judges them.

Optuna proposes a generation of parameter sets; they are asked side by side over one pass of the tuning part, and the
worse half is dropped at each of a few places (successive halving: Jamieson & Talwalkar, AISTATS 2016). All sets answer
the same questions, so even a few of those tell which is better. The best is then asked, once, on the test part.
"""

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

import msgspec
import numpy as np
import numpy.typing as npt
from rich.box import SIMPLE_HEAD
from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

from stream_rec.core.events import Event
from stream_rec.core.model import PRESETS, Model
from stream_rec.errors import SettingsError, StreamRecError
from stream_rec.evaluate import plan as plans
from stream_rec.evaluate import plots, space
from stream_rec.evaluate.asking import PassResult, ask_all
from stream_rec.evaluate.candidates import candidate
from stream_rec.evaluate.command import OnProgress, bar, maker, own_model, watch_plan, write_json
from stream_rec.evaluate.kernel.judge import Judged
from stream_rec.evaluate.log import read_events
from stream_rec.evaluate.plan import Plan
from stream_rec.evaluate.report import Report, report_of
from stream_rec.evaluate.tables import verdict
from stream_rec.settings import Settings

if TYPE_CHECKING:
    from optuna.study import Study
    from optuna.trial import Trial

__all__ = ["Tried", "TuneOptions", "Tuned", "tune"]

Floats = npt.NDArray[np.float64]

GENERATION: Final = 16
"""Sets asked side by side."""
RUNGS: Final = (1 / 8, 1 / 4, 1 / 2)
"""Shares of the questions after which the worse half of a generation is dropped."""
FEWEST: Final = 200
"""... but not before so many questions were asked: a few tell nothing."""
GROUPS: Final = 4
"""A number's influence is judged by quarters of the sets."""
SHOWN: Final = 8


class TuneOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What `tune` takes beside the settings."""

    out: str
    train: str | None = None
    valid: str | None = None
    test_share: float = 0.2
    metric: Literal["MRR", "HR", "NDCG"] = "MRR"
    trials: int = 96
    most_questions: int = 20_000
    seed: int = 0
    threads: int | None = None
    json: str | None = None
    plot: str | None = None


class Tried(msgspec.Struct, frozen=True):
    """One set of parameters, and how good it was on the questions it was asked."""

    number: int
    parameters: dict[str, Any]
    value: float
    questions: int
    finished: bool
    """False: dropped on the way; then `value` is of fewer questions, and not to be compared with others."""


class Tuned(msgspec.Struct, frozen=True, kw_only=True):
    """What tuning found."""

    metric: str
    questions: int
    """Of the tuning part, asked of each set that was not dropped."""
    start: float
    """The metric of the model that it began with, on the same questions."""
    best: float
    parameters: dict[str, Any]
    """Of the best set; the start's where no set was better."""
    improved: bool
    tried: list[Tried]
    influence: dict[str, float]
    """By parameter: the share of the differences between sets that its value goes with, most first."""
    test: Report | None
    """The best and the start on the test part, which nothing was chosen by; None where there is no such part."""


def tune(settings: Settings, options: TuneOptions, console: Console | None = None) -> Tuned:
    """Search, judge, and write the best set to `out`. Raises as `run` does, and SettingsError for what cannot be."""
    _check(options)
    plots.check_place(options.plot)
    with bar() as watch:
        events, plan = _tuning_part(settings, options)
        search = _Search(settings, options, plan, watch)
        search.run()
        best = search.best()
        test = None if events is None else _judge(settings, options, events, plan, best, watch)
    tuned = search.tuned(best, test)
    _write(settings, options, tuned, best)
    (console or Console()).print(_shown(tuned, options))
    if options.json is not None:
        write_json(tuned, options.json)
    if options.plot is not None:
        plots.save(_drawn(tuned), options.plot, "stream-rec tune", _told(tuned))
    return tuned


def _check(options: TuneOptions) -> None:
    if not 0 <= options.test_share < 1:
        raise SettingsError("test_share", f"is {options.test_share}; expected a share from 0 to below 1")
    if (options.train is None) != (options.valid is None):
        raise SettingsError("train", "and valid go together: one is learned, the other asked while tuning")
    if Path(options.out).suffix != ".toml":
        raise SettingsError("out", f"{options.out!r} is no .toml file, which is what `run --config` takes")
    if Path(options.out).exists():
        raise SettingsError("out", f"{options.out!r} is there already; name another, or remove it")
    _optuna()


def _optuna() -> Any:  # noqa: ANN401  # the module
    try:
        import optuna  # noqa: PLC0415  # an extra, and a second to load
    except ImportError:
        raise StreamRecError("tuning needs Optuna: pip install 'stream-rec[evaluate]'") from None
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna


# --- what is asked


def _tuning_part(settings: Settings, options: TuneOptions) -> tuple[list[Event] | None, Plan]:
    """Return all events if a part of them is for the test, and the plan that sets are chosen by.

    The plan holds nothing of the test part, which is the last share of the log by time.
    """
    if options.train is not None and options.valid is not None:
        learned = read_events(msgspec.structs.replace(settings, events=options.train)).events
        asked = read_events(msgspec.structs.replace(settings, events=options.valid)).events
        return None, _for_rungs(plans.hold_out_files(learned, asked), options)
    events = read_events(settings).events
    tuning = events[: tuning_end(events, options.test_share)]
    return (events if len(tuning) < len(events) else None), _for_rungs(plans.prequential(tuning), options)


def tuning_end(events: Sequence[Event], test_share: float) -> int:
    """Return how many events come before the test part, whose first event is later than all of them."""
    end = len(events) - round(test_share * len(events))
    while 0 < end < len(events) and events[end - 1].timestamp == events[end].timestamp:
        end -= 1
    if end == 0:
        raise SettingsError("test_share", f"{test_share} leaves nothing to tune on: the log has too few moments")
    return end


def _for_rungs(plan: Plan, options: TuneOptions) -> Plan:
    thin = plans.thinned(plan, options.most_questions, options.seed)
    return plans.in_parts(thin, [share for share in RUNGS if share * len(thin.rows) >= FEWEST])


class _Search:
    """Generations of parameter sets, each asked over one pass."""

    def __init__(self, settings: Settings, options: TuneOptions, plan: Plan, watch: OnProgress) -> None:
        self.options, self.plan, self.watch = options, plan, watch
        self.settings = settings
        self.n = max(20, settings.n)
        self.start = own_model(settings, self.n)
        self.start_value = 0.0
        self.tried: list[Tried] = []
        self._models: dict[int, Model] = {}
        self._study = self._new_study()

    @property
    def metric(self) -> str:
        """As it is called in reports."""
        return f"{self.options.metric}@{self.n}"

    def _new_study(self) -> "Study":
        optuna = _optuna()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            sampler = optuna.samplers.TPESampler(
                seed=self.options.seed, multivariate=True, constant_liar=True, n_startup_trials=GENERATION
            )
        study: Study = optuna.create_study(direction="maximize", sampler=sampler)
        begin = {point.name: point for point in (self.start, *PRESETS.values())}
        for point in begin.values():
            study.enqueue_trial(space.as_trial(point))
        return study

    def run(self) -> None:
        """Ask generation after generation."""
        for first in range(0, self.options.trials, GENERATION):
            self._generation(min(GENERATION, self.options.trials - first))

    def _generation(self, size: int) -> None:
        """Ask *size* sets side by side; in the first generation also the model that the search starts from."""
        trials = [self._study.ask() for _ in range(size)]
        points = [space.with_parameters(self.start, space.propose(trial), f"set {trial.number}") for trial in trials]
        listed = [*points, self.start] if not self.tried else points
        alive = set(range(size))
        asked_of = np.zeros(size, np.int64)
        values = np.zeros(size)

        def between(judged: Judged, done: int) -> list[int]:
            n_asked = int(np.searchsorted(self.plan.rows, done))
            for place in alive:
                values[place] = _mean(judged.rank[place, :n_asked], self.options.metric)
                asked_of[place] = n_asked
            if FEWEST <= n_asked < len(self.plan.rows):
                for place in sorted(alive, key=lambda each: values[each])[: len(alive) // 2]:
                    alive.discard(place)
                    trials[place].report(values[place], n_asked)
            return [*alive, *range(size, len(listed))]

        asked = ask_all(
            self.plan,
            [candidate(point) for point in listed],
            maker(self.settings),
            cutoffs=(self.n,),
            threads=self.options.threads,
            times=False,
            between=between,
            watch=lambda standing: self.watch(self._progress(), standing.done, len(self.plan.log)),
        )
        if len(listed) > size:
            self.start_value = _mean(asked.judged.rank[size], self.options.metric)
        self._note(trials, points, alive, values, asked_of)

    def _progress(self) -> str:
        finished = [each.value for each in self.tried if each.finished]
        best = f", best {self.metric} {max(finished):.4f}" if finished else ""
        return f"{len(self.tried)} of {self.options.trials} sets{best}"

    def _note(
        self,
        trials: "Sequence[Trial]",
        points: Sequence[Model],
        alive: set[int],
        values: Floats,
        asked_of: npt.NDArray[np.int64],
    ) -> None:
        from optuna.trial import TrialState  # noqa: PLC0415  # checked for before

        for place, (trial, point) in enumerate(zip(trials, points, strict=True)):
            finished = place in alive
            if finished:
                self._study.tell(trial, float(values[place]))
            else:
                self._study.tell(trial, state=TrialState.PRUNED)
            parameters = {name: getattr(point, name) for name in space.SEARCHED}
            self.tried.append(Tried(trial.number, parameters, float(values[place]), int(asked_of[place]), finished))
            self._models[trial.number] = point

    def best(self) -> Model:
        """Return the best set of those that were asked all questions, or the start if none was better."""
        finished = [each for each in self.tried if each.finished]
        best = max(finished, key=lambda each: each.value)
        return self._models[best.number] if best.value > self.start_value else self.start

    def tuned(self, best: Model, test: Report | None) -> Tuned:
        """Return all that was found."""
        finished = [each.value for each in self.tried if each.finished]
        return Tuned(
            metric=self.metric,
            questions=len(self.plan.rows),
            start=self.start_value,
            best=max(self.start_value, *finished),
            parameters={name: getattr(best, name) for name in space.SEARCHED},
            improved=best is not self.start,
            tried=self.tried,
            influence=influence(self.tried),
            test=test,
        )


def _mean(rank: npt.NDArray[np.uint16], metric: str) -> float:
    found = rank[rank > 0].astype(np.float64)
    gains = {"HR": np.ones_like(found), "MRR": 1.0 / found, "NDCG": 1.0 / np.log2(found + 1.0)}[metric]
    return float(gains.sum() / max(1, rank.size))


def influence(tried: Sequence[Tried]) -> dict[str, float]:
    """Return for each parameter the correlation ratio (eta squared) of its values with the metric.

    Numbers are grouped by quarters. Over all sets, those dropped too, ranked by how long they were asked, and by their
    value among those that were asked as long.
    """
    if not tried:
        return {}
    score = np.zeros(len(tried))
    sizes = np.array([each.questions for each in tried])
    values = np.array([each.value for each in tried])
    for place, each in enumerate(tried):
        # Who was dropped earlier is worse than all that were asked longer; of those alike the value tells.
        score[place] = (sizes < each.questions).sum() + ((sizes == each.questions) & (values < each.value)).sum()
    ratios = {name: _ratio([each.parameters[name] for each in tried], score) for name in space.SEARCHED}
    return dict(sorted(ratios.items(), key=lambda pair: -pair[1]))


def _ratio(values: Sequence[Any], score: Floats) -> float:
    if isinstance(values[0], str):
        groups = np.unique(np.array(values), return_inverse=True)[1]
    else:
        groups = np.argsort(np.argsort(np.array(values, np.float64), kind="stable")) * GROUPS // len(values)
    within = sum(float(((score[groups == group] - score[groups == group].mean()) ** 2).sum()) for group in set(groups))
    total = float(((score - score.mean()) ** 2).sum())
    return 1.0 - within / total if total > 0 else 0.0


# --- the test part


def _judge(
    settings: Settings, options: TuneOptions, events: Sequence[Event], tuning: Plan, best: Model, watch: OnProgress
) -> Report:
    """Ask the best set, the start and no other, live through the test part, after learning all before it."""
    begin = len(tuning.log)
    whole = plans.prequential(events)
    stretches = [plans.Stretch("learn", 0, begin), plans.Stretch("live", begin, len(events))]
    plan = Plan("test part", whole.log, stretches, whole.rows[whole.rows >= begin])
    start = own_model(settings, best.n)
    listed = [msgspec.structs.replace(best, name="tuned"), *([start] if best != start else [])]
    asked: PassResult = ask_all(
        plan,
        [candidate(point) for point in listed],
        maker(settings),
        cutoffs=sorted({5, 10, best.n}),
        threads=options.threads,
        watch=lambda standing: watch_plan(watch, standing, plan),
    )
    return report_of(asked, seed=options.seed)


# --- what is told


def _write(settings: Settings, options: TuneOptions, tuned: Tuned, best: Model) -> None:
    kept = settings if options.train is None else msgspec.structs.replace(settings, events=options.train)
    comments = ["Written by `stream-rec tune`; `stream-rec run --config` takes it.", *_told(tuned)]
    try:
        Path(options.out).write_text(space.as_toml(kept, best, comments), encoding="utf-8")
    except OSError as error:
        raise StreamRecError(f"cannot write {options.out!r}: {error.strerror}") from error


def _told(tuned: Tuned) -> list[str]:
    dropped = sum(not each.finished for each in tuned.tried)
    lines = [
        f"{len(tuned.tried)} sets of parameters, {dropped} of them dropped on the way, {tuned.questions:,} questions",
        f"{tuned.metric} there {tuned.best:.4f}, of the start {tuned.start:.4f}",
    ]
    if not tuned.improved:
        lines.append("no set was better than the start, which is what is written")
    elif tuned.test is not None:
        lines += [f"on the test part: {line}" for line in verdict(tuned.test)]
    return lines


def _shown(tuned: Tuned, options: TuneOptions) -> Group:
    finished = sorted((each for each in tuned.tried if each.finished), key=lambda each: -each.value)[:SHOWN]
    matters = [name for name, _ in list(tuned.influence.items())[:SHOWN]]
    table = Table(title=f"the best sets by {tuned.metric}, and the parameters that mattered most", box=SIMPLE_HEAD)
    table.title_justify = "left"
    table.add_column("parameter", no_wrap=True)
    table.add_column("influence", justify="right")
    for place in range(len(finished[:4])):
        table.add_column(f"set {finished[place].number}", justify="right", no_wrap=True)
    table.add_row(tuned.metric, "", *(f"{each.value:.4f}" for each in finished[:4]), style="bold")
    for name in matters:
        cells = [_cell(each.parameters[name]) for each in finished[:4]]
        table.add_row(name, f"{tuned.influence[name]:.2f}", *cells)
    return Group(table, *(Text(line) for line in [*_told(tuned), f"written to {options.out}"]))


def _cell(value: Any) -> str:  # noqa: ANN401  # a number or a word
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def _drawn(tuned: Tuned) -> Any:  # noqa: ANN401  # a figure
    """Draw how good the sets were as the search went on, what mattered, and the six parameters that did most."""
    figure, axes = plots.new_figure(2, 4, height=3.4)
    panels = axes.ravel()
    finished = [each for each in tuned.tried if each.finished]
    _draw_search(panels[0], tuned, finished)
    names = list(tuned.influence)[::-1]
    panels[1].barh(names, [tuned.influence[name] for name in names], color=plots.COLOURS[0])
    panels[1].tick_params(axis="y", labelsize=8)
    plots.tidy(panels[1], "what mattered", "share of the differences that go with it", "")
    for panel, name in zip(panels[2:], tuned.influence, strict=False):
        _draw_parameter(panel, tuned, finished, name)
    return figure


def _draw_search(axes: Any, tuned: Tuned, finished: Sequence[Tried]) -> None:  # noqa: ANN401  # untyped axes
    numbers = [each.number for each in finished]
    values = [each.value for each in finished]
    axes.scatter(numbers, values, s=14, color=plots.COLOURS[0], alpha=0.7, label="asked to the end")
    axes.step(numbers, np.maximum.accumulate(values), where="post", color=plots.COLOURS[1], label="best so far")
    axes.axhline(tuned.start, color=plots.GREY, linestyle="--", linewidth=1, label="start")
    axes.legend(frameon=False, fontsize=8, loc="lower right")
    plots.tidy(axes, "the search", "set", tuned.metric)


def _draw_parameter(axes: Any, tuned: Tuned, finished: Sequence[Tried], name: str) -> None:  # noqa: ANN401  # as above
    values = [each.parameters[name] for each in finished]
    best = max(finished, key=lambda each: each.value)
    axes.scatter(values, [each.value for each in finished], s=14, color=plots.COLOURS[0], alpha=0.6)
    axes.scatter([best.parameters[name]], [best.value], s=60, marker="*", color=plots.COLOURS[1], zorder=3)
    if name in {**space.WHOLE, **space.DECAYS}:
        plots.logarithmic(axes)
    plots.tidy(axes, name, "", tuned.metric)
