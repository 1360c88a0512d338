"""The incremental index, its arrays and kernels, and their plain twin."""

from stream_rec.core.index.arrays import ANYTHING, terms
from stream_rec.core.index.index import Index
from stream_rec.core.index.kernel import state as field
from stream_rec.core.index.kernel.arithmetic import exp, ln
from stream_rec.core.index.kernel.state import AnswerArrays, EventArrays, Parameters, Policy, Queries
from stream_rec.core.index.views import ExplainTrace, SessionEvents, Spread

__all__ = [
    "ANYTHING",
    "AnswerArrays",
    "EventArrays",
    "ExplainTrace",
    "Index",
    "Parameters",
    "Policy",
    "Queries",
    "SessionEvents",
    "Spread",
    "exp",
    "field",
    "ln",
    "terms",
]
