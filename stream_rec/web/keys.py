"""API keys with scopes: read from settings, compared in constant time.

Knows nothing of paths. A key is never logged or shown; its name may be.
"""

import hmac
import os
from collections.abc import Iterable
from hashlib import sha256
from pathlib import Path
from typing import Final, NamedTuple

from stream_rec.errors import SettingsError

__all__ = ["ADMIN", "READ", "SCOPES", "WRITE", "ApiKey", "Keys", "read_keys"]

READ: Final = "read"
WRITE: Final = "write"
ADMIN: Final = "admin"
SCOPES: Final = (READ, WRITE, ADMIN)
_SHORTEST: Final = 16


class ApiKey(NamedTuple):
    """A key by its digest: comparing digests takes the same time for every key, of any length."""

    name: str
    scopes: frozenset[str]
    digest: bytes


class Keys:
    """All known keys. Without any, every caller may do everything."""

    def __init__(self, keys: Iterable[ApiKey] = ()) -> None:
        self._keys = tuple(keys)

    def __bool__(self) -> bool:
        return bool(self._keys)

    def scopes_of(self, key: str) -> frozenset[str] | None:
        """Return the scopes of *key*; None if it is unknown.

        Compares it with every known key, so that the time it takes does not show whether one matched.
        """
        digest = sha256(key.encode()).digest()
        found: frozenset[str] | None = None
        for each in self._keys:
            if hmac.compare_digest(each.digest, digest):
                found = each.scopes
        return found


def read_keys(given: Iterable[str], path: str | None) -> Keys:
    """Return the keys of the settings `http_keys` and `http_keys_file`. Raises SettingsError, which shows no key."""
    keys = [_key(text, "http_keys", f"entry {number}", is_plain=False) for number, text in enumerate(given, 1)]
    if path is not None:
        keys += _of_file(path)
    names = [key.name for key in keys]
    for name in names:
        if names.count(name) > 1:
            raise SettingsError("http_keys", f"{name!r} is given twice; each key needs a name of its own")
    return Keys(keys)


def _of_file(path: str) -> list[ApiKey]:
    try:
        lines = Path(path).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError("http_keys_file", f"cannot read {path!r}: {error}") from error
    return [
        _key(line.strip(), "http_keys_file", f"line {number}", is_plain=True)
        for number, line in enumerate(lines, 1)
        if line.strip() and not line.lstrip().startswith("#")
    ]


def _key(text: str, setting: str, where: str, *, is_plain: bool) -> ApiKey:
    name, _, rest = text.partition(":")
    scopes, _, secret = rest.partition(":")
    if not (name and scopes and secret):
        raise SettingsError(setting, f"{where} is not NAME:SCOPES:KEY")
    known = frozenset(scopes.split("+"))
    unknown = sorted(known - set(SCOPES))
    if unknown:
        raise SettingsError(setting, f"{where}: {unknown[0]!r} is not a scope; scopes are {', '.join(SCOPES)}")
    value = secret if is_plain else _secret(secret, setting, where)
    if not value.isascii():
        raise SettingsError(setting, f"{where}: the key {name!r} has characters that a header cannot carry: use ASCII")
    if len(value) < _SHORTEST:
        raise SettingsError(setting, f"{where}: the key {name!r} has fewer than {_SHORTEST} characters")
    return ApiKey(name, known, sha256(value.encode()).digest())


def _secret(given: str, setting: str, where: str) -> str:
    kind, _, place = given.partition(":")
    if kind == "env":
        value = os.environ.get(place, "").strip()
        if not value:
            raise SettingsError(setting, f"{where}: the environment variable {place} is not set")
        return value
    if kind == "file":
        try:
            return Path(place).read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise SettingsError(setting, f"{where}: cannot read the key's file: {error}") from error
    raise SettingsError(setting, f"{where}: give the key as env:NAME or file:PATH, never itself")
