"""Explanations compared with the plain twin: every neighbour, every factor, and the sum."""

from collections.abc import Sequence
from fractions import Fraction
from typing import Final

import pytest
from laws import DAY_MS, Twins, plain, query_of

from stream_rec.core.events import ByNeighbours, ByPopularity, ByTheLast, Neighbour, Recommendation
from stream_rec.core.index import exp
from stream_rec.core.index.reference import Near, ReferenceQuery, ReferenceStore
from stream_rec.core.model import Explaining, Model

ALL: Final = Explaining(most=None)


def close(value: float | Fraction) -> object:
    """Return *value* with a tolerance of 1e-9, relative if it is large."""
    return pytest.approx(float(value), rel=1e-9, abs=1e-9)


def compare_reasons(
    twins: Twins, point: Model, own: str | None, items: Sequence[str] | None = None, exclude: Sequence[str] = ()
) -> None:
    """Assert that every item of an answer is explained as by the plain twin, in full and with lists of one."""
    engine = twins.engine
    unasked = engine.ask(point, session_id=own, items=items, exclude=exclude)
    explained = engine.ask(point, session_id=own, items=items, exclude=exclude, how=ALL)
    briefly = engine.ask(point, session_id=own, items=items, exclude=exclude, how=Explaining(1, hide_sessions=True))
    assert plain(unasked) == plain(explained) == plain(briefly)
    seen = list(items) if items is not None else [event.item for event in twins.reference.sessions.get(own or "", [])]
    expected = Expected(twins.reference, query_of(point), seen, own)
    for each, short in zip(explained, briefly, strict=True):
        match each.why:
            case ByNeighbours():
                assert "neighbours" == each.source
                expected.check_neighbours(each, each.why)
                check_brief(each.why, short.why)
            case ByTheLast(after, count):
                assert ("followed", seen[-1], each.score) == (each.source, after, count)
                assert expected.followers[each.item_id] == count
            case ByPopularity(count, half_life_ms):
                assert ("popular", each.score) == (each.source, count)
                assert engine.limits.popular_half_life_ms == half_life_ms
            case _:
                pytest.fail("it has no reason")


def check_brief(why: ByNeighbours, brief: object) -> None:
    """Assert that each list has one entry, without session id, and that the rest is summed up."""
    assert isinstance(brief, ByNeighbours)
    assert close(why.total) == brief.total
    assert len(brief.neighbours) == min(1, len(why.neighbours))
    rest = sum(each.share for each in why.neighbours[1:])
    assert (len(why.neighbours) > 1) == bool(brief.others)
    if brief.others:
        assert (len(why.neighbours) - 1, close(rest)) == (brief.others.neighbours, brief.others.share)
    assert why.parts[:1] == brief.parts
    assert (len(why.parts) > 1) == bool(brief.other_parts)
    if brief.other_parts:
        rest = sum(each.share for each in why.parts[1:])
        assert (len(why.parts) - 1, close(rest)) == (brief.other_parts.items, brief.other_parts.share)
    for long, short in zip(why.neighbours, brief.neighbours, strict=False):
        assert short.session_id is None
        assert (long.share, long.shared[:1]) == (short.share, short.shared)
        assert (len(long.shared) > 1) == bool(short.shared_others)
        if short.shared_others:
            weight = sum(each.weight for each in long.shared[1:])
            assert (len(long.shared) - 1, close(weight)) == (short.shared_others.items, short.shared_others.weight)


class Expected:
    """The plain twin's explanation of one query."""

    def __init__(self, store: ReferenceStore, query: ReferenceQuery, seen: list[str], own: str | None) -> None:
        self.store, self.query, self.seen = store, query, seen
        self.asked = seen[max(0, len(seen) - query.last) :]
        near = [] if query.rules == 1.0 else store.neighbours(self.asked, query, own)
        self.near = {each.session: each for each in near}
        self.followers = store._followers(seen[-1], query.m, own) if seen else {}
        votes = [store.vote(each, query) for each in near]
        self.rules, self.mix = store._rules(self.asked, query, own, votes)
        self.own = own

    def check_neighbours(self, item: Recommendation, why: ByNeighbours) -> None:
        """Check the sum, the neighbours and their factors, the rules, and the factors of the item."""
        parts = [*(each.share for each in why.neighbours), why.rules.share if why.rules else 0.0]
        assert not why.others
        assert close(item.score) == close(sum(parts)) == why.total
        assert close(item.score) == sum(each.share for each in why.parts) + parts[-1]
        self.check_parts(why)
        assert sorted(parts[:-1], reverse=True) == parts[:-1]
        query = self.query
        repeats = why.repeats or 1.0
        assert ("counted" == query.repeats and item.item_id in self.seen) == bool(why.repeats)
        assert close(self.store._weighed(item.item_id, 1.0, query)) == why.idf
        assert not why.boost
        named = [each.session_id for each in why.neighbours]
        assert {name for name in self.near if self.places(name, item.item_id)} == set(named)
        assert len(set(named)) == len(named)
        assert (close(self.mix) if self.rules and named else 0.0) == (why.mix or 0.0)
        for each in why.neighbours:
            self.check_neighbour(each, self.near[str(each.session_id)], item.item_id)
            at_item = each.place * each.direction + (each.again.factor if each.again else 0.0)
            factors = (why.mix or 1.0) * repeats * why.idf
            assert close(each.similarity * each.match * at_item * factors) == each.share
        weight = float(self.rules.get(item.item_id, 0))
        assert (weight > 0.0) == bool(why.rules)
        if why.rules:
            assert (self.seen[-1], close(weight)) == (why.rules.after, why.rules.weight)
            assert close(weight * repeats * why.idf) == why.rules.share
            assert self.n_followed(item.item_id) == why.rules.sessions

    def check_parts(self, why: ByNeighbours) -> None:
        """Check what each item of the query adds: neighbours' shares, divided by the weights of the shared items."""
        added: dict[str, float] = {}
        for each in why.neighbours:
            weights = sum(shared.weight for shared in each.shared)
            for shared in each.shared:
                added[shared.item_id] = added.get(shared.item_id, 0.0) + each.share * shared.weight / weights
        assert {name: close(share) for name, share in added.items() if share > 0.0} == {
            each.item_id: each.share for each in why.parts
        }
        shares = [each.share for each in why.parts]
        assert sorted(shares, reverse=True) == shares
        assert not why.other_parts

    def check_neighbour(self, explained: Neighbour, near: Near, item: str) -> None:
        """Check similarity and step to the bit, and the factors of the similarity."""
        query, store = self.query, self.store
        assert (float(near.similarity), near.step) == (explained.similarity, explained.step)
        assert float(query.match(near.step)) == explained.match
        last_ms = store.sessions[near.session][-1].time
        assert max(0, (store.watermark or 0) - last_ms) == explained.age_ms
        age = 1.0 if query.age_days is None else exp(-explained.age_ms / (query.age_days * DAY_MS))
        assert close(age) == explained.age
        newest = {name: position for position, name in enumerate(self.asked, 1)}
        shared = sorted(((newest[name], name) for name in newest if name in store.items(near.session)), reverse=True)
        weights = [query.weight(position, len(self.asked), len(newest)) for position, _ in shared]
        assert [(name, position) for position, name in shared] == [
            (each.item_id, each.position) for each in explained.shared
        ]
        assert close(weights[0]) == explained.shared[0].weight
        assert close(float(sum(weights)) * explained.normalise * age) == float(near.similarity)
        places = self.places(near.session, item)
        items_held = [event.item for event in store.sessions[near.session]]
        anchor = len(items_held) - 1 - items_held[::-1].index(near.shared)
        newest_place = len(items_held) - 1 - items_held[::-1].index(item)
        assert newest_place - anchor == explained.distance
        assert close(query.place(abs(explained.distance))) == explained.place
        assert (query.direction if explained.distance < 0 else 1.0) == explained.direction
        elsewhere = [factor for place, factor in places if place != newest_place]
        assert (len(elsewhere), close(sum(elsewhere))) == (
            (explained.again.times, explained.again.factor) if explained.again else (0, 0.0)
        )

    def places(self, session: str, item: str) -> list[tuple[int, float]]:
        """Return where *item* counts in a neighbour, with place x direction; [] if the neighbour does not count."""
        near, query = self.near[session], self.query
        if near.similarity * query.match(near.step) <= 0:
            return []
        items_held = [event.item for event in self.store.sessions[session]]
        anchor = len(items_held) - 1 - items_held[::-1].index(near.shared)
        all_places = [place for place, name in enumerate(items_held) if name == item]
        values = [
            (place, float(query.place(abs(place - anchor))) * (query.direction if place < anchor else 1.0))
            for place in (all_places if query.every_time else all_places[-1:])
        ]
        return [(place, value) for place, value in values if value > 0.0]

    def n_followed(self, item: str) -> int:
        """Return in how many of the sessions with counted rules *item* follows the current one near enough."""
        current, store = self.seen[-1], self.store
        holders = [each for each in store.newest_first() if each != self.own and current in store.items(each)]
        items_held = [[event.item for event in store.sessions[each]] for each in holders[: self.query.rules_m]]
        return sum(
            any(
                items[before] == current and items[after] == item and self.query.rule(after - before) > 0
                for before in range(len(items))
                for after in range(before + 1, len(items))
            )
            for items in items_held
        )
