"""The type of objects that come from a Kafka client: neither client has types."""

from typing import Any

__all__ = ["Untyped"]

Untyped = Any
"""An object of a Kafka client; confluent-kafka may not even be installed where types are checked."""
