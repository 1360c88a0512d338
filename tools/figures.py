"""Writes the measured figures of benchmarks/results: docs/reference/measurements.md, and parts of two other pages.

README.md gets the figures that users ask for first, and all missed targets; the page on evaluation gets its table of
presets; both between marks. With --check it only compares.

A figure whose code has changed since it was measured has a mark, on each page. --stale lists these, with the rooms that
have changed, and exits with 1 if the README shows one; benchmarks/measured_code.py says what depends on what.

A result is a JSON file: {"machine", "python", "versions": {}, "commit", "date", "code": {}, "figures": [{"what",
"value", "unit", "target", "least", "most"}]}, all of it optional. Other files are reported and left out: a torn result
must not stop the docs.
"""

import json
import operator
import re
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path.append(str(ROOT / "benchmarks"))

import measured_code  # noqa: E402  # of the benchmarks, which are no package

PAGE = ROOT / "README.md"
RESULTS = ROOT / "benchmarks" / "results"
EVALUATION = ROOT / "docs" / "explanation" / "evaluation.md"
MEASUREMENTS = ROOT / "docs" / "reference" / "measurements.md"
INTRODUCTION = """\
# Measurements

<!-- Written by tools/figures.py from benchmarks/results. -->

Medians of several rounds, with the least and the most of them; what has a target, or sets a rival beside us. Every
figure, with what it was measured on: [benchmarks/results](../../benchmarks/results); how, and how to do it on your
machine: [benchmarks](../../benchmarks/README.md).
"""
HEADLINES = {
    ("query", "p90 inside the kernel, 5,000,000 events"): "a recommendation among 5 M events, in the kernel, p90",
    ("run", "one answer for each event, process and all"): "each event learned and answered, from a file",
    ("kafka", "the service, confluent, exactly-once"): "the same on Kafka, exactly once, confluent-kafka",
    ("kafka", "the service, kafka-python, exactly-once"): "the same, kafka-python",
    ("latency", "p99 at 1,000 events/s, confluent, exactly-once"): (
        "event in to answer out on Kafka, 1,000/s, exactly once, p99"
    ),
    ("http", "GET recommendations, saturated"): "recommendations over HTTP, 2,000 events/s streaming in",
    ("http", "GET at 4,000/s, p99"): "a recommendation over HTTP, at 4,000/s, p99",
    ("snapshot", "recovery in all"): "back from a snapshot of 5 M events",
    ("memory", "RSS growth a retained event, 5,000,000 events"): "memory a retained event, of 5 M",
    ("query", "wsknn 1.2.3 takes, as a multiple of ours, preset wsknn (p50), 100,000 sessions"): (
        "WSKNN 1.2.3 takes for a query, as a multiple of ours, 100,000 sessions"
    ),
    ("tuned", "tuned: test MRR@20"): "serenade-toy, tuned: MRR@20",
}
"""Result and figure -> what the README calls it."""
TABLE_BEGIN, TABLE_END = "<!-- default:begin -->", "<!-- default:end -->"
ASKED = ", prequential: "
METRIC = " MRR@20"
BEGIN, END = "<!-- figures:begin -->", "<!-- figures:end -->"
_BOUND = re.compile(r"(>=|<=|>|<) ?([\d.,]+)")
_HOLDS = {">=": operator.ge, "<=": operator.le, ">": operator.gt, "<": operator.lt}
COLUMNS = {
    "events": "events",
    "sessions": "sessions",
    "items": "items",
    "Engine.apply": "learned",
    "memory (RSS growth)": "memory",
    "all of it, vmis-knn apply and answer": "learned and answered",
    "all of it, vmis-knn HR@20": "HR@20",
    "all of it, vmis-knn MRR@20": "MRR@20",
}
MARK = " †"
STALE = "†: the code behind it has changed since it was measured (`python tools/figures.py --stale` says where)."
NOTHING = "Not measured yet: `make bench` writes `benchmarks/results`, and `tools/figures.py` this table."

Result = Mapping[str, Any]


def read_results(folder: Path) -> list[tuple[str, Result]]:
    """Return name and content of each result in *folder*, by name; none if there is no folder."""
    found: list[tuple[str, Result]] = []
    for path in sorted(folder.glob("*.json")):
        try:
            result = json.loads(path.read_text(encoding="utf-8"))
        except ValueError as error:
            print(f"{path.name} is left out: {error}", file=sys.stderr)
            continue
        if isinstance(result, dict) and isinstance(result.get("figures"), list):
            found.append((path.stem, result))
        else:
            print(f"{path.name} is left out: it holds no list of figures", file=sys.stderr)
    return found


def marked(results: Iterable[tuple[str, Result]], tree: Path = ROOT) -> list[tuple[str, Result]]:
    """Return the results with `stale` in each figure: the rooms that have changed in *tree* since, by name."""
    listed = list(results)
    now = measured_code.hashes((room for name, _ in listed for room in measured_code.every_room_of(name)), tree)
    found: list[tuple[str, Result]] = []
    for name, result in listed:
        kept = result.get("code") or {}
        figures = [
            {
                **each,
                "stale": measured_code.changed_rooms(kept, measured_code.rooms_of(name, str(each.get("what"))), now),
            }
            for each in result["figures"]
            if isinstance(each, dict)
        ]
        found.append((name, {**result, "figures": figures}))
    return found


def _is_stale(*results: Result) -> bool:
    return any(each.get("stale") for result in results for each in result["figures"])


def block(results: Iterable[tuple[str, Result]]) -> str:
    """Return the table, and the machine and versions of its figures."""
    listed = list(results)
    rows = [_row(name, figure) for name, result in listed for figure in result["figures"] if isinstance(figure, dict)]
    if not rows:
        return NOTHING + "\n"
    head = ["| what | measured | target | | benchmark |", "|---|--:|--:|---|---|"]
    legend = [STALE, ""] if _is_stale(*(result for _, result in listed)) else []
    return "\n".join([*head, *rows, "", *legend, *_conditions(listed), ""])


def verdict(figure: Mapping[str, Any]) -> str:
    """Return whether the target was met, if it is a bound; else an empty text."""
    bound, value = _BOUND.fullmatch(str(figure.get("target") or "")), figure.get("value")
    if bound is None or not isinstance(value, (int, float)):
        return ""
    return "met" if _HOLDS[bound[1]](value, float(bound[2].replace(",", ""))) else "**missed**"


def on_the_front_page(
    found: Mapping[tuple[str, str], Mapping[str, Any]],
) -> dict[tuple[str, str], Mapping[str, Any]]:
    """Return those of the figures, by result and name, that the README shows."""
    return {key: each for key, each in found.items() if key in HEADLINES or verdict(each) == "**missed**"}


def headlines(results: Iterable[tuple[str, Result]]) -> str:
    """Return the README's few rows, and the missed targets."""
    found = _by_name(results)
    rows = [
        f"| {label} | {_measured(found[key])} | {_target(found[key])} | {verdict(found[key])} |"
        for key, label in HEADLINES.items()
        if key in found
    ]
    if not rows:
        return NOTHING + "\n"
    verdicts = {key: verdict(each) for key, each in found.items()}
    missed = [
        f"- {name}: {what}: {_measured(found[name, what])}, target {_target(found[name, what])}"
        for (name, what), verdict in verdicts.items()
        if verdict == "**missed**"
    ]
    n = sum(verdict != "" for verdict in verdicts.values())
    summary = f"Of {n} targets that are a bound, {n - len(missed)} were met" + ("; missed:\n" if missed else ".")
    where = (
        "All of them, on what they were measured, and how to measure yours:"
        " [measurements](docs/reference/measurements.md).\n"
    )
    if any(each.get("stale") for each in on_the_front_page(found).values()):
        where = f"{STALE}\n{where}"
    return "\n".join(["| what | measured | target | |", "|---|--:|--:|---|", *rows, "", summary, *missed, "", where])


def _by_name(results: Iterable[tuple[str, Result]]) -> dict[tuple[str, str], Mapping[str, Any]]:
    return {(name, str(each.get("what"))): each for name, result in results for each in _figures(result)}


def _figures(result: Result) -> list[Mapping[str, Any]]:
    return [each for each in result["figures"] if isinstance(each, dict)]


def of_note(results: Iterable[tuple[str, Result]]) -> list[tuple[str, Result]]:
    """Return the results with only the figures that have a target or compare a rival with us."""
    kept: list[tuple[str, Result]] = []
    for name, result in results:
        figures = [each for each in result["figures"] if isinstance(each, dict) and _is_of_note(each)]
        if figures:
            kept.append((name, {**result, "figures": figures}))
    return kept


def _is_of_note(figure: Mapping[str, Any]) -> bool:
    return bool(figure.get("target")) or "as a multiple of ours" in str(figure.get("what"))


def logs_table(results: Iterable[tuple[str, Result]]) -> str:
    """A row for each real log, from the figures `LOG: WHAT` of the result `real_data`; nothing without it."""
    logs: dict[str, dict[str, Mapping[str, Any]]] = {}
    mark, legend = "", list[str]()
    for _, result in (each for each in results if each[0] == "real_data"):
        mark, legend = (MARK, [STALE, ""]) if _is_stale(result) else ("", [])
        for figure in result["figures"]:
            log, colon, what = str(figure.get("what")).partition(": ")
            if colon:
                logs.setdefault(log, {})[what] = figure
    rows = [
        "| " + " | ".join([log, *(_cell(found.get(what)) for what in COLUMNS)]) + " |" for log, found in logs.items()
    ]
    if not rows:
        return ""
    head = [
        f"| live, vmis-knn, all of it{mark} | " + " | ".join(COLUMNS.values()) + " |",
        "|---" + "|--:" * len(COLUMNS) + "|",
    ]
    return "\n".join([*head, *rows, "", *legend])


def _cell(figure: Mapping[str, Any] | None) -> str:
    return "" if figure is None else _shown(figure.get("value"), str(figure.get("unit") or ""))


def presets_table(results: Iterable[tuple[str, Result]]) -> str:
    """A row for each model of the result `evaluate`, a column for each log: MRR@20 with its interval."""
    logs: dict[str, dict[str, Mapping[str, Any]]] = {}
    mark, legend = "", list[str]()
    for _, result in (each for each in results if each[0] == "evaluate"):
        mark, legend = (MARK, [STALE, ""]) if _is_stale(result) else ("", [])
        for figure in result["figures"]:
            log, asked, rest = str(figure.get("what")).partition(ASKED)
            if asked and rest.endswith(METRIC) and " " not in rest.removesuffix(METRIC):
                logs.setdefault(log, {})[rest.removesuffix(METRIC)] = figure
    if not logs:
        return NOTHING + "\n"
    names = list(dict.fromkeys(name for found in logs.values() for name in found))
    rows = [[f"`{name}`", *(_interval(found.get(name)) for found in logs.values())] for name in names]
    lines = [f"|{mark} | " + " | ".join(logs) + " |", "|---" + "|--:" * len(logs) + "|"]
    return "\n".join([*lines, *("| " + " | ".join(row) + " |" for row in rows), "", *legend])


def _interval(figure: Mapping[str, Any] | None) -> str:
    if figure is None:
        return ""
    return f"{figure['value']:.4f} ({figure['least']:.4f} to {figure['most']:.4f})"


def filled(page: str, text: str, marks: tuple[str, str] = (BEGIN, END)) -> str:
    """Return *page* with *text* between its marks. Raises ValueError for a page without them."""
    before, begin, rest = page.partition(marks[0])
    _, end, after = rest.partition(marks[1])
    if not begin or not end:
        raise ValueError(f"the page lacks {marks[0]} or {marks[1]}")
    return f"{before}{begin}\n\n{text}\n{end}{after}"


def _row(name: str, figure: Mapping[str, Any]) -> str:
    cells = (figure.get("what", "?"), _measured(figure), _target(figure), verdict(figure), name)
    return "| " + " | ".join(str(cell).replace("|", "\\|").replace("\n", " ") for cell in cells) + " |"


def _measured(figure: Mapping[str, Any]) -> str:
    mark = MARK if figure.get("stale") else ""
    return _shown(figure.get("value"), str(figure.get("unit") or "")) + _spread(figure) + mark


def _target(figure: Mapping[str, Any]) -> str:
    return _shown(figure.get("target"), str(figure.get("unit") or ""))


def _shown(value: object, unit: str) -> str:
    """Return a number with its unit, a text unchanged, and an empty text for None."""
    if value is None or value == "":
        return ""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return str(value)
    number = f"{int(value):,}" if value == int(value) else _rounded(value)
    return f"{number} {unit}".rstrip()


def _spread(figure: Mapping[str, Any]) -> str:
    """The least and the most of several runs, if they are given and differ."""
    least, most = figure.get("least"), figure.get("most")
    if least is None or most is None or least == most:
        return ""
    return f" ({_shown(least, '')} to {_shown(most, '')})"


def _rounded(value: float) -> str:
    """Three digits, or all that stand before the point."""
    size = abs(value)
    places = 0 if size >= 100 else 1 if size >= 10 else 2 if size >= 1 else 4
    return f"{value:,.{places}f}"


def _conditions(results: list[tuple[str, Result]]) -> list[str]:
    """One line for each set of circumstances, with the benchmarks that ran under it."""
    names: dict[str, list[str]] = {}
    for name, result in results:
        names.setdefault(_circumstances(result), []).append(name)
    return [f"Measured ({', '.join(of)}): {conditions}." for conditions, of in names.items() if conditions]


def _circumstances(result: Result) -> str:
    parts = [str(result["machine"])] if result.get("machine") else []
    if result.get("python"):
        parts.append(f"Python {result['python']}")
    versions = result.get("versions")
    if isinstance(versions, dict):
        parts += [f"{name} {version}" for name, version in sorted(versions.items())]
    if result.get("commit"):
        parts.append(f"commit {result['commit']}")
    if result.get("date"):
        parts.append(str(result["date"])[:10])  # the day will do
    return ", ".join(parts)


def stale_lines(results: Iterable[tuple[str, Result]]) -> tuple[list[str], bool]:
    """A line for each set of rooms that have changed since, and whether the README shows a figure of such code."""
    found = _by_name(results)
    rooms: dict[tuple[str, str], int] = {}
    for (name, _), figure in found.items():
        if figure.get("stale"):
            key = (name, ", ".join(figure["stale"]))
            rooms[key] = rooms.get(key, 0) + 1
    lines = [f"{name}: {count} figures; changed since: {changed}" for (name, changed), count in rooms.items()]
    return lines, any(each.get("stale") for each in on_the_front_page(found).values())


def main() -> int:
    """Write the block, or exit with 1 if it is out of date."""
    results = marked(read_results(RESULTS))
    if "--stale" in sys.argv[1:]:
        lines, is_shown = stale_lines(results)
        print("\n".join(lines) if lines else "no figure is of code that has changed since")
        return int(is_shown)
    parts = [INTRODUCTION, block(of_note(results)), logs_table(results)]
    wanted = {
        PAGE: filled(PAGE.read_text(encoding="utf-8"), headlines(results)),
        MEASUREMENTS: "\n".join(part for part in parts if part),
        EVALUATION: filled(EVALUATION.read_text(encoding="utf-8"), presets_table(results), (TABLE_BEGIN, TABLE_END)),
    }
    if "--check" in sys.argv[1:]:
        return int(any(not page.exists() or page.read_text(encoding="utf-8") != text for page, text in wanted.items()))
    for page, text in wanted.items():
        page.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
