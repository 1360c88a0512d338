"""The model: parameters and presets of the session-kNN family."""

from stream_rec.recommend.model import DEFAULT_PRESET, PRESETS, Model, changed, compile_model, model, stack_models
from stream_rec.recommend.rules import MAX_BOOSTS, Rulebook, Rules
from stream_rec.recommend.wsknn import wsknn_model

__all__ = [
    "DEFAULT_PRESET",
    "MAX_BOOSTS",
    "PRESETS",
    "Model",
    "Rulebook",
    "Rules",
    "changed",
    "compile_model",
    "model",
    "stack_models",
    "wsknn_model",
]
