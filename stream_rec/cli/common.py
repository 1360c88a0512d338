"""What the commands share: options made from settings, lines for people, the progress line.

Imports nothing that compiles: `stream-rec --help` must not wait for a compiler.
"""

import logging
import os
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from functools import wraps
from typing import TYPE_CHECKING, Any

import click

from stream_rec.errors import StreamRecError
from stream_rec.settings import Kind, Setting, Settings, load, table

if TYPE_CHECKING:
    from stream_rec.service.running.batch_job import BatchJob

__all__ = ["with_settings"]


def with_settings(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give *command* every setting as an option, and call it with the one Settings they make.

    Put it under `@cli.command()`. Options come in the order of the reference page, `--config` last.
    """

    @wraps(command)
    def loaded(*args: Any, config: str | None, **given: object) -> Any:  # noqa: ANN401 (passes on what click and the command exchange)
        names = {setting.name for setting in table()}
        flags = {name: given.pop(name) for name in names & given.keys()}
        if not flags.get("events") and given.get("train"):  # where a log is learned from, no other is needed
            flags["events"] = given["train"]
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
    _tell(f"stream-rec: {error}", is_error=True)
    return code


def _tell(line: str, *, is_error: bool = False) -> None:
    """Write *line* to standard error, as the log is written: where that is JSON, nothing else may be there."""
    logs = sys.modules.get("stream_rec.service.metrics.log_setup")  # not imported: nobody has asked for JSON
    if logs is not None and logs.is_json():
        logging.getLogger("stream_rec").log(logging.ERROR if is_error else logging.INFO, "%s", line)
    else:
        click.echo(line, err=True)


def _announce(*, answers_events: bool = True) -> None:
    """Say what the silence of a first run is."""
    from stream_rec.service.assembly import warm_up

    if warm_up.is_cold(answers_events=answers_events):
        _tell(warm_up.COMPILING if warm_up.can_keep() else warm_up.COMPILING_AGAIN)


def _say_what_is_awaited(settings: Settings) -> None:
    """To whoever sits before a prompt that does nothing."""
    if "-" in {settings.events, settings.requests} and sys.stdin.isatty():
        click.echo("reading from this terminal: a record is a line, and Ctrl-D ends it", err=True)


def _writable(line: str) -> str:
    """*line* without what the terminal has no bytes for: examples hold whatever a log holds."""
    encoding = sys.stdout.encoding or "utf-8"
    return line.encode(encoding, "backslashreplace").decode(encoding)


def _progress(settings: Settings) -> "AbstractContextManager[Callable[[BatchJob], None]]":
    """A progress line for whoever watches, unless answers come by in the same place."""
    shares = settings.answers_place == "-" and sys.stdout.isatty()
    if shares or not sys.stderr.isatty():
        return nullcontext(lambda _: None)
    from stream_rec.cli.progress import ProgressLine

    return ProgressLine()
