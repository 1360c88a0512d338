"""Why an item was recommended: the neighbours that the kernel chose, and what each contributed, factor by factor.

Computed again from the unchanged state and the trace of the query (`ExplainTrace`): neighbours, similarities and the
two factors that depend on all items come from the trace, all other factors from the formulas. It works on whole
columns, since a neighbour may have ten thousand events. Pure: reads the index, and changes nothing.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

import numpy as np

from stream_rec.core.dtypes import F64, I64
from stream_rec.core.events import (
    ByNeighbours,
    ByPopularity,
    ByTheLast,
    Elsewhere,
    Neighbour,
    OtherParts,
    Others,
    Part,
    Ruled,
    Shared,
    SharedOthers,
    Why,
)
from stream_rec.core.index import ExplainTrace, IndexView, Parameters, SessionEvents, Workspace, exp, field, ln

__all__ = ["EXPLAINED", "AnsweredQuery", "Explaining", "Names", "ScoredItem", "explain"]

EXPLAINED: Final = 50
"""Items of an answer that are explained. With ten neighbours each, and ten shared items of 40 characters for each of
those, they take some 650 kB of JSON; by default a topic takes records of up to 1 MB."""
_NO_BOOSTS: Final[Mapping[int, float]] = {}


class Explaining(NamedTuple):
    """How detailed an explanation is."""

    most: int | None = 10
    """Most neighbours and parts of an item, and most shared items of a neighbour, that are listed. The rest is
    summed up."""

    hide_sessions: bool = False
    """Leave out the session ids of the neighbours, which belong to other visitors."""


class Names(NamedTuple):
    """From ordinals to ids."""

    items: Sequence[str | None]
    sessions: Sequence[str | None]

    def item(self, ordinal: int) -> str:
        """Return the id of an item in use."""
        return str(self.items[ordinal])

    def session(self, ordinal: int) -> str:
        """Return the id of a retained session."""
        return str(self.sessions[ordinal])


class AnsweredQuery(NamedTuple):
    """The last query that was answered in a workspace, in ordinals."""

    p: Parameters
    seen: Sequence[int]
    """All items of the session, or of the query if it brought its own, oldest first."""
    own: int
    """The session that may not be a neighbour, -1 for none."""
    boosts: Mapping[int, float] = _NO_BOOSTS
    """The factors that rules gave the scores of items."""
    workspace: Workspace | None = None
    """Where it was answered; None is the workspace of the index."""


class ScoredItem(NamedTuple):
    """An item of the answer, by ordinal."""

    item: int
    score: float
    source: int


def explain(
    view: IndexView, names: Names, asked: AnsweredQuery, items: Sequence[ScoredItem], how: Explaining
) -> list[Why]:
    """Return why each of *items* is in the answer to *asked*, the last query that was answered in its workspace.

    Some milliseconds; O(events of the neighbours and of the sessions that rules were counted in).
    """
    wanted = np.array([each.item for each in items if each.source == field.NEIGHBOURS], np.int64)
    explainer = _Explainer(view, names, asked, how, wanted) if wanted.size else None
    reasons: list[Why] = []
    for item, score, source in items:
        if explainer is not None and source == field.NEIGHBOURS:
            reasons.append(explainer.why(item))
            continue
        boost = asked.boosts.get(item)
        count, factor = (score, None) if boost is None else (score / boost, boost)
        if source == field.FOLLOWED:
            reasons.append(ByTheLast(names.item(asked.seen[-1]), round(count), factor))
        else:
            reasons.append(ByPopularity(count, view.limits.popular_half_life_ms, factor))
    return reasons


class _Contribution(NamedTuple):
    """What one neighbour contributes to the score of one item."""

    neighbour: int
    """Its place in the trace."""
    share: float
    distance: int
    place: float
    direction: float
    times: int
    """Number of places that count, besides the newest."""
    factor: float
    """Sum of place x direction over those places."""


class _Explainer:
    """Explains items that come from neighbours and rules, from columns computed once for all of them."""

    def __init__(self, view: IndexView, names: Names, asked: AnsweredQuery, how: Explaining, wanted: I64) -> None:
        self._view, self._names, self._asked, self._how = view, names, asked, how
        self._trace = trace = view.trace(asked.workspace)
        self._match = asked.p.match[np.minimum(trace.step, asked.p.match.size - 1)]
        events = view.session_events(trace.session)
        self._shared = shared = _shared_items(trace, events)
        weights = trace.weight[shared.at]
        self._divided = weights / np.bincount(shared.neighbour, weights, trace.session.size)[shared.neighbour]
        self._query = list(zip(trace.item.tolist(), trace.item_step.tolist(), trace.weight.tolist(), strict=True))
        self._norm = _norm(asked.p, trace)
        self._contributions = _contributions(asked.p, trace, events, trace.similarity * self._match * trace.mix, wanted)
        self._rules = _rules(view, asked, wanted) if trace.holders else {}
        self._similar: dict[int, _Similar] = {}

    def why(self, item: int) -> Why:
        """Return the explanation of *item*."""
        how, factors = self._how, self._factors(item)
        factor = factors.product
        contributions = sorted(
            self._contributions.get(item, ()), key=lambda contribution: (-contribution.share, contribution.neighbour)
        )
        listed = [self._neighbour(contribution, factor) for contribution in contributions[: how.most]]
        rest = [contribution.share * factor for contribution in contributions[len(listed) :]]
        others = Others(len(rest), sum(rest)) if rest else None
        rules = self._ruled(item, factor)
        total = sum(each.share for each in listed)
        total += 0.0 if others is None else others.share
        total += 0.0 if rules is None else rules.share
        mix = self._trace.mix if self._trace.holders and contributions else None
        parts = self._parts(contributions, factor)
        return ByNeighbours(
            total, listed, factors.idf, others, rules, mix, factors.repeats, factors.boost, *_listed(parts, how.most)
        )

    def _parts(self, contributions: Sequence["_Contribution"], factor: float) -> list[Part]:
        """Return what each item of the query adds by all neighbours, the largest share first."""
        trace, shared = self._trace, self._shared
        by_neighbour = np.zeros(trace.session.size)
        for contribution in contributions:
            by_neighbour[contribution.neighbour] = contribution.share * factor
        shares = np.bincount(shared.at, self._divided * by_neighbour[shared.neighbour], trace.item.size)
        largest = np.argsort(-shares, kind="stable")  # of equal ones, that of the newest item first
        adding = largest[shares[largest] > 0.0].tolist()
        return [Part(self._names.item(int(trace.item[at])), float(shares[at])) for at in adding]

    def _factors(self, item: int) -> "_Factors":
        repeats: float | None = None
        if self._asked.p.whole[field.REPEATS] and item in self._asked.seen:
            repeats = self._trace.repeats
        return _Factors(_idf(self._view, self._asked.p, item), repeats, self._asked.boosts.get(item))

    def _ruled(self, item: int, factor: float) -> Ruled | None:
        if item not in self._rules:
            return None
        weight, sessions = self._rules[item]
        return Ruled(self._names.item(self._asked.seen[-1]), sessions, weight, weight * factor)

    def _neighbour(self, contribution: _Contribution, factor: float) -> Neighbour:
        at = contribution.neighbour
        trace, similar = self._trace, self._similar_of(at)
        return Neighbour(
            similar.session_id,
            similar.age_ms,
            float(trace.similarity[at]),
            similar.shared,
            similar.normalise,
            similar.age,
            int(trace.step[at]),
            float(self._match[at]),
            contribution.distance,
            contribution.place,
            contribution.direction,
            contribution.share * factor,
            Elsewhere(contribution.times, contribution.factor) if contribution.times else None,
            similar.others,
        )

    def _similar_of(self, at: int) -> "_Similar":
        """Return the part that does not depend on the item, cached: most neighbours are listed with several items."""
        if at not in self._similar:
            self._similar[at] = self._similarity(at)
        return self._similar[at]

    def _similarity(self, at: int) -> "_Similar":
        view, trace, p, how = self._view, self._trace, self._asked.p, self._how
        session = int(trace.session[at])
        record = view.state.session[session]
        is_cosine = p.whole[field.NORMALISE] == field.NORMALISE_COSINE
        age_ms = max(0, view.counter(field.WATERMARK) - int(record["last"]))
        shared = [
            Shared(self._names.item(item), trace.length - step + 1, weight)
            for item, step, weight in map(self._query.__getitem__, self._shared.of(at))
        ]
        listed = shared[: how.most]
        rest = shared[len(listed) :]
        return _Similar(
            None if how.hide_sessions else self._names.session(session),
            age_ms,
            listed,
            SharedOthers(len(rest), sum(each.weight for each in rest)) if rest else None,
            1.0 / (self._norm * (math.sqrt(record["items"]) if is_cosine else 1.0)),
            exp(-float(age_ms) / float(p.real[field.AGE])) if p.real[field.AGE] > 0.0 else 1.0,
        )


class _Similar(NamedTuple):
    """The part of a neighbour that does not depend on the item."""

    session_id: str | None
    age_ms: int
    shared: list[Shared]
    others: SharedOthers | None
    normalise: float
    age: float


class _SharedItems(NamedTuple):
    """The items that neighbours share with the query, [S]: neighbour by neighbour, each newest in the query first."""

    neighbour: I64
    """[S] its place in the trace."""
    at: I64
    """[S] the place of the item in the trace."""

    def of(self, neighbour: int) -> list[int]:
        """Return the places of the items that *neighbour* shares."""
        begin, end = np.searchsorted(self.neighbour, [neighbour, neighbour + 1])
        return self.at[begin:end].tolist()  # type: ignore[no-any-return]


class _Factors(NamedTuple):
    """The factors of all shares of an item."""

    idf: float
    repeats: float | None
    boost: float | None

    @property
    def product(self) -> float:
        """Their product."""
        repeats = 1.0 if self.repeats is None else self.repeats
        boost = 1.0 if self.boost is None else self.boost
        return self.idf * repeats * boost


def _idf(view: IndexView, p: Parameters, item: int) -> float:
    kind = p.whole[field.IDF]
    if kind == field.IDF_NONE:
        return 1.0
    idf = ln(float(view.counter(field.N_SESSIONS)) / float(view.state.item["df"][item]))
    if kind == field.IDF_ADDED:
        return 1.0 + float(p.real[field.IDF_FACTOR]) * idf
    return idf if idf > 0.0 else 1.0


def _norm(p: Parameters, trace: ExplainTrace) -> float:
    """Return the query's part of the divisor of similarity."""
    kind = p.whole[field.NORMALISE]
    if kind == field.NORMALISE_QUERY:
        return float(trace.item.size)
    return math.sqrt(np.square(trace.weight).sum()) if kind == field.NORMALISE_COSINE else 1.0


def _shared_items(trace: ExplainTrace, events: SessionEvents) -> _SharedItems:
    is_shared = events.is_newest & np.isin(events.item, trace.item)
    by_item = np.argsort(trace.item, kind="stable")
    at = by_item[np.searchsorted(trace.item, events.item[is_shared], sorter=by_item)]
    neighbour = events.session[is_shared]
    order = np.lexsort((at, neighbour))
    return _SharedItems(neighbour[order], at[order])


def _listed(parts: list[Part], most: int | None) -> tuple[list[Part], OtherParts | None]:
    listed = parts[:most]
    rest = parts[len(listed) :]
    return listed, OtherParts(len(rest), sum(each.share for each in rest)) if rest else None


def _contributions(
    p: Parameters, trace: ExplainTrace, events: SessionEvents, votes: F64, wanted: I64
) -> dict[int, list[_Contribution]]:
    """Return what neighbours with these *votes* contribute to each *wanted* item, newest neighbour first."""
    by_step = np.full(trace.length + 1, -1, np.int64)
    by_step[trace.item_step] = trace.item
    is_anchor = events.is_newest & (events.item == by_step[trace.step][events.session])
    anchor = np.zeros(trace.session.size, np.int64)
    anchor[events.session[is_anchor]] = events.place[is_anchor]
    counts = np.isin(events.item, wanted) & (votes > 0.0)[events.session]
    if p.whole[field.EVERY_TIME] == 0:
        counts &= events.is_newest
    session, item, is_newest = events.session[counts], events.item[counts], events.is_newest[counts]
    distance = events.place[counts] - anchor[session]
    place, direction = np.ones(item.size), np.ones(item.size)
    if p.whole[field.PLACE] != 0:
        place = p.place[np.minimum(np.abs(distance), p.place.size - 1)]
        direction[distance < 0] = p.real[field.DIRECTION]
    rows = zip(*(each.tolist() for each in (session, item, is_newest, distance, place, direction)), strict=True)
    elsewhere: dict[tuple[int, int], list[float]] = {}
    contributions: dict[int, list[_Contribution]] = {}
    for (
        at,
        wanted_item,
        newest,
        far,
        by_place,
        by_direction,
    ) in rows:  # the newest event of an item comes after its others
        factor = by_place * by_direction
        if not newest:
            if factor > 0.0:
                elsewhere.setdefault((at, wanted_item), []).append(factor)
            continue
        again = elsewhere.pop((at, wanted_item), [])
        share = float(votes[at]) * (factor + sum(again))
        if share > 0.0:
            contribution = _Contribution(at, share, far, by_place, by_direction, len(again), sum(again))
            contributions.setdefault(wanted_item, []).append(contribution)
    return contributions


def _rules(view: IndexView, asked: AnsweredQuery, wanted: I64) -> dict[int, tuple[float, int]]:
    """Return the weight of its rules and the number of their sessions, for each *wanted* item with a rule.

    A repeat of the current item is no rule.
    """
    current, rule = asked.seen[-1], asked.p.rule
    holders = view.newest_holders(current, int(asked.p.whole[field.RULES_M]), asked.own)
    events = view.session_events(holders)
    starts = np.flatnonzero(events.item == current)
    weights: dict[int, float] = {}
    sessions: dict[int, set[int]] = {}
    for distance in range(1, rule.size):
        if rule[distance] <= 0.0:
            continue
        starts = starts[starts + distance < events.item.size]
        starts = starts[events.session[starts + distance] == events.session[starts]]
        if not starts.size:
            break
        ends = starts + distance
        ends = ends[np.isin(events.item[ends], wanted) & (events.item[ends] != current)]
        for item, session in zip(events.item[ends].tolist(), events.session[ends].tolist(), strict=True):
            weights[item] = weights.get(item, 0.0) + float(rule[distance])
            sessions.setdefault(item, set()).add(session)
    return {item: (weight, len(sessions[item])) for item, weight in weights.items()}
