"""Completion in shells: what click's protocol says for each shell, and what bash makes of it."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from click.shell_completion import get_completion_class

from stream_rec.cli.main import cli

VARIABLE = "_STREAM_REC_COMPLETE"
BASH = shutil.which("bash") or "/bin/bash"
PROGRAM = Path(sys.executable).parent / "stream-rec"


def completed(shell: str, words: list[str], monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The values that the program gives to the script of *shell*, with their types if they are not plain."""
    incomplete = words[-1]
    monkeypatch.setenv("COMP_WORDS", " ".join(["stream-rec", *words]))
    monkeypatch.setenv("COMP_CWORD", incomplete if shell == "fish" else str(len(words)))
    kind = get_completion_class(shell)
    assert kind is not None
    asked = kind(cli, {}, "stream-rec", VARIABLE)
    found = asked.get_completions(*asked.get_completion_args())
    return [each.value if each.type == "plain" else f"<{each.type}>" for each in found]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["s"], ["simulate", "snapshot", "stats", "status"]),
        (["config", "s"], ["show"]),
        (["run", "--topic-"], ["--topic-partitions", "--topic-replication", "--topic-retention"]),
        (["run", "--format", "movielens-1"], ["movielens-100k", "movielens-1m"]),
        (["run", "--delivery", "n"], ["none"]),
        (["run", "--field", "user"], ["user_id="]),
        (["run", "--events", "cl"], ["<file>"]),
        (["run", "--snapshots", "s"], ["<file>"]),
        (["run", "--config", "a"], ["<file>"]),
        (["run", "--max-sessions", "1"], []),
        (["check", "cl"], ["<file>"]),
        (["ask", "--seen", "drop-c"], ["drop-current"]),
        (["stats", "--ca", "a"], ["<file>"]),
        (["evaluate", "--train", "a"], ["<file>"]),
        (["evaluate", "--questions", "l"], ["last"]),
        (["tune", "--out", "a"], ["<file>"]),
        (["simulate", "--out", "a"], ["<file>"]),
    ],
)
def test_what_is_completed(shell: str, words: list[str], expected: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Commands, options, the words that a setting takes, and files where a file may be given."""
    assert expected == completed(shell, words, monkeypatch)


@pytest.mark.parametrize(
    ("shell", "registers"),
    [
        ("bash", "complete -o nosort -F _stream_rec_completion stream-rec"),
        ("zsh", "#compdef stream-rec"),
        ("fish", "complete --no-files --command stream-rec"),
    ],
)
def test_each_shell_has_its_script(shell: str, registers: str) -> None:
    """The line on the page prints a script that registers the program."""
    environment = {**os.environ, VARIABLE: f"{shell}_source"}
    done = subprocess.run([PROGRAM], env=environment, capture_output=True, text=True, check=True)
    assert registers in done.stdout
    assert f"{VARIABLE}={shell}_complete" in done.stdout


def test_bash_completes() -> None:
    """Bash itself, with the line of the page: two options, as a user sees them after a tab."""
    script = (
        f'eval "$({VARIABLE}=bash_source stream-rec)"; COMP_WORDS=(stream-rec run --topic-re); COMP_CWORD=2; '
        '_stream_rec_completion stream-rec; echo "${COMPREPLY[@]}"'
    )
    environment = {**os.environ, "PATH": f"{PROGRAM.parent}{os.pathsep}{os.environ['PATH']}"}
    done = subprocess.run([BASH, "-c", script], env=environment, capture_output=True, text=True, check=True)
    assert "--topic-replication --topic-retention\n" == done.stdout
