"""The model: parameters and presets of the session-kNN family."""

from stream_rec.recommend.model import DEFAULT_PRESET, PRESETS, Model, changed, compile_model, model
from stream_rec.recommend.wsknn import wsknn_model

__all__ = ["DEFAULT_PRESET", "PRESETS", "Model", "changed", "compile_model", "model", "wsknn_model"]
