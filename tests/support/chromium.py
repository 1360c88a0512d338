"""The Chromium of this machine, driven by Playwright, and the checks for every page that it shows."""

import contextlib
import os
import re
import shutil
from collections.abc import Iterator
from typing import Any, Final

from playwright.sync_api import Browser, Page, expect, sync_playwright

PLACE: Final = "STREAM_REC_CHROMIUM"
"""The environment variable that names the program, if it is not on the path."""
NAMES: Final = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
FLAGS: Final = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
CONTENT: Final = {
    "#/": "#live .figure",
    "#/quality": "#quality .models li, #quality > .notice",
    "#/visitors": "#recent li",
    "#/try": "#suggestions .recs li",
    "#/items": "#found li",
    "#/visitors/": "#visitor .recs li",
    "#/items/": "#item .recs li",
}
"""What a view shows once it has its data; the last two are followed by an id."""
VIEWS: Final = tuple(view for view in CONTENT if view == "#/" or not view.endswith("/"))
PHONE: Final = {"width": 360, "height": 740}


def find_chromium() -> str | None:
    """Return the program's path, if there is one."""
    return os.environ.get(PLACE) or next(filter(None, map(shutil.which, NAMES)), None)


@contextlib.contextmanager
def chromium(program: str) -> Iterator[Browser]:
    """A browser without a window."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=list(FLAGS))
        yield browser
        browser.close()


@contextlib.contextmanager
def new_page(browser: Browser, **context: Any) -> Iterator[tuple[Page, list[str]]]:
    """A page in a context of its own, and its complaints: script errors, and what its security policy refused."""
    options: dict[str, Any] = {"viewport": {"width": 1280, "height": 900}, "color_scheme": "light", **context}
    with browser.new_context(**options) as opened:
        page = opened.new_page()
        page.set_default_timeout(10_000)
        complaints: list[str] = []
        page.on("pageerror", lambda error: complaints.append(str(error)))
        # The browser itself logs a failed request (404, 401) as an error; the page shows it in words.
        page.on(
            "console",
            lambda message: (
                complaints.append(message.text)
                if message.type in {"error", "warning"} and "Failed to load resource" not in message.text
                else None
            ),
        )
        yield page, complaints


def open_view(page: Page, address: str, view: str) -> None:
    """Open *view*, and wait until the service is ready and the view has its data."""
    page.goto(f"{address}/{view}")
    expect(page.locator("#state-text")).to_have_text("Ready")
    kind = view if view in VIEWS else re.sub("[^/]*$", "", view)
    expect(page.locator(CONTENT[kind]).filter(visible=True).first).to_be_visible()


CONTRAST: Final = """
() => {
  // https://www.w3.org/TR/WCAG22/#dfn-contrast-ratio, of each text with the ground behind it.
  const canvas = new OffscreenCanvas(1, 1).getContext("2d", {willReadFrequently: true});
  const rgba = (colour) => {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = colour;
    canvas.fillRect(0, 0, 1, 1);
    const [r, g, b, a] = canvas.getImageData(0, 0, 1, 1).data;
    return [r, g, b, a / 255];
  };
  const over = (top, under) => [0, 1, 2].map((i) => top[i] * top[3] + under[i] * (1 - top[3])).concat(1);
  const light = (colour) => {
    const linear = (v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
    const [r, g, b] = colour.slice(0, 3).map((v) => linear(v / 255));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const ratio = (a, b) => {
    const [more, less] = [light(a), light(b)].sort((m, n) => n - m);
    return (more + 0.05) / (less + 0.05);
  };
  const ground = (element) => {
    const layers = [];
    for (let at = element; at; at = at.parentElement) layers.push(rgba(getComputedStyle(at).backgroundColor));
    return layers.reverse().reduce((under, top) => over(top, under), [255, 255, 255, 1]);
  };
  const isShown = (element) => (
    element.checkVisibility({visibilityProperty: true}) && element.getBoundingClientRect().width > 1);
  const poor = [];
  let n = 0;
  const check = (element, colour, least, what) => {
    const under = ground(element);
    const found = ratio(over(rgba(colour), under), under);
    n += 1;
    if (found < least) poor.push(`${found.toFixed(2)} < ${least}: ${what}`);
  };
  const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walk.nextNode()) {
    const element = walk.currentNode.parentElement;
    const text = walk.currentNode.textContent.trim();
    if (!text || !isShown(element) || element.closest("svg, [disabled]")) continue;
    const style = getComputedStyle(element);
    const size = parseFloat(style.fontSize);
    const isLarge = size >= 24 || (size >= 18.66 && Number(style.fontWeight) >= 700);
    check(element, style.color, isLarge ? 3 : 4.5, `"${text.slice(0, 40)}" (${element.className})`);
  }
  for (const line of document.querySelectorAll(".line, .bar-front, .whisker")) {
    if (!isShown(line.ownerSVGElement)) continue;
    const style = getComputedStyle(line);
    const svg = line.ownerSVGElement;
    const colour = line.matches(".bar-front") ? style.fill : style.stroke;
    check(svg.parentElement, colour, 3, `drawn: ${line.getAttribute("class")} in ${svg.getAttribute("class")}`);
  }
  for (const control of document.querySelectorAll("input")) {
    if (!isShown(control)) continue;
    check(control.parentElement, getComputedStyle(control).borderTopColor, 3, `edge of ${control.id}`);
  }
  return {n, poor: [...new Set(poor)]};
}
"""


def poor_contrasts(page: Page) -> list[str]:
    """Return the texts and drawings of the shown view whose contrast is below WCAG AA."""
    found = page.evaluate(CONTRAST)
    assert found["n"] > 10, "nothing was checked"
    return list(found["poor"])


def nameless(page: Page) -> list[str]:
    """Return the controls and drawings without a name for a screen reader."""
    client = page.context.new_cdp_session(page)
    nodes = client.send("Accessibility.getFullAXTree")["nodes"]
    roles = {"button", "link", "textbox", "searchbox", "img", "image", "dialog", "DisclosureTriangle", "list", "table"}
    named = [node for node in nodes if not node.get("ignored") and node.get("role", {}).get("value") in roles]
    assert named
    # A list of words needs no name. Lists to choose from do: they are named in the page's source.
    return [
        f"{node['role']['value']} {node['nodeId']}"
        for node in named
        if node["role"]["value"] != "list" and not node.get("name", {}).get("value", "").strip()
    ]


def overflow(page: Page) -> int:
    """Return by how many pixels the page is wider than its window."""
    return int(page.evaluate("() => document.documentElement.scrollWidth - innerWidth"))
