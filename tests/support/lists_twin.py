"""Lists for no session in plain Python, from the retained sessions and the catalogue, by their definitions."""

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from fractions import Fraction

from stream_rec.core.catalogue import CatalogueItem
from stream_rec.core.index.kernel.arithmetic import exp, rounded, rounded_coarsely
from stream_rec.core.index.reference import ReferenceStore, Scored, Terms, hash_of

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
