"""The incremental index and its plain twin.

    arrays      memory: how the arrays are made and grow
    views       reads for explanations, state queries and bookkeeping
    index       changes and queries
    retained    the index as columns, and back
    invariants  what the kernels rely on, for tests
    kernel/     the compiled loops
    reference   the same in plain Python

Sessions and items are known by ordinals; the engine maps ids to them.
"""

from stream_rec.core.index.arrays import ANYTHING, Workspace, unrestricted_terms
from stream_rec.core.index.index import Index, KernelLists, ParallelMap, n_listed
from stream_rec.core.index.kernel import state as field
from stream_rec.core.index.kernel.arithmetic import exp, ln
from stream_rec.core.index.kernel.state import AnswerArrays, EventArrays, Parameters, Policy, Queries
from stream_rec.core.index.views import ExplainTrace, IndexView, SessionEvents

__all__ = [
    "ANYTHING",
    "AnswerArrays",
    "EventArrays",
    "ExplainTrace",
    "Index",
    "IndexView",
    "KernelLists",
    "ParallelMap",
    "Parameters",
    "Policy",
    "Queries",
    "SessionEvents",
    "Workspace",
    "exp",
    "field",
    "ln",
    "n_listed",
    "unrestricted_terms",
]
