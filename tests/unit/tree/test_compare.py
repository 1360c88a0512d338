"""The tools that compare two builds: what they count as a difference, and what they leave out."""

import gzip
import json
from pathlib import Path

import compare_builds
import compare_bursts
import compare_outputs
import compare_pythons
import compared
import pytest
from common import Figure, Result
from compare_builds import Compared
from compared import KINDS, Seen, difference, exact, flat


def facts(kind: str, output: str) -> list[str]:
    return KINDS[kind](output).facts


def words(kind: str, output: str) -> list[str]:
    return KINDS[kind](output).words


def test_the_first_line_that_differs_is_found() -> None:
    """With its number and both texts; the end of one is a difference too."""
    assert difference(["a", "b"], ["a", "b"]) is None
    found = difference(["a", "b"], ["a", "c", "d"])
    assert (2, "b", "c") == found
    assert "line 2\n    - b\n    + c" == str(found)
    assert (2, "b", None) == difference(["a", "b"], ["a"])


def test_packed_files_are_compared_by_what_they_hold(tmp_path: Path) -> None:
    """Other packing is no difference, another byte is."""
    paths = [tmp_path / f"{number}.gz" for number in range(3)]
    paths[0].write_bytes(gzip.compress(b"answers" * 100, 1, mtime=0))
    paths[1].write_bytes(gzip.compress(b"answers" * 100, 9, mtime=7))
    paths[2].write_bytes(gzip.compress(b"answers" * 99 + b"answerz", 1, mtime=0))
    assert exact(paths[0], paths[1])
    assert not exact(paths[0], paths[2])
    assert "answers" * 100 == compared.text(paths[0])


def test_a_summary_is_its_numbers_but_for_the_time_it_took() -> None:
    """Names are words; another count is a fact."""
    summary = "read           1,234 records\ntook           1.1 s: 89,115 records/s\n"
    assert Seen(["1,234"], ["read           # records"]) == KINDS["report"](summary)
    assert facts("report", summary) == facts("report", summary.replace("89,115", "7"))
    assert facts("report", summary) != facts("report", summary.replace("1,234", "1,235"))
    assert facts("report", summary) == facts("report", summary.replace("records", "lines"))


def test_a_dead_letter_is_all_but_its_message() -> None:
    """How far an event lies ahead depends on when one asks, so those numbers are left out of the words too."""
    late = {"reason": "late", "message": "1h behind", "offset": 3}
    future = {"reason": "future", "message": "17 s ahead", "offset": 4}
    output = "".join(json.dumps(each) + "\n" for each in (late, future))
    assert ["1h behind", "# s ahead"] == words("deadletters", output)
    assert ['{"reason": "late", "offset": 3}', '{"reason": "future", "offset": 4}'] == facts("deadletters", output)


def test_descriptions_of_the_document_are_words() -> None:
    """But a field that is called `summary` is a fact."""
    document = {"get": {"summary": "One item.", "parameters": []}, "properties": {"summary": {"type": "string"}}}
    expected = Seen(
        ["$.get.parameters = []", '$.properties.summary.type = "string"'],
        ['$.get.summary = "One item."'],
    )
    assert expected == KINDS["openapi"](json.dumps(document))


def test_metrics_are_names_types_and_labels() -> None:
    """Values and help are not."""
    output = '# HELP a_total What.\n# TYPE a_total counter\na_total{reason="late"} 3.0\n'
    assert Seen(["# TYPE a_total counter", 'a_total{reason="late"}'], ["# HELP a_total What."]) == KINDS["metrics"](
        output
    )


def test_reference_pages_are_names_and_defaults() -> None:
    """Of the page of metrics the last column is for people, but buckets are not."""
    page = "## `m`\n\nSample.\n\n- Flag: `--m N`\n- Takes: a number\n- Default: `500`\n"
    assert ["## `m`", "- Flag: `--m N`", "- Default: `500`"] == facts("settingspage", page)
    table = "| metric | type |\n| `stream_rec_a` | gauge | - | What. |\n| `stream_rec_b` | 1, 2 |\n"
    assert ["| `stream_rec_a` | gauge | -", "| `stream_rec_b` | 1, 2 |"] == facts("metricspage", table)


def test_replies_are_compared_but_for_what_is_new_each_time() -> None:
    """A receipt, a time and figures of the process; the message of an error is a word, its code is not."""

    def reply(asked: str, body: object) -> str:
        return json.dumps({"asked": asked, "status": 200, "body": body})

    def forgotten(receipt: str) -> list[str]:
        return facts("replies", reply("DELETE /v1/sessions/s", {"receipt": receipt, "sessions": 1}))

    assert forgotten("a") == forgotten("b")
    stats = [facts("replies", reply("GET /v1/stats", {"rates": [rate], "state": "ready"})) for rate in (1, 2.5)]
    assert stats[0] == stats[1]
    errors = [reply("GET /a", {"error": {"code": "unknown", "message": message}}) for message in ("no", "none")]
    assert facts("replies", errors[0]) == facts("replies", errors[1])
    assert ["none"] == words("replies", errors[1])
    assert facts("replies", errors[0]) != facts("replies", errors[0].replace("unknown", "other"))


def test_an_evaluation_is_all_but_its_times() -> None:
    """Wherever they stand in it."""
    figures = {"seconds": 1.5, "models": [{"name": "stan", "micros": {"p50": 30}, "length": 20.0}]}
    assert ['$.models[0].name = "stan"', "$.models[0].length = 20.0"] == facts("evaluation", json.dumps(figures))


def test_a_document_is_flattened_to_its_leaves() -> None:
    """What is empty is a leaf, so that it is not lost."""
    assert [("$.a[0].b", "1"), ("$.a[1]", "[]"), ("$.c", "{}")] == list(flat({"a": [{"b": 1}, []], "c": {}}))


@pytest.mark.parametrize(
    ("name", "old", "new", "verdict"),
    [
        ("a.report", "read 1\n", "read 1\n", "equal"),
        ("a.report", "read 1\n", "got 1\n", "reworded"),
        ("a.report", "read 1\n", "read 2\n", "DIFFERENT"),
        ("engine.srs", "old", "new", "DIFFERENT"),
        ("a.jsonl", "{}\n", None, "DIFFERENT"),
    ],
)
def test_outputs_are_equal_reworded_or_different(
    tmp_path: Path, name: str, old: str, new: str | None, verdict: str
) -> None:
    """Facts make a difference, words do not; bytes without a kind are facts, and so is an output that is missing."""
    for side, output in (("before", old), ("after", new)):
        (tmp_path / side / "what").mkdir(parents=True)
        if output is not None:
            (tmp_path / side / "what" / name).write_text(output)
    (row,) = compare_outputs.rows(tmp_path / "before", tmp_path / "after")
    assert ("what", verdict) == (row.what, row.verdict)
    assert (verdict == "equal") == (row.differences == [])


def kept(*figures: tuple[str, float]) -> Result:
    made = [Figure(what, value, "us") for what, value in figures]
    return Result(machine="", python="", versions={}, commit="", date="", code={}, figures=made)


def test_a_figure_of_both_builds_gets_ratios() -> None:
    """Of the medians, and the least and the most of the rounds; what is stated twice gets a number."""
    before = [compare_builds.figures(kept(("p50", value), ("p50", 1.0), ("gone", 1.0))) for value in (10.0, 20.0, 40.0)]
    after = [compare_builds.figures(kept(("p50", value), ("p50", 0.0), ("new", 1.0))) for value in (20.0, 20.0, 30.0)]
    first, second = compare_builds.compared(before, after)
    assert Compared("p50", "us", 20.0, 20.0, 1.0, 0.75, 2.0) == first
    assert Compared("p50 (2)", "us", 1.0, 0.0, 0.0, 0.0, 0.0) == second
    assert ["only before: gone", "only after: new"] == compare_builds.only_one_has(before[0], after[0])
    assert compare_builds.line(first).split() == ["p50", "20", "20", "us", "1.000", "0.750", "2.000"]


def test_nothing_is_divided_by_nothing() -> None:
    """A figure that was zero has no ratio, and says so."""
    zero, one = ([compare_builds.figures(kept(("late", value)))] for value in (0.0, 1.0))
    (found,) = compare_builds.compared(zero, one)
    assert found.ratio is None
    assert ["-", "-", "-"] == compare_builds.line(found).split()[-3:]


class Steady:
    """A build whose work takes always the same time, in turns that are noted."""

    works = ("apply", "ask")

    def __init__(self, micros: float, turns: list[float]) -> None:
        self._micros = micros
        self._turns = turns

    def burst(self, what: str, number: int) -> float:
        del what
        self._turns.append(self._micros)
        return self._micros * (1 + number % 3)


def test_bursts_are_compared_in_pairs() -> None:
    """The ratio is of neighbours, so a disturbance of both does not show; and each build goes first in turn."""
    turns: list[float] = []
    _, *table = compare_bursts.lines(Steady(10.0, turns), Steady(12.0, turns), 8)  # type: ignore[arg-type]  # as a Build
    assert [["1.200"] * 3] * 2 == [line.split()[-3:] for line in table]
    firsts = turns[::2]
    assert firsts.count(10.0) in {firsts.count(12.0) - 2, firsts.count(12.0), firsts.count(12.0) + 2}


def test_pythons_are_compared_by_digests(tmp_path: Path) -> None:
    """What differs from the first Python is named, with its file; the time that a summary states is no difference."""
    pythons = []
    for version, answer, took in (("3.11.7", "a", 1), ("3.12.1", "a", 2), ("3.13.0", "b", 1)):
        (tmp_path / version / "run").mkdir(parents=True)
        (tmp_path / version / "run" / "answers.jsonl.gz").write_bytes(gzip.compress(answer.encode(), mtime=took))
        (tmp_path / version / "run" / "summary.report").write_text(f"read 1\ntook {took} s\n")
        found = compare_pythons.digests(tmp_path / version)
        pythons.append(compare_pythons.Python({"Python": version}, found))
    assert [("run", "answers.jsonl.gz", "3.13.0")] == list(compare_pythons.different(pythons))
    versions, _, run, difference = compare_pythons.table(pythons)
    assert ["Python", "3.11.7", "3.12.1", "3.13.0"] == versions.split()
    assert ["run", pythons[0].digest("run"), "equal", pythons[2].digest("run")] == run.split()
    assert "\nDIFFERENT: run, answers.jsonl.gz, on Python 3.13.0" == difference
