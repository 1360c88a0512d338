"""Kafka's settings for librdkafka, which uses the same names.

librdkafka names a setting that it does not know when a part is made. The names below serve to guess what was meant, and
to leave out, for one part, settings of another, about which it would log a warning.
"""

import re
from typing import Final

from stream_rec.errors import SettingsError
from stream_rec.transport.kafka.config import Config, Role, given_key, unknown

__all__ = ["confluent_settings", "refused"]

_CONSUMER_ONLY: Final = frozenset({
    "check.crcs", "fetch.error.backoff.ms", "fetch.max.bytes", "fetch.message.max.bytes", "fetch.min.bytes",
    "fetch.queue.backoff.ms", "fetch.wait.max.ms", "heartbeat.interval.ms", "max.partition.fetch.bytes",
    "max.poll.interval.ms", "queued.max.messages.kbytes", "queued.min.messages", "session.timeout.ms",
})  # fmt: skip
_PRODUCER_ONLY: Final = frozenset({
    "batch.num.messages", "batch.size", "compression.codec", "compression.level", "compression.type",
    "delivery.timeout.ms", "linger.ms", "message.timeout.ms", "queue.buffering.max.kbytes",
    "queue.buffering.max.messages", "queue.buffering.max.ms", "request.timeout.ms", "sticky.partitioning.linger.ms",
    "transaction.timeout.ms",
})  # fmt: skip
_COMMON: Final = frozenset({
    "broker.address.family", "client.dns.lookup", "client.id", "client.rack", "connections.max.idle.ms", "debug",
    "enable.ssl.certificate.verification", "log_level", "max.in.flight.requests.per.connection", "message.max.bytes",
    "metadata.max.age.ms", "receive.message.max.bytes", "reconnect.backoff.max.ms", "reconnect.backoff.ms",
    "retry.backoff.max.ms", "retry.backoff.ms", "sasl.kerberos.keytab", "sasl.kerberos.principal",
    "sasl.kerberos.service.name", "sasl.mechanism", "sasl.mechanisms", "sasl.oauthbearer.client.id",
    "sasl.oauthbearer.client.secret", "sasl.oauthbearer.config", "sasl.oauthbearer.extensions",
    "sasl.oauthbearer.method", "sasl.oauthbearer.scope", "sasl.oauthbearer.token.endpoint.url", "sasl.password",
    "sasl.username", "security.protocol", "socket.connection.setup.timeout.ms", "socket.keepalive.enable",
    "socket.nagle.disable", "socket.receive.buffer.bytes", "socket.send.buffer.bytes", "socket.timeout.ms",
    "ssl.ca.location", "ssl.ca.pem", "ssl.certificate.location", "ssl.certificate.pem", "ssl.cipher.suites",
    "ssl.crl.location", "ssl.curves.list", "ssl.endpoint.identification.algorithm", "ssl.key.location",
    "ssl.key.password", "ssl.key.pem", "ssl.keystore.location", "ssl.keystore.password", "ssl.sigalgs.list",
    "statistics.interval.ms", "topic.metadata.refresh.interval.ms",
})  # fmt: skip
_OTHERS: Final = {
    "consumer": _PRODUCER_ONLY,
    "producer": _CONSUMER_ONLY,
    "admin": _PRODUCER_ONLY | _CONSUMER_ONLY,
}
_QUOTED: Final = re.compile(r'"([^"]+)"')


def confluent_settings(config: Config, role: Role) -> dict[str, str]:
    """The settings of the part *role*."""
    return {name: value for name, value in config.of(role).items() if name not in _OTHERS[role]}


def refused(config: Config, role: Role, text: str) -> SettingsError:
    """The error for librdkafka's *text* about the settings of *role*, by the setting that it names."""
    quoted = _QUOTED.search(text)
    name = quoted.group(1) if quoted else ""
    scope = role if name in config.names(role) else None
    if "No such configuration property" in text:
        known = _COMMON | _CONSUMER_ONLY | _PRODUCER_ONLY
        return unknown(given_key(scope, name), known, "confluent (librdkafka)")
    key = f"kafka.{given_key(scope, name)}" if name else "kafka"
    return SettingsError(key, config.hide(text))
