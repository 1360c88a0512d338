"""The file that tuning writes: TOML for `run --config`, with all of the operator's settings and the model found."""

import math
from typing import Any, Final

import msgspec

from stream_rec.core.model import PRESETS, Model
from stream_rec.evaluate.space import SEARCHED
from stream_rec.settings import Kind, Settings, table
from stream_rec.settings.as_toml import setting_lines

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
        (tables if setting.kind in {Kind.TABLE, Kind.TABLES} else lines).extend(setting_lines(setting, value))
    return "\n".join([*lines, *tables]) + "\n"


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
