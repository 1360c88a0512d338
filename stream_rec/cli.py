"""The command line: parse, open, call one function.

Options of `run` are made from the settings object, so a new setting is a new option. What a command
needs is imported in its body: `stream-rec --help` must not wait for a compiler. Exit codes: 0 done,
2 wrong settings or usage (naming the key), 1 anything else.
"""

import os
import sys
from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any

import click

from stream_rec import __version__
from stream_rec.errors import SettingsError, StreamRecError
from stream_rec.settings import Kind, Setting, Settings, load, table

__all__ = ["cli", "main", "with_settings"]

DONE, FAILED, MISUSED = 0, 1, 2


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="stream-rec")
def cli() -> None:
    """Live session-based recommendations from a click stream."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code. Errors on purpose are one line, no traceback."""
    try:
        result = cli.main(args=argv, prog_name="stream-rec", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        return MISUSED if isinstance(error, click.UsageError) else FAILED
    except SettingsError as error:
        return _say(error, MISUSED)
    except StreamRecError as error:
        return _say(error, FAILED)
    except (click.Abort, KeyboardInterrupt):
        return FAILED
    except BrokenPipeError:
        _silence_stdout()
        return FAILED
    return result if isinstance(result, int) else DONE


def with_settings(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give *command* every setting as an option, and call it with the one Settings they make.

    Put it under `@cli.command()`. Options come in the order of the reference page, `--config` last.
    """

    @wraps(command)
    def loaded(*args: Any, config: str | None, **given: object) -> Any:  # noqa: ANN401 (passes on what click and the command exchange)
        names = {setting.name for setting in table()}
        flags = {name: given.pop(name) for name in names & given.keys()}
        settings: Settings = load(config=config, environ=os.environ, flags=flags)
        return command(*args, settings=settings, **given)

    decorated: Callable[..., Any] = click.option(
        "--config",
        metavar="FILE",
        help="A TOML file of settings; flags and STREAM_REC_* are stronger.",
    )(loaded)
    for setting in reversed(table()):
        decorated = _option(setting)(decorated)
    return decorated


def _option(setting: Setting) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Texts are handed on as they are: one parser, and one form of error, for all layers."""
    help_text = setting.doc if setting.required else f"{setting.doc}  {_default(setting)}"
    if setting.kind is Kind.SWITCH:
        switch = f"{setting.flag}/--no-{setting.flag.removeprefix('--')}"
        return click.option(switch, setting.name, default=None, help=help_text)
    return click.option(
        setting.flag,
        setting.name,
        metavar=setting.metavar,
        multiple=setting.kind in {Kind.LIST, Kind.TABLE},
        help=help_text,
    )


def _default(setting: Setting) -> str:
    return f"[default: {setting.shown(setting.default)}]"


def _say(error: StreamRecError, code: int) -> int:
    click.echo(f"stream-rec: {error}", err=True)
    return code


def _silence_stdout() -> None:
    """Whoever read our output has gone; what Python flushes at exit must not fail again."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
