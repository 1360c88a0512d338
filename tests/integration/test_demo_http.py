"""The demo in a browser: the sample learned, visitors coming and going, titles, quality, and room for one more."""

import re
import subprocess
from collections.abc import Iterator

import pytest
from program import PROGRAM
from web import Client, eventually


@pytest.fixture(scope="module")
def client() -> Iterator[Client]:
    """A client of it."""
    command = [PROGRAM, "demo", "--http", "127.0.0.1:0"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        said = (re.search(r"open http://127\.0\.0\.1:(\d+)/", line) for line in process.stderr)
        yield Client(next(int(found[1]) for found in said if found))
        process.terminate()
        assert 0 == process.wait(20)


def test_a_visitor_is_found_and_explained(client: Client) -> None:
    """The newest sessions have titles, and each recommendation has an explanation."""
    newest = client.get("/v1/sessions?limit=5")["sessions"]
    assert 5 == len(newest)
    shown = client.get(f"/v1/sessions/{newest[0]['session_id']}")
    assert all(each["title"] for each in shown["events"])
    answers = client.get(f"/v1/sessions/{newest[0]['session_id']}/recommendations?n=3&details=true&explain=true")
    assert all(each["title"] and each["why"] for each in answers["items"])


def test_it_goes_on_and_is_judged(client: Client) -> None:
    """Events come by themselves, and what was recommended is compared with them."""

    def scored() -> int:
        quality = client.get("/v1/stats")["quality"]
        return 0 if quality is None else max(each["models"][0]["scored"] for each in quality["windows"])

    eventually(lambda: scored() > 20, "judged", 60)


def test_anybody_can_be_a_visitor(client: Client) -> None:
    """Clicks count at once, though the sample's days go by; and are forgotten when asked."""
    for item in client.get("/v1/items?limit=3")["items"]:
        answer = client.post("/v1/events:recommend", {"event": {"session_id": "you", "item_id": item["item_id"]}})
        assert answer["items"]
    assert 3 == len(client.get("/v1/sessions/you")["events"])
    assert 1 == client("DELETE", "/v1/sessions/you").json["sessions"]
    assert 404 == client("GET", "/v1/sessions/you").status
