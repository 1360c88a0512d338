"""Why a learned order has an item where it has it: what each feature adds, and what made it a candidate."""

from collections.abc import Sequence
from typing import Final

from stream_rec.core.engine.learning import Played
from stream_rec.core.events import ByNeighbours, ByWeights, Feature, Why
from stream_rec.core.index import ln
from stream_rec.core.model import AnsweredQuery, ScoredItem
from stream_rec.core.rerank import FEATURES, Room, contributions

__all__ = ["by_weights"]

_NOWHERE: Final = -1


def by_weights(
    played: Played, room: Room, asked: AnsweredQuery, items: Sequence[ScoredItem], reasons: Sequence[Why]
) -> list[Why]:
    """Return why each of *items* is where it is; *reasons* are those of the model, which hold for what fills up."""
    candidates = room.item[: int(room.n[0])].tolist()
    at = {item: place for place, item in enumerate(candidates)}
    places = [at.get(each.item, _NOWHERE) for each in items]
    shares = contributions(played.weights, room, [place for place in places if place != _NOWHERE])
    rows = iter(shares.tolist())
    return [
        reason if place == _NOWHERE else _why(played, asked, item, next(rows), reason)
        for place, item, reason in zip(places, items, reasons, strict=True)
    ]


def _why(played: Played, asked: AnsweredQuery, item: ScoredItem, shares: Sequence[float], reason: Why) -> Why:
    boost = asked.boosts.get(item.item)
    features = [Feature(name, meaning, share) for (name, meaning), share in zip(FEATURES, shares, strict=True)]
    features.sort(key=lambda each: -abs(each.share))
    typical = item.score - sum(each.share for each in features) - (0.0 if boost is None else ln(boost))
    candidate = reason if isinstance(reason, ByNeighbours) else None
    return ByWeights(item.score, played.name, typical, features, candidate, boost)
