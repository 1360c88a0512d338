"""Which client for which setting; imported only when used, since `--help` must not wait for one."""

import warnings
from collections.abc import Mapping
from typing import Literal

from stream_rec.errors import SettingsError
from stream_rec.transport.broker import Broker
from stream_rec.transport.kafka.address import parse_servers
from stream_rec.transport.kafka.config import Config, read_config

__all__ = ["Client", "open_broker"]

Client = Literal["kafka-python", "confluent"]


def open_broker(
    address: str, *, client: Client = "kafka-python", config: Mapping[str, str] | None = None, key: str = "events"
) -> Broker:
    """Connect to the brokers of *address*, `kafka://host:9092`; a topic behind them is not looked at.

    Raises SettingsError, for *key* where the address is wrong, and TransportError, retriable, where nobody answers.
    """
    servers = parse_servers(address, key)
    read = read_config(config or {})
    return _confluent(servers, read) if client == "confluent" else _python(servers, read)


def _python(servers: str, config: Config) -> Broker:
    with warnings.catch_warnings():
        # On Python 3.11 it reads its own schemas in a way that is going to be replaced.
        warnings.filterwarnings("ignore", category=DeprecationWarning)
        from stream_rec.transport.kafka.kafka_python.broker import PythonBroker  # noqa: PLC0415 (imported only when used)
    return PythonBroker(servers, config)


def _confluent(servers: str, config: Config) -> Broker:
    try:
        from stream_rec.transport.kafka.confluent.broker import ConfluentBroker  # noqa: PLC0415 (imported only when used)
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "confluent_kafka":
            raise
        raise SettingsError(
            "kafka_client", "is confluent, which is not installed: pip install 'stream-rec[confluent]'"
        ) from None
    return ConfluentBroker(servers, config)
