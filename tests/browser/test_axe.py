"""axe finds nothing in any view: https://github.com/dequelabs/axe-core, all of its rules, best practices included."""

from typing import Any

from axe_playwright_python.sync_playwright import Axe
from chromium import VIEWS, new_page, open_view
from fake_service import FakeService
from playwright.sync_api import Browser, Page, expect


def violations(page: Page) -> list[tuple[str, list[Any]]]:
    """Return the broken rules, each with the elements that break it."""
    found = Axe().run(page).response
    assert len(found["passes"]) > 15, "it has looked at a page"
    return [(each["id"], [node["target"] for node in each["nodes"]]) for each in found["violations"]]


def test_axe_finds_nothing(browser: Browser, address: str, service: FakeService) -> None:
    """In each view with its data, with an explanation open, without a service, and with the dialog of the key."""
    newest = service.recent(1)["sessions"][0]["session_id"]
    with new_page(browser, color_scheme="dark") as (page, _):
        for view in (*VIEWS, f"#/visitors/{newest}"):
            open_view(page, address, view)
            if view.startswith("#/visitors/"):
                page.locator("#visitor .ask-why").first.click()
                page.locator("#visitor summary", has_text="How the score").first.click()
            assert [] == violations(page), view
        service.stream_is_down = True
        page.goto(f"{address}/#/nonsense")
        expect(page.locator("#banner")).to_be_visible()
        assert [] == violations(page)
        service.keys = {"s3cret": {"read"}}
        page.reload()
        expect(page.get_by_role("dialog")).to_be_visible()
        assert [] == violations(page)
