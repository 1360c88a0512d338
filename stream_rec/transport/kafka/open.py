"""Open a broker with one of the two clients; each is imported only when used: `--help` must not wait for one."""

import warnings
from collections.abc import Mapping
from typing import Literal

from stream_rec.errors import SettingsError
from stream_rec.transport.broker import Broker
from stream_rec.transport.kafka.address import parse_servers
from stream_rec.transport.kafka.config import Config, read_config
from stream_rec.transport.timeouts import TransportTimeouts

__all__ = ["KafkaClient", "open_broker"]

KafkaClient = Literal["kafka-python", "confluent"]


def open_broker(
    address: str,
    *,
    client: KafkaClient = "kafka-python",
    config: Mapping[str, str] | None = None,
    key: str = "events",
    timeouts: TransportTimeouts | None = None,
) -> Broker:
    """Connect to the brokers of *address*, `kafka://host:9092`; a topic in it is ignored.

    Raises SettingsError, for *key* where the address is wrong, and TransportError, retriable, where no broker answers.
    """
    servers = parse_servers(address, key)
    read = read_config(config or {})
    connect = _confluent if client == "confluent" else _python
    return connect(servers, read, timeouts or TransportTimeouts())


def _python(servers: str, config: Config, timeouts: TransportTimeouts) -> Broker:
    with warnings.catch_warnings():
        # On Python 3.11 it reads its own schemas in a way that is deprecated.
        warnings.filterwarnings("ignore", category=DeprecationWarning)
        from stream_rec.transport.kafka.kafka_python.broker import PythonBroker  # noqa: PLC0415 (imported only when used)
    return PythonBroker(servers, config, timeouts)


def _confluent(servers: str, config: Config, timeouts: TransportTimeouts) -> Broker:
    try:
        from stream_rec.transport.kafka.confluent.broker import ConfluentBroker  # noqa: PLC0415 (imported only when used)
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "confluent_kafka":
            raise
        raise SettingsError(
            "kafka_client", "is confluent, which is not installed: pip install 'stream-rec[confluent]'"
        ) from None
    return ConfluentBroker(servers, config, timeouts)
