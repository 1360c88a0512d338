"""A topic as a sink: values with their keys, each written once by an idempotent producer.

Knows nothing of what values say.
"""

from collections.abc import Sequence
from typing import Final

from stream_rec.errors import SettingsError
from stream_rec.transport.broker import Broker, ProducerRecord

__all__ = ["KafkaSink"]

_MOST_OPEN: Final = 10_000
"""Records whose arrival nobody has asked for yet. A writer keeps them until then, and a long file has no pause."""


class KafkaSink:
    """Writes to *topic* with *broker*, which it closes. Raises SettingsError for the setting *key* if there is none."""

    def __init__(self, broker: Broker, topic: str, key: str = "recommendations") -> None:
        if not broker.partitions(topic):
            broker.close()
            raise SettingsError(key, f"there is no topic {topic!r} at these brokers")
        self._broker = broker
        self._topic = topic
        self._writer = broker.writer(None)
        self._n_open = 0
        self._is_closed = False

    def write(self, values: Sequence[bytes], keys: Sequence[bytes | None] | None = None) -> None:
        """Take the *values*, one for each of the *keys*. Raises RecordTooLargeError before taking any if one is."""
        topic = self._topic
        keys = keys or [None] * len(values)
        self._writer.send([ProducerRecord(topic, value, key) for value, key in zip(values, keys, strict=True)])
        self._n_open += len(values)
        if self._n_open >= _MOST_OPEN:
            self.flush()

    def flush(self) -> None:
        """Return when the broker has all that was taken."""
        self._n_open = 0
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
