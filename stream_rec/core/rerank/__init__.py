"""Learned re-ranking: candidates of a model in an order that was learned from the retained sessions.

    past        the questions that retained sessions answered themselves, put back to their time
    refit       weights from these questions in slices, and whether they are ahead of the model's own order
    learner     the same at once
    descent     from examples to weights
    fit         what was learned
    explaining  what each feature adds to a score
    reranker    answers by weights
    kernel/     the compiled loops

Weights are a function of what the index retains: nothing is stored of a question, so a session that is forgotten
leaves nothing in the next weights. Knows ordinals only, as the index does.
"""

from stream_rec.core.rerank.explaining import FEATURES, contributions
from stream_rec.core.rerank.fit import FEWEST_EXAMPLES, LEARNED_FORMS, MOST_EXAMPLES, Fit
from stream_rec.core.rerank.kernel.fields import Room, Weights
from stream_rec.core.rerank.learner import Learner
from stream_rec.core.rerank.refit import Beside, Phase, Refit, when_needed
from stream_rec.core.rerank.reranker import FORMS, CandidateModel, FormName, Reranker, is_cold, space_for

__all__ = [
    "FEATURES",
    "FEWEST_EXAMPLES",
    "FORMS",
    "LEARNED_FORMS",
    "MOST_EXAMPLES",
    "Beside",
    "CandidateModel",
    "Fit",
    "FormName",
    "Learner",
    "Phase",
    "Refit",
    "Reranker",
    "Room",
    "Weights",
    "contributions",
    "is_cold",
    "space_for",
    "when_needed",
]
