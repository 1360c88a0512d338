"""The parameters of the package WSKNN 1.2.3, with its names and defaults -> a model of ours.

Knows nothing of that package's code. docs/explanation/wsknn.md says what is right where the two differ;
tests/unit/core/test_wsknn.py checks it.
"""

from collections.abc import Mapping
from typing import Final, Literal, TypeVar

from stream_rec.core.model.changes import Match, Sampling, Weight
from stream_rec.core.model.model import Model, model
from stream_rec.errors import SettingsError

__all__ = ["wsknn_model"]

_Ours = TypeVar("_Ours")

_SAMPLING: Final[dict[str, Sampling]] = {
    "common_items": "common-items",
    "recent": "recent",
    "random": "random",
    "weighted_events": "weighted-events",
}
_WEIGHT: Final[dict[str, Weight]] = {"linear": "wsknn-linear", "log": "wsknn-log", "quadratic": "quadratic"}
_MATCH: Final[dict[str, Match]] = {"linear": "wsknn-linear", "inv": "div", "log": "wsknn-log", "quadratic": "quadratic"}
_WHOLE_SESSION: Final = 10_000  # events of the query: as many as `Model.last` allows


def wsknn_model(  # noqa: PLR0913  # the parameters of that package
    *,
    number_of_recommendations: int = 5,
    number_of_neighbors: int = 10,
    sampling_strategy: Literal["common_items", "recent", "random", "weighted_events"] = "common_items",
    sample_size: int = 1000,
    weighting_func: Literal["linear", "log", "quadratic"] = "linear",
    ranking_strategy: Literal["linear", "inv", "log", "quadratic"] = "linear",
    return_events_from_session: bool = True,
    required_sampling_event: str | None = None,
    recommend_any: bool = False,
    purchase_event: str | None = None,
    purchase_weight: float = 0.0,
    seed: int = 0,
) -> Model:
    """Return the model with the given parameters of WSKNN.

    *seed* draws the random sample. A session with an event of the type *purchase_event* weighs *purchase_weight* more
    in `weighted_events`. Raises SettingsError, naming the parameter.

    >>> from stream_rec import wsknn_model
    >>> wsknn_model(number_of_neighbors=20, weighting_func="log").weight
    'wsknn-log'
    """
    return model(
        "wsknn",
        n=number_of_recommendations,
        k=number_of_neighbors,
        m=sample_size,
        last=_WHOLE_SESSION,
        sampling=_ours("sampling_strategy", _SAMPLING, sampling_strategy),
        weight=_ours("weighting_func", _WEIGHT, weighting_func),
        match=_ours("ranking_strategy", _MATCH, ranking_strategy),
        seen="keep" if return_events_from_session else "drop-session",
        require_type=required_sampling_event,
        fallbacks=recommend_any,
        bonus_type=purchase_event,
        bonus=purchase_weight,
        sampling_seed=seed,
    )


def _ours(key: str, names: Mapping[str, _Ours], theirs: str) -> _Ours:
    if theirs not in names:
        raise SettingsError(key, f"{theirs!r} is none of {', '.join(names)}")
    return names[theirs]
