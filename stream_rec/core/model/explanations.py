"""Why an item was recommended: the neighbours the kernel chose, and what each gave it, factor by factor.

Worked out once more from the state that was asked and from what the kernel left of the query (`ExplainTrace`):
neighbours, similarities and the two factors that depend on all items come from there, all other factors from the
formulas. Whole columns at a time, since a neighbour may have ten thousand events. Pure: reads the index, and changes
nothing.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt
from msgspec import UNSET, UnsetType

from stream_rec.core.events import (
    ByNeighbours,
    ByPopularity,
    ByTheLast,
    Elsewhere,
    Neighbour,
    Others,
    Ruled,
    Shared,
    SharedOthers,
    Why,
)
from stream_rec.core.index import ExplainTrace, Index, Parameters, SessionEvents, exp, field, ln

__all__ = ["EXPLAINED", "AnsweredQuery", "Explaining", "Names", "ScoredItem", "explain"]

F64 = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]

EXPLAINED: Final = 50
"""Items of an answer that are explained. With ten neighbours each, and ten shared items of 40 characters to each of
those, they take some 600 kB of JSON; a topic takes records of 1 MB unless told otherwise."""
NO_BOOSTS: Final[Mapping[int, float]] = {}


class Explaining(NamedTuple):
    """How much is told."""

    most: int | None = 10
    """Neighbours listed with each item, and shared items listed with each neighbour; the rest is summed up."""

    hide_sessions: bool = False
    """Leave out the ids of the neighbours, who are other visitors."""


class Names(NamedTuple):
    """From numbers to ids."""

    items: Sequence[str | None]
    sessions: Sequence[str | None]

    def item(self, number: int) -> str:
        """Return the id of an item in use."""
        return str(self.items[number])

    def session(self, slot: int) -> str:
        """Return the id of a retained session."""
        return str(self.sessions[slot])


class AnsweredQuery(NamedTuple):
    """A query that the index answered just now, in numbers."""

    p: Parameters
    seen: Sequence[int]
    """The items of the session, or of the query where it brought its own: all of them, oldest first."""
    own: int
    """The session that is nobody's neighbour, -1 for none."""
    boosts: Mapping[int, float] = NO_BOOSTS
    """What a rule multiplied the scores of items by."""


class ScoredItem(NamedTuple):
    """An item of the answer, in numbers."""

    item: int
    score: float
    source: int


def explain(
    index: Index, names: Names, asked: AnsweredQuery, items: Sequence[ScoredItem], how: Explaining
) -> list[Why]:
    """Return why each of *items* is in the answer to *asked*, the last query that *index* answered.

    Some milliseconds; O(events of the neighbours and of the sessions that rules were counted in).
    """
    wanted = np.array([each.item for each in items if each.source == field.NEIGHBOURS], np.int64)
    teller = _Teller(index, names, asked, how, wanted) if wanted.size else None
    reasons: list[Why] = []
    for item, score, source in items:
        if teller is not None and source == field.NEIGHBOURS:
            reasons.append(teller.why(item))
            continue
        boost = asked.boosts.get(item)
        count, told = (score, UNSET) if boost is None else (score / boost, boost)
        if source == field.FOLLOWED:
            reasons.append(ByTheLast(names.item(asked.seen[-1]), round(count), told))
        else:
            reasons.append(ByPopularity(count, index.limits.popular_half_life_ms, told))
    return reasons


class _Gift(NamedTuple):
    """What one neighbour gives one item."""

    neighbour: int
    """Its place in the trail."""
    share: float
    distance: int
    place: float
    direction: float
    times: int
    """Places that count beside the newest."""
    factor: float
    """Their place x direction, summed up."""


class _Teller:
    """Explains items that neighbours and rules gave, from columns made once for all of them."""

    def __init__(self, index: Index, names: Names, asked: AnsweredQuery, how: Explaining, wanted: I64) -> None:
        self._index, self._names, self._asked, self._how = index, names, asked, how
        self._trail = trail = index.trail()
        self._match = asked.p.match[np.minimum(trail.step, asked.p.match.size - 1)]
        visits = index.visits_of(trail.slot)
        self._held = _held(trail, visits)
        self._query = list(zip(trail.item.tolist(), trail.item_step.tolist(), trail.weight.tolist(), strict=True))
        self._norm = _norm(asked.p, trail)
        self._gifts = _gifts(asked.p, trail, visits, trail.similarity * self._match * trail.mix, wanted)
        self._rules = _rules(index, asked, wanted) if trail.holders else {}
        self._similar: dict[int, _Similar] = {}

    def why(self, item: int) -> Why:
        """Return the shares of *item*."""
        how, factors = self._how, self._factors(item)
        factor = factors.product
        gifts = sorted(self._gifts.get(item, ()), key=lambda gift: (-gift.share, gift.neighbour))
        told = [self._neighbour(gift, factor) for gift in gifts[: how.most]]
        rest = [gift.share * factor for gift in gifts[len(told) :]]
        others = Others(len(rest), sum(rest)) if rest else UNSET
        rules = self._ruled(item, factor)
        total = sum(each.share for each in told)
        total += 0.0 if others is UNSET else others.share
        total += 0.0 if rules is UNSET else rules.share
        mix = self._trail.mix if self._trail.holders and gifts else UNSET
        return ByNeighbours(total, told, factors.idf, others, rules, mix, factors.repeats, factors.boost)

    def _factors(self, item: int) -> "_Factors":
        repeats: float | UnsetType = UNSET
        if self._asked.p.whole[field.REPEATS] and item in self._asked.seen:
            repeats = self._trail.repeats
        return _Factors(_idf(self._index, self._asked.p, item), repeats, self._asked.boosts.get(item, UNSET))

    def _ruled(self, item: int, factor: float) -> Ruled | UnsetType:
        if item not in self._rules:
            return UNSET
        weight, sessions = self._rules[item]
        return Ruled(self._names.item(self._asked.seen[-1]), sessions, weight, weight * factor)

    def _neighbour(self, gift: _Gift, factor: float) -> Neighbour:
        at = gift.neighbour
        trail, similar = self._trail, self._similar_of(at)
        return Neighbour(
            similar.session_id,
            similar.age_ms,
            float(trail.similarity[at]),
            similar.shared,
            similar.normalise,
            similar.age,
            int(trail.step[at]),
            float(self._match[at]),
            gift.distance,
            gift.place,
            gift.direction,
            gift.share * factor,
            Elsewhere(gift.times, gift.factor) if gift.times else UNSET,
            similar.others,
        )

    def _similar_of(self, at: int) -> "_Similar":
        """Return what does not depend on the item; a neighbour is mostly listed with several."""
        if at not in self._similar:
            self._similar[at] = self._similarity(at)
        return self._similar[at]

    def _similarity(self, at: int) -> "_Similar":
        index, trail, p, how = self._index, self._trail, self._asked.p, self._how
        slot = int(trail.slot[at])
        record = index.state.session[slot]
        is_cosine = p.whole[field.NORMALISE] == field.NORMALISE_COSINE
        age_ms = index.counter(field.WATERMARK) - int(record["last"])
        shared = [
            Shared(self._names.item(item), trail.length - step + 1, weight)
            for item, step, weight in self._query
            if item in self._held[at]
        ]
        told = shared[: how.most]
        rest = shared[len(told) :]
        return _Similar(
            None if how.hide_sessions else self._names.session(slot),
            age_ms,
            told,
            SharedOthers(len(rest), sum(each.weight for each in rest)) if rest else UNSET,
            1.0 / (self._norm * (math.sqrt(record["items"]) if is_cosine else 1.0)),
            exp(-float(age_ms) / float(p.real[field.AGE])) if p.real[field.AGE] > 0.0 else 1.0,
        )


class _Similar(NamedTuple):
    """A neighbour, whatever the item."""

    session_id: str | None
    age_ms: int
    shared: list[Shared]
    others: SharedOthers | UnsetType
    normalise: float
    age: float


class _Factors(NamedTuple):
    """What all shares of an item are multiplied by."""

    idf: float
    repeats: float | UnsetType
    boost: float | UnsetType

    @property
    def product(self) -> float:
        """All of them at once."""
        repeats = 1.0 if self.repeats is UNSET else self.repeats
        boost = 1.0 if self.boost is UNSET else self.boost
        return self.idf * repeats * boost


def _idf(index: Index, p: Parameters, item: int) -> float:
    kind = p.whole[field.IDF]
    if kind == field.IDF_NONE:
        return 1.0
    idf = ln(float(index.counter(field.N_SESSIONS)) / float(index.state.item["df"][item]))
    if kind == field.IDF_ADDED:
        return 1.0 + float(p.real[field.IDF_FACTOR]) * idf
    return idf if idf > 0.0 else 1.0


def _norm(p: Parameters, trail: ExplainTrace) -> float:
    """Return the query's part of what the sum of shared weights is divided by."""
    kind = p.whole[field.NORMALISE]
    if kind == field.NORMALISE_QUERY:
        return float(trail.item.size)
    return math.sqrt(np.square(trail.weight).sum()) if kind == field.NORMALISE_COSINE else 1.0


def _held(trail: ExplainTrace, visits: SessionEvents) -> list[set[int]]:
    """Return the items that each neighbour shares with the query."""
    held: list[set[int]] = [set() for _ in range(trail.slot.size)]
    is_shared = visits.is_newest & np.isin(visits.item, trail.item)
    for at, item in zip(visits.session[is_shared].tolist(), visits.item[is_shared].tolist(), strict=True):
        held[at].add(item)
    return held


def _gifts(
    p: Parameters, trail: ExplainTrace, visits: SessionEvents, votes: F64, wanted: I64
) -> dict[int, list[_Gift]]:
    """Return what neighbours with these *votes* give each *wanted* item, newest neighbour first."""
    by_step = np.full(trail.length + 1, -1, np.int64)
    by_step[trail.item_step] = trail.item
    is_anchor = visits.is_newest & (visits.item == by_step[trail.step][visits.session])
    anchor = np.zeros(trail.slot.size, np.int64)
    anchor[visits.session[is_anchor]] = visits.place[is_anchor]
    counts = np.isin(visits.item, wanted) & (votes > 0.0)[visits.session]
    if p.whole[field.EVERY_TIME] == 0:
        counts &= visits.is_newest
    session, item, is_newest = visits.session[counts], visits.item[counts], visits.is_newest[counts]
    distance = visits.place[counts] - anchor[session]
    place, direction = np.ones(item.size), np.ones(item.size)
    if p.whole[field.PLACE] != 0:
        place = p.place[np.minimum(np.abs(distance), p.place.size - 1)]
        direction[distance < 0] = p.real[field.DIRECTION]
    rows = zip(*(each.tolist() for each in (session, item, is_newest, distance, place, direction)), strict=True)
    elsewhere: dict[tuple[int, int], list[float]] = {}
    gifts: dict[int, list[_Gift]] = {}
    for at, number, newest, far, by_place, by_direction in rows:  # an item's newest event comes after its others
        factor = by_place * by_direction
        if not newest:
            if factor > 0.0:
                elsewhere.setdefault((at, number), []).append(factor)
            continue
        again = elsewhere.pop((at, number), [])
        share = float(votes[at]) * (factor + sum(again))
        if share > 0.0:
            gift = _Gift(at, share, far, by_place, by_direction, len(again), sum(again))
            gifts.setdefault(number, []).append(gift)
    return gifts


def _rules(index: Index, asked: AnsweredQuery, wanted: I64) -> dict[int, tuple[float, int]]:
    """Return, of each *wanted* item that followed the current one, the weight of its rules, and in how many sessions.

    A repeat of the current item is no rule.
    """
    current, rule = asked.seen[-1], asked.p.rule
    holders = index.newest_holders(current, int(asked.p.whole[field.RULES_M]), asked.own)
    visits = index.visits_of(holders)
    starts = np.flatnonzero(visits.item == current)
    weights: dict[int, float] = {}
    sessions: dict[int, set[int]] = {}
    for distance in range(1, rule.size):
        if rule[distance] <= 0.0:
            continue
        starts = starts[starts + distance < visits.item.size]
        starts = starts[visits.session[starts + distance] == visits.session[starts]]
        if not starts.size:
            break
        ends = starts + distance
        ends = ends[np.isin(visits.item[ends], wanted) & (visits.item[ends] != current)]
        for item, session in zip(visits.item[ends].tolist(), visits.session[ends].tolist(), strict=True):
            weights[item] = weights.get(item, 0.0) + float(rule[distance])
            sessions.setdefault(item, set()).add(session)
    return {item: (weight, len(sessions[item])) for item, weight in weights.items()}
