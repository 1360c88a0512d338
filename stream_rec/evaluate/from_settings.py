"""Where the settings end: the model and the engines that an evaluation needs, and nothing else of them."""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Final

import msgspec

from stream_rec.core.engine import Engine
from stream_rec.core.model import PRESETS, Model, changed
from stream_rec.evaluate.page.occasion import Occasion
from stream_rec.service.assembly.engine import build_limits, build_model, read_denied
from stream_rec.settings import Settings, table
from stream_rec.settings.secrets import without_credentials, without_secrets

__all__ = ["engine_factory", "occasion_of", "own_model", "reading_from", "rules_left_out"]

NOT_OF_A_PRESET: Final = (
    *("name", "n", "seen", "fallbacks"),
    *("newest_fallback", "newest_share", "newest_within_ms"),
)
"""Parameters that say nothing about whether a model is a preset."""

_NOT_ASKED_WITH: Final = (
    *("catalogue", "filter", "allow", "allow_file", "same_category", "max_per_category", "boosts"),
    *("newest_share", "newest_fallback", "shown_at_most"),
)
"""Settings that change the answers of a service, and none here: an evaluation reads no catalogue."""


def rules_left_out(settings: Settings) -> list[str]:
    """Return a sentence, for the notes on the figures, on those of *settings* that change no answer here, if any."""
    known = {setting.name: setting for setting in table()}
    given = [known[name] for name in _NOT_ASKED_WITH if getattr(settings, name) != known[name].default]
    if not given:
        return []
    named = " and ".join(filter(None, (", ".join(each.flag for each in given[:-1]), given[-1].flag)))
    verb = "changes" if len(given) == 1 else "change"
    return [f"{named} {verb} nothing here: the answers have no rule but --deny, and no new items of a catalogue"]


def own_model(settings: Settings, n: int) -> Model:
    """Return the model that `run` would answer with, with answers of *n* items.

    Its name is the preset's, with a `*` behind it if a setting changes the preset.
    """
    model = changed(build_model(settings), n=n)
    plain = {key: getattr(model, key) for key in NOT_OF_A_PRESET}
    is_preset = msgspec.structs.replace(PRESETS[settings.preset], **plain) == model
    return model if is_preset else changed(model, name=f"{settings.preset}*")


def engine_factory(settings: Settings) -> Callable[[], Engine]:
    """Return a function that makes empty engines as `run` does. Sessions are cut from users earlier, while reading."""
    denied = read_denied(settings)
    limits = build_limits(settings)
    type_weights = settings.types
    return lambda: Engine(limits=limits, type_weights=type_weights, deny=denied)


def reading_from(settings: Settings, path: str) -> Settings:
    """Return *settings* with *path* as the source of events."""
    return msgspec.structs.replace(settings, events=path, more_events=())


def occasion_of(settings: Settings, command: str, began: datetime, sources: Mapping[str, str]) -> Occasion:
    """Return what a page says of an evaluation with *settings*. Without *sources*, the log is that of the settings."""
    given = [(setting, getattr(settings, setting.name)) for setting in table() if setting.name != "more_events"]
    changed_settings = {
        setting.key: setting.written(without_secrets(setting, value))
        for setting, value in given
        if not setting.required and value != setting.default
    }
    named = {part: without_credentials(source) for part, source in sources.items() if source}
    log = ", ".join(map(without_credentials, (settings.events, *settings.more_events)))
    return Occasion(command=command, settings=changed_settings, sources=named or {"source": log}, began=began)
