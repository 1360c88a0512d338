"""Kafka: a broker behind the protocol of `transport.broker`, with either of two clients.

The only room that imports a Kafka client, and only the one that is used, when it is.
"""

from stream_rec.transport.kafka.address import Address, parse_address
from stream_rec.transport.kafka.config import read_config
from stream_rec.transport.kafka.open import KafkaClient, open_broker
from stream_rec.transport.kafka.registry.open import open_registry
from stream_rec.transport.kafka.sink import KafkaSink
from stream_rec.transport.kafka.source import KafkaSource

__all__ = [
    "Address",
    "KafkaClient",
    "KafkaSink",
    "KafkaSource",
    "open_broker",
    "open_registry",
    "parse_address",
    "read_config",
]
