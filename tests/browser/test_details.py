"""Small things of the dashboard that a visitor of the page stumbles over."""

import re

import pytest
from chromium import PHONE, new_page, open_view
from fake_service import FakeService
from playwright.sync_api import Browser, Page, expect

WIDTHS = (360, 900, 1280, 1440, 1920)
GAPS = """
grid => {
  const end = grid.getBoundingClientRect().right;
  const boxes = [...grid.children].filter((each) => !each.hidden).map((each) => each.getBoundingClientRect());
  const rows = Object.groupBy(boxes, (box) => Math.round(box.top));
  return Object.values(rows).map((row) => end - Math.max(...row.map((box) => box.right)));
}
"""
"""Between the end of each row of tiles and that of the grid, in pixels."""


def test_trying_it_asks_for_nothing_that_is_not_there(page: Page, address: str) -> None:
    """A visitor without clicks is not looked up, nor one that was forgotten; one with clicks is, after a reload too."""
    asked: list[tuple[str, int]] = []
    page.on("response", lambda reply: asked.append((reply.url, reply.status)))
    open_view(page, address, "#/try")
    page.reload()
    expect(page.locator("#suggestions .recs li").first).to_be_visible()
    page.locator("#picks button").first.click()
    expect(page.locator("#trail li:not(.quiet)")).to_have_count(1)
    page.reload()
    expect(page.locator("#trail li:not(.quiet)")).to_have_count(1)
    page.get_by_role("button", name="Forget me").click()
    expect(page.locator("#trail")).to_contain_text("Nothing yet")
    page.reload()
    expect(page.locator("#suggestions .recs li").first).to_be_visible()
    expect(page.locator("#trail")).to_contain_text("Nothing yet")
    assert [] == [each for each in asked if each[1] >= 400]


def test_a_number_and_its_unit_stay_on_one_line(browser: Browser, address: str) -> None:
    """In the narrowest page too: each unit is bound to its number by a space that does not break."""
    with new_page(browser, viewport=PHONE) as (page, _):
        for view in ("#/", "#/quality"):
            open_view(page, address, view)
            text = page.locator("main").evaluate("node => node.textContent")
            loose = re.findall(r"\d (?:%|[kMG]?B|[mµ]?s|h|min|days?)(?!\w)", text)
            assert [] == loose, view
            assert re.search("\\d\N{NO-BREAK SPACE}%", text)


@pytest.mark.parametrize("has_topic", [True, False])
def test_no_tile_stands_alone_beside_a_gap(page: Page, address: str, service: FakeService, has_topic: bool) -> None:
    """Each row of tiles is filled to its end, at any width, whichever tiles the service has figures for."""
    if not has_topic:
        service.stats_change = {"lag": {}, "catalogue": None}
    for view in ("#/", "#/quality"):
        open_view(page, address, view)
        for width in WIDTHS:
            page.set_viewport_size({"width": width, "height": 900})
            gaps = page.locator("main section:visible .tiles").evaluate(GAPS)
            assert max(map(abs, gaps)) < 1, (width, view)


def test_a_visit_without_events_says_so(page: Page, address: str) -> None:
    """What an unknown visit looked at is stated in words, not by an empty box."""
    page.goto(f"{address}/#/visitors/unknown")
    expect(page.locator("#visitor .recs li").first).to_be_visible()
    expect(page.locator("#visitor .trail")).to_have_text("No events of this visit are retained.")


def test_a_key_is_offered_only_where_one_is_needed(page: Page, address: str, service: FakeService) -> None:
    """A service without keys shows no button for one; a service that asks for a key does, and it stays."""
    button = page.locator("#key-button")
    open_view(page, address, "#/")
    expect(button).to_be_hidden()
    service.keys = {"s3cret": {"read"}}
    page.reload()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_be_visible()
    dialog.get_by_role("button", name="Cancel").click()
    expect(button).to_be_visible()
    button.click()
    dialog.get_by_label("Key", exact=True).fill("s3cret")
    page.keyboard.press("Enter")
    expect(page.locator("#state-text")).to_have_text("Ready")
    page.reload()
    expect(button).to_have_text("Key ✓")


def test_one_hour_is_the_last_hour(page: Page, address: str, service: FakeService) -> None:
    """Windows read as a sentence: the last 5 minutes, the last hour, the last day."""
    window = service.stats()["quality"]["windows"][0] | {"window_s": 3600}
    service.stats_change = {"quality": {"n": 20, "windows": [window]}}
    open_view(page, address, "#/")
    expect(page.locator(".headline")).to_contain_text("checked in the last hour")
    open_view(page, address, "#/quality")
    expect(page.get_by_role("group", name="Over the last").get_by_role("button")).to_have_text("hour")


def test_an_unknown_address_is_said_to_be_unknown(page: Page, address: str) -> None:
    """It shows no other view under a wrong name, and the way back works."""
    for wrong in ("#/nonsense", "#/unknown", "#/toString", "#/nonsense/a%2Fb"):
        page.goto(f"{address}/{wrong}")
        expect(page.get_by_role("heading", level=1)).to_have_text("There is no such page")
        expect(page.locator("main section:visible code")).to_have_text(wrong)
        expect(page.locator("nav a[aria-current]")).to_have_count(0)
    page.locator("main section:visible").get_by_role("link", name="Live").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("What it is doing now")


def test_directions_hold_on_a_phone(browser: Browser, address: str) -> None:
    """There, all is in one column, so no view sends a visitor to the left."""
    with new_page(browser, viewport=PHONE) as (page, _):
        open_view(page, address, "#/try")
        expect(page.locator("#trail")).to_have_text("Nothing yet: open an item of the list.")


def test_charts_are_full_at_the_first_look(browser: Browser, address: str) -> None:
    """The last hour comes from the service: in a new browser, after a reload, and in every chart of either view."""

    def widths(page: Page) -> list[float]:
        found: list[float] = page.locator("main section:visible .line:visible").evaluate_all(
            "lines => lines.map((line) => line.getBBox().width / line.ownerSVGElement.viewBox.baseVal.width)"
        )
        return found

    with new_page(browser) as (page, _), new_page(browser, viewport=PHONE) as (phone, _):
        open_view(page, address, "#/")
        page.reload()
        open_view(phone, address, "#/quality")
        for each, n_lines in ((page, 8), (phone, 3)):
            expect(each.locator("main section:visible .chart figcaption").first).to_contain_text("1 h ago")
            drawn = widths(each)
            assert (n_lines, True) == (len(drawn), min(drawn) > 0.99), drawn
        page.get_by_role("group", name="Drawn over the last").get_by_role("button", name="5 minutes").click()
        expect(page.locator("#live .chart figcaption").first).to_contain_text("5 min ago")
        assert min(widths(page)) > 0.99


def test_a_visit_with_one_item_has_all_of_a_score_from_it(page: Page, address: str, service: FakeService) -> None:
    """All neighbours share that item, those that are not listed too: one line sums them up."""
    popular = service.counts().most_common(1)[0][0]
    service.sessions["one"] = [{"item_id": popular, "timestamp": service.watermark, "type": "view"}]
    answer = service.answer("one", [popular], 10)
    place, why = next((at, each["why"]) for at, each in enumerate(answer["items"]) if "others" in each["why"])
    open_view(page, address, "#/visitors/one")
    page.locator("#visitor .ask-why").nth(place).click()
    shown = page.locator("#visitor .why").nth(place)
    (only,) = shown.get_by_role("list", name="How much of the score each shared item adds").locator("li").all()
    expect(only).to_contain_text(service.titles[popular])
    expect(only).to_contain_text("100 %")
    n_further = why["others"]["neighbours"] + len(why["neighbours"]) - 5
    last = shown.get_by_role("list", name="The visits that add most").locator("li").last
    expect(last).to_contain_text(f"further {n_further} neighbours")


def test_what_only_the_page_knows_is_kept(page: Page, address: str) -> None:
    """A service that has started again knows nothing of the time before: the page draws both, with a gap between."""
    page.goto(f"{address}/static/icon.svg")
    found = page.evaluate("""async () => {
      const { withNew, valuesOf } = await import('/static/history.js');
      const of = (...times) => ({ at_ms: times, series: { a: times.map((at) => at / 1000) } });
      let points = withNew([], of(1000, 6000, 11000));
      points = withNew(points, of());
      points = withNew(points, of(16000));
      points = withNew(points, of(16000, 21000, 60000));  // all of it again, after a moment without a connection
      points = withNew(points, of(3_607_000));  // the first two points are an hour old now
      return valuesOf(points, ['a', 'b']).map(({ at, values }) => [at, ...values]);
    }""")
    times = (11, 16, 21, 60, 3607)
    assert [[1000 * at, at, None] for at in times] == found
