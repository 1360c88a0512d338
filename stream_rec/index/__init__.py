"""The incremental index, its arrays and kernels, and their plain twin."""

from stream_rec.index._kernel import state as field
from stream_rec.index._kernel.arithmetic import exp, ln
from stream_rec.index._kernel.state import Answers, Batch, Parameters, Policy, Queries
from stream_rec.index.vmis import ANYTHING, Index, Spread, Trail, Visits, terms

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
