"""The table of figures: made from whatever results there are, and put between the README's marks."""

import json
from pathlib import Path
from typing import Any

import common
import figures
import measured_code
import pytest

RESULT: dict[str, Any] = {
    "machine": "2 cores",
    "python": "3.11.7",
    "versions": {"numpy": "2.1", "numba": "0.61"},
    "commit": "abc1234",
    "date": "2025-01-02",
    "figures": [
        {"what": "query p50", "value": 27.345, "unit": "us", "target": 30, "least": 26.91, "most": 31},
        {"what": "ingestion | JSON", "value": 412000, "unit": "events/s", "target": "at least 400,000"},
        {"what": "HR@20", "value": 0.66271, "unit": None},
    ],
}


def test_a_table_of_results(tmp_path: Path) -> None:
    """Numbers have their units, texts stand as they are, and circumstances are told once."""
    for name in ("kernel", "other"):
        (tmp_path / f"{name}.json").write_text(json.dumps(RESULT), encoding="utf-8")
    lines = figures.block(figures.read_results(tmp_path)).splitlines()
    assert lines[2] == "| query p50 | 27.3 us (26.9 to 31) | 30 us |  | kernel |"
    assert lines[3] == "| ingestion \\| JSON | 412,000 events/s | at least 400,000 |  | kernel |"
    assert lines[4] == "| HR@20 | 0.6627 |  |  | kernel |"
    assert lines[-1] == (
        "Measured (kernel, other): 2 cores, Python 3.11.7, numba 0.61, numpy 2.1, commit abc1234, 2025-01-02."
    )


def test_what_is_of_note_for_the_front_page() -> None:
    """What has a target, or sets a rival against us; the rest stands in the results."""
    beside = {"what": "theirs takes, as a multiple of ours", "value": 3.0}
    (kept,) = figures.of_note(
        [("kernel", {**RESULT, "figures": [*RESULT["figures"], beside]}), ("none", {"figures": []})]
    )
    assert [each["what"] for each in kept[1]["figures"]] == ["query p50", "ingestion | JSON", beside["what"]]


def test_a_row_for_each_real_log() -> None:
    """From the figures of one result; an empty cell where one is missing."""
    told = [{"what": "toy: events", "value": 12.0}, {"what": "toy: all of it, vmis-knn HR@20", "value": 0.25}]
    lines = figures.logs_table([("real_data", {"figures": told}), ("other", {"figures": told})]).splitlines()
    assert lines[2:] == ["| toy | 12 |  |  |  |  |  | 0.2500 |  |"]
    assert figures.logs_table([("other", {"figures": told})]) == ""


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"figures": {}}', '{"figures": [3]}'])
def test_what_is_no_result_is_left_out(content: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A torn file is told of on standard error, and stops nothing."""
    (tmp_path / "torn.json").write_text(content, encoding="utf-8")
    assert figures.block(figures.read_results(tmp_path)) == figures.NOTHING + "\n"
    assert ("torn.json" in capsys.readouterr().err) == ("[3]" not in content)


def test_no_results_at_all(tmp_path: Path) -> None:
    """A tree that was never measured says so."""
    assert figures.block(figures.read_results(tmp_path / "none")) == figures.NOTHING + "\n"


def test_the_block_is_replaced_and_nothing_else() -> None:
    """Filling twice is filling once."""
    page = f"before\n{figures.BEGIN}\nold\n{figures.END}\nafter\n"
    once = figures.filled(page, "new\n")
    assert once == f"before\n{figures.BEGIN}\n\nnew\n\n{figures.END}\nafter\n"
    assert figures.filled(once, "new\n") == once
    with pytest.raises(ValueError, match="lacks"):
        figures.filled("no marks", "new")


@pytest.mark.parametrize(
    ("value", "target", "told"),
    [
        (9.0, ">= 10", "**missed**"),
        (10_000.0, ">= 10,000", "met"),
        (0.7, ">= .7", "met"),
        (7.0, "<= 7", "met"),
        (8, "< 8", "**missed**"),
        (1.0, "> 0", "met"),
        (5, "flat: <= 1.1", ""),
        (5, None, ""),
    ],
)
def test_whether_a_target_was_met(value: float, target: str | None, told: str) -> None:
    """Where it is a bound."""
    assert told == figures.verdict({"value": value, "target": target})


def test_the_readme_tells_what_was_missed() -> None:
    """All of it, beside the few figures that it shows."""
    shown = {"what": "GET at 4,000/s, p99", "value": 5.0, "unit": "ms", "target": "<= 7"}
    missed = {"what": "another", "value": 5.0, "unit": "ms", "target": "<= 4"}
    told = figures.headlines([("http", {"figures": [shown, missed]})])
    assert "| a recommendation over HTTP, at 4,000/s, p99 | 5 ms | <= 7 | met |" in told
    assert "Of 2 targets that are a bound, 1 were met; missed:" in told
    assert "- http: another: 5 ms, target <= 4" in told


def test_the_pages_show_what_was_measured() -> None:
    """`tools/figures.py` was run since the results changed, and each headline has its figure."""
    results = figures.marked(figures.read_results(figures.RESULTS))
    page = figures.PAGE.read_text(encoding="utf-8")
    assert page == figures.filled(page, figures.headlines(results)), "run `make docs`"
    told = [figures.INTRODUCTION, figures.block(figures.of_note(results)), figures.logs_table(results)]
    assert "\n".join(told) == figures.MEASUREMENTS.read_text(encoding="utf-8"), "run `make docs`"
    known = {(name, each["what"]) for name, result in results for each in result["figures"]}
    assert figures.HEADLINES.keys() <= known


@pytest.mark.parametrize(
    ("content", "is_another"),
    [
        ("# another comment\ndef f(x: int) -> str:\n    return f'{x:>{9}}!'\n", False),
        (
            '"""A docstring."""\n\ndef f(x: int) -> str:\n    """Return."""\n    return (\n    f"{x:>{9}}" "!")\n',
            False,
        ),
        ("def f(x: int) -> str:\n    return f'{x:>{8}}!'\n", True),
        ("def f(x: int) -> str:\n    print()\n    return f'{x:>{9}}!'\n", True),
    ],
)
def test_a_hash_is_of_what_python_runs(content: str, is_another: bool, tmp_path: Path) -> None:
    """Comments, docstrings and layout do not count; what is in a room, by its name, does."""
    room = tmp_path / "stream_rec" / "room"
    room.mkdir(parents=True)
    (room / "code.py").write_text("def f(x: int) -> str:\n    return f'{x:>{9}}!'\n", encoding="utf-8")
    before = measured_code.hashes(["room", "room/code.py", "none"], tmp_path)
    (room / "code.py").write_text(content, encoding="utf-8")
    after = measured_code.hashes(["room", "room/code.py", "none"], tmp_path)
    assert (["room", "room/code.py"] if is_another else []) == measured_code.changed_rooms(before, before, after)
    assert before["none"] == ""
    (room / "code.py").rename(room / "moved.py")
    assert ["room", "room/code.py"] == measured_code.changed_rooms(
        after, before, measured_code.hashes(before, tmp_path)
    )


def test_a_figure_of_older_code_has_a_mark() -> None:
    """On each page, and only where a room of its own has changed; results that kept no hashes are of older code."""
    fresh = measured_code.hashes(measured_code.every_room_of("query"))
    engine = {**fresh, "core/engine": "another"}
    inside, around = "p90 inside the kernel, 5,000,000 events", "what the engine adds"
    told = [{"what": inside, "value": 1.0, "target": "<= 2"}, {"what": around, "value": 3.0, "target": "<= 2"}]
    pages = {}
    for name, code in (("fresh", fresh), ("engine", engine), ("none", {})):
        results = figures.marked([("query", {"figures": told, "code": code})])
        pages[name] = figures.headlines(results) + figures.block(results)
        assert (name != "fresh") is figures.stale_lines(results)[1]
    assert figures.MARK not in pages["fresh"]
    assert figures.STALE not in pages["fresh"]
    assert pages["engine"].count(f"3{figures.MARK},") == pages["engine"].count(f"3{figures.MARK} |") == 1
    assert f"1{figures.MARK}" not in pages["engine"]
    assert pages["none"].count(f"1{figures.MARK}") == 2
    assert pages["none"].count(figures.STALE) == 2
    assert ["query: 1 figures; changed since: core/engine"] == figures.stale_lines(
        figures.marked([("query", {"figures": told, "code": engine})])
    )[0]


def test_tables_of_older_code_have_a_mark() -> None:
    """Those of real logs and of presets."""
    logs = [("real_data", {"figures": [{"what": "toy: events", "value": 12.0}]})]
    presets = [("evaluate", {"figures": [{"what": "toy, prequential: a MRR@20", "value": 1, "least": 0, "most": 2}]})]
    for table, results in ((figures.logs_table, logs), (figures.presets_table, presets)):
        assert figures.MARK not in table(results)
        assert figures.MARK in table(figures.marked(results)).splitlines()[0]
        assert figures.STALE in table(figures.marked(results))


def test_every_result_says_what_it_depends_on(tree: Path) -> None:
    """Rooms that there are; a result that was kept is listed, and a benchmark keeps its hashes under its name."""
    kept = {path.stem for path in figures.RESULTS.glob("*.json")}
    scripts = {path.stem.removeprefix("bench_") for path in (tree / "benchmarks").glob("bench_*.py")}
    assert kept | scripts == measured_code.RESULTS.keys() | {"soak"}
    assert {name for name, _ in measured_code.FIGURES} <= measured_code.RESULTS.keys()
    rooms = [room for name in measured_code.RESULTS for room in measured_code.every_room_of(name)]
    assert all(measured_code.hashes(rooms).values())
    report = common.Report("query", "?", small=True)
    assert report._result.code == measured_code.hashes(measured_code.every_room_of("query"))


def test_the_readme_has_the_marks(tree: Path) -> None:
    """Once each, so that the table has its place."""
    page = (tree / "README.md").read_text(encoding="utf-8")
    assert (1, 1) == (page.count(figures.BEGIN), page.count(figures.END))


def test_presets_stand_beside_each_other_with_their_intervals() -> None:
    """A row for each model, a column for each log, from the figures of the evaluation only."""
    figures_of_two = [
        {"what": f"{log}, prequential: {name} MRR@20", "value": value, "least": value - 0.01, "most": value + 0.01}
        for log, name, value in (("toy", "default", 0.3), ("toy", "stan", 0.2), ("shop", "default", 0.1))
    ]
    others = [{"what": "toy, prequential: stan novel MRR@20", "value": 9.0}, {"what": "toy, hold-out: stan MRR@20"}]
    table = figures.presets_table([("evaluate", {"figures": [*figures_of_two, *others]}), ("run", {"figures": []})])
    assert "| | toy | shop |" in table
    assert "| `default` | 0.3000 (0.2900 to 0.3100) | 0.1000 (0.0900 to 0.1100) |" in table
    assert "| `stan` | 0.2000 (0.1900 to 0.2100) |  |" in table
    assert "9.0" not in table
