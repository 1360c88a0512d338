"""Kafka's settings with kafka-python's names and types.

Accepts the dotted names of Kafka's documentation and of librdkafka, and kafka-python's own with underscores.
Settings that are objects there (the TLS context, the source of OAuth tokens) are made here from those of other clients.
"""

import ssl
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from stream_rec.errors import SettingsError
from stream_rec.transport.kafka.config import ROLES, Config, Role, given_key, unknown
from stream_rec.transport.kafka.tokens import ClientCredentials
from stream_rec.transport.timeouts import TransportTimeouts

__all__ = ["connection", "python_settings", "tls_context"]

Defaults = Mapping[Role, Mapping[str, object]]
"""The settings that each part of the client accepts, with their defaults."""

# Where more than the dots differs. The later names are those of librdkafka.
_NAMES: Final = {
    "sasl.mechanisms": "sasl_mechanism",
    "sasl.username": "sasl_plain_username",
    "sasl.password": "sasl_plain_password",
    "compression.codec": "compression_type",
    "fetch.message.max.bytes": "max_partition_fetch_bytes",
    "fetch.wait.max.ms": "fetch_max_wait_ms",
    "message.max.bytes": "max_request_size",
    "message.timeout.ms": "delivery_timeout_ms",
    "queue.buffering.max.ms": "linger_ms",
    "receive.message.max.bytes": "receive_message_max_bytes",
    "socket.receive.buffer.bytes": "receive_buffer_bytes",
    "socket.send.buffer.bytes": "send_buffer_bytes",
    "socket.timeout.ms": "request_timeout_ms",
}

# The settings of the TLS context; the second name is kafka-python's own.
_TLS: Final = {
    "ssl.ca.location": "ssl_cafile",
    "ssl.certificate.location": "ssl_certfile",
    "ssl.key.location": "ssl_keyfile",
    "ssl.key.password": "ssl_password",
    "ssl.crl.location": "ssl_crlfile",
    "ssl.cipher.suites": "ssl_ciphers",
    "ssl.endpoint.identification.algorithm": "ssl_check_hostname",
    "enable.ssl.certificate.verification": "enable_ssl_certificate_verification",
}
_OAUTH_NEEDED: Final = (
    "sasl.oauthbearer.client.id",
    "sasl.oauthbearer.client.secret",
    "sasl.oauthbearer.token.endpoint.url",
)
_OAUTH: Final = (*_OAUTH_NEEDED, "sasl.oauthbearer.scope", "sasl.oauthbearer.method")
# Settings that a line of text cannot be, or that stream-rec decides.
_OBJECTS: Final = frozenset({
    "bootstrap_servers", "consumer_timeout_ms", "default_offset_commit_callback", "kafka_client", "metric_reporters",
    "partitioner", "sasl_oauth_token_provider", "selector", "socket_options", "ssl_context",
})  # fmt: skip
# Their defaults are None, which has no type.
_WHOLE: Final = frozenset({"receive_buffer_bytes", "send_buffer_bytes"})
_UPPER: Final = frozenset({"security_protocol", "sasl_mechanism"})
_CONNECTION: Final = frozenset({"security_protocol", "sasl_mechanism", *_TLS.values()})
_TRUE: Final = frozenset({"true", "yes", "on", "1"})
_FALSE: Final = frozenset({"false", "no", "off", "0"})


def python_settings(config: Config, role: Role, defaults: Defaults, timeouts: TransportTimeouts) -> dict[str, Any]:
    """The settings of the part *role*. Raises SettingsError, naming the setting."""
    _refuse_unknown(config, defaults)
    taken = defaults[role]
    settings: dict[str, Any] = {}
    for name, text in config.of(role).items():
        own = _own(name)
        if own in taken and own not in _TLS.values():
            settings[own] = _converted(name, own, text, taken[own])
            if own == "compression_type":
                _refuse_missing_codec(name, settings[own])
    if settings.get("security_protocol", "").endswith("SSL"):
        settings["ssl_context"] = tls_context(config, role)
    if settings.get("sasl_mechanism") == "OAUTHBEARER":
        settings["sasl_oauth_token_provider"] = _token_provider(config, timeouts)
    return settings


def connection(config: Config) -> tuple[str, str | None]:
    """The security protocol, and the SASL mechanism."""
    common = {_own(name): text for name, text in config.of("admin").items()}
    return common.get("security_protocol", "PLAINTEXT").upper(), common.get("sasl_mechanism")


def tls_context(config: Config, role: Role = "admin") -> ssl.SSLContext:
    """The TLS context that the settings describe. Raises SettingsError for a file that cannot be used."""
    own = {_own(name): text for name, text in config.of(role).items()}
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if "ssl_cafile" in own:
        _load("ssl.ca.location", own["ssl_cafile"], context.load_verify_locations)
    else:
        context.load_default_certs()
    if "ssl_certfile" in own:
        key, password = own.get("ssl_keyfile"), own.get("ssl_password")
        _load(
            "ssl.certificate.location", own["ssl_certfile"], lambda path: context.load_cert_chain(path, key, password)
        )
    if "ssl_crlfile" in own:
        _load("ssl.crl.location", own["ssl_crlfile"], context.load_verify_locations)
        context.verify_flags |= ssl.VERIFY_CRL_CHECK_LEAF
    if "ssl_ciphers" in own:
        _load("ssl.cipher.suites", own["ssl_ciphers"], context.set_ciphers)
    context.check_hostname = own.get("ssl_check_hostname", "https").lower() in _TRUE | {"https"}
    if own.get("enable_ssl_certificate_verification", "true").lower() in _FALSE:
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


def _load(name: str, value: str, read: Callable[[str], object]) -> None:
    try:
        read(value)
    except (ssl.SSLError, OSError) as error:  # in that order: the first is also the second
        reason = error.strerror if type(error) is not ssl.SSLError and error.strerror else str(error)
        raise SettingsError(f"kafka.{name}", f"{value!r} cannot be used: {reason}") from None


def _token_provider(config: Config, timeouts: TransportTimeouts) -> object:
    given = config.of("admin")
    if (method := given.get("sasl.oauthbearer.method", "oidc")) != "oidc":
        raise SettingsError("kafka.sasl.oauthbearer.method", f"expected oidc, found {method!r}")
    for name in _OAUTH_NEEDED:
        if name not in given:
            raise SettingsError(f"kafka.{name}", "not given, but OAUTHBEARER needs it")
    client, secret, url = (given[name] for name in _OAUTH_NEEDED)
    scope = given.get("sasl.oauthbearer.scope")
    from kafka.net.sasl.oauth import AbstractTokenProvider  # noqa: PLC0415 (needed with OAuth only)

    class Provider(AbstractTokenProvider):  # type: ignore[misc]  # kafka-python has no types
        """The client accepts only this class."""

        credentials = ClientCredentials(url, client, secret, scope, timeouts)

        def token(self) -> str:
            return self.credentials.token()

    return Provider()


def _refuse_missing_codec(name: str, codec: str | None) -> None:
    from kafka.codec import has_lz4, has_snappy, has_zstd  # noqa: PLC0415 (needed with such a setting only)

    is_there = {"lz4": has_lz4, "snappy": has_snappy, "zstd": has_zstd}.get(codec or "none")
    if is_there is not None and not is_there():
        raise SettingsError(
            f"kafka.{name}",
            f"{codec} is not installed for kafka-python: pip install 'stream-rec[codecs]', or take "
            "--kafka-client confluent, which has it built in",
        )


def _own(name: str) -> str:
    dotted = name.replace("_", ".")
    return _NAMES.get(dotted) or _TLS.get(dotted) or dotted.replace(".", "_")


def _refuse_unknown(config: Config, defaults: Defaults) -> None:
    for role in (None, *ROLES):
        takers = ROLES if role is None else (role,)
        taken = {name for taker in takers for name in defaults[taker]} - _OBJECTS
        for name in config.names(role):
            if _own(name) not in taken | _CONNECTION and name not in _OAUTH:
                raise unknown(given_key(role, name), _spelled(taken), "kafka-python", role)


def _spelled(taken: Iterable[str]) -> list[str]:
    """The settings' names in Kafka's documentation."""
    usual = {own: dotted for dotted, own in _TLS.items()} | {
        "sasl_plain_username": "sasl.username",
        "sasl_plain_password": "sasl.password",
    }
    return [usual.get(own, own.replace("_", ".")) for own in taken]


def _converted(name: str, own: str, text: str, default: object) -> object:
    if own in _UPPER:
        return text.upper()
    if own == "compression_type":
        return None if text.lower() == "none" else text.lower()
    try:
        if isinstance(default, bool):
            return _switch(text)
        if isinstance(default, int) or own in _WHOLE:
            return int(text)
        return float(text) if isinstance(default, float) else text
    except ValueError:
        expected = "true or false" if isinstance(default, bool) else "a number"
        raise SettingsError(f"kafka.{name}", f"expected {expected}, found {text!r}") from None


def _switch(text: str) -> bool:
    if text.lower() not in _TRUE | _FALSE:
        raise ValueError(text)
    return text.lower() in _TRUE
