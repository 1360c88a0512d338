"""The parameter space that tuning searches: ranges, proposals, and the model that a proposal makes."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from stream_rec.core.model import Model, changed

if TYPE_CHECKING:
    from optuna.trial import Trial

__all__ = ["SEARCHED", "nearest_proposal", "propose", "trial_model"]

WHOLE: Final = {
    "m": (50, 3000),
    "k": (10, 1000),
    "last": (1, 30),
    "places": (1, 200),
    "rules_m": (20, 3000),
    "rules_steps": (1, 20),
}
"""Whole numbers, on a logarithmic scale: doubling matters as much at 10 as at 100."""

DECAYS: Final = {
    "weight_decay": (0.3, 20.0),
    "age_days": (0.5, 400.0),
    "match_decay": (0.3, 20.0),
    "place_decay": (0.3, 100.0),
    "idf_factor": (0.02, 10.0),
    "rules_decay": (0.3, 20.0),
}
"""Real numbers, also on a logarithmic scale. A parameter of a formula that is not chosen has no effect."""

SHARES: Final = {"direction": (0.0, 1.0), "rules": (0.0, 1.0)}

CHOICES: Final = {
    "weight": ("linear", "distinct", "quadratic", "log", "exp"),
    "normalise": ("none", "query", "cosine"),
    "match": ("none", "vmis", "div", "linear", "log", "exp"),
    "idf": ("none", "vmis", "added"),
    "rules_weight": ("div", "exp"),
    "repeats": ("scored", "counted"),
}

SEARCHED: Final = (*WHOLE, *DECAYS, *SHARES, *CHOICES)


def propose(trial: "Trial") -> dict[str, Any]:
    """Return the parameters that the search proposes for *trial*."""
    values: dict[str, Any] = {name: trial.suggest_int(name, *ends, log=True) for name, ends in WHOLE.items()}
    values |= {name: trial.suggest_float(name, *ends, log=True) for name, ends in DECAYS.items()}
    values |= {name: trial.suggest_float(name, *ends) for name, ends in SHARES.items()}
    return values | {name: trial.suggest_categorical(name, words) for name, words in CHOICES.items()}


def nearest_proposal(model: Model) -> dict[str, Any]:
    """Return the parameters in the space that are nearest to *model*, for the search to begin with."""
    found: dict[str, Any] = {}
    for name, (low, high) in {**WHOLE, **DECAYS, **SHARES}.items():
        value = getattr(model, name)
        found[name] = type(low)(min(high, max(low, high if value is None else value)))
    for name, words in CHOICES.items():
        value = getattr(model, name)
        found[name] = value if value in words else words[0]
    return found


def trial_model(base: Model, parameters: Mapping[str, Any], name: str) -> Model:
    """Return *base* with *parameters*, rounded as in the file: the file holds exactly what was asked."""
    rounded = {key: _rounded(value) for key, value in parameters.items()}
    return changed(base, name=name, **rounded)


def _rounded(value: Any) -> Any:  # noqa: ANN401  # a number or a word
    return float(f"{value:.3g}") if isinstance(value, float) else value
