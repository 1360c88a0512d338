"""Lists for no session: what trends, and what is the newest of the catalogue, under the rules that answers obey.

Changes nothing in the state. Knows nothing of queries; what is popular is an answer like any other, without a query.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import Final, NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt

from stream_rec.core.catalogue import Catalogue
from stream_rec.core.dtypes import F64, I32, U64
from stream_rec.core.engine.state import EngineState
from stream_rec.core.events import Recommendation, Request
from stream_rec.core.limits import Limits
from stream_rec.core.model import CompiledRules
from stream_rec.errors import SettingsError

__all__ = ["ItemLists", "trending_half_life", "within_category"]

_LONGEST_MS: Final = 100 * 366 * 86_400_000
_USUAL_PART: Final = 24
_FIRST: Final = 256  # candidates that are sorted before any others are

Indices = npt.NDArray[np.intp]


def trending_half_life(given: int | None, limits: Limits) -> int:
    """Return the half-life, ms, of the events that trends are found in; None is a 24th of that of popularity.

    Raises SettingsError for one that is not shorter than that of popularity, which trends are held against.
    """
    long = limits.popular_half_life_ms
    if given is None:
        return max(1, min(_LONGEST_MS, long // _USUAL_PART))
    if not 1 <= given < long:
        message = (
            f"is {given} ms, and must be shorter than popular_half_life ({long} ms), which trends are held against"
        )
        raise SettingsError("trending_half_life", f"{message}; lower it, or raise popular_half_life")
    return min(_LONGEST_MS, given)


def within_category(request: Request, category: str, catalogue: Catalogue | None) -> Request | None:
    """Return *request* for items of *category* alone; None if no item of the *catalogue* has it.

    Raises SettingsError without a catalogue.
    """
    if catalogue is None:
        raise SettingsError("category", "there is no catalogue to look items up in: set `catalogue`")
    if not catalogue.column("category").equals(category).any():
        return None
    quoted = category.replace("\\", "\\\\").replace('"', '\\"')
    of_category = f'category = "{quoted}"'
    both = of_category if request.filter is None else f"{of_category} and ({request.filter})"
    return msgspec.structs.replace(request, filter=both)


class Trends(NamedTuple):
    """What trends, in no order: T items, those that the lists or the catalogue deny left out."""

    names: list[str]
    scores: F64
    """[T]"""
    keys: U64
    """[T] XXH3-64 of each name."""
    rows: I32
    """[T] of the catalogue."""
    catalogue: Catalogue | None
    """The one in force at that time."""
    erasures: int
    """How often something had been erased by then."""
    as_of: int | None
    """The watermark at that time, in ms."""
    offsets: Mapping[str, int]
    """What the caller said of that time."""


class ItemLists:
    """Lists of the items in *state* and of the catalogue, under *rules*."""

    def __init__(self, state: EngineState, rules: CompiledRules, half_life_ms: int) -> None:
        self._state = state
        self._rules = rules
        self._half_life_ms = half_life_ms
        self._trends: Trends | None = None

    def trends(self, offsets: Mapping[str, int], *, fresh: bool) -> Trends:
        """Return what trends at present, or, if it need not be *fresh*, what did when that was last found.

        O(session ordinals + item ordinals + events of 30 half-lives) to find it, some ms for a million sessions.
        """
        held = self._trends
        if not fresh and held is not None and self._holds(held):
            return held
        record = self._state.index.state.item
        scores = self._state.index.view.trends(self._half_life_ms)
        scores[record["denied"] != 0] = 0.0
        items = np.flatnonzero(scores)
        names = list(map(str, map(self._state.items.names.__getitem__, items.tolist())))
        keys, rows = record["hash"][items], record["row"][items]
        as_of = self._state.index.view.watermark
        catalogue, erasures = self._rules.catalogue, self._state.erasures
        found = Trends(names, scores[items], keys, rows, catalogue, erasures, as_of, dict(offsets))
        self._trends = found
        return found

    def _holds(self, trends: Trends) -> bool:
        """Return whether *trends* still hold: nothing of it was erased, and its rows are those of now."""
        return trends.catalogue is self._rules.catalogue and trends.erasures == self._state.erasures

    def trending(self, trends: Trends, request: Request, n: int) -> list[Recommendation]:
        """Return the *n* items of *trends* that trend most, under the rules of *request*; boosts multiply their scores.

        O(items that trend).
        """
        scores = trends.scores * self._rules.factors(request)[trends.rows]
        items = np.flatnonzero(scores > 0.0)  # no NaN is
        chosen: list[Recommendation] = []
        takes = self._takes(request)
        for item in _best_first(items, scores, lambda some: trends.keys[some]):
            name = trends.names[item]
            if takes(name, int(trends.rows[item])):
                chosen.append(Recommendation(name, float(scores[item]), "trending"))
                if len(chosen) == n:
                    break
        return chosen

    def newest(self, request: Request, n: int) -> list[Recommendation]:
        """Return the *n* items of the catalogue that were listed last, under the rules of *request*, newest first.

        The score is when that was, in ms; boosts move none. An item waits until the watermark has reached that time,
        if there is one. Raises SettingsError if there is no catalogue, or none of its items says when it was listed.
        """
        catalogue = self._rules.catalogue
        if catalogue is None:
            raise SettingsError("catalogue", "there is none to find the newest items of: set `catalogue`")
        rows = catalogue.newest.rows
        if rows.size == 0 and len(catalogue):
            message = "no item of the catalogue says when it was first offered: give the items this field"
            raise SettingsError("listed_at", f"{message}, such as 2024-12-31T09:00:00Z or milliseconds since 1970")
        times = catalogue.column("listed_at").numbers
        rows = self._open(rows, times, self._rules.factors(request))
        chosen: list[Recommendation] = []
        takes = self._takes(request)
        for row in rows.tolist():
            item = catalogue.item_at(row)
            if item is not None and self._rules.by_list(item.id) == 0 and takes(item.id, row):
                chosen.append(Recommendation(item.id, float(times[row]), "newest"))
                if len(chosen) == n:
                    break
        return chosen

    def _open(self, rows: I32, times: F64, factors: F64) -> I32:
        """Return those of *rows* that have been listed by now, and that the catalogue and the filters let in."""
        now = self._state.index.view.watermark
        is_open = ~np.isnan(factors[rows]) & (self._rules.by_catalogue(rows) == 0)
        if now is not None:
            is_open &= times[rows] <= now  # planted bug: newest-ahead
        open_rows: I32 = rows[is_open]
        return open_rows

    def _takes(self, request: Request) -> Callable[[str, int], bool]:
        """Return what says, of one item after another, whether the lists of *request* and the bound let it in."""
        excluded = frozenset(request.exclude)
        allowed = None if request.allow is None else frozenset(request.allow)
        most = request.max_per_category or self._rules.rules.max_per_category
        catalogue = self._rules.catalogue
        groups = None if most is None or catalogue is None else catalogue.column("category").codes
        n_alike: Counter[int] = Counter()

        def takes(name: str, row: int) -> bool:
            if name in excluded or (allowed is not None and name not in allowed):
                return False
            group = 0 if groups is None else int(groups[row])
            if group == 0:
                return True
            n_alike[group] += 1
            return most is None or n_alike[group] <= most

        return takes


def _best_first(items: Indices, scores: F64, keys_of: Callable[[Indices], U64]) -> Iterator[int]:
    """Yield *items*, the largest score first, of equals the larger key; sorts no more than are asked for."""
    size = _FIRST
    while items.size:
        part = np.ones(items.size, np.bool_)
        if items.size > size:
            of_each = scores[items]
            part = of_each >= np.partition(of_each, items.size - size)[items.size - size]
        now, items = items[part], items[~part]
        yield from now[np.lexsort((keys_of(now), scores[now]))[::-1]].tolist()
        size *= 4
