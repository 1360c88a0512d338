"""Addresses of the form kafka://host:9092,other:9092/topic.

Knows no client. Each error says what was expected; an address never contains credentials, and an error does not repeat
text that looks like some.
"""

import re
from typing import Final, NamedTuple

from stream_rec.errors import SettingsError

__all__ = ["SCHEME", "Address", "parse_address", "parse_servers"]

SCHEME: Final = "kafka://"
_PORT: Final = 9092
_EXAMPLE: Final = "such as kafka://localhost:9092/clicks or kafka://b1:9092,b2:9092/clicks"
_HOST: Final = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_.-]*[A-Za-z0-9_])?|\[[0-9A-Fa-f:.]+\]")
_TOPIC: Final = re.compile(r"[A-Za-z0-9._-]{1,249}")
_LARGEST_PORT: Final = 65_535


class Address(NamedTuple):
    """A topic, and where its brokers are."""

    servers: str
    """As clients accept them: `host:port`, with commas between."""
    topic: str


def parse_address(text: str, key: str) -> Address:
    """Read the address of a topic. Raises SettingsError for the setting *key*."""
    servers, slash, topic = _body(text, key).partition("/")
    if not slash or not topic:
        raise SettingsError(key, f"{text!r} names no topic; expected an address {_EXAMPLE}")
    if not _TOPIC.fullmatch(topic) or topic in {".", ".."}:
        raise SettingsError(
            key, f"{topic!r} is no name of a topic: up to 249 letters, digits, dots, dashes and underscores, {_EXAMPLE}"
        )
    return Address(_servers(servers, key), topic)


def parse_servers(text: str, key: str) -> str:
    """Read the brokers of an address with or without a topic. Raises SettingsError for the setting *key*."""
    return _servers(_body(text, key).partition("/")[0], key)


def _body(text: str, key: str) -> str:
    if "@" in text:
        raise SettingsError(
            key,
            "an address of Kafka holds no credentials: give them as the settings kafka.sasl.username and "
            f"kafka.sasl.password, and here only the brokers and the topic, {_EXAMPLE}",
        )
    if not text.startswith(SCHEME):
        raise SettingsError(key, f"expected an address {_EXAMPLE}, found {text!r}")
    return text.removeprefix(SCHEME)


def _servers(text: str, key: str) -> str:
    return ",".join(_server(server.strip(), key) for server in text.split(","))


def _server(text: str, key: str) -> str:
    host, port = text, str(_PORT)
    if not text.endswith("]") and ":" in text:
        host, _, port = text.rpartition(":")
    if not _HOST.fullmatch(host):
        found = f"found {text!r}" if text else "found nothing in its place"
        raise SettingsError(key, f"expected the name or the number of a host, {found}; an address is {_EXAMPLE}")
    if not (port.isascii() and port.isdigit() and 0 < int(port) <= _LARGEST_PORT):
        raise SettingsError(
            key, f"expected a port from 1 to {_LARGEST_PORT} after {host!r}, found {port!r}; an address is {_EXAMPLE}"
        )
    return f"{host}:{int(port)}"
