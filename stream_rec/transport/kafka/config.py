"""An operator's `[kafka]` settings: which part of a client each is for, which are fixed, where secrets come from.

Knows the names of Kafka's own documentation, but no client: the `config` of each client translates. A secret is given
by reference only (`env:NAME`, `file:PATH`): a plain one would show in `ps`, in a shell's history or in a repository.
Secrets stay out of reprs, logs and errors (`Config.hide`).
"""

import difflib
import os
from collections.abc import Iterable, Mapping
from typing import Final, Literal, NamedTuple

from stream_rec.errors import SettingsError
from stream_rec.transport.kafka.secrets import given_value, hidden

__all__ = ["ROLES", "Config", "Role", "given_key", "read_config", "unknown"]

Role = Literal["consumer", "producer", "admin"]
ROLES: Final[tuple[Role, ...]] = ("consumer", "producer", "admin")

_SECRET_WORDS: Final = ("password", "secret", "token")
_NO_SECRETS: Final = frozenset({"sasl.oauthbearer.token.endpoint.url"})
# PEM in the setting itself: the key, or a certificate with the key in one file.
_SECRETS: Final = frozenset({"ssl.key.pem", "ssl.certificate.pem"})

_SERVERS: Final = "the brokers stand in the address: kafka://host:9092/topic"
_GROUP: Final = "stream-rec joins the group itself, under the name that its own settings give"
_OFFSETS: Final = "stream-rec commits offsets itself, together with the answers"
_START: Final = "snapshots and committed offsets decide where reading starts"
_ONCE: Final = "with any other value than stream-rec's, answers would be lost or doubled"
_KEYS: Final = "a key must go to the same partition with every client"
_BYTES: Final = "stream-rec reads and writes bytes"
_TOPICS: Final = "a topic created by accident has the wrong number of partitions; --create-topics creates them"
_WHOLE_BATCHES: Final = "stream-rec limits each call by itself"

_NOT_SETTABLE: Final = {
    "bootstrap.servers": _SERVERS,
    "metadata.broker.list": _SERVERS,
    "group.id": _GROUP,
    "group.instance.id": _GROUP,
    "group.protocol": _GROUP,
    "partition.assignment.strategy": _GROUP,
    "enable.auto.commit": _OFFSETS,
    "enable.auto.offset.store": _OFFSETS,
    "auto.commit.enable": _OFFSETS,
    "auto.commit.interval.ms": _OFFSETS,
    "auto.offset.reset": _START,
    "isolation.level": _ONCE,
    "transactional.id": _ONCE,
    "enable.idempotence": _ONCE,
    "enable.gapless.guarantee": _ONCE,
    "acks": _ONCE,
    "request.required.acks": _ONCE,
    "retries": _ONCE,
    "message.send.max.retries": _ONCE,
    "partitioner": _KEYS,
    "key.serializer": _BYTES,
    "value.serializer": _BYTES,
    "key.deserializer": _BYTES,
    "value.deserializer": _BYTES,
    "allow.auto.create.topics": _TOPICS,
    "max.poll.records": _WHOLE_BATCHES,
    "enable.partition.eof": "stream-rec must know where a partition ends",
    "delivery.report.only.error": "stream-rec counts the records that have arrived",
}


class _ConfigEntry(NamedTuple):
    role: Role | None
    """None is for every part that knows the name."""
    value: str
    secret: bool


class Config:
    """The settings as `read_config` returns them: by dotted name, checked, with secrets in place."""

    def __init__(self, entries: Mapping[tuple[Role | None, str], _ConfigEntry]) -> None:
        self._entries = dict(entries)
        self._secrets = sorted({entry.value for entry in entries.values() if entry.secret}, key=len, reverse=True)

    def __repr__(self) -> str:
        names = ", ".join(given_key(role, name) for role, name in self._entries)
        return f"Config({names})"

    @property
    def has_secrets(self) -> bool:
        """Whether a setting is secret."""
        return bool(self._secrets)

    def names(self, role: Role | None = None) -> list[str]:
        """The names that are for *role* alone; without one, those for every part."""
        return [name for scope, name in self._entries if scope == role]

    def of(self, role: Role) -> dict[str, str]:
        """The settings of *role*: those for every part, and over them those for this one."""
        common = {name: entry.value for (scope, name), entry in self._entries.items() if scope is None}
        return common | {name: entry.value for (scope, name), entry in self._entries.items() if scope == role}

    def get(self, name: str) -> str | None:
        """The value of a setting for every part."""
        entry = self._entries.get((None, name))
        return None if entry is None else entry.value

    def hide(self, text: str) -> str:
        """*text* without the secrets, in case a client or a broker has repeated one."""
        return hidden(text, self._secrets)


def read_config(given: Mapping[str, str], environ: Mapping[str, str] | None = None) -> Config:
    """Check the settings, and read the secrets. Raises SettingsError, naming `kafka.` and the setting."""
    environ = os.environ if environ is None else environ
    entries: dict[tuple[Role | None, str], _ConfigEntry] = {}
    for key, text in given.items():
        role, name = _scoped(key)
        dotted = name.replace("_", ".")
        if dotted in _NOT_SETTABLE:
            raise SettingsError(f"kafka.{key}", f"cannot be set: {_NOT_SETTABLE[dotted]}")
        secret = _is_secret(dotted)
        entries[role, name] = _ConfigEntry(role, given_value(f"kafka.{key}", text, environ, secret=secret), secret)
    config = Config(entries)
    _refuse_idle_credentials(config)
    return config


def given_key(role: Role | None, name: str) -> str:
    """The setting's name as an operator writes it."""
    return name if role is None else f"{role}.{name}"


def unknown(key: str, known: Iterable[str], client: str, role: Role | None = None) -> SettingsError:
    """The error for a setting that *client* does not know, with the most similar name."""
    bare = _scoped(key)[1]
    close = difflib.get_close_matches(bare.replace("_", ".").lower(), list(known), n=1, cutoff=0.6)
    meant = f"; did you mean {given_key(role, close[0])!r}?" if close else "; see the settings of that client"
    return SettingsError(f"kafka.{key}", f"{client} has no such setting{f' for a {role}' if role else ''}{meant}")


def _scoped(key: str) -> tuple[Role | None, str]:
    scope, dot, name = key.partition(".")
    for role in ROLES:
        if dot and scope == role:
            return role, name
    return None, key


def _is_secret(dotted: str) -> bool:
    if dotted in _NO_SECRETS or dotted.endswith(".url"):
        return False
    return dotted in _SECRETS or any(word in dotted.split(".") for word in _SECRET_WORDS)


def _refuse_idle_credentials(config: Config) -> None:
    """Credentials that would not be used are a mistake that looks like a broker that does not answer."""
    protocol = (config.get("security.protocol") or config.get("security_protocol") or "PLAINTEXT").upper()
    idle = [name for name in config.names() if name.replace("_", ".").startswith("sasl.")]
    if idle and not protocol.startswith("SASL"):
        raise SettingsError(
            "kafka.security.protocol",
            f"is {protocol}, which uses no credentials, but kafka.{idle[0]} is set; expected SASL_SSL",
        )
