"""The parameter space of a family of session-kNN models, and the named points in it.

A `Model` holds the parameters of one query. It changes nothing in the index, so several can be asked side by side.
Knows the formulas (as tables by step and distance), not the data.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Annotated, Final, Literal, Unpack

import msgspec
import numpy as np
import numpy.typing as npt

from stream_rec.core.bounds import NonNegative, Positive, PositiveInt
from stream_rec.core.index import Parameters, exp, field, ln
from stream_rec.core.limits import DAY_MS, validated
from stream_rec.core.model.changes import ModelChanges
from stream_rec.errors import SettingsError
from stream_rec.nearest import did_you_mean

__all__ = [
    "DEFAULT_PRESET",
    "PRESETS",
    "Model",
    "changed",
    "compile_model",
    "mixes_newest",
    "model",
    "stack_models",
    "without_newest",
]

_OTHER_NAMES: Final = {
    "top_n": "n", "top_k": "n", "topn": "n", "number": "n", "num": "n", "limit": "n", "count": "n",
    "number_of_recommendations": "n", "neighbours": "k", "neighbors": "k", "n_neighbors": "k",
    "number_of_closest_neighbors": "k", "sample": "m", "sample_size": "m", "length": "last", "last_n": "last",
    "decay": "weight", "normalize": "normalise",
}  # fmt: skip
"""What other programs call the parameters."""

_TEN_STEPS = 10
_MOST_PLACES = 1024
_LN_10 = 2.302585092994046
_MOST_WHOLE_STEPS = 40  # their least common multiple has 53 bits

_WeightName = Literal["same", "linear", "distinct", "quadratic", "log", "exp", "wsknn-linear", "wsknn-log"]
_MatchName = Literal["none", "vmis", "div", "linear", "log", "quadratic", "exp", "wsknn-linear", "wsknn-log"]
_RulesWeightName = Literal["same", "div", "exp"]
_RepeatsName = Literal["scored", "counted"]
_SeenName = Literal["keep", "drop-current", "drop-session"]
_SamplingName = Literal["recent", "common-items", "random", "weighted-events"]
_RerankName = Literal["none", "auto", "linear", "hidden"]
_TypeNames = str | Annotated[tuple[str, ...], msgspec.Meta(min_length=1)] | None


class Model(msgspec.Struct, frozen=True, kw_only=True):
    """One point of the parameter space.

    In the formulas, i is an item's newest position in the query (1 is the oldest), L the query's length, U its number
    of distinct items, and step = L - i + 1 for the newest item that query and neighbour share.

    >>> from stream_rec import PRESETS
    >>> PRESETS["vmis-knn"].m, PRESETS["vmis-knn"].k
    (500, 100)
    """

    name: str = "vmis-knn"
    """The `model` of its answers."""

    m: PositiveInt = 500
    """Size of the sample: sessions that share an item with the query."""

    k: PositiveInt = 100
    """Number of neighbours: the most similar sessions of the sample."""

    n: PositiveInt = 20
    """Items of an answer."""

    last: Annotated[int, msgspec.Meta(ge=1, le=10_000)] = 10
    """The query is this many of the last events of the session."""

    weight: _WeightName = "distinct"
    """w: `same` 1, `linear` i/L, `distinct` i/U, `quadratic` (i/L)^2, `log` 1/log10(L-i+1.7), `exp`
    exp((i-L)/weight_decay), `wsknn-linear` (i+1)/L, `wsknn-log` log10(2.7)/log10(L-i+1.7)."""

    weight_decay: Positive = 1.02
    """lambda 1 of STAN, in places; for `weight = exp`."""

    normalise: Literal["none", "query", "cosine"] = "none"
    """What similarity is divided by: nothing, U, or the lengths of both sessions (norm of the weights, root of the
    number of items)."""

    age_days: Positive | None = None
    """lambda 2 of STAN: a neighbour counts exp(-age/age_days); None, or inf: age does not matter."""

    match: _MatchName = "vmis"
    """Factor by step: `vmis` 1-0.1*step, 0 from 10; `div` 1/step; `linear` 1-0.1*(step-1), 0 from 11; `log`
    1/log10(step+1.7); `quadratic` 1/step^2; `exp` exp((1-step)/match_decay); `wsknn-linear` (1-0.1*step)/0.9, 0 from
    10; `wsknn-log` log10(2.7)/log10(step+1.7)."""

    match_decay: Positive = 1.02
    """For `match = exp`, in steps."""

    place_decay: Positive | None = None
    """lambda 3 of STAN: an item counts exp(-distance/place_decay), in places from the shared item; None, or inf: it
    does not matter."""

    places: Annotated[int, msgspec.Meta(ge=0, le=1_000_000)] | None = None
    """Items of a neighbour further than this from the shared item, in places, do not count; None: all count."""

    direction: NonNegative = 1.0
    """Factor for items that come before the shared item in the neighbour."""

    every_time: bool = False
    """An item that a neighbour holds several times counts each time, by its place there, not once."""

    idf: Literal["none", "vmis", "added"] = "vmis"
    """Factor by rarity: `vmis` ln(N/df) where that is > 0; `added` 1 + idf_factor * ln(N/df)."""

    idf_factor: NonNegative = 1.0
    """lambda of `idf = added`."""

    rules: Annotated[float, msgspec.Meta(ge=0.0, le=1.0)] = 0.0
    """Share of sequential rules in a score, beside the neighbours': an item counts for each time it came after the
    current one, by distance. Both are taken as shares of votes. 0: no rules; 1: no neighbours."""

    rules_m: PositiveInt = 500
    """Rules are counted in this many of the newest sessions that hold the current item."""

    rules_steps: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 10
    """An item follows the current one if it comes at most this many places after it."""

    rules_weight: _RulesWeightName = "div"
    """Weight of a rule: `same` 1, `div` 1/distance, `exp` exp((1-distance)/rules_decay)."""

    rules_decay: Positive = 2.0
    """For `rules_weight = exp`, in places."""

    repeats: _RepeatsName = "scored"
    """Weight of the session's own items: `scored` their scores, `counted` the share that repeats have of the events
    of retained sessions."""

    seen: _SeenName = "drop-current"
    """Which items of the session may be recommended: all, all but the current one, none."""

    rerank: _RerankName = "none"
    """How candidates are put in order: `none`, by their scores; `linear` and `hidden`, by weights that are learned from
    the retained sessions, once there are some; `auto`, by that of the three that was ahead on the newest questions."""

    fallbacks: bool = True
    """Fill a short answer with items that followed the current one, then with popular items."""

    newest_fallback: Literal["none", "before-popular", "after-popular"] = "none"
    """Whether `fallbacks` also fill with the newest items of the catalogue, and when."""

    newest_share: Annotated[float, msgspec.Meta(ge=0.0, le=1.0)] = 0.0
    """This share of the places of an answer, rounded, is for new items of the catalogue: of any first places of it."""

    newest_within_ms: PositiveInt = 30 * DAY_MS
    """How long after it was listed an item is new enough for such a place."""

    require_type: _TypeNames = None
    """Sample only sessions with an event of this type, or of one of these."""

    min_type_weight: NonNegative = 0.0
    """Sample only sessions whose events' mean type weight is at least this."""

    sampling: _SamplingName = "recent"
    """Which m sessions are the sample: the newest (`recent`); those with the most items of the query (`common-items`);
    random ones (`random`); or those with the largest mean type weight (`weighted-events`). Of equals the newer."""

    sampling_seed: Annotated[int, msgspec.Meta(ge=0, le=(1 << 63) - 1)] = 0
    """For `sampling = random`: the same seed always draws the same sample."""

    bonus_type: _TypeNames = None
    """For `sampling = weighted-events`: a session with an event of this type (or one of these) weighs `bonus` more."""

    bonus: NonNegative = 0.0
    """Added to the weight of such a session."""


_MODELS = [
    # Ours: the neighbours of STAN mixed with rules (Ludewig & Jannach 2018, section 3), repeats counted (after Ren et
    # al., AAAI 2019). Chosen on parts of three public logs and of the simulator; docs/explanation/evaluation.md shows
    # it beside all others.
    Model(
        name="default",
        weight="exp",
        weight_decay=2.0,
        normalise="cosine",
        age_days=100.0,
        match="none",
        place_decay=10.0,
        places=20,
        direction=0.7,
        idf="none",
        rules=0.6,
        rules_m=300,
        rules_steps=1,
        repeats="counted",
    ),
    # Jannach & Ludewig, "When recurrent neural networks meet the neighborhood", RecSys 2017
    Model(name="sknn", weight="same", normalise="cosine", match="none", idf="none"),
    # Ludewig & Jannach, "Evaluation of session-based recommendation algorithms", UMUAI 2018
    Model(name="v-sknn", weight="linear", normalise="query", match="div", idf="none"),
    # Kersbergen, Sprangers & Schelter, "Serenade", SIGMOD 2022, section 3
    Model(name="vmis-knn"),
    # Garg et al., "Sequence and time aware neighborhood for session-based recommendations", SIGIR 2019
    Model(name="stan", weight="exp", normalise="cosine", age_days=5.0, match="none", place_decay=2.05, idf="none"),
    # Ludewig et al., "Empirical analysis of session-based recommendation algorithms", UMUAI 2020
    Model(
        name="vstan",
        weight="exp",
        normalise="cosine",
        age_days=5.0,
        match="exp",
        place_decay=2.05,
        idf="added",
        idf_factor=5.0,
    ),
    # The package WSKNN 1.2.3, with its defaults (weighting linear, ranking linear)
    Model(name="wsknn", weight="wsknn-linear", normalise="query", match="wsknn-linear", idf="none", every_time=True),
]

PRESETS: Mapping[str, Model] = {each.name: each for each in _MODELS}
DEFAULT_PRESET = "default"


def model(preset: str = DEFAULT_PRESET, **changes: Unpack[ModelChanges]) -> Model:
    """Return the preset of that name with some parameters changed, None meaning the preset's own.

    Raises SettingsError, naming the parameter, for an unknown preset or parameter or a value out of range.

    >>> from stream_rec import model
    >>> model("vmis-knn", k=50).k
    50
    """
    if preset not in PRESETS:
        raise SettingsError("preset", f"{preset!r} is none of {', '.join(PRESETS)}{did_you_mean(preset, PRESETS)}")
    return changed(PRESETS[preset], **changes)


def mixes_newest(point: Model) -> bool:
    """Return whether *point* puts the newest items of the catalogue into its answers."""
    return point.newest_share > 0.0 or point.newest_fallback != "none"


def without_newest(point: Model) -> Model:
    """Return *point* without the newest items of the catalogue."""
    return msgspec.structs.replace(point, newest_share=0.0, newest_fallback="none")


def changed(point: Model, **changes: object) -> Model:
    """Return *point* with some parameters changed, None meaning unchanged. Raises SettingsError as `model` does."""
    values = msgspec.structs.asdict(point)
    for key, value in changes.items():
        if key not in values:
            question = did_you_mean(key, values, _OTHER_NAMES)
            raise SettingsError(key, f"is no parameter of the model ({', '.join(values)}){question}")
        if value is not None:
            values[key] = value
    return validated(Model(**values))


# --- tables: the formulas, as the kernels read them


def _log10(x: float) -> float:
    return ln(x) / _LN_10


def _table(size: int, formula: Callable[[int], float]) -> npt.NDArray[np.float64]:
    return np.array([formula(j) for j in range(size)], np.float64)


_WEIGHT_KINDS = {
    "same": field.WEIGHT_SAME,
    "linear": field.WEIGHT_LINEAR,
    "distinct": field.WEIGHT_DISTINCT,
    "quadratic": field.WEIGHT_QUADRATIC,
    "log": field.WEIGHT_TABLE,
    "exp": field.WEIGHT_TABLE,
    "wsknn-linear": field.WEIGHT_AFTER,
    "wsknn-log": field.WEIGHT_TABLE,
}


# Our own arithmetic takes some microseconds in Python for each entry of a table, and a query of a whole session needs
# ten thousand entries. No code writes to a table, so models share them.
@lru_cache(maxsize=64)
def _weight_table(kind: _WeightName, decay: float, size: int) -> npt.NDArray[np.float64]:
    return _table(size, _weight_formula(Model(weight=kind, weight_decay=decay)))


@lru_cache(maxsize=64)
def _match_table(kind: _MatchName, decay: float, size: int) -> npt.NDArray[np.float64]:
    match = _match_formula(Model(match=kind, match_decay=decay))
    return _table(size, lambda step: match(max(step, 1)))


def _weight_formula(point: Model) -> Callable[[int], float]:
    """Return the weight by distance from the end of the query, L - i, for the kinds that depend on nothing else."""
    if point.weight == "exp":
        return lambda back: exp(-back / point.weight_decay)
    if point.weight == "log":
        return lambda back: 1.0 / _log10(back + 1.7)
    if point.weight == "wsknn-log":
        return lambda back: _log10(2.7) / _log10(back + 1.7)
    return lambda _: 1.0


def _match_formula(point: Model) -> Callable[[int], float]:
    """Return the match factor by step."""
    decay = point.match_decay
    formulas: dict[str, Callable[[int], float]] = {
        "none": lambda _: 1.0,
        "vmis": lambda step: max(0, 10 - step) / 10,
        "div": lambda step: 1 / step,
        "linear": lambda step: max(0, 11 - step) / 10,
        "log": lambda step: 1.0 / _log10(step + 1.7),
        "quadratic": lambda step: 1.0 / (step * step),
        "exp": lambda step: exp((1 - step) / decay),
        "wsknn-linear": lambda step: max(0, 10 - step) / 9,
        "wsknn-log": lambda step: _log10(2.7) / _log10(step + 1.7),
    }
    return formulas[point.match]


def _place_formula(point: Model) -> Callable[[int], float]:
    """Return the place factor by distance."""
    decay, places = point.place_decay or math.inf, point.places
    return lambda distance: 0.0 if places is not None and distance > places else exp(-distance / decay)


def _rule_formula(point: Model) -> Callable[[int], float]:
    """Return the weight of a rule by distance."""
    formulas: dict[str, Callable[[int], float]] = {
        "same": lambda _: 1.0,
        "div": lambda distance: 1.0 / distance,
        "exp": lambda distance: exp((1 - distance) / point.rules_decay),
    }
    formula = formulas[point.rules_weight]
    return lambda distance: value if (value := formula(distance)) >= field.SMALLEST_TERM else 0.0


def _depends_on_place(point: Model) -> bool:
    return (point.place_decay or math.inf) < math.inf or point.direction != 1.0 or point.places is not None


def _n_places(point: Model, longest: int) -> int:
    """Return the length of the table by distance: that of sessions, or up to the first distance with factor 0."""
    if not _depends_on_place(point):
        return 1
    most = min(longest, _MOST_PLACES)
    return most if point.places is None else min(most, point.places + 2)


_NORMALISE = {
    "none": field.NORMALISE_NONE,
    "query": field.NORMALISE_QUERY,
    "cosine": field.NORMALISE_COSINE,
}
_IDF = {"none": field.IDF_NONE, "vmis": field.IDF_VMIS, "added": field.IDF_ADDED}
_SAMPLING = {
    "recent": field.SAMPLE_RECENT,
    "common-items": field.SAMPLE_COMMON,
    "random": field.SAMPLE_RANDOM,
    "weighted-events": field.SAMPLE_WEIGHTED,
}
_SEEN = {
    "keep": field.SEEN_KEEP,
    "drop-current": field.SEEN_DROP_CURRENT,
    "drop-session": field.SEEN_DROP_SESSION,
}


def compile_model(
    point: Model, types: Mapping[str, int], type_weights: Mapping[str, float], longest: int
) -> Parameters:
    """Return *point* as the kernels take it.

    *types* are the ordinals of the event types that came so far, *type_weights* their weights (others weigh 1); no
    session has more than *longest* events.
    """
    whole = np.zeros(field.N_WHOLE, np.int64)
    whole[field.M] = point.m
    whole[field.K] = point.k
    whole[field.N] = point.n
    whole[field.LAST] = point.last
    whole[field.WEIGHT] = _WEIGHT_KINDS[point.weight]
    whole[field.NORMALISE] = _NORMALISE[point.normalise]
    whole[field.PLACE] = _depends_on_place(point)
    whole[field.IDF] = _IDF[point.idf]
    whole[field.SEEN] = _SEEN[point.seen]
    whole[field.FALLBACKS] = point.fallbacks
    whole[field.REQUIRES] = point.require_type is not None
    whole[field.SAMPLING] = _SAMPLING[point.sampling]
    whole[field.SAMPLING_SEED] = point.sampling_seed
    whole[field.EVERY_TIME] = point.every_time
    whole[field.RULES_M] = point.rules_m
    whole[field.REPEATS] = point.repeats == "counted"
    whole[field.MATCH_DENOMINATOR] = _votes_denominator(point, longest)
    rules = point.rules if point.rules >= field.SMALLEST_TERM else 0.0
    real = np.zeros(field.N_REAL, np.float64)
    real[field.RULES] = rules
    real[field.AGE] = 0.0 if point.age_days in {None, math.inf} else point.age_days * DAY_MS
    real[field.DIRECTION] = point.direction
    real[field.IDF_FACTOR] = point.idf_factor
    real[field.MIN_TYPE_WEIGHT] = point.min_type_weight
    real[field.BONUS] = point.bonus
    if rules > 0.0:
        pairs = float(point.rules_m) * longest * point.rules_steps  # no rule weighs more than 1
        real[field.MIXED_TOTAL] = pairs + (1.0 - rules) / rules * point.rules_m * longest
        real[field.MIXED_TERMS] = pairs + float(point.k) * longest
    type_weight = np.ones(256, np.float64)
    for name, ordinal in types.items():
        type_weight[ordinal] = type_weights.get(name, 1.0)
    rule = _rule_formula(point)
    return Parameters(
        whole=whole,
        real=real,
        weight=_weight_table(point.weight, point.weight_decay, point.last),
        match=_match_table(point.match, point.match_decay, point.last + 1),
        place=_table(_n_places(point, longest), _place_formula(point)),
        rule=_table(point.rules_steps + 1, lambda distance: rule(max(distance, 1))),
        type_weight=type_weight,
        type_role=_roles(point, types),
    )


def _match_denominator(kind: _MatchName, longest: int) -> int:
    """Return a common denominator of the match factors of all steps up to *longest*, 0 if they are no fractions."""
    multiple = math.lcm(*range(1, longest + 1)) if kind in {"div", "quadratic"} else 1
    return {
        "none": 1,
        "vmis": 10,
        "div": multiple,
        "linear": 10,
        "quadratic": multiple * multiple,
        "wsknn-linear": 9,
    }.get(kind, 0)


def _votes_denominator(point: Model, longest: int) -> int:
    """Return the denominator of match factors if all votes, times a common divisor, are whole numbers; else 0.

    So are weight and match of a fraction alone, and no sum of votes may reach 2**53.
    """
    if (
        _WEIGHT_KINDS[point.weight] == field.WEIGHT_TABLE
        or point.normalise == "cosine"
        or (point.age_days or math.inf) < math.inf
        or point.rules > 0.0
        or _depends_on_place(point)
    ):
        return 0
    denominator = _match_denominator(point.match, min(point.last, _MOST_WHOLE_STEPS))
    most_weight = (point.last + 1.0) ** 2 if point.weight == "quadratic" else point.last + 1.0
    most_terms = float(point.k) * (longest if point.every_time else 1)
    is_whole = denominator * most_weight * point.last * most_terms < field.WHOLE_LIMIT
    return denominator if is_whole and (point.last <= _MOST_WHOLE_STEPS or denominator <= _TEN_STEPS) else 0


def _roles(point: Model, types: Mapping[str, int]) -> npt.NDArray[np.uint8]:
    """Return the IS_* bits of each type, by ordinal. A type that no event had yet has no ordinal, and no session."""
    roles = np.zeros(256, np.uint8)
    for named, role in ((point.require_type, field.IS_REQUIRED), (point.bonus_type, field.IS_BONUS)):
        for name in (named,) if isinstance(named, str) else named or ():
            if name in types:
                roles[types[name]] |= role
    return roles


def stack_models(many: Sequence[Parameters]) -> Parameters:
    """Return the arrays of *many* models stacked, [models, ...]; shorter tables are extended to the same meaning."""
    return Parameters(
        whole=np.stack([each.whole for each in many]),
        real=np.stack([each.real for each in many]),
        weight=_stacked([each.weight for each in many]),
        match=_stacked([each.match for each in many]),
        place=_stacked([each.place for each in many]),
        rule=_stacked([np.append(each.rule, 0.0) for each in many]),  # beyond the table there is no rule
        type_weight=np.stack([each.type_weight for each in many]),
        type_role=np.stack([each.type_role for each in many]),
    )


def _stacked(tables: Sequence[npt.NDArray[np.float64]]) -> npt.NDArray[np.float64]:
    """Return *tables* as rows, each extended by its last value."""
    longest = max(map(len, tables))
    return np.stack([np.pad(table, (0, longest - len(table)), mode="edge") for table in tables])
