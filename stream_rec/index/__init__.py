"""The incremental index, its arrays and kernels, and their plain twin."""

from stream_rec.index._kernel import state as field
from stream_rec.index._kernel.arithmetic import exp, ln
from stream_rec.index._kernel.state import Answers, Batch, Parameters, Queries
from stream_rec.index.vmis import Index, Spread, Trail, Visits

__all__ = [
    "Answers",
    "Batch",
    "Index",
    "Parameters",
    "Queries",
    "Spread",
    "Trail",
    "Visits",
    "exp",
    "field",
    "ln",
]
