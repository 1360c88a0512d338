"""The candidates that are compared: session-kNN models, and simple baselines that any model should beat.

All baselines but one are models of the same parameter space. So they share the live index, the limits and the seen-item
policy, and only the model differs.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Literal, get_args

from stream_rec.core.engine import Engine
from stream_rec.core.index import Parameters, field
from stream_rec.core.model import Model, changed, stack_models
from stream_rec.errors import SettingsError

__all__ = ["BASELINES", "Candidate", "Order", "baselines", "candidate", "learned", "stacked", "with_names"]

NO_SAMPLING: Final = 1_000_000_000  # more sessions than any log has
UNWEIGHTED: Final = {"weight": "same", "normalise": "none", "match": "none", "idf": "none"}
SHARED_PARAMETERS: Final = ("n", "seen", "fallbacks")


Order = Literal["linear", "hidden", "rerank"]
"""Learned weights by feature, these with hidden units, or whichever was ahead when they were fitted."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A model or a baseline under a name."""

    name: str
    model: Model
    is_baseline: bool = False
    asks: bool = True
    """False: the query is empty, so that only recently popular items answer."""
    counts: bool = False
    """True: event counts since the start answer, not the index."""
    order: Order | None = None
    """The learned order that the model's answers are brought into; None: the model's own."""


BASELINES: Final = {
    "popularity": "items by the count of their events since the start",
    "recent-popularity": "items by the decayed count of their retained events: the last fallback alone",
    "item-to-item": "items by the number of retained sessions that hold them together with the current one",
    "sequential-rules": "items by how often, and how soon, they came after the current one (SR)",
    "markov": "items by how often they came right after the current one",
}
"""What each baseline answers with. If it has no answer, the same fallbacks apply as for the models."""


def candidate(model: Model) -> Candidate:
    """Return *model* as a candidate under its own name."""
    return Candidate(model.name, model)


def learned(model: Model) -> list[Candidate]:
    """Return *model* with its answers in each learned order."""
    return [Candidate(f"{model.name}+{order}", model, order=order) for order in get_args(Order)]


def baselines(like: Model) -> list[Candidate]:
    """Return all baselines, with the length of answers, the seen-item policy and the fallbacks of *like*."""
    plain = changed(Model(), **UNWEIGHTED, **{key: getattr(like, key) for key in SHARED_PARAMETERS})
    return [
        Candidate("popularity", plain, is_baseline=True, counts=True),
        Candidate("recent-popularity", changed(plain, fallbacks=True), is_baseline=True, asks=False),
        Candidate("item-to-item", changed(plain, last=1, m=NO_SAMPLING, k=NO_SAMPLING), is_baseline=True),
        Candidate("sequential-rules", changed(plain, rules=1.0, rules_m=NO_SAMPLING, rules_steps=10), is_baseline=True),
        Candidate("markov", changed(plain, rules=1.0, rules_m=NO_SAMPLING, rules_steps=1), is_baseline=True),
    ]


def with_names(candidates: Iterable[Candidate]) -> list[Candidate]:
    """Return *candidates* as a list. Raises SettingsError if two share a name: their figures would be mixed up."""
    listed = list(candidates)
    names = [each.name for each in listed]
    for name in names:
        if names.count(name) > 1:
            raise SettingsError("compare", f"{name!r} is compared with itself; name each once")
    return listed


def stacked(engine: Engine, candidates: Sequence[Candidate]) -> Parameters:
    """Return the parameters of *candidates*, which the index answers for, as the kernels take them."""
    return stack_models([_parameters(engine, each) for each in candidates])


def _parameters(engine: Engine, one: Candidate) -> Parameters:
    parameters = engine.parameters(one.model)
    if one.asks:
        return parameters
    whole = parameters.whole.copy()
    whole[field.LAST] = 0
    return parameters._replace(whole=whole)
