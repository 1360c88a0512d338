"""The page of clients: it is made of the OpenAPI document, and its programs do what it says."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import client_snippets
import pytest
from web import SECONDS, embedded

KEY = "0123456789-of-the-test"
CURL = shutil.which("curl")


@pytest.fixture
def environment(tmp_path: Path) -> Iterator[dict[str, str]]:
    """The variables that lead to an empty service with a key."""
    (tmp_path / "keys").write_text(f"all:read+write+admin:{KEY}\n")
    with embedded(KEY, http_keys_file=str(tmp_path / "keys")) as running:
        # What is called for the first time is compiled or loaded first, and the programs wait for five seconds only.
        running.client.post("/v1/events:recommend", {"event": {"session_id": "first", "item_id": "tent"}})
        running.client.post("/v1/recommendations", {"session_id": "first"})
        running.client("DELETE", "/v1/sessions/first")
        address = running.server.url.rstrip("/")
        yield {**os.environ, "STREAM_REC_SERVICE_URL": address, "STREAM_REC_SERVICE_KEY": KEY}


def test_the_page_is_up_to_date() -> None:
    """It has the paths, bodies and types of the API."""
    assert client_snippets.page() == client_snippets.PAGE.read_text(encoding="utf-8"), "run `make docs`"


def output(argv: list[str], environment: dict[str, str]) -> str:
    done = subprocess.run(argv, env=environment, capture_output=True, text=True, timeout=SECONDS, check=False)
    assert (0, "") == (done.returncode, done.stderr)
    return done.stdout


def test_programs_do_what_the_page_shows(environment: dict[str, str]) -> None:
    """That in Python prints the output on the page, and that for curl the answers that lead to it."""
    shown = re.search(r"```text\n(.*?)```", client_snippets.page(), re.DOTALL)
    assert shown is not None
    assert shown[1] == output([sys.executable, "-c", client_snippets.program("python")], environment)
    if CURL is None:
        pytest.skip("there is no curl")
    taken, answer, forgotten = output(["/bin/sh", "-c", client_snippets.program("curl")], environment).splitlines()
    assert taken.startswith('{"accepted":2,')
    assert '"items":[{"item_id":"tent","score":1.0,"source":"popular"}]' in answer
    assert '"sessions":1,"session_id":"anna"' in forgotten
