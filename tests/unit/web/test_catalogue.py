"""The catalogue over HTTP: details, titles, rules; and a change of it, which takes effect within a second."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from web import Running, embedded, eventually

ITEMS: list[dict[str, Any]] = [
    {"id": "m", "title": "Blue mug", "category": "kitchen", "price": 4.5, "image": "https://shop.example/m.png"},
    {"id": "p", "title": "Tea pot", "category": "kitchen", "price": 19.0, "tags": ["gift"]},
    {"id": "l", "title": "Lamp", "category": "light", "price": 30.0},
    {"id": "x", "title": "Mug holder", "category": "kitchen", "available": False},
]


def write(path: Path, items: list[dict[str, Any]]) -> None:
    new = path.with_suffix(".new")
    new.write_text("".join(json.dumps(each) + "\n" for each in items))
    new.replace(path)


@pytest.fixture
def catalogue(tmp_path: Path) -> Path:
    path = tmp_path / "items.jsonl"
    write(path, ITEMS)
    return path


@pytest.fixture
def running(catalogue: Path) -> Iterator[Running]:
    with embedded(catalogue=str(catalogue)) as running:
        visits = [{"session_id": f"s{n}", "item_id": item} for n in range(3) for item in "mplx"]
        running.client.post("/v1/events", visits)
        yield running


def ids(answer: Any) -> set[str]:
    return {each["item_id"] for each in answer["items"]}


def test_details(running: Running) -> None:
    """With details an answer has what the catalogue knows; without them it has no more fields than usual."""
    plain = running.client.get("/v1/items/m/similar")
    detailed = running.client.get("/v1/items/m/similar?details=true")
    assert [each["item_id"] for each in plain["items"]] == [each["item_id"] for each in detailed["items"]]
    assert {"item_id", "score", "source"} == set(plain["items"][0])
    pot = next(each for each in detailed["items"] if each["item_id"] == "p")
    assert ("Tea pot", "kitchen", 19.0, True) == (pot["title"], pot["category"], pot["price"], pot["available"])
    assert "x" not in ids(detailed)


def test_items_and_sessions_have_titles(running: Running) -> None:
    """Items are found by a part of their title, in either case, and by their id; events of sessions have titles."""
    assert ["Blue mug", "Mug holder"] == sorted(
        each["title"] for each in running.client.get("/v1/items?q=MUG")["items"]
    )
    assert "Lamp" in [each.get("title") for each in running.client.get("/v1/items?q=l")["items"]]
    shown = running.client.get("/v1/sessions/s1")["events"]
    assert ["Blue mug", "Tea pot", "Lamp", "Mug holder"] == [each["title"] for each in shown]
    assert {"items": 4, "unavailable": 1} == running.client.get("/v1/stats")["catalogue"]


def test_rules_of_a_request(running: Running) -> None:
    """Every item satisfies the filter, the list and the limit; the error for a wrong expression names its field."""
    path = "/v1/sessions/s0/recommendations?seen=keep"
    assert {"l"} == ids(running.client.get(path + "&filter=price > 20".replace(" ", "%20")))
    assert {"m", "l"} >= ids(running.client.get(path + "&allow=m&allow=l"))
    kitchen = running.client.post(
        "/v1/recommendations", {"session_id": "s0", "seen": "keep", "max_per_category": 1, "details": True}
    )
    assert 1 == len(ids(kitchen) & {"m", "p"})
    assert all("title" in each for each in kitchen["items"])
    reply = running.client("POST", "/v1/recommendations", {"session_id": "s0", "details": 1})
    assert (422, "details") == (reply.status, reply.json["error"]["field"])
    reply = running.client("GET", path + "&filter=price%20>>%203")
    assert 422 == reply.status
    assert "filter" in (reply.json["error"].get("field") or reply.json["error"]["message"])


def test_a_change_takes_effect_within_a_second(running: Running, catalogue: Path) -> None:
    """An item that is sold out is no longer recommended."""
    path = "/v1/sessions/s0/recommendations?seen=keep&details=true"
    assert "p" in ids(running.client.get(path))
    changed = [each | {"available": False} if each["id"] == "p" else each for each in ITEMS]
    write(catalogue, changed)
    eventually(lambda: "p" not in ids(running.client.get(path)), "sold out", 3)
