"""The learned order in the dashboard: why an item stands where it does, what is played, and by how much it is ahead."""

from typing import Any, Final

from chromium import open_view
from fake_orders import BOUNDARY, order, unlearned
from fake_service import FakeService
from playwright.sync_api import Page, expect

DAY_MS: Final = 86_400_000
MINUS: Final = "\u2212"
SAID: Final[dict[str, tuple[dict[str, Any], tuple[str, ...]]]] = {
    "played": (
        order(),
        (
            "in the order of the hidden weights, learned from visits up to 4 Dec 2011, 12:00 UTC, 2 days before",
            "It is ahead of the model",
            "own order by 0.050 MRR@20 (25 %)",
            "learns again after 4,321 more events",
            "Past visits ask 13,492 questions",
            "--rerank off",
            '"rerank": "off"',
        ),
    ),
    "not ahead": (
        order(playing=None, mrr={"plain": 0.3, "linear": 0.22, "hidden": 0.25}, phase="newer", done=0.4),
        ("no learned one is ahead", "learning again now: 40 % of the questions"),
    ),
    "too few": (order(playing=None, examples=812), ("812 questions to learn from are too few",)),
    "behind, by order": (
        order(setting="linear", playing=f"linear@{BOUNDARY}", mrr={"plain": 0.25, "linear": 0.2, "hidden": 0.2}),
        ("It is behind the model", "own order by 0.050"),
    ),
    "new": (unlearned(events_left=900), ("nothing is learned yet", "learns after 900 more events")),
    "waits": (unlearned(events_left=0), ("as soon as there are enough questions",)),
    "learns": (unlearned(phase="older", done=0.25), ("It is learning now: 25 % of the questions",)),
}
"""By model: what the service says of its order, and words of the card."""


def summed(page: Page, label: str) -> float:
    """Return the sum of the values of a list of bars, as shown."""
    found = page.locator("#visitor .why:visible").get_by_role("list", name=label).locator(".bars-value")
    return round(sum(float(text.replace(MINUS, "-")) for text in found.all_inner_texts()), 2)


def test_a_learned_score_is_explained_whole(page: Page, address: str, service: FakeService) -> None:
    """What is shown adds up to the score, and what made the item a candidate stands below, with its own percentages."""
    service.weights = f"hidden@{BOUNDARY}"
    newest = service.recent(1)["sessions"][0]["session_id"]
    open_view(page, address, f"#/visitors/{newest}")
    answer = service.answer(newest, [each["item_id"] for each in service.sessions[newest]], 10)
    page.locator("#visitor .ask-why").first.click()
    why = page.locator("#visitor .why").first
    score = f"{answer['items'][0]['score']:+.2f}"
    expect(why).to_contain_text(f"its score is {score.replace('-', MINUS)}")
    features = why.get_by_role("list", name="What each feature adds or takes")
    # The typical candidate, six features, the others that move something, and the boost.
    expect(features.locator("li")).to_have_count(9)
    expect(features.locator("li").first).to_contain_text("the typical candidate")
    expect(features).to_contain_text("further 2 features")
    expect(features).to_contain_text("a boost from your rules, \u00d7 1.50")
    assert 3 == features.locator(".takes").count(), "two features and the sum of the others"
    assert float(score) == summed(page, "What each feature adds or takes")
    expect(why.get_by_role("heading", name="What made it a candidate")).to_be_visible()
    expect(why).to_contain_text("own score, ")
    expect(why.get_by_role("list", name="How much of the score each shared item adds")).to_be_visible()
    caption = page.locator("#visitor .recs + .help")
    expect(caption).to_contain_text("In a learned order, by the hidden weights of 4 Dec 2011, 12:00 UTC")
    expect(page.locator("#visitor .recs .small").first).to_contain_text("from similar visits")


def test_an_item_of_the_visit_itself_says_so(page: Page, address: str, service: FakeService) -> None:
    """Its source is in words, and so is why it is a candidate without a score of the model."""
    service.weights = f"linear@{BOUNDARY}"
    service.sessions["new"] = [{"item_id": "no-visit-has-it", "timestamp": service.watermark, "type": "view"}]
    open_view(page, address, "#/visitors/new")
    expect(page.locator("#visitor .recs .tag", has_text="this visit had it before")).to_have_count(1)
    row = page.locator("#visitor .recs > li", has_text="this visit had it before")
    row.locator(".ask-why").click()
    expect(row.locator(".why")).to_contain_text("its own last items are always candidates")
    expect(page.locator("#visitor .recs + .help")).to_contain_text("1 from this visit itself")


def test_a_card_says_what_is_played(page: Page, address: str, service: FakeService) -> None:
    """What is in force or why nothing is, by how much it is ahead, when it is learned again, and how to switch it off.

    All that also before there are figures of quality; without learned orders, one line says how to switch them on.
    """
    retained = service.stats()["retained"] | {"watermark": BOUNDARY + 2 * DAY_MS}
    orders = [said | {"model": name} for name, (said, _) in SAID.items()]
    service.stats_change = {"orders": orders, "retained": retained, "quality": None}
    page.goto(f"{address}/#/quality")
    for name, (said, words) in SAID.items():
        card = page.locator("#quality article").filter(
            has=page.get_by_role("heading", name=f"Learned order of {name}", exact=True)
        )
        for each in words:
            expect(card).to_contain_text(each)
        rows = card.get_by_role("list", name="MRR@20 of each order").locator("li")
        expect(rows).to_have_count(len(said["mrr"]))
        if said["mrr"]:
            force = "own order" if said["playing"] is None else said["playing"].split("@")[0]
            expect(rows.filter(has_text="in force")).to_contain_text(force)
            matters = card.get_by_role("list", name="What matters on this log").locator("li")
            expect(matters).to_have_count(6)
            expect(matters.first).to_contain_text("what the model itself gives it")
            card.get_by_text("Show the next 2").click()
            expect(card.get_by_role("list", name="What matters less").locator("li")).to_have_count(2)
    service.stats_change = {"orders": []}
    card = page.locator("#quality article").filter(has=page.get_by_role("heading", name="Learned order", exact=True))
    expect(card).to_contain_text("Off. Start the service with --rerank auto")
