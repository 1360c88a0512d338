"""Weights from the retained sessions, at once: all parts of a fit, one after the other.

Each fit starts from the shipped start, which ranks as the model does, and looks at nothing but the retained sessions.
"""

from stream_rec.core.index import Index, Parameters
from stream_rec.core.rerank.fit import MOST_EXAMPLES, Fit
from stream_rec.core.rerank.refit import Phase, Refit

__all__ = ["Learner"]


class Learner:
    """Learns how to re-rank what models answer from *index*."""

    def __init__(self, index: Index) -> None:
        self._index = index

    def fit(self, model: Parameters, boundary: int, most: int = MOST_EXAMPLES) -> Fit:
        """Learn from the newest *most* questions that were answered at or before *boundary*, ms of event time."""
        refit = Refit(self._index, boundary, most)
        while refit.phase != Phase.DONE:
            refit.go_on(self._index, model, max(1, len(refit)))
        return refit.result
