"""Lists for no session in plain Python, from the retained sessions and the catalogue, by their definitions."""

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from fractions import Fraction

from stream_rec.core.catalogue import CatalogueItem
from stream_rec.core.index.kernel.arithmetic import exp, rounded, rounded_coarsely
from stream_rec.core.index.reference import ReferenceStore, Scored, Terms, hash_of
from stream_rec.core.model import Model

_BITS = 30


def _decayed(age: int) -> int:
    """Return 2**-age, the age in 1024ths of a half-life, in units of 2**-30: cut to a whole number."""
    mantissa = math.floor(exp(-(age % 1024) / 1024 * 0.6931471805599453) * (1 << _BITS) + 0.5)
    return mantissa >> (age // 1024)


def trends(store: ReferenceStore, half_life: int) -> dict[str, float]:
    """Return the score of each item that trends."""
    if store.watermark is None:
        return {}
    long, now = store.limits.popular_half_life_ms, store.watermark
    recent: Counter[str] = Counter()
    counted: dict[str, Fraction] = {}
    for stored in store.sessions.values():
        for event in stored:
            age = max(0, now * 1024 // half_life - event.time * 1024 // half_life)
            recent[event.item] += _decayed(age)
            part, step = event.time * 1024 // long, now * 1024 // long // 4096
            if part // 4096 > step - 8:
                weight = math.floor(exp(part % 1024 / 1024 * 0.6931471805599453) * (1 << 20) + 0.5)
                weighed = weight * Fraction(2) ** (part // 1024 - step * 4)
                counted[event.item] = counted.get(event.item, Fraction(0)) + weighed
    if not recent.total():
        return {}
    share = (recent.total() / 2.0**_BITS) / float(sum(counted.values()))
    found = {}
    for item, weight in recent.items():
        expected = rounded_coarsely(float(counted.get(item, 0))) * share
        above = weight / 2.0**_BITS - expected
        if weight and above > expected * 0.5**18:
            found[item] = rounded(above / math.sqrt(expected + 1.0))
    return found


def listed(scores: Mapping[str, float], source: str, n: int, excluded: Iterable[str], terms: Terms) -> list[Scored]:
    """Return the *n* best of *scores* that *terms* let in."""
    boosted = {item: score * (terms.factor(item) if source == "trending" else 1.0) for item, score in scores.items()}
    chosen: list[Scored] = []
    of_category: Counter[str] = Counter()
    for item in sorted(boosted, key=lambda item: (boosted[item], hash_of(item)), reverse=True):
        category = terms.category(item)
        if not terms.allowed(item) or item in excluded or len(chosen) == n:
            continue
        if category is not None and terms.cap is not None and of_category[category] == terms.cap:
            continue
        of_category.update(() if category is None else (category,))
        chosen.append(Scored(item, boosted[item], source))
    return chosen


def newest(known: Mapping[str, CatalogueItem], now: int | None) -> dict[str, float]:
    """Return the times at which items were listed, up to *now*."""
    times = {name: float(item.listed_at) for name, item in known.items() if item.listed_at is not None}
    return {name: time for name, time in times.items() if now is None or time <= now}


def with_newest(
    answer: Sequence[Scored],
    point: Model,
    times: Mapping[str, float],
    now: int | None,
    touched: Sequence[str],
    excluded: Iterable[str],
    terms: Terms,
) -> list[Scored]:
    """Return *answer* with the newest items: *times* says when each was listed, *touched* has the visitor's items."""
    left_out = {"keep": [], "drop-current": touched[-1:], "drop-session": touched}[point.seen]
    ranked = _ranked(times, touched, {*excluded, *left_out}, terms)
    fresh = [item for item in ranked if now is None or times[item] > now - point.newest_within_ms]
    share = Decimal(str(point.newest_share))
    up_to = [math.floor(place * share + Decimal("0.5")) for place in range(point.n + 1)]
    fills = point.fallbacks and point.newest_fallback != "none"
    late = [each for each in answer if fills and point.newest_fallback == "before-popular" and each.source == "popular"]
    early = [each for each in answer if each not in late]
    used = [each.item for each in early[: point.n - up_to[-1]]]
    reserved = _taken(fresh, used, len(used) + up_to[-1], terms)
    _taken([each.item for each in early], used, point.n, terms)
    fill = _taken(ranked if fills else (), used, point.n, terms)
    _taken([each.item for each in late], used, point.n, terms)
    of_name = {each.item: each for each in answer}
    new = [*reserved, *fill]
    order = [None if item in fill else of_name[item] for item in used if item not in reserved]
    found: list[Scored] = []
    n_reserved = len(reserved)
    while order or n_reserved:
        place = len(found) + 1
        is_reserved = n_reserved > 0 and (not order or up_to[place] > up_to[place - 1])
        n_reserved -= is_reserved
        other = None if is_reserved else order.pop(0)
        found.append(Scored(new[0], times[new.pop(0)], "newest") if other is None else other)
    return found


def _ranked(times: Mapping[str, float], touched: Sequence[str], left_out: set[str], terms: Terms) -> list[str]:
    """Return what may come in, those of the current item's category first, newest first."""
    category = terms.category(touched[-1]) if touched else None

    def is_alike(item: str) -> bool:
        return category is not None and terms.category(item) == category

    return [
        item
        for item in sorted(times, key=lambda item: (is_alike(item), times[item], hash_of(item)), reverse=True)
        if item not in left_out and terms.allowed(item)
        if not terms.same_category or category is None or is_alike(item)
    ]


def _taken(items: Iterable[str], used: list[str], most: int, terms: Terms) -> list[str]:
    """Add those of *items* to *used*, up to *most*, that are not in it and whose categories are not full."""
    added: list[str] = []
    for item in items:
        n_alike = sum(terms.category(other) == terms.category(item) for other in used)
        is_full = terms.cap is not None and terms.category(item) is not None and n_alike >= terms.cap
        if len(used) < most and item not in used and not is_full:
            used.append(item)
            added.append(item)
    return added
