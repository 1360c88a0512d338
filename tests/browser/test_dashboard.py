"""The dashboard in a real browser, over a fake service that is put into the state in question."""

import json
import re
from typing import Any

import pytest
from chromium import PHONE, VIEWS, nameless, new_page, open_view, overflow, poor_contrasts
from fake_orders import BOUNDARY
from fake_service import DAY_MS, FakeService, fake_service
from playwright.sync_api import Browser, Page, Request, expect

HOSTILE = '<img src=x onerror="window.broken=1"><script>window.broken=1</script>\u202e"\'&amp;'


def test_the_live_view_shows_figures_with_units(page: Page, address: str, service: FakeService) -> None:
    """State, rates, lag, latency, memory and its budget, horizon, dead letters by reason, age of the snapshot."""
    service.stats_change = {
        "rates": {"events_per_s": 1234.5, "answers_per_s": 61.0, "http_per_s": 14.25},
        "lag": {"clicks-0": 40, "clicks-1": 2},
        "latency_ms": {"http": {"p50": 1.1, "p90": 2.2, "p99": 6.4}},
        "dead_letters": {"late": 31, "not_json": 2},
        "snapshot": {"name": "snapshot-7", "age_s": 125.0},
    }
    service.stats_change["retained"] = service.stats()["retained"] | {"bytes": 64_000_000, "max_bytes": 128_000_000}
    page.goto(address)
    expect(page.locator("#state-text")).to_have_text("Ready")
    tiles = page.locator("#live")
    for title, text in {
        "Events": "1,235 events/s",
        "Answers": "61 answers/s, 14.3 HTTP requests/s",
        "Lag": "42 records",
        "Latency": "1.10 ms p50, 6.40 ms p99: a request over HTTP, from its arrival to its answer",
        "Memory": "64 MB of 128 MB: 50 %",
        "Horizon": "29 days before 9 Dec 2011, 12:50 UTC",
        "Dead letters": "33 records",
        "Snapshot": "2 min 5 s old: snapshot-7",
    }.items():
        tile = tiles.locator("article").filter(has=page.get_by_role("heading", name=title, exact=True))
        expect(tile.locator(".figures")).to_have_text(text)
    expect(tiles.get_by_role("list", name="Dead letters by reason")).to_contain_text("came too late")


def test_the_live_view_has_the_main_figure_of_quality(page: Page, address: str) -> None:
    """The live view states it in words, with the number of checked lists and a link to the quality view."""
    page.goto(address)
    headline = page.locator(".headline")
    expect(headline).to_contain_text(
        re.compile(r"\d+\s%\s*of the time, the item that a visitor went to next was among the 20")
    )
    expect(headline).to_contain_text("590 lists checked in the last 5 minutes")
    headline.get_by_role("link").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Are the recommendations any good?")


def test_quality_is_shown_by_model_and_window(page: Page, address: str, service: FakeService) -> None:
    """Intervals if there are any, models that are computed but not shown, and a warning about few lists."""
    window = service.stats()["quality"]["windows"][0]
    first, second, shadow = window["models"]
    first |= {"hr": 0.5, "hr_low": 0.44, "hr_high": 0.56}
    second |= {"scored": 12}
    windows = [window, window | {"window_s": 3600, "models": [first | {"hr": 0.25}, second, shadow]}]
    service.stats_change = {"quality": {"n": 20, "windows": windows}}
    page.goto(f"{address}/#/quality")
    tile = page.locator("article").filter(has=page.get_by_role("heading", name="HR@20", exact=True))
    row = tile.locator("li").filter(has_text="default")
    expect(row).to_contain_text("50.0 %")
    expect(row).to_contain_text("for 80 % of the visits")
    expect(row).to_contain_text("590 lists checked; with 95 % certainty from 44.0 % to 56.0 %")
    assert 3 == row.locator(".whisker").count()
    expect(tile.locator("li").filter(has_text="popular")).to_contain_text("computed, but not shown to visitors")
    expect(page.locator("#quality > .help")).to_contain_text("stan: 12")
    page.get_by_role("group", name="Over the last").get_by_role("button", name="hour", exact=True).click()
    expect(row).to_contain_text("25.0 %")


def test_a_visit_is_opened_by_a_click_and_explained(page: Page, address: str, service: FakeService) -> None:
    """The list of visits, events with titles, recommendations, and the neighbours of one, which are links."""
    page.goto(f"{address}/#/visitors")
    newest = service.recent(1)["sessions"][0]["session_id"]
    page.locator("#recent a").first.click()
    expect(page.locator(".visit-name")).to_have_text(f"Visit {newest}")
    last = service.sessions[newest][-1]
    expect(page.locator("#visitor .trail li").first).to_contain_text(service.titles[last["item_id"]])
    page.locator("#visitor .ask-why").first.click()
    why = page.locator("#visitor .why").first
    expect(why).to_contain_text("like this one also")
    for parts in ("How much of the score each shared item adds", "The visits that add most"):
        shown = why.get_by_role("list", name=parts).locator(".bars-value").all_inner_texts()
        assert 100 == sum(int(text.split()[0]) for text in shown if "<" not in text), parts
    neighbour = why.get_by_role("list", name="The visits that add most").get_by_role("link").first
    expected = neighbour.inner_text()
    neighbour.click()
    expect(page.locator(".visit-name")).to_have_text(f"Visit {expected}")


def test_a_visit_is_opened_by_typing_its_id(page: Page, address: str, service: FakeService) -> None:
    """An id may have any characters."""
    odd = "a/b?c=d#e%20 ü"
    service.sessions[odd] = [{"item_id": "22086", "timestamp": service.watermark, "type": "cart"}]
    page.goto(f"{address}/#/visitors")
    page.get_by_label("Session id").fill(odd)
    page.keyboard.press("Enter")
    expect(page.locator(".visit-name")).to_have_text(f"Visit {odd}")
    expect(page.locator("#visitor .trail")).to_contain_text("put in the basket")
    page.reload()
    expect(page.locator(".visit-name")).to_have_text(f"Visit {odd}")


def test_an_unknown_visit_is_said_to_be_unknown(page: Page, address: str) -> None:
    """The view shows a new visitor's recommendations: fallbacks, with their explanation in words."""
    page.goto(f"{address}/#/visitors/unknown")
    expect(page.locator("#visitor .notice")).to_contain_text("No visit with this id is retained")
    expect(page.locator("#visitor .recs .tag").first).to_have_text("popular now")
    page.locator("#visitor .ask-why").first.click()
    expect(page.locator("#visitor .why").first).to_contain_text("filled with popular items")


def test_a_shown_visit_follows_its_events(page: Page, address: str, service: FakeService) -> None:
    """New events and recommendations appear, and an open explanation stays open."""
    session = service.recent(1)["sessions"][0]["session_id"]
    page.goto(f"{address}/#/visitors/{session}")
    page.locator("#visitor .ask-why").first.click()
    page.locator("#visitor").hover()
    service.apply({"session_id": session, "item_id": "23084", "timestamp": service.watermark + 1})
    expect(page.locator("#visitor .trail li").first).to_contain_text("RABBIT NIGHT LIGHT")
    expect(page.locator("#visitor .recs")).to_contain_text("RABBIT NIGHT LIGHT")


def test_opening_an_item_changes_the_recommendations(page: Page, address: str, service: FakeService) -> None:
    """They change at once, in the tab's own session; the service adds the event's timestamp."""
    page.goto(f"{address}/#/try")
    suggestions = page.locator("#suggestions .recs li")
    expect(suggestions.first).to_contain_text("popular now")
    before = suggestions.first.inner_text()
    page.locator("#picks button").nth(7).click()
    expect(suggestions.first).to_contain_text("from similar visits")
    assert before != suggestions.first.inner_text()
    page.locator("#suggestions button.title").nth(2).click()
    expect(page.locator("#trail li")).to_have_count(2)
    assert 2 == len(service.posted)
    assert not [event for event in service.posted if "timestamp" in event]
    assert re.fullmatch(r"you-[0-9a-z]+", service.posted[0]["session_id"])
    expect(page.locator("#voice")).to_contain_text(re.compile(r"^Opened .*10 recommendations, the first is"))


def test_a_visit_is_forgotten_on_demand(page: Page, address: str, service: FakeService) -> None:
    """The session is gone from the service, and the tab has a new one."""
    page.goto(f"{address}/#/try")
    page.locator("#picks button").first.click()
    expect(page.locator("#trail li .name")).to_have_count(1)
    mine = page.locator("#my-id").inner_text()
    assert mine in service.sessions
    page.get_by_role("button", name="Forget me").click()
    expect(page.locator("#my-id")).not_to_have_text(mine)
    assert mine not in service.sessions
    expect(page.locator("#trail")).to_contain_text("Nothing yet")


def test_a_rejected_click_is_explained(page: Page, address: str, service: FakeService) -> None:
    """The message of the service is shown, and the item does not count as opened."""
    service.events_are_refused = True
    page.goto(f"{address}/#/try")
    page.locator("#picks button").first.click()
    expect(page.get_by_role("alert")).to_contain_text("this service takes no events over HTTP")
    expect(page.locator("#trail")).to_contain_text("Nothing yet")


def test_a_key_is_asked_for_and_sent_in_a_header_only(page: Page, address: str, service: FakeService) -> None:
    """A wrong key is refused with a message, the right one stays in the tab, and no address ever has it."""
    service.keys = {"s3cret": {"read"}}
    asked: list[Request] = []
    page.on("request", lambda request: asked.append(request))  # noqa: PLW0108  # Playwright marks what it is given
    page.goto(address)
    dialog = page.get_by_role("dialog")
    expect(dialog).to_be_visible()
    expect(page.locator("#state-text")).to_have_text("Key needed")
    dialog.get_by_label("Key", exact=True).fill("wrong")
    dialog.get_by_role("button", name="Use this key").click()
    expect(dialog.locator(".notice")).to_contain_text("That key was not accepted")
    dialog.get_by_label("Key", exact=True).fill("s3cret")
    page.keyboard.press("Enter")
    expect(page.locator("#state-text")).to_have_text("Ready")
    expect(dialog).to_be_hidden()
    assert "s3cret" == page.evaluate("sessionStorage.getItem('stream-rec.key')")
    page.reload()
    expect(page.locator("#state-text")).to_have_text("Ready")
    assert not [request.url for request in asked if "s3cret" in request.url]
    assert "Bearer s3cret" in [request.headers.get("authorization") for request in asked if "/v1/stream" in request.url]


@pytest.mark.parametrize(
    ("scopes", "button", "words"),
    [
        ({"read"}, "#picks button", "may read but not write"),
        ({"read", "write"}, "#forget-me", "needs the scope “admin”"),
    ],
)
def test_a_missing_scope_is_explained(
    page: Page, address: str, service: FakeService, scopes: set[str], button: str, words: str
) -> None:
    """The message names the scope and what it is needed for."""
    service.keys = {"k": scopes}
    page.add_init_script("sessionStorage.setItem('stream-rec.key', 'k')")
    page.goto(f"{address}/#/try")
    if "write" in scopes:
        page.locator("#picks button").first.click()
    page.locator(button).first.click()
    expect(page.get_by_role("alert")).to_contain_text(words)


def test_a_lost_connection_is_shown_and_restored(page: Page, service: FakeService) -> None:
    """The figures stay, marked as old, until the service is back; only the banner is read out, not its countdown."""
    with fake_service(service) as address:
        page.goto(address)
        expect(page.locator("#state-text")).to_have_text("Ready")
        service.stream_is_down = True
        banner = page.locator("#banner")
        expect(banner).to_contain_text("The connection is lost. These are the last figures received.")
        expect(page.locator("#state-text")).to_have_text("No connection")
        expect(page.locator("#banner-count")).to_have_text(re.compile(r"Trying again in \d+ seconds?\."))
        expect(page.locator("#live .figure").first).to_contain_text("%")
        expect(page.locator("#banner-count")).to_have_text(
            re.compile(r" [3-9] seconds"), timeout=15_000
        )  # time to click
        service.stream_is_down = False
        page.get_by_role("button", name="Try now").click()
        expect(banner).to_be_hidden()
        expect(page.locator("#state-text")).to_have_text("Ready")


def test_waits_between_tries_grow(page: Page, address: str, service: FakeService) -> None:
    """The waits are 1, 2, 4 seconds and so on, within a fifth."""
    service.stream_is_down = True
    page.goto(address)
    waits = page.evaluate("""async () => {
      const { follow } = await import('/static/api.js');
      const waits = [];
      const real = setTimeout;
      window.setTimeout = (act, wait) => real(act, wait > 500 && wait < 15000 ? 1 : wait);
      await new Promise((done) => follow(() => {}, (state) => {
        if (state.is !== 'lost') return;
        waits.push(state.until - Date.now());
        if (waits.length === 4) done();
      }));
      return waits;
    }""")
    for expected, wait in zip((1000, 2000, 4000, 8000), waits, strict=True):
        assert 0.75 * expected <= wait <= 1.25 * expected


def test_hostile_names_are_shown_as_text(page: Page, address: str, service: FakeService) -> None:
    """Titles, ids, types, models, partitions, reasons and images with markup or script are shown, never run."""
    hostile_id = "<svg onload='window.broken=1'>"
    service.titles |= {"22086": HOSTILE, hostile_id: HOSTILE}
    for events in service.sessions.values():
        events.append({"item_id": hostile_id, "timestamp": events[-1]["timestamp"], "type": HOSTILE})
    service.sessions[HOSTILE] = [
        {"item_id": item, "timestamp": service.watermark, "type": HOSTILE} for item in ("22086", hostile_id)
    ]
    real = service.item

    def item(item_id: str, counts: Any = None) -> Any:
        return real(item_id, counts) | {"image": "javascript:window.broken=1", "category": HOSTILE}

    service.item = item  # type: ignore[method-assign]
    stats = service.stats()
    for window in stats["quality"]["windows"]:
        window["models"][0]["model"] = HOSTILE
    service.stats_change = {
        "state": HOSTILE,
        "version": HOSTILE,
        "lag": {HOSTILE: 1, "b": 2},
        "owned": [HOSTILE],
        "dead_letters": {HOSTILE: 1},
        "snapshot": {"name": HOSTILE, "age_s": 1.0},
        "latency_ms": {HOSTILE: {"p50": 1.0, "p90": 1.0, "p99": 1.0}},
        "counts": {HOSTILE: 1},
        "quality": stats["quality"],
    }
    for view in (*VIEWS, "#/visitors/" + page.evaluate("encodeURIComponent", HOSTILE)):
        page.goto(f"{address}/{view}")
        expect(page.locator("#state-text")).to_have_text(HOSTILE)
        expect(page.locator("main section:visible")).to_contain_text("onerror=")
    page.locator("#visitor .ask-why").first.click()
    expect(page.locator("#visitor .why").first).to_contain_text("onerror=")
    page.goto(f"{address}/#/items/" + page.evaluate("encodeURIComponent", hostile_id))
    expect(page.locator("#item h2")).to_have_text(HOSTILE)
    assert page.evaluate("window.broken === undefined")
    assert 0 == page.locator("main img, main svg[onload], main script").count()


def test_the_policy_forbids_foreign_and_inline_content(browser: Browser, address: str) -> None:
    """Nothing inline, nothing from other hosts, and the browser itself refuses markup from text."""
    elsewhere: list[str] = []
    with new_page(browser) as (page, complaints):
        page.on("request", lambda asked: elsewhere.append(asked.url) if not asked.url.startswith(address) else None)
        page.goto(address)
        expect(page.locator("#state-text")).to_have_text("Ready")
        assert [] == elsewhere
        assert [] == complaints
        assert 0 == page.locator("script:not([src]), style, [style], [onclick]").count()
        refused = "() => { try { document.body.innerHTML = '<b>x</b>'; return false; } catch { return true; } }"
        assert page.evaluate(refused)
        assert "TrustedHTML" in complaints[0]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_text_can_be_read(browser: Browser, address: str, service: FakeService, scheme: Any) -> None:
    """WCAG AA in every view: 4.5 to 1 for text, 3 to 1 for large text, lines, bars and the edges of fields."""
    newest = service.recent(1)["sessions"][0]["session_id"]
    service.weights = f"hidden@{BOUNDARY}"
    with new_page(browser, color_scheme=scheme) as (page, complaints):
        for view in (*VIEWS, f"#/visitors/{newest}", "#/items/22086"):
            open_view(page, address, view)
            if view.startswith(("#/visitors/", "#/items/")):
                page.locator("main section:visible .ask-why").first.click()
                page.locator("main section:visible summary", has_text="How the score").first.click()
            assert [] == poor_contrasts(page), view
            assert [] == nameless(page), view
        page.goto(f"{address}/#/nonsense")
        assert [] == poor_contrasts(page)
        service.keys = {"s3cret": {"read"}}
        page.reload()
        expect(page.get_by_role("dialog")).to_be_visible()
        assert [] == poor_contrasts(page)
        assert [] == nameless(page)
        assert [] == complaints


def test_it_fits_a_phone(browser: Browser, address: str, service: FakeService) -> None:
    """No view is wider than 360 pixels, even with long ids and titles, and buttons are large enough for a finger."""
    service.titles = {item: title + " in a box of the limited edition" * 9 for item, title in service.titles.items()}
    service.weights = f"hidden@{BOUNDARY}"
    service.sessions["x" * 512] = [{"item_id": "y" * 512, "timestamp": service.watermark, "type": "view"}]
    with new_page(browser, viewport=PHONE) as (page, _):
        for view in (*VIEWS, "#/visitors/" + "x" * 512, "#/items/" + "y" * 512):
            open_view(page, address, view)
            assert 0 >= overflow(page), view
            small = page.evaluate("""() => [...document.querySelectorAll('button, nav a, input')]
              .filter((each) => each.checkVisibility() && each.getBoundingClientRect().height < 24)
              .map((each) => each.textContent)""")
            assert [] == small, view
            tall = page.evaluate("""() => [...document.querySelectorAll('.pick, .rec, .trail li')]
              .filter((each) => each.checkVisibility() && each.getBoundingClientRect().height > 160)
              .map((each) => each.textContent)""")
            assert [] == tall, view


def test_colours_follow_the_system_until_a_theme_is_chosen(browser: Browser, address: str) -> None:
    """The button says what it will do, and its choice outlives the page."""
    ground = "getComputedStyle(document.body).backgroundColor"
    with new_page(browser, color_scheme="dark") as (page, _):
        page.goto(address)
        dark = page.evaluate(ground)
        page.get_by_role("button", name="Switch to light colours").click()
        light = page.evaluate(ground)
        assert light != dark
        page.reload()
        assert light == page.evaluate(ground)
        page.get_by_role("button", name="Switch to dark colours").click()
        assert dark == page.evaluate(ground)


def test_it_can_be_used_without_a_mouse(page: Page, address: str) -> None:
    """A link skips the menu, tab and enter go through the views, and a ring shows the focus."""
    page.goto(address)
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("main")).to_be_focused()
    page.keyboard.press("Shift+Tab")
    visitors = page.get_by_role("link", name="Visitors")
    visitors.focus()
    page.keyboard.press("Tab")
    page.keyboard.press("Shift+Tab")
    expect(visitors).to_be_focused()
    assert "3px" == page.evaluate("getComputedStyle(document.activeElement).outlineWidth")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("Visitors")
    expect(page.locator("#recent a").first).to_be_visible()
    page.keyboard.press("Tab")
    expect(page.get_by_label("Session id")).to_be_focused()
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.locator(".visit-name")).to_be_visible()
    why = page.locator("#visitor .ask-why").first
    why.focus()
    page.keyboard.press("Enter")
    expect(why).to_have_attribute("aria-expanded", "true")


def test_figures_are_not_read_out(page: Page, address: str) -> None:
    """Figures change each second; live regions for screen readers do not."""
    page.goto(address)
    expect(page.locator("#state-text")).to_have_text("Ready")
    page.evaluate("""() => {
      window.chatter = [];
      for (const region of document.querySelectorAll('[aria-live], [role=status], [role=alert]')) {
        new MutationObserver((all) => window.chatter.push(...all.map((each) => region.id)))
          .observe(region, {childList: true, characterData: true, subtree: true});
      }
    }""")
    for _ in range(2):
        before = page.locator("#live").inner_text()
        page.wait_for_function("before => document.getElementById('live').innerText !== before", arg=before)
    assert [] == page.evaluate("window.chatter")


def test_items_are_found_by_title(page: Page, address: str) -> None:
    """A found item has a list of matching items, and a link to a visit that begins with it."""
    page.goto(f"{address}/#/items")
    page.get_by_label("Search by title or id").last.fill("hot water")
    expect(page.locator("#found li").first).to_contain_text("HOT WATER")
    page.locator("#found a").first.click()
    expect(page.locator("#item h2")).to_contain_text("HOT WATER")
    expect(page.locator("#item .recs li")).to_have_count(10)
    page.get_by_role("link", name="Open it as a visitor").click()
    expect(page.locator("#trail li").first).to_contain_text("HOT WATER")


@pytest.mark.parametrize(
    ("call", "expected"),
    [
        ("duration(0)", "0~s"),
        ("duration(93784000)", "1~day 2~h"),
        (f"duration({29 * DAY_MS})", "29~days"),
        ("millis(0.04)", "40~µs"),
        ("millis(1500)", "1.50~s"),
        ("bytes(128000000)", "128~MB"),
        ("bytes(1530)", "1.53~kB"),
        ("percent(0.1234)", "12.3~%"),
        ("percent(null)", "\N{EN DASH}"),
        ("number(1234567)", "1,234,567"),
        ("short(12300)", "12.3~k"),
        ("stretch(300)", "5 minutes"),
        ("stretch(86400)", "1 day"),
        ("lastStretch(300)", "5 minutes"),
        ("lastStretch(3600)", "hour"),
        ("lastStretch(10 * 86400)", "10 days"),
        ("count(1, 'visit')", "1 visit"),
        ("portions([2, 2, 2]).join()", "34~%,33~%,33~%"),
        ("portions([9930, 65, 5]).join()", "99~%,1~%,<~1~%"),
        ("portions([0, 7]).join()", "0~%,100~%"),
        ("portions([]).join()", ""),
        (f"roundDuration({29 * DAY_MS})", 30 * DAY_MS),
        (f"ago(0, {DAY_MS})", "1~day ago"),
    ],
)
def test_numbers_are_formatted(page: Page, address: str, call: str, expected: object) -> None:
    """Numbers have units and few characters; a unit is bound to its number (here ~)."""
    page.goto(f"{address}/static/icon.svg")
    name = call.split("(", maxsplit=1)[0]
    found = page.evaluate(f"async () => {{ const {{ {name} }} = await import('/static/format.js'); return {call}; }}")
    assert expected == (found.replace("\N{NO-BREAK SPACE}", "~") if isinstance(found, str) else found)


def test_a_stream_may_be_cut_anywhere(page: Page, address: str) -> None:
    """Server-sent events are joined from pieces of any size, with any of the three line ends."""
    page.goto(f"{address}/static/icon.svg")
    text = ': hello\r\n\r\nevent: stats\ndata: {"a":\ndata: 1}\n\nevent: stats\r\ndata: {"b":"ü"}\r\n\r\n'
    blocks = page.evaluate(
        """async (text) => {
      const { blocks } = await import('/static/api.js');
      const bytes = new TextEncoder().encode(text);
      const found = [];
      for (let size = 1; size <= bytes.length; size += 1) {
        const body = new ReadableStream({ start(control) {
          for (let i = 0; i < bytes.length; i += size) control.enqueue(bytes.slice(i, i + size));
          control.close();
        } });
        const all = [];
        for await (const block of blocks(body)) all.push(block);
        found.push(JSON.stringify(all));
      }
      return [...new Set(found)];
    }""",
        text,
    )
    assert [[["stats", '{"a":\n1}'], ["stats", '{"b":"ü"}']]] == [json.loads(each) for each in blocks]


def test_a_line_is_broken_where_there_were_no_figures(page: Page, address: str) -> None:
    """A gap in time is a gap in the line."""
    page.goto(f"{address}/static/icon.svg")
    moves = page.evaluate("""async () => {
      const { lineChart } = await import('/static/chart.js');
      const chart = lineChart({ label: 'x', series: ['a', 'b'] });
      const at = (seconds, value) => ({ at: 1e12 + 1000 * seconds, values: [value, 1] });
      chart.update([at(0, 1), at(1, 2), at(30, 3), at(31, null), at(32, 4)], 60_000);
      return chart.node.querySelector('.line-0').getAttribute('d').split('M').length - 1;
    }""")
    assert 2 == moves
