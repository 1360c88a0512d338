"""The text of server.properties, and the secrets of a secured broker. Starts nothing."""

import secrets
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from kafka_broker.base import LOOPBACK, BrokerError, Security

USER: Final = "shop"
MECHANISMS: Final = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER")

LOG4J: Final = """\
appender.out.type = Console
appender.out.name = out
appender.out.layout.type = PatternLayout
appender.out.layout.pattern = %d{HH:mm:ss,SSS} %p %m (%c{1})%n%throwable
rootLogger.level = info
rootLogger.appenderRef.out.ref = out
# These two print every setting, several times over.
logger.config.name = org.apache.kafka.common.config.AbstractConfig
logger.config.level = warn
logger.server.name = kafka.server.KafkaConfig
logger.server.level = warn
"""

FOR_TESTS: Final = {
    # A wrong topic name must be an error, not a new topic.
    "auto.create.topics.enable": "false",
    # One broker: replication would wait for others for ever.
    "offsets.topic.num.partitions": "1",
    "offsets.topic.replication.factor": "1",
    "transaction.state.log.num.partitions": "1",
    "transaction.state.log.replication.factor": "1",
    "transaction.state.log.min.isr": "1",
    "share.coordinator.state.topic.num.partitions": "1",
    "share.coordinator.state.topic.replication.factor": "1",
    "share.coordinator.state.topic.min.isr": "1",
    # Tests do not wait for members that will not come, nor long for those that died.
    "group.initial.rebalance.delay.ms": "0",
    "group.min.session.timeout.ms": "1000",
    # After SIGKILL the old registration must time out before the new one is taken: 9 s by default.
    "broker.session.timeout.ms": "1500",
    "broker.heartbeat.interval.ms": "250",
    # A broker does these by the minute; tests need them within a second or two.
    "transaction.abort.timed.out.transaction.cleanup.interval.ms": "500",
    "log.retention.check.interval.ms": "1000",
    "log.segment.delete.delay.ms": "500",
}


@dataclass(frozen=True, slots=True)
class Ports:
    """Where one broker listens; the last three only where it is secured."""

    plain: int
    controller: int
    sasl: int = 0
    tls: int = 0
    sasl_tls: int = 0


@dataclass(frozen=True, slots=True)
class Node:
    """One of the nodes of a cluster, each broker and controller."""

    number: int = 1
    host: str = LOOPBACK
    voters: str | None = None
    """All controllers, as `1@host:port,...`; None: this one alone."""
    settings: Mapping[str, str] = field(default_factory=dict)
    """In place of those for one broker."""


ALONE: Final = Node()

IN_A_CLUSTER: Final = {
    "offsets.topic.replication.factor": "3",
    "transaction.state.log.replication.factor": "3",
    "transaction.state.log.min.isr": "2",
    "share.coordinator.state.topic.replication.factor": "3",
    "share.coordinator.state.topic.min.isr": "2",
    "default.replication.factor": "3",
    "min.insync.replicas": "2",
    "unclean.leader.election.enable": "false",
    # A leader that is away is replaced within seconds, and one that is back leads again.
    "broker.session.timeout.ms": "3000",
    "broker.heartbeat.interval.ms": "500",
    "replica.lag.time.max.ms": "4000",
    "leader.imbalance.check.interval.seconds": "5",
    "controller.quorum.election.timeout.ms": "1000",
    "controller.quorum.fetch.timeout.ms": "2000",
}
"""Two of three must have a record before it is acknowledged, so one may be lost at any time."""


def properties(home: Path, ports: Ports, secret: str | None, node: Node = ALONE) -> str:
    """server.properties for a node that is broker and controller; secured where there is a *secret*."""
    listeners = {"PLAINTEXT": ports.plain}
    protocols = {"PLAINTEXT": "PLAINTEXT", "CONTROLLER": "PLAINTEXT"}
    security: dict[str, str] = {}
    if secret is not None:
        listeners |= {"SASL": ports.sasl, "TLS": ports.tls, "SASLTLS": ports.sasl_tls}
        protocols |= {"SASL": "SASL_PLAINTEXT", "TLS": "SSL", "SASLTLS": "SASL_SSL"}
        security = _security(home, secret)
    return _lines(
        {
            "process.roles": "broker,controller",
            "node.id": str(node.number),
            "controller.quorum.voters": node.voters or f"1@{LOOPBACK}:{ports.controller}",
            "controller.listener.names": "CONTROLLER",
            "inter.broker.listener.name": "PLAINTEXT",
            "listeners": _listeners(listeners | {"CONTROLLER": ports.controller}, node.host),
            "advertised.listeners": _listeners(listeners, node.host),
            "listener.security.protocol.map": ",".join(f"{name}:{kind}" for name, kind in protocols.items()),
            "log.dirs": str(home / "data"),
            **FOR_TESTS,
            **node.settings,
            **security,
        }
    )


def make_certificate(keytool: str, home: Path, secret: str) -> Path:
    """Make the broker's key and its self-signed certificate; return the certificate's file, for clients to trust."""
    store = ["-alias", "broker", "-keystore", str(home / "broker.p12"), "-storetype", "PKCS12", "-storepass", secret]
    certificate = home / "ca.pem"
    if not certificate.exists():
        # Its own authority: some clients trust a certificate only where it says that it is one.
        authority = ["-ext", "bc:critical=ca:true", "-ext", "ku:critical=keyCertSign,digitalSignature,keyEncipherment"]
        subject = ["-dname", "CN=localhost", "-ext", f"san=ip:{LOOPBACK},dns:localhost", "-validity", "365"]
        _run([keytool, "-genkeypair", *store, "-keyalg", "RSA", "-keysize", "2048", *subject, *authority])
        _run([keytool, "-exportcert", "-rfc", *store, "-file", str(certificate)])
    return certificate


def new_secret() -> str:
    """A password of the user, and of the key store; new for each broker."""
    return secrets.token_hex(16)


def security_of(ports: Ports, secret: str, ca_file: Path) -> Security:
    """Return what a client needs to connect."""
    return Security(
        sasl=f"{LOOPBACK}:{ports.sasl}",
        tls=f"{LOOPBACK}:{ports.tls}",
        sasl_tls=f"{LOOPBACK}:{ports.sasl_tls}",
        user=USER,
        password=secret,
        ca_file=ca_file,
    )


def scram_arguments(secret: str) -> list[str]:
    """SCRAM's users are part of the broker's metadata, so formatting makes them."""
    return [
        argument
        for mechanism in ("SCRAM-SHA-256", "SCRAM-SHA-512")
        for argument in ("--add-scram", f"{mechanism}=[name={USER},password={secret}]")
    ]


def _security(home: Path, secret: str) -> dict[str, str]:
    modules = {
        "PLAIN": f'plain.PlainLoginModule required user_{USER}="{secret}";',
        "SCRAM-SHA-256": "scram.ScramLoginModule required;",
        "SCRAM-SHA-512": "scram.ScramLoginModule required;",
        # Tokens without a signature: enough to see that a client sends its token.
        "OAUTHBEARER": f'oauthbearer.OAuthBearerLoginModule required unsecuredLoginStringClaim_sub="{USER}";',
    }
    return {
        "sasl.enabled.mechanisms": ",".join(MECHANISMS),
        "ssl.keystore.type": "PKCS12",
        "ssl.keystore.location": str(home / "broker.p12"),
        "ssl.keystore.password": secret,
    } | {
        f"listener.name.{listener}.{mechanism.lower()}.sasl.jaas.config": f"org.apache.kafka.common.security.{module}"
        for listener in ("sasl", "sasltls")
        for mechanism, module in modules.items()
    }


def _listeners(ports: Mapping[str, int], host: str) -> str:
    return ",".join(f"{name}://{host}:{port}" for name, port in ports.items())


def _lines(settings: Mapping[str, str]) -> str:
    return "".join(f"{key}={value}\n" for key, value in settings.items())


def _run(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    if done.returncode:
        raise BrokerError(f"{command[0]} {command[1]} failed: {done.stdout}{done.stderr}")
