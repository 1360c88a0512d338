"""What is not run of the pages: why, and what can be looked at without running it."""

import configparser
import json
import re
import shlex
import subprocess
import time
import tomllib
from collections import Counter
from pathlib import Path

import click
import pytest
import yaml
from pages import Block, blocks
from web import embedded, eventually

from stream_rec.cli.main import cli

ROOT = Path(__file__).parents[3]
ELSEWHERE = {"docs/how-to/clients.md": "tests/contract/test_clients.py"}
"""Page -> the tests that run its blocks."""
PAGES = [
    page
    for page in sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
    if str(page.relative_to(ROOT)) not in ELSEWHERE
]
UNRUN = {
    "a fragment of a command": 8,
    "is done in a clone, as tests and CI do": 9,
    "is for another program": 6,
    "needs Docker": 5,
    "needs Kubernetes": 1,
    "learns for half a minute": 1,
    "needs a service that goes on": 7,
    "needs files of yours": 2,
    "needs systemd, and root": 2,
    "needs topics with content": 21,
    "shows a form": 11,
    "the test of tools/sizing.py calls it": 1,
}
"""Reason -> how many blocks are not run for it. A new one is to be a decision: can it be a `console` block?"""
DATA = {"json", "toml", "yaml", "ini", "csv"}


def _every_block() -> list[tuple[str, Block]]:
    return [(f"{page.relative_to(ROOT)}:{block.line}", block) for page in PAGES for block in blocks(page)]


def _is_call(block: Block) -> bool:
    """Whether the block only asks a service: the test below sends it."""
    lines = block.text.splitlines()
    return block.language == "sh" and block.not_run is None and all(line.startswith("curl ") for line in lines)


def test_what_is_not_run_says_why() -> None:
    """Every block runs, is sent, is read as data below, or says why not; and there are as many as there were."""
    unsaid, reasons = [], Counter[str]()
    for place, block in _every_block():
        if block.is_run or block.language in DATA or _is_call(block):
            continue
        if block.not_run is None:
            unsaid.append(place)
        else:
            reasons[block.not_run] += 1
    assert [] == unsaid, "make it a `console` block, or write <!-- not run: REASON --> before it"
    assert UNRUN == reasons


def test_data_can_be_read() -> None:
    """JSON, TOML, YAML and unit files on the pages; `{...}` stands for what is left out."""
    for place, block in _every_block():
        try:
            if block.language == "json":
                _read_json(block.text.replace("{...}", "{}"))
            elif block.language == "toml":
                tomllib.loads(block.text)
            elif block.language == "yaml":
                yaml.safe_load(block.text)
            elif block.language == "ini":
                configparser.ConfigParser(strict=False).read_string(block.text)
        except ValueError as error:
            pytest.fail(f"{place}: {error}")


def _read_json(text: str) -> None:
    try:
        json.loads(text)
    except ValueError:
        for line in text.splitlines():
            json.loads(line)


def test_commands_have_options_that_exist() -> None:
    """Those of the blocks that are not run; `...` stands for what is left out."""
    seen = 0
    for place, block in _every_block():
        if block.language != "sh":
            continue
        for line in block.text.replace("\\\n", " ").splitlines():
            for part in re.split(r"\s(?:\||&&|;)\s", line):
                words = [word for word in shlex.split(part, comments=True) if word != "..."]
                while words and re.fullmatch(r"\w+=\S*|(?:\S*/)?env", words[0]):
                    words.pop(0)
                if words and words[0].endswith("stream-rec") and len(words) > 1:
                    _parse(place, words[1:])
                    seen += 1
    assert seen > 20


def _parse(place: str, words: list[str]) -> None:
    command: click.Command = cli
    while isinstance(command, click.Group) and words and not words[0].startswith("-"):
        found = command.get_command(click.Context(command), words.pop(0))
        assert found is not None, f"{place}: there is no such command"
        command = found
    try:
        command.make_parser(click.Context(command)).parse_args(args=words)
    except click.UsageError as error:
        pytest.fail(f"{place}: {error.format_message()}")


def test_calls_are_answered(tmp_path: Path) -> None:
    """Every block of calls alone, in turn, by a service that knows the pages' items."""
    catalogue = tmp_path / "items.jsonl"
    items = ("mug", "pot", "lid", "tent", "stove", "matcha", "whisk")
    rows = [{"item_id": item, "title": item, "category": "kitchen", "price": 9.5} for item in items]
    catalogue.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    calls = [(place, line) for place, block in _every_block() if _is_call(block) for line in block.text.splitlines()]
    assert len(calls) > 8
    now = int(time.time() * 1000)
    with embedded(catalogue=str(catalogue)) as running:
        clicks = [
            {"session_id": f"s{n}", "item_id": item, "timestamp": now - 60_000 + place}
            for n in range(3)
            for place, item in enumerate(items)
        ]
        running.client.post("/v1/events", clicks)
        eventually(lambda: running.served.status().counts.n_applied == len(clicks), "all applied")
        for place, line in calls:
            words = [
                re.sub(r"(?:localhost|127\.0\.0\.1):800\d", f"127.0.0.1:{running.server.port}", each)
                for each in shlex.split(line)
            ]
            done = subprocess.run(
                [*words, "--silent", "--show-error", "--fail-with-body"], capture_output=True, check=False, timeout=30
            )
            assert 0 == done.returncode, f"{place}: {line}\n{done.stdout.decode()}{done.stderr.decode()}"
