"""A setting's text -> its value: `env:NAME` and `file:PATH` refer to it, and a secret is given in no other way.

A plain secret would show in `ps`, in a shell's history or in a repository.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from stream_rec.errors import SettingsError

__all__ = ["HIDDEN", "given_value", "hidden"]

HIDDEN: Final = "(hidden)"


def given_value(setting: str, text: str, environ: Mapping[str, str], *, secret: bool) -> str:
    """Return the value of *setting*, whose name is for messages. Raises SettingsError."""
    source, colon, name = text.partition(":")
    read = _SOURCES.get(source) if colon else None
    if read is not None:
        return read(setting, name, environ)
    if secret:
        raise SettingsError(
            setting,
            "holds a secret, which does not belong on a command line or in a file of settings: write env:NAME for a "
            "variable that holds it, or file:PATH for a file that contains only it",
        )
    return text


def hidden(text: str, secrets: list[str]) -> str:
    """Return *text* without the *secrets*, the longest first."""
    for secret in secrets:
        text = text.replace(secret, HIDDEN)
    return text


def _from_environment(setting: str, name: str, environ: Mapping[str, str]) -> str:
    value = environ.get(name)
    if not value:
        raise SettingsError(setting, f"is to be read from the environment, where {name!r} is not set")
    return value


def _from_file(setting: str, name: str, environ: Mapping[str, str]) -> str:
    del environ
    try:
        value = Path(name).read_text(encoding="utf-8").removesuffix("\n").removesuffix("\r")
    except OSError as error:
        raise SettingsError(setting, f"cannot be read from {name!r}: {error.strerror}") from error
    except UnicodeDecodeError:
        raise SettingsError(setting, f"cannot be read from {name!r}: it is not UTF-8") from None
    if not value:
        raise SettingsError(setting, f"is to be read from {name!r}, which is empty")
    return value


_SOURCES: Final[Mapping[str, Callable[[str, str, Mapping[str, str]], str]]] = {
    "env": _from_environment,
    "file": _from_file,
}
