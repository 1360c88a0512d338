"""The model: parameters and presets of the session-kNN family, and why an item is recommended."""

from stream_rec.core.model.changes import ModelChanges
from stream_rec.core.model.explanations import EXPLAINED, AnsweredQuery, Explaining, Names, ScoredItem, explain
from stream_rec.core.model.model import (
    DEFAULT_PRESET,
    PRESETS,
    Model,
    changed,
    compile_model,
    mixes_newest,
    model,
    stack_models,
    without_newest,
)
from stream_rec.core.model.rules import MAX_BOOSTS, CompiledRules, Rules
from stream_rec.core.model.split import SALT, Split, Trial
from stream_rec.core.model.wsknn import wsknn_model

__all__ = [
    "DEFAULT_PRESET",
    "EXPLAINED",
    "MAX_BOOSTS",
    "PRESETS",
    "SALT",
    "AnsweredQuery",
    "CompiledRules",
    "Explaining",
    "Model",
    "ModelChanges",
    "Names",
    "Rules",
    "ScoredItem",
    "Split",
    "Trial",
    "changed",
    "compile_model",
    "explain",
    "mixes_newest",
    "model",
    "stack_models",
    "without_newest",
    "wsknn_model",
]
