"""Lists for no session: against what plain Python makes of the same events and the same catalogue."""

import json
import random
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from web import Running, embedded

HOUR_MS = 3_600_000
NOW = int(time.time() * 1000)
CATEGORIES = ["kitchen", 'a "b" \\ c', "light"]
CATALOGUE: dict[str, dict[str, Any]] = {
    f"i{n}": {"id": f"i{n}", "title": f"Item {n}", "category": CATEGORIES[n % 3], "price": n, "available": n % 10 != 4}
    for n in range(30)
}
for place, name in enumerate(("i8", "i2", "i3", "i4", "i7", "i5"), 1):
    CATALOGUE[name]["listed_at"] = NOW - place * HOUR_MS  # the last two events are an hour old: i8 is still to come
DENIED = {"i3", "i10"}


def _log() -> list[dict[str, Any]]:
    """Some 600 events of ten hours, of 36 items, six of which the catalogue does not list; all counts differ."""
    rng = random.Random(13)
    times = sorted(rng.randrange(10 * HOUR_MS) for _ in range(600))
    return [
        {
            "session_id": f"s{rng.randrange(80)}",
            "item_id": f"i{int(36 * rng.random() ** 1.5)}",
            "timestamp": NOW - 11 * HOUR_MS + at,
        }
        for at in times
    ]


LOG = _log()


def popularity() -> dict[str, float]:
    """The decayed counts of the items, by their definition: ages in whole 1024ths of the half-life of an hour."""
    newest = max(each["timestamp"] for each in LOG) * 1024 // HOUR_MS
    found: dict[str, float] = defaultdict(float)
    for each in LOG:
        found[each["item_id"]] += 2.0 ** ((each["timestamp"] * 1024 // HOUR_MS - newest) / 1024)
    return found


def popular(n: int = 20, passes: Callable[[dict[str, Any]], bool] = bool, most: int | None = None) -> list[str]:
    """The items that *passes* lets in, of what may be recommended; at most *most* of a category."""
    decayed = popularity()
    chosen: list[str] = []
    of_category: Counter[str | None] = Counter()
    for item_id in sorted(decayed, key=decayed.__getitem__, reverse=True):
        item = CATALOGUE.get(item_id, {"id": item_id})
        category = item.get("category")
        is_full = most is not None and category is not None and of_category[category] >= most
        if item_id in DENIED or not item.get("available", True) or is_full or not passes(item):
            continue
        of_category[category] += 1
        chosen.append(item_id)
    return chosen[:n]


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder: Path = tmp_path_factory.mktemp("shop")
    (folder / "items.jsonl").write_text("".join(json.dumps(each) + "\n" for each in CATALOGUE.values()))
    (folder / "deny").write_text("\n".join(DENIED))
    with embedded(
        catalogue=str(folder / "items.jsonl"), deny_file=str(folder / "deny"), popular_half_life_ms="1h"
    ) as running:
        assert len(LOG) == running.client.post("/v1/events", LOG)["accepted"]
        yield running


def ids(answer: Any) -> list[str]:
    return [each["item_id"] for each in answer["items"]]


def test_popular_items_come_by_their_decayed_counts(running: Running) -> None:
    """Order, scores and the place in the log are exact; the length is the usual one, or `n`."""
    found = running.client.get("/v1/popular")
    assert popular() == ids(found)
    decayed = popularity()
    for each in found["items"]:
        assert decayed[each["item_id"]] == pytest.approx(each["score"], rel=1e-4)
        assert "popular" == each["source"]
    assert (None, max(each["timestamp"] for each in LOG)) == (found["session_id"], found["as_of"])
    assert popular(3) == ids(running.client.get("/v1/popular?n=3"))
    assert popular(1000) == ids(running.client.get("/v1/popular?n=1000"))


@pytest.mark.parametrize("category", CATEGORIES)
def test_popular_items_of_a_category(running: Running, category: str) -> None:
    """All items of the category and no other, also where its name has quotes; beside a filter both hold."""
    path = "/v1/popular?category=" + category.replace(" ", "%20").replace('"', "%22").replace("\\", "%5C")
    assert popular(passes=lambda item: item.get("category") == category) == ids(running.client.get(path))
    both = running.client.get(path + "&filter=price%20<%204%20or%20price%20>%2020")
    assert ids(both) == popular(
        passes=lambda item: item.get("category") == category and (item["price"] < 4 or item["price"] > 20)
    )


def test_popular_items_obey_the_rules(running: Running) -> None:
    """Items that are denied or out of stock are in no list; filter, lists and the cap of a call are applied."""
    get = running.client.get
    assert not (DENIED | {"i4", "i14", "i24"}) & set(ids(get("/v1/popular?n=1000")))
    assert [] == ids(get("/v1/popular?allow=i3&allow=i4"))
    assert popular(passes=lambda item: item["id"] in {"i7", "i33", "i3"}) == ids(
        get("/v1/popular?allow=i7&allow=i33&allow=i3")
    )
    assert popular(passes=lambda item: item["id"] not in {"i0", "i1"}) == ids(get("/v1/popular?exclude=i0&exclude=i1"))
    assert popular(passes=lambda item: item.get("price", 0) > 12) == ids(get("/v1/popular?filter=price%20>%2012"))
    assert popular(1000, most=2) == ids(get("/v1/popular?n=1000&max_per_category=2"))
    detailed = get("/v1/popular?n=2&details=true")["items"]
    assert [CATALOGUE[each]["title"] for each in popular(2)] == [each["title"] for each in detailed]


def trending() -> list[str]:
    """Items by the excess of their newest events over what their popularity lets expect, as in algorithm.md."""
    newest = max(each["timestamp"] for each in LOG)
    recent: dict[str, float] = defaultdict(float)
    for each in LOG:
        recent[each["item_id"]] += 2.0 ** -((newest - each["timestamp"]) / (HOUR_MS / 24))
    long = popularity()
    share = sum(recent.values()) / sum(long.values())
    scores = {name: (recent[name] - long[name] * share) / (long[name] * share + 1) ** 0.5 for name in long}
    ranked = sorted(scores, key=scores.__getitem__, reverse=True)
    return [
        name
        for name in ranked
        if scores[name] > 0 and name not in DENIED and CATALOGUE.get(name, {}).get("available", True)
    ]


def test_trending_and_newest_items(running: Running) -> None:
    """Both are under the rules of answers, of a category or all; an item is not new before its time has come."""
    get = running.client.get
    found = get("/v1/trending?n=1000")
    assert trending() == ids(found)
    assert {"trending"} == {each["source"] for each in found["items"]}
    assert found["as_of"] == max(each["timestamp"] for each in LOG)
    lights = [name for name in trending() if CATALOGUE.get(name, {}).get("category") == "light"]
    assert lights == ids(get("/v1/trending?category=light&n=1000"))
    newest = get("/v1/newest")
    assert ["i2", "i7", "i5"] == ids(newest)  # i3 is denied, i4 out of stock
    assert {"newest"} == {each["source"] for each in newest["items"]}
    assert NOW - 2 * HOUR_MS == newest["items"][0]["score"]
    assert ["i2", "i5"] == ids(get("/v1/newest?category=light"))
    assert ["i7"] == ids(get("/v1/newest?exclude=i2&n=1"))
    assert 404 == running.client("GET", "/v1/newest?category=sofas").status
    text = running.client("GET", "/metrics").text
    assert 'stream_rec_answers_total{source="newest"}' in text


@pytest.mark.parametrize(
    ("parameters", "status", "code", "field", "named"),
    [
        ("category=sofas", 404, "not_found", "category", "'sofas'"),
        ("category=", 422, "wrong_type", "category", "length >= 1"),
        ("session_id=s1", 422, "unknown_field", "session_id", "session_id"),
        ("filter=price%20>>%203", 422, "wrong_type", None, "filter"),
    ],
)
def test_a_wrong_parameter_of_a_list_is_named(
    running: Running, parameters: str, status: int, code: str, field: str | None, named: str
) -> None:
    """A category that no item has is an error that names it: an empty list would hide a slip."""
    reply = running.client("GET", f"/v1/popular?{parameters}")
    error = reply.json["error"]
    assert (status, code, field) == (reply.status, error["code"], error.get("field"))
    assert named in error["message"]


def test_lists_without_events_and_without_a_catalogue() -> None:
    """Before the first event the list is empty; a category needs a catalogue, and the error says so."""
    with embedded() as running:
        assert [] == running.client.get("/v1/popular")["items"]
        reply = running.client("GET", "/v1/popular?category=kitchen")
        assert (422, "category") == (reply.status, reply.json["error"]["field"])
        assert "set `catalogue`" in reply.json["error"]["message"]
        assert [] == running.client.get("/v1/trending")["items"]
        reply = running.client("GET", "/v1/newest")
        assert (422, "out_of_range") == (reply.status, reply.json["error"]["code"])
        assert "set `catalogue`" in reply.json["error"]["message"]
        text = running.client("GET", "/metrics").text
        for status in (200, 422):
            assert f'stream_rec_http_requests_total{{endpoint="/v1/popular",status="{status}"}} 1.0\n' in text
