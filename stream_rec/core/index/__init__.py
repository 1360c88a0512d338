"""The incremental index, its arrays and kernels, and their plain twin."""

from stream_rec.core.index.arrays import ANYTHING, terms
from stream_rec.core.index.index import Index
from stream_rec.core.index.kernel import state as field
from stream_rec.core.index.kernel.arithmetic import exp, ln
from stream_rec.core.index.kernel.state import Answers, Batch, Parameters, Policy, Queries
from stream_rec.core.index.views import Spread, Trail, Visits

__all__ = [
    "ANYTHING",
    "Answers",
    "Batch",
    "Index",
    "Parameters",
    "Policy",
    "Queries",
    "Spread",
    "Trail",
    "Visits",
    "exp",
    "field",
    "ln",
    "terms",
]
