"""The newest items of the catalogue in answers: in places that are kept for them, and to fill what is short.

Most of them have no event yet, so no kernel knows them: they join an answer after it, under the same rules, by names.
Which they are depends on the catalogue, on the watermark and on the session alone. Changes nothing in the state.
"""

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from typing import Final, NamedTuple

import numpy as np

from stream_rec.core.catalogue import Catalogue, CatalogueItem
from stream_rec.core.dtypes import F64, I32
from stream_rec.core.engine.state import EngineState
from stream_rec.core.events import ByListing, Recommendation, Request
from stream_rec.core.model import CompiledRules, Model

__all__ = ["NewestItems", "Touched", "reserved_places"]

_FIRST: Final = 16  # rows that are looked at before any others are ...
_MOST: Final = 4096  # ... and at most so many at a time
_Items = list[Recommendation]
_ROUNDING: Final = 1e-9  # a share such as 0.15 is no sum of halves: what it says in decimals counts


@lru_cache(maxsize=256)
def reserved_places(n: int, share: float) -> tuple[int, ...]:
    """Return the places, from 1, of an answer of *n* items that are for new ones: *share* of any first places, rounded.

    >>> reserved_places(20, 0.1), reserved_places(4, 0.1)
    ((5, 15), ())
    """
    up_to = [math.floor(place * share + 0.5 + _ROUNDING) for place in range(n + 1)]
    return tuple(place for place in range(1, n + 1) if up_to[place] > up_to[place - 1])


class Touched(NamedTuple):
    """What a session, or the query of a request, has touched."""

    current: str | None
    """Its last item."""
    names: frozenset[str]
    """The items that the seen-policy leaves out."""

    @classmethod
    def by(cls, items: Sequence[str], seen: str) -> "Touched":
        """Return it for *items*, oldest first, under the policy *seen*."""
        current = items[-1] if items else None
        if seen == "drop-session":
            return cls(current, frozenset(items))
        return cls(current, frozenset(items[-1:] if seen == "drop-current" else ()))


class _Listed(NamedTuple):
    """Rows of items, the newest first."""

    rows: I32
    back: F64
    """When each was listed, in ms before 1970: ascending."""

    def between(self, since: int | None, until: int | None) -> I32:
        """Return those that were listed after *since*, and not after *until*; None is no bound."""
        begin = 0 if until is None else int(np.searchsorted(self.back, -until, "left"))  # planted bug: newest-early
        end = self.rows.size if since is None else int(np.searchsorted(self.back, -since, "left"))
        return self.rows[begin:end]


class _Order(NamedTuple):
    """The items of one version of the catalogue that the standing rules let in."""

    catalogue: Catalogue
    all: _Listed
    by_category: _Listed
    """Category by category, in the order of their codes."""
    begin: list[int]
    """Where each category begins, and the last one ends."""
    codes: I32
    """[rows] the category of each row, 0 for none."""

    def of_category(self, code: int) -> _Listed:
        """Return the items of one category."""
        part = slice(self.begin[code], self.begin[code + 1])
        return _Listed(self.by_category.rows[part], self.by_category.back[part])


class NewestItems:
    """The newest items of the catalogue of *rules*, for answers from *state*."""

    def __init__(self, state: EngineState, rules: CompiledRules) -> None:
        self._state = state
        self._rules = rules
        self._order: _Order | None = None

    def prepare(self) -> None:
        """Put the items of the catalogue in force in order. O(rows log rows), some 100 ns each."""
        catalogue = self._rules.catalogue
        self._order = None if catalogue is None else self._order_of(catalogue)

    def touched_by(self, session: int | None, request: Request, seen: str) -> Touched:
        """Return what *request*, or else the *session* (an ordinal, None or -1 for none), has touched by now."""
        if request.items is not None or session is None or session < 0:
            return Touched.by(request.items or (), seen)
        items = self._state.index.view.events_of(session)[0]
        names = self._state.items.names
        touched = items[-1:] if seen != "drop-session" else items
        return Touched.by([str(names[item]) for item in touched.tolist()], seen)

    def mixed(self, point: Model, answer: _Items, request: Request, touched: Touched, *, explains: bool) -> _Items:
        """Return the *answer* of *point* to *request* with new items; the same list if it gets none."""
        catalogue = self._rules.catalogue
        if catalogue is None:
            return answer
        order = self._order
        if order is None or order.catalogue is not catalogue:
            order = self._order = self._order_of(catalogue)
        if order.all.rows.size == 0:
            return answer
        fills = point.fallbacks and point.newest_fallback != "none"
        end = len(answer)
        while fills and point.newest_fallback == "before-popular" and end and answer[end - 1].source == "popular":
            end -= 1
        places = reserved_places(point.n, point.newest_share)
        choice = _Choice(order, self._rules, request, touched, answer[: min(end, point.n - len(places))])
        now = self._state.index.view.watermark
        since = None if now is None else now - point.newest_within_ms
        found = choice.newest(len(places), since, now)
        new = [_listed(*each, reserved=True, explains=explains) for each in found]
        room = point.n - len(new)
        choice.keep(answer[len(choice.kept) : end], room)
        fill = choice.newest(room - len(choice.kept), None, now) if fills else ()
        fillers = [_listed(*each, reserved=False, explains=explains) for each in fill]
        before = len(choice.kept)
        choice.keep(answer[end:], room - len(fillers))
        if not new and not fillers:
            return answer
        others: list[Recommendation | None] = [*choice.kept[:before], *[None] * len(fillers), *choice.kept[before:]]
        return _in_places(others, [*new, *fillers], places)

    def _order_of(self, catalogue: Catalogue) -> _Order:
        rows, times, _ = catalogue.newest
        is_in = self._rules.by_catalogue(rows) == 0
        allow = self._rules.rules.allow
        if allow is not None:
            is_in &= np.isin(rows, [catalogue.row(name) for name in allow])
        rows, back = rows[is_in], -times[is_in]
        codes = catalogue.column("category").codes
        by_code = np.argsort(codes[rows], kind="stable")
        begin = np.zeros(int(codes.max(initial=0)) + 2, np.int64)
        np.cumsum(np.bincount(codes[rows], minlength=begin.size - 1), out=begin[1:])
        grouped = _Listed(rows[by_code], back[by_code])
        return _Order(catalogue, _Listed(rows, back), grouped, begin.tolist(), codes)


class _Choice:
    """One answer under way: what it *kept* so far, and what may still come in."""

    def __init__(
        self, order: _Order, rules: CompiledRules, request: Request, touched: Touched, kept: list[Recommendation]
    ) -> None:
        own, catalogue = rules.rules, order.catalogue
        self.kept = kept
        self._order = order
        self._rules = rules
        self._verdict = rules.verdict(request)
        listed = request.allow
        self._allowed = None if listed is None else np.array([catalogue.row(name) for name in listed], np.int32)
        self._category = 0 if touched.current is None else int(order.codes[catalogue.row(touched.current)])
        self._only_alike = own.same_category if request.same_category is None else request.same_category
        self._taken = {*request.exclude, *touched.names, *(each.item_id for each in kept)}
        self._most = request.max_per_category or own.max_per_category
        self._n_alike: Counter[int] = Counter(map(self._code, kept) if self._most else ())

    def keep(self, more: Iterable[Recommendation], room: int) -> None:
        """Keep those of *more*, in order, that are not in the answer and that their categories let in, up to *room*."""
        for each in more:
            if len(self.kept) >= room:
                return
            if each.item_id not in self._taken and self._counts(self._code(each)):
                self._taken.add(each.item_id)
                self.kept.append(each)

    def newest(self, most: int, since: int | None, until: int | None) -> Iterator[tuple[CatalogueItem, bool]]:
        """Yield up to *most* items that were listed in that time, and whether each is of the current item's category.

        Those of that category come first; newest first.
        """
        if most <= 0:
            return
        n = 0
        for row in self._candidates(since, until):
            item = self._order.catalogue.item_at(row)
            if item is None or item.id in self._taken or self._rules.by_list(item.id):
                continue
            code = int(self._order.codes[row])
            if self._counts(code):
                self._taken.add(item.id)
                yield item, code > 0 and code == self._category
                n += 1
                if n == most:
                    return

    def _candidates(self, since: int | None, until: int | None) -> Iterator[int]:
        """Yield the rows that filters and lists let in: the current item's category, then all, if they are allowed."""
        if self._category:
            yield from self._passing(self._order.of_category(self._category).between(since, until))
            if self._only_alike:
                return
        yield from self._passing(self._order.all.between(since, until))

    def _passing(self, rows: I32) -> Iterator[int]:
        size = _FIRST
        while rows.size:
            part, rows = rows[:size], rows[size:]
            if self._verdict is not None:
                part = part[self._verdict[part] != 0]
            if self._allowed is not None:
                part = part[np.isin(part, self._allowed)]
            full = [code for code, n in self._n_alike.items() if code and n == self._most]
            if full:
                part = part[~np.isin(self._order.codes[part], full)]
            yield from part.tolist()
            size = min(4 * size, _MOST)

    def _code(self, item: Recommendation) -> int:
        return int(self._order.codes[self._order.catalogue.row(item.item_id)])

    def _counts(self, code: int) -> bool:
        """Return whether one more item of a category may come in, and count it if so."""
        if self._most is None or code == 0:
            return True
        if self._n_alike[code] >= self._most:
            return False
        self._n_alike[code] += 1
        return True


def _in_places(
    others: Sequence[Recommendation | None], new: Sequence[Recommendation], places: Sequence[int]
) -> list[Recommendation]:
    """Return *others* in their order, and among them *new* in theirs: in *places*, and where there is None."""
    answer = list(others)
    for place in places[: len(new) - others.count(None)]:
        answer.insert(place - 1, None)  # at the end where the answer is shorter
    of_new = iter(new)
    return [next(of_new) if each is None else each for each in answer]


def _listed(item: CatalogueItem, is_alike: bool, *, reserved: bool, explains: bool) -> Recommendation:
    """Return a new item as one of an answer, and why it is there if the answer *explains*."""
    listed_at = item.listed_at or 0
    category = item.category if is_alike else None
    why = ByListing(listed_at, reserved, category) if explains else None
    return Recommendation(item.id, float(listed_at), "newest", why)
