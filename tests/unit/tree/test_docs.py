"""The pages: what they show is what happens, what they list is what there is, and their links lead somewhere."""

import inspect
import json
import re
import subprocess
import sys
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path

import msgspec
import pytest
from notebook import notebook_of
from notebook import pages as tutorials
from pages import anchors, blocks, links, needs, play, rows

from stream_rec.core.engine import Stats
from stream_rec.core.index.arrays import EVENT_COST, ITEM_COST, SESSION_COST, STORE_COST
from stream_rec.core.limits import Limits
from stream_rec.core.model import PRESETS, Model
from stream_rec.core.quality import ClickThrough, ModelQuality
from stream_rec.service.metrics.counters import Counters
from stream_rec.service.problems import ProblemKind
from stream_rec.service.reporting.status import Status

ROOT = Path(__file__).parents[3]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
NAMES = [str(page.relative_to(ROOT)) for page in PAGES]
TALKING = [
    name
    for name in NAMES
    if any(block.language in {"python", "console"} and not block.needs_broker for block in blocks(ROOT / name))
]


@pytest.mark.parametrize("name", TALKING)
def test_a_page_prints_what_it_shows(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    """Every Python block and every command runs, in order, and prints what stands below it."""
    monkeypatch.chdir(tmp_path)
    for folder in needs(ROOT / name):
        (tmp_path / folder).symlink_to(request.getfixturevalue("data") / folder)
    assert play(ROOT / name) > 0


@pytest.mark.parametrize("page", tutorials(), ids=lambda page: page.name)
def test_a_notebook_says_what_its_page_does(page: Path) -> None:
    """`make docs` has written it since the page was changed."""
    notebook = page.with_suffix(".ipynb").read_text(encoding="utf-8")
    assert notebook_of(page) == notebook
    cells = json.loads(notebook)["cells"]
    assert [block.text.rstrip("\n") for block in blocks(page) if block.language == "python"] == [
        "".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"
    ]


@pytest.mark.parametrize("page", tutorials(), ids=lambda page: page.name)
def test_a_notebook_runs(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, data: Path) -> None:
    """Cell by cell in one namespace, each printing what is kept below it."""
    monkeypatch.chdir(tmp_path)
    for folder in needs(page):
        (tmp_path / folder).symlink_to(data / folder)
    namespace: dict[str, object] = {"__name__": "__main__"}
    for cell in json.loads(page.with_suffix(".ipynb").read_text(encoding="utf-8"))["cells"]:
        if cell["cell_type"] == "code":
            out = StringIO()
            with redirect_stdout(out):
                exec("".join(cell["source"]), namespace)  # noqa: S102  # running the notebook is the point
            assert ["".join(each["text"]) for each in cell["outputs"]] == ([out.getvalue()] if out.getvalue() else [])


def test_what_a_page_shows_wrongly_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another text than what was printed, by Python or by a command, fails."""
    monkeypatch.chdir(tmp_path)
    page = tmp_path / "page.md"
    for shown in ("```python\nprint(1)\n```\n\n```text\n2\n```\n", "```console\n$ echo 1\n2\n```\n"):
        page.write_text(shown, encoding="utf-8")
        with pytest.raises(AssertionError):
            play(page)
    page.write_text("`a.txt`:\n\n```text\none\n```\n\n```console\n$ cat a.txt\no...e\n```\n", encoding="utf-8")
    assert play(page) == 1


@pytest.mark.parametrize("name", NAMES)
def test_links_lead_somewhere(name: str) -> None:
    """To a file of the project, and to a heading that it has."""
    page = ROOT / name
    for link in links(page):
        if link.startswith(("https://", "http://")):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        if target.is_relative_to(ROOT / "stream_rec") and not (ROOT / "stream_rec").exists():
            continue  # in tests of the wheel the tree's package is not there
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


@pytest.mark.parametrize(("heading", "struct"), [("## Parameters", Model), ("## Limits", Limits)])
def test_every_parameter_is_in_the_reference(heading: str, struct: type[msgspec.Struct]) -> None:
    """A row for each field, in their order, with its default."""
    listed = [(cells[0], cells[1]) for cells in rows(ROOT / "docs/reference/model.md", heading)]
    fields = msgspec.structs.fields(struct)
    assert [(f"`{each.name}`", f"`{_shown(each.default)}`") for each in fields] == listed


def _shown(value: object) -> str:
    if type(value) is int:
        return f"{value:_}"
    return str(value).lower() if value is None or isinstance(value, bool) else str(value)


def test_the_shop_tutorial_shows_its_clicks() -> None:
    """The first lines that its program writes; their times are of the run, and those between clicks are not."""
    program = [sys.executable, str(ROOT / "examples" / "shop" / "make_clicks.py")]
    written = subprocess.run(program, capture_output=True, text=True, check=True).stdout.splitlines()[:3]
    (shown,) = (each.text for each in blocks(ROOT / "docs/tutorial/shop.md") if each.text.startswith("session_id,"))
    head, *clicks = ([line.split(",") for line in lines] for lines in zip(shown.splitlines(), written, strict=True))
    assert head[0] == head[1]
    assert [(a[:2], a[3:]) for a, _ in clicks] == [(b[:2], b[3:]) for _, b in clicks]
    first, second = clicks
    assert int(second[0][2]) - int(first[0][2]) == int(second[1][2]) - int(first[1][2])


def test_every_formula_is_in_the_reference() -> None:
    """Each choice of a parameter that is a choice is named in its row."""
    told = {cells[0].strip("`"): cells[2] for cells in rows(ROOT / "docs/reference/model.md", "## Parameters")}
    for name, kind in inspect.get_annotations(Model).items():
        for choice in getattr(kind, "__args__", ()):
            if isinstance(choice, str):
                assert f"`{choice}`" in told[name], name


def test_every_preset_is_in_the_reference() -> None:
    """A row for each, and in it all that the preset sets apart from the defaults."""
    listed = {cells[0].strip("`"): cells[1] for cells in rows(ROOT / "docs/reference/model.md", "## Presets")}
    default = msgspec.structs.asdict(Model())
    assert list(PRESETS) == list(listed)
    for name, point in PRESETS.items():
        own = {key: value for key, value in msgspec.structs.asdict(point).items() if value != default[key]}
        own.pop("name", None)
        told = dict(re.findall(r"`(\w+)=([^`]*)`", listed[name]))
        assert {key: str(value) for key, value in own.items()} == told, name


def test_the_prices_of_memory_are_told() -> None:
    """Those that `max_bytes` is counted in."""
    listed = rows(ROOT / "docs/how-to/memory.md", "## What things cost")
    assert [f"{cost} bytes" for cost in (SESSION_COST, EVENT_COST, ITEM_COST, STORE_COST)] == [
        cells[1] for cells in listed[:4]
    ]


@pytest.mark.parametrize(
    ("heading", "struct"),
    [
        ("## Fields", Status),
        ("## Counts", Counters),
        ("## Stats", Stats),
        ("## Quality", ModelQuality),
        ("### Shown", ClickThrough),
    ],
)
def test_every_figure_of_the_status_is_in_the_reference(heading: str, struct: type) -> None:
    """A row for each field, in their order."""
    listed = [cells[0].strip("`") for cells in rows(ROOT / "docs/reference/status.md", heading)]
    assert list(inspect.get_annotations(struct)) == listed


def test_every_kind_of_problem_is_explained() -> None:
    """With what to do about it."""
    listed = [cells[0].strip("`") for cells in rows(ROOT / "docs/how-to/alerts.md", "## StreamRecProblem")]
    assert sorted(ProblemKind) == sorted(listed)


def test_the_laws_name_tests_that_exist() -> None:
    """Each `file::test` on the page of laws is a test of that file."""
    named = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", (ROOT / "docs/explanation/laws.md").read_text(encoding="utf-8"))
    assert len(named) > 10
    for file, test in named:
        assert re.search(rf"def {test}\(", (ROOT / file).read_text(encoding="utf-8")), f"{file}::{test}"


def test_every_error_with_an_answer_exists() -> None:
    """Each text of the page on errors, between its `...`, stands in a message of the program."""
    page = (ROOT / "docs/how-to/faq.md").read_text(encoding="utf-8")
    cells = [line.split("|")[1] for line in page.splitlines() if line.startswith("| ")]
    quoted = [text for cell in cells for text in re.findall(r"`([^`]+)`", cell)]
    parts = [part.strip() for text in quoted for part in text.split("...") if len(part.strip()) > 3]
    assert len(parts) > 30
    code = "\n".join(file.read_text(encoding="utf-8") for file in sorted((ROOT / "stream_rec").rglob("*.py")))
    code = re.sub(r'"\s*\n\s*f?"', "", code)  # a text over several lines
    assert [] == [part for part in parts if part not in code]


def test_the_index_leads_to_every_page() -> None:
    """No page is left out of docs/README.md, or of the list of decisions, which it lists."""
    indexes = [ROOT / "docs/README.md", ROOT / "docs/decisions/README.md"]
    listed = {(index.parent / link).resolve() for index in indexes for link in links(index)}
    assert {page.resolve() for page in PAGES if page.parent != ROOT} - {indexes[0].resolve()} <= listed
