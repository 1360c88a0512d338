"""Learned orders of the running models: when each is fitted, which is played, and that forgetting leaves nothing.

A fit begins, goes on and ends where an event moves the watermark into another step of event time. So all of it is a
function of the log, however that is cut into batches, and replicas and replays play the same weights at the same event.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

import msgspec

from stream_rec.core.engine.models import Models
from stream_rec.core.engine.state import EngineState
from stream_rec.core.index import field
from stream_rec.core.model import Model
from stream_rec.core.rerank import (
    FEATURES,
    FEWEST_EXAMPLES,
    LEARNED_FORMS,
    MOST_EXAMPLES,
    Beside,
    CandidateModel,
    Fit,
    FormName,
    Phase,
    Refit,
    Weights,
    when_needed,
)

__all__ = ["STEP_MS", "LearnedOrder", "Learning", "OrderFeature", "Pace", "Played"]

STEP_MS: Final = 1_000
"""A fit goes on where the watermark moves into another step of event time."""

_MOST_VARIANTS: Final = 1024


class Pace(NamedTuple):
    """When fits begin, and how they go on."""

    questions: int = 32
    """Put again at each step: some 2 to 3 ms."""
    descent_ms: int = 15_000
    """Event time that is left for a descent, which runs beside. An engine that gets there first waits for it."""
    fewest_events: int = 5_000
    share: int = 8
    """A fit begins after as many new events as this part of those retained at the last, and no fewer than
    `fewest_events`."""
    fewest_examples: int = FEWEST_EXAMPLES
    most_examples: int = MOST_EXAMPLES


class Played(NamedTuple):
    """Weights that a model's answers are ordered by."""

    model: CandidateModel
    weights: Weights
    name: str
    """Form and boundary, as answers name them."""
    form: FormName


class OrderFeature(msgspec.Struct, frozen=True, gc=False):
    """A feature of candidates, and by how much it moves their learned scores."""

    name: str
    meaning: str
    importance: float
    """Mean of what it adds or takes, beside the typical candidate of the same question."""


class LearnedOrder(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of the learned order of one model."""

    model: str
    setting: str
    """`auto`, `linear` or `hidden`."""
    playing: str | None
    """Form and boundary, ms, of the weights in force; None: the model's own order is played."""
    learned_at: int | None
    """Boundary of the newest weights, ms of event time; None: there are none."""
    questions: int
    examples: int
    """Questions of the newest fit whose answer was a candidate."""
    mrr: dict[str, float]
    """Mean reciprocal rank at 20 of each form on the newest fifth of these questions, unseen."""
    phase: str
    """What the fit under way does: `measuring`, `older`, `tried`, `newer` or `all`; `waiting` where there is none."""
    done: float
    """The share of its questions that were put."""
    events_left: int
    """Events until the next fit begins."""
    features: list[OrderFeature]
    """Of the form in force, else of the better one: those that matter most first."""


class _Order:
    """The fits of one set of parameters."""

    def __init__(self, events_left: int) -> None:
        self.fit: Fit | None = None
        self.refit: Refit | None = None
        self.due = 0
        """Watermark from which the end of a descent is taken."""
        self.events_left = events_left


class Learning:
    """Fits weights for each model of the split that is to be re-ranked, and says which are played.

    *beside* runs descents; by default they are done where their end is waited for.
    """

    def __init__(
        self, state: EngineState, models: Models, beside: Beside = when_needed, pace: Pace | None = None
    ) -> None:
        self._state = state
        self._models = models
        self._beside = beside
        self._pace = pace or Pace()
        self._lateness_ms = state.limits.lateness_ms
        self._points = {_learned(each): each for each in models.split.models if each.rerank != "none"}
        self._orders = {point: _Order(self._pace.fewest_events) for point in self._points}
        self._played: dict[Model, Played | None] = {}

    @property
    def is_on(self) -> bool:
        """Whether any model is to be re-ranked."""
        return bool(self._orders)

    # --- where fits go on

    def next_step(self, n: int) -> int | None:
        """Return the step of event time at which a fit may go on; None if none can within the next *n* events."""
        if not any(order.refit is not None or order.events_left <= n for order in self._orders.values()):
            return None
        step = self._watermark // STEP_MS + 1
        due = [order.due for order in self._orders.values() if order.refit is not None and order.refit.is_learning]
        waits_only = len(due) == len(self._orders)
        return max(step, -(-min(due) // STEP_MS)) if waits_only else step

    def count(self, n_applied: int) -> None:
        """Count events that were applied."""
        for order in self._orders.values():
            order.events_left = max(0, order.events_left - n_applied)

    def go_on(self) -> None:
        """Go on with each fit, now that the watermark is in another step; begin those that are due."""
        for point, order in self._orders.items():
            if order.refit is None and order.events_left == 0:
                self._begin(order)
            elif order.refit is not None:
                self._go_on(point, order, order.refit)

    def _begin(self, order: _Order) -> None:
        index = self._state.index
        pace = self._pace
        order.events_left = max(pace.fewest_events, index.view.counter(field.N_EVENTS) // pace.share)
        refit = Refit(index, self._watermark - self._lateness_ms, pace.most_examples, self._beside)
        if len(refit) >= pace.fewest_examples:
            order.refit = refit

    def _go_on(self, point: Model, order: _Order, refit: Refit) -> None:
        if refit.is_learning and self._watermark < order.due:
            return
        before = refit.phase
        refit.go_on(self._state.index, self._models.parameters(self._points[point]), self._pace.questions)
        if refit.phase != before:
            order.due = self._watermark + self._pace.descent_ms
        if refit.phase == Phase.DONE:
            order.fit, order.refit = refit.result, None
            self._played.clear()

    @property
    def _watermark(self) -> int:
        return self._state.index.view.counter(field.WATERMARK)

    def forget(self) -> None:
        """Drop what sessions that are gone may be in, and begin again at the next step."""
        self._played.clear()
        for order in self._orders.values():
            order.fit = order.refit = None
            order.events_left = 0

    # --- what is played

    def played(self, point: Model) -> Played | None:
        """Return the weights that answers of *point* are ordered by; None for the model's own order."""
        if point.rerank == "none":
            return None
        try:
            return self._played[point]
        except KeyError:  # several askers may find it side by side, and one of them make room
            played = self._find(point)
        if len(self._played) >= _MOST_VARIANTS:
            self._played.clear()
        self._played[point] = played
        return played

    def _find(self, point: Model) -> Played | None:
        order = self._orders.get(_learned(point))
        fit = None if order is None else order.fit
        if fit is None or point.rerank == "none" or fit.examples < self._pace.fewest_examples:
            return None
        form = fit.best(self._pace.fewest_examples) if point.rerank == "auto" else point.rerank
        if form == "plain":
            return None
        model = CandidateModel.of(self._models.parameters(point), fit.n_candidates)
        return Played(model, fit.of(form), f"{form}@{fit.boundary}", form)

    def forget_compiled(self) -> None:
        """Have models compiled again, as `Models.forget_compiled` does."""
        self._played.clear()

    def orders(self) -> list[LearnedOrder]:
        """Return what is known of each model that is to be re-ranked."""
        found = []
        for point in self._models.split.models:
            if point.rerank == "none":
                continue
            found.append(_reported(point, self._orders[_learned(point)], self.played(point)))
        return found

    # --- its state

    def export_state(self) -> Sequence[Mapping[str, Any]] | None:
        """Return all that later answers depend on; None where no model is re-ranked."""
        if not self._orders:
            return None
        return [_exported(point, order) for point, order in self._orders.items()]

    def import_state(self, state: Sequence[Mapping[str, Any]] | None) -> None:
        """Go on with *state*; what it lacks, or has of other parameters or other features, begins at the next step."""
        self.forget()
        by_model = {exported["model"]: exported for exported in state or ()}
        for point, order in self._orders.items():
            exported = by_model.get(_mark(point))
            if exported is None:
                continue
            order.due, order.events_left = int(exported["due"]), int(exported["events_left"])
            order.fit = Fit.restored(exported["fit"]) if "fit" in exported else None
            if "refit" in exported:
                order.refit = Refit.restored(exported["refit"], self._state.index, self._beside)


def _learned(point: Model) -> Model:
    """Return what *point* shares with all that play the same weights."""
    return msgspec.structs.replace(
        point, name="", n=1, fallbacks=True, rerank="auto", newest_fallback="none", newest_share=0.0, newest_within_ms=1
    )


def _reported(point: Model, order: _Order, played: Played | None) -> LearnedOrder:
    fit, refit = order.fit, order.refit
    features: list[OrderFeature] = []
    if fit is not None:
        form = max(LEARNED_FORMS, key=lambda each: fit.mrr[each]) if played is None else played.form
        shares = fit.importance[form]
        features = [OrderFeature(*each, share) for each, share in zip(FEATURES, shares, strict=True)]
        features.sort(key=lambda each: -each.importance)
    return LearnedOrder(
        model=point.name,
        setting=point.rerank,
        playing=None if played is None else played.name,
        learned_at=None if fit is None else fit.boundary,
        questions=0 if fit is None else fit.questions,
        examples=0 if fit is None else fit.examples,
        mrr={} if fit is None else {str(form): value for form, value in fit.mrr.items()},
        phase="waiting" if refit is None else refit.phase.name.lower(),
        done=0.0 if refit is None else round(refit.done, 4),
        events_left=order.events_left,
        features=features,
    )


def _mark(point: Model) -> str:
    """Return a text of all that weights were learned for: parameters of the model and features."""
    return msgspec.json.encode([point, [name for name, _ in FEATURES]]).decode()


def _exported(point: Model, order: _Order) -> dict[str, Any]:
    exported: dict[str, Any] = {"model": _mark(point), "due": order.due, "events_left": order.events_left}
    if order.fit is not None:
        exported["fit"] = order.fit.export()
    if order.refit is not None:
        exported["refit"] = order.refit.export()
    return exported
