"""An operator's settings of the schema registry: the address, credentials and certificates, with secrets in place.

Knows the names of confluent-kafka's client, but not the client. Secrets stay out of reprs, logs and errors.
"""

import difflib
import os
from collections.abc import Mapping
from typing import Final
from urllib.parse import urlsplit

from stream_rec.errors import SettingsError
from stream_rec.transport.kafka.secrets import given_value, hidden

__all__ = ["RegistryConfig", "read_registry_config"]

_SECRETS: Final = frozenset({
    "basic.auth.user.info", "bearer.auth.token", "bearer.auth.client.secret", "ssl.key.password",
})  # fmt: skip
_KNOWN: Final = _SECRETS | {
    "bearer.auth.client.id", "bearer.auth.credentials.source", "bearer.auth.identity.pool.id",
    "bearer.auth.issuer.endpoint.url", "bearer.auth.logical.cluster", "bearer.auth.scope", "proxy", "ssl.ca.location",
    "ssl.certificate.location", "ssl.key.location", "timeout",
}  # fmt: skip
_TIMEOUT_S: Final = 5.0
"""The consumer thread waits for the answer: longer, and a rebalance of the group would wait too."""


class RegistryConfig:
    """The settings as confluent-kafka's client takes them."""

    def __init__(self, url: str, values: Mapping[str, str], timeout_s: float) -> None:
        self.url = url
        """One address or several, separated by commas; without credentials, so that messages may name it."""
        self._values = dict(values)
        self._timeout_s = timeout_s
        secrets = {value for name, value in values.items() if name in _SECRETS}
        # Of `user:password`, a message may repeat the password alone.
        secrets |= {values["basic.auth.user.info"].partition(":")[2]} if "basic.auth.user.info" in values else set()
        self._secrets = sorted(filter(None, secrets), key=len, reverse=True)

    def __repr__(self) -> str:
        return f"RegistryConfig({', '.join(['url', *self._values])})"

    def client(self) -> dict[str, object]:
        """Return the client's configuration. It tries once: who asks decides when to ask again."""
        return {"url": self.url, "timeout": self._timeout_s, "max.retries": 0, **self._values}

    def hide(self, text: str) -> str:
        """Return *text* without the secrets, in case the client or the registry has repeated one."""
        return hidden(text, self._secrets)


def read_registry_config(
    url: str, given: Mapping[str, str], environ: Mapping[str, str] | None = None
) -> RegistryConfig:
    """Check the address and the other settings, and read the secrets. Raises SettingsError, naming the setting."""
    environ = os.environ if environ is None else environ
    for each in url.split(","):
        _check_address(each.strip())
    values = {}
    for key, text in given.items():
        name = key.replace("_", ".")
        if name not in _KNOWN:
            close = difflib.get_close_matches(name, sorted(_KNOWN), n=1, cutoff=0.6)
            meant = f"did you mean {close[0]!r}?" if close else f"there are {', '.join(sorted(_KNOWN))}"
            raise SettingsError(f"registry_config.{key}", f"the registry's client has no such setting; {meant}")
        values[name] = given_value(f"registry_config.{key}", text, environ, secret=name in _SECRETS)
    timeout_s = _timeout(values.pop("timeout", None))
    _complete(values)
    return RegistryConfig(url, values, timeout_s)


def _check_address(url: str) -> None:
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.netloc:
        raise SettingsError("registry", "expected an address such as http://localhost:8081")
    if parts.username or parts.password:
        raise SettingsError(
            "registry",
            "holds credentials, which does not belong on a command line or in a file of settings: set "
            "registry_config basic.auth.user.info to env:NAME, a variable that holds USER:PASSWORD",
        )


def _timeout(text: str | None) -> float:
    if text is None:
        return _TIMEOUT_S
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds <= 60:  # noqa: PLR2004 (a minute)
        raise SettingsError("registry_config.timeout", f"expected seconds, above 0 and at most 60, found {text!r}")
    return seconds


def _complete(values: dict[str, str]) -> None:
    """Add what the client wants to be said twice, and refuse what it would refuse without naming a setting."""
    if "bearer.auth.token" in values:
        values.setdefault("bearer.auth.credentials.source", "STATIC_TOKEN")
        values.setdefault("bearer.auth.logical.cluster", "")  # only Confluent's cloud has several at one address
    if "bearer.auth.client.secret" in values:
        values.setdefault("bearer.auth.credentials.source", "OAUTHBEARER")
        values.setdefault("bearer.auth.logical.cluster", "")
    if ":" not in values.get("basic.auth.user.info", ":"):
        raise SettingsError("registry_config.basic.auth.user.info", "expected USER:PASSWORD")
    if "basic.auth.user.info" in values and "bearer.auth.credentials.source" in values:
        raise SettingsError("registry_config.basic.auth.user.info", "and a bearer token are both given; drop one")
    if "ssl.certificate.location" not in values:
        for name in ("ssl.key.location", "ssl.key.password"):
            if name in values:
                raise SettingsError(f"registry_config.{name}", "needs ssl.certificate.location beside it")
