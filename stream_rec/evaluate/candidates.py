"""Who is asked: models of the family, and the simple ones that any model should beat.

All but one of the baselines are points of the same parameter space, so they see the same live index, the same limits
and the same seen-item policy: what differs is the model, and nothing else.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from stream_rec.core.engine import Engine
from stream_rec.core.index import Parameters, field
from stream_rec.core.model import Model, changed, stack_models
from stream_rec.errors import SettingsError

__all__ = ["BASELINES", "Candidate", "baselines", "candidate", "stacked", "with_names"]

ALL: Final = 1_000_000_000  # more sessions than there are: no sampling
EVERY: Final = {"weight": "same", "normalise": "none", "match": "none", "idf": "none"}
ALIKE: Final = ("n", "seen", "fallbacks")


@dataclass(frozen=True, slots=True)
class Candidate:
    """One of those that are asked."""

    name: str
    model: Model
    is_baseline: bool = False
    asks: bool = True
    """False: the session's items are not its query, so that only what is popular lately answers."""
    counts: bool = False
    """True: counts of all events since the start answer, not the index."""


BASELINES: Final = {
    "popularity": "items by the count of their events since the start",
    "recent-popularity": "items by the decayed count of their retained events: the last fallback alone",
    "item-to-item": "items by the number of retained sessions that hold them together with the current one",
    "sequential-rules": "items by how often, and how soon, they came after the current one (SR)",
    "markov": "items by how often they came right after the current one",
}
"""What each of them answers with. Where one has nothing to say, the same fallbacks fill in as for the models."""


def candidate(point: Model) -> Candidate:
    """Return a model as one that is asked, under its own name."""
    return Candidate(point.name, point)


def baselines(like: Model) -> list[Candidate]:
    """Return all baselines, with the length of answers, the seen-item policy and the fallbacks of *like*."""
    plain = changed(Model(), **EVERY, **{key: getattr(like, key) for key in ALIKE})
    return [
        Candidate("popularity", plain, is_baseline=True, counts=True),
        Candidate("recent-popularity", changed(plain, fallbacks=True), is_baseline=True, asks=False),
        Candidate("item-to-item", changed(plain, last=1, m=ALL, k=ALL), is_baseline=True),
        Candidate("sequential-rules", changed(plain, rules=1.0, rules_m=ALL, rules_steps=10), is_baseline=True),
        Candidate("markov", changed(plain, rules=1.0, rules_m=ALL, rules_steps=1), is_baseline=True),
    ]


def with_names(candidates: Iterable[Candidate]) -> list[Candidate]:
    """Return *candidates* as a list. Raises SettingsError where two have one name: figures would be mixed up."""
    listed = list(candidates)
    names = [each.name for each in listed]
    for name in names:
        if names.count(name) > 1:
            raise SettingsError("compare", f"{name!r} is compared with itself; name each once")
    return listed


def stacked(engine: Engine, candidates: Sequence[Candidate]) -> Parameters:
    """Return those that the index answers for, as the kernels take them."""
    return stack_models([_parameters(engine, each) for each in candidates])


def _parameters(engine: Engine, asked: Candidate) -> Parameters:
    made = engine.parameters(asked.model)
    if asked.asks:
        return made
    whole = made.whole.copy()
    whole[field.LAST] = 0
    return made._replace(whole=whole)
