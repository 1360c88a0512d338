"""The file that tuning writes: TOML for `run --config`, with all of the operator's settings and the model found."""

import math
from typing import Any, Final

import msgspec

from stream_rec.core.model import PRESETS, Model
from stream_rec.evaluate.space import SEARCHED
from stream_rec.settings import Kind, Setting, Settings, TrialSettings, parameters, table
from stream_rec.units import format_duration, format_size

__all__ = ["tuned_toml"]

MOST_PLACES: Final = 1_000_000
"""What `places` says for "no limit": more than any session has."""


def tuned_toml(settings: Settings, model: Model, comments: list[str]) -> str:
    """Return TOML for `run --config`: every setting of *settings* that is not the default, and *model* in full."""
    values = msgspec.structs.asdict(settings) | _settings_of(model, PRESETS[settings.preset])
    lines = [f"# {comment}" for comment in comments]
    tables: list[str] = []
    for setting in table():
        value = values[setting.name]
        if setting.name not in SEARCHED and value == setting.default and setting.name != "preset":
            continue
        if setting.kind is Kind.TABLE:
            tables += ["", f"[{setting.key}]", *(f"{_toml_string(key)} = {_toml(each)}" for key, each in value.items())]
        elif setting.kind is Kind.TABLES:
            tables += [
                line
                for name, trial in value.items()
                for line in _trial_lines(f"{setting.key}.{_toml_string(name)}", trial)
            ]
        else:
            lines.append(f"{setting.key} = {_toml_of_setting(setting, value)}")
    return "\n".join([*lines, *tables]) + "\n"


def _trial_lines(name: str, trial: TrialSettings) -> list[str]:
    """Return the table of a model that runs beside the main one, as lines."""
    by_name = {setting.name: setting for setting in parameters().values()}
    traffic = [f"shadow = {_toml(trial.shadow)}"] if trial.shadow else [f"share = {trial.share}"]
    return [
        "",
        f"[{name}]",
        *traffic,
        *(f"{by_name[key].key} = {_toml_of_setting(by_name[key], value)}" for key, value in trial.parameters.items()),
    ]


def _settings_of(model: Model, preset: Model) -> dict[str, Any]:
    """Return the settings that make *model*: all that is searched, and what else differs from the preset."""
    common = [name for name in Model.__struct_fields__ if name in Settings.__struct_fields__ and name != "n"]
    written = [name for name in common if name in SEARCHED or getattr(model, name) != getattr(preset, name)]
    values = {name: getattr(model, name) for name in written}
    for name in ("normalise", "match", "idf"):
        values[name] = "off" if values[name] == "none" else values[name]
    for name in ("age_days", "place_decay"):
        values[name] = math.inf if values[name] is None else values[name]
    values["places"] = MOST_PLACES if values["places"] is None else values["places"]
    return values


def _toml_of_setting(setting: Setting, value: Any) -> str:  # noqa: ANN401  # the value of any setting
    if setting.kind is Kind.DURATION and value is not None:
        return _toml_string(format_duration(value))
    if setting.kind is Kind.SIZE and value is not None:
        return _toml_string(format_size(value))
    return _toml(value)


def _toml(value: Any) -> str:  # noqa: ANN401  # the value of any setting
    match value:
        case None:
            return _toml_string("none")
        case bool():
            return "true" if value else "false"
        case str():
            return _toml_string(value)
        case tuple():
            return f"[{', '.join(map(_toml, value))}]"
    return repr(value)


def _toml_string(value: str) -> str:
    """Return *value* as a TOML string. JSON strings are TOML strings, except that TOML escapes U+007F."""
    return msgspec.json.encode(value).decode().replace("\x7f", "\\u007f")
