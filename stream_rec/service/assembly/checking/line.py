"""Settings -> the command to type, whole: the source and every setting that differs from its default."""

import shlex
from collections.abc import Mapping
from typing import Final

import msgspec

from stream_rec.settings import Kind, Setting, Settings, is_topic, table

__all__ = ["command_line"]

_SECRET: Final = ("password", "secret", "token", "key")
_HIDDEN: Final = "..."


def command_line(name: str, settings: Settings) -> str:
    """Return the command *name* with *settings*, for a shell. Secrets are left out."""
    words = ["stream-rec", name]
    for setting in table():
        value = getattr(settings, setting.name)
        if setting.name == "events":
            words += _source_words(settings, name)
        elif setting.name == "more_events":
            continue
        elif value != setting.default and not setting.private and setting.kind is not Kind.TABLES:
            words += _words(setting, value)
    return shlex.join(words)


def _source_words(settings: Settings, name: str) -> list[str]:
    places = [settings.events, *settings.more_events]
    if name == "check" and not is_topic(settings.events):
        return places
    return [word for place in places for word in ("--events", place)]


def _words(setting: Setting, value: object) -> list[str]:
    if setting.kind is Kind.SWITCH:
        return [setting.flag if value else f"--no-{setting.flag.removeprefix('--')}"]
    if setting.kind is Kind.TABLE and isinstance(value, Mapping):
        return [word for pair in value.items() for word in (setting.flag, _pair(*pair))]
    if setting.kind is Kind.LIST and isinstance(value, tuple):
        return [word for each in value for word in (setting.flag, str(each))]
    return [setting.flag, setting.written(value)]


def _pair(name: str, value: object) -> str:
    is_secret = any(word in name.lower() for word in _SECRET)
    shown = f"{value:g}" if isinstance(value, float) else value
    return f"{name}={_HIDDEN if is_secret else shown}"


def changed(settings: Settings, **values: object) -> Settings:
    """Return *settings* with *values*. Raises SettingsError if they contradict each other."""
    return msgspec.structs.replace(settings, **values)
