"""A real Kafka broker for tests and for `make kafka`.

`open_broker` takes the first of: the address in the environment, Docker, Maven Central's jars with java. Tests
are the same on each of them; where none is available, `BrokerMissing` gives the reason for each.
"""

from kafka_broker.base import Broker, BrokerError, BrokerMissing, Security
from kafka_broker.find import ADDRESS_VARIABLE, CHOICE_VARIABLE, open_broker

__all__ = [
    "ADDRESS_VARIABLE",
    "CHOICE_VARIABLE",
    "Broker",
    "BrokerError",
    "BrokerMissing",
    "Security",
    "open_broker",
]
