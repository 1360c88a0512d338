"""Take the pictures of the dashboard that docs/how-to/dashboard.md shows, into docs/images.

    python tools/dashboard_pictures.py [--address http://127.0.0.1:8000] [--seconds 90]

Without an address it starts a service on the bundled sample, and replays the sample's last visits to it over HTTP, so
that there is something to measure. Needs Chromium (see tests/support/chromium.py), and Pillow to make the files small.
"""

import argparse
import contextlib
import json
import re
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

from PIL import Image
from playwright.sync_api import Browser, Page, expect

from stream_rec.core.events import Event
from stream_rec.datasets.sample import load_sample

ROOT = Path(__file__).resolve().parents[1]
sys.path.append(str(ROOT / "tests" / "support"))

from chromium import PHONE, chromium, find_chromium, new_page  # noqa: E402  # a helper of the tests

IMAGES = ROOT / "docs" / "images"
REPLAYED = 6000
"""The events at the sample's end that come over HTTP."""
PER_SECOND = 40
COLOURS = 128


def main() -> None:
    """Take all pictures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--address", help="a service that runs already")
    parser.add_argument("--seconds", type=int, default=90, help="how long to let the charts fill")
    given = parser.parse_args()
    program = find_chromium()
    assert program is not None, "no Chromium is here"
    IMAGES.mkdir(exist_ok=True)
    with contextlib.ExitStack() as stack:
        address = given.address or stack.enter_context(sample_service())
        browser = stack.enter_context(chromium(program))
        take_pictures(browser, address, given.seconds)


def take_pictures(browser: Browser, address: str, seconds: int) -> None:
    """Each picture shows one view."""
    with (
        new_page(browser) as (page, _),
        new_page(browser, viewport=PHONE) as (phone, _),
        new_page(browser, color_scheme="dark") as (dark, _),
    ):
        for each in (page, phone, dark):
            each.goto(address)
        page.wait_for_timeout(seconds * 1000)
        save(page, "live", 1240)
        save(phone, "phone", 1100)
        dark.goto(f"{address}/#/quality")
        dark.wait_for_timeout(2000)
        save(dark, "quality", 1000)

        page.goto(f"{address}/#/visitors")
        page.locator("#recent a").nth(2).click()
        page.locator("#visitor .ask-why").first.click()
        page.wait_for_timeout(2500)
        save(page, "why", 1000)

        page.goto(f"{address}/#/try")
        for place in (2, 5):
            page.locator("#picks button").nth(place).click()
            page.wait_for_timeout(700)
        page.locator("h1:visible").hover()
        save(page, "try", 900)
        page.get_by_role("button", name="Forget me").click()
        expect(page.locator("#trail")).to_contain_text("Nothing yet")


def save(page: Page, name: str, height: int) -> None:
    """Write the view at that height, in few colours, which are enough for a page."""
    size = page.viewport_size
    assert size is not None
    page.set_viewport_size({"width": size["width"], "height": height})
    page.wait_for_timeout(300)
    picture = Image.open(BytesIO(page.screenshot()))
    page.set_viewport_size(size)
    path = IMAGES / f"dashboard-{name}.png"
    picture.convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE).save(path, optimize=True)
    print(f"{path.relative_to(ROOT)}: {path.stat().st_size / 1000:.0f} kB")


# --------------------------------------------------------------------------------------------- a service


@contextlib.contextmanager
def sample_service() -> Iterator[str]:
    """A service on the sample without its end, which a thread sends over HTTP."""
    events, titles = load_sample(longest=30)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write(folder / "events.jsonl", [as_fields(event) for event in events[:-REPLAYED]])
        write(folder / "items.jsonl", [{"id": item, "title": title} for item, title in titles.items()])
        command = [str(Path(sys.executable).with_name("stream-rec")), "run", "--events", str(folder / "events.jsonl")]
        options = ["--answer", "none", "--http", "127.0.0.1:0", "--retention", "90d", "--max-bytes", "64MB"]
        options += ["--quality-windows", "1d", "--quality-windows", "7d"]
        catalogue = ["--catalogue", str(folder / "items.jsonl")]
        log = folder / "log.txt"
        with log.open("wb") as file:
            process = subprocess.Popen([*command, *options, *catalogue], stderr=file, stdout=subprocess.DEVNULL)
        over = threading.Event()
        replay = threading.Thread(target=send, args=(log, events[-REPLAYED:], over))
        try:
            address = when_ready(log)
            replay.start()
            yield address
        finally:
            over.set()
            if replay.ident is not None:
                replay.join()
            process.terminate()
            process.wait()


def send(log: Path, events: list[Event], over: threading.Event) -> None:
    """Send each event as a shop would, at its arrival, and ask for recommendations."""
    address = when_ready(log)
    for event in events:
        fields = {name: value for name, value in as_fields(event).items() if name != "timestamp"}
        body = json.dumps({"event": fields, "n": 20}).encode()
        with contextlib.suppress(OSError):
            call(f"{address}/v1/events:recommend", body)
        if over.wait(1 / PER_SECOND):
            return


def when_ready(log: Path) -> str:
    """Return the address that the service has written to its log, once it answers there."""
    for _ in range(600):
        found = re.search(r"serving HTTP at (http://\S+?)/?\s", log.read_text())
        if found is not None:
            with contextlib.suppress(OSError):
                call(f"{found[1]}/readyz")
                return found[1]
        time.sleep(0.5)
    raise SystemExit(log.read_text())


def call(address: str, body: bytes | None = None) -> None:
    """Call the service, and check only that the call succeeds."""
    asked = urllib.request.Request(address, body, {"Content-Type": "application/json"})  # noqa: S310
    with urllib.request.urlopen(asked, timeout=10) as response:  # noqa: S310
        response.read()


def as_fields(event: Event) -> dict[str, object]:
    """Return the event's JSON fields."""
    return {name: getattr(event, name) for name in ("session_id", "item_id", "timestamp", "type")}


def write(path: Path, rows: list[dict[str, object]]) -> None:
    """Write *rows* as JSON lines."""
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


if __name__ == "__main__":
    main()
