"""The model: parameters and presets of the session-kNN family."""

from stream_rec.recommend.model import DEFAULT_PRESET, PRESETS, Model, changed, compile_model, model, stack_models
from stream_rec.recommend.split import SALT, Split, Trial
from stream_rec.recommend.wsknn import wsknn_model

__all__ = [
    "DEFAULT_PRESET",
    "PRESETS",
    "SALT",
    "Model",
    "Split",
    "Trial",
    "changed",
    "compile_model",
    "model",
    "stack_models",
    "wsknn_model",
]
