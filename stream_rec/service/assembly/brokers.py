"""Settings -> a connection to the broker that an address names."""

from stream_rec.settings import Settings
from stream_rec.transport.broker import Broker
from stream_rec.transport.kafka import open_broker

__all__ = [
    "connect_broker",
]


def connect_broker(settings: Settings, address: str, key: str) -> Broker:
    """Connect to the brokers of *address*, the value of the setting *key*. Raises SettingsError."""
    return open_broker(address, client=settings.kafka_client, config=settings.kafka, key=key)
