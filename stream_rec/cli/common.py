"""What the commands share: options made from settings, exit codes, messages on standard error.

Imports nothing that compiles: `stream-rec --help` must not wait for a compiler.
"""

import logging
import os
import shlex
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial, wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click
import msgspec

from stream_rec.cli.completion import file_option, words_of
from stream_rec.cli.hints import no_such_option
from stream_rec.errors import SettingsError, StreamRecError
from stream_rec.settings import Kind, Setting, Settings, grouped, load_with_origins, table

if TYPE_CHECKING:
    from stream_rec.service.metrics.counters import Counters

__all__ = [
    "DONE",
    "FAILED",
    "MISUSED",
    "OVER_LIMIT",
    "HeadedOption",
    "OnceCommand",
    "announce_compilation",
    "announce_terminal_input",
    "command",
    "encodable",
    "exit_code",
    "naming_the_line",
    "print_message",
    "require_serve_extra",
    "typed_command",
    "with_settings",
    "with_settings_and_origins",
    "write_json",
]

DONE: Final = 0
FAILED: Final = 1
MISUSED: Final = 2
"""Wrong settings or usage."""
OVER_LIMIT: Final = 3
"""Done, but more records were refused than `max_refused` allows."""


_LONGEST_METAVAR: Final = 50
"""A longer list of words is written in the text of an option: its line would not fit on a screen."""


class OnceCommand(click.Command):
    """Refuses an option that takes one value and is given twice: click would silently take the last.

    Of an option that there is not, it says which one was probably meant.
    """

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse *args*. Raises UsageError for an option given twice, one that there is not, and what is no option."""
        try:
            _, surplus, order = self.make_parser(ctx).parse_args(args=list(args))
        except click.NoSuchOption as error:
            raise no_such_option(error.option_name, ctx) from None
        for given, n in Counter(order).items():
            if n > 1 and isinstance(given, click.Option) and not (given.multiple or given.is_eager or given.count):
                raise click.UsageError(f"{'/'.join(given.opts)} is given {n} times, and takes one value", ctx)
        if surplus and any(isinstance(option, _SettingOption) for option in self.params):
            raise click.UsageError(
                f"Got unexpected {' '.join(surplus)}: write --events before each source, or give several as one "
                "pattern in quotes, such as --events 'clicks-*.jsonl'",
                ctx,
            )
        return super().parse_args(ctx, args)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the command's own options, a list of the groups of settings if it has any, then all headings."""
        sections: dict[str, list[tuple[str, str]]] = {"": []}
        for option in self.get_params(ctx):
            record = option.get_help_record(ctx)
            if record is not None and record[1]:  # an argument is in the usage line, and has no text of its own
                sections.setdefault(option.heading if isinstance(option, HeadedOption) else "", []).append(record)
        with formatter.section("Options"):
            formatter.write_dl(sections.pop(""))
        if any(isinstance(option, _SettingOption) for option in self.params):
            with formatter.section("Settings, in groups that follow"):
                formatter.write_dl([(group.heading, group.about) for group, _ in grouped()])
        for heading, records in sections.items():
            with formatter.section(heading):
                formatter.write_dl(records)


class HeadedOption(click.Option):
    """An option that the help shows under a heading."""

    def __init__(self, *args: Any, heading: str, **kwargs: Any) -> None:  # noqa: ANN401 (passes on what click takes)
        super().__init__(*args, **kwargs)
        self.heading = heading


class _SettingOption(HeadedOption):
    """An option that is a setting, under the heading of its group."""

    def __init__(self, *args: Any, setting: Setting, **kwargs: Any) -> None:  # noqa: ANN401 (passes on what click takes)
        super().__init__(*args, shell_complete=lambda ctx, param, text: words_of(setting, text), **kwargs)  # noqa: ARG005 (as click calls it)
        self.setting = setting


command = partial(click.command, cls=OnceCommand)
"""As `click.command`, for all commands here."""


def with_settings(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give *command* every setting as an option, and call it with the Settings object that they make.

    Put it under `@command()`. The options have the order of the reference page; `--config` is before them.
    """

    @wraps(command)
    def loaded(*args: Any, settings: Settings, origins: object, **options: object) -> Any:  # noqa: ANN401 (passes on what click and the command exchange)
        del origins
        return command(*args, settings=settings, **options)

    return with_settings_and_origins(loaded)


def with_settings_and_origins(command: Callable[..., Any]) -> Callable[..., Any]:
    """Do as `with_settings`, and call *command* also with `origins`: where each value comes from, by name."""

    @wraps(command)
    def loaded(*args: Any, config: str | None, **options: object) -> Any:  # noqa: ANN401 (as above)
        names = {setting.name for setting in table()}
        flags = {name: options.pop(name) for name in names & options.keys()}
        paths = options.pop("paths", ())
        if isinstance(paths, tuple) and paths:
            if flags.get("events"):
                raise click.UsageError(f"the source is given twice: with --events, and as {' '.join(paths)}")
            flags["events"] = paths
        if not flags.get("events") and options.get("train"):  # --train names the log; --events is not needed then
            flags["events"] = options["train"]
        settings, origins = load_with_origins(config=config, environ=os.environ, flags=flags)
        return command(*args, settings=settings, origins=origins, **options)

    decorated: Callable[..., Any] = file_option(
        "--config",
        metavar="FILE",
        help="A TOML file of settings. Options and STREAM_REC_* variables override it.",
    )(loaded)
    for group, settings in reversed(grouped()):
        for setting in reversed(settings):
            decorated = _option(setting, group.heading)(decorated)
    return decorated


def typed_command() -> str:
    """Return the command that is running as it was typed, for a shell; what may be a secret is hidden."""
    from stream_rec.settings.secrets import HIDDEN, without_credentials

    context = click.get_current_context()
    words = context.command_path.split()
    for option in context.command.get_params(context):
        is_typed = context.get_parameter_source(option.name or "") is click.core.ParameterSource.COMMANDLINE
        if not is_typed or not isinstance(option, click.Option):
            continue
        given = context.params[option.name or ""]
        if isinstance(given, bool):
            words.append(option.opts[0] if given else option.secondary_opts[0])
            continue
        is_private = isinstance(option, _SettingOption) and option.setting.private
        for value in given if isinstance(given, tuple) else (given,):
            words += [option.opts[0], HIDDEN if is_private else without_credentials(str(value))]
    return shlex.join(words)


def _option(setting: Setting, heading: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Return the option of *setting*. Its text is passed on unparsed: all layers share one parser and one error."""
    help_text = setting.doc if setting.required else f"{setting.doc}  {_default(setting)}"
    if setting.kind is Kind.SWITCH:
        switch = f"{setting.flag}/--no-{setting.flag.removeprefix('--')}"
        return click.option(
            switch, setting.name, cls=_SettingOption, heading=heading, setting=setting, default=None, help=help_text
        )
    metavar = setting.metavar
    if len(metavar) > _LONGEST_METAVAR:
        metavar, help_text = "WORD", f"{help_text}  [{setting.expected}]"
    return click.option(
        setting.flag,
        setting.name,
        cls=_SettingOption,
        heading=heading,
        setting=setting,
        metavar=metavar,
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


def exit_code(counts: "Counters", settings: Settings, *, is_whole: bool = True) -> int:
    """Return the exit code for what became of the records, and say why if it is not 0.

    *is_whole* is whether the source was read to its end: of one that was not, nothing need have been applied.
    """
    from stream_rec.service.reporting.verdict import nothing_applied, over_limit

    reason, code = nothing_applied(counts) if is_whole else None, FAILED
    if reason is None:
        reason, code = over_limit(counts, settings.max_refused), OVER_LIMIT
    if reason is None:
        return DONE
    print_message(f"stream-rec: {reason}", is_error=True)
    return code


def announce_compilation(*, answers_events: bool = True) -> None:
    """Explain the wait of a first run, if kernels must be compiled."""
    from stream_rec.service.assembly import warm_up

    if warm_up.is_cold(answers_events=answers_events):
        print_message(warm_up.COMPILING if warm_up.can_keep() else warm_up.COMPILING_AGAIN)


def announce_terminal_input(settings: Settings) -> None:
    """Explain the silent prompt, if records are read from a terminal."""
    if "-" in {settings.events, settings.requests} and sys.stdin.isatty():
        click.echo("reading from this terminal: one record per line, Ctrl-D ends the input", err=True)


def write_json(report: object, path: str) -> None:
    """Write *report* as JSON to *path*; `-` is standard output. Raises StreamRecError."""
    content = msgspec.json.format(msgspec.json.encode(report), indent=1).decode()
    if path == "-":
        click.echo(content)
        return
    try:
        Path(path).write_text(content + "\n", encoding="utf-8")
    except OSError as error:
        raise StreamRecError(f"cannot write {path!r}: {error.strerror}") from error


def encodable(line: str) -> str:
    """Return *line* with escapes for characters that standard output cannot encode: ids may hold any character."""
    encoding = sys.stdout.encoding or "utf-8"
    return line.encode(encoding, "backslashreplace").decode(encoding)


@contextmanager
def naming_the_line(settings: Settings) -> Iterator[None]:
    """Let an error about how files are read end with the line to type: a run that reads them."""
    try:
        yield
    except SettingsError as error:
        from stream_rec.service.assembly.checking.reading import with_line

        raise with_line(error, settings, "run") from None


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
