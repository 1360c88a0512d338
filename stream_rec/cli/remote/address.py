"""Where a service is, and the key for it: from options and the environment.

A key is given by reference, and never shown. Knows nothing of HTTP.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final, NamedTuple
from urllib.parse import urlsplit

from stream_rec.errors import SettingsError

__all__ = ["CA_VARIABLE", "KEY_VARIABLE", "URL_VARIABLE", "Address", "parse_url", "read_key", "usual_url"]

URL_VARIABLE: Final = "STREAM_REC_SERVICE_URL"
KEY_VARIABLE: Final = "STREAM_REC_SERVICE_KEY"
CA_VARIABLE: Final = "STREAM_REC_SERVICE_CA"
_USUAL: Final = "http://127.0.0.1:8000"
_HTTP_SETTING: Final = "STREAM_REC_HTTP"
_ANY_HOST: Final = frozenset({"", "0.0.0.0", "[::]"})  # noqa: S104 (compared only)
_EXAMPLE: Final = "such as http://127.0.0.1:8000 or https://recs.example"
_PORTS: Final = {"http": 80, "https": 443}


class Address(NamedTuple):
    """Where a service is."""

    is_tls: bool
    host: str
    port: int
    path: str
    """What comes before the paths of the API, where a proxy puts something there; without a slash at its end."""

    @property
    def url(self) -> str:
        """The address as text."""
        scheme = "https" if self.is_tls else "http"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{scheme}://{host}:{self.port}{self.path}"


def usual_url(environ: Mapping[str, str]) -> str:
    """Return the address of a service that runs beside this program: where its own setting says, or the usual port."""
    host, _, port = environ.get(_HTTP_SETTING, "").rpartition(":")
    if not port:
        return _USUAL
    return f"http://{'127.0.0.1' if host in _ANY_HOST else host}:{port}"


def parse_url(text: str) -> Address:
    """Read an address; without a scheme it is http, without a host this machine. Raises SettingsError."""
    full = text if "://" in text else f"http://{'127.0.0.1' if text.startswith(':') else ''}{text}"
    if "@" in full:
        raise SettingsError("url", "an address holds no credentials: give the key with --key env:NAME or file:PATH")
    try:
        parts = urlsplit(full)
        port = parts.port
    except ValueError as error:
        raise SettingsError("url", f"{text!r} is no address ({error}); expected one {_EXAMPLE}") from None
    if parts.scheme not in _PORTS or not parts.hostname or parts.query or parts.fragment:
        raise SettingsError("url", f"{text!r} is not the address of a service; expected one {_EXAMPLE}")
    return Address(
        parts.scheme == "https",
        parts.hostname,
        _PORTS[parts.scheme] if port is None else port,
        parts.path.rstrip("/"),
    )


def read_key(reference: str | None, environ: Mapping[str, str] = os.environ) -> str | None:
    """Return the key that *reference* (`env:NAME`, `file:PATH`) leads to, else that of the environment, if any.

    Raises SettingsError, which shows no key.
    """
    if reference is None:
        return _one_word(environ.get(KEY_VARIABLE, ""), KEY_VARIABLE) or None
    kind, _, place = reference.partition(":")
    if kind == "env" and place:
        if place not in environ:
            raise SettingsError("key", f"the environment variable {place} is not set")
        found = _one_word(environ[place], place)
    elif kind == "file" and place:
        try:
            found = _one_word(Path(place).read_text(encoding="utf-8"), place)
        except (OSError, UnicodeDecodeError) as error:
            raise SettingsError("key", f"cannot read {place!r}: {getattr(error, 'strerror', None) or error}") from None
    else:
        raise SettingsError(
            "key",
            "expected env:NAME or file:PATH: other users of this machine can see a key that is written in a command",
        )
    if not found:
        raise SettingsError("key", f"{place} is empty")
    return found


def _one_word(text: str, place: str) -> str:
    """Return the key in *text*. Raises SettingsError for what a header cannot hold, such as a file of several keys."""
    key = text.strip()
    if not (key.isascii() and key.isprintable()) or " " in key:
        raise SettingsError("key", f"{place} holds more than a key; expected the key alone, on one line")
    return key
