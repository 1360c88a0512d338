"""The pages of `evaluate` and `tune`: whole, by themselves, and true to the tables."""

from datetime import UTC, datetime
from html.parser import HTMLParser
from pathlib import Path

import msgspec
import pytest

from stream_rec.core.events import Event
from stream_rec.errors import SettingsError
from stream_rec.evaluate.command import EvaluateOptions, evaluate
from stream_rec.evaluate.from_settings import occasion_of
from stream_rec.evaluate.page.document import Chart
from stream_rec.evaluate.page.tuning import write_tuning
from stream_rec.evaluate.search import TrialResult, influence
from stream_rec.evaluate.space import SEARCHED
from stream_rec.evaluate.tune_report import TuneResult
from stream_rec.settings import Settings, load

SHOWN = ("MRR", "HR", "NDCG", "novel MRR", "precision", "recall", "MAP")
"""The metrics of the tables, at each cut-off."""


class Page(HTMLParser):
    """The elements of a page, and its text."""

    def __init__(self, content: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.addresses: list[str] = []
        self.text: list[str] = []
        self.charts: list[Chart] = []
        self._kind = ""
        self.feed(content)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self._kind = dict(attrs).get("type") or tag
        self.addresses += [value or "" for name, value in attrs if name in {"src", "href", "srcset", "action"}]

    def handle_data(self, data: str) -> None:
        if self._kind == "application/json":
            self.charts.append(msgspec.json.decode(data, type=Chart))
        elif self._kind not in {"script", "style"}:
            self.text.append(data)

    def handle_endtag(self, tag: str) -> None:
        if tag in {self._kind, "script"}:
            self._kind = ""


def settings_of(tmp_path: Path, **flags: object) -> Settings:
    """A log of 30 visits, of which the last event comes twice, under a name that is markup."""
    log = tmp_path / "a<b>&.jsonl"
    rows = [
        {"session_id": f"s{visit}", "item_id": f"i{(visit + step) % 7}", "timestamp": 10**12 + 60_000 * (visit + step)}
        for visit in range(30)
        for step in range(4)
    ]
    log.write_bytes(b"".join(msgspec.json.encode(row) + b"\n" for row in [*rows, rows[-1]]))
    return load(flags={"events": str(log), **flags})


def test_the_page_of_evaluate_is_whole_and_by_itself(tmp_path: Path) -> None:
    """It says what the tables say, of which log, when and how; it names no other address; each line has its style."""
    out = tmp_path / "page.html"
    settings = settings_of(tmp_path, k="7", kafka=("sasl.password=secret1",))
    options = EvaluateOptions(
        html=str(out), cutoffs="2,3", draws=20, command="stream-rec evaluate --k 7", compare=("sknn",)
    )
    report = evaluate(settings, options)
    content = out.read_text(encoding="utf-8")
    page = Page(content)
    text = "".join(page.text)
    assert ["data:,"] == page.addresses
    assert "url(" not in content
    assert "@import" not in content
    assert content.count("</script>") == page.tags.count("script") == 2 + len(page.charts)
    for said in (
        "a<b>&.jsonl", "121 readable, in 30 sessions", f"{datetime.now(UTC):%Y-%m-%d}", "stream-rec evaluate --k 7",
        "k = 7", "repeat another one exactly",
        *(f"{figure.value:.4f}" for name, figure in report.first.metrics.items() if name.split("@")[0] in SHOWN),
    ):  # fmt: skip
        assert said in text, said
    assert "secret1" not in content
    assert ["MRR@3 over time", "HR by length of the answer", "latency of an answer"] == [
        each.title for each in page.charts
    ]
    by_k = page.charts[1]
    assert {each.name: each.hr_by_k for each in report.models} == {each.name: [*each.values] for each in by_k.series}
    styles = {(each.name, each.style) for chart in page.charts for each in chart.series}
    assert len(styles) == len({name for name, _ in styles}) == len({style for _, style in styles}) == len(report.models)


def test_a_page_without_a_place_is_refused_before_the_pass(tmp_path: Path) -> None:
    """The folder must be there."""
    with pytest.raises(SettingsError, match=r"html: .*is no file in a folder that exists"):
        evaluate(settings_of(tmp_path), EvaluateOptions(html=str(tmp_path / "none" / "page.html")))


@pytest.mark.parametrize("n_sets", [10, 40])
def test_influence_is_shown_where_it_was_measured(n_sets: int, tmp_path: Path) -> None:
    """With few sets the page says so, and shows none. With many, it says on which questions, and draws all sets."""
    tried = [
        TrialResult(
            number=number,
            parameters={name: number % 5 if name == "k" else 1 for name in SEARCHED} | {"weight": "log"},
            value=0.1 + number / 1000,
            questions=80 if number % 3 else 40,
            finished=number % 3 > 0,
            early_value=(number % 5) / 10,
        )
        for number in range(n_sets)
    ]
    result = TuneResult(
        metric="MRR@20", questions=80, start=0.1, best=0.2, parameters=tried[0].parameters, improved=True, tried=tried,
        influence=influence(tried), early_questions=20, test=None, notes=["a <b>note</b>"],
    )  # fmt: skip
    out = tmp_path / "page.html"
    occasion = occasion_of(load(flags={"events": "a.csv"}), "stream-rec tune", datetime(2024, 5, 1, tzinfo=UTC), {})
    write_tuning(str(out), result, occasion, [Event("s", "i", 0)])
    page = Page(out.read_text(encoding="utf-8"))
    text = "".join(page.text)
    assert "a <b>note</b>" in text
    assert "2024-05-01 00:00 UTC" in text
    if n_sets == 10:
        assert "not measured, 10 sets are too few (24 would do)" in text
        assert 1 == len(page.charts)
    else:
        assert "between all 40 sets" in text
        assert "on the first 20 questions, which all were asked" in text
        drawn = next(chart for chart in page.charts if chart.title == "k")
        assert 40 == len(drawn.x) == sum(value is not None for each in drawn.series for value in each.values)
