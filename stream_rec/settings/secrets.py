"""Settings as they may be shown: references to secrets stay, and what may be a secret itself does not."""

import re
from collections.abc import Mapping
from typing import Any, Final

from stream_rec.settings.fields import Kind, Setting

__all__ = ["HIDDEN", "without_credentials", "without_secrets"]

HIDDEN: Final = "(hidden)"

_REFERENCES: Final = ("env:", "file:")
_SECRET: Final = re.compile(r"password|secret|token|jaas|user\.info|credential|(?:\.|^)key$|\.pem$|certificate\.chain")
_URL: Final = re.compile(r"^([a-z][a-z0-9+.-]*://)(?:[^/@\s]*@)?", re.IGNORECASE)
_HTTP_QUERY: Final = re.compile(r"^(https?://[^?\s]*\?).*$", re.IGNORECASE | re.DOTALL)


def without_secrets(setting: Setting, value: Any) -> Any:  # noqa: ANN401 (the value of any setting)
    """Return *value* with `(hidden)` in place of what may be a secret: a password, a key, a signature in a URL."""
    match setting.kind, value:
        case Kind.TABLE, Mapping() if setting.private:
            return {name: _entry(name, text) for name, text in value.items()}
        case Kind.LIST, tuple() if setting.private:
            return tuple(map(_key, value))
        case Kind.LIST, tuple():
            return tuple(map(without_credentials, value))
        case _, str():
            return without_credentials(value)
    return value


def _entry(name: str, text: str) -> str:
    if text.startswith(_REFERENCES):
        return text
    return HIDDEN if _SECRET.search(name.lower().replace("_", ".")) else without_credentials(text)


def _key(text: str) -> str:
    """Return `NAME:SCOPES:KEY` without a key that is no reference."""
    name, scopes, secret = [*text.split(":", 2), "", ""][:3]
    if not scopes or not secret:
        return HIDDEN
    return text if secret.startswith(_REFERENCES) else f"{name}:{scopes}:{HIDDEN}"


def without_credentials(text: Any) -> Any:  # noqa: ANN401 (entries of a list may be numbers)
    """Return a URL without its credentials and, on a web server, without its query, where signatures are."""
    if not isinstance(text, str):
        return text
    found = _URL.match(text)
    if found is not None and "@" in found.group():
        text = f"{found.group(1)}{HIDDEN}@{text[found.end() :]}"
    return _HTTP_QUERY.sub(rf"\g<1>{HIDDEN}", text)
