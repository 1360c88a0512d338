"""The command line: exit codes, one-line errors, options made from settings."""

import subprocess
import sys
from collections.abc import Iterator

import pytest

from stream_rec import __version__
from stream_rec.cli.common import OnceCommand, with_settings
from stream_rec.cli.main import cli, main
from stream_rec.errors import StreamRecError, TransportError
from stream_rec.settings import Settings, grouped, table


@pytest.fixture
def probed() -> Iterator[list[Settings]]:
    """A command `probe` that takes every setting and records its calls."""
    calls: list[Settings] = []

    @cli.command(cls=OnceCommand)
    @with_settings
    def probe(settings: Settings) -> None:
        """Record the settings."""
        calls.append(settings)

    yield calls
    del cli.commands["probe"]


def failing(error: BaseException) -> int:
    """Run a command that raises *error* and return the exit code."""

    @cli.command("fail")
    def fail() -> None:
        raise error

    try:
        return main(["fail"])
    finally:
        del cli.commands["fail"]


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    """`--version` prints the version and succeeds."""
    assert main(["--version"]) == 0
    assert f"stream-rec, version {__version__}\n" == capsys.readouterr().out


def test_every_setting_is_an_option(probed: list[Settings], capsys: pytest.CaptureFixture[str]) -> None:
    """`--help` shows each flag, and does not run the command."""
    assert main(["probe", "--help"]) == 0
    shown = capsys.readouterr().out
    for setting in table():
        assert setting.flag in shown
    assert "--no-fallbacks" in shown
    assert [] == probed


def test_help_is_in_groups(probed: list[Settings], capsys: pytest.CaptureFixture[str]) -> None:
    """The first screen names the groups; each setting is under the heading of its own; no line is wider than 80."""
    assert main(["probe", "--help"]) == 0
    shown = capsys.readouterr().out
    lines = shown.splitlines()
    first_screen = "\n".join(lines[:40])
    rest = shown
    for group, settings in grouped():
        assert f"\n  {group.heading} " in first_screen
        _, heading, rest = rest.partition(f"\n{group.heading}:\n")
        assert heading
        section = rest.partition("\n\n")[0]
        assert all(f"\n  {setting.flag}" in f"\n{section}" for setting in settings)
    assert 80 >= max(map(len, lines))
    assert [] == probed


def test_the_list_of_commands_is_whole(capsys: pytest.CaptureFixture[str]) -> None:
    """Each command has its first sentence, to the full stop."""
    assert main(["--help"]) == 0
    commands = " ".join(capsys.readouterr().out.partition("Commands:")[2].split())
    assert "..." not in commands
    assert len(cli.commands) == commands.count(". ") + commands.endswith(".")


def test_every_setting_is_in_one_group() -> None:
    """The groups, one after another, are the table. No heading has the anchor of a setting on the reference page."""
    assert table() == tuple(setting for _, settings in grouped() for setting in settings)
    assert not {group.heading.lower() for group, _ in grouped()} & {setting.key for setting in table()}


def test_options_become_settings(probed: list[Settings]) -> None:
    """Texts, switches and repeated options arrive in one Settings object."""
    argv = "probe --events e --retention 2d --no-fallbacks --deny a --deny b --event-type buy=5"
    assert main(argv.split()) == 0
    (settings,) = probed
    assert (172_800_000, False, ("a", "b")) == (
        settings.retention_ms,
        settings.fallbacks,
        settings.deny,
    )
    assert {"buy": 5.0} == settings.types


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (
            ["probe", "--events", "e", "--retention", "x"],
            "stream-rec: retention: --retention gives 'x'",
        ),
        (["probe"], "stream-rec: events: not given"),
        (["probe", "--nonsense"], "No such option"),
        (["no-such-command"], "No such command"),
        (["probe", "--events", "e", "--retention", "1d", "--retention", "2d"], "--retention is given 2 times"),
        (["probe", "--events", "e", "--config", "a", "--config", "b"], "--config is given 2 times"),
        (["probe", "--events", "e", "--field", "type=a", "--field", "type=b"], "each name once"),
        (["simulate", "--sessions", "5", "--sessions", "6"], "--sessions is given 2 times"),
        (["evaluate", "--events", "e", "--quality", "--no-quality"], "--quality is given 2 times"),
        (["probe", "--events", "e", "--max-refused", "1,5%"], "stream-rec: max_refused: --max-refused gives '1,5%'"),
        (["probe", "--events", "e", "--max-refused", "101%"], "expected a share such as 1% or 0.5%, or a count"),
        ([], "Usage"),
    ],
)
def test_misuse_is_exit_code_2(
    probed: list[Settings], argv: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Wrong settings or usage print one message on standard error, and nothing on standard output."""
    assert main(argv) == 2
    out, err = capsys.readouterr()
    assert message in err
    assert "Traceback" not in err
    assert out == ""
    assert [] == probed


@pytest.mark.parametrize("error", [StreamRecError("x went wrong"), TransportError("x went wrong")])
def test_other_expected_errors_are_exit_code_1(error: StreamRecError, capsys: pytest.CaptureFixture[str]) -> None:
    """The error is one line, without a traceback."""
    assert failing(error) == 1
    assert capsys.readouterr().err == "stream-rec: x went wrong\n"


def test_an_unexpected_error_keeps_its_traceback() -> None:
    """An error of another class is a bug: developers need its traceback."""
    with pytest.raises(ZeroDivisionError):
        failing(ZeroDivisionError())


def test_the_package_is_the_program() -> None:
    """`python -m stream_rec` runs where the script is not on the path."""
    done = subprocess.run([sys.executable, "-m", "stream_rec", "--version"], capture_output=True, text=True, check=True)
    assert done.stdout == f"stream-rec, version {__version__}\n"


def test_help_does_not_wait_for_a_compiler() -> None:
    """`--help` imports neither Numba, NumPy, Rich, PyArrow nor a Kafka client."""
    code = (
        "import sys, stream_rec.cli.main; stream_rec.cli.main.main(['--help']); "
        "print(sorted({'numba', 'numpy', 'kafka', 'rich', 'pyarrow'} & sys.modules.keys()))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
