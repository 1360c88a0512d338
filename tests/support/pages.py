"""Pages of documentation, parsed: their code and what it prints, their tables and links.

A `python` block runs, after those before it on its page; a `text` block right after it is its output. In a `console`
block the lines after `$ ` run, and the other lines are their output, with `...` for any text. A block after a line
that ends in a file's name and a colon, as in "`clicks.csv`:", is that file. A comment `<!-- needs: ml-100k -->` names
folders of real logs that must exist. All other blocks are only read; one that could run has a comment before it,
`<!-- not run: REASON -->`.

A block that opens with "```console kafka" needs a broker at `localhost:9092`: it runs only if `play` gets one.
"""

import os
import re
import shlex
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import prepared

__all__ = ["Block", "anchors", "blocks", "links", "needs", "play", "rows"]

FENCE = re.compile(r"^```(\w*)([^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
FILE = re.compile(r"`([\w-]+\.\w+)`:\s*\Z")
LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
ON_PAGES = "localhost:9092"
SHELL = re.compile(r"[|&;<>$`*~#]")
"""What only a shell understands."""
NEEDS = re.compile(r"^<!-- needs: (.*) -->$", re.MULTILINE)
NOT_RUN = re.compile(r"<!-- not run: (.*?) -->")
PATIENCE_S = 60
READS_TOPIC = re.compile(r"^kcat .* -C ")
"""What only reads a topic, and may be tried again until all has come."""
NOT_SHOWN = ("compiling the kernels", "progress: ")  # depend on whether it is the first run, and on the speed


class Block(NamedTuple):
    """A fenced block of a page."""

    language: str
    text: str
    line: int
    """Of its first line."""
    before: str
    """The text of the page between the block before and this one."""
    needs_broker: bool = False
    not_run: str | None = None
    """Why it is not run, as its page says."""
    is_run: bool = False
    """Whether `play` runs it, writes it as a file, or compares it with what was printed."""


def blocks(page: Path) -> list[Block]:
    """Return all fenced blocks of *page* in order."""
    text = page.read_text(encoding="utf-8")
    found: list[Block] = []
    end = 0
    for match in FENCE.finditer(text):
        line, before = text.count("\n", 0, match.start()) + 2, text[end : match.start()]
        reason = NOT_RUN.search(before)
        is_output = match[1] == "text" and not before.strip() and bool(found) and found[-1].language == "python"
        found.append(
            Block(
                match[1],
                match[3],
                line,
                before,
                needs_broker=match[2].strip() == "kafka",
                not_run=reason[1] if reason else None,
                is_run=match[1] in {"python", "console"} or FILE.search(before) is not None or is_output,
            )
        )
        end = match.end()
    return found


def play(page: Path, broker: str | None = None) -> int:
    """Run all code of *page* in the present folder and compare its output; return how many blocks ran.

    Blocks that need a broker use the one at *broker*, and are skipped without one.
    """
    namespace: dict[str, Any] = {"__name__": "page"}
    printed: str | None = None
    n_ran = 0
    for block in blocks(page):
        file = FILE.search(block.before)
        if block.needs_broker and broker is None:
            continue
        if file is not None:
            Path(file[1]).write_text(block.text.replace(ON_PAGES, broker or ON_PAGES), encoding="utf-8")
        elif block.language == "python":
            printed = _run_python(page, block, namespace)
            n_ran += 1
            continue
        elif block.language == "console":
            _run_commands(page, block, broker or ON_PAGES)
            n_ran += 1
        elif block.language == "text" and printed is not None and not block.before.strip():
            assert block.text == printed, f"{page.name}:{block.line}"
        printed = None
    return n_ran


def _run_python(page: Path, block: Block, namespace: dict[str, Any]) -> str:
    code = compile("\n" * (block.line - 1) + block.text, str(page), "exec")
    out = StringIO()
    with redirect_stdout(out):
        exec(code, namespace)  # noqa: S102  # the page's own code is to be run
    return out.getvalue()


def _run_commands(page: Path, block: Block, broker: str) -> None:
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])
    environment = {**os.environ, "PATH": path, "COLUMNS": "120"}
    for command, expected in _commands(block.text.replace(ON_PAGES, broker)):
        pattern = re.compile(".*".join(map(re.escape, expected.split("..."))), re.DOTALL)
        printed = _printed_by(command, environment)
        given_up = time.monotonic() + PATIENCE_S
        while READS_TOPIC.search(command) and not pattern.fullmatch(printed) and time.monotonic() < given_up:
            printed = _printed_by(command, environment)  # on a busy machine answers take longer than on the page
        assert pattern.fullmatch(printed), f"{page.name}: $ {command}\n{printed}"


def _printed_by(command: str, environment: dict[str, str]) -> str:
    """Return what *command* prints for readers of the page."""
    output = _output_of(command, environment)
    return "".join(line for line in output.splitlines(keepends=True) if not line.startswith(NOT_SHOWN))


def _output_of(command: str, environment: dict[str, str]) -> str:
    """Run *command* by the shell; a plain command of stream-rec, which needs none, by a server that is prepared."""
    plain = command.replace("\\\n", " ")
    if plain.startswith("stream-rec ") and not SHELL.search(plain):
        with TemporaryDirectory() as folder:
            output = Path(folder) / "output"
            prepared.run(shlex.split(plain)[1:], output, environment)
            return output.read_text(encoding="utf-8")
    done = subprocess.run(
        ["/bin/sh", "-c", command],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=environment,
        check=False,
    )
    return done.stdout


def _commands(text: str) -> Iterator[tuple[str, str]]:
    for part in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]:
        lines = part.splitlines(keepends=True)
        n = 1
        while lines[n - 1].endswith("\\\n"):
            n += 1
        yield "".join(lines[:n]).rstrip("\n"), "".join(lines[n:]).rstrip("\n") + ("\n" if lines[n:] else "")


def needs(page: Path) -> list[str]:
    """Return the folders of real logs that the code of *page* reads, from its comment."""
    found = NEEDS.search(page.read_text(encoding="utf-8"))
    return [] if found is None else found[1].split()


def rows(page: Path, heading: str) -> list[list[str]]:
    """Return the cells of the first table under *heading*, without its head."""
    section = page.read_text(encoding="utf-8").split(f"\n{heading}\n", 1)[1]
    table = re.search(r"(?:^\|.*\n)+", section, re.MULTILINE)
    assert table is not None, heading
    split = [re.split(r"(?<!\\)\|", line)[1:-1] for line in table[0].splitlines()]
    return [[cell.strip().replace("\\|", "|") for cell in cells] for cells in split[2:]]


def links(page: Path) -> list[str]:
    """Return the targets of the links of *page*, outside of code."""
    return LINK.findall(FENCE.sub("", page.read_text(encoding="utf-8")))


def anchors(page: Path) -> set[str]:
    """Return the anchors that the headings of *page* have on the web."""
    headings = re.findall(r"^#+ (.*)$", FENCE.sub("", page.read_text(encoding="utf-8")), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", each.lower()).replace(" ", "-") for each in headings}
