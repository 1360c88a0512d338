"""Settings written as TOML: what `run --config` reads as the same values."""

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from stream_rec.settings.fields import Kind, Setting
from stream_rec.settings.schema import TrialSettings
from stream_rec.settings.trials import parameters
from stream_rec.units import format_duration, format_size

__all__ = ["plain_value", "setting_lines", "toml_string", "toml_value"]


def setting_lines(setting: Setting, value: Any) -> Iterator[str]:  # noqa: ANN401 (the value of any setting)
    """Yield the lines of *setting*: one, or those of its table or tables, each after an empty one."""
    if setting.kind is Kind.TABLE:
        yield from ("", f"[{setting.key}]")
        yield from (f"{toml_string(name)} = {toml_value(each)}" for name, each in value.items())
    elif setting.kind is Kind.TABLES:
        for name, trial in plain_value(setting, value).items():
            yield from ("", f"[{setting.key}.{toml_string(name)}]")
            yield from (f"{key} = {toml_value(each)}" for key, each in trial.items())
    else:
        yield f"{setting.key} = {toml_value(plain_value(setting, value))}"


def plain_value(setting: Setting, value: Any) -> Any:  # noqa: ANN401 (as above)
    """Return *value* as TOML has it: durations and sizes are texts, and so is `none`."""
    match setting.kind, value:
        case _, None:
            return "none"
        case Kind.DURATION, int():
            return format_duration(value)
        case Kind.SIZE, int():
            return format_size(value)
        case Kind.TABLES, Mapping():
            return {name: _plain_trial(trial) for name, trial in value.items()}
    return value


def _plain_trial(trial: TrialSettings) -> dict[str, Any]:
    by_name = {setting.name: setting for setting in parameters().values()}
    changed = {by_name[name].key: plain_value(by_name[name], value) for name, value in trial.parameters.items()}
    return {**({"shadow": True} if trial.shadow else {"share": trial.share}), **changed}


def toml_value(value: Any) -> str:  # noqa: ANN401 (as above)
    """Return *value* in TOML."""
    match value:
        case None:
            return toml_string("none")
        case bool():
            return "true" if value else "false"
        case str():
            return toml_string(value)
        case tuple():
            return f"[{', '.join(map(toml_value, value))}]"
    return repr(value)


def toml_string(value: str) -> str:
    """Return *value* as a TOML string. JSON strings are TOML strings, except that TOML escapes U+007F."""
    return msgspec.json.encode(value).decode().replace("\x7f", "\\u007f")
