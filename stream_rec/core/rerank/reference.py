"""Candidates and features in plain Python, from the definitions; the compiled kernel is compared with it."""

import math
from collections.abc import Sequence
from itertools import islice

from stream_rec.core.index.kernel.arithmetic import exp, ln
from stream_rec.core.index.reference import Near, ReferenceQuery, ReferenceStore, StoredEvent, hash_of
from stream_rec.core.rerank.kernel import fields

__all__ = ["AsOf", "candidates"]


class AsOf(ReferenceStore):
    """A store as a question sees it that is put back to *now*, ms: neighbours and holders had ended by then."""

    def __init__(self, store: ReferenceStore, now: int) -> None:
        super().__init__(store.limits, sorted(store.deny), store.type_weights)
        self.sessions = store.sessions
        self.watermark = now
        self.now = now
        self.present = store

    def newest_first(self) -> list[str]:
        """Return the retained sessions that had ended, newest first."""
        return [each for each in super().newest_first() if self.sessions[each][-1].time <= self.now]

    def popularity(self) -> dict[str, float]:
        """Return what is popular in the present."""
        return self.present.popularity()


def candidates(
    store: ReferenceStore, events: Sequence[str], query: ReferenceQuery, own: str | None, returns: Sequence[float]
) -> dict[str, list[int]]:
    """Return the candidates for *events*, the items of a session so far, with their features in 1 / SCALE.

    *query* has as many items as there are candidates of the model, and no fallbacks.
    """
    scores = {each.item: each.score for each in store.answer(events, query, own=own)}
    blocked = store.deny | (
        set(events) if query.seen == "drop-session" else set(events[-1:]) if query.seen == "drop-current" else set()
    )
    popularity = store.popularity()
    trending = sorted(
        (item for item, value in popularity.items() if value > 0 and item not in store.deny),
        key=lambda item: (-popularity[item], -hash_of(item)),
    )
    backs: dict[str, list[int]] = {}
    for back, item in enumerate(islice(reversed(events), fields.MOST_BACK)):
        if item not in blocked and (item in scores or store.df(item)):
            backs.setdefault(item, []).append(back)
    listed = [*scores, *backs, *(item for item in trending[: fields.N_TRENDING] if item not in blocked)]
    asked = list(events[max(0, len(events) - query.last) :])
    sums = _Sums(store, asked, query, own, frozenset(listed))
    total = sum(scores.get(item, 0.0) for item in scores) or 1.0
    return {
        item: _features(store, sums, item, scores.get(item, 0.0) / total, backs.get(item, []), returns, events, own)
        for item in dict.fromkeys(listed)
    }


def _moment_of(store: ReferenceStore, own: str | None) -> int:
    """Return the moment that ages are counted to."""
    if not isinstance(store, AsOf) and own in store.sessions:
        return store.sessions[own][-1].time
    assert store.watermark is not None
    return store.watermark


class _Sums:
    """What neighbours and holders say of the items *wanted*: `of` by item and field, `total` by field."""

    def __init__(
        self, store: ReferenceStore, asked: list[str], query: ReferenceQuery, own: str | None, wanted: frozenset[str]
    ) -> None:
        self.now = _moment_of(store, own)
        self.of = {item: [0.0] * fields.N_SUMS for item in wanted}
        self.total = [0.0] * fields.N_TOTALS
        self.n_neighbours = 0
        near = store.neighbours(asked, query, own)
        self.n_neighbours = len(near)
        for each in near:
            self._add_neighbour(store.sessions[each.session], each, query)
        previous = [item for item in asked if item != asked[-1]]
        for rank, session in enumerate(self._holders(store, asked[-1:], own)[: query.rules_m]):
            self._add_holder(store.sessions[session], asked[-1], rank)
        for session in self._holders(store, previous[-1:], own)[: query.rules_m // 2]:
            self._add_previous([event.item for event in store.sessions[session]], previous[-1])

    @staticmethod
    def _holders(store: ReferenceStore, item: list[str], own: str | None) -> list[str]:
        return [each for each in store.newest_first() if each != own and store.items(each) & set(item)]

    def _add(self, item: str, field: int, value: float) -> None:
        if item in self.of:
            self.of[item][field] += value

    def _add_neighbour(self, stored: list[StoredEvent], near: Near, query: ReferenceQuery) -> None:
        vote = float(ReferenceStore.vote(near, query))
        fresh = vote * exp(-float(max(0, self.now - stored[-1].time)) / fields.FRESH_MS)
        self.total[fields.ALL_VOTES] += vote
        self.total[fields.ALL_FRESH_VOTES] += fresh
        anchor = max(place for place, event in enumerate(stored) if event.item == near.shared)
        for place, event in enumerate(stored):
            distance = abs(place - anchor)
            if distance > fields.WINDOW:
                continue
            factor = float(query.place(distance)) * (query.direction if place < anchor else 1.0)
            self._add(event.item, fields.VOTES, vote * factor)
            self._add(event.item, fields.FRESH_VOTES, fresh * factor)
            if place == anchor + 1:
                self._add(event.item, fields.NEXT_VOTES, vote)

    def _add_holder(self, stored: list[StoredEvent], current: str, rank: int) -> None:
        items = [event.item for event in stored]
        by_rank = exp(-min(rank, 511) / fields.RANK_DECAY)
        by_hour = exp(-float(max(0, self.now - stored[-1].time)) / fields.HOUR_MS)
        for place in (place for place, item in enumerate(items) if item == current):
            self.total[fields.ALL_PLACES] += 1.0
            later = [(d, item) for d, item in enumerate(items[place + 1 :], 1) if d <= fields.REACH and item != current]
            self.total[fields.WITH_LATER] += bool(later)
            for distance, item in later:
                self._add(item, fields.LATER_FOLLOWS, 1.0 / distance)
                self._add(item, fields.BESIDE, 1.0)
                if distance == 1:
                    self.total[fields.ALL_FOLLOWS] += 1.0
                    self.total[fields.ALL_FRESH_FOLLOWS] += by_rank
                    self._add(item, fields.FOLLOWS, 1.0)
                    self._add(item, fields.FRESH_FOLLOWS, by_rank)
                    self._add(item, fields.HOUR_FOLLOWS, by_hour)
            for distance, item in enumerate(reversed(items[:place]), 1):
                if distance > fields.REACH or item == current:
                    continue
                self._add(item, fields.BESIDE, 1.0)
                if distance == 1:
                    self.total[fields.ALL_PRECEDES] += 1.0
                    self._add(item, fields.PRECEDES, 1.0)

    def _add_previous(self, items: list[str], previous: str) -> None:
        for place in (place for place, item in enumerate(items) if item == previous):
            later = [(d, item) for d, item in enumerate(items[place + 1 :], 1) if item != previous]
            later = [(d, item) for d, item in later if d <= fields.SHORT_REACH]
            self.total[fields.WITH_LATER_PREVIOUS] += bool(later)
            for distance, item in later:
                self._add(item, fields.FOLLOWS_PREVIOUS, 1.0 / distance)


def _features(
    store: ReferenceStore,
    sums: _Sums,
    item: str,
    share: float,
    backs: list[int],
    returns: Sequence[float],
    events: Sequence[str],
    own: str | None,
) -> list[int]:
    of, total = sums.of[item], sums.total
    votes = total[fields.ALL_VOTES] or 1.0
    ages = [sums.now - store.sessions[each][-1].time for each in store.newest_first() if each != own]
    held = [item in store.items(each) for each in store.newest_first() if each != own]
    ages = [max(0, age) for age, holds in zip(ages, held, strict=True) if holds]

    def share_of(field: int, whole: float) -> float:
        return fields.SHARE_SCALE * ln(of[field] / whole + fields.LEAST_SHARE)

    def age_of(nth: int) -> float:
        age = ages[nth - 1] if nth <= len(ages) else fields.LONGEST_AGE
        return fields.AGE_SCALE * ln(age / 1000.0 + 1.0)

    fresh_follows = total[fields.ALL_FRESH_FOLLOWS] + 0.3
    values = [
        ln(share + fields.LEAST_BASE),
        share_of(fields.VOTES, votes),
        share_of(fields.FRESH_VOTES, total[fields.ALL_FRESH_VOTES] or 1.0),
        share_of(fields.NEXT_VOTES, votes),
        share_of(fields.FOLLOWS, total[fields.ALL_FOLLOWS] + 1.0),
        share_of(fields.FRESH_FOLLOWS, fresh_follows),
        fields.SHARE_SCALE * ln(of[fields.HOUR_FOLLOWS] + fields.LEAST_HOURLY),
        share_of(fields.LATER_FOLLOWS, total[fields.WITH_LATER] + 1.0),
        share_of(fields.FOLLOWS_PREVIOUS, total[fields.WITH_LATER_PREVIOUS] + 1.0),
        share_of(fields.PRECEDES, total[fields.ALL_PRECEDES] + 1.0),
        share_of(fields.BESIDE, total[fields.ALL_PLACES] + 1.0),
        2.0 * of[fields.FRESH_FOLLOWS] / fresh_follows,
        *(age_of(nth) for nth in (1, 4, 16, 64)),
        fields.AGE_SCALE * ln((ages[-1] if ages else 0) / 60_000.0 + 1.0),
        fields.SHARE_SCALE * ln(store.df(item) + 1.0),
        1.0 if backs else 0.0,
        1.0 if backs and backs[0] == 0 else 0.0,
        ln(1.0 + backs[0]) if backs else 0.0,
        ln(float(len(backs))) if backs else 0.0,
        returns[backs[0]] if backs else 0.0,
        0.5 * ln(float(max(1, len(events)))),
        0.2 * ln(1.0 + total[fields.ALL_FOLLOWS]),
        0.2 * ln(1.0 + sums.n_neighbours),
    ]
    return [min(max(math.floor(value * fields.SCALE + 0.5), -32767), 32767) for value in values]
