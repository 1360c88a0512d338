"""One Settings object from its layers: defaults < TOML file < environment < command line.

A value of a higher layer replaces the whole value of a lower one, also for lists and tables. The error of a wrong value
names the key, the given value, what was expected, and the source of the value. Knows nothing of what settings mean.
"""

import difflib
import tomllib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

from stream_rec.errors import SettingsError
from stream_rec.settings.checked import Settings, table
from stream_rec.settings.fields import Kind, Setting
from stream_rec.settings.hints import OTHER_NAMES, bare, example_for, meant_names, meant_value
from stream_rec.settings.trials import trials_of

__all__ = ["ENVIRONMENT_PREFIX", "load"]

ENVIRONMENT_PREFIX: Final = "STREAM_REC_"

# A variable whose name is this similar to a setting's is a typing mistake: RETENTON, EVENT.
_TYPO_SIMILARITY: Final = 0.85

# Kubernetes sets these two for a Service that is named stream-rec, to an address: they are no mistake of an operator.
_OF_KUBERNETES: Final = frozenset({"host", "port"})


class _Given(NamedTuple):
    value: object
    where: str


def load(
    *,
    config: str | Path | None = None,
    environ: Mapping[str, str] | None = None,
    flags: Mapping[str, object] | None = None,
) -> Settings:
    """Make Settings from the file *config*, variables in *environ*, and *flags*, the strongest.

    *flags* maps attribute names to values of the command line: text, a switch, or a sequence of texts for a repeated
    flag; None and empty sequences count as not given. Without *config*, the file that STREAM_REC_CONFIG names is read,
    if it is set.

    Raises SettingsError.
    """
    environ = {} if environ is None else environ
    config = config or environ.get(ENVIRONMENT_PREFIX + "CONFIG") or None
    given = {
        **_replacing_all_events(_from_file(Path(config)) if config else {}),
        **_replacing_all_events(_from_environment(environ)),
        **_replacing_all_events(_from_flags(flags or {})),
    }
    _refuse_missing(given)
    try:
        return Settings(**{name: value for name, (value, _) in given.items()})  # type: ignore[arg-type]  # each value was checked above
    except SettingsError as error:
        raise _with_origin(error, given) from None


def _replacing_all_events(layer: dict[str, _Given]) -> dict[str, _Given]:
    """Return *layer*; if it gives the events, the further ones of a lower layer are none of them."""
    return {"more_events": _Given((), layer["events"].where), **layer} if "events" in layer else layer


def _several_events(values: Mapping[str, object]) -> dict[str, object]:
    """Return *values* with a list of events as the first of them, and the others."""
    match values.get("events"):
        case [first, *others] if others or not isinstance(values["events"], str):
            return {**values, "events": first, **({"more_events": others} if others else {})}
    return dict(values)


def _from_file(path: Path) -> dict[str, _Given]:
    by_key = {setting.key: setting for setting in table()}
    given = {}
    for key, value in _several_events(_parsed(path)).items():
        setting = by_key.get(key)
        if setting is None:
            raise SettingsError(key, f"{path} sets it, but there is no such setting{_hint(key)}")
        where = f"{path}: {key}"
        given[setting.name] = _Given(_read(setting, setting.from_toml, value, where), where)
    return given


def _parsed(path: Path) -> dict[str, object]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingsError("config", f"cannot read {path}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        quotes = "; put texts in quotes" if "Invalid value" in str(error) else ""
        raise SettingsError("config", f"{path} is not TOML: {error}{quotes}") from error


def _from_environment(environ: Mapping[str, str]) -> dict[str, _Given]:
    by_variable = {ENVIRONMENT_PREFIX + setting.key.upper(): setting for setting in table()}
    given = {}
    for variable in sorted(environ):
        setting = by_variable.get(variable)
        if setting is not None:
            value = _read(setting, setting.from_text, environ[variable], variable)
            given[setting.name] = _Given(value, variable)
        elif variable.startswith(ENVIRONMENT_PREFIX):
            _refuse_typo(variable)
    return given


def _refuse_typo(variable: str) -> None:
    """Refuse *variable* if a setting is surely meant. Other names may belong to tests and tools."""
    word = bare(variable.removeprefix(ENVIRONMENT_PREFIX))
    by_name = _by_name()
    aliases = {} if word in _OF_KUBERNETES or len(word) == 1 else OTHER_NAMES
    if meant := [name for name in meant_names(word, by_name, aliases) if _is_sure(word, name, aliases)]:
        setting = by_name[meant[0]]
        example = example_for(word, setting.key)
        value = "" if example is None else f"={example}"
        raise SettingsError(
            word,
            f"the environment sets {variable}, but there is no such setting; "
            f"did you mean {ENVIRONMENT_PREFIX}{setting.key.upper()}{value}?",
        )


def _is_sure(word: str, name: str, aliases: Mapping[str, tuple[str, ...]]) -> bool:
    """Return whether *word* stands for *name* in *aliases*, or is it but for a typing mistake: RETENTON, EVENT."""
    return name in aliases.get(word, ()) or difflib.SequenceMatcher(None, name, word).ratio() >= _TYPO_SIMILARITY


def _by_name() -> dict[str, Setting]:
    """Return the settings by the bare words for them: their keys, and the names of their flags."""
    return {bare(setting.flag): setting for setting in table()} | {setting.key: setting for setting in table()}


def _from_flags(flags: Mapping[str, object]) -> dict[str, _Given]:
    by_name = {setting.name: setting for setting in table()}
    return {
        name: _Given(_from_flag(by_name[name], value), by_name[name].flag)
        for name, value in _several_events(flags).items()
        if value is not None and value != ()
    }


def _from_flag(setting: Setting, value: object) -> object:
    match value:
        case bool():
            return _read(setting, setting.from_toml, value, setting.flag)
        case str():
            return _read(setting, setting.from_text, value, setting.flag)
        case Sequence():
            return _read(setting, setting.from_texts, list(value), setting.flag)
    raise TypeError(f"{setting.flag}: {value!r} is not a value of a command line")


def _read(setting: Setting, read: Callable[[Any], object], value: object, where: str) -> object:
    try:
        found = read(value)
    except ValueError as error:
        given = "something else" if setting.private else repr(value)
        meant = meant_value(setting, value)
        hint = "" if meant is None or setting.private else f"; did you mean {meant!r}?"
        raise SettingsError(setting.key, f"{where} gives {given}; expected {error}{hint}") from None
    if setting.kind is Kind.TABLES:
        return trials_of(found, setting.key, where, _read)  # type: ignore[arg-type]  # tables, by its reader
    return found


def _refuse_missing(given: Mapping[str, _Given]) -> None:
    for setting in table():
        if setting.required and setting.name not in given:
            raise SettingsError(
                setting.key,
                f"not given; set it with {setting.flag}, "
                f"{ENVIRONMENT_PREFIX}{setting.key.upper()}, or {setting.key} in the "
                f"--config file; expected {setting.expected}",
            )


def _with_origin(error: SettingsError, given: Mapping[str, _Given]) -> SettingsError:
    """Return *error* of two contradicting settings with the source of the named one."""
    (name,) = (setting.name for setting in table() if setting.key == error.key.partition(".")[0])
    where = given[name].where if name in given else "the default"
    return SettingsError(error.key, f"{error.message.removeprefix(error.key + ': ')} (from {where})")


def _hint(word: str) -> str:
    by_name = _by_name()
    meant = list(dict.fromkeys(by_name[name].key for name in meant_names(word, by_name)))
    if not meant:
        return "; see docs/reference/settings.md"
    example = example_for(word, meant[0])
    first = repr(meant[0]) if example is None else f'{meant[0]} = "{example}"'
    return f"; did you mean {' or '.join([first, *map(repr, meant[1:])])}?"
