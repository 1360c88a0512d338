"""The space that tuning searches, and a point of it as a file that `run --config` takes."""

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

import msgspec

from stream_rec.core.model import PRESETS, Model, changed
from stream_rec.settings import Kind, Setting, Settings, TrialSettings, parameters, table
from stream_rec.units import format_duration, format_size

if TYPE_CHECKING:
    from optuna.trial import Trial

__all__ = ["SEARCHED", "as_toml", "as_trial", "propose", "with_parameters"]

WHOLE: Final = {
    "m": (50, 3000),
    "k": (10, 1000),
    "last": (1, 30),
    "places": (1, 200),
    "rules_m": (20, 3000),
    "rules_steps": (1, 20),
}
"""Whole numbers, searched on a logarithmic scale: twice as many matters as much at 10 as at 100."""

DECAYS: Final = {
    "weight_decay": (0.3, 20.0),
    "age_days": (0.5, 400.0),
    "match_decay": (0.3, 20.0),
    "place_decay": (0.3, 100.0),
    "idf_factor": (0.02, 10.0),
    "rules_decay": (0.3, 20.0),
}
"""Reals, on a logarithmic scale, too. Those of a formula that is not chosen do nothing."""

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
    """Return the parameters that *trial* suggests."""
    found: dict[str, Any] = {name: trial.suggest_int(name, *ends, log=True) for name, ends in WHOLE.items()}
    found |= {name: trial.suggest_float(name, *ends, log=True) for name, ends in DECAYS.items()}
    found |= {name: trial.suggest_float(name, *ends) for name, ends in SHARES.items()}
    return found | {name: trial.suggest_categorical(name, words) for name, words in CHOICES.items()}


def as_trial(point: Model) -> dict[str, Any]:
    """Return *point* as the nearest place of the space, for the search to begin with."""
    found: dict[str, Any] = {}
    for name, (low, high) in {**WHOLE, **DECAYS, **SHARES}.items():
        value = getattr(point, name)
        found[name] = type(low)(min(high, max(low, high if value is None else value)))
    for name, words in CHOICES.items():
        value = getattr(point, name)
        found[name] = value if value in words else words[0]
    return found


def with_parameters(base: Model, parameters: Mapping[str, Any], name: str) -> Model:
    """Return *base* with those parameters, rounded to what a file says: what is written is what was asked."""
    rounded = {key: _rounded(value) for key, value in parameters.items()}
    return changed(base, name=name, **rounded)


def _rounded(value: Any) -> Any:  # noqa: ANN401  # a number or a word
    return float(f"{value:.3g}") if isinstance(value, float) else value


# --- as a file


def as_toml(settings: Settings, point: Model, comments: list[str]) -> str:
    """Return settings for `run --config`: all that *settings* has apart from the defaults, and *point* in full."""
    values = msgspec.structs.asdict(settings) | _settings_of(point, PRESETS[settings.preset])
    lines = [f"# {comment}" for comment in comments]
    tables: list[str] = []
    for setting in table():
        value = values[setting.name]
        if setting.name not in SEARCHED and value == setting.default and setting.name != "preset":
            continue
        if setting.kind is Kind.TABLE:
            tables += ["", f"[{setting.key}]", *(f"{_text(key)} = {_toml(each)}" for key, each in value.items())]
        elif setting.kind is Kind.TABLES:
            tables += [
                line for name, trial in value.items() for line in _trial_lines(f"{setting.key}.{_text(name)}", trial)
            ]
        else:
            lines.append(f"{setting.key} = {_written(setting, value)}")
    return "\n".join([*lines, *tables]) + "\n"


def _trial_lines(name: str, trial: TrialSettings) -> list[str]:
    """Return the table of a model that runs beside the main one."""
    by_name = {setting.name: setting for setting in parameters().values()}
    told = [f"shadow = {_toml(trial.shadow)}"] if trial.shadow else [f"share = {trial.share}"]
    return [
        "",
        f"[{name}]",
        *told,
        *(f"{by_name[key].key} = {_written(by_name[key], value)}" for key, value in trial.parameters.items()),
    ]


def _settings_of(point: Model, preset: Model) -> dict[str, Any]:
    """Return the settings that make *point*: all that is searched, and what else is not the preset's own."""
    shared = [name for name in Model.__struct_fields__ if name in Settings.__struct_fields__ and name != "n"]
    kept = [name for name in shared if name in SEARCHED or getattr(point, name) != getattr(preset, name)]
    values = {name: getattr(point, name) for name in kept}
    for name in ("normalise", "match", "idf"):
        values[name] = "off" if values[name] == "none" else values[name]
    for name in ("age_days", "place_decay"):
        values[name] = math.inf if values[name] is None else values[name]
    values["places"] = MOST_PLACES if values["places"] is None else values["places"]
    return values


MOST_PLACES: Final = 1_000_000  # further than any session is long


def _written(setting: Setting, value: Any) -> str:  # noqa: ANN401  # of any setting
    if setting.kind is Kind.DURATION and value is not None:
        return _text(format_duration(value))
    if setting.kind is Kind.SIZE and value is not None:
        return _text(format_size(value))
    return _toml(value)


def _toml(value: Any) -> str:  # noqa: ANN401  # of any setting
    match value:
        case None:
            return _text("none")
        case bool():
            return "true" if value else "false"
        case str():
            return _text(value)
        case tuple():
            return f"[{', '.join(map(_toml, value))}]"
    return repr(value)


def _text(value: str) -> str:
    """Return *value* as a TOML string: JSON's are, but for the one character that only JSON leaves as it is."""
    return msgspec.json.encode(value).decode().replace("\x7f", "\\u007f")
