"""The cost of each of many requests at once, the cost of rules, and how soon a change of the catalogue holds.

No rival: none of the packages compared elsewhere has rules.
"""

import json
import tempfile
import time
from pathlib import Path
from time import perf_counter
from typing import Any, Final

import feed
import numpy as np
from common import Floats, Report, in_turn, report, trimmed_rss

from stream_rec.core.catalogue import Catalogue, CatalogueItem
from stream_rec.core.engine import Engine
from stream_rec.core.events import Request
from stream_rec.service.processing.catalogue_feed import CatalogueFeed, CatalogueFile

QUESTION = "what do many requests at once cost each, and rules (vmis-knn, m 500, k 100, n 20, last 10)?"
BATCHES: Final = (1, 8, 64)
ASKED: Final[dict[str, dict[str, Any]]] = {
    "no rules": {},
    "3 excluded": {"exclude": ("item-000000", "item-000001", "item-000002")},
    "a filter that half pass": {"filter": "price < 50"},
    "a filter that 2 % pass": {"filter": 'category = "c7"'},
    "a filter that nothing passes": {"filter": "price > 1000"},
    "two boosts": {"boost": {'tags contains "sale"': 1.5, "price < 10": 0.8}},
    "at most 2 of a category": {"max_per_category": 2},
    "the same category": {"same_category": True},
}


def items(n: int) -> list[CatalogueItem]:
    """A shop's items: 50 categories, one in twenty not available."""
    rng = np.random.default_rng(6)
    return [
        CatalogueItem(
            f"item-{number:06d}",
            title=f"Thing number {number} of many",
            category=f"c{rng.integers(0, 50)}",
            available=bool(rng.random() < 0.95),
            tags=("sale", "new") if rng.random() < 0.2 else (),
            price=float(rng.integers(1, 100)),
        )
        for number in range(n)
    ]


def requests(bench: Report, n_events: int, n_items: int, n_rounds: int, n: int) -> None:
    """By size of batch, for each kind of rule."""
    clicks = feed.log(n_events)
    engine = Engine("vmis-knn", limits=feed.KEEP_ALL)
    feed.fill(engine, clicks)
    rng = np.random.default_rng(3)
    engine.set_catalogue(Catalogue(items(n_items)))

    def asker(rules: dict[str, Any], size: int) -> Any:  # noqa: ANN401  # a closure
        def ask() -> Floats:
            chosen = clicks.session[rng.integers(0, len(clicks), n)]
            asked = [Request(session_id=f"session-{session:09d}", **rules) for session in chosen.tolist()]
            parts = [asked[begin : begin + size] for begin in range(0, n, size)]
            started = perf_counter()
            for part in parts:
                engine.answer(part)
            return np.array([(perf_counter() - started) / n * 1e6])

        return ask

    named = {f"{name}, {size} at once": asker(rules, size) for name, rules in ASKED.items() for size in BATCHES}
    in_turn(1, named)
    bench.part(f"Engine.answer, {n_events:,} events, {n_items:,} items in the catalogue: each request")
    for name, rounds in in_turn(n_rounds, named).items():
        bench.figure(name, [float(each[0]) for each in rounds], "us")


def changes(bench: Report, n_items: int, n_rounds: int) -> None:
    """Of versions, rule sets, titles and files."""
    bench.part(f"The catalogue, {n_items:,} items")
    before = trimmed_rss()
    catalogue = Catalogue(items(n_items))
    catalogue.column("available")
    bench.figure("memory", (trimmed_rss() - before) / n_items, "bytes/item")
    engine = Engine()
    engine.set_catalogue(catalogue)
    rng = np.random.default_rng(5)
    taken: dict[str, list[float]] = {}

    def note(what: str, started: float) -> None:
        taken.setdefault(what, []).append((perf_counter() - started) * 1e3)

    for number in range(n_rounds):
        changed = {f"item-{each:06d}": None for each in rng.integers(0, n_items, 10).tolist()}
        started = perf_counter()
        catalogue = catalogue.changed(changed)
        note("a version with 10 changes", started)
        started = perf_counter()
        engine.set_catalogue(catalogue)
        note("taken up by an engine that knows no item", started)
        for what in ("a new filter, its field seldom asked for", "a new filter, its field known"):
            started = perf_counter()
            engine.answer([Request(session_id="s", filter=f"price < {number} or price > {len(what)}")])
            note(what, started)
        catalogue.search("thing")
        started = perf_counter()
        catalogue.search(f"number {number}")
        note("a search of titles", started)
    for what, each in taken.items():
        bench.figure(what, each, "ms")
    with tempfile.TemporaryDirectory() as folder:
        bench.figure(
            "a change of a file (JSON lines), until it holds", _until_it_holds(Path(folder), n_items), "s", "<= 1"
        )


def _until_it_holds(folder: Path, n_items: int) -> list[float]:
    path, new = folder / "items.jsonl", folder / "new.jsonl"
    lines = [
        {"id": f"item-{number:06d}", "title": f"Thing {number}", "price": 5, "available": True}
        for number in range(n_items)
    ]
    path.write_text("\n".join(map(json.dumps, lines)))
    watched = CatalogueFeed(CatalogueFile(str(path)))
    watched.start()
    found = []
    for number in range(5):
        lines[number]["available"] = False
        new.write_text("\n".join(map(json.dumps, lines)))
        time.sleep(0.13 * number)
        new.replace(path)
        started = perf_counter()
        while watched.current().n_unavailable != number + 1:
            time.sleep(0.001)
        found.append(perf_counter() - started)
    watched.close()
    return found


def main() -> None:
    """Run the benchmark."""
    with report("rules", QUESTION) as bench:
        if bench.small:
            requests(bench, 50_000, 5_000, 3, 128)
            changes(bench, 5_000, 3)
        else:
            requests(bench, 2_500_000, 100_000, 7, 1024)
            changes(bench, 100_000, 7)


if __name__ == "__main__":
    main()
