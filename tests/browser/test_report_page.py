"""The page of an evaluation in Chromium: drawn, told apart, read by pointer and keyboard, in both schemes."""

from pathlib import Path

import pytest
from chromium import PHONE, nameless, new_page, overflow, poor_contrasts
from playwright.sync_api import Browser, expect

from stream_rec.evaluate.page.document import Chart, Series, charts_html, section_html, table_html, write_page
from stream_rec.evaluate.whole_table import WholeTable

NAMES = [f"model {number}" for number in range(13)]
SIGNS = """() => [...document.querySelectorAll(".u-marker path")].map((path) =>
  [path.getAttribute("stroke"), path.getAttribute("stroke-dasharray"), path.getAttribute("d")].join(" "))"""
INK = """canvas => {
  const {data} = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
  return data.filter((value, i) => i % 4 === 3 && value > 0).length;
}"""


@pytest.fixture
def address(tmp_path: Path) -> str:
    """A page with a wide table, thirteen lines, and points on words."""
    table = WholeTable("figures", ["model", *"abcdefghij"])
    for name in NAMES:
        table.add_row(name, *["0.123456"] * 10)
    lines = [Series(name=name, values=[0.1, 0.2 + i / 50, None, 0.4], style=i) for i, name in enumerate(NAMES)]
    points = [Series(name="sets", values=[0.1, 0.3], style=0, kind="points")]
    days = [86_400_000.0 * (19_000 + day) for day in range(4)]
    charts = [
        Chart(title="over time", x=days, x_kind="time", x_label="time", y_label="MRR", series=lines),
        Chart(
            title="by word",
            x=[0, 1],
            x_kind="words",
            words=["log", "exp"],
            x_label="weight",
            y_label="MRR",
            series=points,
        ),
    ]
    path = tmp_path / "page.html"
    write_page(
        str(path), "a page", [section_html("Figures", table_html(table)), section_html("Charts", charts_html(charts))]
    )
    return path.as_uri()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_is_drawn_and_read(browser: Browser, address: str, scheme: str) -> None:
    """No two lines look alike; the legend has values at the pointer, and hides a line by the keyboard, for good."""
    with new_page(browser, color_scheme=scheme) as (page, complaints):
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        page.goto(address)
        expect(page.locator("canvas")).to_have_count(2)
        assert page.locator("canvas").first.evaluate(INK) > 1000
        signs = page.evaluate(SIGNS)[: len(NAMES)]
        assert len(NAMES) == len(set(signs))
        assert [] == poor_contrasts(page)
        assert [] == nameless(page)
        page.locator(".u-over").first.hover(position={"x": 1, "y": 20})
        legend = page.locator(".u-legend").first
        expect(legend).to_contain_text("2022-01-08 00:00 UTC")
        expect(legend.locator(".u-series", has_text="model 12")).to_contain_text("0.1")
        button = legend.get_by_role("button", name="model 3")
        before = page.locator("canvas").first.evaluate(INK)
        button.focus()
        page.keyboard.press("Enter")
        expect(button).to_have_attribute("aria-pressed", "false")
        assert page.locator("canvas").first.evaluate(INK) < before
        page.emulate_media(color_scheme="dark" if scheme == "light" else "light")
        expect(page.locator("canvas")).to_have_count(2)
        expect(page.get_by_role("button", name="model 3")).to_have_attribute("aria-pressed", "false")
        assert page.evaluate(SIGNS)[: len(NAMES)] != signs
        assert [address] == [url for url in asked if not url.startswith("data:")]
        page.set_viewport_size({"width": PHONE["width"], "height": PHONE["height"]})
        page.wait_for_function("() => document.querySelector('.uplot').offsetWidth <= innerWidth")
        assert overflow(page) <= 0
        assert [] == complaints
