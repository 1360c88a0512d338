"""Three real logs: the engine retains their events, and the published model answers as published."""

from collections import Counter, defaultdict
from collections.abc import Callable
from pathlib import Path

import pytest

from stream_rec.core.engine import Engine
from stream_rec.core.limits import Limits
from stream_rec.core.model import model
from stream_rec.datasets.logs import Log, movielens_100k, online_retail, serenade_toy


def movies(data: Path) -> Log:
    return movielens_100k(data / "ml-100k")


def clicks(data: Path) -> Log:
    return serenade_toy(data / "serenade-toy")


def invoices(data: Path) -> Log:
    return online_retail(data / "online-retail")


@pytest.mark.parametrize(
    ("read", "n_events", "n_sessions", "n_items"),
    [(movies, 100_000, 943, 1682), (clicks, 113_601, 23_753, 18_009), (invoices, 527_765, 19_773, 3801)],
)
def test_all_events_of_a_log_are_retained(
    read: Callable[[Path], Log], n_events: int, n_sessions: int, n_items: int, data: Path
) -> None:
    """Every event in time order is applied; the engine retains all but the oldest events of over-long sessions."""
    log = read(data)
    engine = Engine(limits=Limits(retention_ms=None))
    assert n_events == len(log.events) == engine.apply(log.events).n_applied
    lengths = Counter(event.session_id for event in log.events)
    n_held = sum(min(length, engine.limits.max_session_events) for length in lengths.values())
    held = engine.stats()
    assert (n_held, n_sessions, n_items) == (held.n_events, held.n_sessions, held.n_items)


def test_serenade_answers_as_published(data: Path) -> None:
    """Serenade's own tuned VMIS-kNN, on its own split: MRR@20 .3410 and HR@20 .6627 over 931 questions.

    In 105 of them the next item's score is shared by others, so that MRR@20 may fall anywhere from .335 to .346 by how
    ties are broken; ours, by hash, gives .3402.
    """
    engine = Engine(limits=Limits(retention_ms=None))
    engine.apply(serenade_toy(data / "serenade-toy", "train").events)
    sessions = defaultdict(list)
    for event in serenade_toy(data / "serenade-toy", "test").events:
        sessions[event.session_id].append(event.item_id)
    point = model("vmis-knn", m=1502, k=288, last=4, seen="drop-current", fallbacks=False)
    ranks = []
    for items in sessions.values():
        for place in range(1, len(items)):
            answer = [each.item_id for each in engine.ask(point, items=items[:place])]
            ranks.append(answer.index(items[place]) + 1 if items[place] in answer else None)
    found = [rank for rank in ranks if rank is not None]
    assert 931 == len(ranks)
    assert 0.3410 == pytest.approx(sum(1 / rank for rank in found) / len(ranks), abs=0.001)
    assert 0.6627 == pytest.approx(len(found) / len(ranks), abs=0.001)
