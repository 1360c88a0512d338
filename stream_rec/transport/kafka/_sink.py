"""A topic as a sink: values with their keys, each written once by an idempotent producer.

Knows nothing of what values say.
"""

from collections.abc import Sequence

from stream_rec.errors import SettingsError
from stream_rec.transport.broker import Broker, Outgoing

__all__ = ["KafkaSink"]


class KafkaSink:
    """Writes to *topic* with *broker*, which it closes. Raises SettingsError for the setting *key* if there is none."""

    def __init__(self, broker: Broker, topic: str, key: str = "recommendations") -> None:
        if not broker.partitions(topic):
            broker.close()
            raise SettingsError(key, f"there is no topic {topic!r} at these brokers")
        self._broker = broker
        self._topic = topic
        self._writer = broker.writer(None)
        self._is_closed = False

    def write(self, values: Sequence[bytes], keys: Sequence[bytes | None] | None = None) -> None:
        """Take the *values*, one for each of the *keys*. Raises RecordTooLargeError before taking any if one is."""
        topic = self._topic
        keys = keys or [None] * len(values)
        self._writer.send([Outgoing(topic, value, key) for value, key in zip(values, keys, strict=True)])

    def flush(self) -> None:
        """Return when the broker has all that was taken."""
        self._writer.flush()

    def close(self) -> None:
        """Flush, and let go. May be called twice."""
        if self._is_closed:
            return
        self._is_closed = True
        try:
            self._writer.flush()
        finally:
            self._writer.close()
            self._broker.close()
