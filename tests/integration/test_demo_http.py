"""The demo over HTTP: it learns the sample, plays visitors, shows titles and quality, and accepts more clicks."""

import re
import subprocess
from collections.abc import Iterator

import pytest
from program import PROGRAM
from web import Client, eventually


@pytest.fixture(scope="module")
def client() -> Iterator[Client]:
    """A client of the demo."""
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


def test_events_go_on_and_answers_are_scored(client: Client) -> None:
    """The demo plays events, scores its recommendations by them over days of the sample, and keeps what is drawn."""

    def scored() -> int:
        quality = client.get("/v1/stats")["quality"]
        return 0 if quality is None else max(each["models"][0]["scored"] for each in quality["windows"])

    eventually(lambda: scored() > 20, "scored", 60)
    windows = client.get("/v1/stats")["quality"]["windows"]
    assert [86_400.0, 7 * 86_400.0, 30 * 86_400.0] == [each["window_s"] for each in windows]
    history = client.get("/v1/stats/history")
    assert 0 < len(history["at_ms"]) == len(history["series"]["rates.events_per_s"])


def test_a_caller_can_be_a_visitor(client: Client) -> None:
    """A caller's clicks count at once, though the sample's days go by, and are forgotten on demand."""
    for item in client.get("/v1/items?limit=3")["items"]:
        answer = client.post("/v1/events:recommend", {"event": {"session_id": "you", "item_id": item["item_id"]}})
        assert answer["items"]
    assert 3 == len(client.get("/v1/sessions/you")["events"])
    assert 1 == client("DELETE", "/v1/sessions/you").json["sessions"]
    assert 404 == client("GET", "/v1/sessions/you").status
