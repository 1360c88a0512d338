"""What the commands share: options made from settings, exit codes, messages on standard error.

Imports nothing that compiles: `stream-rec --help` must not wait for a compiler.
"""

import logging
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Any, Final

import click

from stream_rec.errors import SettingsError
from stream_rec.settings import Kind, Setting, Settings, load, table

__all__ = [
    "DONE",
    "FAILED",
    "MISUSED",
    "announce_compilation",
    "announce_terminal_input",
    "encodable",
    "print_message",
    "require_serve_extra",
    "with_settings",
]

DONE: Final = 0
FAILED: Final = 1
MISUSED: Final = 2
"""Wrong settings or usage."""


def with_settings(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give *command* every setting as an option, and call it with the Settings object that they make.

    Put it under `@click.command()`. The options have the order of the reference page; `--config` is the last.
    """

    @wraps(command)
    def loaded(*args: Any, config: str | None, **options: object) -> Any:  # noqa: ANN401 (passes on what click and the command exchange)
        names = {setting.name for setting in table()}
        flags = {name: options.pop(name) for name in names & options.keys()}
        if not flags.get("events") and options.get("train"):  # --train names the log; --events is not needed then
            flags["events"] = options["train"]
        settings: Settings = load(config=config, environ=os.environ, flags=flags)
        return command(*args, settings=settings, **options)

    decorated: Callable[..., Any] = click.option(
        "--config",
        metavar="FILE",
        help="A TOML file of settings. Options and STREAM_REC_* variables override it.",
    )(loaded)
    for setting in reversed(table()):
        decorated = _option(setting)(decorated)
    return decorated


def _option(setting: Setting) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Return the option of *setting*. Its text is passed on unparsed: all layers share one parser and one error."""
    help_text = setting.doc if setting.required else f"{setting.doc}  {_default(setting)}"
    if setting.kind is Kind.SWITCH:
        switch = f"{setting.flag}/--no-{setting.flag.removeprefix('--')}"
        return click.option(switch, setting.name, default=None, help=help_text)
    return click.option(
        setting.flag,
        setting.name,
        metavar=setting.metavar,
        multiple=setting.kind in {Kind.LIST, Kind.TABLE} or setting.name == "events",
        help=help_text,
    )


def _default(setting: Setting) -> str:
    return f"[default: {setting.written(setting.default)}]"


def print_message(line: str, *, is_error: bool = False) -> None:
    """Write *line* to standard error in the form of the log: in JSON mode every line there must be JSON."""
    log_setup = sys.modules.get("stream_rec.service.metrics.log_setup")  # not imported: JSON mode is off
    if log_setup is not None and log_setup.is_json():
        logging.getLogger("stream_rec").log(logging.ERROR if is_error else logging.INFO, "%s", line)
    else:
        click.echo(line, err=True)


def announce_compilation(*, answers_events: bool = True) -> None:
    """Explain the wait of a first run, if kernels must be compiled."""
    from stream_rec.service.assembly import warm_up

    if warm_up.is_cold(answers_events=answers_events):
        print_message(warm_up.COMPILING if warm_up.can_keep() else warm_up.COMPILING_AGAIN)


def announce_terminal_input(settings: Settings) -> None:
    """Explain the silent prompt, if records are read from a terminal."""
    if "-" in {settings.events, settings.requests} and sys.stdin.isatty():
        click.echo("reading from this terminal: one record per line, Ctrl-D ends the input", err=True)


def encodable(line: str) -> str:
    """Return *line* with escapes for characters that standard output cannot encode: ids may hold any character."""
    encoding = sys.stdout.encoding or "utf-8"
    return line.encode(encoding, "backslashreplace").decode(encoding)


@contextmanager
def require_serve_extra() -> Iterator[None]:
    """Turn a missing package of the `serve` extra into a SettingsError that names it."""
    try:
        yield
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] == "stream_rec":
            raise
        message = f"needs {error.name}, which is not installed: pip install 'stream-rec[serve]'"
        raise SettingsError("http", message) from None
