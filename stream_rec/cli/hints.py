"""Options and commands that there are not: which ones were probably meant."""

from collections.abc import Mapping
from typing import Final

import click

from stream_rec.settings import table
from stream_rec.settings.hints import OTHER_NAMES, bare, example_for, meant_names

__all__ = ["HelpfulGroup", "no_such_option"]

_OTHER_COMMANDS: Final[Mapping[str, tuple[str, ...]]] = {
    **dict.fromkeys(("serve", "server", "start", "consume", "stream", "train", "fit", "learn"), ("run",)),
    **dict.fromkeys(("eval", "test", "benchmark", "bench", "score", "measure"), ("evaluate",)),
    **dict.fromkeys(("optimize", "optimise", "search", "hyperopt"), ("tune",)),
    **dict.fromkeys(("generate", "gen", "synthesize"), ("simulate",)),
    **dict.fromkeys(("validate", "inspect", "lint", "describe", "profile", "doctor"), ("check",)),
    **dict.fromkeys(("health", "healthcheck", "ping"), ("status",)),
    **dict.fromkeys(("statistics", "metrics", "info", "figures"), ("stats",)),
    "recommend": ("ask", "run"),
    **dict.fromkeys(("query", "get", "recommendations"), ("ask",)),
    **dict.fromkeys(("delete", "erase", "remove", "rm"), ("forget",)),
    **dict.fromkeys(("follow", "watch", "listen", "subscribe"), ("tail",)),
    **dict.fromkeys(("compile", "warm", "warmup", "precompile"), ("warm_up",)),
    **dict.fromkeys(("example", "sample", "quickstart", "try"), ("demo",)),
    **dict.fromkeys(("backup", "checkpoint"), ("snapshot",)),
}


_UNCUT: Final = 10_000
"""Characters of a command's first sentence in the list of commands: click cuts it at the end of the line."""


class HelpfulGroup(click.Group):
    """A group of commands that says which one was meant by a name that there is not, and lists them uncut."""

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write each command with the whole first sentence of its help."""
        found = [(name, self.get_command(ctx, name)) for name in self.list_commands(ctx)]
        with formatter.section("Commands"):
            formatter.write_dl([(name, each.get_short_help_str(_UNCUT)) for name, each in found if each is not None])

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse *args*. Raises UsageError."""
        try:
            return super().parse_args(ctx, args)
        except click.NoSuchOption as error:
            raise no_such_option(error.option_name, ctx) from None

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Return the command that *args* begin with. Raises UsageError."""
        name = args[0]
        if self.get_command(ctx, name) is None and name[:1].isalnum():
            known = {bare(each): each for each in self.list_commands(ctx)}
            meant = [known[each] for each in meant_names(name, known, _OTHER_COMMANDS)]
            hint = f" Did you mean {_either(meant)}?" if meant else f" There are {', '.join(known.values())}."
            raise click.UsageError(f"No such command '{name}'.{hint}", ctx)
        return super().resolve_command(ctx, args)


def no_such_option(name: str, ctx: click.Context) -> click.UsageError:
    """Return the error for the option *name*, which the command of *ctx* does not have."""
    meant = _meant_options(name, ctx)
    owners = [] if meant and bare(name) in OTHER_NAMES else _commands_with(name, ctx)
    if owners:
        verb = "has" if len(owners) == 1 else "have"
        return click.NoSuchOption(name, f"No such option '{name}' here; {' and '.join(owners)} {verb} it.", ctx=ctx)
    if meant:
        return click.NoSuchOption(name, f"No such option '{name}'. Did you mean {_either(meant)}?", ctx=ctx)
    return click.NoSuchOption(name, f"No such option '{name}'; see '{ctx.command_path} --help'.", ctx=ctx)


def _meant_options(name: str, ctx: click.Context) -> list[str]:
    """Return the options of the command of *ctx* that *name* may mean, with a value where that helps."""
    flags = _flags(ctx.command, ctx)
    negates = bare(name).startswith("no_")
    known = {bare(flag): flag for flag in flags if negates == flag.startswith("--no-")}
    known |= {setting.key: setting.flag for setting in table() if setting.flag in known.values()}
    shown: dict[str, str] = {}
    for key in meant_names(name, known):
        example = example_for(name, key)
        shown.setdefault(known[key], known[key] if example is None else f"{known[key]} {example}")
    return list(shown.values())


def _flags(command: click.Command, ctx: click.Context) -> list[str]:
    options = [each for each in command.get_params(ctx) if isinstance(each, click.Option)]
    return [flag for option in options for flag in (*option.opts, *option.secondary_opts) if flag.startswith("--")]


def _commands_with(name: str, ctx: click.Context) -> list[str]:
    """Return the other commands that have the option *name*."""
    root = ctx.find_root()
    if not isinstance(root.command, click.Group):
        return []
    paths = [(each, root.command.get_command(root, each)) for each in root.command.list_commands(root)]
    return [
        f"'{root.info_name} {path}'"
        for path, command in paths
        if command is not None and command is not ctx.command and name in _flags(command, ctx)
    ]


def _either(meant: list[str]) -> str:
    return " or ".join(f"'{each}'" for each in meant)
