"""kafka-python's clients in a `with` block, closed at its end, and also where they could not be opened."""

import contextlib
from collections.abc import Callable, Iterator
from typing import Any


@contextlib.contextmanager
def opened(client: Callable[..., Any], **settings: Any) -> Iterator[Any]:
    """*client* is KafkaConsumer, KafkaProducer or KafkaAdminClient; *settings* are its own.

    It is opened as the product opens its own: without that it leaves a thread and sockets behind.
    """
    # Imported late: only tests that ask for a broker should wait for this package.
    from stream_rec.transport.kafka.kafka_python import internals  # noqa: PLC0415

    with contextlib.closing(internals.opened(client, settings)) as made:
        yield made
