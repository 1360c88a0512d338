"""The settings as one checked object, and the table of all settings."""

from functools import cache

from stream_rec.settings.checks import CHECKS
from stream_rec.settings.fields import Setting, settings_of
from stream_rec.settings.schema import SettingFields

__all__ = ["Settings", "table"]


class Settings(SettingFields, frozen=True, kw_only=True):
    """All settings of `stream-rec run`, checked: see `SettingFields`.

    Raises SettingsError, naming the key, if two settings contradict each other. `load` checks the limits of single
    values, at the edge.
    """

    def __post_init__(self) -> None:
        for check in CHECKS:
            check(self)


@cache
def table() -> tuple[Setting, ...]:
    """All settings, in the order of the reference page."""
    return settings_of(SettingFields)
