"""Where the settings end: the model and the engines that an evaluation needs, and nothing else of them."""

from collections.abc import Callable
from typing import Final

import msgspec

from stream_rec.core.engine import Engine
from stream_rec.core.model import PRESETS, Model, changed
from stream_rec.service.assembly.engine import build_limits, build_model, read_denied
from stream_rec.settings import Settings

__all__ = ["engine_factory", "own_model", "reading_from"]

NOT_OF_A_PRESET: Final = ("name", "n", "seen", "fallbacks")
"""Parameters that say nothing about whether a model is a preset."""


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
