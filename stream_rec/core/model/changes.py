"""The parameters of a model as keyword arguments, for type checkers and editors. `Model` says what each means."""

from typing import Literal, TypedDict

__all__ = ["Match", "ModelChanges", "Sampling", "Weight"]

Weight = Literal["same", "linear", "distinct", "quadratic", "log", "exp", "wsknn-linear", "wsknn-log"]
Match = Literal["none", "vmis", "div", "linear", "log", "quadratic", "exp", "wsknn-linear", "wsknn-log"]
Sampling = Literal["recent", "common-items", "random", "weighted-events"]


class ModelChanges(TypedDict, total=False):
    """Parameters to change; None, or none at all, leaves one as it is."""

    name: str | None
    m: int | None
    k: int | None
    n: int | None
    last: int | None
    weight: Weight | None
    weight_decay: float | None
    normalise: Literal["none", "query", "cosine"] | None
    age_days: float | None
    match: Match | None
    match_decay: float | None
    place_decay: float | None
    places: int | None
    direction: float | None
    every_time: bool | None
    idf: Literal["none", "vmis", "added"] | None
    idf_factor: float | None
    rules: float | None
    rules_m: int | None
    rules_steps: int | None
    rules_weight: Literal["same", "div", "exp"] | None
    rules_decay: float | None
    repeats: Literal["scored", "counted"] | None
    seen: Literal["keep", "drop-current", "drop-session"] | None
    rerank: Literal["none", "auto", "linear", "hidden"] | None
    fallbacks: bool | None
    newest_fallback: Literal["none", "before-popular", "after-popular"] | None
    newest_share: float | None
    newest_within_ms: int | None
    require_type: str | tuple[str, ...] | None
    min_type_weight: float | None
    sampling: Sampling | None
    sampling_seed: int | None
    bonus_type: str | tuple[str, ...] | None
    bonus: float | None
