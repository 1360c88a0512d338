"""What a fit has learned, and which form of it to play."""

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from stream_rec.core.rerank.kernel.fields import Weights
from stream_rec.core.rerank.reranker import FORMS, FormName

__all__ = ["FEWEST_EXAMPLES", "LEARNED_FORMS", "MOST_EXAMPLES", "Fit"]

MOST_EXAMPLES: Final = 20_000
FEWEST_EXAMPLES: Final = 3_000
"""With fewer, the model's own order is played: on a news log learned orders were behind it up to there."""
LEARNED_FORMS: Final[Sequence[FormName]] = ("linear", "hidden")


class Fit(NamedTuple):
    """What was learned at a boundary, and how it did on the newest fifth of the questions, unseen."""

    weights: Weights
    """One set for each of FORMS."""
    questions: int
    examples: int
    """Questions whose answer was a candidate."""
    mrr: Mapping[FormName, float]
    """Mean reciprocal rank at 20, of weights that were fitted to the older four fifths."""
    n_candidates: int
    boundary: int
    """ms of event time: nothing later was asked."""
    importance: Mapping[FormName, Sequence[float]]
    """How much each feature moves the scores of each learned form."""

    def best(self, fewest: int = FEWEST_EXAMPLES) -> FormName:
        """Return the form that was ahead: `plain` if none of the others was, or with fewer than *fewest* examples."""
        if self.examples < fewest:
            return "plain"
        ahead = max(LEARNED_FORMS, key=lambda form: self.mrr[form])
        return ahead if self.mrr[ahead] > self.mrr["plain"] else "plain"

    def of(self, form: FormName) -> Weights:
        """Return the one set of weights of that form."""
        w = list(FORMS).index(form)
        one, weights = slice(w, w + 1), self.weights
        return Weights(
            weights.form[one],
            weights.linear[one],
            weights.hidden[one],
            weights.bias[one],
            weights.out[one],
            weights.returns,
        )

    def export(self) -> dict[str, Any]:
        """Return all of it as arrays and numbers, for `restored`."""
        numbers = {name: getattr(self, name) for name in ("questions", "examples", "n_candidates", "boundary")}
        return {
            **numbers,
            "mrr": [self.mrr[form] for form in FORMS],
            "importance": {form: list(each) for form, each in self.importance.items()},
            **{f"weights_{name}": each for name, each in self.weights._asdict().items()},
        }

    @classmethod
    def restored(cls, state: Mapping[str, Any]) -> "Fit":
        """Return the fit that was exported."""
        weights = Weights(*(state[f"weights_{name}"] for name in Weights._fields))
        mrr = dict(zip(FORMS, state["mrr"], strict=True))
        numbers = (state["questions"], state["examples"], mrr, state["n_candidates"], state["boundary"])
        return cls(weights, *numbers, state["importance"])
