"""The command line: exit codes, one-line errors, options made from settings."""

import subprocess
import sys
from collections.abc import Iterator

import pytest

from stream_rec import __version__
from stream_rec.cli.common import with_settings
from stream_rec.cli.main import cli, main
from stream_rec.errors import StreamRecError, TransportError
from stream_rec.settings import Settings, table


@pytest.fixture
def asked() -> Iterator[list[Settings]]:
    """A command `probe` that takes every setting and notes what it was called with."""
    calls: list[Settings] = []

    @cli.command()
    @with_settings
    def probe(settings: Settings) -> None:
        """Note the settings."""
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


def test_every_setting_is_an_option(asked: list[Settings], capsys: pytest.CaptureFixture[str]) -> None:
    """`--help` shows each flag, and asks for nothing."""
    assert main(["probe", "--help"]) == 0
    shown = capsys.readouterr().out
    for setting in table():
        assert setting.flag in shown
    assert "--no-fallbacks" in shown
    assert [] == asked


def test_options_become_settings(asked: list[Settings]) -> None:
    """Texts, switches and repeated flags arrive in one object."""
    argv = "probe --events e --retention 2d --no-fallbacks --deny a --deny b --event-type buy=5"
    assert main(argv.split()) == 0
    (settings,) = asked
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
        ([], "Usage"),
    ],
)
def test_misuse_is_exit_code_2(
    asked: list[Settings], argv: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Wrong settings or usage: one message on standard error, nothing on standard output."""
    assert main(argv) == 2
    out, err = capsys.readouterr()
    assert message in err
    assert "Traceback" not in err
    assert out == ""
    assert [] == asked


@pytest.mark.parametrize("error", [StreamRecError("x went wrong"), TransportError("x went wrong")])
def test_other_errors_on_purpose_are_exit_code_1(error: StreamRecError, capsys: pytest.CaptureFixture[str]) -> None:
    """One line, no traceback."""
    assert failing(error) == 1
    assert capsys.readouterr().err == "stream-rec: x went wrong\n"


def test_a_bug_keeps_its_traceback() -> None:
    """What nobody raised on purpose is for the developers to see."""
    with pytest.raises(ZeroDivisionError):
        failing(ZeroDivisionError())


def test_help_does_not_wait_for_a_compiler() -> None:
    """Neither Numba nor NumPy nor a Kafka client is imported before a command needs them."""
    code = (
        "import sys, stream_rec.cli.main; stream_rec.cli.main.main(['--help']); "
        "print(sorted({'numba', 'numpy', 'kafka', 'rich', 'pyarrow'} & sys.modules.keys()))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
