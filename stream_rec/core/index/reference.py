"""Store, model and fallbacks in plain Python, to be read beside the papers.

Slow on purpose: each answer is computed from all retained sessions, by the definitions of the design. Property tests
compare the compiled index with it after every event. It sums and compares fractions, which have no rounding and no
order. What is no fraction (roots, exp, ln) is a float by the kernel's formula, so that scores must agree to the bit.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from fractions import Fraction
from itertools import pairwise
from typing import NamedTuple

from xxhash import xxh3_64_intdigest

from stream_rec.core.events import Event
from stream_rec.core.index.kernel.arithmetic import exp, ln, rounded, rounded_coarsely
from stream_rec.core.limits import DAY_MS, Limits

__all__ = ["Near", "ReferenceQuery", "ReferenceStore", "Scored", "StoredEvent", "Terms", "hash_of"]

_MOST_PLACES = 1024
_SMALLEST_TERM = Fraction(1, 1 << 50)
_PARTS = 1024  # of a half-life
_LN_2 = 0.6931471805599453

Number = Fraction | float
"""A fraction where the formulas have one, else a float."""


class StoredEvent(NamedTuple):
    """An event as a session stores it."""

    time: int
    item: str
    type: str


class Scored(NamedTuple):
    """One item of an answer."""

    item: str
    score: float
    source: str


class Near(NamedTuple):
    """A neighbour: its similarity, the newest item of the query that it shares, and the step of that item."""

    session: str
    similarity: Number
    shared: str
    step: int


class ReferenceQuery(NamedTuple):
    """One point of the parameter space, with formulas as functions; see `model.Model` for their meaning."""

    m: int
    k: int
    n: int
    last: int
    weight: Callable[[int, int, int], Number]
    """(i, L, U) -> w"""
    denominator: Callable[[int, int], int]
    """(L, U) -> a common denominator of the weights, if they are fractions"""
    normalise: str
    age_days: float | None
    match: Callable[[int], Number]
    place: Callable[[int], Number]
    by_place: bool
    """Whether place or direction matters."""
    direction: float
    idf: str
    idf_factor: float
    seen: str
    fallbacks: bool
    rules: float = 0.0
    rules_m: int = 1
    rule: Callable[[int], Number] = lambda _: 0
    repeats: str = "scored"
    require_type: tuple[str, ...] = ()
    min_type_weight: float = 0.0
    sampling: str = "recent"
    sampling_seed: int = 0
    every_time: bool = False
    bonus_type: tuple[str, ...] = ()
    bonus: float = 0.0


class Terms(NamedTuple):
    """All rules of one query together: which items are allowed, how many of a category, and which are boosted."""

    allowed: Callable[[str], bool] = lambda _: True
    factor: Callable[[str], float] = lambda _: 1.0
    category: Callable[[str], str | None] = lambda _: None
    same_category: bool = False
    cap: int | None = None


def hash_of(name: str) -> int:
    """Return the hash that breaks ties."""
    return xxh3_64_intdigest(name.encode())


def mixed(word: int) -> int:
    """Return *word* mixed to 64 bits that look random: the finaliser of SplitMix64."""
    word = (word ^ (word >> 30)) * 0xBF58476D1CE4E5B9 % (1 << 64)
    word = (word ^ (word >> 27)) * 0x94D049BB133111EB % (1 << 64)
    return word ^ (word >> 31)


class ReferenceStore:
    """Retained sessions by id; everything else is computed from them when asked for."""

    def __init__(
        self,
        limits: Limits,
        deny: Sequence[str] = (),
        type_weights: dict[str, float] | None = None,
        cost: Callable[["ReferenceStore"], int] = lambda _: 0,
    ) -> None:
        self.limits = limits
        self.deny = set(deny)
        self.type_weights = type_weights or {}
        self.cost = cost
        self.sessions: dict[str, list[StoredEvent]] = {}
        self.users: dict[str, set[str]] = {}
        self.ids: dict[tuple[str, str], tuple[int, str]] = {}
        """By session and event id, the time of the event, and the session."""
        self.watermark: int | None = None

    # --- events

    def apply(self, event: Event, log_time: int | None = None) -> str:
        """Apply one event, which the log took at *log_time*: `applied`, `late` or `duplicate`."""
        limits, session_id = self.limits, event.session_id
        known = None if event.event_id is None else self.ids.get((session_id, event.event_id))
        if known is not None and self.watermark is not None and known[0] >= self.watermark - limits.window_ms:
            return "duplicate"
        if self.watermark is not None and event.timestamp < self.watermark - limits.lateness_ms:
            return "late"
        if event.event_id is not None:
            self.ids[session_id, event.event_id] = (event.timestamp, session_id)
        reach = event.timestamp if log_time is None else min(event.timestamp, log_time)
        reach = max(reach, event.timestamp - limits.ahead_ms)
        self.watermark = reach if self.watermark is None else max(self.watermark, reach)
        if session_id in self.sessions and self._is_over(session_id, event.timestamp):
            self._drop(session_id)
        stored = self.sessions.setdefault(session_id, [])
        stored.append(StoredEvent(event.timestamp, event.item_id, event.type))
        stored.sort(key=lambda each: each.time)  # stable: equal times stay in log order
        del stored[: -limits.max_session_events]
        if event.user_id is not None:
            self.users.setdefault(session_id, set()).add(event.user_id)
        self._evict()
        return "applied"

    def forget(self, session_id: str | None = None, user_id: str | None = None) -> None:
        """Erase a session, or a user's sessions, with the event ids that came with them."""
        gone = {session_id} if session_id is not None else set()
        gone |= {each for each, users in self.users.items() if user_id in users}
        for each in gone & self.sessions.keys():
            self._drop(each)
        self.ids = {key: value for key, value in self.ids.items() if value[1] not in gone}

    def _is_over(self, session_id: str, time: int) -> bool:
        retention = self.limits.retention_ms
        if retention is None:
            return False
        return time - self.sessions[session_id][-1].time > retention - self.limits.lateness_ms

    def _drop(self, session_id: str) -> None:
        del self.sessions[session_id]
        self.users.pop(session_id, None)

    def _evict(self) -> None:
        assert self.watermark is not None
        for session_id in self.oldest_first():
            retention = self.limits.retention_ms
            is_old = retention is not None and self.sessions[session_id][-1].time < self.watermark - retention
            if not is_old and not self._is_over_limits():
                return
            self._drop(session_id)

    def _is_over_limits(self) -> bool:
        limits = self.limits
        n_events = sum(map(len, self.sessions.values()))
        return (
            (limits.max_sessions is not None and len(self.sessions) > limits.max_sessions)
            or (limits.max_events is not None and n_events > limits.max_events)
            or (limits.max_bytes is not None and self.cost(self) > limits.max_bytes)
        )

    # --- the order and the counts

    def key(self, session_id: str) -> tuple[int, int]:
        """Return the key of a session in the total order."""
        return self.sessions[session_id][-1].time, hash_of(session_id)

    def oldest_first(self) -> list[str]:
        """Return the retained sessions, oldest first."""
        return sorted(self.sessions, key=self.key)

    def newest_first(self) -> list[str]:
        """Return the retained sessions, newest first."""
        return self.oldest_first()[::-1]

    def items(self, session_id: str) -> set[str]:
        """Return the distinct items of a session."""
        return {event.item for event in self.sessions[session_id]}

    def df(self, item: str) -> int:
        """Return how many retained sessions hold *item*."""
        return sum(item in self.items(session_id) for session_id in self.sessions)

    # --- answers

    def answer_session(
        self, session_id: str, query: ReferenceQuery, exclude: Sequence[str] = (), terms: Terms | None = None
    ) -> list[Scored]:
        """Answer for a session from its own events."""
        events = [event.item for event in self.sessions.get(session_id, [])]
        return self.answer(events, query, own=session_id, exclude=exclude, terms=terms)

    def answer(
        self,
        events: Sequence[str],
        query: ReferenceQuery,
        own: str | None = None,
        exclude: Sequence[str] = (),
        terms: Terms | None = None,
    ) -> list[Scored]:
        """Answer for the items *events*, oldest first; session *own* may not be a neighbour."""
        terms = terms or Terms()
        blocked = self.deny | set(exclude) | self._not_allowed(terms, events[-1] if events else None)
        if query.seen == "drop-session":
            blocked |= set(events)
        elif query.seen == "drop-current":
            blocked |= set(events[-1:])
        asked = list(events[max(0, len(events) - query.last) :])
        sums = self._from_neighbours(asked, query, own)
        scores = {item: self._weighed(item, float(score), query) for item, score in sums.items()}
        if query.repeats == "counted":
            scores = self._with_repeats_counted(scores, set(events), blocked)
        answer: list[Scored] = []
        self._add_best(answer, scores, "neighbours", blocked, query.n, terms)
        if query.fallbacks:
            if asked:
                followers = self._followers(asked[-1], query.m, own)
                self._add_best(answer, followers, "followed", blocked, query.n, terms)
            self._add_best(answer, self.popularity(), "popular", blocked, query.n, terms)
        return answer

    def _not_allowed(self, terms: Terms, current: str | None) -> set[str]:
        """Return the items of retained sessions that the rules exclude."""
        retained = {event.item for stored in self.sessions.values() for event in stored}
        gone = {item for item in retained if not terms.allowed(item)}
        category = None if current is None else terms.category(current)
        if terms.same_category and category is not None:
            gone |= {item for item in retained if terms.category(item) != category}
        return gone

    @staticmethod
    def _add_best(
        answer: list[Scored], scores: Mapping[str, Number], source: str, blocked: set[str], n: int, terms: Terms
    ) -> None:
        """Add the best of *scores* in order, without items that are in the answer, and without full categories."""
        weighed = [(rounded(float(score) * terms.factor(item)), hash_of(item), item) for item, score in scores.items()]
        for score, _, item in sorted(weighed, reverse=True):
            category = terms.category(item)
            n_alike = sum(category is not None and terms.category(each.item) == category for each in answer)
            is_full = terms.cap is not None and n_alike >= terms.cap
            if (
                len(answer) < n
                and score > 0
                and item not in {*blocked, *(each.item for each in answer)}
                and not is_full
            ):
                answer.append(Scored(item, score, source))

    def neighbours(self, events: Sequence[str], query: ReferenceQuery, own: str | None) -> list[Near]:
        """Return the neighbours of the items *events*, of which there are at most `last`, newest first."""
        length = len(events)
        newest_place = {item: i for i, item in enumerate(events, 1)}
        items = sorted(newest_place, key=lambda item: -newest_place[item])  # newest first
        weights = {item: query.weight(newest_place[item], length, len(items)) for item in items}
        sample = [each for each in self.newest_first() if each != own and self.items(each) & weights.keys()]
        sample = [each for each in sample if self._passes(each, query)]
        if query.sampling != "recent":
            in_common = {each: len(self.items(each) & weights.keys()) for each in sample}
            best_first = sorted(sample, key=lambda each: self._sampling_key(each, query, in_common[each]), reverse=True)
            kept = set(best_first[: query.m])
            sample = [each for each in sample if each in kept]
        sample = sample[: query.m]
        similarity = {each: self._similarity(each, length, weights, query) for each in sample}
        keys = {each: self._comparable(each, weights, similarity[each], query) for each in sample}
        ranked = sorted(range(len(sample)), key=lambda place: (-keys[sample[place]], place))
        neighbours = [sample[place] for place in sorted(ranked[: query.k])]  # newest first
        if query.rules == 1.0:
            neighbours = []
        shared = {each: next(item for item in items if item in self.items(each)) for each in neighbours}
        steps = {each: length - newest_place[shared[each]] + 1 for each in neighbours}
        return [Near(each, similarity[each], shared[each], steps[each]) for each in neighbours]

    def _from_neighbours(self, events: list[str], query: ReferenceQuery, own: str | None) -> dict[str, Fraction]:
        neighbours = self.neighbours(events, query, own)
        votes = {each.session: self.vote(each, query) for each in neighbours}
        scores, factor = self._rules(events, query, own, votes.values())
        largest = max((Fraction(vote) for vote in votes.values()), default=Fraction(0))
        for each in neighbours:
            vote = votes[each.session] if query.rules == 0.0 else float(votes[each.session]) * factor
            least = largest * Fraction(factor) * _SMALLEST_TERM
            self._add_items(each.session, vote, least, each.shared, query, scores)
        return scores

    @staticmethod
    def vote(near: Near, query: ReferenceQuery) -> Number:
        """Return similarity times match: a fraction if nothing else of the model is none."""
        match = query.match(near.step)
        if isinstance(near.similarity, float) or isinstance(match, float) or query.by_place or query.rules > 0.0:
            return float(near.similarity) * float(match)
        return near.similarity * match

    def _with_repeats_counted(self, scores: dict[str, float], seen: set[str], blocked: set[str]) -> dict[str, float]:
        """Scale the scores of the items *seen* to the share that repeats have of all events but sessions' first."""
        n_events = sum(map(len, self.sessions.values()))
        n_held = sum(len(self.items(each)) for each in self.sessions)
        counted = {item: Fraction(score) for item, score in scores.items() if item not in blocked}
        old = float(sum((score for item, score in counted.items() if item in seen), Fraction(0)))
        new = float(sum((score for item, score in counted.items() if item not in seen), Fraction(0)))
        repeats, others = float(n_events - n_held), float(n_held - len(self.sessions))
        if repeats == 0.0:
            return {item: 0.0 if item in seen else score for item, score in scores.items()}
        if not (old > 0.0 and new > 0.0 and others > 0.0):
            return scores
        factor = (repeats * new) / (others * old)
        return {item: score * factor if item in seen else score for item, score in scores.items()}

    def _rules(
        self, events: list[str], query: ReferenceQuery, own: str | None, votes: Iterable[Number]
    ) -> tuple[dict[str, Fraction], float]:
        """Return the scores of items by sequential rules, and the weight of a neighbour's vote beside them."""
        scores: dict[str, Fraction] = {}
        if query.rules == 0.0 or not events:
            return scores, 1.0
        current = events[-1]
        holders = [each for each in self.newest_first() if each != own and current in self.items(each)]
        n_found = 0
        for each in holders[: query.rules_m]:
            stored = [event.item for event in self.sessions[each]]
            pairs = [
                (stored[after], query.rule(after - place))
                for place, item in enumerate(stored)
                for after in range(place + 1, len(stored))
                if item == current != stored[after] and query.rule(after - place) > 0
            ]
            for follower, value in pairs:
                scores[follower] = scores.get(follower, Fraction(0)) + Fraction(float(value))
            n_found += bool(pairs)
        if not n_found:
            return scores, 1.0
        total = float(sum((Fraction(vote) for vote in votes), Fraction(0)))
        return scores, (1.0 - query.rules) * n_found / (query.rules * (total if total > 0.0 else 1.0))

    def _passes(self, session_id: str, query: ReferenceQuery) -> bool:
        stored = self.sessions[session_id]
        total = self._weight_of(stored)
        has_type = not query.require_type or any(event.type in query.require_type for event in stored)
        return has_type and rounded(total / len(stored)) >= rounded(query.min_type_weight)

    def _sampling_key(self, session_id: str, query: ReferenceQuery, n_shared: int) -> tuple[float, tuple[int, int]]:
        """Return the key that a session is sampled by, the larger first; of equal keys the newer first."""
        return {
            "common-items": lambda: float(n_shared),
            "random": lambda: float(mixed(hash_of(session_id) ^ mixed(query.sampling_seed)) >> 11),
            "weighted-events": lambda: self._mean_weight(session_id, query),
        }[query.sampling](), self.key(session_id)

    def _mean_weight(self, session_id: str, query: ReferenceQuery) -> float:
        stored = self.sessions[session_id]
        mean = self._weight_of(stored) / len(stored)
        earns = any(event.type in query.bonus_type for event in stored)
        return rounded(mean + query.bonus if earns else mean)

    def _weight_of(self, stored: list[StoredEvent]) -> float:
        total = 0.0
        for event in stored:
            total += self.type_weights.get(event.type, 1.0)
        return total

    def _similarity(self, session_id: str, length: int, weights: dict[str, Number], query: ReferenceQuery) -> Number:
        """Return the similarity: a fraction if it is one; else in floats, from whole numbers as long as there are."""
        shared = [weight for item, weight in weights.items() if item in self.items(session_id)]
        distinct = len(weights)
        exact = [weight for weight in shared if isinstance(weight, Fraction)]
        if exact and query.normalise != "cosine" and query.age_days is None:
            return sum(exact, Fraction(0)) / (distinct if query.normalise == "query" else 1)
        whole = query.denominator(length, distinct) if exact else 1
        total = 0.0
        for weight in shared:  # newest first
            total += float(weight * whole)
        if query.normalise == "query":
            total /= float(whole * distinct)
        elif query.normalise == "cosine":
            squares = 0.0
            for weight in weights.values():
                squares += float(weight * whole) * float(weight * whole)
            total /= math.sqrt(squares) * math.sqrt(float(len(self.items(session_id))))
        else:
            total /= float(whole)
        if query.age_days is not None:
            assert self.watermark is not None
            age = max(0, self.watermark - self.sessions[session_id][-1].time)
            total *= exp(-float(age) / (query.age_days * DAY_MS))
        return total

    def _comparable(
        self, session_id: str, weights: dict[str, Number], similarity: Number, query: ReferenceQuery
    ) -> Number:
        """Return what a similarity is compared by: itself, its square, or itself rounded."""
        held = self.items(session_id)
        exact = [weight for item, weight in weights.items() if item in held and isinstance(weight, Fraction)]
        if exact and query.normalise == "cosine" and query.age_days is None:
            return sum(exact, Fraction(0)) ** 2 / len(held)
        return rounded(similarity) if isinstance(similarity, float) else similarity

    def _add_items(
        self,
        session_id: str,
        vote: Number,
        least: Fraction,
        shared: str,
        query: ReferenceQuery,
        scores: dict[str, Fraction],
    ) -> None:
        places = [(event.item, place) for place, event in enumerate(self.sessions[session_id])]
        newest = dict(places)
        for item, place in places if query.every_time else newest.items():
            factor = query.place(min(abs(place - newest[shared]), _MOST_PLACES - 1))
            value = vote * factor if isinstance(factor, float) else vote if factor == 1 else 0
            if place < newest[shared]:
                value = value if query.direction == 1.0 else float(value) * query.direction
            if value > 0 and value >= least:
                scores[item] = scores.get(item, Fraction(0)) + Fraction(value)

    def _weighed(self, item: str, score: float, query: ReferenceQuery) -> float:
        if query.idf == "none":
            return score
        idf = ln(float(len(self.sessions)) / float(self.df(item)))
        if query.idf == "added":
            return score * (1.0 + query.idf_factor * idf)
        return score * idf if idf > 0.0 else score

    def _followers(self, item: str, m: int, own: str | None) -> dict[str, float]:
        scores: dict[str, float] = {}
        holders = [each for each in self.newest_first() if each != own and item in self.items(each)]
        for each in holders[:m]:
            stored = self.sessions[each]
            for before, after in pairwise(stored):
                if before.item == item != after.item:
                    scores[after.item] = scores.get(after.item, 0.0) + 1.0
        return scores

    def popularity(self) -> dict[str, float]:
        """Return the decayed counts of all items that have one."""
        if self.watermark is None:
            return {}
        now = _part_of(self.watermark, self.limits.popular_half_life_ms)
        sums: dict[str, Fraction] = {}
        for stored in self.sessions.values():
            for event in stored:
                part = _part_of(event.time, self.limits.popular_half_life_ms)
                if part // (4 * _PARTS) > now // (4 * _PARTS) - 8:
                    sums[event.item] = sums.get(event.item, Fraction(0)) + _weight_of(part, now)
        return {item: rounded_coarsely(float(total)) / float(_weight_of(now, now)) for item, total in sums.items()}


def _part_of(time: int, half_life: int) -> int:
    """Return how many parts of a half-life there are from 1970 to *time*."""
    return time * _PARTS // half_life


def _weight_of(part: int, now: int) -> Fraction:
    """Return 2**(part / 1024) in units of the half-life of *now*, its mantissa rounded to 20 binary places."""
    mantissa = math.floor(exp(part % _PARTS / _PARTS * _LN_2) * (1 << 20) + 0.5)
    return Fraction(mantissa, 1 << 20) * Fraction(2) ** (part // _PARTS - now // _PARTS)
