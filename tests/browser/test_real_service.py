"""The dashboard over a real service with the bundled sample, and the shop example over another."""

import contextlib
import json
import re
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from chromium import VIEWS, nameless, open_view, overflow, poor_contrasts
from playwright.sync_api import Page, expect
from running import Running
from topics import eventually

from stream_rec.datasets.sample import load_sample

COMPILES_S = 300
"""Enough to compile the kernels first, on a busy machine."""
KEY = "a-long-enough-key-of-the-test"


@contextlib.contextmanager
def served(folder: Path, *argv: object) -> Iterator[str]:
    """`stream-rec run` with HTTP on a free port of this machine; the block gets its address."""
    service = Running(folder, "--answer", "none", "--http", "127.0.0.1:0", *argv)
    service.start()
    try:
        service.says("serving HTTP at ")
        found = re.search(r"serving HTTP at (http://\S+?)/?\s", service.said())
        assert found is not None
        address = found[1]
        eventually(lambda: is_ready(address), service.said(), COMPILES_S)
        yield address
    finally:
        service.stop()


def is_ready(address: str) -> bool:
    """Whether the service answers."""
    try:
        with urllib.request.urlopen(f"{address}/readyz") as response:  # noqa: S310
            return bool(response.status == 200)
    except urllib.error.HTTPError as refused:  # an answer too: Python 3.14 warns if it is left open
        refused.close()
    except OSError:
        pass
    return False


@pytest.fixture(scope="module")
def shop_log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The last visits of the sample, as a log."""
    events, _ = load_sample(longest=30)
    path = tmp_path_factory.mktemp("sample") / "events.jsonl"
    with path.open("w") as file:
        for event in events[-20_000:]:
            fields = ("session_id", "item_id", "timestamp", "type")
            file.write(json.dumps({name: getattr(event, name) for name in fields}) + "\n")
    return path


@pytest.fixture(scope="module")
def address(shop_log: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A service without keys."""
    with served(tmp_path_factory.mktemp("open"), "--events", shop_log) as response:
        yield response


def test_every_view_has_content(page: Page, address: str) -> None:
    """Every view has enough contrast, names for all controls, and fits the window."""
    for view in VIEWS:
        open_view(page, address, view)
        assert [] == poor_contrasts(page), view
        assert [] == nameless(page), view
        assert 0 >= overflow(page), view
    expect(page.locator("#found li")).not_to_have_count(0)


def test_a_visit_is_opened_with_its_recommendations(page: Page, address: str) -> None:
    """A click in the list of the newest visits opens events, recommendations and an explanation."""
    page.goto(f"{address}/#/visitors")
    page.locator("#recent a").nth(1).click()
    expect(page.locator("#visitor .trail li")).not_to_have_count(0)
    expect(page.locator("#visitor .recs li")).to_have_count(10)
    page.locator("#visitor .ask-why").first.click()
    expect(page.locator("#visitor .why").first).to_contain_text(re.compile("earlier visit|no explanation"))


def _retained(address: str) -> int:
    """Return how many sessions the service retains; it reads its log while the page is there."""
    with urllib.request.urlopen(f"{address}/v1/stats") as response:  # noqa: S310
        n: int = json.load(response)["retained"]["sessions"]
    return n


def test_a_visit_of_the_tab_changes_and_is_forgotten(page: Page, address: str) -> None:
    """Each click counts at once; a click of today does not evict the old log; a forgotten visit is gone."""
    page.goto(f"{address}/#/try")
    expect(page.locator("#suggestions .recs li").first).to_contain_text("popular now")
    page.locator("#picks button").nth(3).click()
    expect(page.locator("#suggestions .recs li").first).to_contain_text("from similar visits")
    first = page.locator("#suggestions").inner_text()
    page.locator("#suggestions button.title").nth(5).click()
    expect(page.locator("#trail li")).to_have_count(2)
    assert first != page.locator("#suggestions").inner_text()
    mine = page.locator("#my-id").inner_text()
    eventually(lambda: _retained(address) > 100, "the old log is retained")
    page.locator("#my-id").click()
    expect(page.locator(".visit-name")).to_have_text(f"Visit {mine}")
    expect(page.locator("#visitor .trail li")).to_have_count(2)
    page.get_by_role("link", name="Try it").click()
    page.get_by_role("button", name="Forget me").click()
    expect(page.locator("#my-id")).not_to_have_text(mine)
    page.goto(f"{address}/#/visitors/{mine}")
    expect(page.locator("#visitor .notice")).to_contain_text("No visit with this id is retained")


def test_a_service_with_keys_asks_for_one(page: Page, shop_log: Path, tmp_path: Path) -> None:
    """The page asks for a key, and explains what the key does not allow."""
    keys = tmp_path / "keys.txt"
    keys.write_text(f"looker:read:{KEY}\n")
    with served(tmp_path, "--events", shop_log, "--http-keys-file", keys) as address:
        page.goto(f"{address}/#/try")
        dialog = page.get_by_role("dialog")
        dialog.get_by_label("Key", exact=True).fill(KEY)
        page.keyboard.press("Enter")
        expect(page.locator("#state-text")).to_have_text("Ready")
        page.locator("#picks button").first.click()
        expect(page.get_by_role("alert")).to_contain_text("may read but not write")


@pytest.fixture(scope="module")
def shop(tree: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """examples/shop on a server of its own, with the service that it calls: as in docs/tutorial/shop.md."""
    folder = tmp_path_factory.mktemp("shop")
    example = tree / "examples" / "shop"
    clicks = folder / "clicks.csv"
    with clicks.open("wb") as file:
        subprocess.run([sys.executable, example / "make_clicks.py"], stdout=file, check=True)
    pages = subprocess.Popen(
        [sys.executable, "-u", "-m", "http.server", "0", "--bind", "127.0.0.1", "--directory", example],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        assert pages.stdout is not None
        port = pages.stdout.readline().split(" port ")[1].split()[0]
        origin = f"http://127.0.0.1:{port}"
        argv = ["--events", clicks, "--catalogue", example / "products.jsonl", "--http-cors", origin]
        with served(folder / "service", *argv) as api:
            yield f"{origin}/?api={api}"
    finally:
        pages.terminate()
        pages.communicate()


def test_the_shop_recommends(page: Page, shop: str) -> None:
    """The shop shows items that go with matcha, then with the next product, and sends events of the basket too."""
    page.goto(shop)
    expect(page.locator("#all li")).to_have_count(30)
    page.locator("#all a", has_text="Matcha, ground by stone").click()
    following = page.locator("#next li")
    expect(following).to_have_count(5)
    expect(page.locator("#next")).to_contain_text("Bamboo whisk")
    page.get_by_role("button", name="Put in the basket").click()
    expect(page.locator("#basket")).to_have_text("1")
    api = shop.split("api=")[1]
    visit = page.locator("#visit").inner_text()

    def types() -> list[str]:
        with urllib.request.urlopen(f"{api}/v1/sessions/{visit}") as response:  # noqa: S310
            return [event["type"] for event in json.load(response)["events"]]

    eventually(lambda: ["view", "cart"] == types(), "a view and a basket", 10)
    following.first.click()
    expect(page.locator("#product h2")).not_to_have_text("Matcha, ground by stone")
    expect(following).to_have_count(5)


def test_the_shop_works_without_recommendations(page: Page, shop: str) -> None:
    """If no service answers, the product is shown all the same."""
    page.goto(f"{shop.split('?', maxsplit=1)[0]}?api=http://127.0.0.1:9")
    page.locator("#all a", has_text="Heather honey").click()
    expect(page.locator("#product h2")).to_have_text("Heather honey")
    expect(page.locator("#next")).to_be_hidden()
