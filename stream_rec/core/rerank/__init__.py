"""Learned re-ranking: candidates of a model in an order that was learned from the retained sessions.

    past        the questions that retained sessions answered themselves, put back to their time
    learner     weights from these questions, and whether they are ahead of the model's own order
    refit       the same from a copy of the sessions, beside an index that goes on
    reranker    answers by weights
    kernel/     the compiled loops

Weights are a function of what the index retains: nothing is stored of a question, so a session that is forgotten
leaves nothing in the next weights. Knows ordinals only, as the index does.
"""

from stream_rec.core.rerank.learner import Fit, Learner
from stream_rec.core.rerank.refit import Refit
from stream_rec.core.rerank.reranker import FORMS, FormName, Reranker, space_for

__all__ = ["FORMS", "Fit", "FormName", "Learner", "Refit", "Reranker", "space_for"]
