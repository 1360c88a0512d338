"""The models that requests ask for, and their parameters as the kernels take them; each is compiled once.

Knows nothing of sessions and items, and of the state only the event types.
"""

from collections.abc import Mapping
from typing import Final

from stream_rec.core.engine.state import EngineState
from stream_rec.core.events import Request
from stream_rec.core.index import Parameters
from stream_rec.core.limits import validated
from stream_rec.core.model import Model, Split, changed, compile_model, model, stack_models

__all__ = ["MOST_VARIANTS", "NOT_OF_A_PRESET", "Models"]

MOST_VARIANTS: Final = 1024  # distinct parameter sets of requests cached at a time
_NO_CHANGES: Final = (None,) * 8
NOT_OF_A_PRESET: Final = (
    *("m", "k", "n", "last", "seen", "fallbacks", "rerank"),
    *("newest_fallback", "newest_share", "newest_within_ms"),
    *("require_type", "min_type_weight", "sampling", "sampling_seed", "bonus_type", "bonus"),
)
"""What a request that names a preset keeps from the engine's model: a preset is its formulas only."""


class Models:
    """The models of *split*, the variants that requests ask for, and all of them as the kernels take them.

    *type_weights* are the weights of event types, and no session has more events than *longest_session*. At most
    MOST_VARIANTS of each kind are cached.
    """

    def __init__(
        self, split: Split, state: EngineState, type_weights: Mapping[str, float], longest_session: int
    ) -> None:
        self.split = split
        self._main = split.models[0]
        self._state = state
        self._type_weights = dict(type_weights)
        self._longest_session = longest_session
        self._variants: dict[tuple[object, ...], Model] = {}
        self._compiled: dict[Model, Parameters] = {}
        self._stacked: dict[Model, Parameters] = {}
        self._default: Parameters | None = None
        self._together: Parameters | None = None

    @property
    def weighed_types(self) -> frozenset[str]:
        """The event types that have a weight, or that a model names."""
        named = set(self._type_weights)
        for each in self.split.models:
            for names in (each.require_type, each.bonus_type):
                named.update((names,) if isinstance(names, str) else names or ())
        return frozenset(named)

    def variant(self, request: Request) -> Model:
        """Return the model of the request's session, or the one that it names, with the request's parameters."""
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
            request.rerank,
        )
        if changes == _NO_CHANGES:
            return base
        variant = self._variants.get((base.name, *changes))
        if variant is None:
            variant = _changed(base, *changes)
            if len(self._variants) >= MOST_VARIANTS:
                self._variants.clear()
            self._variants[base.name, *changes] = variant
        return variant

    def parameters(self, point: Model) -> Parameters:
        """Return *point* as the kernels take it, without a look-up by value for the engine's own model."""
        if point is self._main:
            if self._default is None:
                self._default = self._compile(point)
            return self._default
        return self._compile(point)

    def alone(self, point: Model) -> Parameters:
        """Return *point* as a stack of one model."""
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
        """Have all models compiled again, since event types are part of what is compiled."""
        self._compiled.clear()
        self._stacked.clear()
        self._default = self._together = None

    def _compile(self, point: Model) -> Parameters:
        parameters = self._compiled.get(point)
        if parameters is None:
            types = self._state.types.live()
            parameters = compile_model(validated(point), types, self._type_weights, self._longest_session)
            if len(self._compiled) >= MOST_VARIANTS:
                self._compiled.clear()
            self._compiled[point] = parameters
        return parameters


def _changed(own: Model, preset: str | None, n: int | None, *others: object) -> Model:
    m, k, last, seen, fallbacks, rerank = others
    base = own if preset is None else model(preset, **{key: getattr(own, key) for key in NOT_OF_A_PRESET})
    own_order = "none" if rerank == "off" else rerank
    return changed(base, n=n, m=m, k=k, last=last, seen=seen, fallbacks=fallbacks, rerank=own_order)
