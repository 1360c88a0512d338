"""Models as they are asked: a request's parameters, and what the kernels take for them, each made once.

Knows nothing of sessions and items; of what is held, only which event types there are.
"""

from collections.abc import Mapping
from typing import Final

from stream_rec.core.engine.state import EngineState
from stream_rec.core.events import Request
from stream_rec.core.index import Parameters
from stream_rec.core.limits import validated
from stream_rec.core.model import Model, Split, changed, compile_model, model, stack_models

__all__ = ["MOST_VARIANTS", "NOT_OF_A_PRESET", "Models"]

MOST_VARIANTS: Final = 1024  # distinct parameter sets of requests remembered at a time
NO_CHANGES: Final = (None,) * 7
NOT_OF_A_PRESET: Final = (
    *("m", "k", "n", "last", "seen", "fallbacks"),
    *("require_type", "min_type_weight", "sampling", "sampling_seed", "bonus_type", "bonus"),
)
"""What a request that names a preset leaves as the engine has it: a preset is its formulas."""


class Models:
    """The models of *split*, those that requests make of them, and all of them as the kernels take them.

    *type_weights* weighs the event types *held*; no session has more events than *longest_session*. At most
    MOST_VARIANTS of each kind are remembered.
    """

    def __init__(
        self, split: Split, held: EngineState, type_weights: Mapping[str, float], longest_session: int
    ) -> None:
        self.split = split
        self._main = split.models[0]
        self._held = held
        self._type_weights = dict(type_weights)
        self._longest_session = longest_session
        self._variants: dict[tuple[object, ...], Model] = {}
        self._compiled: dict[Model, Parameters] = {}
        self._stacked: dict[Model, Parameters] = {}
        self._default: Parameters | None = None
        self._together: Parameters | None = None

    def variant(self, request: Request) -> Model:
        """Return the model of the request's session, or that which it names, with the request's parameters."""
        if request.model is not None:
            base = self.split.named(request.model)
        elif request.session_id is not None and request.preset is None:
            base = self.split.of(request.session_id)
        else:
            base = self._main
        changes = (
            request.preset,
            request.n,
            request.m,
            request.k,
            request.last,
            request.seen,
            request.fallbacks,
        )
        if changes == NO_CHANGES:
            return base
        variant = self._variants.get((base.name, *changes))
        if variant is None:
            variant = _changed(base, *changes)
            if len(self._variants) >= MOST_VARIANTS:
                self._variants.clear()
            self._variants[base.name, *changes] = variant
        return variant

    def parameters(self, point: Model) -> Parameters:
        """Return *point* as the kernel takes it. The engine's own model is spared the look-up by value."""
        if point is self._main:
            if self._default is None:
                self._default = self._compile(point)
            return self._default
        return self._compile(point)

    def alone(self, point: Model) -> Parameters:
        """Return *point* as the only one of several models."""
        stacked = self._stacked.get(point)
        if stacked is None:
            stacked = stack_models([self.parameters(point)])
            if len(self._stacked) >= MOST_VARIANTS:
                self._stacked.clear()
            self._stacked[point] = stacked
        return stacked

    def together(self) -> Parameters:
        """Return all models of the split, stacked."""
        if self._together is None:
            self._together = stack_models(list(map(self.parameters, self.split.models)))
        return self._together

    def forget_compiled(self) -> None:
        """Compile models anew: which event types there are is part of that."""
        self._compiled.clear()
        self._stacked.clear()
        self._default = self._together = None

    def _compile(self, point: Model) -> Parameters:
        parameters = self._compiled.get(point)
        if parameters is None:
            numbers = self._held.types.live()
            parameters = compile_model(validated(point), numbers, self._type_weights, self._longest_session)
            if len(self._compiled) >= MOST_VARIANTS:
                self._compiled.clear()
            self._compiled[point] = parameters
        return parameters


def _changed(own: Model, preset: str | None, n: int | None, *others: object) -> Model:
    m, k, last, seen, fallbacks = others
    base = own if preset is None else model(preset, **{key: getattr(own, key) for key in NOT_OF_A_PRESET})
    return changed(base, n=n, m=m, k=k, last=last, seen=seen, fallbacks=fallbacks)
