"""`stream-rec config show`: the settings that a run would have, and where each comes from."""

import math
from collections.abc import Iterator, Mapping
from typing import Any, Final

import click
import msgspec

from stream_rec.cli.common import OnceCommand, encodable, with_settings_and_origins
from stream_rec.cli.hints import HelpfulGroup
from stream_rec.settings import Kind, Origin, Setting, Settings, grouped, table

__all__ = ["config"]

_WIDEST: Final = 32
"""Characters of a value that is written before its origin in a column; a longer one moves its own origin only."""


class _Group(HelpfulGroup):
    command_class = OnceCommand


@click.group(cls=_Group)
def config() -> None:
    """Show the settings that a run would have, and where each comes from."""


@config.command("show")
@click.option("--as", "form", type=click.Choice(["text", "toml", "json"]), default="text", show_default=True,
              help="The form of the output; TOML is what --config takes.")  # fmt: skip
@click.option("--changed", is_flag=True, help="Leave out settings that have their default.")
@with_settings_and_origins
def show(settings: Settings, origins: Mapping[str, Origin], form: str, changed: bool) -> None:
    """Show each setting with its value and its origin: the default, a file, the environment or a flag.

    Takes the options of `run`, and starts nothing. Secrets are hidden; references to them (env:NAME, file:PATH) are
    shown.

    \b
      stream-rec config show --config service.toml --changed
      stream-rec config show --events clicks.csv --as toml > service.toml
    """  # noqa: D301 (click leaves a paragraph alone that begins with this character)
    from stream_rec.settings.secrets import without_secrets

    shown = [setting for setting in table() if not (changed and origins[setting.name].layer == "default")]
    values = {setting.name: without_secrets(setting, getattr(settings, setting.name)) for setting in shown}
    match form:
        case "json":
            click.echo(_as_json(shown, values, origins))
        case "toml":
            click.echo("\n".join(_toml_lines(shown, values, origins)))
        case _:
            for line in _text_lines(shown, values, origins):
                click.echo(encodable(line))


def _text_lines(shown: list[Setting], values: Mapping[str, Any], origins: Mapping[str, Origin]) -> Iterator[str]:
    written = {setting.name: setting.written(values[setting.name]) for setting in shown}
    keys = max((len(setting.key) for setting in shown), default=0)
    width = max((len(text) for text in written.values() if len(text) <= _WIDEST), default=0)
    for group, settings in grouped():
        inside = [setting for setting in settings if setting.name in written]
        if inside:
            yield f"{group.heading}:"
        for setting in inside:
            value, where = written[setting.name], origins[setting.name].where
            yield f"  {setting.key:{keys}}  {value:{width}}  {where}"


def _toml_lines(shown: list[Setting], values: Mapping[str, Any], origins: Mapping[str, Origin]) -> list[str]:
    """Return TOML with origins as comments. What is hidden is a comment too: a run must not take it for a value."""
    from stream_rec.settings.as_toml import setting_lines
    from stream_rec.settings.secrets import HIDDEN

    single: list[str] = []
    tables: list[str] = []
    for setting in shown:
        lines = [f"# {line}" if HIDDEN in line else line for line in setting_lines(setting, values[setting.name])]
        where = f"  # {origins[setting.name].where}"
        if setting.kind not in {Kind.TABLE, Kind.TABLES}:
            single.append(lines[0] + where)
        elif lines:
            tables += [line + where if line.startswith("[") else line for line in lines]
    return [*single, *tables]


def _as_json(shown: list[Setting], values: Mapping[str, Any], origins: Mapping[str, Origin]) -> str:
    from stream_rec.settings.as_toml import plain_value

    report = {
        setting.key: {
            "value": _finite(plain_value(setting, values[setting.name])),
            "layer": origins[setting.name].layer,
            "where": origins[setting.name].where,
        }
        for setting in shown
    }
    return msgspec.json.format(msgspec.json.encode(report), indent=1).decode()


def _finite(value: Any) -> Any:  # noqa: ANN401 (the value of any setting)
    """Return *value* with the text `inf` where JSON has no number."""
    if isinstance(value, Mapping):
        return {name: _finite(each) for name, each in value.items()}
    return "inf" if value == math.inf else value
