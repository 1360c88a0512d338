"""The rivals: WSKNN 1.2.3 from PyPI, and the plain reference of this project, behind the same two verbs.

Not here, and why: Serenade is a Rust program without a Python package; session-rec and its sknn need data frames and
a Python long gone; Gorse, Transformers4Rec and the like train models, and answer another question.
"""

from fractions import Fraction
from time import perf_counter
from typing import Any

from wsknn.model.wsknn import WSKNN

from stream_rec.core.index.reference import ReferenceQuery, ReferenceStore, StoredEvent
from stream_rec.core.limits import Limits
from stream_rec.core.model import Model
from stream_rec.simulator.clickstream import Clicks

Sessions = dict[int, list[list[int]]]


def sessions_of(clicks: Clicks) -> Sessions:
    """Return the input of WSKNN's `fit`: items and times of each session."""
    sessions: Sessions = {}
    rows = zip(clicks.session.tolist(), clicks.item.tolist(), clicks.timestamp.tolist(), strict=True)
    for session, item, time in rows:
        items, times = sessions.setdefault(session, [[], []])
        items.append(item)
        times.append(time)
    return sessions


def holders_of(sessions: Sessions) -> dict[int, list[list[int]]]:
    """The item map that `fit` would make in time quadratic in an item's sessions, made in linear time."""
    held: dict[int, dict[int, int]] = {}
    for session, (items, times) in sessions.items():
        for item, time in zip(items, times, strict=True):
            first = held.setdefault(item, {})
            first[session] = min(first.get(session, time), time)
    return {item: [list(first), list(first.values())] for item, first in held.items()}


def wsknn() -> Any:  # noqa: ANN401  # their class is untyped
    """A WSKNN with our parameters: 500 recent sessions, 100 neighbours, 20 items, linear weights."""
    return WSKNN(
        number_of_recommendations=20,
        number_of_neighbors=100,
        sampling_strategy="recent",
        sample_size=500,
        weighting_func="linear",
        ranking_strategy="linear",
    )


def seconds_to_fit(clicks: Clicks) -> float:
    """From columns to a fitted WSKNN, grouping into sessions included, since it takes them grouped."""
    started = perf_counter()
    wsknn().fit(sessions_of(clicks))
    return perf_counter() - started


def reference(clicks: Clicks) -> ReferenceStore:
    """The plain twin, filled by hand: its own `apply` sorts all sessions at each event."""
    store = ReferenceStore(Limits(retention_ms=None))
    rows = zip(clicks.session.tolist(), clicks.item.tolist(), clicks.timestamp.tolist(), strict=True)
    for session, item, time in rows:
        store.sessions.setdefault(f"s{session}", []).append(StoredEvent(time, f"i{item}", "view"))
    store.watermark = int(clicks.timestamp[-1])
    return store


def plain_query(point: Model) -> ReferenceQuery:
    """The reference's form of `vmis-knn`."""
    return ReferenceQuery(
        m=point.m,
        k=point.k,
        n=point.n,
        last=point.last,
        weight=lambda i, _, distinct: Fraction(i, distinct),
        denominator=lambda _, distinct: distinct,
        normalise="none",
        age_days=None,
        match=lambda step: max(Fraction(0), 1 - Fraction(step, 10)),
        place=lambda _: Fraction(1),
        by_place=False,
        direction=1.0,
        idf="vmis",
        idf_factor=1.0,
        seen=point.seen,
        fallbacks=point.fallbacks,
    )
