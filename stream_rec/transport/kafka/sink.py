"""A topic as a sink: values with their keys, each written once by an idempotent producer.

Does not parse the values.
"""

from collections.abc import Sequence

from stream_rec.errors import SettingsError
from stream_rec.transport.broker import Broker, ProducerRecord

__all__ = ["KafkaSink"]


class KafkaSink:
    """Writes to *topic* with *broker*, which it closes. Raises SettingsError, for *key*, if there is no such topic.

    It flushes by itself after *flush_after* records: a writer keeps records until then, and a long file has no pause.
    """

    def __init__(self, broker: Broker, topic: str, key: str = "recommendations", *, flush_after: int = 10_000) -> None:
        if not broker.partitions(topic):
            broker.close()
            raise SettingsError(key, f"there is no topic {topic!r} at these brokers")
        self._broker = broker
        self._topic = topic
        self._writer = broker.writer(None)
        self._flush_after = flush_after
        self._n_open = 0
        self._is_closed = False

    def write(self, values: Sequence[bytes], keys: Sequence[bytes | None] | None = None) -> None:
        """Accept the *values*, one for each of the *keys*.

        Raises RecordTooLargeError, before any value is accepted, where one is too large.
        """
        topic = self._topic
        keys = keys or [None] * len(values)
        self._writer.send([ProducerRecord(topic, value, key) for value, key in zip(values, keys, strict=True)])
        self._n_open += len(values)
        if self._n_open >= self._flush_after:
            self.flush()

    def flush(self) -> None:
        """Return when the broker has all values accepted."""
        self._n_open = 0
        self._writer.flush()

    def close(self) -> None:
        """Flush, and close writer and broker. May be called twice."""
        if self._is_closed:
            return
        self._is_closed = True
        try:
            self._writer.flush()
        finally:
            self._writer.close()
            self._broker.close()
