"""Split an output of a build into facts, which count in a comparison, and words, which do not.

Facts must be equal: records, figures, names, defaults, exit codes. Words are texts for people (help, descriptions,
messages): a change of wording alone is shown, and is no difference of behaviour. Times and rates are left out.

Knows nothing of how outputs are made. An output's kind is the end of its file's name: a key of `KINDS`.
"""

import gzip
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import zip_longest
from pathlib import Path
from typing import Any, Final, NamedTuple

__all__ = ["KINDS", "Difference", "Seen", "difference", "exact", "flat"]

NUMBER: Final = re.compile(r"\d+(?:[,.:]\d+)*")
OPTION: Final = re.compile(r"--[a-z][a-z0-9-]*")
TIMES: Final = frozenset({"seconds", "micros", "micros_counts", "micros_edges"})
WORDED: Final = frozenset({"description", "summary"})
SHAPE_ONLY: Final = ("GET /v1/stats", "GET /readyz", "GET /livez")
"""Calls whose answers hold times, rates and process numbers."""

DRAWN: Final = frozenset({"at_ms", "receipt"})
"""Fields of other answers over HTTP that are new each time."""

CLIPPED: Final = 300


class Seen(NamedTuple):
    """An output, read."""

    facts: list[str]
    words: list[str]


class Difference(NamedTuple):
    """The first line that differs; None stands for an end."""

    line: int
    before: str | None
    after: str | None

    def __str__(self) -> str:
        """Both lines, one below the other."""
        shown = ["(no more lines)" if each is None else each[:CLIPPED] for each in (self.before, self.after)]
        return f"line {self.line}\n    - {shown[0]}\n    + {shown[1]}"


def difference(before: Iterable[str], after: Iterable[str]) -> Difference | None:
    """Return the first line that differs, if one does."""
    for number, (old, new) in enumerate(zip_longest(before, after), 1):
        if old != new:
            return Difference(number, old, new)
    return None


def exact(before: Path, after: Path) -> bool:
    """Return whether two files hold the same bytes. Packed files are unpacked only where the packed bytes differ."""
    if before.stat().st_size == after.stat().st_size and _chunks_equal(before.open("rb"), after.open("rb")):
        return True
    return ".gz" in (before.suffix, after.suffix) and _chunks_equal(_opened(before), _opened(after))


def text(path: Path) -> str:
    """Return the content of a file, unpacked."""
    with _opened(path) as file:
        return str(file.read().decode("utf-8", "backslashreplace"))


def _opened(path: Path) -> Any:  # noqa: ANN401  # a plain or a packed file
    return gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb")


def _chunks_equal(before: Any, after: Any) -> bool:  # noqa: ANN401  # plain or packed files
    with before, after:
        while True:
            old, new = before.read(1 << 20), after.read(1 << 20)
            if old != new:
                return False
            if not old:
                return True


# --- one function for each kind


def _lines(output: str) -> Seen:
    return Seen(output.splitlines(), [])


def _dead_letters(output: str) -> Seen:
    """All fields of a dead letter are facts but its message, which is for people."""
    letters = [json.loads(line) for line in output.splitlines()]
    words = []
    for letter in letters:
        message = str(letter.pop("message", ""))
        words.append(NUMBER.sub("#", message) if letter["reason"] == "future" else message)  # how far ahead of now
    return Seen([json.dumps(letter) for letter in letters], words)


def _report(output: str) -> Seen:
    """The numbers of each line are facts, but for times and rates."""
    timeless = [line for line in output.splitlines() if not line.startswith("took")]
    return Seen([" ".join(NUMBER.findall(line)) for line in timeless], [NUMBER.sub("#", line) for line in timeless])


def _toml(output: str) -> Seen:
    """Comments are words."""
    lines = output.splitlines()
    comments = [line for line in lines if line.startswith("#")]
    return Seen([line for line in lines if not line.startswith("#")], [NUMBER.sub("#", line) for line in comments])


def _help(output: str) -> Seen:
    return Seen(OPTION.findall(output), output.splitlines())


def _evaluation(output: str) -> Seen:
    return Seen([f"{place} = {value}" for place, value in flat(_without(json.loads(output), TIMES))], [])


def _openapi(output: str) -> Seen:
    facts: list[str] = []
    words: list[str] = []
    for place, value in flat(json.loads(output)):
        is_worded = place.rpartition(".")[2] in WORDED and value.startswith('"')
        (words if is_worded else facts).append(f"{place} = {value}")
    return Seen(facts, words)


def _replies(output: str) -> Seen:
    """One call over HTTP a line. The message of an error is for people, its code and its field are not."""
    facts: list[str] = []
    words: list[str] = []
    for reply in map(json.loads, output.splitlines()):
        body = reply["body"]
        if isinstance(body, dict) and isinstance(body.get("error"), dict):
            words.append(str(body["error"].pop("message", "")))
        if reply["asked"].startswith(SHAPE_ONLY):
            reply["body"] = _shape(body)
        elif isinstance(body, dict):
            reply["body"] = {name: _shape(value) if name in DRAWN else value for name, value in body.items()}
        facts.append(json.dumps(reply))
    return Seen(facts, words)


def _exposition(output: str) -> Seen:
    """Names, types and labels of metrics are facts; values and help are not."""
    facts: list[str] = []
    words: list[str] = []
    for line in output.splitlines():
        if line.startswith("# HELP"):
            words.append(line)
        elif line.startswith("#"):
            facts.append(line)
        elif line:
            facts.append(line.rpartition(" ")[0])
    return Seen(facts, words)


def _settings_page(output: str) -> Seen:
    facts: list[str] = []
    words: list[str] = []
    for line in output.splitlines():
        is_fact = line.startswith(("## ", "- Flag:", "- Environment:", "- Default:"))
        (facts if is_fact else words).append(line)
    return Seen(facts, words)


def _metrics_page(output: str) -> Seen:
    """A metric's name, type, labels and buckets are facts; the last of four columns is for people."""
    facts: list[str] = []
    words: list[str] = []
    for line in output.splitlines():
        cells = line.split(" | ")
        if not line.startswith("| `stream_rec_"):
            words.append(line)
        elif len(cells) == 2:
            facts.append(line)
        else:
            facts.append(" | ".join(cells[:3]))
            words.append(" | ".join(cells[3:]))
    return Seen(facts, words)


def _public_names(output: str) -> Seen:
    """Parameters with their defaults are facts; annotations are not, since they may name private types."""
    facts: list[str] = []
    words: list[str] = []
    for place, value in flat(json.loads(output)):
        (words if ".annotations" in place else facts).append(f"{place} = {value}")
    return Seen(facts, words)


def _command(output: str) -> Seen:
    done = json.loads(output)
    return Seen([json.dumps(done["argv"]), str(done["code"])], [*done["stdout"], *done["stderr"]])


KINDS: Final[Mapping[str, Callable[[str], Seen]]] = {
    "command": _command,
    "deadletters": _dead_letters,
    "evaluation": _evaluation,
    "help": _help,
    "jsonl": _lines,
    "metrics": _exposition,
    "metricspage": _metrics_page,
    "openapi": _openapi,
    "public": _public_names,
    "replies": _replies,
    "report": _report,
    "settingspage": _settings_page,
    "toml": _toml,
}


def flat(tree: object, place: str = "$") -> Iterator[tuple[str, str]]:
    """Yield each leaf of a JSON document with its place, as `$.a[0].b`; an empty object or list is a leaf."""
    if isinstance(tree, Mapping) and tree:
        for name, value in tree.items():
            yield from flat(value, f"{place}.{name}")
    elif isinstance(tree, list) and tree:
        for number, value in enumerate(tree):
            yield from flat(value, f"{place}[{number}]")
    else:
        yield place, json.dumps(tree)


def _without(tree: Any, names: frozenset[str]) -> Any:  # noqa: ANN401  # JSON
    if isinstance(tree, dict):
        return {name: _without(value, names) for name, value in tree.items() if name not in names}
    return [_without(each, names) for each in tree] if isinstance(tree, list) else tree


def _shape(tree: Any) -> Any:  # noqa: ANN401  # JSON
    """Return its names and the types of their values; all numbers are one type."""
    if isinstance(tree, dict):
        return {name: _shape(value) for name, value in tree.items()}
    if isinstance(tree, list):
        return [_shape(each) for each in tree]
    return "number" if isinstance(tree, float | int) and not isinstance(tree, bool) else type(tree).__name__
