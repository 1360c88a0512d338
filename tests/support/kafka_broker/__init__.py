"""A real Kafka broker for tests and for `make kafka`.

`open_broker` takes the first of: the address in the environment, Docker, Maven Central's jars with java. Which of
them was had changes no test; where none can be had, `BrokerMissing` says why of each.
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
