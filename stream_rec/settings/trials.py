"""The tables under `[models]`: a name each, the sessions of the model, and parameters, which are settings themselves.

The parameters are the settings from `preset` to `newest_within` in the settings object, with the same types.
"""

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

from stream_rec.errors import SettingsError
from stream_rec.settings.checked import table
from stream_rec.settings.fields import Setting, settings_of
from stream_rec.settings.schema import TrialSettings

__all__ = ["parameters", "trial_settings", "trials_of"]

ReadValue = Callable[[Setting, Callable[[Any], object], object, str], object]
"""Reads a value. Its error names the key, the given value, what was expected, and the source of the value."""


@cache
def parameters() -> Mapping[str, Setting]:
    """Return the settings that a model may have of its own, by key."""
    names = [setting.name for setting in table()]
    return {setting.key: setting for setting in table()[names.index("preset") : names.index("newest_within_ms") + 1]}


@cache
def trial_settings() -> tuple[Setting, ...]:
    """Return the settings of a table beside the parameters."""
    return tuple(setting for setting in settings_of(TrialSettings) if setting.name != "parameters")


def trials_of(
    tables: Mapping[str, Mapping[str, object]], key: str, where: str, read: ReadValue
) -> dict[str, TrialSettings]:
    """Return the models of *tables*, which came from *where*. Raises SettingsError, naming `models.NAME.key`."""
    return {name: _trial(given, f"{key}.{name}", f"{where}.{name}", read) for name, given in tables.items()}


def _trial(given: Mapping[str, object], key: str, where: str, read: ReadValue) -> TrialSettings:
    own = {setting.key: setting for setting in trial_settings()}
    found: dict[str, object] = {}
    changes: dict[str, object] = {}
    for name, value in given.items():
        setting = own.get(name) or parameters().get(name)
        if setting is None:
            known = ", ".join([*own, *parameters()])
            raise SettingsError(f"{key}.{name}", f"{where} sets it, but a model has no such setting; known are {known}")
        inner = _with_key(setting, f"{key}.{name}")
        into = found if name in own else changes
        into[setting.name] = read(inner, inner.from_toml, value, f"{where}.{name}")
    if not found:
        raise SettingsError(
            key, f"{where} has neither share nor shadow; set one, to say which sessions the model is for"
        )
    return TrialSettings(**found, parameters=changes)  # type: ignore[arg-type]  # read one by one just above


def _with_key(setting: Setting, key: str) -> Setting:
    fields = {name: getattr(setting, name) for name in Setting.__struct_fields__}
    return Setting(**{**fields, "key": key})
