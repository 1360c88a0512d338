"""The viewer of the API at /docs, over a service with keys: it loads by itself, and a call can be tried."""

from pathlib import Path
from urllib.parse import urlsplit

from chromium import PHONE, new_page, overflow
from playwright.sync_api import Browser, expect
from web import embedded

KEY = "0123456789-of-the-test"
TRIED = "#operations-Recommendations-recommend"


def test_a_call_can_be_tried(browser: Browser, tmp_path: Path) -> None:
    """With the dashboard's key, in the light, in the dark and on a phone; nothing is asked of another server."""
    (tmp_path / "keys").write_text(f"all:read+write+admin:{KEY}\n")
    with embedded(KEY, http_keys_file=str(tmp_path / "keys")) as running:
        address = running.server.url.rstrip("/")
        events = [{"session_id": f"s{n}", "item_id": item} for n in range(3) for item in ("tent", "stove", "rope")]
        running.client.post("/v1/events", events)
        with new_page(browser) as (page, complaints):
            hosts: set[str] = set()
            page.on("request", lambda request: hosts.add(urlsplit(request.url).netloc))
            page.add_init_script(f"sessionStorage.setItem('stream-rec.key', '{KEY}')")
            page.goto(f"{address}/docs")
            page.locator(f"{TRIED} .opblock-summary-control").click()
            page.locator(f"{TRIED} .examples-select-element").select_option("after items")
            page.locator(f"{TRIED} .execute").click()
            answer = page.locator(f"{TRIED} .live-responses-table .response .response-col_description")
            expect(answer).to_contain_text('"item_id": "rope"')
            for theme, is_dark in {"light": False, "dark": True}.items():
                page.emulate_media(color_scheme=theme)  # type: ignore[arg-type]  # one of the two
                page.wait_for_function("is => is === document.documentElement.matches('.dark-mode')", arg=is_dark)
            page.set_viewport_size(PHONE)  # type: ignore[arg-type]  # width and height
            assert 0 >= overflow(page)
            assert {urlsplit(address).netloc} == hosts
            assert [] == complaints
