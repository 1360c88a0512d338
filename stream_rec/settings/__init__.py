"""The operator's settings as one object; defaults < TOML file < environment < command line.

`Settings` is the object, `load` makes one from all four layers, and `table` lists the settings: the options of the
command line and the reference page are made from it.
"""

from stream_rec.settings.checked import Settings, table
from stream_rec.settings.fields import Kind, Setting
from stream_rec.settings.groups import grouped
from stream_rec.settings.layers import ENVIRONMENT_PREFIX, load
from stream_rec.settings.schema import TrialSettings, is_topic
from stream_rec.settings.trials import parameters, trial_settings

__all__ = [
    "ENVIRONMENT_PREFIX",
    "Kind",
    "Setting",
    "Settings",
    "TrialSettings",
    "grouped",
    "is_topic",
    "load",
    "parameters",
    "table",
    "trial_settings",
]
